"""A process of this package at the other end of a pipe, with a deadline for each reply."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, TypeVar

__all__ = ["Child", "ChildEndedError"]

R = TypeVar("R")


class ChildEndedError(Exception):
    """The process ended before it replied, or was killed at its deadline."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code
        """the process's return code: the negative number of the signal that ended it"""


class Child:
    """`python -m MODULE`, which reads messages from its stdin and writes replies to its stdout. It ends with this program.

    Safe for threads: one exchange runs at a time.
    """

    def __init__(self, module: str, seconds: float, environment: Mapping[str, str], errors: int | None = None) -> None:
        """`module` runs as `__main__` with this environment alone, and is killed where it takes longer than `seconds` to reply.

        `errors`: where its stderr goes, as in `subprocess.Popen`; by default where this program's goes.
        """
        self.seconds = seconds
        self.lock = threading.Lock()
        self.asked: float | None = None
        """when the exchange began that runs, in seconds of the monotonic clock"""
        self.owner = os.getpid()
        self.process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=Path(__file__).parents[2],
            env=dict(environment),
            start_new_session=True,  # Ctrl-C goes to the program alone
        )
        threading.Thread(target=self._watch, name="deadline", daemon=True).start()

    @property
    def usable(self) -> bool:
        """Whether the process runs, and this program started it: a fork of the program shares the pipes and must not use them."""
        return self.owner == os.getpid() and self.process.poll() is None

    def exchange(self, talk: Callable[[IO[bytes], IO[bytes]], R]) -> R:
        """What `talk` returns, which sends a message to the process's stdin and reads the reply from its stdout.

        `talk` raises OSError, ValueError or EOFError where the pipe ends. Raises ChildEndedError where the process has ended.
        """
        assert self.process.stdin
        assert self.process.stdout
        with self.lock:
            self.asked = time.monotonic()
            try:
                return talk(self.process.stdin, self.process.stdout)
            except (OSError, ValueError, EOFError) as error:
                raise ChildEndedError(self._code()) from error
            finally:
                self.asked = None

    def _code(self) -> int:
        """The return code of the process, whose pipe has ended."""
        try:
            return self.process.wait(1)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def _watch(self) -> None:
        """Kill the process when it does not reply. One thread for all exchanges: starting one for each delays it."""
        while self.process.poll() is None:
            asked = self.asked
            if asked is not None and time.monotonic() - asked > self.seconds:
                self.process.kill()
            time.sleep(self.seconds / 20)

    def end(self) -> None:
        """End the process."""
        if self.owner == os.getpid():
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):  # closing sends what is left, and nobody may read it any more
                pipe.close()  # type: ignore[union-attr]
