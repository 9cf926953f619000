"""How a pass runs on a device. On a CPU all but the capture itself: padding, questions as numbers, results, bounds, faults.

The tests marked `gpu` say what a GPU must give; `python -m pytest -m gpu` runs them where one is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch

from benchmarks.explain import way
from googlenet.errors import UserError
from googlenet.explanation import LAYER_CAM, Cell, Group, Question
from googlenet.inference import engine as engine_room
from googlenet.inference.engine import SIZES, Engine, PictureResult, Plan, pack
from googlenet.inference.gradcam import Asked, Parts, one_pass
from googlenet.model.architecture import BERKELEY, HEADS, STAGES, STAGES_BEFORE
from googlenet.probes.trust import rank_correlation
from tests.helpers import ARCHITECTURES, random_model

SIDE, CLASSES = 64, 10
GROUP = Group("pet", "a", "애완동물", (1, 4, 7), None)
QUESTIONS = [
    Question("main", 1),
    Question("aux1", 2),
    Question("aux2", 3, contrast=4),
    Question("main", 5, contrast=6, channels=True),
    Question("aux1", channels=True, cell=Cell("3b", 2, 3)),
    Question("main", GROUP, contrast=2, channels=True, method=LAYER_CAM),
    Question("aux2", method=LAYER_CAM),
]
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


def pictures(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def padded(largest: int = 8) -> Engine:
    """What runs on a GPU, on the CPU: float64, so that another batch size gives the same numbers (`test_gradcam`)."""
    return Engine(random_model().for_inference().double(), SIDE, graphs=True, largest=largest)


def same(found: PictureResult, wanted: PictureResult, question: Question) -> bool:
    names = ["target", *HEADS, *STAGES_BEFORE[question.head]]
    if question.channels:
        names += [f"{s} {part}" for s in STAGES_BEFORE[question.head] for part in ("indices", "shares", "maps")]
    if question.method == LAYER_CAM:
        names += [f"{s} against" for s in STAGES_BEFORE[question.head]]
    return all(np.abs(found[n] - wanted[n]).max() <= 1e-5 * max(1.0, np.abs(wanted[n]).max()) for n in names)


def test_a_padded_batch_gives_what_each_picture_gives_alone() -> None:
    """Of every size, and whatever the batch before left in the places that pad it."""
    engine = padded()
    plain = Engine(engine.model, SIDE, graphs=False)
    alone = [plain(pictures(7)[i : i + 1], [question])[0] for i, question in enumerate(QUESTIONS)]
    for n in (7, 3, 1):
        for found, wanted, question in zip(engine(pictures(7)[:n], QUESTIONS[:n]), alone, QUESTIONS, strict=False):
            assert same(found, wanted, question)
    assert {size for size, _ in engine.plans} <= set(SIZES[:4])


def test_two_plans_a_size_serve_all_heads_and_twice_as_many_their_parts() -> None:
    engine = padded(largest=2)
    for heads in (("main", "main"), ("aux1", "main"), ("aux2", "aux1")):
        for channels, method in itertools.product((False, True), ("grad-cam", LAYER_CAM)):
            engine(pictures(2), [Question(head, 1, channels=channels, method=method) for head in heads])
    assert len(engine.plans) == 8
    places = {(plan.inputs.x.data_ptr(), plan.inputs.asked.classes.data_ptr()) for plan in engine.plans.values()}
    assert len(places) == 1  # all batch sizes and questions read the same memory


@pytest.mark.parametrize("graphs", [False, True])
def test_more_pictures_than_one_pass_takes(graphs: bool) -> None:
    engine = padded(largest=4)
    engine.graphs = graphs
    questions = [Question("main", i % 10) for i in range(11)]
    results = engine(pictures(11), questions)
    assert [int(result["target"]) for result in results] == [q.target for q in questions]
    assert engine.passes == 3
    assert engine([], []) == []


@pytest.mark.parametrize("graphs", [False, True])
def test_out_of_memory_halves_the_batch_and_goes_on(graphs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, questions = padded(), QUESTIONS[2:6]
    engine.graphs = graphs
    wanted = engine(pictures(4), questions)
    engine.plans.clear()
    true = engine_room.one_pass

    def small(model: object, x: torch.Tensor, *rest: object, **options: object) -> object:
        if len(x) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return true(model, x, *rest, **options)

    monkeypatch.setattr(engine_room, "one_pass", small)
    found = engine(pictures(4), questions)
    assert all(same(*each) for each in zip(found, wanted, questions, strict=True))
    assert engine.largest <= 2
    passes = engine.passes
    engine(pictures(2), questions[:2])
    assert engine.passes == passes + 2 // engine.largest  # it is not tried again


@pytest.mark.parametrize("memory", [False, True])
def test_a_gpu_that_fails_for_one_picture_is_one_sentence(memory: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A capture that memory ended fails once more when it is closed: that is no lost GPU."""

    def lost(_model: object, x: torch.Tensor, *_: object, **__: object) -> None:
        try:
            if memory:
                raise torch.OutOfMemoryError("CUDA out of memory.")
        finally:
            raise torch.AcceleratorError("CUDA error: unspecified launch failure\nCompile with TORCH_USE_CUDA_DSA")

    monkeypatch.setattr(engine_room, "one_pass", lost)
    words = r"too small for one picture; use --device cpu\.$" if memory else "does not answer any more; restart"
    with pytest.raises(UserError, match=words):
        padded()(pictures(2), [Question()] * 2)


def no_capture(_plan: Plan) -> Callable[[], None]:
    raise RuntimeError("CUDA error: operation not permitted when stream is capturing")


