"""The door for pictures: what comes in clean, what is refused, and the way from picture to network and back."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import warnings
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps, PngImagePlugin
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from torchvision.transforms import InterpolationMode, v2

from googlenet.errors import UserError
from googlenet.pictures.frame import Box
from googlenet.pictures.images import Preprocess, open_image
from googlenet.pictures.pixels import MAX_BYTES
from tests.helpers import png, random_image

STATISTICS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16", "I", "F"])
def test_modes(mode: str) -> None:
    grey = Image.fromarray(np.tile(np.linspace(0, 255, 64).astype(np.uint8), (8, 1)))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    else:
        image = grey.convert("RGB").convert(mode) if mode in ("P", "CMYK", "RGBA") else grey.convert(mode)
    pixels = np.asarray(open_image(image), dtype=int)
    assert pixels.shape == (8, 64, 3)
    assert pixels[:, :8].mean() < 40  # dark on the left, bright on the right, in every mode
    assert pixels[:, -8:].mean() > 215


def test_transparency_is_laid_on_white() -> None:
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert open_image(encoded(image, "PNG")).getpixel((0, 0)) == (255, 255, 255)


def exif_of(*entries: bytes, extra: bytes = b"") -> bytes:
    """An Exif block of one directory; `extra` follows it."""
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4) + extra


def entry(tag: int, kind: int, count: int, value: int) -> bytes:
    return struct.pack("<HHII", tag, kind, count, value)


@pytest.mark.parametrize(
    "bad",
    [
        entry(282, 10, 1, 38),  # XResolution as SRATIONAL -1/0
        entry(282, 2, 4, 0x31313131),  # as text
        entry(700, 2, 51, 38),  # XMP as text
        entry(34665, 4, 0, 0),  # no pointer to EXIF's own directory
        entry(34853, 2, 4, 0x31313131),
        entry(37500, 7, 0xFFFFFFFF, 0),  # a maker note of 4 GB
        entry(0, 0, 0, 0),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_one_bad_exif_value_does_not_matter(bad: bytes, kind: str) -> None:
    """And an orientation that does not exist is none."""
    for orientation, size in ((6, (20, 40)), (9, (40, 20))):
        exif = exif_of(entry(274, 3, 1, orientation), bad, extra=struct.pack("<ii", -1, 0) * 7)
        assert open_image(encoded(random_image(40, 20), kind, exif=exif)).size == size


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_orientation(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = random_image(48, 32)
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(image, kind, exif=exif, **options)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    assert open_image(data).tobytes() == expected.tobytes()
    assert open_image(Image.open(io.BytesIO(data))).tobytes() == expected.tobytes()


def tiff(pixels: np.ndarray) -> bytes:
    return encoded(Image.fromarray(pixels), "TIFF")


RAMP = np.tile(np.linspace(0, 1, 256, dtype=np.float32), (64, 1))
HOT = RAMP.copy()
HOT[0, 0] = 16
STEPS = np.tile(np.arange(256), (64, 1))


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (RAMP, STEPS),  # 0 to 1, as scikit-image writes
        (RAMP * 0.5, np.rint(STEPS / 2)),  # exposure is kept
        (RAMP * 1000 - 500, STEPS),  # other floats by their range
        (STEPS.astype(np.float32), STEPS),
        ((RAMP * 65535).astype(np.uint16), STEPS),
        ((RAMP * 4095).astype(np.uint16), STEPS),  # 12 bits in a 16-bit file are common
        ((RAMP * 1023).astype(np.uint16), STEPS),
        ((RAMP * 16383).astype(np.uint16), STEPS),
        (STEPS.astype(np.uint16), STEPS),
        ((RAMP * 2500).astype(np.uint16), STEPS * 2500 / 4095),  # not stretched to its own maximum
        ((HOT * 4095).astype(np.uint16), STEPS),  # one hot pixel of 16,384 does not make the rest dark
        (STEPS.astype(np.int32) * 257, STEPS),
        (STEPS.astype(np.int32) * 65793, STEPS),
        (STEPS.astype(np.int32) - 1000, STEPS * 0),
        (np.full((64, 256), 0.5, np.float32), STEPS * 0 + 128),
        (np.full((64, 256), np.nan, np.float32), STEPS * 0),
    ],
)
def test_more_than_8_bits(pixels: np.ndarray, expected: np.ndarray) -> None:
    got = np.asarray(open_image(tiff(pixels)), dtype=float)
    difference = np.abs(got - expected[..., None])
    difference[0, 0] = 0  # the hot pixel
    assert difference.max() <= 1


COLOURS = np.rint(np.random.default_rng(0).random((37, 53, 4)) * 255).astype(np.uint8)
COLOURS[0, 0] = 255  # each depth's largest value
COLOURS[..., 3] |= 15
"""An 8-bit picture, whose values are brought to other depths."""


def at_depth(pixels: np.ndarray, bits: int) -> np.ndarray:
    return np.rint(pixels * ((2**bits - 1) / 255)).astype(np.uint16)


def png16(pixels: np.ndarray, transparent: tuple[int, int, int] | None = None) -> bytes:
    """(H, W, C) uint16, C 2 (grey and alpha), 3 or 4 → a PNG."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0))]
    chunks += [(b"tRNS", struct.pack(">3H", *transparent))] if transparent else []
    return png(*chunks, (b"IDAT", zlib.compress(rows)))


