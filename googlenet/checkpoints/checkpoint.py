"""A checkpoint in memory. Its files are read within limits, and each tensor is checked before a network gets it."""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from googlenet.checkpoints.config import MAX_CLASSES, ModelConfig
from googlenet.errors import Reason, WeightsError, reason
from googlenet.explanation import Provenance
from googlenet.model.architecture import STAGES, Architecture
from googlenet.model.network import GoogLeNet

__all__ = [
    "CARD_FILE",
    "CHANNELS_FILES",
    "CONFIG_FILE",
    "FLOATS",
    "MAX_BYTES",
    "MAX_SHEET",
    "WEIGHTS_FILE",
    "LoadProgress",
    "LoadedModel",
    "build",
    "count_classes",
    "is_plain",
    "read_beginning",
    "read_whole",
]

WEIGHTS_FILE, CONFIG_FILE, CARD_FILE = "model.safetensors", "config.json", "README.md"
CHANNELS_FILES = ("channels/index.json", *(f"channels/{stage}.webp" for stage in STAGES))
"""Pictures of what the channels look for (`googlenet.probes.atlas`), which may lie beside the weights."""
MAX_SHEET = 4 << 20
"""The most bytes of one of these files. The sheet of the largest stage has 3.2 megapixels."""
MAX_BYTES = 200 << 20
"""The most bytes of a weights file. The largest published one is Berkeley's, 54 MB."""
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

LoadProgress = Callable[[float, str], None]
"""Called with the share that is done (0…1) and the name of the file."""


@dataclass(frozen=True)
class LoadedModel:
    """A checked network, its configuration and its origin."""

    model: GoogLeNet
    """float32, in eval mode"""
    config: ModelConfig
    provenance: Provenance
    folder: Path | None = None
    """where the weights lie on this disk, with `CHANNELS_FILES` beside them if there are any"""


def read_beginning(path: Path, size: int) -> bytes:
    """The first `size` bytes of a regular file. Raises Reason, also for a device or a pipe, which may have no end."""
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            raise Reason("it is not a regular file")
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise reason(error) from None


def read_whole(path: Path, source: str, limit: int) -> bytes:
    """A file of a SOURCE. Raises WeightsError where it cannot be read or has more than `limit` bytes."""
    try:
        data = read_beginning(path, limit + 1)
    except Reason as why:
        raise WeightsError("{file} of {source} cannot be read: {why}.", file=path.name, source=source, why=why) from None
    if len(data) > limit:
        raise WeightsError("{file} of {source} is larger than {limit} MB.", file=path.name, source=source, limit=limit >> 20)
    return data


def build(architecture: Architecture, classes: int, tensors: Mapping[str, Tensor], source: str) -> GoogLeNet:
    """The network with these tensors, float32 and in eval mode. Raises WeightsError for the first that does not fit."""
    with torch.device("meta"):  # only shapes, no memory: the number of classes comes from the file
        model = GoogLeNet(architecture, classes).float()  # whatever the program's default is
    expected = model.state_dict()
    for name in [*expected, *tensors]:
        if name not in tensors:
            raise WeightsError("The weights of {source} lack the tensor {name}.", source=source, name=name)
        if name not in expected:
            raise WeightsError("The weights of {source} hold a tensor that no GoogLeNet has: {name}.", source=source, name=name)
    own = {}
    for name, wanted in expected.items():
        _check(name, tensors[name], wanted, source)
        own[name] = tensors[name].detach().to(wanted.dtype, copy=True, memory_format=torch.contiguous_format)
    model.load_state_dict(own, strict=True, assign=True)
    return model.eval()


def _check(name: str, found: Tensor, wanted: Tensor, source: str) -> None:
    if found.shape != wanted.shape:
        shapes = {"found": _times(found.shape), "wanted": _times(wanted.shape)}
        raise WeightsError("{name} of {source} has the shape {found} where {wanted} belongs.", name=name, source=source, **shapes)
    if found.dtype not in (FLOATS if wanted.is_floating_point() else (wanted.dtype,)):
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


def is_plain(tensor: Tensor) -> bool:
    """Whether a tensor is numbers in memory: not sparse, on no device, and not a claim without storage."""
    return (
        tensor.layout == torch.strided
        and tensor.device.type == "cpu"
        and tensor.untyped_storage().nbytes() >= tensor.numel() * tensor.element_size()  # a stride of 0 repeats
    )


def _times(shape: torch.Size) -> str:
    return "×".join(map(str, shape)) or "()"


def count_classes(tensors: Mapping[str, Tensor], source: str) -> int:
    """The number of classes, by the shape of the main head's linear layer."""
    fc = tensors.get("fc.weight")
    classes = fc.shape[0] if fc is not None and fc.ndim == 2 else 0
    if classes == 1:
        raise WeightsError("The weights of {source} have one class; a GoogLeNet tells at least two apart.", source=source)
    if not 2 <= classes <= MAX_CLASSES:
        raise WeightsError("The weights of {source} have no linear layer of the shape classes×1024 (fc.weight).", source=source)
    return classes
