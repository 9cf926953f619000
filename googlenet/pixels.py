"""A picture's file → RGB of 8 bits a channel, upright, transparency on white. In pieces, so that no second copy is needed."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, WebPImagePlugin  # noqa: F401  (else Pillow imports all of its formats at the first WebP)

from googlenet.errors import REASONS, PictureError, reason
from googlenet.headers import MAX_BYTES, Header

TILE = 1024
"""Side in pixels of the pieces in which a picture is converted, so that no second copy of it is needed."""
BITS = (8, 10, 12, 14, 16, *range(17, 33))
"""How many bits of an integer a camera or scanner uses."""

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

ToBytes = Callable[[Image.Image], Image.Image]


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
    """Open a FIFO that has no writer, too, instead of waiting for one."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def decode(header: Header, name: str, least: int | None = None) -> Picture:
    """Decode a picture in this process.

    Args:
        header: of `read_header`, whose limits bound the memory.
        name: what to call it in an error.
        least: in pixels; a picture whose shorter side is at least twice as long is reduced by a whole factor (a JPEG by 2, 4 or
            8) that leaves it at least this long. None for the whole picture.

    Raises:
        PictureError: whatever keeps it from being decoded.
    """
    try:
        image: Image.Image = Image.open(io.BytesIO(header.data), formats=(header.format,))
        if image.size != header.size:
            raise ValueError(f"{image.size} pixels where the header says {header.size}")
        if least and header.format == "JPEG":
            image.draft(None, (least, least))  # decodes at a half, a quarter or an eighth
        factor = max(1, min(image.size) // least) if least else 1
        image.load()
        if not is_rgb(image) or header.orientation != 1 or factor != 1:
            pixels = rgb_pixels(image, header.orientation, factor)
            image.close()  # gives its memory back before the result takes its own
            image = Image.fromarray(pixels)
        return Picture(image, header.upright_size)
    except MemoryError as error:
        raise PictureError(
            "{name} takes too much memory to decode; save it smaller or as a JPEG and try again.", name=name
        ) from error
    except Exception as error:  # Pillow lets nearly every kind out on broken files
        raise PictureError("{name} is damaged or cut off; save it anew and try again.", name=name) from error


def is_rgb(image: Image.Image) -> bool:
    return image.mode == "RGB" and "transparency" not in image.info


def rgb_pixels(image: Image.Image, orientation: int, factor: int) -> NDArray[np.uint8]:
    """A loaded picture of any mode → RGB.

    Args:
        image: of any mode; more than 8 bits a channel are brought to 8 by `levels`, transparency is laid on white.
        orientation: EXIF's, 1 to 8, of the picture as stored.
        factor: so many pixels a side become one.

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


def tiles(size: tuple[int, int], side: int) -> Iterator[tuple[int, int, int, int]]:
    """Boxes (left, top, right, bottom) that cover a picture of (width, height)."""
    for top in range(0, size[1], side):
        for left in range(0, size[0], side):
            yield left, top, min(left + side, size[0]), min(top + side, size[1])


def on_white(image: Image.Image) -> Image.Image:
    """RGB, with what is transparent laid on white."""
    if image.mode not in ("RGBA", "LA", "PA", "RGBa", "La") and "transparency" not in image.info:
        return image.convert("RGB")
    white = Image.new("RGB", image.size, "white")
    image = image.convert("RGBA")
    white.paste(image, mask=image.getchannel("A"))
    return white


def levels(image: Image.Image) -> ToBytes:
    """How a part of this picture gets 8 bits a channel; all parts alike.

    Integers of 16 or 32 bits count from 0 to the largest number of the fewest bits (8, 10, 12, 14, 16, 17 …) that hold 99.99 % of
    the pixels. Floats from 0 to 1 count so, other floats from their minimum to their maximum. What lies outside is clipped; NaN
    and infinity become 0.
    """
    if image.mode == "F":
        black, white = float_range(image)
    elif image.mode.startswith("I"):
        black, white = 0.0, integer_range(image)
    else:
        return lambda tile: tile

    def to_bytes(tile: Image.Image) -> Image.Image:
        values = values_of(tile)
        scaled = ((np.nan_to_num(values, nan=black, posinf=black, neginf=black) - black) * (255 / (white - black))).clip(0, 255)
        return Image.fromarray(np.rint(scaled).astype(np.uint8))

    return to_bytes


def values_of(image: Image.Image) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):  # a NaN may be of the kind that signals
        return np.asarray(image, dtype=np.float64)


def float_range(image: Image.Image) -> tuple[float, float]:
    """What is black and what is white in a picture of mode F."""
    low, high = np.inf, -np.inf
    for box in tiles(image.size, TILE):
        values = values_of(image.crop(box))
        values = values[np.isfinite(values)]
        low, high = min(low, values.min(initial=np.inf)), max(high, values.max(initial=-np.inf))
    if low >= high or (low >= 0 and high <= 1):
        return 0.0, max(1.0, float(high))
    return float(low), float(high)


def integer_range(image: Image.Image) -> float:
    """What is white in a picture of integers."""
    lengths: NDArray[np.int64] = np.zeros(33, np.int64)
    for box in tiles(image.size, TILE):
        values = values_of(image.crop(box)).clip(0)
        lengths += np.bincount(np.frexp(values)[1].ravel(), minlength=33)  # the exponent is the number of bits
    held = lengths.cumsum()
    return float(next(2**bits - 1 for bits in BITS if held[bits] >= 0.9999 * held[-1]))
