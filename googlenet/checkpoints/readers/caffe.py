"""Berkeley's Caffe layout: one protobuf `NetParameter`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from googlenet.checkpoints.readers.converted import CAFFE_LAYERS, Converted, check_berkeley, differs, times
from googlenet.checkpoints.readers.wire import WireError, fields, varint
from googlenet.errors import WeightsError


def read_caffe(name: str, view: memoryview) -> Converted:
    """Berkeley's `NetParameter`: field 100 (LayerParameter) in newer files, field 2 (V1LayerParameter) in older ones."""
    tensors: dict[str, Tensor] = {}
    try:
        for number, message in fields(view):
            if number not in (100, 2) or isinstance(message, int):
                continue
            layer, blobs = read_layer(message, *((1, 7) if number == 100 else (4, 6)))
            if not blobs:
                continue
            if layer not in CAFFE_LAYERS:
                differs(name, f"it has weights in a layer {layer!r}, which has no place in it")
            module = CAFFE_LAYERS[layer]
            if len(blobs) != 2 or f"{module}.weight" in tensors:
                differs(name, f"layer {layer} does not have one weight and one bias")
            tensors[f"{module}.weight"] = read_blob(blobs[0], 4 if module.endswith("conv") else 2)
            tensors[f"{module}.bias"] = read_blob(blobs[1], 1)
    except WireError as error:
        raise WeightsError("{name} is damaged: {error}; fetch it anew.", name=name, error=error) from None
    return check_berkeley(name, tensors)


def read_layer(message: memoryview, name_field: int, blob_field: int) -> tuple[str, list[memoryview]]:
    layer, blobs = "", []
    for number, value in fields(message):
        if number == name_field and not isinstance(value, int):
            layer = bytes(value[:100]).decode("utf-8", "replace")
        if number == blob_field and not isinstance(value, int):
            blobs.append(value)
    return layer, blobs


def read_blob(message: memoryview, rank: int) -> Tensor:
    """A `BlobProto` of at least `rank` dimensions; old files pad theirs to four with leading ones."""
    data, old, new = [], [0, 0, 0, 0], None
    for number, value in fields(message):
        if isinstance(value, int):
            if 1 <= number <= 4:
                old[number - 1] = value
        elif number == 5:
            data.append(value)
        elif number == 7:
            new = read_dims(value)
    dims = old if new is None else new
    raw = b"".join(data)
    if len(raw) % 4 or math.prod(dims) != len(raw) // 4 or not raw:
        raise WireError(f"a blob claims {times(tuple(dims))} numbers where {len(raw) // 4} are stored")
    while len(dims) > rank and dims[0] == 1:
        dims = dims[1:]
    return torch.frombuffer(bytearray(raw), dtype=torch.float32).reshape(dims)


def read_dims(message: memoryview) -> list[int]:
    """A `BlobShape`: dim, packed or one by one."""
    dims: list[int] = []
    for number, value in fields(message):
        if number != 1:
            continue
        if isinstance(value, int):
            dims.append(value)
            continue
        at = 0
        while at < len(value) and len(dims) <= 32:
            dim, at = varint(value, at)
            dims.append(dim)
    if len(dims) > 32:  # Caffe's own limit
        raise WireError("a blob has more than 32 dimensions")
    return dims