def tiff16(pixels: np.ndarray, order: str, compression: int = 1, planar: int = 1) -> bytes:
    """(H, W, C) uint16, C 3 or 4 → a TIFF of one strip a plane: compression 1 for none, 8 for deflate."""
    height, width, channels = pixels.shape
    planes = [pixels] if planar == 1 else np.moveaxis(pixels, -1, 0)
    strips = [plane.astype(order + "u2").tobytes() for plane in planes]
    strips = strips if compression == 1 else [zlib.compress(strip) for strip in strips]
    sizes, prefix = [len(strip) for strip in strips], {"<": b"II", ">": b"MM"}[order]
    tags = ImageFileDirectory_v2(prefix=prefix)
    values = {256: width, 257: height, 258: (16,) * channels, 259: compression, 262: 2, 277: channels, 278: height, 284: planar}
    values |= {273: tuple(sum(sizes[:i]) for i in range(len(sizes))), 279: tuple(sizes)} | ({338: 2} if channels == 4 else {})
    for tag, value in values.items():
        tags[tag] = value
    return prefix + struct.pack(order + "HI", 42, 8) + tags.tobytes(8) + b"".join(strips)  # it adds its own end to tag 273


WIDE_FILES = {
    "PNG": png16,
    "TIFF, little-endian": lambda pixels: tiff16(pixels, "<"),
    "TIFF, big-endian": lambda pixels: tiff16(pixels, ">"),
    "TIFF, deflate": lambda pixels: tiff16(pixels, "<", 8),
    "TIFF, big-endian, deflate": lambda pixels: tiff16(pixels, ">", 8),
}


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("kind", WIDE_FILES)
def test_16_bit_colours(kind: str, bits: int) -> None:
    """12 bits in a 16-bit file are common. Transparency has a depth of its own."""
    rgb = at_depth(COLOURS[..., :3], bits)
    difference = np.asarray(open_image(WIDE_FILES[kind](rgb)), int) - COLOURS[..., :3]
    assert np.abs(difference).max() <= (1 if bits == 16 else 0)
    expected = open_image(Image.fromarray(COLOURS))
    for its_bits in (bits, 16):
        got = open_image(WIDE_FILES[kind](np.concatenate([rgb, at_depth(COLOURS[..., 3:], its_bits)], axis=-1)))
        assert np.abs(np.asarray(got, int) - np.asarray(expected, int)).max() <= (2 if bits == 16 else 1)


@pytest.mark.parametrize("bits", [12, 16])
def test_16_bit_grey_with_transparency(bits: int) -> None:
    grey, alpha = at_depth(COLOURS[..., :1], bits), COLOURS[..., 3:].astype(np.uint16) * 257
    expected = open_image(Image.fromarray(COLOURS[..., [0, 3]], "LA"))
    got = open_image(png16(np.concatenate([grey, alpha], axis=-1)))
    assert np.abs(np.asarray(got, int) - np.asarray(expected, int)).max() <= 2


