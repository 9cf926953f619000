"""Runs one pass on a device.

A CPU runs the pass as it is. On a GPU, launching its thousand kernels takes several times as long as a small batch's computation.
So the pass, still Captum's, is captured once in a CUDA graph for each batch size of `SIZES`, and replayed. A graph reads from
fixed addresses on the device: pictures, and questions as tensors. Its results are one tensor, which is copied to the host at
once. Where a graph cannot be captured, or its first replay does not give what the pass gave, the engine says so once in the log
and goes on without graphs.

A GPU computes in float32, its convolutions with TF32, as torch does by default: bfloat16 gains little there and changes the maps.
`bash benchmarks/gpu.sh` measures both choices: the rows "no graph" and "bfloat16".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from googlenet.errors import UserError
from googlenet.explanation import Question
from googlenet.inference.device import own_settings
from googlenet.inference.gradcam import Asked, GradCamResult, Parts, one_pass
from googlenet.model.architecture import HEADS, STAGES
from googlenet.model.network import GoogLeNet

__all__ = ["Engine", "PictureResult", "fastest_kernels"]

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""The batch sizes of a GPU's graphs. A batch between two sizes is padded."""
_FIRST = (8, 1)
"""The batch sizes that are captured at the start, for one visitor and for a few. The others are captured at their first use."""
_ROUNDING = 1e-2
"""The relative difference by which a graph's first replay may differ from the pass: TF32 keeps 10 bits, about 1e-3 in a layer."""
_LARGEST_ON_CPU = 8
"""The most pictures of one pass on a CPU. Larger passes delay every request in them; smaller ones cost more a picture."""

logger = logging.getLogger(__name__)

Layout = dict[str, tuple[slice, tuple[int, ...]]]
"""name → its place in a picture's row of results, and its shape"""


@dataclass(frozen=True)
class PictureResult:
    """One picture's results of a pass, in the host's memory."""

    row: NDArray[np.float32]
    """(numbers,): a view of the whole batch's results, which stay in memory with it"""
    layout: Layout

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        """`target` (), a head's logits (classes,), a stage's branch maps (4, H, W), with LayerCAM `<stage> against` (4, H, W),
        and with channels `<stage> indices` (8,), `<stage> shares` (8,) and `<stage> maps` (8, H, W): see `GradCamResult`."""
        where, shape = self.layout[name]
        return self.row[where].reshape(shape)

    def get(self, name: str) -> NDArray[np.float32] | None:
        """As `[]`; None for the logits of a head that the model lacks."""
        return self[name] if name in self.layout else None

    def copy(self) -> PictureResult:
        """The same numbers in memory of their own."""
        return PictureResult(self.row.copy(), self.layout)


def pack(result: GradCamResult) -> tuple[Tensor, Layout]:
    """A pass's results → one tensor (N, numbers) float32, and its layout. Indices up to 2²⁴ are exact in float32."""
    named = {"target": result.targets}
    named |= {head: logits for head, logits in zip(HEADS, result.logits, strict=True) if logits is not None}
    named |= result.branch_maps
    named |= {f"{stage} against": maps for stage, maps in result.against.items()}
    for stage, channels in result.channels.items():
        named |= {f"{stage} {name}": values for name, values in channels._asdict().items()}
    layout: Layout = {}
    columns, start = [], 0
    for name, values in named.items():
        columns.append(values.reshape(len(values), -1).float())
        end = start + columns[-1].shape[1]
        layout[name] = slice(start, end), tuple(values.shape[1:])
        start = end
    return torch.cat(columns, dim=1), layout


