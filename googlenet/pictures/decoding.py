"""A stranger's file → an upright RGB picture, within limits of memory and time.

A `Decoder` hands the file to a process of its own (`python -m googlenet.pictures.decoding`). The operating system ends that
process after 2 s of CPU time, and Linux gives it at most 400 MB more than it starts with. Windows has neither limit. Everywhere
the process is ended after `_WALL_SECONDS`. It imports neither PyTorch nor the rooms above `pictures`. None of its environment
variables could hold a secret.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

from PIL import Image

from googlenet.concurrency.child import Child, ChildEndedError
from googlenet.errors import PictureError
from googlenet.pictures.pixels import Picture, damaged, decode, read_file, size_of_file

__all__ = ["SHARED", "SLOW", "Decoder"]

_CPU_SECONDS = 2.0
"""Seconds of CPU time that the decoding process may take for a picture."""
_WALL_SECONDS = 20.0
"""Seconds after which it is ended, however little CPU time it got: on a busy machine it gets little."""
_MORE_MEMORY = 400_000_000
"""Bytes of address space that the decoding process may take beyond what it has after its imports."""
_ROWS = 64
"""Rows of a picture that are sent at once: a second copy of all might be too much memory."""
_HEADER = 2**32 - 1
"""The `least` of a question for the size alone."""
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "LANG", "LC_ALL")
"""The variables that the decoding process gets."""


class Decoder:
    """Opens pictures in a decoding process, which starts with the first one. One that has ended is replaced.

    Safe for threads: the decoding process has one picture at a time.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.child: Child | None = None

    def open(self, path: str | Path, least: int | None = None) -> Picture:
        """A regular file → a picture, reduced as `decode` says. Raises PictureError where it cannot be read within the limits."""
        return self.open_bytes(read_file(Path(path)), str(path), least)

    def size(self, path: str | Path) -> tuple[int, int]:
        """(width, height) in pixels as stored, by the file's header. Raises PictureError."""
        return self.open(path, _HEADER).size

    def open_bytes(self, data: bytes, name: str, least: int | None = None) -> Picture:
        """`open` for a file's bytes, which errors call `name`."""
        with self.lock:
            if self.child is None or not self.child.usable:
                self.stop()
                self.child = start()
            try:
                return self.child.exchange(lambda stdin, stdout: _ask(stdin, stdout, data, name, least))
            except ChildEndedError as error:
                self.stop()
                self.child = start()  # now, so that the next picture need not wait for it
                raise _ended(error.code, name) from None
            except PictureError:
                raise
            except BaseException:  # such as Ctrl-C: the next picture must not get this one's pixels
                self.stop()
                raise

    def stop(self) -> None:
        """End the decoding process."""
        if self.child is not None:
            self.child.end()
            self.child = None


def start() -> Child:
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    environment["OPENBLAS_NUM_THREADS"] = "1"  # the buffers of more threads would count as memory
    return Child("googlenet.pictures.decoding", _WALL_SECONDS, environment, subprocess.DEVNULL)


def _ask(stdin: IO[bytes], stdout: IO[bytes], data: bytes, name: str, least: int | None) -> Picture:
    """Send a picture to the decoding process and read the result. Raises PictureError, OSError and EOFError."""
    stdin.write(struct.pack("<II", len(data), least or 0))
    stdin.write(data)
    stdin.flush()
    found = json.loads(_exactly(stdout, struct.unpack("<I", _exactly(stdout, 4))[0]))
    if "error" in found:
        raise PictureError(found["error"], name=name)
    width, height = found["reduced"]
    return Picture(Image.frombytes("RGB", (width, height), _exactly(stdout, 3 * width * height)), tuple(found["size"]))


def _exactly(stream: IO[bytes], length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data


def _ended(code: int, name: str) -> PictureError:
    """Why the decoding process ended, by its return code."""
    if code == -signal.SIGKILL or code == -signal.SIGPROF:
        return PictureError(
            "{name} takes longer than 2 seconds to decode; save it smaller or as a plain JPEG and try again.", name=name
        )
    return damaged(name)


def _main() -> None:
    """The decoding process: pictures from stdin, results to stdout, until stdin ends."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    _limit_memory()
    while len(request := source.read(8)) == 8:
        length, least = struct.unpack("<II", request)
        data = source.read(length)
        _clock(_CPU_SECONDS)
        try:
            if least == _HEADER:
                picture = Picture(Image.new("RGB", (0, 0)), size_of_file(data, ""))
            else:
                picture = decode(data, "", least or None)
            del data
        except PictureError as error:
            _send(sink, {"error": error.template})
        else:
            _send(sink, {"size": picture.size, "reduced": picture.image.size})
            width, height = picture.image.size
            for top in range(0, height, _ROWS):
                sink.write(picture.image.crop((0, top, width, min(top + _ROWS, height))).tobytes())
            del picture
        sink.flush()
        _clock(0)


def _send(sink: IO[bytes], message: dict[str, object]) -> None:
    text = json.dumps(message).encode()
    sink.write(struct.pack("<I", len(text)) + text)


def _clock(seconds: float) -> None:
    """Let the operating system end this process after so many seconds of CPU time; 0 removes the limit."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _limit_memory() -> None:
    """On Linux, bound the address space, and forbid core dumps and writing files."""
    if sys.platform == "linux":
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        most = pages * resource.getpagesize() + _MORE_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


SHARED = Decoder()
"""The decoder of this program."""
SLOW = Decoder()
"""The page's for pictures that take long: those that do not need not wait for them."""
atexit.register(SHARED.stop)
atexit.register(SLOW.stop)


if __name__ == "__main__":
    _main()
