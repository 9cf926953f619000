"""Berkeley's Caffe layout: one protobuf `NetParameter`."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from googlenet.checkpoints.readers.layouts import RawWeights, berkeley, differs
from googlenet.checkpoints.readers.wire import Wire, packed
from googlenet.errors import Reason


def read_caffe(name: str, data: bytes) -> RawWeights:
    """Berkeley's `NetParameter`: field 100 (LayerParameter) in newer files, field 2 (V1LayerParameter) in older ones."""
    return berkeley(name, layers(name, data))


def layers(name: str, data: bytes) -> Iterator[tuple[str, Tensor, Tensor]]:
    """The layers with weights: name, weight, bias."""
    wire = Wire()
    for number, message in wire.fields(memoryview(data)):
        if number not in (100, 2) or isinstance(message, int):
            continue
        layer, blobs = read_layer(wire, message, *((1, 7) if number == 100 else (4, 6)))
        if not blobs:
            continue
        if len(blobs) != 2:
            differs(name, Reason("layer {layer} does not have one weight and one bias", layer=layer))
        weight, bias = (read_blob(wire, blob) for blob in blobs)
        yield layer, squeezed(weight, 2 if weight.shape[:2] == (1, 1) else 4), squeezed(bias, 1)


def read_layer(wire: Wire, message: memoryview, name_field: int, blob_field: int) -> tuple[str, list[memoryview]]:
    layer, blobs = "", []
    for number, value in wire.fields(message):
        if number == name_field and not isinstance(value, int):
            layer = bytes(value[:100]).decode("utf-8", "replace")
        if number == blob_field and not isinstance(value, int):
            blobs.append(value)
    return layer, blobs


def read_blob(wire: Wire, message: memoryview) -> Tensor:
    """A `BlobProto`."""
    data, old, new = [], [0, 0, 0, 0], None
    for number, value in wire.fields(message):
        if isinstance(value, int):
            if 1 <= number <= 4:
                old[number - 1] = value
        elif number == 5:
            data.append(value)
        elif number == 7:
            new = read_shape(wire, value)
    dims = old if new is None else new
    raw = b"".join(data)
    if len(raw) % 4 or min(dims, default=0) < 1 or math.prod(dims) != len(raw) // 4:
        claimed = "×".join(map(str, dims))
        raise Reason("a list claims {claimed} numbers where {stored} are stored", claimed=claimed, stored=len(raw) // 4)
    return torch.frombuffer(bytearray(raw), dtype=torch.float32).reshape(dims)


def read_shape(wire: Wire, message: memoryview) -> list[int]:
    """A `BlobShape`: dim, packed or one by one."""
    dims = [dim for number, value in wire.fields(message) if number == 1 for dim in packed(value, 33)]
    if len(dims) > 32:  # Caffe's own limit
        raise Reason("a list has more than 32 dimensions")
    return dims


def squeezed(blob: Tensor, rank: int) -> Tensor:
    """Without the leading ones to which old files pad four dimensions."""
    while blob.ndim > rank and blob.shape[0] == 1:
        blob = blob[0]
    return blob
