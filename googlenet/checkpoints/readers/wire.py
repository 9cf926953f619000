"""Protobuf's wire format, in time and memory that the file cannot choose: Caffe's files are read so, and ONNX's are counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from googlenet.errors import Reason

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


def varint(view: memoryview, at: int) -> tuple[int, int]:
    """The number at a position and the position after it."""
    value = 0
    for index, byte in enumerate(view[at : at + 10]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise Reason("the number at byte {at} has no end", at=at)


def packed(value: int | memoryview, most: int) -> list[int]:
    """The first `most` numbers of a repeated integer field, packed or one by one."""
    if isinstance(value, int):
        return [value]
    found: list[int] = []
    at = 0
    while at < len(value) and len(found) < most:
        number, at = varint(value, at)
        found.append(number)
    return found