class Engine:
    """Runs one model on its device. Only one call may run at a time, since the graphs share their memory."""

    def __init__(self, model: GoogLeNet, size: int, *, graphs: bool | None = None, largest: int | None = None) -> None:
        """For a model as `GoogLeNet.for_inference` gives it, on its device, and pictures with sides of `size` pixels.

        `graphs`: whether to pad and replay; by default only on a GPU. On a CPU a replay computes the pass again (for tests).
        """
        self.model, self.size = model, size
        self.device = next(model.parameters()).device
        self.graphs = self.device.type == "cuda" if graphs is None else graphs
        self.largest = largest or (SIZES[-1] if self.device.type == "cuda" else _LARGEST_ON_CPU)
        self.heads = HEADS if model.aux1 is not None else HEADS[-1:]
        self.passes = 0
        """how many passes have run"""
        self.plans: dict[tuple[int, Parts], Plan] = {}
        self.inputs: Inputs | None = None

    def warm_up(self) -> dict[str, tuple[int, int]]:
        """Run first passes, so that the first question need not wait. Returns stage → (rows, columns) of its map."""
        for n in _FIRST if self.graphs else (1,):
            n = min(n, self.largest)
            results = self(torch.zeros(n, 3, self.size, self.size, dtype=torch.float32), [Question()] * n)
        return {stage: (grid.shape[1], grid.shape[2]) for stage, grid in ((stage, results[0][stage]) for stage in STAGES)}

    @own_settings()
    def __call__(self, x: Tensor, questions: Sequence[Question]) -> list[PictureResult]:
        """Answer one question for each prepared picture x (N, 3, S, S) float32, in as few passes as the memory allows.

        The questions are checked (`Explainer.check`). Raises UserError where the GPU's memory is too small for one picture, or
        the GPU fails.
        """
        results: list[PictureResult] = []
        while len(results) < len(x):
            some = slice(len(results), len(results) + self.largest)
            try:
                results += self.run(x[some], questions[some])
            except (torch.OutOfMemoryError, torch.AcceleratorError) as error:
                if not _is_out_of_memory(error):
                    raise _lost(error) from None
                self.halve(len(x[some]))
        return results

    def halve(self, n: int) -> None:
        """Set `largest` to half of n after the GPU's memory was too small for n pictures. Raises UserError where n is 1."""
        if n == 1:
            raise UserError("The GPU's memory is too small for one picture; use --device cpu.") from None
        self.largest = n // 2
        self.plans.clear()
        self.inputs = None
        logger.warning("The GPU's memory is too small for %d pictures at once; going on with %d.", n, self.largest)

    def run(self, x: Tensor, questions: Sequence[Question]) -> list[PictureResult]:
        """One pass over at most `largest` pictures."""
        self.passes += 1
        parts = Parts.of(questions)
        asked = Asked.of(questions, self.model.fc.out_features)
        plan = self.plan(x, asked, parts) if self.graphs else None
        if plan is not None:
            flat, layout = plan.replay(x, asked), plan.layout
        else:
            x = x.to(self.device, memory_format=torch.channels_last)
            flat, layout = pack(one_pass(self.model, x, asked.to(self.device), parts))
        host = flat.to("cpu", non_blocking=True)
        if self.device.type == "cuda":
            torch.cuda.current_stream(self.device).synchronize()
        return [PictureResult(row, layout) for row in host.numpy()]

    def plan(self, x: Tensor, asked: Asked, parts: Parts) -> Plan | None:
        """The plan for so many pictures, made at first use. None where it cannot be made: then there are no graphs any more.

        A batch size has a plan for the main head alone and one for all heads, which costs little more (`benchmarks.explain`), and
        each of them with and without channels and LayerCAM.
        """
        parts = parts if parts.heads == HEADS[-1:] else parts._replace(heads=self.heads)
        key = next(size for size in SIZES if size >= len(x)), parts
        if key not in self.plans:
            if self.inputs is None:
                most = next(size for size in SIZES if size >= self.largest)
                self.inputs = Inputs.on(self.device, most, self.size, self.model.fc.out_features)
            inputs = self.inputs.first(key[0])
            inputs.take(x, asked)
            try:
                self.plans[key] = Plan(self.model, inputs, parts)
            except Exception as error:
                if _is_out_of_memory(error):
                    raise
                logger.warning("The GPU cannot capture the pass; going on without CUDA graphs.", exc_info=error)
                self.graphs, self.inputs = False, None
                self.plans.clear()
                return None
            if self.device.type == "cuda":
                reserved = torch.cuda.memory_reserved(self.device) / 2**20
                logger.info("Captured %d pictures, %s: %.0f MB of the GPU are in use.", key[0], "+".join(parts.heads), reserved)
        return self.plans[key]


