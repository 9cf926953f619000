"""The measures against hand-made answers whose truth is known."""

from __future__ import annotations

import math

import pytest
import torch

from googlenet.training.evaluate import (
    ENOUGH,
    TEMPERATURES,
    Answers,
    accuracy,
    accuracy_among,
    calibration_error,
    confidences,
    confidently_wrong,
    confusions,
    fit_temperature,
    report,
    table,
    unlikely_below,
)


def test_accuracy() -> None:
    logits = torch.tensor([[3.0, 2, 1], [3, 2, 1], [1, 2, 3], [1, 3, 2]])
    labels = torch.tensor([0, 1, 2, 0])
    assert accuracy(logits, labels, 1) == 0.5
    assert accuracy(logits, labels, 2) == 0.75
    assert accuracy(logits, labels, 5) == 1


def test_accuracy_among_some_classes() -> None:
    logits = torch.tensor([[3.0, 2, 1], [1, 2, 3], [9, 1, 2]])
    labels = torch.tensor([1, 1, 2])
    assert accuracy(logits, labels, 1) == 0
    assert accuracy_among(logits, labels, {1, 2}) == pytest.approx(2 / 3)


def test_confidently_wrong_answers() -> None:
    logits = torch.tensor([[5.0, 0, 0], [0, 5, 0], [1, 0.9, 0.9], [0, 0.1, 5]])
    labels = torch.tensor([0, 0, 2, 0])
    assert confidently_wrong(logits, labels, 1.0) == 0.5
    assert confidently_wrong(logits, labels, 100.0) == 0


def test_the_table_says_what_is_among_the_pictures_classes() -> None:
    answers = Answers({"main": torch.eye(3)[[0, 1, 1]]}, torch.tensor([0, 1, 0]))
    said = table(report(answers, {"main": 0.5}), answers)
    assert said.splitlines()[0].startswith("| head | top-1 | top-5 | top-1 among the pictures' 2 classes | wrong with ≥ 50% |")
    assert said.splitlines()[2].startswith("| main | 66.67% | 100.00% | 66.67% | 33.33% |")
    assert len({line.count("|") for line in said.splitlines()}) == 1
    everything = Answers({"main": torch.eye(3)}, torch.arange(3))
    assert "among" not in table(report(everything, None), everything)


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


def test_a_temperature_stays_within_what_can_be_written() -> None:
    right = torch.eye(3)[torch.arange(300) % 3] * 5
    assert TEMPERATURES[0] <= fit_temperature(right, torch.arange(300) % 3) < 0.2  # where softmax is 1 in double precision
    assert fit_temperature(right, (torch.arange(300) + 1) % 3) == pytest.approx(TEMPERATURES[1], rel=1e-3)


def test_few_pictures_fit_nothing() -> None:
    few = ENOUGH - 1
    logits, labels = answers_with_confidence(0.9, 0.7, few)
    assert fit_temperature(logits, labels) == 1
    assert unlikely_below(Answers({"main": logits}, labels), 1.0) is None


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
