"""The program's own folder for pictures: readable by its owner alone, swept at the start, while it runs and at the end."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

try:
    import fcntl
except ImportError:  # Windows has none: there, what a killed program left behind stays
    fcntl = None  # type: ignore[assignment]

PREFIX = "inside-googlenet-"
LOCK = "in-use"
"""A file that the program keeps locked while it runs."""

KEPT_SECONDS = 50 * 60
"""How long a picture is kept, and what is made for the API."""
UNFINISHED_SECONDS = 10 * 60
"""How long the part of a broken upload is kept after its last byte, and an empty folder."""
SWEEP_SECONDS = 60
MAX_BYTES, MAX_FILES = 2 * 1024**3, 20_000
"""Quota; beyond it the oldest files go."""


@dataclass(frozen=True)
class Entry:
    path: str
    size: int
    changed: float
    """seconds since 1970"""
    unfinished: bool
    """whether it lies beside the folders of finished uploads"""


class UploadFolder:
    """A temporary folder for Gradio (`$GRADIO_TEMP_DIR`), as a context manager; the thread that sweeps it runs meanwhile."""

    def __init__(self, parent: Path | None = None) -> None:
        """`parent`: where it is made; by default $GRADIO_TEMP_DIR or the system's temporary folder."""
        parent = parent or Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())
        parent.mkdir(parents=True, exist_ok=True)
        remove_dead(parent)
        self.root = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent)).resolve()  # of mode 700
        self.lock = lock(self.root)
        self.path = self.root / "pictures"
        self.path.mkdir(mode=0o700)
        self.remembered: Iterable[set[str]] = ()
        """where Gradio notes the paths of files; it forgets none that is gone"""
        self.woken, self.ended = threading.Event(), False
        self.thread = threading.Thread(target=self.keep_sweeping, name="sweep", daemon=True)

    def __enter__(self) -> UploadFolder:
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.ended = True
        self.woken.set()
        self.thread.join(2)
        shutil.rmtree(self.root, ignore_errors=True)
        if self.lock is not None:
            os.close(self.lock)

    def wake(self) -> None:
        """Sweep soon: something has been uploaded."""
        self.woken.set()

    def keep_sweeping(self) -> None:
        while not self.ended:
            self.woken.wait(SWEEP_SECONDS)
            self.woken.clear()
            self.sweep(time.time())
            time.sleep(0 if self.ended else 1)  # a scan of 20,000 files takes a tenth of a second

    def sweep(self, now: float) -> None:
        """Delete what is too old at a time (seconds since 1970), and the oldest of what is too much.

        What was changed later than that is older than the clock's last change, and counts as changed now.
        """
        entries = sorted(scan(self.path), key=lambda entry: entry.changed, reverse=True)
        size = 0
        for number, entry in enumerate(entries):
            size += entry.size
            limit = UNFINISHED_SECONDS if entry.unfinished else KEPT_SECONDS
            if entry.changed > now + SWEEP_SECONDS:  # else it would stay until the clock reaches that time
                with contextlib.suppress(OSError):
                    os.utime(entry.path, (now, now), follow_symlinks=False)
            if now - entry.changed > limit or size > MAX_BYTES or number >= MAX_FILES:
                size -= entry.size
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)
                    if not entry.unfinished:  # each finished upload has a folder of its own
                        os.rmdir(os.path.dirname(entry.path))
                for names in self.remembered:
                    names.discard(entry.path)
        for folder, _, _ in os.walk(self.path, topdown=False):
            with contextlib.suppress(OSError):  # not empty
                if folder != str(self.path) and now - os.stat(folder).st_mtime > UNFINISHED_SECONDS:
                    os.rmdir(folder)


def is_disk_full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def scan(folder: Path) -> list[Entry]:
    """Everything in a folder but folders."""
    entries = []
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            with contextlib.suppress(OSError):  # just deleted
                found = os.lstat(path)
                entries.append(Entry(path, found.st_size, found.st_mtime, place == str(folder)))
    return entries


def lock(root: Path) -> int | None:
    """The locked file of a folder, until it is closed; None where another program holds it, or where there are no locks."""
    if fcntl is None:
        return None
    file = os.open(root / LOCK, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        return None
    return file


def remove_dead(parent: Path) -> None:
    """Remove the folders of this user's programs that were killed."""
    for root in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            found = root.lstat()
            if not stat.S_ISDIR(found.st_mode) or (hasattr(os, "getuid") and found.st_uid != os.getuid()):
                continue
            if not (root / LOCK).exists() and time.time() - found.st_mtime < UNFINISHED_SECONDS:
                continue  # another program may be making it
            if (held := lock(root)) is not None:
                shutil.rmtree(root, ignore_errors=True)
                os.close(held)
