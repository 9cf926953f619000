"""A picture file → RGB of 8 bits a channel, upright, transparency on white; tile by tile, so that no second copy is needed."""

from __future__ import annotations

import errno
import io
import os
import stat
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, PngImagePlugin, UnidentifiedImageError
from PIL.TiffImagePlugin import BITSPERSAMPLE, ROWSPERSTRIP, TiffImageFile

from googlenet.errors import REASONS, PictureError, reason
from googlenet.pictures.levels import TILE, levels, low_tiles, narrow, need_low_bytes, tiles

__all__ = [
    "FORMATS",
    "MAX_BYTES",
    "Picture",
    "damaged",
    "decode",
    "is_rgb",
    "orientation_of",
    "read_file",
    "rgb_pixels",
    "size_of_file",
]

MAX_BYTES = 20 * 1024 * 1024
_MAX_PIXELS = 50_000_000
MAX_MEMORY = 350_000_000
"""Bytes that decoding may take, estimated before it. The decoding process (`pictures/decoding.py`) gets 400 MB."""
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""The formats that may be read. No other decoder of Pillow gets a visitor's file."""
_BYTES_PER_PIXEL = {"JPEG": 7, "MPO": 7, "PNG": 7, "WEBP": 20, "GIF": 5, "BMP": 7, "TIFF": 7}
"""Upper estimates of the memory that Pillow takes at its peak, the RGB result of 3 bytes included. MPO is a JPEG with a second
picture behind it, as phones write."""
_BYTES_OF_RUN_LENGTHS = 70
"""For a BMP with run-length coding, which Pillow expands in Python."""
_BYTES_DECODED_TWICE = 9
"""Where the low bytes of 16-bit colours are decoded, too: 38 megapixels fit into `MAX_MEMORY`."""

PngImagePlugin.MAX_TEXT_CHUNK = MAX_BYTES  # a long text or colour profile is no damage

_TURNS = (1, 1), (1, -1), (-1, -1), (-1, 1)
"""The steps of the rows and of the columns that bring a picture upright, for EXIF's orientations 1 to 4. The orientations 5 to 8
are the same after rows and columns are swapped."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture, and how large it is in its file."""

    image: Image.Image
    """RGB, upright; possibly reduced"""
    size: tuple[int, int]
    """(width, height) in pixels of the whole upright picture"""


