"""Protobuf's wire format, read without a schema compiler."""

from __future__ import annotations

from collections.abc import Iterator

from googlenet.checkpoints.readers.converted import MAX_FIELDS


class WireError(ValueError):
    """Bytes that are no protobuf message."""


def varint(view: memoryview, at: int) -> tuple[int, int]:
    """The number at a position and the position after it."""
    value = 0
    for index, byte in enumerate(view[at : at + 10]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise WireError(f"the number at byte {at} has no end")


def fields(view: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """A message's fields, (number, value): an int for a varint, the bytes (not copied) for everything else."""
    at = count = 0
    if not len(view):
        raise WireError("it is empty")
    while at < len(view):
        count += 1
        if count > MAX_FIELDS:
            raise WireError(f"one message has more than {MAX_FIELDS} fields")
        tag, at = varint(view, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = varint(view, at)
            yield number, value
            continue
        if wire not in (1, 2, 5) or number == 0:
            raise WireError(f"byte {at} starts no field")
        length = 8 if wire == 1 else 4
        if wire == 2:
            length, at = varint(view, at)
        if length > len(view) - at:
            raise WireError(f"field {number} claims {length} bytes where {len(view) - at} remain")
        yield number, view[at : at + length]
        at += length
