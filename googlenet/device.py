"""Where the network runs, and in which precision."""

import torch

from googlenet.errors import UserError


def pick_device(name: str) -> torch.device:
    """`auto` (CUDA where there is a GPU, else the CPU), `cpu` or `cuda`. Raises UserError for CUDA without a GPU."""
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("No CUDA GPU is available here; use --device cpu or --device auto.")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def half_precision(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32 there: on GPUs, and on CPUs that have instructions for it.

    Without them the CPU emulates it: measured 13 times slower than float32 on a processor with AVX2 alone. On a GPU it
    serves training: an explanation of one or eight pictures gained nothing on an H200; launching its kernels takes the time.
    """
    if device.type == "cuda":
        return True
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # noqa: SLF001
