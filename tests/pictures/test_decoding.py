"""Files from strangers: bounded in time and memory, whatever they hold, and nothing but PictureError comes out."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from googlenet.errors import PictureError
from googlenet.pictures import decoding
from googlenet.pictures.decoding import Decoder
from googlenet.pictures.images import open_image
from tests.helpers import ROOT, png, random_image


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    """One for all tests: whatever a file did, it serves the next."""
    decoder = Decoder()
    yield decoder
    decoder.stop()


def pid(decoder: Decoder) -> int:
    assert decoder.child
    return decoder.child.process.pid


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def gif(extensions: bytes) -> bytes:
    """One pixel behind extension blocks."""
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    return head + extensions + b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\2\2\x44\1\0;"


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.gif", "a.bmp", "a.tif"])
def test_the_process_gives_what_open_image_gives(name: str, tmp_path: Path, decoder: Decoder) -> None:
    path = saved(tmp_path / name, random_image(90, 60))
    picture = decoder.open_bytes(path.read_bytes(), name)
    assert picture.size == (90, 60)
    assert picture.image.tobytes() == open_image(path).tobytes()


def scans() -> bytes:
    """A progressive JPEG of thousands of scans."""
    file = io.BytesIO()
    Image.new("L", (3000, 2000)).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * 3000 + data[-2:]


@pytest.mark.parametrize("make", [scans, lambda: gif(b"!\xfe\1a\0" * 420_000)], ids=["JPEG of scans", "GIF of comments"])
def test_a_process_that_takes_too_long_is_ended_and_replaced(make: Callable[[], bytes], tmp_path: Path, decoder: Decoder) -> None:
    """At 2 s of CPU time; the next picture is served. Pillow's time grows with the square of a GIF's comments."""
    good = saved(tmp_path / "good.webp", random_image(50, 50))
    decoder.open(good)
    first = pid(decoder)
    with pytest.raises(PictureError, match=r"^slow takes longer than 2 seconds to decode; save it smaller"):
        decoder.open_bytes(make(), "slow")
    assert decoder.open(good).size == (50, 50)
    assert pid(decoder) != first


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds the memory of a process")
def test_memory_is_bounded() -> None:
    code = "from googlenet.pictures import decoding; decoding._limit_memory(); bytearray(390_000_000); bytearray(410_000_000)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stderr.strip().endswith("MemoryError")
    assert done.stderr.count("bytearray(410_000_000)") == done.stderr.count("bytearray(390_000_000)")


def test_a_picture_that_kills_the_process_is_damaged(tmp_path: Path, decoder: Decoder) -> None:
    path = saved(tmp_path / "a.webp", random_image(50, 50))
    decoder.open(path)
    assert decoder.child
    decoder.child.process.kill()  # as a crash in a decoder would
    decoder.child.process.wait()
    assert decoder.open(path).size == (50, 50)


def test_errors_name_the_file_and_leave_the_process_alone(tmp_path: Path, decoder: Decoder) -> None:
    good, cut = saved(tmp_path / "a.webp", random_image(50, 50)), tmp_path / "cut.webp"
    decoder.open(good)
    first = pid(decoder)
    cut.write_bytes(good.read_bytes()[:-20])
    with pytest.raises(PictureError, match=r"cut\.webp is damaged or cut off"):
        decoder.open(cut)
    assert pid(decoder) == first


def test_threads_get_their_own_pictures(tmp_path: Path, decoder: Decoder) -> None:
    paths = [saved(tmp_path / f"{side}.webp", random_image(side, side), lossless=True) for side in range(20, 36)]
    wrong: list[Path] = []

    def check(path: Path) -> None:
        pixels = open_image(path).tobytes()
        wrong.extend(path for _ in range(5) if decoder.open(path).image.tobytes() != pixels)

    with ThreadPoolExecutor(len(paths)) as pool:
        list(pool.map(check, paths))
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on Windows")
def test_a_fork_does_not_share_the_process(tmp_path: Path, decoder: Decoder) -> None:
    path = saved(tmp_path / "a.webp", random_image(50, 50))
    decoder.open(path)
    first = pid(decoder)
    child = os.fork()
    if child == 0:
        decoder.open(path)
        os._exit(pid(decoder) == first)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert decoder.open(path).size == (50, 50)
    assert pid(decoder) == first


def test_the_process_starts_without_pytorch_and_knows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys, googlenet.pictures.decoding; print([name for name in ('torch', 'gradio') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout == "[]\n"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    process = decoding.start().process
    try:
        if sys.platform == "linux":
            assert b"hf_secret" not in Path(f"/proc/{process.pid}/environ").read_bytes()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("name", "size", "reduced"),
    [
        ("a.png", (1400, 1300), (280, 260)),
        ("a.jpg", (1200, 1100), (300, 275)),
        ("a.png", (900, 510), (900, 510)),
        ("a.jpg", (900, 510), (900, 510)),
        ("a.png", (602, 514), (301, 257)),
        ("a.png", (1, 3000), (1, 3000)),
    ],
)
def test_reduced(name: str, size: tuple[int, int], reduced: tuple[int, int], tmp_path: Path, decoder: Decoder) -> None:
    """By a whole factor, a JPEG by a power of two, that leaves the shorter side at least 256 pixels."""
    path = saved(tmp_path / name, random_image(*size))
    picture = decoder.open(path, 256)
    assert picture.size == size
    assert picture.image.size == reduced
    whole = np.asarray(open_image(path).resize(reduced, Image.Resampling.BOX), dtype=int)
    assert np.abs(np.asarray(picture.image, dtype=int) - whole).mean() < 1.5


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_reduced_and_turned(suffix: str, tmp_path: Path, decoder: Decoder) -> None:
    image = Image.new("RGB", (400, 200), "black")
    image.paste("white", (0, 0, 100, 200))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = decoder.open(saved(tmp_path / f"a{suffix}", image, exif=exif), 100)
    assert (picture.size, picture.image.size) == ((200, 400), (100, 200))
    assert picture.image.getpixel((50, 10)) > (200, 200, 200)
    assert picture.image.getpixel((50, 190)) < (60, 60, 60)


@pytest.mark.parametrize(
    ("name", "mode", "options", "fits"),
    [
        ("a.png", "RGBA", {"compress_level": 1}, True),
        ("a.gif", "P", {}, True),
        ("a.jpg", "RGB", {}, True),
        ("a.tif", "RGB", {"compression": "tiff_lzw"}, True),
        ("a.tif", "RGB", {"compression": "tiff_lzw", "tiffinfo": {278: 7000}}, False),
        ("a.webp", "RGB", {"lossless": True, "quality": 0, "method": 0}, False),
    ],
)
def test_49_megapixels_are_opened_within_the_limits_or_refused(
    name: str, mode: str, options: dict[str, object], fits: bool, tmp_path: Path, decoder: Decoder
) -> None:
    path = saved(tmp_path / name, Image.new(mode, (7000, 7000)), **options)
    if fits:
        picture = decoder.open(path, 1024)
        assert (picture.size, picture.image.size[0] >= 1024) == ((7000, 7000), True)
    else:
        with pytest.raises(PictureError, match="takes too much memory to decode; save it smaller or as a JPEG"):
            decoder.open(path, 1024)


def test_a_png_that_unpacks_to_more_than_its_header_says(decoder: Decoder) -> None:
    data = png((b"IHDR", struct.pack(">IIBBBBB", 10, 10, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(50_000_000), 1)))
    assert decoder.open_bytes(data, "a.png").image.getpixel((5, 5)) == (0, 0, 0)
