"""The trainer on small pictures of its own making: it learns, it resumes exactly, and it ends well whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from googlenet.architecture import HEADS, PAPER
from googlenet.checkpoints import load
from googlenet.checkpoints.folder import write_folder
from googlenet.config import ModelConfig
from googlenet.errors import UserError
from googlenet.images import Preprocess
from googlenet.model import GoogLeNet, HeadLogits
from googlenet.training.data import MEAN, STD, Images, Teacher, augment, hold_out, normalise, read_split
from googlenet.training.loop import PARTS, Phase, Recipe, Run, learning_rate_at, loss_of, targets
from googlenet.training.train import begin, train
from tests.helpers import ROOT, random_model

CPU = torch.device("cpu")
SMALL = Recipe(schedule=(Phase(32, 2),), batch_size=8, learning_rate=0.02)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of 16×16 pictures that differ in colour: 24 images each to learn from, 8 to measure on."""
    folder = tmp_path_factory.mktemp("colours")
    generator = np.random.default_rng(0)
    serial = 0
    for part, count in (("train", 24), ("val", 8)):
        for channel, name in enumerate(("n01", "n02", "n03")):
            (folder / part / name).mkdir(parents=True)
            for _ in range(count):
                pixels = generator.integers(0, 100, (16, 16, 3), np.uint8)
                pixels[..., channel] += 150
                Image.fromarray(pixels).save(folder / part / name / f"{name}_{serial:06d}.png")
                serial += 1
    (folder / "classes.json").write_text(
        json.dumps([{"wnid": f"n0{i + 1}", "name": n} for i, n in enumerate(("red", "green", "blue"))])
    )
    return folder


def run_of(data: Path, out: Path, recipe: Recipe = SMALL) -> Run:
    torch.manual_seed(0)
    out.mkdir(exist_ok=True)
    training, _ = hold_out(read_split(data, "train"))
    return Run(GoogLeNet(PAPER, 3), training, Preprocess(32, 32, MEAN, STD), recipe, None, CPU, out)


def test_names_and_held_out_images(data: Path) -> None:
    split = read_split(data, "train")
    assert split.names == ("red", "green", "blue")
    training, held_out = hold_out(split)
    assert len(held_out.paths) == 1  # 2 % of 72
    assert sorted(training.paths + held_out.paths) == sorted(split.paths)
    assert hold_out(split) == (training, held_out)


def test_augmentation_and_normalisation(data: Path) -> None:
    images = Images(read_split(data, "train"), augment(48, 0.35))
    batch = images[0]
    assert not isinstance(batch, UserError)
    assert batch.images.shape == (3, 48, 48)
    assert batch.images.dtype == torch.uint8
    grey = torch.full((1, 3, 4, 4), 255, dtype=torch.uint8)
    white = normalise(grey, Preprocess(4, 4, MEAN, STD), CPU)
    assert white[0, :, 0, 0].tolist() == pytest.approx([(1 - m) / s for m, s in zip(MEAN, STD, strict=True)], rel=1e-5)


def test_learning_rate_rises_then_falls_to_zero() -> None:
    rates = [learning_rate_at(step, 100, 0.12) for step in range(100)]
    assert rates[11] == 1
    assert rates[0] < rates[5] < rates[11]
    assert rates[11:] == sorted(rates[11:], reverse=True)
    assert rates[-1] < 0.001


def test_the_auxiliary_losses_weigh_three_tenths() -> None:
    logits, target = torch.randn(4, 3), torch.eye(3)[[0, 1, 2, 0]]
    one = torch.nn.functional.cross_entropy(logits, target)
    assert loss_of(HeadLogits(logits, logits, logits), target) == pytest.approx(1.6 * one.item())


