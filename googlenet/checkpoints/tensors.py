"""The check of tensors: every name, shape and value before anything is copied into a network."""

from __future__ import annotations

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from googlenet.architecture import Architecture
from googlenet.errors import WeightsError
from googlenet.model import GoogLeNet


def read_tensors(data: bytes, name: str, source: str) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(data)
    except (SafetensorError, ValueError, KeyError) as error:  # KeyError: a dtype that PyTorch lacks
        raise WeightsError("{file} of {source} is damaged: {error}.", file=name, source=source, error=error) from None


def build(architecture: Architecture, classes: int, tensors: dict[str, Tensor], source: str) -> GoogLeNet:
    """The network with these tensors, every name, shape and value checked before anything is copied."""
    with torch.device("meta"):
        expected = GoogLeNet(architecture, classes).state_dict()
    for name in [*expected, *tensors]:
        if name not in tensors:
            raise WeightsError("The weights of {source} lack the tensor {name}.", source=source, name=name)
        if name not in expected:
            raise WeightsError(
                "The weights of {source} hold a tensor that no GoogLeNet has: {name}.", source=source, name=name[:100]
            )
        found, wanted = tensors[name], expected[name]
        if found.shape != wanted.shape or found.is_floating_point() != wanted.is_floating_point():
            raise WeightsError(
                "{name} of {source} is {found} where {wanted} belongs.",
                name=name,
                source=source,
                found=described(found),
                wanted=described(wanted),
            )
        if not found.float().isfinite().all() or (name.endswith("running_var") and bool((found < 0).any())):
            raise WeightsError("{name} of {source} holds values that no training gives.", name=name, source=source)
    model = GoogLeNet(architecture, classes)
    model.load_state_dict(tensors, strict=True)
    return model.eval()


def described(tensor: Tensor) -> str:
    kind = "float" if tensor.is_floating_point() else "integer"
    return f"{kind} {'×'.join(map(str, tensor.shape))}" if tensor.shape else f"one {kind}"
