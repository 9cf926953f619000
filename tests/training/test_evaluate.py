"""The measures against hand-made answers whose truth is known."""

from __future__ import annotations

import math

import pytest
import torch

from googlenet.checkpoints.config import ModelConfig
from googlenet.model.architecture import PAPER
from googlenet.pictures.images import Preprocess
from googlenet.training.calibration import confidently_wrong
from googlenet.training.evaluate import (
    Answers,
    accuracy,
    accuracy_among,
    by_class,
    class_table,
    confusions,
    never_named,
    report,
    surest_mistakes,
    table,
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
    config = ModelConfig(PAPER, ("a", "b", "c"), Preprocess(32, 32, (0.5,) * 3, (0.5,) * 3), {"main": 1.0}, None)
    mistakes = surest_mistakes(Answers({"main": logits}, torch.tensor([0, 0, 1, 1])), config)
    assert [row[:2] for row in mistakes] == [(2, 0), (0, 1)]
    assert mistakes[1][2:] == pytest.approx((math.e**2 / (math.e**2 + 2), 1 / (math.e**2 + 2)))
