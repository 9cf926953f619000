"""Where the network runs, in which precision, and with torch's settings of the calling thread kept away from it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch

from googlenet.errors import UserError

__all__ = ["cores", "half_precision", "lanes", "own_settings", "pick_device"]

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Where Linux says how much of the cores' time a container may use."""


def pick_device(name: str) -> torch.device:
    """`auto` (CUDA where there is a GPU, else the CPU), `cpu` or `cuda`. Raises UserError for CUDA without a GPU."""
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("No CUDA GPU is available here; use --device cpu or --device auto.")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def half_precision(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16, so that training or a CPU's explanations are faster in it.

    A processor without them emulates them, which is much slower than float32. Explanations on a GPU run in float32 all the
    same: see `googlenet.inference.engine`.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def cores() -> int:
    """How many processor cores this process may use: those that it may run on, or its container's part of them."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = map(int, QUOTA.read_text("ascii").split())
    except (OSError, ValueError):  # not Linux, or "max": no limit
        return allowed
    return max(1, min(allowed, quota // period))


def lanes(device: torch.device) -> int:
    """How many passes run side by side: on a CPU as many as its cores have room for, at torch's number of threads for each.

    One thread each gives most answers a second: a single picture gains little from a second thread, and two passes of one
    thread side by side take less time a picture than one pass of two threads.
    """
    return max(1, cores() // torch.get_num_threads()) if device.type == "cpu" else 1


@contextmanager
def own_settings() -> Iterator[None]:
    """Within the block, or in the decorated function, torch works as in a new thread: no inference mode, for instance."""
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield
