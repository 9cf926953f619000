"""Opens pictures, turns them into the network's input, and tells which part of a picture the network sees."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field
from torch import Tensor

from googlenet.errors import PictureError
from googlenet.pictures.frame import Box
from googlenet.pictures.pixels import MAX_BYTES, damaged, decode, is_rgb, orientation_of, read_file, rgb_pixels

__all__ = ["ImageSource", "Preprocess", "open_image"]

ImageSource = Image.Image | bytes | str | Path | IO[bytes] | NDArray[Any]
Pixels = Annotated[int, Field(ge=32, le=1024)]
Mean = Annotated[float, Field(ge=0, le=1)]
Deviation = Annotated[float, Field(ge=1e-4, le=1)]


def open_image(source: ImageSource) -> Image.Image:
    """Open a picture: a file, bytes or a PIL image → RGB, upright by its EXIF orientation, transparency on white.

    More than 8 bits a channel are converted to 8 as `googlenet.pictures.levels` says. Decoding runs in the calling process. For
    files from strangers, `googlenet.pictures.decoding.SHARED.open` also bounds time and memory.

    Args:
        source: a PIL image, a file's path, a file's bytes, a file that is open for reading bytes, or an array (H, W, 3) of RGB:
            uint8 in 0…255, or float in 0…1.

    Returns:
        A picture of mode RGB, of the size that it has in its file. It shares no memory with an image or array.

    Raises:
        PictureError: a missing file, more than 20 MB, more than 50 megapixels, more memory to decode than is
            allowed, not a picture of
            `googlenet.pictures.pixels.FORMATS`, or an array of another shape or range.
    """
    if isinstance(source, Image.Image):
        return _upright_rgb(source)
    if isinstance(source, np.ndarray):
        return _array_image(source)
    if isinstance(source, str | Path):
        return decode(read_file(source), str(source)).image
    data = source if isinstance(source, bytes) else _read_open_file(source)
    return decode(data, "The picture").image


def _array_image(array: NDArray[Any]) -> Image.Image:
    """An array as a picture. Raises PictureError for one that is not RGB."""
    shaped = array.ndim == 3 and array.shape[2] == 3 and array.size > 0
    if shaped and array.dtype.kind == "f" and array.min() >= 0 and array.max() <= 1:  # both are false for NaN
        array = (array * 255).round().astype(np.uint8)
    if not shaped or array.dtype != np.uint8:
        raise PictureError("An array must be height × width × 3, RGB as uint8 or as float in 0…1.")
    return Image.fromarray(array).copy()


def _read_open_file(source: object) -> bytes:
    """The bytes of an open file, from where it stands. Raises PictureError."""
    read = getattr(source, "read", None)
    try:
        data = read(MAX_BYTES + 1) if callable(read) else None
    except ValueError:  # open as text, closed, or open for writing
        data = None
    if not isinstance(data, bytes):
        raise PictureError(
            "{kind} is no picture; give a PIL image, a path, bytes, a file open in mode rb, or an array.",
            kind=type(source).__name__,
        )
    return data


def _upright_rgb(image: Image.Image) -> Image.Image:
    """Convert a PIL image of any mode, loaded or not, as `open_image` does."""
    try:
        image.load()
        orientation = orientation_of(image)
        return image.copy() if is_rgb(image) and orientation == 1 else Image.fromarray(rgb_pixels(image, orientation, 1))
    except Exception as error:  # for broken files, Pillow raises nearly every kind
        raise damaged("The picture") from error


@dataclass(frozen=True)
class Preprocess:
    """How a picture is prepared for a set of weights. `config.json` stores it with them; reading that file checks the limits."""

    resize: Pixels | tuple[Pixels, Pixels]
    """The shorter side in pixels, or (height, width) for a squashed resize."""
    crop: Pixels
    """Side of the centre crop in pixels, at most the resized picture's sides."""
    mean: tuple[Mean, Mean, Mean]
    """RGB in 0…1"""
    std: tuple[Deviation, Deviation, Deviation]
    """RGB in 0…1"""
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "bilinear"

    def __call__(self, image: Image.Image) -> Tensor:
        """An RGB picture → (1, 3, crop, crop) float32. Only what the crop keeps is resized."""
        seen = self.seen(image.size)
        # rounding may put an edge just outside the picture
        box = max(seen.x0, 0), max(seen.y0, 0), min(seen.x1, image.width), min(seen.y1, image.height)
        filter = Image.Resampling[self.interpolation.upper()]
        pixels = torch.from_numpy(np.array(image.resize((self.crop, self.crop), filter, box))).permute(2, 0, 1)
        mean, std = (torch.tensor(values, dtype=torch.float32, device="cpu")[:, None, None] for values in (self.mean, self.std))
        return pixels.to(torch.float32).mul_(1 / 255).sub_(mean).div_(std)[None]

    @property
    def enough(self) -> int:
        """Shorter side in pixels to which a larger picture may be reduced beforehand: twice what the resize makes of it."""
        return 2 * (self.resize if isinstance(self.resize, int) else max(self.resize))

    def resized(self, size: tuple[int, int]) -> tuple[int, int]:
        """(width, height) of a picture → (height, width) after the resize, before the crop."""
        if isinstance(self.resize, tuple):
            return self.resize
        width, height = size
        if width <= height:
            return int(self.resize * height / width), self.resize
        return self.resize, int(self.resize * width / height)

    def seen(self, size: tuple[int, int]) -> Box:
        """The part of a picture of (width, height) that the crop keeps, in the picture's own pixels."""
        height, width = self.resized(size)
        top, left = round((height - self.crop) / 2), round((width - self.crop) / 2)  # as torchvision's center_crop
        x, y = size[0] / width, size[1] / height
        return Box(left * x, top * y, (left + self.crop) * x, (top + self.crop) * y)