def test_odd_16_bit_colours() -> None:
    pixels = at_depth(COLOURS[..., :3], 16)
    got = np.asarray(open_image(png16(pixels, tuple(pixels[3, 4].tolist()))))  # one colour is transparent: it becomes white
    assert got[3, 4].tolist() == [255, 255, 255]
    assert np.abs(got[4:].astype(int) - COLOURS[4:, :, :3]).max() <= 1
    # bands that lie apart keep their high byte: Pillow cannot give the low bytes
    got = np.asarray(open_image(tiff16(at_depth(COLOURS[..., :3], 12), "<", 8, planar=2)))
    assert np.abs(got.astype(int) - COLOURS[..., :3] // 16).max() <= 1
    # a hot pixel does not make the rest dark
    tiled = np.tile(COLOURS[..., :3], (6, 5, 1))
    pixels = at_depth(tiled, 12)
    pixels[100, 100] = 65535
    got = np.asarray(open_image(tiff16(pixels, "<")))
    assert got[100, 100].tolist() == [255, 255, 255]
    assert (got[:100] == tiled[:100]).all()


def test_dark_16_bit_colours_that_do_not_fit_into_memory_twice_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bright ones are decoded once."""
    monkeypatch.setattr("googlenet.pictures.pixels.MAX_MEMORY", COLOURS.shape[0] * COLOURS.shape[1] * 8)
    assert open_image(png16(at_depth(COLOURS[..., :3], 16))).size == (53, 37)
    with pytest.raises(UserError, match="takes too much memory to decode"):
        open_image(png16(at_depth(COLOURS[..., :3], 12)))


@pytest.mark.parametrize("pixels", [RAMP, RAMP * 1000])
def test_nan_and_infinity_become_black(pixels: np.ndarray, capfd: pytest.CaptureFixture[str]) -> None:
    pixels = pixels.copy()
    pixels[10:20], pixels[25:30], pixels[30:35] = np.nan, np.inf, -np.inf
    pixels[19] = np.array(0x7F800001, np.uint32).view(np.float32)  # a NaN of the kind that signals
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = np.asarray(open_image(tiff(pixels)), dtype=float)[..., 0]
    assert capfd.readouterr().err == ""
    expected = STEPS.copy()
    expected[10:20] = expected[25:35] = 0
    assert np.abs(got - expected).max() <= 1


@pytest.mark.parametrize("big", [b"a" * 2_000_000, b"a" * 70_000])
def test_a_large_text_or_profile_is_no_damage(big: bytes) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", big.decode())
    text.add_text("Compressed", big.decode(), zip=True)
    image = random_image(40, 20)
    data = encoded(image, "PNG", pnginfo=text, icc_profile=big, exif=exif_of(entry(274, 3, 1, 6)))
    assert open_image(data).size == (20, 40)
    data = encoded(image, "JPEG", comment=big[:60_000], icc_profile=big)
    assert open_image(data).size == (40, 20)


@pytest.mark.parametrize(("mode", "transparency"), [("P", bytes(range(256))), ("P", 7), ("L", 7), ("RGB", (1, 2, 3)), ("1", 1)])
def test_transparency_beside_the_pixels(mode: str, transparency: object) -> None:
    image = Image.new(mode, (4, 4), (1, 2, 3) if mode == "RGB" else 1 if mode == "1" else 7)
    if mode == "P":
        image.putpalette([value // 3 for value in range(768)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value = open_image(encoded(image, "PNG", transparency=transparency)).getpixel((0, 0))
    assert value[0] > 240  # type: ignore[index]


def test_a_pil_image_that_cannot_be_loaded_gets_one_sentence() -> None:
    image = Image.open(io.BytesIO(encoded(random_image(64, 64), "JPEG")[:900]))
    with pytest.raises(UserError, match="The picture is damaged or cut off"):
        open_image(image)


def bomb_png(width: int, height: int) -> bytes:
    """A small file that claims to unpack to a huge picture."""
    return png((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b"\0" * 100)))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "The picture is empty"),
        (b"hello, I am text", "not a picture"),
        (b"%PDF-1.7 ...", "not a picture"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 40, "picture"),
        (b"\0" * (MAX_BYTES + 1), "larger than 20 MB"),
        (bomb_png(8000, 7000), "50 megapixels"),
        (bomb_png(60000, 60000), "50 megapixels"),
        (encoded(random_image(64, 64), "JPEG")[:400], "damaged"),
        (encoded(random_image(64, 64), "PNG")[:300], "damaged"),
    ],
)
def test_bad_bytes_get_one_sentence(data: bytes, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        open_image(data)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_bad_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(UserError, match=r"text\.jpg is not a picture"):
        open_image(tmp_path / "text.jpg")
    with pytest.raises(UserError, match=r"nowhere\.jpg cannot be opened: it does not exist"):
        open_image(tmp_path / "nowhere.jpg")
    with pytest.raises(UserError, match="cannot be opened: it is a folder"):
        open_image(tmp_path)
    with pytest.raises(UserError, match="/dev/zero is not a regular file; name a picture file"):
        open_image("/dev/zero")
    os.mkfifo(tmp_path / "fifo.jpg")
    with pytest.raises(UserError, match=r"fifo\.jpg is not a regular file"):  # and does not wait for a writer
        open_image(tmp_path / "fifo.jpg")
    with pytest.raises(UserError, match="cannot be opened"):
        open_image("a\0b.jpg")


@pytest.mark.parametrize(("interpolation", "most"), [("bilinear", 1), ("bicubic", 2)])
@pytest.mark.parametrize(
    ("resize", "size"), [(256, (640, 480)), (256, (50, 900)), ((224, 300), (333, 500)), ((224, 300), (64, 64))]
)
def test_preprocess_is_torchvisions(
    resize: int | tuple[int, int], size: tuple[int, int], interpolation: Literal["bilinear", "bicubic"], most: int
) -> None:
    """torchvision resizes the whole picture and crops then; ties may round the other way."""
    image = random_image(*size)
    reference = v2.Compose(
        [
            v2.Resize(resize, InterpolationMode(interpolation)),
            v2.CenterCrop(224),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(*STATISTICS),
        ]
    )
    difference = (Preprocess(resize, 224, *STATISTICS, interpolation)(image)[0] - torch.as_tensor(reference(image))).abs()
    steps = difference * torch.tensor(STATISTICS[1])[:, None, None] * 255
    assert steps.max() < most + 0.01
    assert steps.mean() < 0.1


@pytest.mark.parametrize("size", [(1, 65535), (20000, 1)])
def test_narrow_pictures_are_cheap(size: tuple[int, int]) -> None:
    """Resized before the crop, the first would be 192 x 12,582,720 pixels."""
    tracemalloc.start()
    x = Preprocess(192, 192, *STATISTICS)(Image.new("RGB", size, (10, 20, 30)))
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()
    assert x.shape == (1, 3, 192, 192)
    mean, std = map(torch.tensor, STATISTICS)
    assert torch.allclose(x[0, :, 100, 100], (torch.tensor([10, 20, 30]) / 255 - mean) / std)


@pytest.mark.parametrize(
    ("resize", "size", "box"),
    [
        (224, (448, 448), Box(0, 0, 448, 448)),
        (224, (896, 448), Box(224, 0, 672, 448)),
        (256, (512, 512), Box(32, 32, 480, 480)),
        ((256, 256), (1024, 512), Box(64, 32, 960, 480)),
    ],
)
def test_seen(resize: int | tuple[int, int], size: tuple[int, int], box: Box) -> None:
    assert Preprocess(resize, 224, *STATISTICS).seen(size) == pytest.approx(box)


def test_seen_points_at_the_same_pixels() -> None:
    """A white spot in the picture lands in the input where `seen` says."""
    image = Image.new("RGB", (900, 600), "black")
    image.paste("white", (500, 200, 520, 220))
    preprocess = Preprocess(256, 224, *STATISTICS)
    x = preprocess(image)[0].mean(0)
    row, column = (x > (x.max() + x.min()) / 2).nonzero().float().mean(0).tolist()
    box = preprocess.seen(image.size)
    assert box.x0 + (column + 0.5) / 224 * (box.x1 - box.x0) == pytest.approx(510, abs=3)
    assert box.y0 + (row + 0.5) / 224 * (box.y1 - box.y0) == pytest.approx(210, abs=3)
