"""The header of a picture file, read before a pixel is decoded: format, size, orientation, and the memory that decoding takes.

Pillow reads metadata (EXIF, comments, profiles, text) in Python, some of it in quadratic time, and raises many kinds of
exceptions. Each reader below therefore also returns the file without its metadata, and Pillow gets only that.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from googlenet.errors import PictureError
from googlenet.pictures.tags import ORIENTATION, TYPE_SIZES, directory, exif_orientation

MAX_BYTES = 20 * 1024 * 1024
MAX_PIXELS = 50_000_000
MAX_MEMORY = 350_000_000
"""Bytes that decoding may take, estimated from the header. The decoding process (`pictures/decoding.py`) gets 400 MB."""
MAX_PARTS = 500_000
"""The most segments, chunks, blocks or tags that are read from one file: they take a third of a second."""
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""The formats that may be read. No other decoder of Pillow gets a visitor's file."""


@dataclass(frozen=True)
class Header:
    """What a picture file states about itself."""

    format: str
    """one of `FORMATS`"""
    size: tuple[int, int]
    """(width, height) in pixels as stored, before the orientation is applied"""
    data: bytes
    """the file without its metadata"""
    bytes_per_pixel: float
    """an upper estimate of the memory that decoding takes at its peak, the RGB result of 3 bytes included"""
    orientation: int = 1
    """the EXIF orientation, 1 to 8"""
    passes: int = 1
    """how often the decoder goes over the picture: the scans of a JPEG"""

    @property
    def upright_size(self) -> tuple[int, int]:
        """(width, height) in pixels after the orientation is applied."""
        return self.size if self.orientation < 5 else (self.size[1], self.size[0])


class Frame(NamedTuple):
    """A JPEG's start of frame."""

    size: tuple[int, int]
    several_scans: bool
    """whether libjpeg keeps all coefficients of the picture, 2 bytes each"""
    coefficients: float
    """per pixel: 3 without chroma subsampling, 1.5 with the usual one"""


def read_header(data: bytes, name: str, most_parts: int = MAX_PARTS) -> Header:
    """Read a file's header and check it against the limits.

    Args:
        data: the whole file.
        name: what to call it in an error.
        most_parts: segments, chunks, blocks or tags to read at most.

    Raises:
        PictureError: not a picture of `FORMATS`, more than 20 MB, more than 50 megapixels, more memory than `MAX_MEMORY`, or
            a damaged header.
    """
    if len(data) > MAX_BYTES:
        raise PictureError("{name} is larger than 20 MB; save it smaller and try again.", name=name)
    try:
        header = reader_of(data, name)(data, most_parts)
        if min(header.size) < 1:
            raise ValueError("no pixels")
    except (struct.error, IndexError, ValueError, OverflowError, ZeroDivisionError) as error:
        raise PictureError("{name} is damaged or cut off; save it anew and try again.", name=name) from error
    pixels = header.size[0] * header.size[1]
    if pixels > MAX_PIXELS:
        raise PictureError("{name} has more than 50 megapixels; save it smaller and try again.", name=name)
    if pixels * header.bytes_per_pixel > MAX_MEMORY:
        raise PictureError("{name} takes too much memory to decode; save it smaller or as a JPEG and try again.", name=name)
    return header


def reader_of(data: bytes, name: str) -> Callable[[bytes, int], Header]:
    for signature, reader in READERS.items():
        if data.startswith(signature) and (reader is not webp or data[8:12] == b"WEBP"):
            return reader
    raise PictureError("{name} is not a picture that can be read; use JPEG, PNG, WebP, GIF, BMP or TIFF.", name=name)


