"""An engine in a process of its own, for a server that a crowd asks.

A pass on a CPU takes Python's lock again for each of its thousand kernels, and in a server that is busy with requests it waits
for the lock each time. So the server hands its passes over to workers when questions begin to wait: `python -m benchmarks.load`
measures that state. A single visitor does not need them or their memory.
"""

from __future__ import annotations

import logging
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import IO, Any

import torch
from torch import Tensor

from googlenet.concurrency.child import Child, ChildEndedError
from googlenet.explanation import Question
from googlenet.inference.device import cores
from googlenet.inference.engine import Engine, PictureResult
from googlenet.inference.passes import PassQueue
from googlenet.model.network import GoogLeNet

__all__ = ["keep_workers", "worker_count"]

_MOST = 4
"""The most workers, each with its share of the cores. Each loads torch, which takes most of its memory."""
PICTURES = 4
"""The most pictures of one pass. Eight would take little less time a picture and more memory, and the next question would wait
twice as long."""
QUIET = 600
"""Seconds without a question that had to wait, after which the workers end and their memory is free again."""
WALL_SECONDS = 60.0
"""Seconds after which a worker that does not reply is killed. Starting takes 10 on a busy machine, a pass less than one."""
PAUSE = 10
"""Seconds before workers start anew where they could not start or one was killed, for instance for want of memory."""

logger = logging.getLogger(__name__)


class Worker:
    """Answers as the `Engine` of its process does. The process ends with the one that made it."""

    def __init__(self, model: GoogLeNet, size: int, threads: int) -> None:
        """Start the process, with so many threads for a pass; it is ready when this returns. Raises ChildEndedError, OSError."""
        self.child = Child(__name__, WALL_SECONDS, {**os.environ, "OMP_NUM_THREADS": str(threads)})
        try:
            self.largest: int = self.exchange((model, size))
        except ChildEndedError:
            self.end()
            raise

    def __call__(self, x: Tensor, questions: Sequence[Question]) -> list[PictureResult]:
        """`Engine`'s. Raises ChildEndedError where the process has ended."""
        reply: list[PictureResult] | Exception = self.exchange((x.numpy(), list(questions)))
        if isinstance(reply, Exception):
            raise reply
        return reply

    def exchange(self, message: object) -> Any:
        """Send one message and get the reply. Raises ChildEndedError."""

        def talk(stdin: IO[bytes], stdout: IO[bytes]) -> Any:
            pickle.dump(message, stdin, pickle.HIGHEST_PROTOCOL)
            stdin.flush()
            try:
                return pickle.load(stdout)
            except pickle.UnpicklingError:  # cut off
                raise EOFError from None

        return self.child.exchange(talk)

    def end(self) -> None:
        """End the process."""
        self.child.end()


def worker_count() -> int:
    return min(cores(), _MOST)


def keep_workers(passes: PassQueue, copied_model: Callable[[], GoogLeNet], size: int) -> None:
    """In a thread: while questions have to wait, let workers run the passes. Only then is the network copied."""

    def run() -> None:
        while True:
            passes.crowded.wait()
            workers = start_workers(copied_model(), size)
            quiet = bool(workers) and passes.hand_over(workers, QUIET)
            for worker in workers:
                worker.end()
            if not quiet:
                logger.error("The passes run in the program itself; workers start in %d seconds where questions wait.", PAUSE)
                time.sleep(PAUSE)

    threading.Thread(target=run, name="workers", daemon=True).start()


def start_workers(model: GoogLeNet, size: int) -> list[Worker]:
    """`worker_count` workers, side by side; none where one of them cannot start."""
    count = worker_count()
    with ThreadPoolExecutor(count) as pool:
        starts = [pool.submit(Worker, model, size, cores() // count) for _ in range(count)]
    failures = [error for start in starts if (error := start.exception())]
    workers = [start.result() for start in starts if not start.exception()]
    if failures:
        logger.error("A worker cannot start.", exc_info=failures[0])
        for worker in workers:
            worker.end()
        return []
    return workers


def _main() -> None:
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
            x, questions = pickle.load(source)
            try:
                results = engine(torch.from_numpy(x), questions)
            except Exception as error:
                reply(error)
            else:
                reply(results)
    os._exit(0)  # the reply that nobody reads is not flushed


if __name__ == "__main__":
    _main()
