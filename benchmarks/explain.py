"""Compares the engine's speed with other packages: `python -m benchmarks.explain [--device cuda] [--batches 1,8,32]`.

All rows run interleaved in one process on the same network and input, from a tensor to the maps on their own cells in the host's
memory. The first round is a warm-up. On a CPU an untimed call precedes each timed one. Each figure is a median. The network has
random weights, on which the speed does not depend, and 1,000 classes. The engine's copy is the one that `Explainer` makes
(BatchNorm folded, channels last). On a GPU the engine replays CUDA graphs, and further rows run without them. A line says which
way its passes took. The rows "plain convolutions" run without the fused kernels of `googlenet.model.convolution`. The other
packages get the network as a user would give it to them. Each precision has its own bare forward pass.

`difference`: of all maps of one batch from plain convolutions without a graph in float32, |a − b| / |b|. `peak MB`: what one call
adds to a new process's peak memory; on a GPU, to the peak of torch's own allocations.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from captum.attr import LayerGradCam
from numpy.typing import NDArray
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor
from torchcam.methods import GradCAM as TorchCAM

from googlenet.explanation import Question
from googlenet.inference.device import half_precision, pick_device
from googlenet.inference.engine import Engine, PictureResult, fastest_kernels
from googlenet.model import convolution
from googlenet.model.architecture import HEADS, STAGES
from googlenet.model.network import GoogLeNet

TARGET = 207
PEERS_UP_TO = 64
"""Larger batches run in the engine alone: nine passes of Captum over 256 pictures take too long."""

Call = Callable[[], object]
EngineCall = Callable[[], list[PictureResult]]


@contextmanager
def plain_convolutions() -> Iterator[None]:
    """Within the block, or in the decorated call, the fused kernels are not used."""
    with patch.object(convolution, "fuses", lambda *_: False):
        yield


def engines(batch: int, size: int, device: torch.device) -> tuple[dict[str, EngineCall], dict[str, Engine]]:
    """name → a call of the engine for one batch, and precision → its engine."""
    model = network(device)
    x = torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(1))
    questions = {
        "": [Question(target=TARGET)] * batch,
        ", with channels": [Question(target=TARGET, channels=True)] * batch,
        ", aux1, aux2 and main asked": [Question(HEADS[i % 3], TARGET) for i in range(batch)],
    }
    half = model.for_inference().to_bfloat16() if half_precision(device) else None
    calls: dict[str, EngineCall] = {}
    by_precision: dict[str, Engine] = {}
    for precision, copy in (("float32", model.for_inference()), ("bfloat16", half)):
        if copy is None:
            continue
        copy = copy.to(memory_format=torch.channels_last)
        engine = by_precision[precision] = Engine(copy, size, largest=batch)
        for name, asked in questions.items():
            calls[f"engine, {precision}{name}"] = partial(engine, x, asked)
        if engine.graphs:
            eager = Engine(copy, size, graphs=False, largest=batch)
            calls[f"engine, {precision}, no graph"] = partial(eager, x, questions[""])
            plain = Engine(copy, size, largest=batch)
            with plain_convolutions():
                plain(x, questions[""])  # captured now, replayed later
            calls[f"engine, {precision}, plain convolutions"] = partial(plain, x, questions[""])
        else:
            calls[f"engine, {precision}, plain convolutions"] = plain_convolutions()(partial(engine, x, questions[""]))
    return calls, by_precision


def way(engine: Engine) -> str:
    """Which way the passes took, after at least one of them."""
    return f"replayed CUDA graphs ({len(engine.plans)} captured)" if engine.graphs else "ran plainly, without CUDA graphs"


def network(device: torch.device) -> GoogLeNet:
    torch.manual_seed(0)
    return GoogLeNet(classes=1000).eval().to(device)


def peers(batch: int, size: int, device: torch.device) -> dict[str, Call]:
    """name → a call of another package, or of the bare forward pass, for one batch on the network as it was trained."""
    model = network(device)
    x = torch.randn(batch, 3, size, size).to(device)
    layers = [model.stage(stage) for stage in STAGES]

    def forward() -> Tensor:
        with torch.no_grad():
            return model(x)

    def captum() -> object:
        return [LayerGradCam(model, layer).attribute(x, target=TARGET) for layer in layers]

    def torchcam() -> object:
        with TorchCAM(model, target_layer=[f"inception{stage}" for stage in STAGES]) as method:
            return method(TARGET, model(x))

    def pytorch_grad_cam() -> object:
        with GradCAM(model, layers) as method:
            return method(x, [ClassifierOutputTarget(TARGET)] * batch)

    calls: dict[str, Call] = {"bare forward, float32": forward}
    if half_precision(device):
        half = network(device).bfloat16()

        def forward_half() -> Tensor:
            with torch.no_grad():
                return half(x)

        calls["bare forward, bfloat16"] = forward_half
    if batch <= PEERS_UP_TO:
        calls |= {
            "torchcam, nine layers": torchcam,
            "grad-cam, nine layers": pytorch_grad_cam,
            "Captum, nine LayerGradCam calls": captum,
        }
    return calls


def differences(calls: dict[str, EngineCall], batch: int, size: int, device: torch.device) -> dict[str, float]:
    """name → relative difference of all main-head maps from plain convolutions without a graph in float32."""

    def maps(results: list[PictureResult]) -> NDArray[np.float32]:
        return np.concatenate([result[stage].ravel() for result in results for stage in STAGES])

    model = network(device).for_inference().to(memory_format=torch.channels_last)
    x = torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(1))
    with plain_convolutions(), fastest_kernels():
        wanted = maps(Engine(model, size, graphs=False, largest=batch)(x, [Question(target=TARGET)] * batch))
    asked_main = {name: call for name, call in calls.items() if "aux1" not in name}
    return {name: float(np.linalg.norm(maps(call()) - wanted) / np.linalg.norm(wanted)) for name, call in asked_main.items()}


def peak_of(name: str, batch: int, size: int, device: torch.device) -> int:
    """Peak memory in MB that one call adds, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.explain", "--memory-of", name, "--batches", str(batch), "--size", str(size)]
    command += ["--device", device.type]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def memory_kb(field: str) -> int:
    status = Path("/proc/self/status").read_text("utf-8")
    return int(next(line for line in status.splitlines() if line.startswith(field)).split()[1])


