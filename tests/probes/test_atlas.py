"""An atlas of channels: a run that can be interrupted, and files that may come from anywhere."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import googlenet.probes.atlas
from googlenet.cli import main
from googlenet.errors import UserError
from googlenet.pictures.images import Preprocess
from googlenet.probes.atlas import COLUMNS, Atlas, Index, read_atlas, read_index, sheet_of, write_atlas
from googlenet.probes.visualise import TILE
from tests.helpers import random_model

PREPROCESS = Preprocess(96, 96, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
COUNTS = {"3a": 256, "3b": 480}


def test_an_atlas_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, drawn = random_model().for_inference(), list[int]()

    def drawing(model: object, preprocess: object, stage: str, channels: range) -> np.ndarray:
        if len(drawn) == 4:
            drawn.append(-1)
            raise KeyboardInterrupt
        drawn.extend(channels[:1])
        return np.stack([np.full((TILE, TILE, 3), channel % 256, np.uint8) for channel in channels])

    monkeypatch.setattr(googlenet.probes.atlas, "visualise", drawing)
    with pytest.raises(KeyboardInterrupt):
        write_atlas(model, PREPROCESS, "a" * 64, tmp_path, ["3a"], batch=50)
    assert not (tmp_path / "3a.webp").exists()
    write_atlas(model, PREPROCESS, "a" * 64, tmp_path, ["3a"], batch=50)
    assert drawn == [0, 50, 100, 150, -1, 200, 250]
    index = read_index(tmp_path)
    assert index.model_dump() == json.loads((tmp_path / "index.json").read_text("utf-8"))
    assert index.channels == {"3a": 256}
    sheet = np.asarray(Image.open(tmp_path / "3a.webp"), dtype=int)
    assert sheet.shape == (8 * TILE, 32 * TILE, 3)
    assert sheet[3 * TILE + 20, 5 * TILE + 20] == pytest.approx([3 * 32 + 5] * 3, abs=6)
    assert not (tmp_path / "3a.part.npy").exists()
    write_atlas(model, PREPROCESS, "a" * 64, tmp_path, ["3a"])
    assert len(drawn) == 7  # nothing is made twice
    with pytest.raises(UserError, match="other weights"):
        write_atlas(model, PREPROCESS, "b" * 64, tmp_path, ["3a"])


def tiles_of(count: int) -> np.ndarray:
    return np.stack([np.full((TILE, TILE, 3), channel % 256, np.uint8) for channel in range(count)])


@pytest.fixture
def atlas(tmp_path: Path) -> Path:
    Index(trunk="a" * 64, channels={"3a": 256}).write(tmp_path)
    (tmp_path / "3a.webp").write_bytes(sheet_of(tiles_of(256)))
    return tmp_path


def found(atlas: Path) -> Atlas:
    read = read_atlas(atlas, "a" * 64, COUNTS)
    assert read is not None
    return read


def test_an_atlas_gives_the_tiles_of_the_stages_that_it_has(atlas: Path, tmp_path: Path) -> None:
    tiles = found(atlas).tiles("3a", [3, 255])
    assert {channel: tile.shape for channel, tile in tiles.items()} == {3: (TILE, TILE, 3), 255: (TILE, TILE, 3)}
    assert tiles[255][TILE // 2, TILE // 2] == pytest.approx([255] * 3, abs=6)
    assert found(atlas).tiles("3b", [3]) == {}
    assert read_atlas(tmp_path / "nothing", "a" * 64, COUNTS) is None


@pytest.mark.parametrize(
    ("index", "why"),
    [
        ('{"trunk": "%s", "channels": {"3a": 256}}' % ("b" * 64), "they belong to other weights"),
        ('{"trunk": "%s", "channels": {"3a": 10000000}}' % ("a" * 64), "a stage has another number of channels"),
        ('{"trunk": "%s", "channels": {"../3a": 256}}' % ("a" * 64), "index.json is not that of an atlas"),
        ('{"trunk": "%s", "tile": 100000}' % ("a" * 64), "index.json is not that of an atlas"),
        ('{"trunk": "%s", "channels": {"3a": true}}' % ("a" * 64), "index.json is not that of an atlas"),
        ("[" * 100_000, "it has more than 2,000 fields"),
        ("", "index.json is not that of an atlas"),
    ],
)
def test_a_foreign_index_is_left_out_and_the_log_says_why(
    atlas: Path, caplog: pytest.LogCaptureFixture, index: str, why: str
) -> None:
    (atlas / "index.json").write_text(index, "utf-8")
    assert read_atlas(atlas, "a" * 64, COUNTS) is None
    assert caplog.messages == [f"The channels' pictures in {atlas} are left out: {why}."]


def image(size: tuple[int, int], kind: str = "WEBP") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size).save(file, kind)
    return file.getvalue()


SIZE = (COLUMNS * TILE, 8 * TILE)
SHEETS: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-200]),
    "of another size": lambda path: path.write_bytes(image((2000, 2000))),
    "no WebP": lambda path: path.write_bytes(image(SIZE, "PNG")),
    "too large": lambda path: path.write_bytes(bytes(5 << 20)),
}


@pytest.mark.parametrize("name", SHEETS)
def test_a_damaged_sheet_is_left_out_and_the_log_says_so(atlas: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    SHEETS[name](atlas / "3a.webp")
    assert found(atlas).tiles("3a", [3]) == {}
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"The sheet of channels {atlas / '3a.webp'} is left out: ")


def test_the_command_writes_an_atlas_of_one_stage(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def drawing(model: object, preprocess: object, stage: str, channels: range) -> np.ndarray:
        return np.full((len(channels), TILE, TILE, 3), 128, np.uint8)

    monkeypatch.setattr(googlenet.probes.atlas, "visualise", drawing)
    assert main(["channels", tiny, "--out", str(tmp_path / "out"), "--stage", "4d", "--device", "cpu"]) == 0
    assert read_index(tmp_path / "out").channels == {"4d": 528}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"index.json", "4d.webp"}
    capsys.readouterr()
    (tmp_path / "file").touch()
    assert main(["channels", tiny, "--out", str(tmp_path / "file"), "--device", "cpu"]) == 1
    assert "cannot be written" in capsys.readouterr().err
