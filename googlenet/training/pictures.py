"""Checks pictures and decodes them in threads: once, kept as uint8, where they fit into memory, else for each batch.

Pillow decodes and resizes without Python's lock, so that threads use all cores. They need neither shared memory (a container's
/dev/shm may hold 64 MB) nor a start method (fork, spawn, forkserver).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from googlenet.concurrency.threads import batched, in_order, threads
from googlenet.errors import ListedError, UserError
from googlenet.errors.korean import in_locale
from googlenet.pictures.pixels import decode as decode_file
from googlenet.pictures.pixels import read_file, size_of_file
from googlenet.training.data import Picture, Split, encoded

T = TypeVar("T")
CHUNK = 32
"""How many pictures a thread takes at once."""
SHARE_OF_MEMORY = 0.5
"""The share of free memory that pictures may take; the rest is for the network."""


def in_threads(function: Callable[[Picture], T], pictures: Iterable[Picture], workers: int) -> Iterator[T]:
    """`map(function, pictures)` in order, by `workers` threads a bounded way ahead; 0: in the calling thread."""
    if workers == 0:
        yield from map(function, pictures)
        return
    with threads(workers) as pool:
        for done in in_order(pool, lambda chunk: list(map(function, chunk)), batched(pictures, CHUNK), ahead=2 * workers):
            yield from done


def contents(picture: Picture) -> bytes:
    """A picture's file. Raises PictureError."""
    source = encoded(picture)
    return read_file(source) if isinstance(source, Path) else source


def size_of(picture: Picture) -> tuple[int, int] | UserError:
    """(width, height) in pixels, or the error where the picture cannot be read."""
    try:
        return size_of_file(contents(picture), str(picture))
    except UserError as error:
        return error


def opened(picture: Picture) -> Image.Image:
    """The picture as `open_image` gives it."""
    return decode_file(contents(picture), str(picture)).image


def without_broken(split: Split, wrong: dict[int, UserError], skip_broken: bool) -> Split:
    """The split without the rows of `wrong`. Raises UserError with all of them unless they may be skipped."""
    if not wrong:
        return split
    if not skip_broken:
        hint = UserError("Some pictures cannot be read; --skip-broken leaves them out.")
        raise ListedError("The data cannot be used:", [hint, *wrong.values()])
    left_out = ListedError(
        "Left out {count:,} of {total:,} pictures:", [*wrong.values()], count=len(wrong), total=len(split.pictures)
    )
    print(in_locale(left_out), file=sys.stderr)
    return split.subset(i for i in range(len(split.pictures)) if i not in wrong)


def check_pictures(split: Split, workers: int, skip_broken: bool) -> tuple[Split, int]:
    """Read every header. Returns the split without files that are no pictures, and the longest of the shorter sides."""
    sizes = list(in_threads(size_of, split.pictures, workers))
    wrong = {i: each for i, each in enumerate(sizes) if isinstance(each, UserError)}
    longest = max((min(each) for each in sizes if not isinstance(each, UserError)), default=0)
    return without_broken(split, wrong, skip_broken), longest


class Decoded(NamedTuple):
    pixels: np.ndarray
    """(side, side, 3) uint8: the whole picture, resized to a square"""
    aspect: float
    """width / height before the resize"""


def decode(picture: Picture, side: int) -> Decoded | UserError:
    """A picture resized to a square, with its aspect ratio; the error where the picture cannot be read."""
    try:
        found = decode_file(contents(picture), str(picture), least=side)
    except UserError as error:
        return error
    image = found.image if found.image.size == (side, side) else found.image.resize((side, side), Image.Resampling.BICUBIC)
    return Decoded(np.asarray(image), found.size[0] / found.size[1])


class Taken(NamedTuple):
    rows: Tensor
    """(n,) int64, on `home`: the requested rows, with another row in place of a broken picture"""
    pixels: Tensor
    """(n, side, side, 3) uint8, on the training device"""
    aspects: Tensor
    """(n,) float32, on the training device"""


class KeptPixels:
    """Pixels in the memory of the training device or of the machine: `home` is the device of the rows."""

    ahead = 0
    """how many batches ahead the rows must be known"""

    def __init__(self, pixels: Tensor, aspects: Tensor, device: torch.device) -> None:
        self.pixels, self.aspects, self.device, self.home = pixels, aspects, device, pixels.device

    def batch(self, rows: Tensor, later: list[Tensor]) -> Taken:
        return Taken(rows, send(self.pixels[rows], self.device), send(self.aspects[rows], self.device))


