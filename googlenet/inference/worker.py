"""An engine in a process of its own, for a server that a crowd asks.

A pass on a CPU takes Python's lock again for each of its thousand kernels, and in a server that is busy with requests it waits
for the lock each time: beside a thread that held it two thirds of the time, one picture's pass took 73 ms instead of 25. So the
server hands its passes over to workers when questions begin to wait. One visitor alone does without them and their memory.
"""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from googlenet.device import cores
from googlenet.explanation import Question
from googlenet.inference.engine import Engine, PictureResult
from googlenet.inference.passes import PassQueue
from googlenet.model import GoogLeNet

MOST = 4
"""Workers at most, each with its part of the cores. One takes 500 MB, of which torch's CUDA libraries are more than half."""

PICTURES = 4
"""In one pass at most. Eight take 8 % less time a picture and 110 MB more, and the next question waits twice as long."""

logger = logging.getLogger(__name__)


class Worker:
    """Answers as the `Engine` of its process does. It ends with the process that made it."""

    def __init__(self, model: GoogLeNet, size: int, threads: int) -> None:
        """`model`: on the CPU, used by nobody else. `size`: side of the pictures in pixels. `threads`: for each pass."""
        self.model, self.size, self.threads = model, size, threads
        self.start()

    def start(self) -> None:
        """Start the process; it is ready when this returns."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "OMP_NUM_THREADS": str(self.threads)},
            start_new_session=True,  # Ctrl-C goes to the program alone
        )
        self.largest: int = self.exchange((self.model, self.size))

    def __call__(self, x: Tensor, questions: Sequence[Question]) -> list[PictureResult]:
        """`Engine`'s. A process that has ended is started anew, once."""
        try:
            found = self.exchange((x.numpy(), list(questions)))
        except (OSError, EOFError, pickle.UnpicklingError):
            logger.error("A worker ended with code %s; another one starts.", self.process.wait())
            for pipe in (self.process.stdin, self.process.stdout):
                with suppress(OSError):  # closing sends what is left, and nobody reads it
                    pipe.close()  # type: ignore[union-attr]
            self.start()
            found = self.exchange((x.numpy(), list(questions)))
        if isinstance(found, Exception):
            raise found
        results: list[PictureResult] = found
        return results

    def exchange(self, message: object) -> Any:
        """Send one message and get the reply. Raises OSError, EOFError and UnpicklingError where the process ends."""
        assert self.process.stdin
        assert self.process.stdout
        pickle.dump(message, self.process.stdin, pickle.HIGHEST_PROTOCOL)
        self.process.stdin.flush()
        return pickle.load(self.process.stdout)


def worker_count() -> int:
    return min(cores(), MOST)


def hand_over_to_workers(passes: PassQueue, copied_model: Callable[[], GoogLeNet], size: int) -> None:
    """When requests begin to wait, start workers in a thread and let them run the passes. Only then is the network copied."""

    def run() -> None:
        passes.crowded.wait()
        model, count = copied_model(), worker_count()
        try:
            with ThreadPoolExecutor(count) as pool:
                workers = list(pool.map(lambda _: Worker(model, size, cores() // count), range(count)))
        except (OSError, EOFError):
            logger.exception("No workers can be started; the passes stay in this process.")
        else:
            passes.hand_over(workers)

    threading.Thread(target=run, name="workers", daemon=True).start()


def main() -> None:
    """The worker's process: messages from stdin, replies to stdout, until stdin ends."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # whatever prints does not disturb the replies

    def reply(message: object) -> None:
        pickle.dump(message, sink, pickle.HIGHEST_PROTOCOL)
        sink.flush()

    with suppress(EOFError, BrokenPipeError, pickle.UnpicklingError):  # the program has ended, perhaps within a message
        model, size = pickle.load(source)
        engine = Engine(model, size, largest=PICTURES)
        engine.warm_up()
        engine(torch.zeros(PICTURES, 3, size, size), [Question()] * PICTURES)  # takes now the memory that it will need
        reply(engine.largest)
        while True:
            reply(answer(engine, *pickle.load(source)))
    os._exit(0)  # the reply that nobody reads is not flushed


def answer(engine: Engine, x: NDArray[np.float32], questions: Sequence[Question]) -> list[PictureResult] | Exception:
    try:
        return engine(torch.from_numpy(x), questions)
    except Exception as error:
        return error


if __name__ == "__main__":
    main()
