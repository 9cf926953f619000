"""What an explanation costs beside its peers: `python -m benchmarks.explain [--device cuda] [--batches 1,8,32] [--rounds 20]`.

Everything runs interleaved in one process on the same network and input, from tensor to native grids, after one warm-up; each
figure is a median. The network has random weights (speed does not depend on them) and 1,000 classes, at 224×224. The engine's
copy is the one that `Explainer` makes (BatchNorm folded, channels last), in float32 and, where the processor has instructions
for it, in bfloat16; the peers get the network as a user would hand it to them. Memory is what one call adds to a fresh
process's peak, on a GPU to the peak of torch's own allocations there.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest.mock import patch

import torch
from captum.attr import LayerGradCam
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor
from torchcam.methods import GradCAM as TorchCAM

from googlenet import gradcam
from googlenet.architecture import HEADS, STAGES
from googlenet.device import half_precision, pick_device
from googlenet.explanation import Question
from googlenet.gradcam import grad_cam
from googlenet.model import GoogLeNet

TARGET = 207


def one_map(activation: Tensor, gradient: Tensor, _splits: Sequence[int]) -> Tensor:
    """The stage's map alone, without its branches."""
    alpha = gradient.mean(dim=(2, 3))
    return (activation.detach() * alpha[:, :, None, None]).sum(1, keepdim=True)


def contenders(batch: int, device: torch.device) -> dict[str, Callable[[], object]]:
    """name → one call that does the whole work for a batch."""
    torch.manual_seed(0)
    model = GoogLeNet(classes=1000).eval().to(device)
    engine = model.for_inference().to(memory_format=torch.channels_last)
    half = model.for_inference().to(memory_format=torch.channels_last).to_bfloat16()
    x = torch.randn(batch, 3, 224, 224).to(device)
    fast = x.to(memory_format=torch.channels_last)
    layers = [model.stage(stage) for stage in STAGES]

    def forward() -> Tensor:
        with torch.no_grad():
            return model(x)

    def maps_only() -> object:
        with patch.object(gradcam, "branch_maps", one_map):
            return grad_cam(engine, fast, [Question("main", TARGET)] * batch)

    def with_branches() -> object:
        return grad_cam(engine, fast, [Question("main", TARGET)] * batch)

    def in_bfloat16() -> object:
        return grad_cam(half, fast, [Question("main", TARGET)] * batch)

    def three_heads() -> object:
        return grad_cam(engine, fast.repeat(3, 1, 1, 1), [Question(h, TARGET) for h in HEADS for _ in range(batch)])

    def captum() -> object:
        return [LayerGradCam(model, layer).attribute(x, target=TARGET) for layer in layers]

    def torchcam() -> object:
        with TorchCAM(model, target_layer=[f"inception{stage}" for stage in STAGES]) as method:
            return method(TARGET, model(x))

    def pytorch_grad_cam() -> object:
        with GradCAM(model, layers) as method:
            return method(x, [ClassifierOutputTarget(TARGET)] * batch)

    return {
        "bare forward": forward,
        "engine, maps only": maps_only,
        "engine, with branches": with_branches,
        **({"engine, with branches, bfloat16": in_bfloat16} if half_precision(device) else {}),
        "engine, aux1 + aux2 + main asked": three_heads,
        "torchcam, nine layers": torchcam,
        "grad-cam, nine layers": pytorch_grad_cam,
        "Captum, nine LayerGradCam calls": captum,
    }


def peak_of(name: str, batch: int, device: torch.device) -> int:
    """Peak memory in MB that one call adds, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.explain", "--memory-of", name, "--batches", str(batch), "--device", str(device)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def memory_kb(field: str) -> int:
    return int(
        next(line for line in Path("/proc/self/status").read_text("utf-8").splitlines() if line.startswith(field)).split()[1]
    )


def memory_of(call: Callable[[], object], device: torch.device) -> int:
    """Peak memory in bytes that the call adds."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        return torch.cuda.max_memory_allocated() - before
    Path("/proc/self/clear_refs").write_text("5", "utf-8")  # Linux: the peak starts anew
    before = memory_kb("VmRSS")
    call()
    return (memory_kb("VmHWM") - before) * 1024


def seconds_of(call: Callable[[], object], device: torch.device) -> float:
    """Seconds until the call's work is done, on a GPU too, which works on after the call returns."""
    started = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def measure(batch: int, rounds: int, device: torch.device) -> None:
    calls = contenders(batch, device)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for i in range(rounds + 1):
        for name, call in calls.items():
            seconds = seconds_of(call, device)
            if i:
                times[name].append(seconds)
    medians = {name: statistics.median(values) for name, values in times.items()}
    bare = medians["bare forward"]
    print(f"\nbatch {batch}, {rounds} rounds")
    print("| what | ms | × bare forward | peak MB |\n|---|---|---|---|")
    for name, value in medians.items():
        print(f"| {name} | {value * 1e3:.1f} | {value / bare:.2f} | {peak_of(name, batch, device)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--batches", default="1,8,32")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    batches = [int(batch) for batch in options.batches.split(",")]
    device = pick_device(options.device)
    if options.memory_of:
        print(memory_of(contenders(batches[0], device)[options.memory_of], device) // 2**20)
        return
    where = torch.cuda.get_device_name() if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    print(f"torch {torch.__version__}, {where}, {torch.get_num_threads()} CPU threads")
    for batch in batches:
        measure(batch, options.rounds, device)


if __name__ == "__main__":
    main()
