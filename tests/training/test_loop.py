"""The loop: what is learnt, the schedule, and checkpoints that survive whatever happens."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from googlenet.errors import UserError
from googlenet.model.architecture import PAPER
from googlenet.model.network import GoogLeNet, HeadLogits
from googlenet.pictures.images import Preprocess
from googlenet.training.data import hold_out, read_split
from googlenet.training.last_layers import fit_last_layers
from googlenet.training.loop import PARTS, Run, learning_rate_at, loss_of
from googlenet.training.pictures import Material, Source, read_pixels
from googlenet.training.recipe import Phase, Recipe, parse_schedule
from googlenet.training.run import MEAN, STD
from googlenet.training.teachers import load_teacher

SMALL = Recipe(schedule=(Phase(32, 2),), batch_size=8, learning_rate=0.02)


@pytest.fixture
def run_of(data: Path, tmp_path: Path, cpu: torch.device) -> Callable[..., Run]:
    def made(name: str = "out", recipe: Recipe = SMALL, teacher: str | None = None, **identity: str) -> Run:
        torch.manual_seed(0)
        (tmp_path / name).mkdir(exist_ok=True)
        training, _ = hold_out(read_split(data, "train"), 0.02)
        split, pixels = read_pixels(training, 16, cpu, 2, False, data)
        material = Material([Source(split, pixels, recipe.batch_size, (recipe.seed, 0))], 3, cpu)
        known = None if teacher is None else load_teacher(teacher, cpu)
        preprocess = Preprocess(32, 32, MEAN, STD)
        path = tmp_path / name / "checkpoint.pt"
        return Run(GoogLeNet(PAPER, 3), material, preprocess, recipe, known, cpu, path, identity)

    return made


def test_learning_rate_rises_then_falls_to_zero() -> None:
    rates = [learning_rate_at(step / 100, 0.12) for step in range(1, 101)]
    assert rates[11] == 1
    assert rates[0] < rates[5] < rates[11]
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


def test_what_cannot_work_is_named() -> None:
    assert list(SMALL.mistakes()) == []
    bad = Recipe(parse_schedule("64:0,16:1,2048:1"), minutes=0, batch_size=0, learning_rate=-1)
    said = " ".join(map(str, bad.mistakes()))
    for each in ("64:0", "16:1", "2048:1", "--minutes 0", "--batch-size 0", "--learning-rate -1"):
        assert each in said
    assert len(list(Recipe((Phase(64, 1),), learning_rate=float("nan")).mistakes())) == 1


def test_an_epoch_shows_every_picture_once(run_of: Callable[..., Run]) -> None:
    source = run_of().material.sources[0]
    seen = torch.cat([source.rows(step) for step in range(69)])  # 69 pictures: eight epochs in 69 steps of 8
    for epoch in range(8):
        assert sorted(seen[69 * epoch : 69 * epoch + 69].tolist()) == list(range(69))
    assert seen[:69].tolist() != seen[69:138].tolist()


def test_labels_are_smoothed_and_mixed(run_of: Callable[..., Run]) -> None:
    run = run_of()
    batch = run.material.batch(0, 32, 0.5, False, run.recipe, None)
    assert batch.views.shape == (8, 3, 32, 32)
    assert 0 <= batch.views.min() <= batch.views.max() <= 1
    strongest = batch.views.mean(dim=(2, 3)).argmax(dim=1)  # the colour is the class
    assert batch.target.argmax(dim=1).tolist() == strongest.tolist()
    assert batch.target.max(dim=1).values.tolist() == pytest.approx([0.9 + 0.1 / 3] * 8)
    torch.manual_seed(1)
    mixed = run.material.batch(0, 32, 0.5, True, run.recipe, None).target
    assert mixed.sum(dim=1).tolist() == pytest.approx([1] * 8)


def test_pictures_are_mixed_in_the_first_half_of_the_run_alone(
    run_of: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(recipe=replace(SMALL, schedule=(Phase(32, 1),), mixed=1.0))
    told: list[bool] = []
    plain = run.material.batch
    monkeypatch.setattr(run.material, "batch", lambda *arguments: told.append(arguments[3]) or plain(*arguments))
    run.train()
    assert told == [True] * (run.steps // 2) + [False] * (run.steps - run.steps // 2)


def test_a_teachers_answer_and_the_label_make_the_target(run_of: Callable[..., Run], teachers: str) -> None:
    run = run_of(teacher=f"{teachers}:colour")
    batch = run.material.batch(0, 32, 0.5, False, replace(SMALL, label_boost=0.0), run.teacher)
    boosted = run.material.batch(0, 32, 0.5, False, replace(SMALL, label_boost=4.0), run.teacher)
    assert batch.target.argmax(dim=1).tolist() == boosted.target.argmax(dim=1).tolist()
    assert (boosted.target.max(dim=1).values > batch.target.max(dim=1).values).all()
    # logits that differ by the teacher's own 20 × mean, and 4 more for the known class, over the temperature 2
    torch.manual_seed(0)
    first = run.material.batch(0, 32, 1.0, False, replace(SMALL, label_boost=0.0), run.teacher).target.log()
    torch.manual_seed(0)
    second = run.material.batch(0, 32, 1.0, False, replace(SMALL, label_boost=4.0), run.teacher).target.log()
    raised = second - first
    assert (raised.max(dim=1).values - raised.min(dim=1).values).tolist() == pytest.approx([2.0] * 8, abs=1e-3)


def test_pictures_without_labels_are_learnt_from_a_teacher(
    data: Path, run_of: Callable[..., Run], teachers: str, cpu: torch.device
) -> None:
    run = run_of(recipe=replace(SMALL, schedule=(Phase(32, 4),), learning_rate=0.05), teacher=f"{teachers}:colour")
    source = run.material.sources[0]
    source.labels = torch.full_like(source.labels, -1)
    run.train()
    split, pixels = read_pixels(read_split(data, "val"), 16, cpu, 0, False, data)
    source = Source(split, pixels, 24, (1,))
    shown = Material([source], 3, cpu).batch(0, 32, 1.0, False, replace(SMALL, label_smoothing=0.0), None)
    with torch.no_grad():
        named = run.model.eval().heads((shown.views - run.mean) / run.std).main.argmax(dim=1)
    assert (named == shown.target.argmax(dim=1)).float().mean() > 0.6


def test_the_ridge_start_is_near_the_teacher(run_of: Callable[..., Run], teachers: str) -> None:
    run = run_of(recipe=replace(SMALL, schedule=(Phase(32, 40),)), teacher=f"{teachers}:colour")
    batch = run.material.batch(0, 32, 0.5, False, run.recipe, run.teacher)

    def distance() -> list[float]:
        run.model.eval()
        with torch.no_grad():
            losses = [torch.nn.functional.cross_entropy(h.float() / 2, batch.target).item() for h in run.heads(batch.views)]
        run.model.train()
        return losses

    before = distance()
    fit_last_layers(run)
    assert all(after < start - 0.05 for after, start in zip(distance(), before, strict=True))


def test_resuming_gives_what_an_unbroken_run_gives(run_of: Callable[..., Run]) -> None:
    """To the step: the checkpoint lies in the middle of an epoch."""
    recipe = replace(SMALL, schedule=(Phase(32, 1),))
    whole, first, second = run_of("whole", recipe), run_of("broken", recipe), run_of("broken", recipe)
    whole.train()
    for _ in range(3):
        first.learn(32)
    first.save()
    second.resume()
    assert second.step == 3
    second.train()
    assert second.step == whole.step == 8
    for a, b in zip(whole.model.state_dict().values(), second.model.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_checkpoint_of_another_run_or_a_broken_one_is_one_sentence(run_of: Callable[..., Run]) -> None:
    own = {"data": "a", "classes": "a", "start": "a"}
    run = run_of(**own)
    with pytest.raises(UserError, match="no checkpoint"):
        run.resume()
    run.save()
    for recipe, identity, said in (
        (replace(SMALL, learning_rate=0.5), own, "other settings"),
        (SMALL, own | {"data": "b"}, "other data"),
        (SMALL, own | {"classes": "b", "start": "b"}, "other classes and start"),
    ):
        with pytest.raises(UserError, match=said):
            run_of(recipe=recipe, **identity).resume()
    whole = run.path.read_bytes()
    torch.save({"step": 3}, run.path)
    for broken in (run.path.read_bytes(), whole[:100_000], whole[:100], b""):
        run.path.write_bytes(broken)
        with pytest.raises(UserError, match="is damaged; start anew"):
            run.resume()


def test_frozen_stages_keep_their_weights(run_of: Callable[..., Run]) -> None:
    """A step of everything, then one up to 3b frozen, whose BatchNorm statistics go on following the pictures."""
    run = run_of()
    after_3b = {"inception4a", "inception4b", "inception4c", "inception4d", "inception4e", "inception5a", "inception5b"}
    for stage, changing in ((None, {*PARTS, "aux1", "aux2", "fc"}), ("3b", {*after_3b, "aux1", "aux2", "fc"})):
        before = {name: value.clone() for name, value in run.model.state_dict().items()}
        run.freeze(stage)
        run.learn(32)
        changed = {name for name, value in run.model.state_dict().items() if not torch.equal(value, before[name])}
        assert {name.split(".")[0] for name in changed if name.endswith((".weight", ".bias"))} == changing
        assert {name.split(".")[0] for name in changed if name.endswith(".running_mean")} == {*PARTS, "aux1", "aux2"}


@pytest.mark.parametrize("minutes", [None, 0.4])
def test_the_schedule_is_followed_by_epochs_or_by_minutes(
    run_of: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, minutes: float | None
) -> None:
    """By a clock that moves one second a step: of 24 seconds, a third at 32 px."""
    seconds = [0.0]
    monkeypatch.setattr("googlenet.training.loop.time.monotonic", lambda: seconds[0])
    sizes: list[int] = []

    def learn(size: int) -> torch.Tensor:
        sizes.append(size)
        run.step += 1
        seconds[0] += 1
        return torch.zeros(())

    run = run_of(recipe=replace(SMALL, schedule=(Phase(32, 1), Phase(48, 2, "3a")), minutes=minutes))
    monkeypatch.setattr(run, "learn", learn)
    run.train()
    assert sizes == [32] * 8 + [48] * 16


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
def test_nothing_in_the_loop_waits_for_the_gpu(data: Path, tmp_path: Path, teachers: str) -> None:
    device = torch.device("cuda")
    split, pixels = read_pixels(read_split(data, "train"), 16, device, 2, False, data)
    assert pixels.pixels.device.type == "cuda"
    material = Material([Source(split, pixels, 8, (0, 0))], 3, device)
    teacher = load_teacher(f"{teachers}:colour", device)
    run = Run(GoogLeNet(PAPER, 3), material, Preprocess(32, 32, MEAN, STD), SMALL, teacher, device, tmp_path / "c.pt", {})
    run.learn(32)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(5):
            run.learn(32)
    finally:
        torch.cuda.set_sync_debug_mode("default")
