"""The pictures that questions are about: the examples, and what visitors upload, in a folder of its own with a quota."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from unicodedata import normalize

from googlenet.batch.files import find_pictures
from googlenet.errors import PictureError, UserError
from googlenet.pictures.decoding import SHARED
from googlenet.pictures.images import open_image
from googlenet.pictures.pixels import Picture

__all__ = [
    "BYTES_A_SECOND",
    "EXAMPLES",
    "KEPT_SECONDS",
    "SIDE",
    "TRUTHS",
    "PictureGoneError",
    "Pictures",
    "example",
    "examples_in",
    "is_disk_full",
    "kept_pictures",
]

try:
    import fcntl
except ImportError:  # Windows has none: there, what a killed program left behind stays
    fcntl = None  # type: ignore[assignment]

EXAMPLES = {
    name: Path(__file__).parent / "examples" / f"{name}.jpg" for name in ("cheetah", "portrait", "lion", "cat", "astronaut")
}
"""name → file; the page opens with the first. What each shows with the built-in weights, and its source: examples/README.md."""
TRUTHS = {"portrait": "cheetah"}
"""example → the class that it shows, where the page says so from the beginning, since the answer is wrong"""
MAX_EXAMPLES = 24
SIDE = 720
"""Longer side in pixels of the picture that the browser draws on. What a visitor sends is reduced to it."""
_DECODED = 64 * 1024**2
"""Bytes of the pictures that stay decoded, those that were asked about last: most questions are about one of them."""
BYTES_A_SECOND = 7_000_000
"""How fast a file is decoded that takes long, a progressive JPEG: for the price of a decoding in the queue."""

PREFIX = "inside-googlenet-"
LOCK = "in-use"
"""A file that the program keeps locked while it runs."""
KEPT_SECONDS = 50 * 60
"""How long a picture is kept, and what is made for the API. Gradio deletes what it has finished at this age (`delete_cache`)."""
UNFINISHED_SECONDS = 10 * 60
"""How long the part of a broken upload is kept after its last byte."""
_SWEEP_SECONDS = 10
MAX_BYTES, MAX_FILES = 2 * 1024**3, 20_000
"""Quota; beyond it the oldest files go."""


class PictureGoneError(UserError):
    """An upload was deleted: the page sends it again."""

    def __init__(self) -> None:
        super().__init__("That picture is no longer here; choose it again.")


class Pictures:
    """Opens the pictures of questions. Any number of threads may use it; a stranger's is decoded in a process of its own."""

    def __init__(self, folder: Path) -> None:
        """`folder`: of the uploads."""
        self.folder = folder.resolve()
        self.decoded: OrderedDict[Path, Picture] = OrderedDict()
        self.guard = threading.Lock()

    def find(self, name: str) -> Path:
        """An uploaded file. Raises PictureGoneError."""
        path = Path(name.replace("\0", "")).resolve()  # no file's name holds a NUL
        if not path.is_relative_to(self.folder) or not os.path.isfile(path):  # that of Path may raise
            raise PictureGoneError
        return path

    def known(self, path: Path) -> Picture | None:
        """A picture that is decoded already."""
        with self.guard:
            if path in self.decoded:
                self.decoded.move_to_end(path)
            return self.decoded.get(path)

    def decode(self, path: Path) -> Picture:
        """Raises UserError, with the file's name and not its place on this machine."""
        try:
            picture = SHARED.open(path, SIDE)
        except UserError as error:
            raise UserError(error.template, **{**error.values, "name": path.name}) from None
        with self.guard:
            self.decoded[path] = picture
            while sum(3 * each.image.width * each.image.height for each in self.decoded.values()) > _DECODED:
                self.decoded.popitem(last=False)
        return picture

    def forget(self) -> None:
        """Let go of the pictures whose files are deleted."""
        with self.guard:
            for path in [path for path in self.decoded if not path.exists()]:
                del self.decoded[path]


