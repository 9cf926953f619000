"""Balance: classes of unequal frequency are drawn equally often, and their frequencies leave the heads."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from googlenet.checkpoints import load
from googlenet.model.architecture import HEADS
from googlenet.training.data import read_split
from googlenet.training.last_layers import balance, prior
from googlenet.training.loop import Run
from googlenet.training.pictures import Source, read_pixels
from googlenet.training.recipe import Options, Phase, Recipe
from googlenet.training.run import train
from tests.helpers import random_model
from tests.training.conftest import pack, write_classes

LAST = {"fc.bias", "aux1.fc2.bias", "aux2.fc2.bias"}
SMALL = Recipe(schedule=(Phase(32, 1),), batch_size=8, learning_rate=0.05)


def test_the_balance_changes_the_biases_of_the_last_layers_alone() -> None:
    model = random_model(classes=3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    frequencies = torch.tensor([0.7, 0.2, 0.1])
    balance(model, dict.fromkeys(HEADS, frequencies), tau=0.5)
    after = model.state_dict()
    assert {name for name, value in after.items() if not torch.equal(value, before[name])} == LAST
    for name in LAST:
        change = after[name] - before[name]
        assert change.mean().item() == pytest.approx(0, abs=1e-6)
        assert (change[0] - change[1]).item() == pytest.approx(-0.5 * np.log(0.7 / 0.2), abs=1e-5)


def test_balanced_answers_are_right_more_often_on_classes_in_equal_numbers() -> None:
    """Two classes that overlap, 9 to 1 in what was learnt: the best answers there are not the best where both are as frequent."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(4000) % 2
    evidence = torch.randn(4000, generator=generator) + labels * 2 - 1
    logits = torch.stack([torch.full((4000,), np.log(0.9)), 2 * evidence + np.log(0.1)], dim=1)  # Bayes' rule
    learnt_from = torch.rand(4000, generator=generator) < torch.where(labels == 0, 0.9, 0.1)
    found = prior([{"main": part} for part in logits[learnt_from].split(100)])["main"]
    assert found[1].item() == pytest.approx(0.1, abs=0.02)

    def right(answers: torch.Tensor) -> float:
        return (answers.argmax(dim=1) == labels).double().mean().item()

    assert right(logits - found.log()) > right(logits) + 0.1


def source_of(path: Path, counts: tuple[int, ...], balanced: bool) -> Source:
    pack(path, [colour for colour, count in enumerate(counts) for _ in range(count)])
    split, pixels = read_pixels(
        read_split(path, "train", 0.0), 16, torch.device("cpu"), workers=0, skip_broken=False, folder=path.parent
    )
    return Source(split, pixels, 8, (0, 0), balanced)


def test_unequal_classes_are_drawn_equally_often(tmp_path: Path) -> None:
    source = source_of(tmp_path / "set.npz", (20, 6, 3), balanced=True)
    assert source.unequal
    for epoch in range(3):
        rows = source.order(epoch).tolist()
        drawn = Counter(source.labels[rows].tolist())
        assert sorted(drawn.values()) == [9, 10, 10]
        assert len({row for row in rows if row < 20}) == drawn[0]  # of the largest class, none twice
        assert {row for row in rows if row >= 20} == set(range(20, 29))
    assert source.order(0).tolist() != source.order(1).tolist()


@pytest.mark.parametrize(("counts", "balanced"), [((20, 6, 3), False), ((10, 8, 9), True)])
def test_other_epochs_show_each_picture_once(tmp_path: Path, counts: tuple[int, ...], balanced: bool) -> None:
    source = source_of(tmp_path / "set.npz", counts, balanced)
    assert source.unequal == (counts == (20, 6, 3))
    assert sorted(source.order(0).tolist()) == list(range(sum(counts)))


def unequal_set(folder: Path) -> Path:
    """Many red pictures and few others, without labels; a validation part in equal numbers."""
    folder.mkdir()
    pack(folder / "photographs.npz", [0] * 26 + [1] * 3 + [2] * 3, labels=False)
    pack(folder / "val.npz", [0, 1, 2] * 4)
    write_classes(folder)
    return folder


@pytest.mark.parametrize("recipe", [SMALL, replace(SMALL, balance=0.0)])
def test_a_distillation_ends_with_balanced_heads(
    tmp_path: Path, teachers: str, untrained: str, monkeypatch: pytest.MonkeyPatch, recipe: Recipe
) -> None:
    kept: list[dict[str, torch.Tensor]] = []
    plain = Run.train

    def and_keep(run: Run) -> None:
        plain(run)
        kept.append({name: value.clone() for name, value in run.model.state_dict().items()})

    monkeypatch.setattr(Run, "train", and_keep)
    data = unequal_set(tmp_path / "set")
    options = Options((data,), tmp_path / "out", untrained, f"{teachers}:colour")
    train(options, recipe, torch.device("cpu"))
    written = load(str(tmp_path / "out")).model.state_dict()
    far = {name for name, value in kept[0].items() if (written[name] - value).abs().max() > 0.05 * value.abs().max() + 1e-3}
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    folded = recipe == SMALL
    assert far == (LAST if folded else set())
    assert ("taken out of the last layers' biases" in card) == folded
    assert ("--no-balance" in card) == (recipe.balance == 0)
    if folded:
        change = written["fc.bias"] - kept[0]["fc.bias"]
        assert change.argmin() == 0  # red, the most frequent
