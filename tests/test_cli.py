"""The command line on the built-in weights: JSON on stdout and nothing else, one sentence for each mistake."""

from __future__ import annotations

import argparse
import io
import json
import ntpath
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import gradio.media
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from googlenet.checkpoints import LoadedModel, save
from googlenet.cli import main
from googlenet.model.architecture import STAGES, TORCHVISION
from googlenet.pictures.images import Preprocess
from tests.helpers import ROOT, explainer_of, random_image, random_model

LION = gradio.media.get_image("lion.jpg")


def test_explain_prints_one_object_a_picture(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", LION, gradio.media.get_image("cheetah.jpg"), "--device", "cpu"]) == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["image"] == LION
    assert second["heads"]["main"]
    assert first["weights"]["sha256"]
    assert first["heads"]["main"][0]["label"] == "lion"  # the built-in weights know their example


def test_out_gets_overlays_sheet_and_grids(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["explain", LION, "--head", "aux2", "--target", "lion", "--contrast", "cougar", "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["question"]["contrast"]["label"] == "cougar"
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {f"lion-{stage}.png" for stage in STAGES[:6]} | {"lion-sheet.png", "lion.npz"}
    with Image.open(tmp_path / "out" / "lion-4c.png") as overlay, Image.open(LION) as picture:
        assert overlay.size == picture.size
    with np.load(tmp_path / "out" / "lion.npz") as file:
        names = {name for name in file.files if not name.startswith("question")}
        assert names == {*STAGES[:6], *(f"{stage}_branches" for stage in STAGES[:6]), "seen", "size"}


def test_folders_and_a_bad_file_among_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    for name in ("b.png", "a.jpg", "deep/a.jpg"):
        random_image(80, 60).save(folder / name)
    (folder / "c.jpg").write_text("no picture")
    (folder / "notes.txt").write_text("not asked for")
    assert main(["explain", str(folder), "--out", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    found = [Path(json.loads(line)["image"]).relative_to(folder).as_posix() for line in captured.out.splitlines()]
    assert found == ["a.jpg", "b.png", "deep/a.jpg"]
    assert "c.jpg is not a picture that can be read" in captured.err
    assert (tmp_path / "out" / "deep" / "a-5b.png").exists()


def test_no_command_compares_paths_of_two_drives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated: on Windows a path on C: has no path relative to one on D:, and none in common with it."""

    def refuse(*_paths: object) -> str:
        return ntpath.relpath("C:\\pictures", "D:\\out")

    with pytest.raises(ValueError, match="mount"):
        refuse()
    model = random_model()
    explainer = explainer_of(model, Preprocess(64, 64, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
    save(LoadedModel(model, explainer.config, explainer.provenance), tmp_path / "tiny")
    random_image(64, 64).save(tmp_path / "a.png")
    monkeypatch.setattr(os.path, "relpath", refuse)
    monkeypatch.setattr(os.path, "commonpath", refuse)
    weights = str(tmp_path / "tiny")
    for arguments in (
        ["explain", str(tmp_path), "--weights", weights, "--out", str(tmp_path / "out"), "--device", "cpu"],
        ["import", weights, "--out", str(tmp_path / "imported")],
        ["deploy", "user/space", "--weights", "user/weights", "--dry-run"],
    ):
        assert main(arguments) == 0


def test_a_folder_with_nothing_recognised_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.heic").write_bytes(b"ftypheic")
    assert main(["explain", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert "holds no pictures of a known kind, only 1 × .heic" in captured.err


def test_a_parquet_table(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    assert main(["explain", LION, str(tmp_path / "bad.jpg"), "--format", "parquet", "--device", "cpu"]) == 1
    good, bad = pq.read_table(io.BytesIO(capsysbinary.readouterr().out)).to_pylist()
    assert good["heads"]["main"][0]["label"] == "lion"
    assert "bad.jpg is not a picture" in bad["error"]


def test_two_pictures_of_one_name_are_refused_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        random_image(64, 64).save(tmp_path / folder / "a.png")
    assert main(["explain", str(tmp_path / "x" / "a.png"), str(tmp_path / "y" / "a.png"), "--out", str(tmp_path / "out")]) == 1
    assert "Two pictures would be written as" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["explain", LION, "--target", "lyon"], "No class is called 'lyon'; did you mean lynx, lion"),
        (["explain", LION, "--weights", "/no/where"], "There is no folder or file /no/where"),
        (["evaluate", str(ROOT / "weights"), "/no/where"], "holds neither"),
        (["train", "/no/where", "--out", "/tmp/never"], "holds neither"),
        (["import", "/no/where", "--out", "/tmp/never"], "There is no folder or file /no/where"),
        (["explain", "https://a.org/b.jpg"], "https://a.org/b.jpg is not a file; save the picture there and give its path."),
        (["explain", LION, "--out", LION], "cannot be made: a file has that name."),
        (["explain", LION, "--only", "sheet"], "add --out"),
        (["explain", LION, "--contrast", "lion"], "lion.jpg: the main head's top class is lion, the contrast itself"),
    ],
)
def test_mistakes_get_one_sentence(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("googlenet: ")
    assert sentence in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["explan", LION], "There is no explan; did you mean explain?"),
        (["xyzzy"], "There is no xyzzy; see googlenet --help."),
        (["explain", LION, "--taget=lion"], "There is no --taget; did you mean --target?"),
        (["train", "data", "--oot", "x"], "There is no --oot; did you mean --out?"),
        (["serve", "--xyzzy"], "There is no --xyzzy; see googlenet serve --help."),
    ],
)
def test_a_misspelt_command_or_option_is_told(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert capsys.readouterr() == ("", f"googlenet: {sentence}\n")


def test_the_beginning_of_an_option_is_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "--out", str(tmp_path), "--norm", "half", "--", "--no-such-file"]) == 1
    assert "no folder or file --no-such-file" in capsys.readouterr().err


def test_a_class_may_be_named_by_its_wordnet_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", LION, "--target", "n02129165", "--contrast", "n02125311", "--device", "cpu"]) == 0
    question = json.loads(capsys.readouterr().out)["question"]
    assert (question["target"]["label"], question["contrast"]["label"]) == ("lion", "cougar")


def test_a_picture_on_stdin(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "googlenet", "explain", "-", "--format", "csv", "--out", str(tmp_path), "--only", "sheet"]
    done = subprocess.run(command, input=Path(LION).read_bytes(), capture_output=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    header, row = done.stdout.decode().splitlines()
    assert header.startswith("image,head,target")
    assert row.startswith("-,main,lion,")
    assert [path.name for path in tmp_path.iterdir()] == ["stdin-sheet.png"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full disk to write to")
@pytest.mark.parametrize("kind", ["json", "csv", "parquet"])
def test_a_full_disk_is_told(kind: str) -> None:
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "googlenet", "explain", LION, "--format", kind]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (1, "googlenet: The results cannot be written: the disk is full.\n")


def test_serve_hands_its_options_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option wins over its variable, as `deploy` sets them on a Space."""
    asked: list[Any] = []
    monkeypatch.setattr("googlenet.ui.server.serve", lambda *_, **given: asked.append(given))
    monkeypatch.setenv("GOOGLENET_TITLE", "Our pets")
    monkeypatch.setenv("GOOGLENET_EXAMPLES", "examples")
    assert main(["serve"]) == 0
    assert main(["serve", "--title", "Cats", "--examples", "cats", "--labels", "names.txt"]) == 0
    assert asked == [
        {"title": "Our pets", "examples": "examples"},
        {"title": "Cats", "examples": "cats", "labels": "names.txt"},
    ]


def test_a_real_process_prints_json_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "googlenet", "explain", LION], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["stages"][8]["name"] == "5b"


def test_json_is_utf8_in_any_locale_and_for_any_file_name(tmp_path: Path) -> None:
    """`caf\\xe9.jpg` is a name in Latin-1 bytes, which Linux allows; JSON gives it back."""
    names = ["写真.jpg"]
    if sys.platform == "linux":
        names.append(os.fsdecode(b"caf\xe9.jpg"))
    for name in names:
        shutil.copy(LION, tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-m", "googlenet", "explain", *(str(tmp_path / name) for name in names)],
        capture_output=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONIOENCODING": "cp1252"},
    )
    assert done.returncode == 0, done.stderr
    found = [Path(json.loads(line)["image"]).name for line in done.stdout.decode("utf-8").splitlines()]
    assert found == names


def test_a_reader_that_leaves_ends_the_command_without_a_traceback() -> None:
    """`googlenet explain … | head -1`: status 141, as of a program that SIGPIPE ended."""
    command = [sys.executable, "-m", "googlenet", "explain", *[LION] * 20]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read().decode()
        assert process.wait(60) == 141
    assert "Traceback" not in said
    assert "Broken" not in said


def test_ctrl_c_ends_the_command_without_a_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(options: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("googlenet.cli.run_import", interrupted)
    assert main(["import", "a/b", "--out", "c"]) == 130
    assert capsys.readouterr() == ("", "")


def test_the_variable_names_the_weights(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("GOOGLENET_WEIGHTS", "/no/such/weights")
    assert main(["explain", LION]) == 1
    assert "/no/such/weights" in capsys.readouterr().err


def test_import_writes_a_folder_that_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", str(ROOT / "weights"), "--out", str(tmp_path / "copy")]) == 0
    assert "1000 classes, trained heads: aux1, aux2 and main" in capsys.readouterr().out
    assert main(["explain", LION, "--weights", str(tmp_path / "copy")]) == 0


def test_a_cluster_needs_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", LION, "--cluster"]) == 1
    assert "name its folder with --out" in capsys.readouterr().err


def test_an_assumed_normalisation_is_said_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net, out, chosen = (str(tmp_path / name) for name in ("net.pth", "out", "chosen"))
    torch.save(random_model(TORCHVISION, classes=3).state_dict(), net)

    def said(*command: str) -> str:
        assert main(command) == 0
        return capsys.readouterr().err

    for command in (["explain", LION, "--weights", net], ["import", net, "--out", out]):
        assert "net.pth does not say how pictures were normalised; half is assumed" in said(*command)
    assert said("import", net, "--out", chosen, "--normalise", "imagenet") == ""
    assert said("explain", LION, "--weights", chosen) == ""  # its config.json says it


def test_channels_in_both_formats(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["explain", LION, "--channels", "--head", "aux1", "--device", "cpu"]) == 0
    named = json.loads(capfdbinary.readouterr().out)["channels"]
    assert main(["explain", LION, "--channels", "--head", "aux1", "--device", "cpu", "--format", "parquet"]) == 0
    (tmp_path / "table.parquet").write_bytes(capfdbinary.readouterr().out)
    (row,) = pq.read_table(tmp_path / "table.parquet").to_pylist()
    assert list(named) == ["3a", "3b", "4a"]
    assert [named[stage] for stage in named] == [row["channels"][stage] for stage in named]
    assert row["channels"]["5b"] is None


def test_trust_in_both_formats(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    model = random_model()
    explainer = explainer_of(model, Preprocess(64, 64, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
    save(LoadedModel(model, explainer.config, explainer.provenance), tmp_path / "tiny")
    asked = ["explain", LION, "--weights", str(tmp_path / "tiny"), "--device", "cpu", "--head", "aux2", "--target", "thing 3"]
    assert main([*asked, "--trust", "--stage", "4b", "--stage", "3a"]) == 0
    result = json.loads(capfdbinary.readouterr().out)
    found = result["trust"]
    assert list(found) == ["4b", "3a"]
    assert len(found["4b"]["steps"]) == len(found["4b"]["random_deletion"]) == 21
    assert found["4b"]["insertion"][-1] == pytest.approx(result["belief"]["aux2"], abs=0.01)
    assert "thing 3 in aux2" in found["4b"]["sentence"]["en"]
    assert main([*asked, "--trust", "--format", "parquet"]) == 0
    (row,) = pq.read_table(io.BytesIO(capfdbinary.readouterr().out)).to_pylist()
    assert row["trust"]["4d"]["area"].keys() == found["4b"]["area"].keys()  # the head's last stage
    assert row["trust"]["4b"] is None
    assert main([*asked, "--trust", "--stage", "5b"]) == 1
    assert b"The aux2 head sees no stage '5b'" in capfdbinary.readouterr().err
    for wrong in (["--stage", "4b"], ["--trust", "--cluster", "--out", str(tmp_path / "table")]):
        assert main([*asked, *wrong]) == 1
        assert b"--trust" in capfdbinary.readouterr().err
