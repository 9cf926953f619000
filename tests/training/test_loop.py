"""The loop: what is learnt, the schedule, checkpoints that survive whatever happens, and the last layers before and after it."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from googlenet.errors import UserError
from googlenet.model.network import HeadLogits
from googlenet.pictures.images import Preprocess
from googlenet.training.data import read_split
from googlenet.training.last_layers import fit_last_layers, has_prior, put_prior_into_loss, take_out_prior
from googlenet.training.loop import PARTS, Run, learning_rate_at, loss_of
from googlenet.training.pictures import Batches, Material, read_pixels
from googlenet.training.recipe import Phase, Recipe, parse_schedule
from googlenet.training.run import MEAN, STD
from googlenet.training.teachers import load_teacher
from tests.helpers import random_model

SMALL = Recipe(schedule=(Phase(32, 2),), batch_size=8, learning_rate=0.02)
LAST = {"fc.bias", "aux1.fc2.bias", "aux2.fc2.bias"}


@pytest.fixture
def run_of(data: Path, tmp_path: Path, cpu: torch.device) -> Callable[..., Run]:
    def made(recipe: Recipe = SMALL, teacher: str | None = None, device: torch.device = cpu, **identity: str) -> Run:
        data_set = Batches(*read_pixels(read_split(data, "train"), 16, device, 2, False, data), recipe.batch_size, (0, 0))
        known = None if teacher is None else load_teacher(teacher, device)
        preprocess, path = Preprocess(32, 32, MEAN, STD), tmp_path / "checkpoint.pt"
        return Run(random_model(classes=3), Material([data_set], 3, device), preprocess, recipe, known, device, path, identity)

    return made


def test_learning_rate_rises_then_falls_to_zero() -> None:
    rates = [learning_rate_at(step / 100, 0.12) for step in range(1, 101)]
    assert rates[11] == 1
    assert rates[:12] == sorted(rates[:12])
    assert rates[11:] == sorted(rates[11:], reverse=True)
    assert rates[-1] == pytest.approx(0, abs=1e-9)


def test_the_auxiliary_losses_weigh_three_tenths() -> None:
    logits, target = torch.randn(4, 3), torch.eye(3)[[0, 1, 2, 0]]
    one = torch.nn.functional.cross_entropy(logits, target)
    assert loss_of(HeadLogits(logits, logits, logits), target) == pytest.approx(1.6 * one.item())


def test_schedules() -> None:
    assert parse_schedule("64:8,96:5:3a") == (Phase(64, 8), Phase(96, 5, "3a"))
    assert ",".join(map(str, parse_schedule("64:8,96:5:3a"))) == "64:8,96:5:3a"
    for text in ("64", "64:8:", "64:8:3z", "64:8;96:5", "-64:8", "64:8,", "", "٦٤:8", "64:8.5"):
        with pytest.raises(UserError, match="is not SIZE:EPOCHS"):
            parse_schedule(text)


def test_pictures_are_mixed_in_the_first_half_of_the_run_alone(
    run_of: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(replace(SMALL, mixed=1.0))
    told: list[bool] = []

    def batch(*arguments: Any) -> tuple[torch.Tensor, torch.Tensor]:
        told.append(arguments[3])
        return torch.rand(2, 3, 32, 32), torch.eye(3)[:2]

    monkeypatch.setattr(run.material, "batch", batch)
    for step in (0, run.steps // 2 - 1, run.steps // 2, run.steps - 1):
        run.step = step
        run.learn(32)
    assert told == [True, True, False, False]


def test_learning_lowers_the_loss(run_of: Callable[..., Run]) -> None:
    run = run_of(replace(SMALL, batch_size=24, learning_rate=0.05, warm_up=0.01, mixed=0.0))
    views, target = run.material.batch(0, 32, 1.0, False, run.recipe, None)

    def loss() -> float:
        with torch.no_grad():
            return loss_of(run.heads(views), target).item()

    before = loss()
    for _ in range(6):
        run.learn(32)
    assert loss() < before - 0.15  # from about 1.83 to 1.46


def test_the_ridge_start_is_near_the_teacher(run_of: Callable[..., Run], teachers: str) -> None:
    run = run_of(replace(SMALL, batch_size=24), f"{teachers}:colour")
    views, target = run.material.batch(0, 32, 0.5, False, run.recipe, run.teacher)

    def distance() -> list[float]:
        run.model.eval()
        with torch.no_grad():
            return [torch.nn.functional.cross_entropy(head.float() / 2, target).item() for head in run.heads(views)]

    before = distance()
    fit_last_layers(run)
    assert run.model.training
    assert all(after < start - 0.05 for after, start in zip(distance(), before, strict=True))


def test_a_checkpoint_of_another_run_or_a_broken_one_is_one_sentence(run_of: Callable[..., Run]) -> None:
    own = {"data": "a", "classes": "a", "start": "a"}
    run = run_of(**own)
    with pytest.raises(UserError, match="no checkpoint"):
        run.resume()
    run.save()
    for recipe, identity, said in (
        (replace(SMALL, learning_rate=0.5), own, "other settings"),
        (SMALL, own | {"classes": "b", "start": "b"}, "other classes and start"),
    ):
        with pytest.raises(UserError, match=said):
            run_of(recipe, **identity).resume()
    whole = run.path.read_bytes()
    torch.save({"step": 3}, run.path)
    for broken in (run.path.read_bytes(), whole[:100_000], whole[:100], b""):
        run.path.write_bytes(broken)
        with pytest.raises(UserError, match="is damaged; start anew"):
            run.resume()


def test_frozen_stages_keep_their_weights(run_of: Callable[..., Run]) -> None:
    """A step of everything, then one up to 3b frozen, whose BatchNorm statistics go on following the pictures."""
    run = run_of()
    heads, after_3b = {"aux1", "aux2", "fc"}, set(PARTS[PARTS.index("inception4a") :])
    for stage, changing in ((None, {*PARTS, *heads}), ("3b", after_3b | heads)):
        before = {name: value.clone() for name, value in run.model.state_dict().items()}
        run.freeze(stage)
        run.learn(32)
        changed = {name for name, value in run.model.state_dict().items() if not torch.equal(value, before[name])}
        assert {name.split(".")[0] for name in changed if name.endswith((".weight", ".bias"))} == changing
        assert {name.split(".")[0] for name in changed if name.endswith(".running_mean")} == {*PARTS, "aux1", "aux2"}


@pytest.mark.parametrize("minutes", [None, 0.45])
def test_the_schedule_is_followed_by_epochs_or_by_minutes(
    run_of: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, minutes: float | None
) -> None:
    """By a clock that moves one second a step: of 27 seconds, a third at 32 px."""
    seconds = [0.0]
    monkeypatch.setattr("googlenet.training.loop.time.monotonic", lambda: seconds[0])
    sizes: list[int] = []

    def learn(size: int) -> torch.Tensor:
        sizes.append(size)
        run.step += 1
        seconds[0] += 1
        return torch.zeros(())

    run = run_of(replace(SMALL, schedule=(Phase(32, 1), Phase(48, 2, "3a")), minutes=minutes))
    monkeypatch.setattr(run, "learn", learn)
    run.train()
    assert sizes == [32] * 9 + [48] * 18


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM that a program can answer")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_checkpoint_and_a_sentence(
    run_of: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    run, before = run_of(), signal.getsignal(number)

    def interrupted(size: int) -> torch.Tensor:
        signal.raise_signal(number)
        run.step += 1
        return torch.zeros(())

    monkeypatch.setattr(run, "learn", interrupted)
    with pytest.raises(UserError, match="Stopped at step 1; the same command with --resume goes on from there"):
        run.train()
    assert [path.name for path in run.path.parent.iterdir()] == ["checkpoint.pt"]
    assert signal.getsignal(number) == before


def test_a_loss_that_is_no_number_ends_the_run_before_it_is_saved(
    run_of: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of()
    monkeypatch.setattr(run, "learn", lambda size: torch.tensor(float("nan")))
    monkeypatch.setattr("googlenet.training.loop.LOOK_EVERY", 1)
    with pytest.raises(UserError, match="no longer a number"):
        run.train()
    assert not run.path.exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full, a device that is always full")
def test_a_full_disk_is_told(run_of: Callable[..., Run]) -> None:
    run = run_of()
    run.path.with_suffix(".part").symlink_to("/dev/full")
    with pytest.raises(UserError, match="free some disk space"):
        run.save()
    assert list(run.path.parent.iterdir()) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_nothing_in_the_loop_waits_for_the_gpu(run_of: Callable[..., Run], teachers: str) -> None:
    run = run_of(SMALL, f"{teachers}:colour", torch.device("cuda"))
    assert run.material.data_sets[0].pixels.device.type == "cuda"
    run.learn(32)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(5):
            run.learn(32)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_the_prior_leaves_the_heads_after_a_distillation(run_of: Callable[..., Run], teachers: str) -> None:
    assert not has_prior(run_of(teacher=None))  # as many pictures of each class
    assert not has_prior(run_of(replace(SMALL, balance=0.0), f"{teachers}:colour"))
    run = run_of(replace(SMALL, batch_size=24, balance=0.5), f"{teachers}:colour")
    assert has_prior(run)
    with torch.no_grad():
        run.model.fc.bias += torch.tensor([1.0, 0, 0])  # red is the most frequent answer
        views = torch.cat([view for step in range(3) for view in run.material.middle_views(step, 32)])
        prior = run.model.eval().heads((views - run.mean) / run.std).main.softmax(dim=1).mean(dim=0)
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    take_out_prior(run)
    changes = {name: value - before[name] for name, value in run.model.state_dict().items()}
    assert {name for name, change in changes.items() if change.any()} == LAST
    assert max(abs(changes[name].mean().item()) for name in LAST) < 1e-6
    red, green, _ = changes["fc.bias"].tolist()
    assert red - green == pytest.approx(-0.5 * math.log(prior[0] / prior[1]), rel=0.05)


def test_with_the_prior_in_the_loss_the_logits_without_it_are_balanced(run_of: Callable[..., Run], teachers: str) -> None:
    """The loss is lowest where logits + log prior are the teacher's, and nothing is taken out at the end."""
    run = run_of(SMALL, f"{teachers}:colour")
    assert run.teacher is not None
    put_prior_into_loss(run, run.teacher)
    assert run.log_prior is not None
    assert not has_prior(run)
    teacher = torch.tensor([[2.0, 1.0, 0.0]])
    logits = (teacher - run.log_prior).requires_grad_()
    loss_of(HeadLogits(logits, logits, logits), (teacher / 2).softmax(dim=1), 2.0, run.log_prior).backward()
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-6
