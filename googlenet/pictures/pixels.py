"""A picture file → RGB of 8 bits a channel, upright, transparency on white; tile by tile, so that no second copy is needed."""

from __future__ import annotations

import errno
import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, TiffImagePlugin, WebPImagePlugin  # noqa: F401  (else Pillow imports all of its formats at the first WebP)

from googlenet.errors import REASONS, PictureError, reason
from googlenet.pictures.headers import MAX_BYTES, MAX_MEMORY, Header
from googlenet.pictures.levels import TILE, levels, low_tiles, narrow, need_low_bytes, tiles

BYTES_DECODED_TWICE = 9
"""Bytes of memory for a pixel where the low bytes are decoded, too: 38 megapixels fit into `MAX_MEMORY`."""

TURNS = {
    1: (False, 1, 1),
    2: (False, 1, -1),
    3: (False, -1, -1),
    4: (False, -1, 1),
    5: (True, 1, 1),
    6: (True, 1, -1),
    7: (True, -1, -1),
    8: (True, -1, 1),
}
"""EXIF orientation → (swap rows and columns, then step of the rows, step of the columns) that bring the picture upright"""


@dataclass(frozen=True)
class Picture:
    """A decoded picture, and how large it is in its file."""

    image: Image.Image
    """RGB, upright; possibly reduced"""
    size: tuple[int, int]
    """(width, height) in pixels of the whole upright picture"""


def read_file(path: Path) -> bytes:
    """The bytes of a regular file, at most one more than `MAX_BYTES`. Raises PictureError."""
    try:
        with open(path, "rb", opener=without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise PictureError("{name} is not a regular file; name a picture file.", name=path)
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PictureError("{name} cannot be opened: {error}.", name=path, error=reason(error)) from None
    except ValueError:  # a NUL in the name
        raise PictureError("{name} cannot be opened: {error}.", name=path, error=REASONS[errno.ENOENT]) from None


def without_waiting(path: str, flags: int) -> int:
    """Open a path without waiting: opening a FIFO waits for a writer otherwise."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def decode(header: Header, name: str, least: int | None = None) -> Picture:
    """Decode a picture in this process.

    Args:
        header: what `read_header` gives; its limits bound the memory.
        name: what to call it in an error.
        least: a length in pixels. A picture whose shorter side is at least twice as long is reduced by a whole factor (a JPEG by
            2, 4 or 8); its shorter side stays at least this long. None for the whole picture.

    Raises:
        PictureError: it cannot be decoded.
    """
    try:
        image: Image.Image = opened(header)
        if image.size != header.size:
            raise ValueError(f"{image.size} pixels where the header says {header.size}")
        if least and header.format == "JPEG":
            image.draft(None, (least, least))  # decodes at a half, a quarter or an eighth
        factor = max(1, min(image.size) // least) if least else 1
        tiles_of_low = low_tiles(image)
        image.load()
        if tiles_of_low and need_low_bytes(image):
            if image.width * image.height * BYTES_DECODED_TWICE > MAX_MEMORY:
                raise MemoryError
            low = opened(header)
            low.tile = tiles_of_low
            narrow(image, low)
            low.close()
        if not is_rgb(image) or header.orientation != 1 or factor != 1:
            pixels = rgb_pixels(image, header.orientation, factor)
            image.close()  # frees its memory before the result is made
            image = Image.fromarray(pixels)
        return Picture(image, header.upright_size)
    except MemoryError as error:
        raise PictureError(
            "{name} takes too much memory to decode; save it smaller or as a JPEG and try again.", name=name
        ) from error
    except Exception as error:  # for broken files, Pillow raises nearly every kind
        raise PictureError("{name} is damaged or cut off; save it anew and try again.", name=name) from error


def opened(header: Header) -> ImageFile.ImageFile:
    return Image.open(io.BytesIO(header.data), formats=(header.format,))


def is_rgb(image: Image.Image) -> bool:
    return image.mode == "RGB" and "transparency" not in image.info


def rgb_pixels(image: Image.Image, orientation: int, factor: int) -> NDArray[np.uint8]:
    """A loaded picture of any mode → RGB.

    Args:
        image: of any mode. More than 8 bits a channel are converted by `levels`; transparency is laid on white.
        orientation: the EXIF orientation, 1 to 8, of the stored picture.
        factor: factor × factor pixels become one.

    Returns:
        (height, width, 3) of the upright picture.
    """
    to_bytes = levels(image)
    width, height = -(-image.width // factor), -(-image.height // factor)
    swap, down, across = TURNS[orientation]
    pixels = np.empty((width, height, 3) if swap else (height, width, 3), np.uint8)
    stored = pixels[::down, ::across].swapaxes(0, 1) if swap else pixels[::down, ::across]
    for box in tiles(image.size, TILE // factor * factor or factor):
        tile = on_white(to_bytes(image.crop(box)))
        x, y = box[0] // factor, box[1] // factor
        part = np.asarray(tile.reduce(factor) if factor > 1 else tile)
        stored[y : y + part.shape[0], x : x + part.shape[1]] = part
    return pixels


def on_white(image: Image.Image) -> Image.Image:
    """RGB, with what is transparent laid on white."""
    if image.mode not in ("RGBA", "LA", "PA", "RGBa", "La") and "transparency" not in image.info:
        return image.convert("RGB")
    white = Image.new("RGB", image.size, "white")
    image = image.convert("RGBA")
    white.paste(image, mask=image.getchannel("A"))
    return white