class DecodedPixels:
    """Pixels that do not fit into memory: threads decode each batch, `ahead` batches before it is needed."""

    ahead = 3
    home = torch.device("cpu")

    def __init__(self, split: Split, side: int, device: torch.device, workers: int, skip_broken: bool) -> None:
        self.split, self.side, self.device, self.skip_broken = split, side, device, skip_broken
        self.pool = ThreadPoolExecutor(max(1, workers))
        self.waiting: dict[int, tuple[Tensor, list[Future[list[Decoded | UserError]]]]] = {}
        """place in the order of the batches → its rows and their pictures"""
        self.asked = 0

    def decode(self, rows: list[int]) -> list[Decoded | UserError]:
        return [decode(self.split.pictures[i], self.side) for i in rows]

    def batch(self, rows: Tensor, later: list[Tensor]) -> Taken:
        for place, some in enumerate([rows, *later], self.asked):
            if place not in self.waiting or not torch.equal(self.waiting[place][0], some):  # a run that begins again
                self.waiting[place] = some, [self.pool.submit(self.decode, part.tolist()) for part in some.split(CHUNK)]
        decoded = [each for future in self.waiting.pop(self.asked)[1] for each in future.result()]
        self.asked += 1
        good = [i for i, each in enumerate(decoded) if not isinstance(each, UserError)]
        for each in decoded:
            if isinstance(each, UserError) and not (self.skip_broken and good):
                raise each
        # a broken picture's place is taken by another of the batch
        used = [i if not isinstance(each, UserError) else good[i % len(good)] for i, each in enumerate(decoded)]
        pixels = torch.from_numpy(np.stack([decoded[i].pixels for i in used]))  # type: ignore[union-attr]
        aspects = torch.tensor([decoded[i].aspect for i in used], dtype=torch.float32)  # type: ignore[union-attr]
        return Taken(rows[used], send(pixels, self.device), send(aspects, self.device))


Pixels = KeptPixels | DecodedPixels


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to the device; a copy to a GPU does not make the host wait."""
    if tensor.device.type == "cpu" and device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def read_pixels(split: Split, side: int, device: torch.device, workers: int, skip_broken: bool) -> tuple[Split, Pixels]:
    """Decode a training set once and keep it on the device, else in the machine's memory, else decode each batch anew.

    Args:
        split: the pictures.
        side: in pixels, of the squares that the pictures are resized to.
        device: where the network learns.
        workers: threads that decode; 0 decodes in the calling thread.
        skip_broken: leave out pictures that cannot be read, instead of raising.

    Returns:
        The split without the pictures left out, and its pixels.

    Raises:
        UserError: some pictures cannot be read; the message names them.
    """
    needed = len(split.pictures) * side * side * 3
    if needed > SHARE_OF_MEMORY * free_memory(torch.device("cpu")):
        return split, DecodedPixels(split, side, device, workers, skip_broken)
    pixels = np.empty((len(split.pictures), side, side, 3), np.uint8)
    aspects = np.ones(len(split.pictures), np.float32)
    wrong: dict[int, UserError] = {}
    with tqdm(total=len(split.pictures), desc="decode", unit="img", mininterval=2) as bar:
        for i, each in enumerate(in_threads(lambda picture: decode(picture, side), split.pictures, workers)):
            if isinstance(each, UserError):
                wrong[i] = each
            else:
                pixels[i], aspects[i] = each
            bar.update()
    kept = without_broken(split, wrong, skip_broken)
    if wrong:
        rows = np.array([i for i in range(len(pixels)) if i not in wrong], np.int64)
        pixels, aspects = pixels[rows], aspects[rows]
    home = device if needed <= SHARE_OF_MEMORY * free_memory(device) else torch.device("cpu")
    return kept, KeptPixels(torch.from_numpy(pixels).to(home), torch.from_numpy(aspects).to(home), device)


def free_memory(device: torch.device) -> int:
    """Free bytes of the GPU's memory, or of the machine's memory within a container's limit."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = 4 << 30  # where the system does not say
    if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and limit.read_text(encoding="ascii").strip().isdecimal():
        free = min(free, int(limit.read_text(encoding="ascii")) - int(used.read_text(encoding="ascii")))
    return free
