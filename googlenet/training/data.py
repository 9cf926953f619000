"""An ImageFolder tree on disk → batches: labels, augmentation, a teacher's answers."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from googlenet.errors import UserError
from googlenet.images import Preprocess

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's mean and standard deviation, for RGB in 0…1."""

HELD_OUT = 0.02
"""Share of the training images kept out of training, on which the temperatures are fitted."""


class Batch(NamedTuple):
    images: Tensor
    """(N, 3, S, S) uint8"""
    labels: Tensor
    """(N,) int64"""
    rows: Tensor
    """(N,) int64, each image's row in the teacher's file"""


@dataclass(frozen=True)
class Split:
    """Images of one part of a data set: paths, labels as indices into `names`, and the classes' readable names."""

    paths: tuple[str, ...]
    labels: tuple[int, ...]
    names: tuple[str, ...]

    def subset(self, indices: list[int]) -> Split:
        return Split(tuple(self.paths[i] for i in indices), tuple(self.labels[i] for i in indices), self.names)


def read_split(data: Path, part: str) -> Split:
    """The images of `data/<part>/<class>/*`; names from `data/classes.json` (wnid → name) where it exists.

    Raises UserError for a missing folder or a class without images.
    """
    folder = data / part
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; DATA must hold {part}/<class>/<image> (an ImageFolder tree).")
    try:
        found = ImageFolder(str(folder))
    except FileNotFoundError as error:
        raise UserError(f"{folder} has a class without images: {str(error).splitlines()[0]}") from None
    names = found.classes
    if (data / "classes.json").is_file():
        rows = json.loads((data / "classes.json").read_text())
        readable = {row["wnid"]: row["name"] for row in rows}
        names = [readable.get(name, name) for name in names]
    paths, labels = zip(*found.samples, strict=True)
    return Split(paths, labels, tuple(names))


def hold_out(split: Split) -> tuple[Split, Split]:
    """Training part and held-out part: always the same images, so that a run that continues another keeps them apart too."""
    order = np.random.default_rng(0).permutation(len(split.paths)).tolist()
    count = max(1, round(HELD_OUT * len(order)))
    return split.subset(sorted(order[count:])), split.subset(sorted(order[:count]))


class Images(Dataset["Batch | UserError"]):
    """Decoded, transformed images. A broken file is handed on as the UserError to raise, since a worker cannot."""

    def __init__(self, split: Split, transform: v2.Transform) -> None:
        self.split = split
        self.transform = transform

    def __len__(self) -> int:
        return len(self.split.paths)

    def __getitem__(self, index: int) -> Batch | UserError:
        path = self.split.paths[index]
        try:
            with Image.open(path) as file:
                image = file.convert("RGB")
        except OSError as error:
            return UserError(f"{path} cannot be read as a picture ({error}); remove or replace it.")
        stem = Path(path).stem.rpartition("_")[2]
        row = int(stem) if stem.isdigit() else -1
        return Batch(self.transform(image), torch.tensor(self.split.labels[index]), torch.tensor(row))


def collate(items: list[Batch | UserError]) -> Batch | UserError:
    for item in items:
        if isinstance(item, UserError):
            return item
    return default_collate(items)


def augment(size: int, least_area: float) -> v2.Transform:
    """Random resized crop (`least_area` … all of the picture), flip and light: a picture → (3, size, size) uint8."""
    return v2.Compose(
        [
            v2.RandomResizedCrop(size, scale=(least_area, 1.0)),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3),
            v2.PILToTensor(),
        ]
    )


def batches(images: Images, order: list[int], size: int, device: torch.device, seed: int) -> DataLoader["Batch | UserError"]:  # noqa: UP037
    """Batches of `size` images in the given order, decoded by two workers."""
    return DataLoader(
        images,
        batch_size=size,
        sampler=order,
        num_workers=2,
        collate_fn=collate,
        worker_init_fn=ignore_ctrl_c,
        pin_memory=device.type == "cuda",
        generator=torch.Generator().manual_seed(seed),
    )


def ignore_ctrl_c(_worker: int) -> None:
    """Ctrl-C reaches all processes of a terminal; the loop alone answers it, and needs its workers for that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def normalise(images: Tensor, preprocess: Preprocess, device: torch.device) -> Tensor:
    """(N, 3, S, S) uint8 → float32 with the weights' mean and std, channels last, on the device."""
    pixels = images.to(device, non_blocking=True).to(memory_format=torch.channels_last).float()
    mean = torch.tensor(preprocess.mean, device=device).mul(255).view(3, 1, 1)
    std = torch.tensor(preprocess.std, device=device).mul(255).view(3, 1, 1)
    return (pixels - mean) / std


@dataclass(frozen=True)
class Teacher:
    """A teacher's answers for the training images: its top classes and their log-probabilities, a row an image."""

    index: Tensor
    """(rows, k) int64"""
    probability: Tensor
    """(rows, k) float32"""

    @classmethod
    def read(cls, path: Path, split: Split) -> Teacher:
        """Read an .npz with `index` and `logprob`. Raises UserError where it does not fit the images."""
        try:
            with np.load(path, allow_pickle=False) as file:
                index, logprob = file["index"].astype(np.int64), file["logprob"].astype(np.float32)
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{path} is no teacher's file with index and logprob ({error}).") from None
        stems = [Path(p).stem.rpartition("_")[2] for p in split.paths]
        if index.max() >= len(split.names) or any(not s.isdigit() or int(s) >= len(index) for s in stems):
            raise UserError(f"{path} does not fit these images: each needs its row's number at the end of its name.")
        return cls(torch.from_numpy(index), torch.from_numpy(np.exp(logprob)))

    def answers(self, rows: Tensor, classes: int) -> Tensor:
        """(N,) rows → (N, classes) probabilities; what the stored top classes leave over is spread evenly."""
        top = self.probability[rows]
        rest = (1 - top.sum(1, keepdim=True)).clamp(min=0) / classes
        dense = rest.expand(-1, classes).clone()
        dense = dense.scatter_add(1, self.index[rows], top)
        return dense / dense.sum(1, keepdim=True)
