"""The training batches: views of pictures and their target probabilities, from one or several data sets in fixed shares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from googlenet.training import views
from googlenet.training.data import UNKNOWN, Split
from googlenet.training.pictures import Pixels
from googlenet.training.recipe import Recipe
from googlenet.training.teachers import Teacher

UNEQUAL = 1.5
"""Classes are unequal where the largest has more than this many times the pictures of the smallest."""


class Batch(NamedTuple):
    """One step's input and target."""

    views: Tensor
    """(N, 3, S, S) float32 in 0…1"""
    target: Tensor
    """(N, classes) float32: target probabilities"""


class Source:
    """One data set: `per_batch` pictures of it in a step.

    An epoch shows each picture once, in random order. Of unequal classes, where `balanced` asks for it, an epoch of as many
    pictures shows each class equally often.
    """

    def __init__(self, split: Split, pixels: Pixels, per_batch: int, seed: Sequence[int], balanced: bool = False) -> None:
        self.pixels, self.per_batch, self.seed = pixels, per_batch, list(seed)
        self.count = len(split.pictures)
        counts = Counter(split.labels).values()
        self.unequal = split.labelled and max(counts) > UNEQUAL * min(counts)
        self.drawn_labels = np.array(split.labels) if balanced and self.unequal else None
        self.labels = torch.tensor(split.labels, device=pixels.pixels.device)
        self.order = lru_cache(maxsize=2)(self.new_order)
        """The rows of an epoch in their order, on the device that holds the pixels."""

    def new_order(self, epoch: int) -> Tensor:
        generator = np.random.default_rng([*self.seed, epoch])
        labels = self.drawn_labels
        rows = generator.permutation(self.count) if labels is None else draw_evenly(labels, generator)
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
        pixels, aspects, labels = (send(each[rows], device) for each in (*self.pixels, self.labels))
        return pixels, aspects, labels


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to the device; a copy to a GPU does not make the host wait."""
    if tensor.device.type == "cpu" and device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def draw_evenly(labels: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """As many rows as there are labels, in random order: each class equally often, or once more. A row is drawn again only where
    its class has no other left."""
    rows = generator.permutation(len(labels))
    classes = [rows[labels[rows] == label] for label in np.unique(labels)]
    each, left = divmod(len(labels), len(classes))
    more = generator.permutation(len(classes)) < left
    return generator.permutation(np.concatenate([np.resize(c, each + one) for c, one in zip(classes, more, strict=True)]))


class Material:
    """The data sets of a run."""

    def __init__(self, sources: Sequence[Source], classes: int, device: torch.device) -> None:
        self.sources, self.classes, self.device = sources, classes, device
        pictures = sum(source.count for source in sources)
        self.steps_per_epoch = max(1, pictures // sum(source.per_batch for source in sources))

    def batch(self, step: int, size: int, least_area: float, mixed: bool, recipe: Recipe, teacher: Teacher | None) -> Batch:
        """A step's views for the student, and their target probabilities.

        Args:
            step: from 0; determines the pictures.
            size: side of the views in pixels.
            least_area: the smallest crop's share of the picture, 0…1.
            mixed: whether pairs of pictures are mixed.
            recipe: how labels and the teacher's answers become the target.
            teacher: gets the same crops, mixed in the same way, at its own size and without changes of light.
        """
        student_views, teacher_views, labels = [], [], []
        for source in self.sources:
            pixels, aspects, known = source.batch(step, self.device)
            crops = views.draw_crops(aspects, least_area)
            student_views.append(views.take(pixels, crops, size))
            if teacher is not None:
                teacher_views.append(views.take(pixels, crops, teacher.size_for(size)))
            labels.append(known)
        seen, label = torch.cat(student_views), torch.cat(labels)
        truth = F.one_hot(label.clamp(min=0), self.classes).float() * (label != UNKNOWN)[:, None]
        mix = views.Mix.draw(len(seen), seen.device) if mixed else None
        if mix is not None:
            seen, truth = mix.views(seen), mix.labels(truth)
        if teacher is None:
            smoothing = recipe.label_smoothing
            return Batch(views.relight(seen), truth * (1 - smoothing) + smoothing / self.classes)
        shown = torch.cat(teacher_views)
        logits = teacher.answer(mix.views(shown) if mix is not None else shown)
        target = F.softmax((logits + recipe.label_boost * truth) / recipe.teacher_temperature, dim=1)
        return Batch(views.relight(seen), target)
