"""The queue between the threads that ask and the engines that answer: requests that wait together become one pass."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import torch
from torch import Tensor

from googlenet.concurrency.child import ChildEndedError
from googlenet.explanation import Question
from googlenet.inference.engine import Engine, PictureResult

__all__ = ["PassQueue"]


@dataclass
class Request:
    """Pictures that wait for a pass: at most as many as one pass takes."""

    x: Tensor
    """(N, 3, S, S)"""
    questions: Sequence[Question]
    results: Future[list[PictureResult]]


class Runner(Protocol):
    """An `Engine`, or a worker with one in its own process."""

    largest: int

    def __call__(self, x: Tensor, questions: Sequence[Question]) -> list[PictureResult]: ...


class PassQueue:
    """Requests for engines on twins of one network, from any number of threads.

    A thread that waits for its results runs the next pass as soon as an engine is free, whosever requests that pass is for. The
    engines that are free share what waits. No thread waits for a batch to fill.
    """

    def __init__(self, engines: Sequence[Engine]) -> None:
        self.engines = tuple(engines)
        self.requests: deque[Request] = deque()
        self.idle = list(engines)
        """those of `engines` that nobody uses"""
        self.others: list[Runner] = []
        """who runs the passes in place of the engines (`hand_over`)"""
        self.others_idle: list[Runner] = []
        self.changed = threading.Condition()
        """guards all of these; notified when somebody becomes idle and when `others` change"""
        self.crowded = threading.Event()
        """set when a request has to wait"""

    def parts(self, n: int) -> list[slice]:
        """n pictures in parts of as many as one pass takes."""
        step = self.engines[0].largest
        return [slice(start, start + step) for start in range(0, n, step)]

    def run(self, x: Tensor, questions: Sequence[Question]) -> list[PictureResult]:
        """The passes' own numbers for prepared pictures x (N, 3, S, S) and questions that the caller has checked."""
        own = [Request(x[part], questions[part], Future()) for part in self.parts(len(x))]
        with self.changed:
            self.requests.extend(own)
        while next_pass := self.wait(own):
            runner, batch = next_pass
            try:
                _run_pass(runner, batch)
            except ChildEndedError:
                self.take_back(batch)
            finally:
                self.give_back(runner)
        return [result for request in own for result in request.results.result()]

    def wait(self, own: Sequence[Request]) -> tuple[Runner, list[Request]] | None:
        """Who runs the next pass, and its requests; None as soon as all of one's own are answered."""
        with self.changed:
            while not all(request.results.done() for request in own):
                if self.free and self.requests:
                    batch = self.take_batch()
                    return self.free.pop(), batch
                if self.requests:
                    self.crowded.set()
                self.changed.wait()
        return None

    @property
    def free(self) -> list[Any]:
        """Who can run a pass now."""
        return self.others_idle if self.others else self.idle

    def take_batch(self) -> list[Request]:
        """The requests of the next pass: of the pictures that wait, the part of one who is free."""
        waiting = sum(len(request.questions) for request in self.requests)
        most = min(self.free[-1].largest, -(-waiting // len(self.free)))
        batch = [self.requests.popleft()]
        pictures = len(batch[0].questions)
        while self.requests and pictures + len(self.requests[0].questions) <= most:
            batch.append(self.requests.popleft())
            pictures += len(batch[-1].questions)
        return batch

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """A free engine for other work on its network; none runs a pass with it meanwhile."""
        with self.changed:
            while not self.idle:
                self.changed.wait()
            engine = self.idle.pop()
        try:
            yield engine
        finally:
            self.give_back(engine)

    def give_back(self, runner: Runner) -> None:
        with self.changed:
            if isinstance(runner, Engine):
                self.idle.append(runner)
            elif runner in self.others:
                self.others_idle.append(runner)
            self.changed.notify_all()

    def hand_over(self, runners: Sequence[Runner], quiet: float) -> bool:
        """Let others run the passes, until for `quiet` seconds no request has had to wait. False where one of them has ended."""
        with self.changed:
            self.others, self.others_idle = list(runners), list(runners)
            self.changed.notify_all()
            while self.others:
                self.crowded.clear()
                self.changed.wait_for(lambda: not self.others, quiet)
                if self.others and not self.crowded.is_set():
                    self.others = []
                    return True
        return False

    def take_back(self, batch: Sequence[Request]) -> None:
        """The engines run the passes again, first the one that was lost."""
        with self.changed:
            self.others = []
            self.requests.extendleft(reversed(batch))
            self.changed.notify_all()


def _run_pass(runner: Runner, batch: Sequence[Request]) -> None:
    """Answer requests in one pass. An error of the pass becomes theirs. Raises ChildEndedError, which does not."""
    try:
        x = batch[0].x if len(batch) == 1 else torch.cat([request.x for request in batch])
        results = iter(runner(x, [question for request in batch for question in request.questions]))
        for request in batch:
            request.results.set_result(list(islice(results, len(request.questions))))
    except ChildEndedError:
        raise
    except BaseException as error:
        for request in batch:
            if not request.results.done():
                request.results.set_exception(error)
        if not isinstance(error, Exception):
            raise