def read_file(path: str | Path) -> bytes:
    """The bytes of a regular file, at most one more than `MAX_BYTES`. Raises PictureError."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise PictureError("{name} is not a regular file; name a picture file.", name=path)
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PictureError("{name} cannot be opened: {error}.", name=path, error=reason(error)) from None
    except ValueError:  # a NUL in the name
        raise PictureError("{name} cannot be opened: {error}.", name=path, error=REASONS[errno.ENOENT]) from None


def _without_waiting(path: str, flags: int) -> int:
    """Open a path without waiting: opening a FIFO waits for a writer otherwise."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def decode(data: bytes, name: str, least: int | None = None) -> Picture:
    """Decode a whole file in this process. Errors call it `name`.

    `least`: a length in pixels. A picture whose shorter side is at least twice as long is reduced by a whole factor (a JPEG by 2,
    4 or 8); its shorter side stays at least this long. None for the whole picture.

    Raises PictureError where it is no picture of `FORMATS`, is damaged, or has more than 20 MB or 50 megapixels, or takes more
    memory than `MAX_MEMORY`.
    """
    image = _opened(data, name)
    size = image.size
    try:
        if least:
            image.draft(None, (least, least))  # a JPEG is decoded at a half, a quarter or an eighth
        factor = max(1, min(image.size) // least) if least else 1
        tiles_of_low = low_tiles(image)
        image.load()
        if tiles_of_low and need_low_bytes(image):
            if image.width * image.height * _BYTES_DECODED_TWICE > MAX_MEMORY:
                raise MemoryError
            low = _opened(data, name)
            low.tile = tiles_of_low
            narrow(image, low)
            low.close()
        orientation = orientation_of(image)  # after loading: Pillow turns a TIFF upright itself, and a PNG may end with its EXIF
        picture: Image.Image = image
        if not is_rgb(image) or orientation != 1 or factor != 1:
            pixels = rgb_pixels(image, orientation, factor)
            image.close()  # frees its memory before the result is made
            picture = Image.fromarray(pixels)
        return Picture(picture, size if orientation < 5 else (size[1], size[0]))
    except MemoryError as error:
        raise _too_large_for_memory(name) from error
    except Exception as error:  # for broken files, Pillow raises nearly every kind
        raise damaged(name) from error


def size_of_file(data: bytes, name: str) -> tuple[int, int]:
    """(width, height) in pixels as stored, read from the file's header. Raises PictureError as `decode` does."""
    return _opened(data, name).size


def _opened(data: bytes, name: str) -> ImageFile.ImageFile:
    """A picture whose header is read and within the limits. Raises PictureError."""
    if len(data) > MAX_BYTES:
        raise PictureError("{name} is larger than 20 MB; save it smaller and try again.", name=name)
    if not data:
        raise PictureError("{name} is empty; choose another picture.", name=name)
    too_large = PictureError("{name} has more than 50 megapixels; save it smaller and try again.", name=name)
    try:
        if data.startswith(b"RIFF") and prod(_webp_size(data)) * _BYTES_PER_PIXEL["WEBP"] > MAX_MEMORY:
            raise _too_large_for_memory(name)  # Pillow takes a WebP's memory when it opens the file
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except PictureError:
        raise
    except UnidentifiedImageError:
        raise PictureError(
            "{name} is not a picture that can be read; use JPEG, PNG, WebP, GIF, BMP or TIFF.", name=name
        ) from None
    except Image.DecompressionBombError:
        raise too_large from None
    except MemoryError as error:
        raise _too_large_for_memory(name) from error
    except Exception as error:  # for broken files, Pillow raises nearly every kind
        raise damaged(name) from error
    pixels = image.width * image.height
    if pixels > _MAX_PIXELS:
        raise too_large
    if pixels * _bytes_per_pixel(image) > MAX_MEMORY:
        raise _too_large_for_memory(name)
    return image


def _webp_size(data: bytes) -> tuple[int, int]:
    """(width, height) in pixels of a WebP's canvas, which its first chunk states (RFC 9649); no pixels for any other file."""
    kind, body = data[12:16], data[20:30].ljust(10, b"\0")
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    bits = int.from_bytes(body[1:5], "little") if kind == b"VP8L" else int.from_bytes(body[6:10], "little")
    if kind == b"VP8L":
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return (bits & 0x3FFF, bits >> 16 & 0x3FFF) if kind == b"VP8 " else (0, 0)


def _bytes_per_pixel(image: ImageFile.ImageFile) -> float:
    """An upper estimate of the memory that decoding takes at its peak."""
    if image.format == "BMP" and image.info.get("compression") in (1, 2):
        return _BYTES_OF_RUN_LENGTHS
    raw = 0.0
    if isinstance(image, TiffImageFile):  # libtiff holds a strip, which may be the whole picture
        bits, rows = image.tag_v2.get(BITSPERSAMPLE, (1,)), image.tag_v2.get(ROWSPERSTRIP, image.height)
        raw = sum(bits) / 8 * min(1, rows / image.height)
    return _BYTES_PER_PIXEL[image.format or ""] + raw


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where none can be read: damage in EXIF data is common and harmless."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # for broken data, Pillow raises nearly every kind
        return 1
    return int(orientation) if orientation in range(1, 9) else 1


def damaged(name: str) -> PictureError:
    return PictureError("{name} is damaged or cut off; save it anew and try again.", name=name)


def _too_large_for_memory(name: str) -> PictureError:
    return PictureError("{name} takes too much memory to decode; save it smaller or as a JPEG and try again.", name=name)


def is_rgb(image: Image.Image) -> bool:
    return image.mode == "RGB" and "transparency" not in image.info


def rgb_pixels(image: Image.Image, orientation: int, factor: int) -> NDArray[np.uint8]:
    """A loaded picture of any mode, stored with this EXIF orientation → RGB (height, width, 3) of the upright picture.

    More than 8 bits a channel are converted by `levels`; transparency is laid on white; factor × factor pixels become one.
    """
    to_bytes = levels(image)
    width, height = -(-image.width // factor), -(-image.height // factor)
    swap, (down, across) = orientation > 4, _TURNS[(orientation - 1) % 4]
    pixels = np.empty((width, height, 3) if swap else (height, width, 3), np.uint8)
    stored = pixels[::down, ::across].swapaxes(0, 1) if swap else pixels[::down, ::across]
    for box in tiles(image.size, TILE // factor * factor or factor):
        tile = _on_white(to_bytes(image.crop(box)))
        x, y = box[0] // factor, box[1] // factor
        part = np.asarray(tile.reduce(factor) if factor > 1 else tile)
        stored[y : y + part.shape[0], x : x + part.shape[1]] = part
    return pixels


def _on_white(image: Image.Image) -> Image.Image:
    """RGB, with what is transparent laid on white."""
    if image.mode not in ("RGBA", "LA", "PA", "RGBa", "La") and "transparency" not in image.info:
        return image.convert("RGB")
    white = Image.new("RGB", image.size, "white")
    image = image.convert("RGBA")
    white.paste(image, mask=image.getchannel("A"))
    return white
