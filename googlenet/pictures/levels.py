"""Convert values of any bit depth to 8 bits a channel, tile by tile, so that no second copy of a picture is needed.

For integers of 16 or 32 bits, black is 0. White is the largest number of b bits, where b is the smallest of 8, 10, 12, 14, 16,
17 … that holds 99.99 % of the pixels. For floats between 0 and 1, black is 0 and white is 1. For other floats, black is the
minimum and white the maximum. Values outside are clipped; NaN and infinity become black.

Of a 16-bit colour, Pillow keeps only the high byte, so that 12-bit colours in a 16-bit file would be dark. Where it is told the
opposite byte order, it keeps the low byte. A file whose high bytes are small is therefore decoded twice, once for each byte.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

__all__ = ["TILE", "levels", "low_tiles", "narrow", "need_low_bytes", "tiles"]

TILE = 1024
"""Side in pixels of the tiles in which a picture is converted."""
_BITS = (8, 10, 12, 14, 16, *range(17, 33))
"""How many bits of an integer a camera or scanner uses."""
_SWAPPED = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}
"""Pillow's name for a byte order → its name for the order with which it keeps the other byte"""
_LOW_BYTES = {f"{bands};{order}": f"{bands};{_SWAPPED[order]}" for bands in ("RGB", "RGBX", "RGBA") for order in _SWAPPED} | {
    "LA;16B": "RGBA"  # the four bytes of a pixel, one a band
}
"""Pillow's name for a layout of 16-bit colours → its name for the layout with which it keeps their low bytes"""
_PLANAR_CONFIGURATION = 284
"""A TIFF tag: 2 where each band is stored apart. Pillow has no names for the layout of such rows."""

ToBytes = Callable[[Image.Image], Image.Image]


def tiles(size: tuple[int, int], side: int = TILE) -> Iterator[tuple[int, int, int, int]]:
    """Boxes (left, top, right, bottom) that cover a picture of (width, height)."""
    for top in range(0, size[1], side):
        for left in range(0, size[0], side):
            yield left, top, min(left + side, size[0]), min(top + side, size[1])


def levels(image: Image.Image) -> ToBytes:
    """The function that converts a tile of this picture to 8 bits a channel: the same for all of its tiles."""
    if image.mode == "F":
        black, white = _float_range(image)
    elif image.mode.startswith("I"):
        black, white = 0.0, _integer_range(image)
    else:
        return lambda tile: tile
    return lambda tile: Image.fromarray(_to_bytes(_values_of(tile), black, white))


def _to_bytes(values: NDArray[Any], black: float, white: float) -> NDArray[np.uint8]:
    """Values of any shape → 0 at `black` to 255 at `white`."""
    finite = np.nan_to_num(values.astype(np.float64), nan=black, posinf=black, neginf=black)
    return np.rint(((finite - black) * (255 / (white - black))).clip(0, 255)).astype(np.uint8)


def _values_of(image: Image.Image) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):  # a signalling NaN
        return np.asarray(image, dtype=np.float64)


def _float_range(image: Image.Image) -> tuple[float, float]:
    """The values of black and white in a picture of mode F."""
    low, high = np.inf, -np.inf
    for box in tiles(image.size):
        values = _values_of(image.crop(box))
        values = values[np.isfinite(values)]
        low, high = min(low, values.min(initial=np.inf)), max(high, values.max(initial=-np.inf))
    if low >= high or (low >= 0 and high <= 1):
        return 0.0, max(1.0, float(high))
    return float(low), float(high)


def _integer_range(image: Image.Image) -> float:
    """The value of white in a picture of integers."""
    lengths: NDArray[np.int64] = np.zeros(33, np.int64)
    for box in tiles(image.size):
        values = _values_of(image.crop(box)).clip(0)
        lengths += np.bincount(np.frexp(values)[1].ravel(), minlength=33)  # the exponent is the number of bits
    return _white_of(lengths.cumsum())


def _white_of(held: NDArray[np.int64]) -> float:
    """The largest number of the fewest bits that hold 99.99 % of the values; `held[b]` is how many values b bits hold."""
    return float(next(2**bits - 1 for bits in _BITS if held[bits] >= 0.9999 * held[-1]))


def low_tiles(image: Image.Image) -> list[ImageFile._Tile]:
    """The `tile` list with which Pillow decodes the low bytes of the 16-bit colours of a picture that is opened and not loaded.

    It is for the same picture, opened again. Empty where it has no such colours or Pillow cannot decode them.
    """
    if not isinstance(image, ImageFile.ImageFile) or getattr(image, "tag_v2", {}).get(_PLANAR_CONFIGURATION) == 2:
        return []
    found = []
    for tile in image.tile:
        args = (tile.args,) if isinstance(tile.args, str) else tile.args
        if not args or args[0] not in _LOW_BYTES:
            return []
        found.append(tile._replace(args=(_LOW_BYTES[args[0]], *args[1:])))
    return found


def need_low_bytes(high: Image.Image) -> bool:
    """Whether the high bytes of 16-bit colours are not enough: 14 bits hold 99.99 % of the values, or a colour is transparent."""
    counts = np.array(high.histogram()[: 3 * 256]).reshape(3, 256).sum(axis=0)
    return bool(counts[:64].sum() >= 0.9999 * counts.sum()) or "transparency" in high.info


def narrow(high: Image.Image, low: ImageFile.ImageFile) -> None:
    """Convert 16-bit colours to 8 bits, colours and transparency each by their own range.

    `high`, RGB or RGBA, has the high bytes, and gets the result. `low` is the same picture, opened again, with `low_tiles`.
    """
    grey = low.tile[0].args == ("RGBA",)
    its_low = {"R": "G", "G": "G", "B": "G", "A": "A"} if grey else {band: band for band in "RGBA"}
    low.load()

    def values(box: tuple[int, int, int, int], band: str) -> NDArray[np.uint16]:
        first, second = high.crop(box).getchannel(band), low.crop(box).getchannel(its_low[band])
        return np.asarray(first).astype(np.uint16) << 8 | np.asarray(second)

    to_8_bits: dict[str, NDArray[np.uint8]] = {}
    for group in ("RGB", "A"):
        counts: NDArray[np.int64] = np.zeros(2**16, np.int64)
        ours = [band for band in high.getbands() if band in group]
        for box in tiles(high.size):
            for band in ours:
                counts += np.bincount(values(box, band).ravel(), minlength=2**16)
        held = counts.cumsum()[[2**bits - 1 for bits in range(17)]]
        to_8_bits |= dict.fromkeys(ours, _to_bytes(np.arange(2**16), 0, _white_of(held)))
    transparent = high.info.pop("transparency", None)
    for box in tiles(high.size):
        parts = {band: values(box, band) for band in high.getbands()}
        narrowed = {band: to_8_bits[band][part] for band, part in parts.items()}
        if transparent is not None:
            clear = np.logical_and.reduce([parts[band] == value for band, value in zip("RGB", transparent, strict=True)])
            for part in narrowed.values():
                part[clear] = 255
        high.paste(Image.merge(high.mode, [Image.fromarray(part) for part in narrowed.values()]), box)
