"""The command line: JSON on stdout and nothing else, one sentence for each mistake."""

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

from googlenet.cli import main
from googlenet.model.architecture import STAGES, TORCHVISION
from googlenet.pictures.pixels import MAX_BYTES
from tests.helpers import ROOT, random_image, random_model

LION = gradio.media.get_image("lion.jpg")


@pytest.fixture(autouse=True)
def small_weights(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a command that names none."""
    monkeypatch.setenv("GOOGLENET_WEIGHTS", tiny)


def test_explain_prints_one_object_a_picture(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With the built-in weights, which know their example. A class may be named by its WordNet number."""
    monkeypatch.delenv("GOOGLENET_WEIGHTS")
    asked = ["--target", "n02129165", "--contrast", "n02125311"]
    assert main(["explain", LION, gradio.media.get_image("cheetah.jpg"), *asked, "--device", "cpu"]) == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["image"] == LION
    assert first["weights"]["sha256"]
    assert first["heads"]["main"][0]["label"] == "lion"
    assert second["heads"]["main"]
    assert (first["question"]["target"]["label"], first["question"]["contrast"]["label"]) == ("lion", "cougar")


def test_out_gets_overlays_sheet_and_grids(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["explain", LION, "--head", "aux2", "--target", "3", "--contrast", "thing 4", "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["question"]["contrast"]["label"] == "thing 4"
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {f"lion-{stage}.png" for stage in STAGES[:6]} | {"lion-sheet.png", "lion.npz"}
    with Image.open(tmp_path / "out" / "lion-4c.png") as overlay, Image.open(LION) as picture:
        assert overlay.size == picture.size
    with np.load(tmp_path / "out" / "lion.npz") as file:
        names = {name for name in file.files if not name.startswith("question")}
        assert names == {*STAGES[:6], *(f"{stage}_branches" for stage in STAGES[:6]), "seen", "size"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HF_HUB_DOWNLOAD_TIMEOUT", "10s"),
        ("HF_HUB_ETAG_TIMEOUT", ""),
        ("HF_ENDPOINT", "https://[hub"),
        ("HF_ENDPOINT", "https://hub.example:99999"),
    ],
)
def test_a_setting_of_the_hub_that_cannot_be_read_is_one_sentence(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    assert main(["explain", LION]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"googlenet: {name} is '{value}', which cannot be used; correct it, or unset it.\n")


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


def test_no_command_compares_paths_of_two_drives(tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated: on Windows a path on C: has no path relative to one on D:, and none in common with it."""

    def refuse(*_paths: object) -> str:
        return ntpath.relpath("C:\\pictures", "D:\\out")

    with pytest.raises(ValueError, match="mount"):
        refuse()
    random_image(64, 64).save(tmp_path / "a.png")
    monkeypatch.setattr(os.path, "relpath", refuse)
    monkeypatch.setattr(os.path, "commonpath", refuse)
    for arguments in (
        ["explain", str(tmp_path), "--out", str(tmp_path / "out"), "--device", "cpu"],
        ["import", tiny, "--out", str(tmp_path / "imported")],
        ["deploy", "user/space", "--weights", "user/weights", "--dry-run"],
    ):
        assert main(arguments) == 0


def test_a_folder_with_nothing_recognised_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.heic").write_bytes(b"ftypheic")
    assert main(["explain", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert "holds no pictures of a known kind, only 1 × .heic" in captured.err


def test_what_is_passed_over_is_told_and_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """But for hidden files and what this program wrote there itself."""
    for name in ("a.png", "deep/b.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        random_image(64, 64).save(tmp_path / name)
    for name in ("c.heic", "deep/D.HEIC", "notes.txt", ".DS_Store"):
        (tmp_path / name).write_bytes(b"other")
    for _ in range(2):
        assert main(["explain", str(tmp_path), "--out", str(tmp_path), "--device", "cpu"]) == 0
        captured = capsys.readouterr()
        assert captured.out.count("\n") == 2
        assert "googlenet: Files of other kinds were left out: 2 × .heic, 1 × .txt; save those that are pictures" in captured.err


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
        (["explain", LION, "--target", "thimg 3"], "No class is called 'thimg 3'; did you mean thing 3"),
        (["evaluate", str(ROOT / "weights"), "/no/where"], "There is no data set /no/where"),
        (["train", "/no/where", "--out", "/tmp/never"], "There is no data set /no/where"),
        (["train", "x" * 300, "--out", "/tmp/never"], "cannot be read: the name is too long"),
        (["explain", "x" * 300], "cannot be opened: the name is too long"),
        (["import", "/no/where", "--out", "/tmp/never"], "There is no folder or file /no/where"),
        (["import", str(ROOT / "weights"), "--out", "/tmp/" + "never" * 99], "cannot be written: the name is too long."),
        (["explain", "https://a.org/b.jpg"], "https://a.org/b.jpg is not a file; save the picture there and give its path."),
        (["explain", LION, "--out", LION], "cannot be made: a file has that name."),
        (["explain", LION, "--only", "sheet"], "add --out"),
        (
            ["explain", LION, "--trust", "--format", "csv"],
            "--format csv has no columns for what --trust finds; use json or parquet.",
        ),
        (["explain", LION, "--channels", "--format", "csv"], "no columns for what --channels finds"),
        (["explain", LION, "--channels", "--format", "csv", "--out", "/tmp/never", "--only", "sheet"], "what --channels finds"),
        (["explain", LION, "--full-size"], "--full-size is for overlays; add --out, and no --only but overlays."),
        (["explain", LION, "--full-size", "--out", "/tmp/never", "--only", "sheet"], "--full-size is for overlays"),
        (["explain", ""], "The name of a picture or of --out is empty; give one."),
        (["explain", LION, "--out", ""], "is empty; give one"),
        (["explain", LION, "--cluster"], "name its folder with --out"),
        (["explain", LION, "--weights", "/no/where"], "There is no folder or file /no/where"),
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


def test_a_picture_on_stdin(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path(LION).read_bytes()), encoding="utf-8"))
    asked = ["--target", "thing 3", "--format", "csv", "--out", str(tmp_path), "--only", "sheet"]
    assert main(["explain", "-", *asked]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.startswith("image,head,target")
    assert row.startswith("-,main,thing 3,")
    assert [path.name for path in tmp_path.iterdir()] == ["stdin-sheet.png"]


@pytest.mark.parametrize(
    ("size", "words"), [(0, "stdin is empty; choose another picture."), (MAX_BYTES + 9, "stdin is larger than 20 MB")]
)
def test_a_stdin_without_a_picture_is_read_no_further_than_needed(
    size: int, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = io.BytesIO(bytes(size))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(data, encoding="utf-8"))
    assert main(["explain", "-"]) == 1
    assert words in capsys.readouterr().err
    assert data.tell() == min(size, MAX_BYTES + 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full disk to write to")
@pytest.mark.parametrize("kind", ["json", "csv", "parquet"])
def test_a_full_disk_is_told(kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["explain", LION, "--format", kind]) == 1
    assert capsys.readouterr().err == "googlenet: The results cannot be written: the disk is full.\n"


def test_serve_hands_its_options_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option wins over its variable, as `deploy` sets them on a Space."""
    asked: list[Any] = []
    monkeypatch.setattr("googlenet.ui.server.serve", lambda *_, **given: asked.append(given))
    monkeypatch.setenv("GOOGLENET_TITLE", "Our pets")
    monkeypatch.setenv("GOOGLENET_EXAMPLES", "examples")
    assert main(["serve"]) == 0
    assert main(["serve", "--title", "Cats", "--examples", "cats", "--labels", "names.txt"]) == 0
    assert asked == [{"title": "Our pets", "examples": "examples"}, {"title": "Cats", "examples": "cats", "labels": "names.txt"}]


def test_a_process_writes_utf8_in_any_locale_and_ends_quietly_when_its_reader_leaves(tmp_path: Path) -> None:
    """`googlenet explain … | head -2`: status 141, as of a program that SIGPIPE ended.

    `caf\\xe9.jpg` is a name in Latin-1 bytes, which Linux allows; JSON gives it back.
    """
    names = ["写真.jpg", os.fsdecode(b"caf\xe9.jpg") if sys.platform == "linux" else "b.jpg"]
    for name in names:
        shutil.copy(LION, tmp_path / name)
    command = [sys.executable, "-m", "googlenet", "explain", *(str(tmp_path / name) for name in names), *[LION] * 20]
    environment = os.environ | {"PYTHONIOENCODING": "cp1252"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=environment) as process:
        assert process.stdout
        assert process.stderr
        lines = [process.stdout.readline().decode("utf-8") for _ in names]
        process.stdout.close()
        said = process.stderr.read().decode()
        assert process.wait(60) == 141
    assert [Path(json.loads(line)["image"]).name for line in lines] == names
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


def test_import_writes_a_folder_that_loads(tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", tiny, "--out", str(tmp_path / "copy")]) == 0
    assert "10 classes, trained heads: aux1, aux2 and main" in capsys.readouterr().out
    assert main(["explain", LION, "--weights", str(tmp_path / "copy")]) == 0


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


def test_json_and_a_table_hold_the_same(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Of a picture with its channels, and of a bad file."""
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    asked = ["explain", LION, str(tmp_path / "bad.jpg"), "--channels", "--head", "aux1", "--device", "cpu"]
    assert main(asked) == 1
    told = json.loads(capfdbinary.readouterr().out)
    assert main([*asked, "--format", "parquet"]) == 1
    good, bad = pq.read_table(io.BytesIO(capfdbinary.readouterr().out)).to_pylist()
    assert good["heads"]["main"][0] == told["heads"]["main"][0]
    named = told["channels"]
    assert list(named) == ["3a", "3b", "4a"]
    assert [named[stage] for stage in named] == [good["channels"][stage] for stage in named]
    assert good["channels"]["5b"] is None
    assert "bad.jpg is not a picture" in bad["error"]


def test_trust_in_both_formats(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    asked = ["explain", LION, "--device", "cpu", "--head", "aux2", "--target", "thing 3"]
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
    assert main([*asked, "--stage", "4b"]) == 1
    assert b"add --trust" in capfdbinary.readouterr().err


def test_what_a_cluster_cannot_do_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option in (["--trust"], ["--only", "maps"], ["--full-size"], ["--format", "csv"], ["--device", "cpu"]):
        assert main(["explain", LION, "--cluster", "--out", str(tmp_path / "table"), *option]) == 1
        assert capsys.readouterr().err == f"googlenet: {option[0]} does not go with --cluster; leave out one of the two.\n"
