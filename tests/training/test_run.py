"""Whole runs, from the command line and from Python: what they leave, and how they end whatever happens."""

from __future__ import annotations

import csv
import itertools
import json
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from googlenet.checkpoints import load
from googlenet.cli import main
from googlenet.errors import UserError
from googlenet.model.architecture import HEADS
from googlenet.pictures.images import Preprocess
from googlenet.training import evaluate
from googlenet.training import run as runs
from googlenet.training.check import check
from googlenet.training.data import ClassName, read_split
from googlenet.training.recipe import Options, Phase, Recipe
from googlenet.training.run import MEAN, STD, begin, brought_to, train
from tests.helpers import ROOT
from tests.training.conftest import COLOURS, pack, write_classes

QUICK = Recipe(schedule=(Phase(32, 1),), batch_size=48, learning_rate=0.02)
FIVE_STEPS = replace(QUICK, batch_size=12, learning_rate=0.001)
WEIGHTS = ["README.md", "config.json", "model.safetensors"]


def contents(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def trained(data: Path, tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """From weights for other classes: new last layers are fitted, then all layers learn for five steps."""
    out = tmp_path_factory.mktemp("trained")
    train(Options((data,), out, tiny, input_size=48, workers=2), FIVE_STEPS, torch.device("cpu"))
    return out


def test_training_learns_and_leaves_a_folder_that_loads(data: Path, trained: Path, tiny: str) -> None:
    assert contents(trained) == WEIGHTS
    loaded = load(str(trained))
    assert loaded.config.labels == COLOURS
    assert loaded.config.preprocess.crop == 48
    assert loaded.config.metrics is not None
    assert loaded.config.metrics.top1["aux1"] > 0.6  # three colours: chance is a third
    assert loaded.config.metrics.unlikely_below is None  # three pictures were held out: too few to say
    assert loaded.config.temperatures == dict.fromkeys(HEADS, 1.0)
    card = (trained / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\n")
    assert f"googlenet train {data.name} --out FOLDER --init {Path(tiny).name} --schedule 32:1 --batch-size 12" in card
    assert str(data.parent) not in card


def test_the_cards_numbers_are_evaluates(data: Path, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(trained), str(data)]) == 0
    first, table, *_ = capsys.readouterr().out.split("\n\n")
    assert first == "24 pictures of 3 of 3 classes"
    assert table in (trained / "README.md").read_text(encoding="utf-8")


def test_evaluate_writes_the_records_of_the_odd_rows(
    data: Path, trained: Path, tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shutil.copytree(trained, tmp_path / "out")
    assert main(["evaluate", str(out), str(data), "--write"]) == 0
    assert capsys.readouterr().out.startswith("12 pictures of 3 of 3 classes\n")
    metrics = load(str(out)).config.metrics
    assert metrics is not None
    assert metrics.records is not None
    assert {head: sum(record.of) for head, record in metrics.records.items()} == dict.fromkeys(HEADS, 12)
    assert main(["evaluate", tiny, str(data), "--write"]) == 1
    assert "--write needs weights whose config.json has metrics" in capsys.readouterr().err


def test_evaluate_on_a_part_of_the_classes(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "classes.json").write_text('[{"wnid": "n03", "name": "blue"}, {"wnid": "n01", "name": "red"}]', encoding="utf-8")
    pack(tmp_path / "val.npz", [0, 0, 1, 1, 1])
    arguments = ["evaluate", str(trained), str(tmp_path / "val.npz"), "--workers", "0"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "5 pictures of 2 of 3 classes" in said
    assert "top-1 among the pictures' 2 classes" in said
    assert main([*arguments, "--rows", "odd"]) == 0
    assert "2 pictures of 2 of 3 classes" in capsys.readouterr().out
    assert main([*arguments, "--rows", "even"]) == 0
    chosen = json.loads(last_line(capsys.readouterr().out))
    assert chosen == {"temperatures": dict.fromkeys(HEADS, 1.0), "unlikely_below": None}  # three pictures are too few
    (tmp_path / "classes.json").write_text('[{"wnid": "a", "name": "cyan"}, {"wnid": "n01", "name": "red"}]', encoding="utf-8")
    assert main(arguments) == 1
    assert capsys.readouterr().err == "googlenet: The weights have 3 classes and lack 1 of the data's: cyan.\n"


def test_a_newcomers_folder(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Class folders alone: what `train` says first and last, and what its next command writes."""
    folder, out, told = data / "train", tmp_path / "my weights", tmp_path / "told.csv"
    arguments = ["train", str(folder), "--out", str(out), "--init", "scratch", "--schedule", "32:1", "--learning-rate", "1e-9"]
    assert main([*arguments, "--split", "0.25", "--batch-size", "48", "--no-balance"]) == 0
    first, *_, silent, holds, evaluate, serve = capsys.readouterr().out.splitlines()
    assert first == (
        "Measured on train, 18 held-out training pictures of 3 of 3 classes, 6 of each. "
        "So few mean little: one picture of 6 is 17% of its class."
    )
    assert silent.startswith("Classes without a right answer: ")
    assert silent.count(": 0 of 6") == 2  # nothing was learnt: all pictures are of one class
    card = (out / "README.md").read_text(encoding="utf-8")
    assert silent in card
    assert "license" not in card  # nobody has chosen one
    assert "--seed 0 --no-balance" in card
    assert holds == f"{out} holds the weights. Next:"
    assert shlex.split(evaluate) == ["googlenet", "evaluate", str(out), str(folder), "--split", "0.25"]
    assert shlex.split(serve) == ["googlenet", "serve", "--weights", str(out)]
    assert main([*shlex.split(evaluate)[1:], "--predictions", str(told), "--wrong", str(tmp_path / "wrong")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("18 pictures of 3 of 3 classes that `train --split 0.25` holds out; --split 1: all\n")
    assert said.count("| 0 of 6 | 0% |") == 2
    assert said.count("| 6 |") == 2  # the confusions
    rows = list(csv.DictReader(told.read_text(encoding="utf-8").splitlines()))
    assert [row["file"] for row in rows] == [str(picture) for picture in read_split(folder, "val", 0.25).pictures]
    assert [row["class"] for row in rows] == [wnid for wnid in ("n01", "n02", "n03") for _ in range(6)]
    assert sum(float(rows[0][f"probability{k}"]) for k in (1, 2, 3)) == pytest.approx(1, abs=1e-5)
    assert {row["top1"] for row in rows} == {"n01", "n02", "n03"} - {each.split(":")[0] for each in silent[32:].split("; ")}
    for options, sentence in (
        (["--wrong", str(folder / "mistakes")], "lies among the classes of"),
        (["--maps", "--predictions", str(told)], "--maps measures the maps alone"),
    ):
        assert main([*shlex.split(evaluate)[1:], *options]) == 1
        assert sentence in capsys.readouterr().err
    assert not (folder / "mistakes").exists()
    assert main(["train", str(folder), "--out", str(folder / "out")]) == 1
    assert "lies among the classes of" in capsys.readouterr().err
    assert not (folder / "out").exists()
    sheet = Image.open(tmp_path / "wrong" / "wrong.png")
    assert sheet.height > 12 // 2 * 150
    assert len(sheet.getcolors(1 << 24) or []) > 100


def test_train_alone_starts_from_the_built_in_weights_at_224_pixels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[Options, Recipe]] = []
    monkeypatch.setattr(runs, "train", lambda options, recipe, device: asked.append((options, recipe)))
    assert main(["train", "DATA", "--out", str(tmp_path)]) == 0
    assert main(["train", "DATA", "--out", str(tmp_path), "--init", "scratch"]) == 0
    (alone, recipe), (scratch, _) = asked
    assert (alone.init, scratch.init) == ("weights", None)
    assert recipe == Recipe()
    assert [phase.size for phase in recipe.schedule] == [224]


def test_learning_from_a_teacher_without_labels(
    data: Path, tmp_path: Path, teachers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures without labels and labelled ones in one run; the class frequencies are taken out at its end."""
    balanced: list[int] = []
    monkeypatch.setattr(runs, "take_out_prior", lambda run: balanced.append(run.step))
    pack(tmp_path / "photographs.npz", [0, 1, 2] * 10, labels=False)
    options = Options((tmp_path / "photographs.npz", data), tmp_path / "out", teacher=f"{teachers}:colour", shares=(0.75, 0.25))
    train(options, QUICK, torch.device("cpu"))
    assert load(str(tmp_path / "out")).config.labels == COLOURS
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "30 pictures of photographs.npz (no labels) and 69 pictures of" in card
    assert f"--teacher {teachers}:colour --shares 0.75,0.25" in card
    assert "the classes' frequencies were taken out of the last layers' biases (τ = 1)" in card
    assert balanced == [2]


def test_even_rows_choose_and_odd_rows_report_where_no_training_picture_has_a_label(
    tmp_path: Path, teachers: str, untrained: str
) -> None:
    (tmp_path / "set").mkdir()
    pack(tmp_path / "set" / "photographs.npz", [0, 1, 2] * 8, labels=False)
    pack(tmp_path / "set" / "val.npz", [0, 1, 2, 0, 1])
    write_classes(tmp_path / "set")
    options = Options((tmp_path / "set",), tmp_path / "out", untrained, f"{teachers}:colour")
    checked = check(options, QUICK, torch.device("cpu"))
    assert checked.exam.fit.labels == (0, 2, 1)
    assert checked.exam.measure.labels == (1, 0)
    assert checked.exam.title == "set, 2 validation pictures (odd rows)"
    assert checked.splits[0].labels == (-1,) * 24


def test_fine_tuning_keeps_all_but_the_last_layers_and_those_too_where_the_labels_are_the_same(untrained: str) -> None:
    old = load(untrained)
    for names in ("abcde", COLOURS):
        model, _, new = begin(old, [ClassName(name, name) for name in names])
        assert new == (names == "abcde")
        assert (model.fc.out_features, torch.equal(model.fc.weight[:3], old.model.fc.weight)) == (len(names), not new)
        assert torch.equal(model.conv1.conv.weight, old.model.conv1.conv.weight)


def test_another_size_keeps_as_much_of_the_picture() -> None:
    margin = Preprocess(235, 224, MEAN, STD)
    assert brought_to(margin, 224) == margin
    assert brought_to(margin, 112) == replace(margin, resize=118, crop=112)
    squashed = replace(margin, resize=(256, 256))
    assert brought_to(squashed, 112) == replace(squashed, resize=(128, 128), crop=112)


def test_everything_that_is_wrong_is_told_before_the_first_step(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = shutil.copytree(data, tmp_path / "data")
    for part, row in (("train", 2), ("train", 9), ("val", 4)):
        sorted((broken / part / "n02").iterdir())[row].write_bytes(b"no picture")
    (tmp_path / "text").write_text("not a folder", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    options = shlex.split("--schedule 16:1,64:0,2048:1 --batch-size 0 --input-size 16 --shares 1,0 --init nowhere --split 1")
    options += shlex.split("--minutes 0 --learning-rate nan")
    out = tmp_path / "text" / "out"
    assert main(["train", str(broken), str(tmp_path / "empty"), "--out", str(out), "--teacher", "nothing", *options]) == 1
    told = capsys.readouterr().err
    for said in (
        "16:1",
        "64:0",
        "2048:1",
        "--batch-size 0",
        "--learning-rate nan",
        "--minutes 0",
        "--input-size 16",
        "--split 1: it must be above 0 and below 1",
        "--shares needs a number above 0 for each of the 2 data sets",
        "There is no folder or file nowhere",
        "nothing is not the name of a teacher",
        f"The folder {out} cannot be made",
        f"{tmp_path / 'empty'} holds neither train/",
        "n02_000002.png",
        "n02_000009.png",
        "n02_000004.png",
    ):
        assert said in told, said


def one_class(folder: Path) -> None:
    for part, wnid in itertools.product(("train", "val"), ("n02", "n03")):
        shutil.rmtree(folder / part / wnid)


UNUSABLE: dict[str, Callable[[Path], object]] = {
    "one class": one_class,
    "lack 1 of the data's: n04": lambda folder: (folder / "val" / "n03").rename(folder / "val" / "n04"),
    "holds no class folders": lambda folder: [shutil.rmtree(path) for path in folder.glob("train/*")],
    "holds neither train/<class>/<picture>": lambda folder: (folder / "train").rename(folder / "training"),
}


@pytest.mark.parametrize("said", UNUSABLE)
def test_folders_that_cannot_be_learnt_from(data: Path, tmp_path: Path, said: str) -> None:
    folder = shutil.copytree(data, tmp_path / "data")
    UNUSABLE[said](folder)
    with pytest.raises(UserError, match=said):
        check(Options((folder,), tmp_path / "out"), QUICK, torch.device("cpu"))


def test_pictures_without_labels_need_a_teacher_and_something_to_measure_on(data: Path, tmp_path: Path, teachers: str) -> None:
    loose = (data / "train",)
    with pytest.raises(UserError, match="have no labels"):
        check(Options((data / "train" / "n01",), tmp_path / "out"), QUICK, torch.device("cpu"))
    with pytest.raises(UserError, match="knows 3 classes; they must be the data's"):
        check(Options(loose, tmp_path / "out", teacher=f"{teachers}:colour"), QUICK, torch.device("cpu"))


def test_what_is_there_is_replaced_on_request_alone_and_by_what_loads(
    data: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A finished run, a card that a person edited, a checkpoint: each is named. A run that ends badly keeps its checkpoint."""
    folder, out, cpu = shutil.copytree(data, tmp_path / "data"), shutil.copytree(trained, tmp_path / "out"), torch.device("cpu")
    (out / "checkpoint.pt").write_bytes(b"step 29")
    options, before = Options((folder,), out), {path.name: path.read_bytes() for path in out.iterdir()}
    held = r"already holds model\.safetensors, config\.json, README\.md; choose another folder, or add --overwrite"
    with pytest.raises(UserError, match=rf"(?s){held}.*checkpoint\.pt is the checkpoint of a run; add --resume"):
        train(options, QUICK, cpu)
    cut = sorted((folder / "train" / "n02").iterdir())[3]
    cut.write_bytes(cut.read_bytes()[:200])
    options = replace(options, overwrite=True)
    with pytest.raises(UserError, match=rf"(?s)--skip-broken.*{cut.name}"):
        train(options, QUICK, cpu)
    options = replace(options, skip_broken=True)
    monkeypatch.setattr(evaluate, "choose_temperature", lambda *arguments: 1.5e7)
    with pytest.raises(UserError, match=r"temperatures.* must be at most 100"):  # it could not be read again
        train(options, QUICK, cpu)
    assert "Left out 1 of 69 pictures" in capsys.readouterr().err
    assert {name: (out / name).read_bytes() for name in WEIGHTS} == {name: before[name] for name in WEIGHTS}
    monkeypatch.undo()
    options = replace(options, resume=True)
    write_classes(folder, ("green", "red", "blue"))
    with pytest.raises(UserError, match="other classes"):
        train(options, QUICK, cpu)
    shutil.copy(data / "classes.json", folder)
    first = folder / "train" / "n01" / "n01_000000.png"
    first.rename(tmp_path / "away.png")
    with pytest.raises(UserError, match="other data"):
        train(options, QUICK, cpu)
    (tmp_path / "away.png").rename(first)
    train(options, QUICK, cpu)  # nothing is learnt again
    assert contents(out) == WEIGHTS
    assert "in 1 steps" in (out / "README.md").read_text(encoding="utf-8")


def test_a_killed_run_that_is_resumed_gives_the_weights_of_an_unbroken_one(
    data: Path, trained: Path, tiny: str, tmp_path: Path
) -> None:
    """`kill -9` in the middle, while a checkpoint is written."""
    options = Options((data,), tmp_path / "out", tiny, input_size=48, workers=2)
    script = f"""
import os, signal, torch
from pathlib import PosixPath, WindowsPath
from googlenet.training import loop
from googlenet.training.recipe import Options, Phase, Recipe
from googlenet.training.run import train

def replace_or_die(part, path, replace=os.replace):
    if os.path.exists(path):
        os.kill(os.getpid(), signal.SIGKILL)
    replace(part, path)

torch.set_num_threads({torch.get_num_threads()})
loop._CHECKPOINT_EVERY = 0
os.replace = replace_or_die
train({options!r}, {FIVE_STEPS!r}, torch.device("cpu"))
"""
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, stderr=subprocess.PIPE).returncode == -signal.SIGKILL
    assert torch.load(options.out / "checkpoint.pt", weights_only=True)["step"] == 1
    train(replace(options, resume=True), FIVE_STEPS, torch.device("cpu"))
    assert contents(options.out) == WEIGHTS
    assert (options.out / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
