"""Broken and hostile files at the door for pictures: `python -m benchmarks.fuzz [--files 20000] [--requests 500] [--seed N]`.

Files are mutations of every format in many kinds: bits and bytes changed, sizes and counts replaced by extremes, pieces cut out,
doubled, moved or taken from another file of the format. Each is opened twice: by `open_image` in a process of its own that keeps
to one thread, and by a `Decoder`. A request sends one to a running server's `/classify`.

The table counts outcomes. "exceptions" are those that are no PictureError, "warnings" also what a C library writes to stderr.
Time is CPU time, memory what the process adds to its own while it opens the file. The worst files, and those that
failed, are named by number; `--write NUMBER FILE` with the same seed writes one.
`--cost` compares the two ways' time for an upload.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from googlenet.errors import PictureError
from googlenet.pictures.decoding import Decoder
from googlenet.pictures.images import open_image
from googlenet.pictures.pixels import decode
from googlenet.ui.uploads import SIDE

CHUNK = 500
"""Files that one process opens."""
EXTREMES = (0, 1, 2, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)


def photo(width: int = 96, height: int = 72) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


@cache
def seeds() -> dict[str, list[bytes]]:
    """format → whole files of many kinds."""
    rgb = photo()
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x011A] = 6, "a camera", 72.5
    exif.get_ifd(0x8769)[0x9003] = "2024:01:01 00:00:00"
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "a comment " * 30, zip=True)
    text.add_itxt("Title", "a title")
    ramp = np.linspace(0, 1, 72 * 96, dtype=np.float32).reshape(72, 96)
    alpha = rgb.copy()
    alpha.putalpha(rgb.convert("L"))
    frames = {"save_all": True, "append_images": [rgb.rotate(90), rgb.rotate(180)], "duration": 50}
    plain: dict[str, list[tuple[Image.Image, dict[str, object]]]] = {
        "JPEG": [
            (rgb, {"quality": 90, "exif": exif, "comment": b"a comment", "icc_profile": b"p" * 300}),
            (rgb, {"progressive": True, "subsampling": 0}),
            (rgb.convert("L"), {"optimize": True}),
            (rgb.convert("CMYK"), {}),
            (rgb, {"restart_marker_blocks": 3, "dpi": (72, 72)}),
        ],
        "PNG": [
            (rgb, {"exif": exif, "pnginfo": text, "icc_profile": b"p" * 300}),
            (alpha, {}),
            (rgb.convert("P"), {"transparency": 3}),
            (rgb.convert("LA"), {"compress_level": 0}),
            (rgb.convert("1"), {}),
            (Image.fromarray((ramp * 60000).astype(np.uint16)), {}),
            (rgb, frames),
        ],
        "WEBP": [
            (rgb, {"exif": exif}),
            (alpha, {"lossless": True}),
            (alpha, {"quality": 60, "icc_profile": b"p" * 300}),
            (rgb, frames),
        ],
        "GIF": [
            (rgb, {"comment": b"a comment " * 40}),
            (rgb.convert("P"), {"transparency": 3, "interlace": 1}),
            (rgb, {**frames, "loop": 0, "disposal": 2}),
        ],
        "BMP": [(rgb, {}), (alpha, {}), (rgb.convert("P"), {}), (rgb.convert("1"), {}), (rgb.convert("L"), {})],
        "TIFF": [
            (rgb, {"exif": exif}),
            *((rgb, options(compression=kind)) for kind in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd")),
            (rgb.convert("1"), {"compression": "group4"}),
            (alpha, {"compression": "tiff_lzw", "tiffinfo": {317: 2}}),
            (rgb.convert("CMYK"), {}),
            (rgb, {"big_tiff": True, "exif": exif}),
            (Image.fromarray((ramp * 60000).astype(np.uint16)), {"compression": "tiff_deflate"}),
            (Image.fromarray(ramp), {}),
            (Image.fromarray((ramp * 2**30).astype(np.int32)), {}),
            (rgb, frames),
        ],
    }
    found = {kind: [encoded(image, kind, chosen) for image, chosen in some] for kind, some in plain.items()}
    dark = np.asarray(alpha).astype(np.uint16) * 16  # 12 bits in a 16-bit file, which is decoded twice
    found["PNG"] += [wide(dark, ".png"), wide(dark[..., :3], ".png")]
    found["TIFF"] += [wide(dark, ".tiff"), wide(dark[..., :3], ".tiff", cv2.IMWRITE_TIFF_COMPRESSION, 1)]
    return found


def wide(pixels: NDArray[np.uint16], suffix: str, *options: int) -> bytes:
    """A file with 16-bit colours, which Pillow does not write."""
    return bytes(cv2.imencode(suffix, pixels, options)[1])


@cache
def large() -> dict[str, list[bytes]]:
    """format → small files of large pictures, which take much memory or time."""
    flat = Image.new("RGB", (6000, 5000), (30, 60, 90))
    alpha = Image.new("RGBA", (6000, 5000), (30, 60, 90, 99))
    return {
        "JPEG": [encoded(flat, "JPEG", {"progressive": True, "subsampling": 0}), encoded(flat, "JPEG", {})],
        "PNG": [
            encoded(alpha, "PNG", {}),
            encoded(Image.new("I;16", (6000, 5000), 3000), "PNG", {}),
            wide(np.full((5000, 6000, 4), 3000, np.uint16), ".png"),
        ],
        "WEBP": [encoded(alpha.resize((4000, 4000)), "WEBP", {"lossless": True})],
        "GIF": [encoded(flat.convert("P"), "GIF", {})],
        "TIFF": [
            encoded(alpha, "TIFF", {"compression": "tiff_lzw"}),
            encoded(flat.convert("L"), "TIFF", {"compression": "packbits"}),
        ],
    }


def options(**found: object) -> dict[str, object]:
    return found


def encoded(image: Image.Image, kind: str, options: dict[str, object]) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def mutated(number: int, seed: int) -> tuple[str, bytes]:
    """The file of a number: its format and its bytes."""
    rng = random.Random(seed * 1_000_000_007 + number)
    files = large() if rng.random() < 0.01 else seeds()
    kind = rng.choice(list(files))
    data = bytearray(rng.choice(files[kind]))
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        rng.choice(MUTATIONS)(data, rng, kind)
    return kind, bytes(data)


def place(data: bytearray, rng: random.Random) -> int:
    """A position, in half of the cases in the first 200 bytes, where headers are."""
    return rng.randrange(max(1, min(len(data), 200) if rng.random() < 0.5 else len(data)))


def flip(data: bytearray, rng: random.Random, kind: str) -> None:
    for _ in range(rng.choice((1, 1, 4, 30))):
        if data:
            data[place(data, rng)] ^= 1 << rng.randrange(8)


def extreme(data: bytearray, rng: random.Random, kind: str) -> None:
    width, at = rng.choice((1, 2, 4)), place(data, rng)
    value = rng.choice(EXTREMES) % (1 << 8 * width)
    data[at : at + width] = value.to_bytes(width, rng.choice(("little", "big")))


def cut(data: bytearray, rng: random.Random, kind: str) -> None:
    at = place(data, rng)
    del data[at : at + rng.choice((1, 4, 50, len(data)))]


def double(data: bytearray, rng: random.Random, kind: str) -> None:
    at = place(data, rng)
    data[at:at] = bytes(data[at : at + rng.choice((4, 60, 400))]) * rng.choice((1, 2, 300))


def insert(data: bytearray, rng: random.Random, kind: str) -> None:
    at = place(data, rng)
    data[at:at] = rng.choice((rng.randbytes(8), bytes(300), b"\xff" * 2000, b"\xff\xda" * 40, b"\xff\xfe\0\2" * 3000))


def splice(data: bytearray, rng: random.Random, kind: str) -> None:
    other, at = rng.choice(seeds()[kind]), place(data, rng)
    data[at:] = other[rng.randrange(len(other)) :] if rng.random() < 0.5 else other[at:]


MUTATIONS: tuple[Callable[[bytearray, random.Random, str], None], ...] = (flip, extreme, extreme, cut, double, insert, splice)


class Opened(NamedTuple):
    """What became of a file."""

    number: int
    kind: str
    outcome: str
    cpu: float
    """seconds"""
    memory: int
    """bytes"""

    @property
    def is_slow(self) -> bool:
        return self.cpu > 2.1  # the clock of /proc has ticks of 10 ms

    @property
    def is_large(self) -> bool:
        return self.memory > 400e6

    @property
    def has_failed(self) -> bool:
        return self.outcome.startswith(("EXCEPTION", "WARNING")) or self.is_slow or self.is_large


def open_both(first: int, count: int, seed: int) -> None:
    """The chunk's process: opens files and prints a line of JSON for each way. What goes to stderr counts as a warning."""
    warnings.simplefilter("error")
    decoder = Decoder()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "picture")
        for number in range(first, first + count):
            kind, data = mutated(number, seed)
            path.write_bytes(data)
            for way, opened in (("open_image", here(path)), ("Decoder", there(decoder, path))):
                print(json.dumps([way, [number, kind, *opened]]), flush=True)
    decoder.stop()


