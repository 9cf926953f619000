"""The folder of the visitors' pictures: whose it is, how long a picture stays, how much fits, what is left at the end."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from googlenet.ui import uploads
from googlenet.ui.uploads import KEPT_SECONDS, UNFINISHED_SECONDS, UploadFolder
from tests.helpers import ROOT

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
    with UploadFolder(tmp_path) as folder:
        assert stat.S_IMODE(folder.root.stat().st_mode) == 0o700
        put(folder.path, "hash/a.jpg", 0)
    assert not list(tmp_path.iterdir())


def test_old_pictures_go_and_leftovers_of_broken_uploads_sooner(tmp_path: Path) -> None:
    folder = UploadFolder(tmp_path)
    put(folder.path, "hash/kept.jpg", KEPT_SECONDS - 1)
    put(folder.path, "hash/old.jpg", KEPT_SECONDS + 1)
    put(folder.path, "tmpkept", UNFINISHED_SECONDS - 1)
    put(folder.path, "tmpold", UNFINISHED_SECONDS + 1)
    folder.sweep(NOW)
    assert names(folder.path) == {"hash/kept.jpg", "tmpkept"}


def test_beyond_the_quota_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = UploadFolder(tmp_path)
    for age in range(6):
        put(folder.path, f"{age}/a.jpg", age, size=100)
    monkeypatch.setattr(uploads, "MAX_BYTES", 450)
    folder.sweep(NOW)
    assert names(folder.path) == {f"{age}/a.jpg" for age in range(4)}
    monkeypatch.setattr(uploads, "MAX_FILES", 2)
    folder.sweep(NOW)
    assert names(folder.path) == {"0/a.jpg", "1/a.jpg"}


def test_a_picture_goes_within_the_hour_where_the_clock_was_set_back(tmp_path: Path) -> None:
    folder = UploadFolder(tmp_path)
    put(folder.path, "hash/a.jpg", -24 * 3600)
    folder.sweep(NOW)
    assert names(folder.path) == {"hash/a.jpg"}
    folder.sweep(NOW + KEPT_SECONDS + 1)
    assert not names(folder.path)


def test_an_empty_folder_goes_in_time(tmp_path: Path) -> None:
    folder = UploadFolder(tmp_path)
    for name, age in (("left", UNFINISHED_SECONDS + 1), ("new", 0)):
        (folder.path / name).mkdir()
        os.utime(folder.path / name, (NOW - age,) * 2)
    folder.sweep(NOW)
    assert [path.name for path in folder.path.iterdir()] == ["new"]


def test_a_link_is_removed_and_not_followed(tmp_path: Path) -> None:
    outside = put(tmp_path, "outside.jpg", 0)
    folder = UploadFolder(tmp_path)
    (folder.path / "hash").mkdir()
    (folder.path / "hash/a.jpg").symlink_to(outside)
    os.utime(folder.path / "hash/a.jpg", (NOW - KEPT_SECONDS - 1,) * 2, follow_symlinks=False)
    folder.sweep(NOW)
    assert outside.exists()
    assert not names(folder.path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock")
def test_a_start_removes_what_a_killed_program_left_and_nothing_of_a_running_one(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from googlenet.ui.uploads import UploadFolder\n"
        "folder = UploadFolder(Path(sys.argv[1])); print(folder.root.name, flush=True); time.sleep(60)"
    )

    def run() -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout
        return process, process.stdout.readline().strip()

    (killed, dead), (running, alive) = run(), run()
    killed.kill()
    killed.wait()
    third = UploadFolder(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {alive, third.root.name} - {dead}
    running.kill()
    running.wait()
