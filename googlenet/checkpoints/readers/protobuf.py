"""Protobuf's wire format, in time and memory that the file cannot choose: Caffe's files are read so, and ONNX's are counted."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator

import torch
from torch import Tensor

from googlenet.checkpoints.readers.layouts import Difference
from googlenet.errors import Reason

__all__ = ["Wire", "field_kinds", "read_caffe_layers"]

MAX_FIELDS = 100_000
"""Fields that are read of one file: a GoogLeNet's has a few thousand."""


class Wire:
    """One file's messages. Raises Reason for bytes that are no message, and after `MAX_FIELDS` fields."""

    def __init__(self) -> None:
        self.left = MAX_FIELDS

    def fields(self, view: memoryview) -> Iterator[tuple[int, int | memoryview]]:
        """A message's fields, (number, value): an int for a varint, the bytes (not copied) for everything else."""
        at = 0
        while at < len(view):
            self.left -= 1
            if self.left < 0:
                raise Reason("it has more than {limit:,} fields", limit=MAX_FIELDS)
            tag, at = _varint(view, at)
            number, wire = tag >> 3, tag & 7
            if wire == 0:
                value, at = _varint(view, at)
                yield number, value
                continue
            if wire not in (1, 2, 5) or number == 0:
                raise Reason("no field begins at byte {at}", at=at)
            length = 8 if wire == 1 else 4
            if wire == 2:
                length, at = _varint(view, at)
            left = len(view) - at
            if length > left:
                raise Reason("field {number} claims {length} bytes where {left} remain", number=number, length=length, left=left)
            yield number, view[at : at + length]
            at += length

    def parts(self, view: memoryview) -> tuple[defaultdict[int, list[int]], defaultdict[int, list[memoryview]]]:
        """A message's fields by number: the integers, and the others."""
        integers: defaultdict[int, list[int]] = defaultdict(list)
        others: defaultdict[int, list[memoryview]] = defaultdict(list)
        for number, value in self.fields(view):
            if isinstance(value, int):
                integers[number].append(value)
            else:
                others[number].append(value)
        return integers, others


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    """The number at a position and the position after it."""
    value = 0
    for index, byte in enumerate(view[at : at + 10]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise Reason("the number at byte {at} has no end", at=at)


def _packed(view: memoryview, most: int) -> list[int]:
    """The first `most` numbers of a packed integer field."""
    found: list[int] = []
    at = 0
    while at < len(view) and len(found) < most:
        number, at = _varint(view, at)
        found.append(number)
    return found


def field_kinds(data: bytes) -> set[tuple[int, bool]]:
    """The numbers of a protobuf message's fields and whether each is an integer, as far as the bytes are such a message."""
    found = set()
    try:
        for number, value in Wire().fields(memoryview(data)):
            found.add((number, isinstance(value, int)))
    except Reason as why:
        if isinstance(cut := why.values.get("number"), int):  # a file that was cut short is still told by its kind
            found.add((cut, False))
    return found


def read_caffe_layers(data: bytes) -> Iterator[tuple[str, Tensor, Tensor]]:
    """The layers with weights of a Caffe file, which is one `NetParameter`: name, weight, bias.

    They are its field 100 (LayerParameter) in newer files and 2 (V1LayerParameter) in older ones.
    """
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
        weight, bias = (_read_blob(wire, blob) for blob in blobs)
        yield layer, _squeezed(weight, 2 if weight.shape[:2] == (1, 1) else 4), _squeezed(bias, 1)


def _read_blob(wire: Wire, message: memoryview) -> Tensor:
    """A `BlobProto`: its numbers, and its shape (dim, packed or one by one) or, in old files, four sides."""
    sides, parts = wire.parts(message)
    dims = [sides[number][-1] if sides[number] else 0 for number in (1, 2, 3, 4)]
    if parts[7]:
        single, lists = wire.parts(parts[7][-1])
        dims = single[1] or [dim for part in lists[1] for dim in _packed(part, 33)]
    if len(dims) > 32:  # Caffe's own limit
        raise Reason("a list has more than 32 dimensions")
    raw = b"".join(parts[5])
    if len(raw) % 4 or min(dims, default=0) < 1 or math.prod(dims) != len(raw) // 4:
        claimed = "×".join(map(str, dims))
        raise Reason("a list claims {claimed} numbers where {stored} are stored", claimed=claimed, stored=len(raw) // 4)
    return torch.frombuffer(bytearray(raw), dtype=torch.float32).reshape(dims)


def _squeezed(blob: Tensor, rank: int) -> Tensor:
    """Without the leading ones to which old files pad four dimensions."""
    while blob.ndim > rank and blob.shape[0] == 1:
        blob = blob[0]
    return blob