def here(path: Path) -> tuple[str, float, int]:
    before = memory_of("self", "VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
    start = time.process_time()
    outcome = outcome_of(lambda: open_image(path))
    return outcome, time.process_time() - start, max(0, memory_of("self", "VmHWM") - before)


def there(decoder: Decoder, path: Path) -> tuple[str, float, int]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN), cpu_of(decoder)
    outcome = outcome_of(lambda: decoder.open(path, 1024))
    ended = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before[0].ru_utime
    memory = memory_of(str(decoder.child.process.pid), "VmHWM") if decoder.child else 0
    return outcome, ended or cpu_of(decoder) - before[1], memory


def outcome_of(call: Callable[[], object]) -> str:
    try:
        call()
        return "opened"
    except PictureError as error:
        return re.sub(r"\{\w+\} ", "", error.template).split(";")[0].rstrip(".")
    except Warning as warning:
        return f"WARNING {warning}"
    except Exception as error:
        return f"EXCEPTION {type(error).__name__}"


def memory_of(process: str, field: str) -> int:
    found = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text("utf-8"))
    return int(found[1]) * 1024 if found else 0


def cpu_of(decoder: Decoder) -> float:
    if decoder.child is None:
        return 0.0
    fields = Path(f"/proc/{decoder.child.process.pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def through_the_door(files: int, first: int, seed: int) -> None:
    results: dict[str, list[Opened]] = {"open_image": [], "Decoder": []}
    told = 0
    for start in range(first, first + files, CHUNK):
        count = min(CHUNK, first + files - start)
        command = [sys.executable, "-m", "benchmarks.fuzz", "--chunk", str(start), str(count), "--seed", str(seed)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        for way, values in lines:
            results[way].append(Opened(*values))
        if len(lines) < 2 * count:
            way = "open_image" if len(lines) % 2 == 0 else "Decoder"
            print(f"The process of file {start + len(lines) // 2} ended with {done.returncode}: {done.stderr[-500:]}")
            results[way].append(Opened(start + len(lines) // 2, "?", f"EXCEPTION exit {done.returncode}", 0, 0))
        elif done.stderr:
            told += len(done.stderr.splitlines())
            print(f"Files {start} to {start + count - 1} made a library write: {done.stderr[:300]}", file=sys.stderr)
    for way, opened in results.items():
        report(way, opened, told if way == "open_image" else 0)
        failed = [
            each.number for each in opened if each.outcome.startswith(("EXCEPTION", "WARNING")) or each.is_slow or each.is_large
        ]
        tell_failures(failed, seed)


def tell_failures(numbers: list[int], seed: int) -> None:
    """How to have the files that failed again."""
    for number in numbers[:20]:
        print(f"failed: file {number}; python -m benchmarks.fuzz --seed {seed} --write {number} FILE")


def report(way: str, opened: list[Opened], told: int) -> None:
    counts = Counter(each.outcome for each in opened)
    slowest, largest = max(opened, key=lambda each: each.cpu), max(opened, key=lambda each: each.memory)
    print(f"\n{way}: {len(opened)} files\n| outcome | files |\n|---|---|")
    for outcome, count in counts.most_common():
        print(f"| {outcome} | {count} |")
    print(f"| exceptions | {sum(each.outcome.startswith('EXCEPTION') for each in opened)} |")
    print(f"| warnings | {sum(each.outcome.startswith('WARNING') for each in opened) + told} |")
    print(f"| over 2 s | {sum(each.is_slow for each in opened)} |")
    print(f"| over 400 MB | {sum(each.is_large for each in opened)} |")
    print(f"worst time {slowest.cpu:.2f} s (file {slowest.number}, {slowest.kind}, {slowest.outcome})")
    print(f"worst memory {largest.memory / 1e6:.0f} MB (file {largest.number}, {largest.kind}, {largest.outcome})")


@contextmanager
def server() -> Iterator[tuple[str, Path]]:
    """A running program: its address, and its log."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder, open(Path(folder, "log"), "w", encoding="utf-8") as log:
        process = subprocess.Popen([sys.executable, "app.py", "--port", str(port)], stdout=log, stderr=log)
        try:
            for _ in range(600):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}", Path(folder, "log")
        finally:
            process.terminate()
            process.wait()


def through_the_server(requests: int, seed: int, clients: int = 4) -> None:
    from gradio_client import Client, handle_file
    from gradio_client.exceptions import AppError

    with server() as (address, log), tempfile.TemporaryDirectory() as folder:
        own = threading.local()  # a client that threads share loses answers

        def ask(number: int) -> str:
            kind, data = mutated(number, seed)
            path = Path(folder, f"{number}.{kind.lower()}")
            path.write_bytes(data)
            try:
                if not hasattr(own, "client"):
                    own.client = Client(address, verbose=False)
                own.client.predict(handle_file(str(path)), api_name="/classify")
                return "answered"
            except AppError as error:
                said = str(error)
                known = re.search(r"(is|takes|has|cannot) [^;.]*", said)
                return f"sentence: {known[0]}" if known else f"ERROR {said[:80]}"
            except Exception as error:
                return f"ERROR {type(error).__name__}"

        with ThreadPoolExecutor(clients) as pool:
            outcomes = list(pool.map(ask, range(requests)))
        tracebacks = log.read_text("utf-8").count("Traceback")
    counts = Counter(outcomes)
    print(f"\nserver: {requests} requests by {clients} clients\n| outcome | requests |\n|---|---|")
    for outcome, count in counts.most_common():
        print(f"| {outcome} | {count} |")
    print(f"| server errors | {sum(count for outcome, count in counts.items() if outcome.startswith('ERROR'))} |")
    print(f"| tracebacks in the log | {tracebacks} |")
    tell_failures([number for number, outcome in enumerate(outcomes) if outcome.startswith("ERROR")], seed)


def print_cost(rounds: int = 41) -> None:
    """What it costs that a process of its own decodes an upload: medians of pairs in turn, reduced as the page reduces it."""
    decoder = Decoder()
    print("| JPEG | in this process | in the decoding process | ms |\n|---|---|---|---|")
    for width, height in ((826, 620), (2160, 1620)):
        photo(width, height).save(file := io.BytesIO(), "JPEG", quality=90)
        ways: tuple[Callable[[bytes, str, int], object], ...] = (decode, decoder.open_bytes)
        times: list[list[float]] = [[], []]
        for _ in range(rounds):
            for way, taken in zip(ways, times, strict=True):
                started = time.perf_counter()
                way(file.getvalue(), "a.jpg", SIDE)
                taken.append((time.perf_counter() - started) * 1000)
        here, there = map(statistics.median, times)
        print(f"| {width * height / 1e6:.1f} megapixels | {here:.1f} | {there:.1f} | +{there - here:.1f} |", flush=True)
    decoder.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, metavar="NUMBER")
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cost", action="store_true", help="print what decoding costs in either way, and end")
    parser.add_argument("--write", nargs=2, metavar=("NUMBER", "FILE"))
    parser.add_argument("--chunk", nargs=2, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.chunk:
        open_both(options.chunk[0], options.chunk[1], options.seed)
    elif options.cost:
        print_cost()
    elif options.write:
        Path(options.write[1]).write_bytes(mutated(int(options.write[0]), options.seed)[1])
    else:
        if options.files:
            through_the_door(options.files, options.first, options.seed)
        if options.requests:
            through_the_server(options.requests, options.seed)


if __name__ == "__main__":
    main()
