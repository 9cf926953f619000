"""Checks every tensor's name, shape and values before any is copied into a network."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from googlenet.checkpoints.readers.layouts import FLOATS, MAX_CLASSES, is_plain
from googlenet.errors import WeightsError
from googlenet.model.architecture import Architecture
from googlenet.model.network import GoogLeNet


def build(architecture: Architecture, classes: int, tensors: Mapping[str, Tensor], source: str) -> GoogLeNet:
    """The network with these tensors, float32 and in eval mode. Raises WeightsError for the first that does not fit."""
    with torch.device("meta"):  # only shapes, no memory: the number of classes comes from the file
        model = GoogLeNet(architecture, classes)
    expected = model.state_dict()
    for name in [*expected, *tensors]:
        if name not in tensors:
            raise WeightsError("The weights of {source} lack the tensor {name}.", source=source, name=name)
        if name not in expected:
            raise WeightsError("The weights of {source} hold a tensor that no GoogLeNet has: {name}.", source=source, name=name)
    for name, wanted in expected.items():
        check(name, tensors[name], wanted, source)
    own = {
        name: tensors[name].detach().to(wanted.dtype, copy=True, memory_format=torch.contiguous_format)
        for name, wanted in expected.items()
    }
    model.load_state_dict(own, strict=True, assign=True)
    return model.eval()


def check(name: str, found: Tensor, wanted: Tensor, source: str) -> None:
    if found.shape != wanted.shape:
        raise WeightsError(
            "{name} of {source} has the shape {found} where {wanted} belongs.",
            name=name,
            source=source,
            found=times(found.shape),
            wanted=times(wanted.shape),
        )
    dtypes = FLOATS if wanted.is_floating_point() else (wanted.dtype,)
    if found.dtype not in dtypes:
        raise WeightsError(
            "{name} of {source} holds numbers of the type {found} where {wanted} belongs.",
            name=name,
            source=source,
            found=str(found.dtype).removeprefix("torch."),
            wanted=str(wanted.dtype).removeprefix("torch."),
        )
    if not is_plain(found):
        raise WeightsError("{name} of {source} does not hold all of its numbers.", name=name, source=source)
    if not found.isfinite().all() or (name.endswith("running_var") and bool((found < 0).any())):
        raise WeightsError("{name} of {source} holds values that are not finite, or variances below 0.", name=name, source=source)


def count_classes(tensors: Mapping[str, Tensor], source: str) -> int:
    """The number of classes, by the shape of the main head's linear layer."""
    fc = tensors.get("fc.weight")
    if fc is not None and fc.ndim == 2 and fc.shape[0] == 1:
        raise WeightsError("The weights of {source} have one class; a GoogLeNet tells at least two apart.", source=source)
    if fc is None or fc.ndim != 2 or not 2 <= fc.shape[0] <= MAX_CLASSES:
        raise WeightsError("The weights of {source} have no linear layer of the shape classes×1024 (fc.weight).", source=source)
    return fc.shape[0]


def times(shape: torch.Size) -> str:
    return "×".join(map(str, shape)) or "()"
