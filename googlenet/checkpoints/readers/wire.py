"""Protobuf's wire format, read without a schema compiler, in time and memory that the file cannot choose.

A parser that is generated from a schema makes an object of each message: 20 MB of empty tensors in an ONNX file took 1.7 GB.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from googlenet.errors import Reason

MAX_FIELDS = 100_000
"""Fields that are read of one file: a GoogLeNet's has a few thousand."""

PIECE = 1 << 16
"""Bytes of a list of numbers that are decoded at a time."""

Field = tuple[int, "int | memoryview"]


class Wire:
    """One file's messages. Raises Reason for bytes that are no message, and after `MAX_FIELDS` fields."""

    def __init__(self) -> None:
        self.left = MAX_FIELDS

    def fields(self, view: memoryview) -> Iterator[Field]:
        """A message's fields, (number, value): an int for a varint, the bytes (not copied) for everything else."""
        at = 0
        while at < len(view):
            self.left -= 1
            if self.left < 0:
                raise Reason("it has more than {limit:,} fields", limit=MAX_FIELDS)
            tag, at = varint(view, at)
            number, wire = tag >> 3, tag & 7
            if wire == 0:
                value, at = varint(view, at)
                yield number, value
                continue
            if wire not in (1, 2, 5) or number == 0:
                raise Reason("no field begins at byte {at}", at=at)
            length = 8 if wire == 1 else 4
            if wire == 2:
                length, at = varint(view, at)
            if length > len(view) - at:
                raise Reason(
                    "field {number} claims {length} bytes where {left} remain", number=number, length=length, left=len(view) - at
                )
            yield number, view[at : at + length]
            at += length


def varint(view: memoryview, at: int) -> tuple[int, int]:
    """The number at a position and the position after it."""
    value = 0
    for index, byte in enumerate(view[at : at + 10]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise Reason("the number at byte {at} has no end", at=at)


def packed(value: int | memoryview, most: int | None = None) -> NDArray[np.int64]:
    """The first `most` numbers of a repeated integer field, packed or one by one; by default all."""
    if isinstance(value, int):
        return np.array([value & 0xFFFF_FFFF_FFFF_FFFF], np.uint64).astype(np.int64)
    found, count = [np.zeros(0, np.int64)], 0
    for piece in pieces(value):
        found.append(piece)
        count += len(piece)
        if most is not None and count >= most:
            break
    return np.concatenate(found)[:most]


def pieces(view: memoryview) -> Iterator[NDArray[np.int64]]:
    """The numbers of a list, `PIECE` bytes at a time: decoding takes 50 times the memory of the bytes."""
    at = 0
    while at < len(view):
        data = np.frombuffer(view[at : at + PIECE], np.uint8)
        ends = np.flatnonzero(data < 0x80)
        whole = len(data) if at + len(data) == len(view) else ends[-1] + 1 if len(ends) else 0
        if not len(ends) or ends[-1] != whole - 1 or np.diff(ends, prepend=-1).max() > 10:
            raise Reason("a list of numbers has no end")
        yield varints(data, ends)
        at += int(whole)


def varints(data: NDArray[np.uint8], ends: NDArray[np.intp]) -> NDArray[np.int64]:
    """The numbers whose last bytes are at `ends`."""
    starts = np.concatenate(([0], ends[:-1] + 1))
    numbers = np.zeros(len(ends), np.uint64)
    for place in range(10):
        at = starts + place
        inside = at <= ends
        digits = data[np.minimum(at, len(data) - 1)].astype(np.uint64) & np.uint64(0x7F)
        numbers |= np.where(inside, digits << np.uint64(7 * place), np.uint64(0))
    return numbers.astype(np.int64)
