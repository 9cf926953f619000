"""Reads pictures in threads, and decodes a training set once: into memory, or into a temporary file where it is too large.

Pillow decodes and resizes without Python's lock, so that threads use all cores. They need neither shared memory (a container's
/dev/shm may hold 64 MB) nor a start method (fork, spawn, forkserver).
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from googlenet.concurrency.threads import batched, in_order, threads
from googlenet.errors import ListedError, UserError
from googlenet.errors.korean import in_locale
from googlenet.pictures.pixels import decode as decode_file
from googlenet.pictures.pixels import read_file, size_of_file
from googlenet.training.data import Picture, Split

T = TypeVar("T")
R = TypeVar("R")
CHUNK = 32
"""How many pictures a thread takes at once."""
SHARE_OF_MEMORY = 0.5
"""The share of free memory that pictures may take; the rest is for the network."""


def in_threads(function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """`map(function, items)` in order, by `workers` threads a bounded way ahead; 0: in the calling thread."""
    if workers == 0:
        yield from map(function, items)
        return
    with threads(workers) as pool:
        for done in in_order(pool, lambda chunk: list(map(function, chunk)), batched(items, CHUNK), ahead=2 * workers):
            yield from done


def contents(picture: Picture) -> bytes:
    """A picture's file. Raises PictureError."""
    return read_file(picture) if isinstance(picture, Path) else picture.data.tobytes()


def opened(picture: Picture) -> Image.Image:
    """The picture as `open_image` gives it."""
    return decode_file(contents(picture), str(picture)).image


def read_all(read: Callable[[int], T], split: Split, workers: int, skip_broken: bool, title: str) -> tuple[list[int], list[T]]:
    """Call `read` with each row of a split, in threads.

    Returns:
        The rows that could be read, and what `read` returned for each of them.

    Raises:
        UserError: some pictures cannot be read, and they may not be left out; the message names them.
    """

    def attempt(row: int) -> T | UserError:
        try:
            return read(row)
        except UserError as error:
            return error

    count = len(split.pictures)
    results = list(tqdm(in_threads(attempt, range(count), workers), title, count, unit="img", mininterval=2))
    wrong = [each for each in results if isinstance(each, UserError)]
    if wrong and not skip_broken:
        hint = UserError("Some pictures cannot be read; --skip-broken leaves them out.")
        raise ListedError("The data cannot be used:", [hint, *wrong])
    if wrong:
        left_out = ListedError("Left out {count:,} of {total:,} pictures:", wrong, count=len(wrong), total=count)
        print(in_locale(left_out), file=sys.stderr)
    good = {row: each for row, each in enumerate(results) if not isinstance(each, UserError)}
    return list(good), list(good.values())


def check_pictures(split: Split, workers: int, skip_broken: bool) -> tuple[Split, int]:
    """Read every header. Returns the split without files that are no pictures, and the longest of the shorter sides."""

    def shorter_side(row: int) -> int:
        return min(size_of_file(contents(split.pictures[row]), str(split.pictures[row])))

    rows, sides = read_all(shorter_side, split, workers, skip_broken, "check")
    return split.subset(rows), max(sides, default=0)


def decode(picture: Picture, side: int) -> tuple[NDArray[np.uint8], float]:
    """A picture resized to (side, side, 3) uint8, and its width / height before that. Raises UserError."""
    whole = decode_file(contents(picture), str(picture), least=side)
    image = whole.image if whole.image.size == (side, side) else whole.image.resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(image), whole.size[0] / whole.size[1]


class Pixels(NamedTuple):
    """The decoded pictures of a data set, on the training device where they fit there, else on the CPU."""

    pixels: Tensor
    """(N, side, side, 3) uint8"""
    aspects: Tensor
    """(N,) float32, width / height"""


def read_pixels(
    split: Split, side: int, device: torch.device, workers: int, skip_broken: bool, folder: Path
) -> tuple[Split, Pixels]:
    """Decode the pictures of a training set to squares of `side` pixels.

    Args:
        split: the pictures.
        side: in pixels.
        device: where the network learns.
        workers: threads that decode; 0 decodes in the calling thread.
        skip_broken: leave out pictures that cannot be read, instead of raising.
        folder: where a temporary file lies for pixels that would take more than half of the memory.

    Returns:
        The split without the pictures left out, and its pixels.

    Raises:
        UserError: some pictures cannot be read, or there is no room for the pixels.
    """
    pixels = room_for(len(split.pictures), side, folder)

    def keep(row: int) -> float:
        pixels[row], aspect = decode(split.pictures[row], side)
        return aspect

    rows, aspects = read_all(keep, split, workers, skip_broken, "decode")
    if len(rows) < len(pixels):
        for place, row in enumerate(rows):  # a copy might not fit into memory
            pixels[place] = pixels[row]
        split, pixels = split.subset(rows), pixels[: len(rows)]
    home = device if pixels.nbytes <= SHARE_OF_MEMORY * free_memory(device) else torch.device("cpu")
    return split, Pixels(torch.from_numpy(pixels).to(home), torch.tensor(aspects, device=home))


def room_for(count: int, side: int, folder: Path) -> NDArray[np.uint8]:
    """(count, side, side, 3), in memory or in a temporary file."""
    shape = (count, side, side, 3)
    size = count * side * side * 3
    if size <= SHARE_OF_MEMORY * free_memory(torch.device("cpu")):
        return np.empty(shape, np.uint8)
    if size > shutil.disk_usage(folder).free:
        raise UserError(
            "The pixels of {count:,} pictures take {size:.0f} GB and do not fit on the disk of {folder}; choose another folder, "
            "or a smaller size.",
            count=count,
            size=size / 1e9,
            folder=folder,
        )
    with tempfile.TemporaryFile(dir=folder) as file:  # the map keeps it until the run ends
        return np.memmap(file, np.uint8, "w+", shape=shape)


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