@cache
def example(name: str) -> Picture:
    """A built-in example."""
    image = open_image(EXAMPLES[name])
    return Picture(image, image.size)


def examples_in(folder: Path) -> dict[str, Picture]:
    """The pictures of a folder by their files' names, in their order. Raises UserError, which names the file."""
    if not os.path.isdir(folder):  # before Python 3.14, that of Path raises where access is denied or the name is too long
        raise PictureError("There is no folder {folder}; name one that holds pictures.", folder=folder)
    found, wrong = find_pictures([folder])
    if wrong:
        raise wrong[0]
    if len(found) > MAX_EXAMPLES:
        raise UserError(
            "The folder {folder} holds {count} pictures; a page offers at most {most}.",
            folder=folder,
            count=len(found),
            most=MAX_EXAMPLES,
        )
    return {normalize("NFC", each.name.as_posix()): SHARED.open(each.path, SIDE) for each in found}


@contextlib.contextmanager
def kept_pictures(parent: Path | None = None) -> Iterator[Pictures]:
    """Those of a temporary folder in $GRADIO_TEMP_DIR or the system's. A thread keeps the folder within its quota.

    Raises UserError where no folder can be made.
    """
    try:
        parent = parent or Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())
        parent.mkdir(parents=True, exist_ok=True)
        _remove_dead(parent)
        root = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent)).resolve()  # of mode 700
        held, ended = _lock(root), threading.Event()
        pictures = Pictures(root / "pictures")
        pictures.folder.mkdir(mode=0o700)
    except OSError:
        raise UserError("No temporary folder can be made; set GRADIO_TEMP_DIR to a folder that can be written.") from None

    def keep_sweeping() -> None:
        while not ended.wait(_SWEEP_SECONDS):
            sweep(pictures.folder, time.time())
            pictures.forget()

    thread = threading.Thread(target=keep_sweeping, name="sweep", daemon=True)
    thread.start()
    try:
        yield pictures
    finally:
        ended.set()
        thread.join(2)
        shutil.rmtree(root, ignore_errors=True)
        if held is not None:
            os.close(held)


def sweep(pictures: Path, now: float) -> None:
    """Delete what is too old at a time (seconds since 1970), and the oldest of what is too much.

    A file dated in the future counts as new: the clock was set back.
    """
    size = 0
    for number, (changed, length, path) in enumerate(sorted(_scan(pictures), reverse=True)):
        size += length
        limit = UNFINISHED_SECONDS if path.parent == pictures else KEPT_SECONDS  # a finished upload has its own folder
        with contextlib.suppress(OSError):  # just deleted
            if changed > now + _SWEEP_SECONDS:
                os.utime(path, (now, now), follow_symlinks=False)
            elif now - changed > limit or size > MAX_BYTES or number >= MAX_FILES:
                size -= length
                path.unlink()
    for folder, _, _ in os.walk(pictures, topdown=False):
        with contextlib.suppress(OSError):  # not empty
            if folder != str(pictures) and now - os.stat(folder).st_mtime > UNFINISHED_SECONDS:
                os.rmdir(folder)


def is_disk_full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _scan(folder: Path) -> list[tuple[float, int, Path]]:
    """Everything in a folder but folders: (seconds since 1970 of its last change, bytes, path)."""
    found = []
    for place, _, names in os.walk(folder):
        for path in (Path(place, name) for name in names):
            with contextlib.suppress(OSError):  # just deleted
                status = path.lstat()
                found.append((status.st_mtime, status.st_size, path))
    return found


def _lock(root: Path) -> int | None:
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


def _remove_dead(parent: Path) -> None:
    """Remove the folders of this user's programs that were killed."""
    for root in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            found = root.lstat()
            new = not (root / LOCK).exists() and time.time() - found.st_mtime < UNFINISHED_SECONDS  # it may be in the making
            if fcntl and not new and found.st_uid == os.getuid() and (held := _lock(root)) is not None:
                shutil.rmtree(root, ignore_errors=True)
                os.close(held)
