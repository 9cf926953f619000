"""From files to the batches that a network learns from: reads pictures, decodes a data set once, and draws views and targets.

Threads read and decode. Pillow works without Python's lock, so that they use all cores, and they need neither shared memory (a
container's /dev/shm may hold 64 MB) nor a start method. A data set lies in memory, or in a temporary file where it is too large.
Views and targets are made for whole batches on the training device, with random numbers from torch's global generator.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from googlenet.concurrency.threads import batched, in_order, threads
from googlenet.errors import ListedError, UserError
from googlenet.errors.korean import in_locale
from googlenet.pictures.pixels import decode as decode_file
from googlenet.pictures.pixels import read_file, size_of_file
from googlenet.training.data import UNKNOWN, Picture, Split
from googlenet.training.recipe import Recipe
from googlenet.training.teachers import Teacher

__all__ = ["Batches", "Material", "check_pictures", "in_threads", "opened", "read_pixels"]

T = TypeVar("T")
R = TypeVar("R")
_CHUNK = 32
"""How many pictures a thread takes at once."""
_SHARE_OF_MEMORY = 0.5
"""The share of free memory that pictures may take; the rest is for the network."""
_STRETCH = 4 / 3
"""A crop's aspect ratio differs from the picture's by at most this factor."""
_LIGHT = 0.3
"""The largest change of brightness, contrast and saturation, as factors around 1."""
_UNEQUAL = 1.5
"""Classes are unequal where the largest has more than this many times the pictures of the smallest."""


def in_threads(function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """`map(function, items)` in order, by `workers` threads a bounded way ahead; 0: in the calling thread."""
    if workers == 0:
        yield from map(function, items)
        return
    with threads(workers) as pool:
        for done in in_order(pool, lambda chunk: list(map(function, chunk)), batched(items, _CHUNK), ahead=2 * workers):
            yield from done


def _contents(picture: Picture) -> bytes:
    """A picture's file. Raises PictureError."""
    return read_file(picture) if isinstance(picture, Path) else picture.data.tobytes()


def opened(picture: Picture) -> Image.Image:
    """The picture as `open_image` gives it."""
    return decode_file(_contents(picture), str(picture)).image


def _read_all(read: Callable[[int], T], split: Split, workers: int, skip_broken: bool, title: str) -> tuple[list[int], list[T]]:
    """Call `read` with each row of a split, in threads. Returns the rows that could be read, and the results for them.

    Raises a UserError that names the pictures that cannot be read, where they may not be left out.
    """

    def attempt(row: int) -> T | UserError:
        try:
            return read(row)
        except UserError as error:
            return error

    count = len(split.examples)
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
        return min(size_of_file(_contents(split.pictures[row]), str(split.pictures[row])))

    rows, sides = _read_all(shorter_side, split, workers, skip_broken, "check")
    return split.subset(rows), max(sides, default=0)


def decode(picture: Picture, side: int) -> tuple[NDArray[np.uint8], float]:
    """A picture resized to (side, side, 3) uint8, and its width / height before that. Raises UserError."""
    whole = decode_file(_contents(picture), str(picture), least=side)
    image = whole.image if whole.image.size == (side, side) else whole.image.resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(image), whole.size[0] / whole.size[1]


def read_pixels(
    split: Split, side: int, device: torch.device, workers: int, skip_broken: bool, folder: Path
) -> tuple[Split, Tensor, Tensor]:
    """Decode the pictures of a training set to squares.

    A file in `folder` holds what would take more than half of the free memory.

    Returns the split without the pictures left out, (N, side, side, 3) uint8, and (N,) float32, each picture's width / height: on
    the device where they fit there, else on the CPU. Raises UserError where pictures cannot be read, and where there is no room.
    """
    pixels = room_for(len(split.examples), side, folder)

    def keep(row: int) -> float:
        pixels[row], aspect = decode(split.pictures[row], side)
        return aspect

    rows, aspects = _read_all(keep, split, workers, skip_broken, "decode")
    if len(rows) < len(pixels):
        for place, row in enumerate(rows):  # a copy might not fit into memory
            pixels[place] = pixels[row]
        split, pixels = split.subset(rows), pixels[: len(rows)]
    home = device if pixels.nbytes <= _SHARE_OF_MEMORY * free_memory(device) else torch.device("cpu")
    return split, torch.from_numpy(pixels).to(home), torch.tensor(aspects, device=home)


def room_for(count: int, side: int, folder: Path) -> NDArray[np.uint8]:
    """(count, side, side, 3), in memory or in a temporary file."""
    shape, size = (count, side, side, 3), count * side * side * 3
    if size <= _SHARE_OF_MEMORY * free_memory(torch.device("cpu")):
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
    group = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):  # not Linux, or "max": no limit
        free = min(free, int((group / "memory.max").read_text("ascii")) - int((group / "memory.current").read_text("ascii")))
    return free


