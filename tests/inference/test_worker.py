"""An engine in a process of its own: the same answers, errors that come back, and what happens when either process dies."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence

import pytest
import torch

from googlenet.concurrency.child import ChildEndedError
from googlenet.explanation import Question
from googlenet.inference import worker as worker_room
from googlenet.inference.engine import Engine, PictureResult
from googlenet.inference.worker import PICTURES, Worker
from googlenet.model.network import GoogLeNet
from tests.helpers import PATIENCE, explainer_of, random_image, random_model, until

SIDE = 64


def model() -> GoogLeNet:
    return random_model().for_inference()


def batch() -> tuple[torch.Tensor, list[Question]]:
    return torch.randn(6, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)), [
        Question(target=3),
        Question("aux1"),
        *[Question("aux2", 4, 5, channels=True)] * 4,
    ]


def check(worker: Worker) -> None:
    x, questions = batch()
    engine = Engine(model(), SIDE)
    assert worker.largest == PICTURES
    for found, wanted, question in zip(worker(x, questions), engine(x, questions), questions, strict=True):
        assert found["main"] == pytest.approx(wanted["main"], abs=1e-4)
        assert found["4a"] == pytest.approx(wanted["4a"], abs=1e-4)
        assert (found.get("4a shares") is None) == (wanted.get("4a shares") is None), question


def test_a_worker_answers_as_the_engine_does_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on after an error. One that does not reply is killed: else its questions would wait for ever."""
    monkeypatch.setattr(worker_room, "WALL_SECONDS", 20.0)  # enough for the start; the watch looks each twentieth of it
    worker = Worker(model(), SIDE, threads=1)
    before = worker.child.process.pid
    check(worker)
    with pytest.raises((RuntimeError, IndexError)):
        worker(torch.zeros(1, 5, SIDE, SIDE), [Question()])
    check(worker)
    assert worker.child.process.pid == before
    worker.child.seconds = 0.2
    os.kill(worker.child.process.pid, signal.SIGSTOP)
    for _ in range(2):
        with pytest.raises(ChildEndedError):
            worker(*batch())
        worker.end()
        assert worker.child.process.returncode == -signal.SIGKILL


def test_a_worker_that_cannot_start_leaves_none(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(worker_room, "worker_count", lambda: 2)
    started, begin, modules = list[subprocess.Popen[bytes]](), subprocess.Popen, iter(["googlenet.inference.worker", "this"])

    def popen(command: list[str], **options: object) -> subprocess.Popen[bytes]:
        process = begin([*command[:-1], next(modules)], **options)  # type: ignore[call-overload]
        started.append(process)
        return process

    monkeypatch.setattr("subprocess.Popen", popen)
    assert worker_room.start_workers(model(), SIDE) == []
    assert [process.poll() is None for process in started] == [False, False]
    assert "cannot start" in caplog.text


def test_a_worker_ends_with_its_program() -> None:
    """However that one ends, the system closes its pipes. Else half a gigabyte would stay behind."""
    process = Worker(model(), SIDE, threads=1).child.process
    assert process.stdin
    process.stdin.close()
    assert process.wait(PATIENCE) == 0


class Elsewhere:
    """Stands for a worker: runs the passes on a network of its own until it is lost or ended."""

    largest = PICTURES

    def __init__(self, engine: Engine) -> None:
        self.engine, self.lost, self.ended = engine, False, False

    def __call__(self, x: torch.Tensor, questions: Sequence[Question]) -> list[PictureResult]:
        if self.lost:
            raise ChildEndedError(-signal.SIGKILL)
        return self.engine(x, questions)

    def end(self) -> None:
        self.ended = True


def test_workers_take_over_while_questions_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost one is replaced, and they end when nobody has to wait any more."""
    explainer, workers = explainer_of(random_model()), list[Elsewhere]()

    def start(model: GoogLeNet, size: int) -> list[Elsewhere]:
        workers.append(Elsewhere(Engine(model, size)))
        return workers[-1:]

    monkeypatch.setattr(worker_room, "PAUSE", 0)
    monkeypatch.setattr(worker_room, "start_workers", start)
    passes, image = explainer.passes, random_image(100, 100)
    alone = explainer.explain(image).grids["4c"]

    explainer.answer_in_workers()
    explainer.explain(image)
    assert not workers  # one question at a time starts none
    passes.crowded.set()
    until(lambda: passes.others)
    before = sum(engine.passes for engine in passes.engines)
    assert explainer.explain(image).grids["4c"] == pytest.approx(alone, abs=1e-4)
    assert sum(engine.passes for engine in passes.engines) == before
    assert explainer.probabilities(explainer.preprocess(image))["main"].shape == (1, 10)  # still here
    monkeypatch.setattr(worker_room, "QUIET", 0.2)
    workers[0].lost = True
    assert explainer.explain(image).grids["4c"] == pytest.approx(alone, abs=1e-4)
    passes.crowded.set()
    until(lambda: len(workers) == 2 and workers[1].ended)
    assert workers[0].ended
    assert not passes.others
    assert explainer.explain(image).grids["4c"] == pytest.approx(alone, abs=1e-4)
