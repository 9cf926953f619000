"""The measures, temperatures and thresholds, on answers whose truth is known."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from googlenet.checkpoints.config import ModelConfig
from googlenet.model.architecture import PAPER
from googlenet.pictures.images import Preprocess
from googlenet.training.evaluate import (
    ENOUGH,
    TEMPERATURES,
    Answers,
    by_class,
    calibration_error,
    choose_temperature,
    class_table,
    confidences,
    confusions,
    fit_temperature,
    never_named,
    report,
    surest_mistakes,
    table,
    unlikely_below,
)

CONFIG = ModelConfig(PAPER, ("a", "b", "c"), Preprocess(32, 32, (0.5,) * 3, (0.5,) * 3))


def test_the_table_says_what_is_among_the_pictures_classes() -> None:
    """Of three answers one is right, two among the pictures' own classes; the wrong ones are sure at this temperature."""
    answers = Answers({"main": torch.tensor([[1.0, 0, 0], [0, 1, 2], [0, 1, 0]])}, torch.tensor([0, 1, 0]))
    said = table(report(answers, replace(CONFIG, temperatures={"main": 0.5})))
    assert said.splitlines()[0].startswith("| head | top-1 | top-5 | top-1 among the pictures' 2 classes | wrong with ≥ 50% |")
    assert said.splitlines()[2].startswith("| main | 33.33% | 100.00% | 66.67% | 66.67% |")
    assert len({line.count("|") for line in said.splitlines()}) == 1
    everything = Answers({"main": torch.eye(3)}, torch.arange(3))
    assert "among" not in table(report(everything, CONFIG))


def test_classes_and_confusions() -> None:
    answers = Answers({"main": torch.eye(4)[[1, 1, 2, 0, 1]]}, torch.tensor([0, 0, 1, 0, 2]))
    names = ("a", "b", "c", "d")
    assert confusions(answers, names).splitlines()[2:] == ["| a | b | 2 |", "| b | c | 1 |", "| c | b | 1 |"]
    assert by_class(answers, names) == [("a", 1, 3), ("b", 0, 1), ("c", 0, 1)]
    assert class_table(answers, names).splitlines()[2:] == ["| a | 1 of 3 | 33% |", "| b | 0 of 1 | 0% |", "| c | 0 of 1 | 0% |"]
    assert never_named(answers, names) == ["Classes without a right answer: b: 0 of 1; c: 0 of 1."]
    assert never_named(Answers({"main": torch.eye(4)}, torch.arange(4)), names) == []


def test_the_table_of_very_many_classes_has_the_worst() -> None:
    labels = torch.arange(150)
    answers = Answers({"main": torch.eye(150)[labels.clamp(max=148)]}, labels)
    said = class_table(answers, [str(label) for label in range(150)]).splitlines()
    assert said[0].startswith("| the 100 classes of 150 that do worst |")
    assert said[2] == "| 149 | 0 of 1 | 0% |"
    assert len(said) == 102


def test_the_surest_mistakes_come_first() -> None:
    logits = torch.tensor([[0.0, 2, 0], [0, 0, 0], [5, 0, 0], [0, 3, 0]])
    mistakes = surest_mistakes(Answers({"main": logits}, torch.tensor([0, 0, 1, 1])), CONFIG)
    assert [row[:2] for row in mistakes] == [(2, 0), (0, 1)]
    assert mistakes[1][2:] == pytest.approx((math.e**2 / (math.e**2 + 2), 1 / (math.e**2 + 2)))


def answers_with_confidence(confidence: float, right: float, count: int = 10_000) -> tuple[torch.Tensor, torch.Tensor]:
    """Two classes, always the same confidence in class 0, which is right in a share of the cases."""
    logits = torch.tensor([[math.log(confidence / (1 - confidence)), 0.0]]).repeat(count, 1)
    labels = (torch.arange(count) >= round(right * count)).long()
    return logits, labels


def test_calibration_error_is_the_gap_and_the_temperature_closes_it() -> None:
    logits, labels = answers_with_confidence(0.9, 0.7)
    temperature = fit_temperature(logits, labels)
    assert calibration_error(logits.softmax(dim=1), labels) == pytest.approx(0.2, abs=1e-3)
    assert temperature == pytest.approx(math.log(9) / math.log(7 / 3), rel=1e-3)
    assert calibration_error((logits / temperature).softmax(dim=1), labels) < 1e-3


def test_a_temperature_stays_within_what_can_be_written() -> None:
    right = torch.eye(3)[torch.arange(300) % 3] * 5
    assert fit_temperature(right, torch.arange(300) % 3) == pytest.approx(TEMPERATURES[0], rel=1e-3)
    assert fit_temperature(right, (torch.arange(300) + 1) % 3) == pytest.approx(TEMPERATURES[1], rel=1e-3)


def drawn(temperature: float, count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, and labels drawn from softmax(logits / temperature)."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, 20, generator=generator) * 3
    return logits, torch.multinomial((logits / temperature).softmax(1), 1, generator=generator)[:, 0]


def test_a_temperature_that_helps_on_held_out_pictures_is_chosen_and_none_makes_answers_surer() -> None:
    logits, labels = drawn(2.0, 680)
    assert choose_temperature(logits, labels) == fit_temperature(logits, labels) == pytest.approx(2.0, rel=0.15)
    assert choose_temperature(*drawn(0.5, 680)) == 1


def test_a_temperature_that_may_be_chance_is_not_chosen() -> None:
    """Fitted to few answers of a calibrated network it is often not 1, and would seldom help on others."""
    chosen = [choose_temperature(*drawn(1.0, 200, seed)) for seed in range(20)]
    fitted = [fit_temperature(*drawn(1.0, 200, seed)) for seed in range(20)]
    assert sum(t > 1.001 for t in fitted) >= 5
    assert sum(t != 1 for t in chosen) <= 2
    assert choose_temperature(*answers_with_confidence(0.9, 0.7, ENOUGH - 1)) == 1  # too few to say


def test_unknown_things_lose_their_class() -> None:
    known, unknown = confidences(torch.tensor([[5.0, 1, 0], [0, 0, 4]]), torch.tensor([0, 2]), 1.0)
    assert known.tolist() == pytest.approx(torch.tensor([[5.0, 1, 0], [0, 0, 4]]).softmax(1).amax(1).tolist())
    assert unknown.tolist() == pytest.approx([math.e / (math.e + 1), 0.5])


def test_the_threshold_flags_a_tenth_of_known_pictures() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(2000, 10) * 3, torch.randint(10, (2000,))
    known, _ = confidences(logits, labels, 1.0)
    assert (known < unlikely_below(logits, labels, 1.0)).double().mean().item() == pytest.approx(0.1, abs=0.002)
    assert unlikely_below(logits[: ENOUGH - 1], labels[: ENOUGH - 1], 1.0) is None
