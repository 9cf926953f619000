"""Temperatures and thresholds, on answers whose truth is known."""

from __future__ import annotations

import math

import pytest
import torch

from googlenet.training.calibration import (
    ENOUGH,
    TEMPERATURES,
    calibration_error,
    choose_temperature,
    confidences,
    fit_temperature,
    unlikely_below,
)


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
    assert fit_temperature(right, torch.arange(300) % 3) == pytest.approx(TEMPERATURES[0], rel=1e-3)
    assert fit_temperature(right, (torch.arange(300) + 1) % 3) == pytest.approx(TEMPERATURES[1], rel=1e-3)


def drawn(temperature: float, count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, and labels drawn from softmax(logits / temperature)."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, 20, generator=generator) * 3
    return logits, torch.multinomial((logits / temperature).softmax(1), 1, generator=generator)[:, 0]


def test_a_temperature_that_helps_on_held_out_pictures_is_chosen() -> None:
    logits, labels = drawn(2.0, 680)
    assert choose_temperature(logits, labels) == fit_temperature(logits, labels) == pytest.approx(2.0, rel=0.15)


def test_no_temperature_makes_answers_surer() -> None:
    assert choose_temperature(*drawn(0.5, 680)) == 1


def test_a_temperature_that_may_be_chance_is_not_chosen() -> None:
    """Fitted to few answers of a calibrated network it is often not 1, and would seldom help on others."""
    chosen = [choose_temperature(*drawn(1.0, 200, seed)) for seed in range(20)]
    fitted = [fit_temperature(*drawn(1.0, 200, seed)) for seed in range(20)]
    assert sum(t > 1.001 for t in fitted) >= 5
    assert sum(t != 1 for t in chosen) <= 2


def test_few_pictures_fit_nothing() -> None:
    few = ENOUGH - 1
    logits, labels = answers_with_confidence(0.9, 0.7, few)
    assert choose_temperature(logits, labels) == 1
    assert unlikely_below(logits, labels, 1.0) is None


def test_unknown_things_lose_their_class() -> None:
    known, unknown = confidences(torch.tensor([[5.0, 1, 0], [0, 0, 4]]), torch.tensor([0, 2]), 1.0)
    assert known.tolist() == pytest.approx(torch.tensor([[5.0, 1, 0], [0, 0, 4]]).softmax(1).amax(1).tolist())
    assert unknown.tolist() == pytest.approx([math.e / (math.e + 1), 0.5])


def test_the_threshold_flags_a_tenth_of_known_pictures() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(2000, 10) * 3, torch.randint(10, (2000,))
    known, _ = confidences(logits, labels, 1.0)
    assert (known < unlikely_below(logits, labels, 1.0)).double().mean().item() == pytest.approx(0.1, abs=0.002)