def jpeg(data: bytes, most_parts: int) -> Header:
    """ITU-T T.81, annex B. Keeps tables, frame, scans, and what names the colour space (JFIF, Adobe)."""
    kept, exif, frame = [data[:2]], b"", None
    position = 2
    for _ in range(most_parts):
        position = data.index(b"\xff", position)
        marker = data[position + 1]
        if marker == 0xFF:  # padding
            position += 1
            continue
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD9:  # markers without a segment
            position += 2
            continue
        if marker == 0xDA:
            break
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        segment = data[position:end]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if frame:
                raise ValueError("two frames")
            frame = jpeg_frame(segment)
        elif marker == 0xE1 and segment.startswith(b"Exif\0\0", 4):
            exif = exif or segment[10:]
        if 0xC0 <= marker <= 0xCF or marker in (0xDB, 0xDD, 0xEE) or segment.startswith(b"JFIF\0", 4):
            kept.append(segment)
        position = end
    else:
        raise ValueError("too many segments")
    if frame is None:
        raise ValueError("no frame")
    scans = data.count(b"\xff\xda", position)  # in a scan's data, 0xFF is followed by 0x00 or a restart marker
    coefficients = 2 * frame.coefficients if frame.several_scans or scans > 1 else 0
    stripped = b"".join([*kept, memoryview(data)[position:]])
    return Header("JPEG", frame.size, stripped, 4 + max(coefficients, 3), exif_orientation(exif), scans)


def jpeg_frame(segment: bytes) -> Frame:
    height, width, components = struct.unpack_from(">HHB", segment, 5)
    sampling = [segment[11 + 3 * i] for i in range(components)]
    cells = [(s >> 4) * (s & 15) for s in sampling]
    return Frame((width, height), segment[1] in (0xC2, 0xCA), sum(cells) / max(cells))


def png(data: bytes, most_parts: int) -> Header:
    """ISO/IEC 15948. Keeps the chunks that decoding needs. A colour profile or a text may have any length."""
    view, exif = memoryview(data), b""
    kept = [view[:8]]
    position = 8
    if data[12:16] != b"IHDR":
        raise ValueError("no header")
    for _ in range(most_parts):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            kept.append(view[position:end])
        elif kind == b"eXIf":
            exif = exif or data[position + 8 : end - 4]
        if kind == b"IEND" or end >= len(data):
            break
        position = end
    else:
        raise ValueError("too many chunks")
    return Header("PNG", struct.unpack_from(">II", data, 16), b"".join(kept), 7, exif_orientation(exif))