def memory_of(call: Call, device: torch.device) -> int:
    """Peak memory in bytes that the call adds."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        return torch.cuda.max_memory_allocated() - before
    Path("/proc/self/clear_refs").write_text("5", "ascii")  # Linux: the peak starts anew
    before = memory_kb("VmRSS")
    call()
    return (memory_kb("VmHWM") - before) * 1024


def seconds_of(call: Call, device: torch.device) -> float:
    """Seconds until the call's work is done. A GPU may still work when the call returns, so it is synchronised."""
    started = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def measure(batch: int, size: int, rounds: int, device: torch.device, memory: bool) -> None:
    ours, by_precision = engines(batch, size, device)
    difference = differences(ours, batch, size, device)
    calls: dict[str, Call] = {**peers(batch, size, device), **ours}
    times: dict[str, list[float]] = {name: [] for name in calls}
    with fastest_kernels():
        for i in range(rounds + 1):
            for name, call in calls.items():
                if device.type == "cpu":
                    call()  # untimed: else a row pays for memory that the row before gave back to the system
                seconds = seconds_of(call, device)
                if i:
                    times[name].append(seconds)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"\nbatch {batch}, {size} px, {rounds} rounds")
    print(*(f"The engine in {precision} {way(engine)}.\n" for precision, engine in by_precision.items()))
    print("| what | ms | pictures/s | × bare forward | × torchcam | difference | peak MB |\n|---|---|---|---|---|---|---|")
    for name, value in medians.items():
        bare = medians["bare forward, bfloat16" if "bfloat16" in name else "bare forward, float32"]
        torchcam = f"{value / medians['torchcam, nine layers']:.2f}" if batch <= PEERS_UP_TO else ""
        off = f"{difference[name]:.1e}" if name in difference else ""
        peak = peak_of(name, batch, size, device) if memory else ""
        row = f"{value * 1e3:.2f} | {batch / value:,.0f} | {value / bare:.2f} | {torchcam} | {off} | {peak}"
        print(f"| {name} | {row} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--size", type=int, default=224, help="side of the pictures in pixels")
    parser.add_argument("--batches", default="1,8,32")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--no-memory", action="store_true", help="leave out the peaks, which take a process each")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    batches = [int(batch) for batch in options.batches.split(",")]
    device = pick_device(options.device)
    if options.memory_of:
        calls: dict[str, Call] = {**peers(batches[0], options.size, device), **engines(batches[0], options.size, device)[0]}
        print(memory_of(calls[options.memory_of], device) // 2**20)
        return
    where = torch.cuda.get_device_name() if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    print(f"torch {torch.__version__}, {where}, {torch.get_num_threads()} CPU threads")
    for batch in batches:
        measure(batch, options.size, options.rounds, device, not options.no_memory)


if __name__ == "__main__":
    main()
