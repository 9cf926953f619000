"""An engine in a process of its own: the same answers, errors that come back, and what happens when either process dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from googlenet.explanation import Question
from googlenet.inference import worker as worker_room
from googlenet.inference.engine import Engine
from googlenet.inference.worker import PICTURES, Worker
from tests.helpers import ROOT, explainer_of, random_image, random_model

SIDE = 96
PATIENCE = 60


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    made = Worker(random_model().for_inference(), SIDE, threads=1)
    yield made
    made.process.kill()
    made.process.wait()


def batch() -> tuple[torch.Tensor, list[Question]]:
    return torch.randn(6, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)), [
        Question(target=3),
        Question("aux1"),
        *[Question("aux2", 4, 5, channels=True)] * 4,
    ]


def check(worker: Worker) -> None:
    x, questions = batch()
    engine = Engine(worker.model, SIDE)
    assert worker.largest == PICTURES
    for found, wanted, question in zip(worker(x, questions), engine(x, questions), questions, strict=True):
        assert found["main"] == pytest.approx(wanted["main"], abs=1e-4)
        assert found["4a"] == pytest.approx(wanted["4a"], abs=1e-4)
        assert (found.get("4a shares") is None) == (wanted.get("4a shares") is None), question


def test_a_worker_answers_as_the_engine_does(worker: Worker) -> None:
    check(worker)


def test_an_error_of_a_pass_comes_back_and_the_worker_goes_on(worker: Worker) -> None:
    before = worker.process.pid
    with pytest.raises((RuntimeError, IndexError)):
        worker(torch.zeros(1, 5, SIDE, SIDE), [Question()])
    check(worker)
    assert worker.process.pid == before


def test_a_worker_that_was_killed_is_replaced(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    before = worker.process.pid
    os.kill(before, signal.SIGKILL)
    check(worker)
    assert worker.process.pid != before
    assert "another one starts" in caplog.text


def test_a_worker_ends_with_its_program(tmp_path: Path) -> None:
    """However that one ends. Else half a gigabyte would stay behind."""
    script = (
        "import time\n"
        "from googlenet.inference.worker import Worker\n"
        "from tests.helpers import random_model\n"
        f"print(Worker(random_model().for_inference(), {SIDE}, 1).process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    program = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert program.stdout
    pid = int(program.stdout.readline())
    os.kill(pid, 0)  # it is there
    program.kill()
    program.communicate()
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the worker is still there")


def test_workers_take_over_when_questions_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_room, "worker_count", lambda: 1)
    explainer = explainer_of(random_model())
    image = random_image(100, 100)
    alone = explainer.explain(image)
    explainer.answer_in_workers()
    explainer.explain(image)
    assert explainer.passes.free is explainer.passes.idle  # one question at a time starts none
    explainer.passes.crowded.set()
    end = time.monotonic() + PATIENCE
    while explainer.passes.free is explainer.passes.idle and time.monotonic() < end:
        time.sleep(0.05)
    (worker,) = explainer.passes.free
    try:
        assert isinstance(worker, Worker)
        before = sum(engine.passes for engine in explainer.passes.engines)
        assert explainer.explain(image).grids["4c"] == pytest.approx(alone.grids["4c"], abs=1e-4)
        assert sum(engine.passes for engine in explainer.passes.engines) == before
        assert explainer.probabilities(explainer.preprocess(image))["main"].shape == (1, 10)  # still here
    finally:
        worker.process.kill()
