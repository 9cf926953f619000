"""The measures against hand-made answers whose truth is known."""

from __future__ import annotations

import pytest
import torch

from googlenet.training.calibration import confidently_wrong
from googlenet.training.evaluate import (
    Answers,
    accuracy,
    accuracy_among,
    confusions,
    report,
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


def test_confusions() -> None:
    logits = torch.eye(3)[[1, 1, 2, 0, 1]]
    assert confusions(Answers({"main": logits}, torch.tensor([0, 0, 1, 0, 1])), ("a", "b", "c")) == [("a", "b", 2), ("b", "c", 1)]
