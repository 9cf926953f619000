"""The queue between those who ask and the engines: passes side by side, how they share what waits, and who runs them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from googlenet.concurrency.child import ChildEndedError
from googlenet.explanation import Question
from googlenet.inference import device
from googlenet.inference.device import cores, lanes
from googlenet.inference.engine import Engine, PictureResult
from googlenet.inference.passes import PassQueue, Request
from tests.helpers import explainer_of, random_image, random_model

SIDE = 64
TIMEOUT = 60


def engines(count: int) -> list[Engine]:
    model = random_model().for_inference()
    return [Engine(twin, SIDE) for twin in (model, *(model.twin() for _ in range(count - 1)))]


def picture(seed: int = 0) -> Tensor:
    return torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def test_passes_run_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    both, (first, second) = threading.Barrier(2), engines(2)
    queue, run = PassQueue([first, second]), Engine.run

    def watched(self: Engine, x: Tensor, questions: Sequence[Question]) -> list[PictureResult]:
        both.wait(TIMEOUT)  # a pass alone would wait here for ever
        return run(self, x, questions)

    monkeypatch.setattr(Engine, "run", watched)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda seed: queue.run(picture(seed), [Question(target=3)])[0], range(2)))
    for seed, result in enumerate(found):
        (alone,) = run(first, picture(seed), [Question(target=3)])
        assert result["main"] == pytest.approx(alone["main"], abs=1e-4)
        assert result["4c"] == pytest.approx(alone["4c"], abs=1e-4)


def test_engines_that_are_free_share_what_waits() -> None:
    queue = PassQueue(engines(2))
    queue.requests.extend(Request(picture(i), [Question()], Any) for i in range(5))  # type: ignore[arg-type]
    assert len(queue.take_batch()) == 3
    queue.idle.pop()
    assert len(queue.take_batch()) == 2
    queue.requests.extend(Request(picture(i), [Question()], Any) for i in range(20))  # type: ignore[arg-type]
    assert len(queue.take_batch()) == queue.engines[0].largest


class Elsewhere:
    """Runs passes in another place."""

    largest = 8

    def __init__(self, engine: Engine) -> None:
        self.engine, self.asked = engine, 0

    def __call__(self, x: Tensor, questions: Sequence[Question]) -> list[PictureResult]:
        self.asked += len(questions)
        return self.engine(x, questions)


class Lost:
    """Ends within each pass."""

    largest = 8

    def __call__(self, x: Tensor, questions: Sequence[Question]) -> list[PictureResult]:
        raise ChildEndedError(0)


def test_passes_that_were_handed_over_leave_the_engines_to_other_work() -> None:
    here, there = engines(2)
    queue, other = PassQueue([here]), Elsewhere(there)
    with ThreadPoolExecutor(2) as pool:
        with queue.engine() as held:
            assert held is here
            waits = pool.submit(queue.run, picture(), [Question()])
            assert queue.crowded.wait(TIMEOUT)  # the signal to hand over
            handed = pool.submit(queue.hand_over, [other], quiet=1)
            assert waits.result(TIMEOUT)
            assert handed.result(TIMEOUT)  # nobody had to wait for a while
        assert (here.passes, other.asked) == (0, 1)
        assert queue.run(picture(), [Question()])
    assert (here.passes, other.asked) == (1, 1)


def test_a_pass_whose_runner_ends_is_run_by_an_engine() -> None:
    (engine,) = engines(1)
    (wanted,) = engine(picture(), [Question(target=3)])
    queue = PassQueue([engine])
    with ThreadPoolExecutor(2) as pool:
        handed = pool.submit(queue.hand_over, [Lost(), Lost()], quiet=TIMEOUT)
        while not queue.others:
            time.sleep(0.01)
        assert queue.run(picture(), [Question(target=3)])[0]["main"] == pytest.approx(wanted["main"], abs=1e-4)
        assert handed.result(TIMEOUT) is False
    assert engine.passes == 2
    assert queue.free == [engine]


def test_as_many_passes_as_torchs_threads_leave_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "cores", lambda: 6)
    for threads, count in ((1, 6), (2, 3), (4, 1), (6, 1), (12, 1)):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert lanes(torch.device("cpu")) == count
        assert lanes(torch.device("cuda")) == 1
    monkeypatch.setattr("googlenet.inference.explainer.lanes", lambda where: 3)
    explainer = explainer_of(random_model())
    assert len(explainer.passes.engines) == 3
    images = [random_image(100, 100, seed) for seed in range(6)]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(explainer.explain, images))
    for image, found in zip(images, together, strict=True):
        assert found.grids["5b"] == pytest.approx(explainer.explain(image).grids["5b"], abs=1e-3)


@pytest.mark.parametrize(("text", "count"), [("max 100000", 4), ("150000 100000", 1), ("50000 100000", 1), ("900000 100000", 4)])
def test_a_container_has_its_part_of_the_cores(text: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(device, "QUOTA", quota)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(4)), raising=False)
    assert cores() == 4  # no such file
    quota.write_text(text + "\n", "ascii")
    assert cores() == count