def draw_crops(aspects: Tensor, least_area: float) -> Tensor:
    """Random crops, from `least_area`, a share 0…1, to the whole of each picture; half of them, at random, are flipped.

    aspects: (N,) float32, width / height. Returns (N, 2, 3) float32 for `F.affine_grid`, from the view's coordinates to the
    squeezed picture's, both -1…1.
    """
    area = least_area + (1 - least_area) * torch.rand_like(aspects)
    ratio = torch.exp((2 * torch.rand_like(aspects) - 1) * math.log(_STRETCH))
    width = (area * ratio / aspects).sqrt().clamp(max=1)
    height = (area / ratio * aspects).sqrt().clamp(max=1)
    flip = torch.where(torch.rand_like(aspects) < 0.5, -1.0, 1.0)
    x, y = ((2 * torch.rand_like(aspects) - 1) * (1 - side) for side in (width, height))
    return _crops_of(width * flip, height, x, y)


def _middle_squares(aspects: Tensor) -> Tensor:
    """The middle square of each picture, as `draw_crops` gives crops. aspects: (N,) float32, width / height."""
    zero = torch.zeros_like(aspects)
    return _crops_of((1 / aspects).clamp(max=1), aspects.clamp(max=1), zero, zero)


def _crops_of(width: Tensor, height: Tensor, x: Tensor, y: Tensor) -> Tensor:
    zero = torch.zeros_like(x)
    return torch.stack([width, zero, x, zero, height, y], dim=1).view(-1, 2, 3)


