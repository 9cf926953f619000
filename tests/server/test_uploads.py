"""The folder of the visitors' pictures: whose it is, what stays how long, what is left at the end; a teacher's own examples."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import Mock

import pytest

from googlenet.errors import UserError
from googlenet.ui import uploads
from googlenet.ui.uploads import (
    KEPT_SECONDS,
    LOCK,
    MAX_EXAMPLES,
    PREFIX,
    SIDE,
    UNFINISHED_SECONDS,
    PictureGoneError,
    Pictures,
    examples_in,
    kept_pictures,
    sweep,
)
from tests.helpers import random_image, until

NOW = time.time()


def put(folder: Path, name: str, age: float, size: int = 1) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (NOW - age, NOW - age))
    return path


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_folder_is_its_owners_alone_and_goes_at_the_end(tmp_path: Path) -> None:
    with kept_pictures(tmp_path) as pictures:
        assert stat.S_IMODE(pictures.folder.parent.stat().st_mode) == 0o700
        put(pictures.folder, "hash/a.jpg", 0)
    assert not list(tmp_path.iterdir())


def test_a_picture_that_is_not_there_is_gone_whatever_it_is_called(tmp_path: Path) -> None:
    for name in ("gone.jpg", "long" * 100, "nul\0", "../above.jpg"):
        with pytest.raises(PictureGoneError):
            Pictures(tmp_path).find(str(tmp_path / name))


@pytest.mark.parametrize("folder", ["file", "file/inside", "long" * 100, ""])
def test_without_a_folder_for_pictures_one_sentence(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no folder is named and the system has none either, as well."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("GRADIO_TEMP_DIR", folder and str(tmp_path / folder))
    monkeypatch.setattr(tempfile, "gettempdir", Mock(side_effect=FileNotFoundError))
    with pytest.raises(UserError, match="set GRADIO_TEMP_DIR to a folder that can be written"), kept_pictures():
        pass


def test_a_deleted_picture_is_kept_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_SWEEP_SECONDS", 0.01)
    with kept_pictures(tmp_path) as pictures:
        for seed, name in enumerate(("kept.png", "deleted.png")):
            random_image(40, 30, seed).save(pictures.folder / name)
            pictures.decode(pictures.folder / name)
        (pictures.folder / "deleted.png").unlink()
        until(lambda: len(pictures.decoded) == 1)
        assert [path.name for path in pictures.decoded] == ["kept.png"]


def test_old_pictures_go_and_leftovers_of_broken_uploads_sooner(tmp_path: Path) -> None:
    """Where the clock was set back, within the hour; of a link, what it leads to stays."""
    outside, folder = put(tmp_path, "outside.jpg", 0), tmp_path / "pictures"
    folder.mkdir()
    put(folder, "hash/kept.jpg", KEPT_SECONDS - 1)
    put(folder, "hash/old.jpg", KEPT_SECONDS + 1)
    put(folder, "hash/future.jpg", -24 * 3600)
    put(folder, "tmpkept", UNFINISHED_SECONDS - 1)
    put(folder, "tmpold", UNFINISHED_SECONDS + 1)
    (folder / "hash/link.jpg").symlink_to(outside)
    os.utime(folder / "hash/link.jpg", (NOW - KEPT_SECONDS - 1,) * 2, follow_symlinks=False)
    sweep(folder, NOW)
    assert names(folder) == {"hash/kept.jpg", "hash/future.jpg", "tmpkept"}
    sweep(folder, NOW + KEPT_SECONDS + 1)
    assert not names(folder)
    assert outside.exists()


def test_beyond_the_quota_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for age in range(6):
        put(tmp_path, f"{age}/a.jpg", age, size=100)
    monkeypatch.setattr(uploads, "MAX_BYTES", 450)
    sweep(tmp_path, NOW)
    assert names(tmp_path) == {f"{age}/a.jpg" for age in range(4)}
    monkeypatch.setattr(uploads, "MAX_FILES", 2)
    sweep(tmp_path, NOW)
    assert names(tmp_path) == {"0/a.jpg", "1/a.jpg"}


def test_an_empty_folder_goes_in_time(tmp_path: Path) -> None:
    for name, age in (("left", UNFINISHED_SECONDS + 1), ("new", 0)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (NOW - age,) * 2)
    sweep(tmp_path, NOW)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock")
def test_a_start_removes_what_a_killed_program_left_and_nothing_of_a_running_one(tmp_path: Path) -> None:
    """A program that is killed lets go of its lock. One that starts may not have it yet."""
    dead, starting = tmp_path / f"{PREFIX}dead", tmp_path / f"{PREFIX}starting"
    for root in (dead, starting):
        root.mkdir()
    (dead / LOCK).touch()
    with kept_pictures(tmp_path) as running, kept_pictures(tmp_path) as last:
        assert set(tmp_path.iterdir()) == {starting, running.folder.parent, last.folder.parent}


def test_examples_have_the_composed_names_and_the_order_of_their_files_and_large_ones_are_reduced(tmp_path: Path) -> None:
    for name in ("02 zebra.jpg", "01 고양이.png", "03 cafe\u0301.JPG"):
        random_image(40, 30).save(tmp_path / name)
    random_image(3 * SIDE, 2 * SIDE).save(tmp_path / "04 large.jpg")
    (tmp_path / "notes.txt").write_text("not a picture")
    found = examples_in(tmp_path)
    assert list(found) == ["01 고양이", "02 zebra", "03 caf\u00e9", "04 large"]
    assert [picture.size for picture in found.values()] == [(40, 30)] * 3 + [(3 * SIDE, 2 * SIDE)]
    assert found["04 large"].image.width < 3 * SIDE


def test_what_is_no_example_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for gone in (tmp_path / "gone", tmp_path / "file", tmp_path / ("long" * 100)):
        with pytest.raises(UserError, match=r"^There is no folder .*; name one that holds pictures\.$"):
            examples_in(gone)
    with pytest.raises(UserError, match="no pictures of a known kind"):
        examples_in(tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"broken\.jpg"):
        examples_in(tmp_path)
    (tmp_path / "broken.jpg").unlink()
    for number in range(MAX_EXAMPLES + 1):
        random_image(8, 8).save(tmp_path / f"{number}.png")
    with pytest.raises(UserError, match=f"at most {MAX_EXAMPLES}"):
        examples_in(tmp_path)
