"""Bytes or a file → a clean RGB picture; a picture → the network's input, and the way back to the picture's frame."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from pydantic import Field
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

from googlenet.errors import PictureError
from googlenet.explanation import Box

MAX_BYTES = 20 * 1024 * 1024
MAX_PIXELS = 50_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""Pillow decoders that a visitor's bytes may reach; the rest stay shut."""

ImageSource = Image.Image | bytes | str | Path
Pixels = Annotated[int, Field(ge=32, le=1024)]
Mean = Annotated[float, Field(ge=0, le=1)]
Deviation = Annotated[float, Field(ge=1e-4, le=1)]


def open_image(source: ImageSource) -> Image.Image:
    """The one door for pictures: a file, bytes or a PIL image → RGB, upright by its EXIF orientation, transparency on white.

    Raises PictureError for a missing file, more than 20 MB, more than 50 megapixels by the header, or what is no picture.
    """
    if isinstance(source, Image.Image):
        return upright_rgb(source)
    name = "The picture" if isinstance(source, bytes) else str(source)
    data = source if isinstance(source, bytes) else read_file(Path(source))
    if len(data) > MAX_BYTES:
        raise PictureError("{name} is larger than 20 MB; save it smaller and try again.", name=name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own, lower limit follows
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise PictureError("{name} has more than 50 megapixels; save it smaller and try again.", name=name)
        return upright_rgb(image)
    except UnidentifiedImageError:
        raise PictureError(
            "{name} is not a picture that can be read; use JPEG, PNG, WebP, GIF, BMP or TIFF.", name=name
        ) from None
    except Image.DecompressionBombError:
        raise PictureError("{name} has more than 50 megapixels; save it smaller and try again.", name=name) from None
    except (OSError, ValueError, SyntaxError, EOFError) as error:  # what Pillow's decoders raise on broken files
        raise PictureError("{name} is damaged ({error}); save it anew and try again.", name=name, error=error) from None


def read_file(path: Path) -> bytes:
    """The file's bytes, at most one more than `MAX_BYTES`."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PictureError("{name} cannot be opened: {error}.", name=path, error=error.strerror) from None


def upright_rgb(image: Image.Image) -> Image.Image:
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":  # 16 and 32 bits a pixel: convert() would clip them to white
        pixels = np.asarray(image, dtype=np.float32)
        peak = max(float(pixels.max()), 255.0)
        image = Image.fromarray((pixels.clip(0) / peak * 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


@dataclass(frozen=True)
class Preprocess:
    """How a picture becomes the input of a set of weights; travels with them in `config.json`, where its limits are checked."""

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
        """An RGB picture → (1, 3, crop, crop) float32."""
        height, width = self.resized(image.size)
        image = F.resize(image, [height, width], InterpolationMode(self.interpolation))
        pixels = F.pil_to_tensor(F.center_crop(image, [self.crop]))
        return F.normalize(F.to_dtype(pixels, torch.float32, scale=True), list(self.mean), list(self.std))[None]

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