class Inputs(NamedTuple):
    """The tensors that a graph reads, at fixed addresses on the device. All batch sizes share them."""

    x: Tensor
    """(N, 3, S, S) float32, channels last"""
    asked: Asked
    pool: Any
    """the memory that all graphs share: one runs at a time, and its results are copied before the next"""

    @classmethod
    def on(cls, device: torch.device, n: int, size: int, classes: int) -> Inputs:
        """Inputs for n pictures of `size` pixels a side and questions about so many classes."""
        x = torch.zeros(n, 3, size, size, dtype=torch.float32, device=device).to(memory_format=torch.channels_last)
        asked = Asked.of([Question()] * n, classes).to(device)
        return cls(x, asked, torch.cuda.graph_pool_handle() if device.type == "cuda" else None)

    def first(self, n: int) -> Inputs:
        """The first n pictures' part, at the same addresses."""
        return Inputs(self.x[:n], Asked(self.asked.numbers[:n], self.asked.classes[:n]), self.pool)

    def take(self, x: Tensor, asked: Asked) -> None:
        """Copy pictures and their questions to the first places."""
        for place, values in zip((self.x, *self.asked), (x, *asked), strict=True):
            if place.is_cuda:
                place[: len(values)].copy_(values.pin_memory(), non_blocking=True)
            else:
                place[: len(values)] = values


class Plan:
    """The pass for one batch size and set of parts, from inputs at fixed addresses to one tensor of results."""

    def __init__(self, model: GoogLeNet, inputs: Inputs, parts: Parts) -> None:
        """Run the pass on what the inputs hold, capture it, and compare its first replay with the pass, or raise RuntimeError."""
        self.model, self.inputs, self.parts = model, inputs, parts
        plain, self.layout = self.warm_up()
        self.flat = plain
        self.repeat = self.capture()
        self.repeat()
        self.compare(plain)

    def compute(self) -> tuple[Tensor, Layout]:
        """Run the pass on the inputs."""
        return pack(one_pass(self.model, self.inputs.x, self.inputs.asked, self.parts))

    def recompute(self) -> None:
        """Run the pass again, in place of a graph."""
        self.flat, _ = self.compute()

    def warm_up(self) -> tuple[Tensor, Layout]:
        """Run the pass; on a GPU three times: cuDNN then chooses its kernels, and a lack of memory raises."""
        if not self.inputs.x.is_cuda:
            return self.compute()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side), fastest_kernels():
            for _ in range(3):
                flat, layout = self.compute()
        side.synchronize()
        return flat, layout

    def capture(self) -> Callable[[], None]:
        """Capture the pass. Returns its replay, which leaves the results in `flat`; on a CPU, `recompute`."""
        if not self.inputs.x.is_cuda:
            return self.recompute
        torch.cuda.empty_cache()  # the graph has memory of its own: free that of the three passes
        graph = torch.cuda.CUDAGraph()
        side = torch.cuda.Stream()
        # thread_local: other threads may prepare pictures or load other weights to this GPU at the same time
        recording = torch.cuda.graph(graph, pool=self.inputs.pool, stream=side, capture_error_mode="thread_local")
        with fastest_kernels(), recording:
            self.flat, _ = self.compute()
        return graph.replay  # it keeps the graph

    def compare(self, plain: Tensor) -> None:
        """Raise RuntimeError where the logits and maps of the replay differ from the pass's by more than `_ROUNDING`."""
        columns = [where for name, (where, _) in self.layout.items() if name in (*HEADS, *STAGES)]
        wanted, found = (torch.cat([flat[:, where] for where in columns], dim=1) for flat in (plain, self.flat))
        difference = float((found - wanted).norm() / wanted.norm())
        if not difference <= _ROUNDING:  # so written, since it may be NaN
            raise RuntimeError(f"a graph's results differ from the pass's: |a − b| / |b| is {difference:.1e}")

    def replay(self, x: Tensor, asked: Asked) -> Tensor:
        """Results (n, numbers) for n pictures, at most the plan's size. They are valid until the next replay of any plan."""
        self.inputs.take(x, asked)
        self.repeat()
        return self.flat[: len(x)]


def _is_out_of_memory(error: Exception) -> bool:
    """A capture that memory ended fails once more when it is closed: the first error is then the second's context."""
    return any(isinstance(each, torch.OutOfMemoryError) for each in (error, error.__context__))


def _lost(error: RuntimeError) -> UserError:
    """The error for a GPU that failed. Every later call of the GPU fails too, until the process ends."""
    logger.error("The GPU is lost.", exc_info=error)
    return UserError("The GPU does not answer any more; restart the program, with --device cpu if it happens again.")


@contextmanager
def fastest_kernels() -> Iterator[None]:
    """Within the block, cuDNN tries its kernels for each shape and keeps the fastest."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