def wrong_replay(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Plan], Callable[[], None]]:
    """A capture whose replay gives something else than the pass."""

    def capture(plan: Plan) -> Callable[[], None]:
        def replay() -> None:
            plan.flat = change(plan.compute()[0])

        return replay

    return capture


CAPTURES = {
    "raises": no_capture,
    "raises at the first replay": lambda plan: lambda: no_capture(plan),
    "gives not a number": wrong_replay(lambda flat: flat * torch.nan),
    "gives the pictures in another order": wrong_replay(lambda flat: flat.flip(0)),
}


@pytest.mark.parametrize("fault", CAPTURES)
def test_a_gpu_that_cannot_capture_still_answers(
    fault: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so once, tries it once, and gives what the pass gives."""
    engine, tries, questions = padded(), [], QUESTIONS[3:5]
    wanted = Engine(engine.model, SIDE, graphs=False)(pictures(2), questions)

    def capture(plan: Plan) -> Callable[[], None]:
        tries.append(plan)
        return CAPTURES[fault](plan)

    monkeypatch.setattr(Plan, "capture", capture)
    for _ in range(2):
        found = engine(pictures(2), questions)
        assert all(same(*each) for each in zip(found, wanted, questions, strict=True))
    assert not engine.graphs
    assert way(engine) == "ran plainly, without CUDA graphs"
    assert len(tries) == 1
    assert [record.getMessage() for record in caplog.records] == [
        "The GPU cannot capture the pass; going on without CUDA graphs."
    ]


def test_rounding_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """TF32's kernels may differ in their choice: a replay that is off by a thousandth is kept."""
    engine = padded()
    monkeypatch.setattr(Plan, "capture", wrong_replay(lambda flat: flat * 1.001))
    engine(pictures(2), QUESTIONS[:2])
    assert engine.graphs
    assert way(engine) == "replayed CUDA graphs (1 captured)"


def test_a_capture_that_memory_ends_halves_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, true = padded(), Plan.capture

    def small(plan: Plan) -> Callable[[], None]:
        if len(plan.inputs.x) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return true(plan)

    monkeypatch.setattr(Plan, "capture", small)
    assert len(engine(pictures(3), QUESTIONS[:3])) == 3
    assert engine.graphs
    assert engine.largest <= 2


@pytest.mark.gpu
@GPU
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_graph_gives_what_the_same_kernels_give_eagerly(name: str) -> None:
    """Difference 0, for every batch size that a server meets, questions of all kinds mixed."""
    model = random_model(ARCHITECTURES[name]).for_inference().cuda().to(memory_format=torch.channels_last)
    engine = Engine(model, SIDE)
    assert engine.graphs
    questions = QUESTIONS if model.aux1 is not None else [Question("main", i, channels=i > 3) for i in range(7)]
    heads = HEADS if model.aux1 is not None else ("main",)
    for n in (1, 2, 4):
        x, asked = pictures(n, seed=n), questions[:n]
        found = engine(x, asked)
        found = [result.copy() for result in found]
        engine(pictures(n, seed=9), questions[-n:])  # another replay in the same memory
        inputs = x.cuda().to(memory_format=torch.channels_last)
        parts = Parts.of(asked)
        parts = parts if parts.heads == ("main",) else parts._replace(heads=heads)
        with engine_room.fastest_kernels():
            for _ in range(2):
                flat, _ = pack(one_pass(model, inputs, Asked.of(asked, CLASSES).to(inputs.device), parts))
        assert engine.graphs
        assert all(np.array_equal(result.row, row) for result, row in zip(found, flat.cpu().numpy(), strict=True))


@pytest.mark.gpu
@GPU
@pytest.mark.parametrize("bfloat16", [False, True])
def test_a_graph_gives_the_cpus_order_of_cells(bfloat16: bool) -> None:
    model = random_model(BERKELEY).for_inference()
    x, questions = torch.randn(3, 3, 224, 224), [Question("main", i) for i in range(3)]
    wanted = [result.copy() for result in Engine(model, 224)(x, questions)]
    model.cuda().to(memory_format=torch.channels_last)
    found = Engine(model.to_bfloat16() if bfloat16 else model, 224)(x, questions)
    for a, b in zip(found, wanted, strict=True):
        for stage in STAGES:
            assert rank_correlation(*(result[stage].sum(axis=0) for result in (a, b))) >= 0.99


@pytest.mark.gpu
@GPU
def test_all_sizes_share_their_memory(caplog: pytest.LogCaptureFixture) -> None:
    """Every further graph adds its results at most, and the log says what is in use."""
    caplog.set_level("INFO", engine_room.__name__)
    engine = Engine(random_model().for_inference().cuda().to(memory_format=torch.channels_last), SIDE)
    engine(pictures(256), [Question()] * 256)
    largest = torch.cuda.memory_reserved()
    for size in SIZES[:-1]:
        engine(pictures(size), [Question("aux1")] * size)
    assert torch.cuda.memory_reserved() <= 1.5 * largest
    assert len(caplog.records) == len(SIZES)
    assert "MB of the GPU are in use" in caplog.text


@pytest.mark.gpu
@GPU
def test_little_memory_on_a_gpu_halves_the_batch() -> None:
    engine = Engine(random_model().for_inference().cuda().to(memory_format=torch.channels_last), SIDE)
    engine(pictures(1), [Question()])
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    used = total - free
    torch.cuda.set_per_process_memory_fraction(min(1.0, (used + 700 * 2**20) / total))
    try:
        results = engine(pictures(256), [Question("main", i % 10) for i in range(256)])
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert [int(result["target"]) for result in results] == [i % 10 for i in range(256)]
    assert engine.largest < 256
