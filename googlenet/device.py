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
    """Whether the device has instructions for bfloat16, so that training or a CPU's explanations are faster in it.

    A processor without them emulates them: measured 13 times slower than float32 with AVX2 alone. Explanations on a GPU run
    in float32 all the same: see `googlenet.inference.engine`.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
