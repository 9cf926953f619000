"""The measures against hand-made answers whose truth is known."""

from __future__ import annotations

import math

import pytest
import torch

from googlenet.training.evaluate import (
    Answers,
    accuracy,
    calibration_error,
    confidences,
    confusions,
    fit_temperature,
    unlikely_below,
)


def test_accuracy() -> None:
    logits = torch.tensor([[3.0, 2, 1], [3, 2, 1], [1, 2, 3], [1, 3, 2]])
    labels = torch.tensor([0, 1, 2, 0])
    assert accuracy(logits, labels, 1) == 0.5
    assert accuracy(logits, labels, 2) == 0.75
    assert accuracy(logits, labels, 5) == 1


def answers_with_confidence(confidence: float, right: float, count: int = 10_000) -> tuple[torch.Tensor, torch.Tensor]:
    """Two classes, always the same confidence in class 0, which is right in a share of the cases."""
    logits = torch.tensor([[math.log(confidence / (1 - confidence)), 0.0]]).repeat(count, 1)
    labels = (torch.arange(count) >= round(right * count)).long()
    return logits, labels


def test_calibration_error_is_the_gap() -> None:
    assert calibration_error(*answers_with_confidence(0.9, 0.7)) == pytest.approx(0.2, abs=1e-3)
    assert calibration_error(*answers_with_confidence(0.7, 0.7)) == pytest.approx(0, abs=1e-3)


def test_the_temperature_closes_the_gap() -> None:
    logits, labels = answers_with_confidence(0.9, 0.7)
    temperature = fit_temperature(logits, labels)
    assert temperature == pytest.approx(math.log(9) / math.log(7 / 3), rel=1e-3)
    assert calibration_error(logits, labels, temperature) < 1e-3


def test_unknown_things_lose_their_class() -> None:
    answers = Answers({"main": torch.tensor([[5.0, 1, 0], [0, 0, 4]])}, torch.tensor([0, 2]))
    known, unknown = confidences(answers, 1.0)
    assert known.tolist() == pytest.approx(torch.tensor([[5.0, 1, 0], [0, 0, 4]]).softmax(1).amax(1).tolist())
    assert unknown.tolist() == pytest.approx([math.e / (math.e + 1), 0.5])


def test_the_threshold_flags_a_tenth_of_known_pictures() -> None:
    torch.manual_seed(0)
    answers = Answers({"main": torch.randn(2000, 10) * 3}, torch.randint(10, (2000,)))
    known, _ = confidences(answers, 1.0)
    assert (known < unlikely_below(answers, 1.0)).double().mean().item() == pytest.approx(0.1, abs=0.002)


def test_confusions() -> None:
    logits = torch.eye(3)[[1, 1, 2, 0, 1]]
    assert confusions(Answers({"main": logits}, torch.tensor([0, 0, 1, 0, 1])), ("a", "b", "c")) == [("a", "b", 2), ("b", "c", 1)]
