"""Directories of tags, as TIFF and EXIF have them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

ORIENTATION = 274

MAX_TAGS = 1000
"""Entries of EXIF data that are read; a camera writes a few dozen."""
TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""TIFF's number of a value type → bytes of one value"""


class Tag(NamedTuple):
    """One entry of a TIFF directory."""

    number: int
    kind: int
    """the type of its values, 1 to 18"""
    values: int
    """how many values"""
    entry: bytes
    """its bytes in the file"""
    value: int
    """the first value of a BYTE, SHORT, LONG or LONG8, else 0"""


def directory(data: bytes, order: str, big: bool) -> Iterator[Tag]:
    """The entries of the first directory of a TIFF. EXIF data is a TIFF, too."""
    (place,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    (entries,) = struct.unpack_from(order + ("Q" if big else "H"), data, place)
    place += 8 if big else 2
    layout = struct.Struct(order + ("HHQ" if big else "HHI"))
    length, room = (20, 8) if big else (12, 4)
    for start in range(place, min(place + entries * length, len(data) - length + 1), length):
        number, kind, count = layout.unpack_from(data, start)
        value, letter = 0, {1: "B", 3: "H", 4: "I", 16: "Q"}.get(kind)
        if letter and count:
            at = start + layout.size
            if TYPE_SIZES[kind] * count > room:
                (at,) = struct.unpack_from(order + ("Q" if big else "I"), data, at)
            (value,) = struct.unpack_from(order + letter, data, at)
        yield Tag(number, kind, count, data[start : start + length], value)


def exif_orientation(exif: bytes) -> int:
    """The orientation, 1 to 8, that EXIF data (a TIFF without pixels) states; 1 where none can be read.

    Only this entry is read, so that damage in another one, which is common, does not matter.
    """
    try:
        for tag in islice(directory(exif, "<" if exif[:1] == b"I" else ">", big=False), MAX_TAGS):
            if tag.number == ORIENTATION:
                return tag.value if 1 <= tag.value <= 8 else 1
    except (struct.error, IndexError, OverflowError):
        pass
    return 1