def test_a_teachers_answers_are_mixed_with_the_labels(data: Path, tmp_path: Path) -> None:
    index = np.tile(np.array([[1, 2]], np.uint8), (96, 1))
    logprob = np.log(np.tile(np.array([[0.6, 0.3]], np.float16), (96, 1)))
    np.savez(tmp_path / "teacher.npz", index=index, logprob=logprob)
    teacher = Teacher.read(tmp_path / "teacher.npz", read_split(data, "train"))
    answer = teacher.answers(torch.tensor([5]), 3)[0]
    assert answer.tolist() == pytest.approx([0.1 / 3, 0.6 + 0.1 / 3, 0.3 + 0.1 / 3], abs=1e-3)
    mixed = targets(torch.tensor([0]), torch.tensor([5]), 3, replace(SMALL, teacher_weight=0.5), teacher)[0]
    assert mixed.tolist() == pytest.approx((answer / 2 + torch.tensor([0.5, 0, 0])).tolist(), abs=1e-6)
    np.savez(tmp_path / "short.npz", index=index[:3], logprob=logprob[:3])
    with pytest.raises(UserError, match="does not fit these images"):
        Teacher.read(tmp_path / "short.npz", read_split(data, "train"))
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(UserError, match="no teacher's file"):
        Teacher.read(tmp_path / "text.npz", read_split(data, "train"))


def test_images_are_mixed_in_the_first_half_of_the_run_alone(data: Path, tmp_path: Path) -> None:
    run = run_of(data, tmp_path / "out", replace(SMALL, mixed=1.0))
    seen: list[torch.Tensor] = []
    run.model.register_forward_pre_hook(lambda _model, inputs: seen.append(inputs[0]))
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    plain = normalise(images, run.preprocess, CPU)
    kinds = set()
    for seed in range(12):
        torch.manual_seed(seed)
        run.step = 0
        run.learn(images, torch.arange(8) % 3, torch.zeros(8, dtype=torch.int64))
        # what was added to each image, as a share of its difference to the one before
        share = ((seen[-1] - plain) / (plain.roll(1, 0) - plain))[plain.roll(1, 0) != plain]
        cut = bool(torch.minimum(share.abs(), (share - 1).abs()).max() < 1e-3)
        assert 0 < share.mean() < 1
        assert cut or share.std() < 1e-3
        kinds.add(cut)
    assert kinds == {True, False}
    run.step = run.steps // 2
    run.learn(images, torch.arange(8) % 3, torch.zeros(8, dtype=torch.int64))
    assert torch.equal(seen[-1], plain)


def test_training_learns_and_leaves_a_folder_that_loads(data: Path, tmp_path: Path) -> None:
    recipe = replace(SMALL, schedule=(Phase(32, 10),))
    train(data, tmp_path / "out", recipe, init=None, teacher=None, input_size=48, resume=False, device=CPU)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["README.md", "config.json", "model.safetensors"]
    loaded = load(str(tmp_path / "out"))
    assert loaded.config.labels == ("red", "green", "blue")
    assert loaded.config.preprocess.crop == 48
    assert loaded.config.metrics is not None
    assert loaded.config.metrics.top1["main"] > 0.6  # three colours: chance is a third
    assert set(loaded.config.temperatures or {}) == set(HEADS)
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.startswith("---\n")
    assert f"| main | {loaded.config.metrics.top1['main']:.2%} |" in card
    assert "- from scratch: `--schedule 32:10`; batches of 8" in card
    evaluate = [sys.executable, "-m", "googlenet", "evaluate", str(tmp_path / "out"), str(data)]
    printed = subprocess.run(evaluate, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert printed.strip() in card  # the card's numbers are evaluate's


def test_fine_tuning_makes_the_linear_layers_anew_where_labels_differ(data: Path, tmp_path: Path) -> None:
    model = random_model(classes=5)
    config = ModelConfig(PAPER, tuple("abcde"), Preprocess(64, 64, MEAN, STD), None, None)
    write_folder(model, config, tmp_path / "old", card="")
    torch.manual_seed(1)
    ours, preprocess = begin(tmp_path / "old", ("red", "green", "blue"))
    assert preprocess.mean == pytest.approx(MEAN)
    assert ours.fc.out_features == 3
    assert (ours.conv1.conv.weight - model.conv1.conv.weight).abs().max() < 1e-3  # half precision on disk
    same, _ = begin(tmp_path / "old", tuple("abcde"))
    assert (same.fc.weight - model.fc.weight).abs().max() < 1e-3


def test_resuming_gives_what_an_unbroken_run_gives(data: Path, tmp_path: Path) -> None:
    whole = run_of(data, tmp_path / "whole")
    whole.train()
    first = run_of(data, tmp_path / "broken")
    first.epoch(0)
    first.save()
    second = run_of(data, tmp_path / "broken")
    second.resume()
    second.train()
    assert second.step == whole.step
    for a, b in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)
    other = run_of(data, tmp_path / "broken", replace(SMALL, learning_rate=0.5))
    with pytest.raises(UserError, match="other settings"):
        other.resume()
    with pytest.raises(UserError, match="no checkpoint"):
        run_of(data, tmp_path / "none").resume()