def gif(data: bytes, most_parts: int) -> Header:
    """GIF89a. Keeps the first frame and its transparency; comments, which Pillow reads in quadratic time, are left out."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    screen, control = data[:position], b""
    for _ in range(most_parts):
        introducer = data[position]
        if introducer == 0x2C:  # a frame
            break
        if introducer != 0x21:  # a byte between two blocks, which Pillow skips, too
            position += 1
            continue
        start, label = position, data[position + 1]
        position += 2
        while size := data[position]:
            position += 1 + size
            most_parts -= 1
            if most_parts < 0:
                raise ValueError("too many blocks")
        position += 1
        if label == 0xF9:
            control = data[start:position]
    else:
        raise ValueError("too many blocks")
    left, top, across, down = struct.unpack_from("<HHHH", data, position + 1)
    return Header(
        "GIF", (max(width, left + across), max(height, top + down)), b"".join([screen, control, memoryview(data)[position:]]), 5
    )


def bmp(data: bytes, most_parts: int) -> Header:
    """Windows and OS/2 bitmaps. Pillow expands run-length coding in Python, which takes 0.25 s for a megapixel."""
    if struct.unpack_from("<I", data, 14) == (12,):
        width, height = struct.unpack_from("<HH", data, 18)
        return Header("BMP", (width, height), data, 7)
    width, height, _, _, compression = struct.unpack_from("<iiHHI", data, 18)
    return Header("BMP", (abs(width), abs(height)), data, 70 if compression in (1, 2) else 7)


def webp(data: bytes, most_parts: int) -> Header:
    """RIFF. Keeps the whole file: libwebp reads the container itself. Its animation decoder holds two RGBA canvases."""
    exif = b""
    size: tuple[int, int] | None = None
    position = 12
    for _ in range(most_parts):
        if position + 8 > len(data):
            break
        kind, length = struct.unpack_from("<4sI", data, position)
        body = position + 8
        if size is None and kind == b"VP8X":
            size = 1 + uint24(data, body + 4), 1 + uint24(data, body + 7)
        elif size is None and kind == b"VP8L":
            (bits,) = struct.unpack_from("<I", data, body + 1)
            size = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        elif size is None and kind == b"VP8 ":
            width, height = struct.unpack_from("<HH", data, body + 6)
            size = width & 0x3FFF, height & 0x3FFF
        elif kind == b"EXIF":
            exif = exif or data[body : body + length].removeprefix(b"Exif\0\0")
        position = body + length + length % 2
    else:
        raise ValueError("too many chunks")
    if size is None:
        raise ValueError("no picture")
    return Header("WEBP", size, data, 20, exif_orientation(exif))


def uint24(data: bytes, position: int) -> int:
    return int.from_bytes(data[position : position + 3], "little")


WIDTH, HEIGHT, BITS, SAMPLES, STRIP_ROWS, TILE_ROWS = 256, 257, 258, 277, 278, 323
SINGLE = {WIDTH, HEIGHT, SAMPLES, STRIP_ROWS, TILE_ROWS, 259, 262, 266, 284, 292, 293, 317, 322}
"""TIFF tags that have one value"""
FOR_PIXELS = SINGLE | {BITS, 273, 279, 320, 324, 325, 338, 339, 347, 512, 513, 514, 515, 519, 520, 521, 529, 530, 531, 532}
"""TIFF tags that decoding needs"""


def tiff(data: bytes, most_parts: int) -> Header:
    """TIFF 6.0 and BigTIFF. Appends a new directory for the first page, with only the tags that decoding needs."""
    order = "<" if data[:1] == b"I" else ">"
    big = 43 in data[2:4]
    found = {WIDTH: 0, HEIGHT: 0, BITS: 1, SAMPLES: 1, ORIENTATION: 1, STRIP_ROWS: MAX_PIXELS, TILE_ROWS: MAX_PIXELS}
    kept, numbers, total = [], set(), 0
    for count, tag in enumerate(directory(data, order, big)):
        if count >= most_parts:
            raise ValueError("too many tags")
        if tag.number in found:
            found[tag.number] = tag.value
        if tag.number in FOR_PIXELS:
            if tag.number in SINGLE and tag.values != 1:
                raise ValueError(f"tag {tag.number} has {tag.values} values")
            numbers.add(tag.number)
            total += TYPE_SIZES.get(tag.kind, 0) * tag.values
            kept.append(tag.entry)
    if not {273, 324, 513} & numbers:
        raise ValueError("no pixels")
    if total > len(data):  # values that overlap would be copied many times
        raise ValueError("more values than bytes")
    new = struct.pack(order + ("Q" if big else "H"), len(kept)) + b"".join(kept) + bytes(8)
    place = len(data) + len(data) % 2
    start = data[:8] + struct.pack(order + "Q", place) if big else data[:4] + struct.pack(order + "I", place)
    stripped = b"".join([start, memoryview(data)[len(start) :], bytes(len(data) % 2), new])
    raw = found[BITS] * found[SAMPLES] / 8 * min(1, found[STRIP_ROWS] / found[HEIGHT], found[TILE_ROWS] / found[HEIGHT])
    orientation = found[ORIENTATION] if 1 <= found[ORIENTATION] <= 8 else 1
    return Header("TIFF", (found[WIDTH], found[HEIGHT]), stripped, 7 + raw, orientation)


READERS: dict[bytes, Callable[[bytes, int], Header]] = {
    b"\xff\xd8": jpeg,
    b"\x89PNG\r\n\x1a\n": png,
    b"RIFF": webp,
    b"GIF87a": gif,
    b"GIF89a": gif,
    b"BM": bmp,
    b"II*\0": tiff,
    b"MM\0*": tiff,
    b"II+\0": tiff,
    b"MM\0+": tiff,
}
"""first bytes → reader"""
