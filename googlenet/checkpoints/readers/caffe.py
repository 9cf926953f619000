"""Berkeley's Caffe layout: one protobuf `NetParameter`."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from googlenet.checkpoints.readers.layouts import Difference
from googlenet.checkpoints.readers.wire import Wire, packed
from googlenet.errors import Reason


def read_layers(data: bytes) -> Iterator[tuple[str, Tensor, Tensor]]:
    """The layers with weights: name, weight, bias. Field 100 (LayerParameter) in newer files, 2 (V1LayerParameter) in older."""
    wire = Wire()
    for number, message in wire.fields(memoryview(data)):
        if number not in (100, 2) or isinstance(message, int):
            continue
        _, parts = wire.parts(message)
        name_field, blob_field = (1, 7) if number == 100 else (4, 6)
        layer = bytes(parts[name_field][-1][:100]).decode("utf-8", "replace") if parts[name_field] else ""
        blobs = parts[blob_field]
        if not blobs:
            continue
        if len(blobs) != 2:
            raise Difference("layer {layer} does not have one weight and one bias", layer=layer)
        weight, bias = (read_blob(wire, blob) for blob in blobs)
        yield layer, squeezed(weight, 2 if weight.shape[:2] == (1, 1) else 4), squeezed(bias, 1)


def read_blob(wire: Wire, message: memoryview) -> Tensor:
    """A `BlobProto`: its numbers, and its shape (dim, packed or one by one) or, in old files, four sides."""
    sides, parts = wire.parts(message)
    dims = [sides[number][-1] if sides[number] else 0 for number in (1, 2, 3, 4)]
    if parts[7]:
        dims = [dim for number, value in wire.fields(parts[7][-1]) if number == 1 for dim in packed(value, 33)]
    if len(dims) > 32:  # Caffe's own limit
        raise Reason("a list has more than 32 dimensions")
    raw = b"".join(parts[5])
    if len(raw) % 4 or min(dims, default=0) < 1 or math.prod(dims) != len(raw) // 4:
        claimed = "×".join(map(str, dims))
        raise Reason("a list claims {claimed} numbers where {stored} are stored", claimed=claimed, stored=len(raw) // 4)
    return torch.frombuffer(bytearray(raw), dtype=torch.float32).reshape(dims)


def squeezed(blob: Tensor, rank: int) -> Tensor:
    """Without the leading ones to which old files pad four dimensions."""
    while blob.ndim > rank and blob.shape[0] == 1:
        blob = blob[0]
    return blob
