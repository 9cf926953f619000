"""The queue between the threads that ask and the model that they share: requests that wait together become one pass."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from googlenet.explanation import Question
from googlenet.inference.engine import Engine, PictureResult


@dataclass
class Request:
    """Pictures that wait for a pass: at most as many as one pass takes."""

    x: Tensor
    """(N, 3, S, S)"""
    questions: Sequence[Question]
    results: Future[list[PictureResult]]


class PassQueue:
    """Requests for one engine, from any number of threads.

    The thread that gets the lock runs the queued requests in one pass, as many as one pass takes, each with its own question. No
    thread waits for a batch to fill.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.requests: deque[Request] = deque()
        self.model_free = threading.Lock()
        """held by the thread that runs the model"""

    def __len__(self) -> int:
        """How many requests wait for a pass."""
        return len(self.requests)

    def parts(self, n: int) -> list[slice]:
        """n pictures in parts of as many as one pass takes."""
        step = self.engine.largest
        return [slice(start, start + step) for start in range(0, n, step)]

    def run(self, x: Tensor, questions: Sequence[Question]) -> list[PictureResult]:
        """The passes' own numbers for prepared pictures x (N, 3, S, S) and questions that the caller has checked."""
        requests = [Request(x[part], questions[part], Future()) for part in self.parts(len(x))]
        self.requests.extend(requests)
        for request in requests:
            while not request.results.done():
                with self.model_free:  # its holder runs what waits, so that this request may be done by now
                    if not request.results.done():
                        self.run_next()
        return [result for request in requests for result in request.results.result()]

    def run_next(self) -> None:
        """One pass over the next requests. The caller holds `model_free`."""
        batch = [self.requests.popleft()]
        pictures = len(batch[0].questions)
        while self.requests and pictures + len(self.requests[0].questions) <= self.engine.largest:
            batch.append(self.requests.popleft())
            pictures += len(batch[-1].questions)
        try:
            x = batch[0].x if len(batch) == 1 else torch.cat([request.x for request in batch])
            results = iter(self.engine(x, [question for request in batch for question in request.questions]))
            for request in batch:
                request.results.set_result(list(islice(results, len(request.questions))))
        except BaseException as error:
            for request in batch:
                if not request.results.done():
                    request.results.set_exception(error)
            if not isinstance(error, Exception):
                raise