def test_frozen_stages_keep_their_weights(data: Path, tmp_path: Path) -> None:
    """An epoch of everything, then one up to 3b frozen, whose BatchNorm statistics go on following the pictures."""
    run = run_of(data, tmp_path / "out", replace(SMALL, schedule=(Phase(32, 1), Phase(32, 1, "3b"))))
    after_3b = {"inception4a", "inception4b", "inception4c", "inception4d", "inception4e", "inception5a", "inception5b"}
    for epoch, changing in enumerate(({*PARTS, "aux1", "aux2", "fc"}, {*after_3b, "aux1", "aux2", "fc"})):
        before = {name: value.clone() for name, value in run.model.state_dict().items()}
        run.epoch(epoch)
        changed = {name for name, value in run.model.state_dict().items() if not torch.equal(value, before[name])}
        assert {name.split(".")[0] for name in changed if name.endswith((".weight", ".bias"))} == changing
        assert {name.split(".")[0] for name in changed if name.endswith(".running_mean")} == {*PARTS, "aux1", "aux2"}


def command(data: Path, out: Path, *more: str) -> list[str]:
    arguments = ["train", str(data), "--out", str(out), "--schedule", "32:2", "--batch-size", "8", *more]
    return [sys.executable, "-m", "googlenet", *arguments]


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


def copy_of(data: Path, folder: Path) -> Path:
    for source in data.rglob("*"):
        target = folder / source.relative_to(data)
        if source.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    return folder


def test_a_truncated_picture_is_named(data: Path, tmp_path: Path) -> None:
    broken = copy_of(data, tmp_path / "data")
    victim = sorted((broken / "train" / "n02").iterdir())[3]
    victim.write_bytes(victim.read_bytes()[:60])
    done = subprocess.run(command(broken, tmp_path / "out"), capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert last_line(done.stderr).startswith(f"googlenet: {victim} cannot be read as a picture")
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_an_empty_class_is_named(data: Path, tmp_path: Path) -> None:
    broken = copy_of(data, tmp_path / "data")
    (broken / "train" / "n04").mkdir()
    with pytest.raises(UserError, match=r"class without images.*n04"):
        read_split(broken, "train")
    with pytest.raises(UserError, match="is no folder"):
        read_split(tmp_path / "nowhere", "train")


def test_ctrl_c_leaves_a_checkpoint_and_a_sentence(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(
        command(data, out, "--schedule", "64:500"),
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # background jobs of a shell ignore it
    )
    deadline = time.monotonic() + 120
    while not (out / "checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "with --resume goes on from there." in last_line(stderr)
    assert [p.name for p in out.iterdir()] == ["checkpoint.pt"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full, a device that is always full")
def test_a_full_disk_is_told(data: Path, tmp_path: Path) -> None:
    run = run_of(data, tmp_path / "out")
    run.path.with_suffix(".part").symlink_to("/dev/full")
    with pytest.raises(UserError, match="free some disk space"):
        run.save()
    assert list((tmp_path / "out").iterdir()) == []