def take(pixels: Tensor, crops: Tensor, size: int) -> Tensor:
    """The crops of pictures (N, side, side, 3) uint8 as (N, 3, size, size) float32 in 0…1."""
    images = pixels.permute(0, 3, 1, 2).float().div_(255)
    if images.shape[-1] >= 2 * size:
        images = F.avg_pool2d(images, images.shape[-1] // size)  # without this, bilinear sampling would skip pixels
    grid = F.affine_grid(crops, [len(crops), 3, size, size], align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def relight(views: Tensor) -> Tensor:
    """Random brightness, contrast and saturation for each of (N, 3, S, S) views in 0…1."""
    brightness, contrast, saturation = 1 + _LIGHT * (2 * torch.rand(3, len(views), 1, 1, 1, device=views.device) - 1)
    grey = views.mean(dim=1, keepdim=True)
    views = grey + (views - grey) * saturation
    middle = grey.mean(dim=(2, 3), keepdim=True)
    return ((middle + (views - middle) * contrast) * brightness).clamp(0, 1)


@dataclass(frozen=True)
class Mix:
    """How the pictures of one batch are mixed in pairs. The same mix applies to views of any size and to their labels."""

    partner: Tensor
    """(N,) int64: each picture's partner in the batch"""
    share: float
    """the partner's share, 0…1"""
    box: tuple[float, float, float, float] | None
    """top, left, bottom, right in 0…1: what is cut out of the partner (CutMix); None blends the whole pictures (mixup)"""

    @classmethod
    def draw(cls, count: int, device: torch.device) -> Mix:
        """Mixup (Zhang et al., 2018) or CutMix (Yun et al., 2019), with equal chances."""
        partner = torch.arange(count, device=device).roll(1)
        share = torch.distributions.Beta(0.4, 0.4).sample().item()  # on the CPU, so that nothing waits for the device
        if torch.rand(()) < 0.5:
            return cls(partner, share, None)
        half = math.sqrt(share) / 2
        y, x = torch.rand(2).tolist()
        box = (max(0.0, y - half), max(0.0, x - half), min(1.0, y + half), min(1.0, x + half))
        return cls(partner, (box[2] - box[0]) * (box[3] - box[1]), box)

    def views(self, views: Tensor) -> Tensor:
        """Mix (N, 3, S, S) views."""
        if self.box is None:
            return torch.lerp(views, views[self.partner], self.share)
        top, left, bottom, right = (round(edge * views.shape[-1]) for edge in self.box)
        mixed = views.clone()
        mixed[:, :, top:bottom, left:right] = views[self.partner, :, top:bottom, left:right]
        return mixed

    def labels(self, labels: Tensor) -> Tensor:
        """Mix (N, classes) target probabilities."""
        return torch.lerp(labels, labels[self.partner], self.share)


class Batches:
    """One data set: `per_batch` pictures of it in a step.

    An epoch shows each picture once, in random order. Of unequal classes, where `balanced` asks for it, an epoch of as many
    pictures shows each class equally often.
    """

    def __init__(
        self, split: Split, pixels: Tensor, aspects: Tensor, per_batch: int, seed: Sequence[int], balanced: bool = False
    ) -> None:
        self.pixels, self.aspects, self.per_batch, self.seed = pixels, aspects, per_batch, list(seed)
        self.count = len(split.examples)
        counts = Counter(split.labels).values()
        self.unequal = split.labelled and max(counts) > _UNEQUAL * min(counts)
        self.drawn_labels = np.array(split.labels) if balanced and self.unequal else None
        self.labels = torch.tensor(split.labels, device=pixels.device)
        self.order = lru_cache(maxsize=2)(self.new_order)
        """The rows of an epoch in their order, on the device that holds the pixels."""

    def new_order(self, epoch: int) -> Tensor:
        generator = np.random.default_rng([*self.seed, epoch])
        labels = self.drawn_labels
        rows = generator.permutation(self.count) if labels is None else _draw_evenly(labels, generator)
        return torch.from_numpy(rows).to(self.labels.device)

    def rows(self, step: int) -> Tensor:
        """The rows of a step, (per_batch,) int64."""
        epoch, first = divmod(step * self.per_batch, self.count)
        rows = self.order(epoch)[first : first + self.per_batch]
        while len(rows) < self.per_batch:
            epoch += 1
            rows = torch.cat([rows, self.order(epoch)[: self.per_batch - len(rows)]])
        return rows

    def batch(self, step: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """A step's pixels (n, side, side, 3) uint8, aspects (n,) float32 and labels (n,) int64, on the device."""
        rows = self.rows(step)
        pixels, aspects, labels = (_send(each[rows], device) for each in (self.pixels, self.aspects, self.labels))
        return pixels, aspects, labels


def _send(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to the device; a copy to a GPU does not make the host wait."""
    if tensor.device.type == "cpu" and device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def _draw_evenly(labels: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """As many rows as there are labels, in random order: each class equally often, or once more. A row is drawn again only where
    its class has no other left."""
    rows = generator.permutation(len(labels))
    classes = [rows[labels[rows] == label] for label in np.unique(labels)]
    each, left = divmod(len(labels), len(classes))
    more = generator.permutation(len(classes)) < left
    return generator.permutation(np.concatenate([np.resize(c, each + one) for c, one in zip(classes, more, strict=True)]))


class Material:
    """The data sets of a run."""

    def __init__(self, data_sets: Sequence[Batches], classes: int, device: torch.device) -> None:
        self.data_sets, self.classes, self.device = data_sets, classes, device
        pictures = sum(data_set.count for data_set in data_sets)
        self.steps_per_epoch = max(1, pictures // sum(data_set.per_batch for data_set in data_sets))

    @torch.no_grad()
    def batch(
        self, step: int, size: int, least_area: float, mixed: bool, recipe: Recipe, teacher: Teacher | None
    ) -> tuple[Tensor, Tensor]:
        """The views (N, 3, size, size) float32 in 0…1 of a step, counted from 0, and their target probabilities (N, classes).

        `least_area`: the smallest crop's share of the picture; `mixed`: whether pairs of pictures are mixed. The teacher gets the
        same crops, mixed in the same way, at its own size and without changes of light.
        """
        student_views, teacher_views, labels = [], [], []
        for data_set in self.data_sets:
            pixels, aspects, known = data_set.batch(step, self.device)
            crops = draw_crops(aspects, least_area)
            student_views.append(take(pixels, crops, size))
            if teacher is not None:
                teacher_views.append(take(pixels, crops, teacher.size_for(size)))
            labels.append(known)
        views, label = torch.cat(student_views), torch.cat(labels)
        truth = F.one_hot(label.clamp(min=0), self.classes).float() * (label != UNKNOWN)[:, None]
        mix = Mix.draw(len(views), views.device) if mixed else None
        if mix is not None:
            views, truth = mix.views(views), mix.labels(truth)
        if teacher is None:
            smoothing = recipe.label_smoothing
            return relight(views), truth * (1 - smoothing) + smoothing / self.classes
        shown = torch.cat(teacher_views)
        logits = teacher.answer(mix.views(shown) if mix is not None else shown)
        return relight(views), F.softmax((logits + recipe.label_boost * truth) / recipe.teacher_temperature, dim=1)

    def middle_views(self, step: int, size: int) -> list[Tensor]:
        """The middle squares (n, 3, size, size) of a step's pictures, in 0…1, one tensor for each data set."""
        batches = (data_set.batch(step, self.device) for data_set in self.data_sets)
        return [take(pixels, _middle_squares(aspects), size) for pixels, aspects, _ in batches]
