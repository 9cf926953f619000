"""Checks a training run's input before the first step, and reports all mistakes together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from googlenet.batch.files import make_folder
from googlenet.checkpoints import LoadedModel, load
from googlenet.errors import ListedError, UserError
from googlenet.explanation.classes import imagenet_classes
from googlenet.training.classes import ClassName, weights_classes
from googlenet.training.data import Split, has_part, hold_out, read_split
from googlenet.training.evaluate import Rows
from googlenet.training.pictures import check_pictures
from googlenet.training.recipe import SIZES, Recipe
from googlenet.training.teachers import Teacher, load_teacher

MARGIN = 1.25
"""Pictures are kept at this many times the network's input side, since a random crop is smaller than the picture."""


@dataclass(frozen=True)
class Options:
    """The options of a run besides its recipe."""

    data: tuple[Path, ...]
    """data sets as `read_split` reads them"""
    out: Path
    init: str | None = None
    """SOURCE of the weights to start from; where the classes differ, the last layers start anew"""
    teacher: str | None = None
    """`package.module:function`"""
    shares: tuple[float, ...] | None = None
    """the share of each data set in a batch; None: by its number of pictures"""
    input_size: int | None = None
    """side in pixels of the trained network's input; None: the schedule's last size"""
    resume: bool = False
    workers: int = 0
    """threads that decode pictures; 0 decodes in the calling thread"""
    skip_broken: bool = False
    """leave out pictures that cannot be read"""


class Exam(NamedTuple):
    """Pictures that the network never learns from."""

    fit: Split
    """pictures that choose the temperatures and the threshold"""
    measure: Split
    """pictures whose results are reported"""
    rows: Rows
    """which rows of the validation part `measure` is"""
    title: str
    """what `measure` is, for the card"""


class Checked(NamedTuple):
    """A run's input after all checks."""

    splits: list[Split]
    """the training pictures of each data set, labels as rows of `classes`"""
    sides: list[int]
    """side in pixels at which each data set's pictures are kept"""
    per_batch: list[int]
    """how many pictures of each data set are in a batch"""
    classes: tuple[ClassName, ...]
    exam: Exam
    start: LoadedModel | None
    teacher: Teacher | None


class DataSet(NamedTuple):
    """One data set after the checks of its files."""

    path: Path
    training: Split
    side: int
    """the longest of the pictures' shorter sides"""
    validation: Split | None


class Mistakes(list[UserError]):
    """A list of errors, one for each mistake."""

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Add the UserError that the block raises to the list."""
        try:
            yield
        except UserError as error:
            self.extend(error.errors if isinstance(error, ListedError) else [error])

    def refuse(self) -> None:
        """Raise them, if there are any."""
        if self:
            raise self[0] if len(self) == 1 else ListedError("Nothing was started:", self)


def check(options: Options, recipe: Recipe, device: torch.device) -> Checked:
    """Read headers, classes, weights and the teacher. Raises a UserError that names all mistakes."""
    wrong = Mistakes(recipe.mistakes())
    low, high = SIZES
    if options.input_size is not None and not low <= options.input_size <= high:
        wrong.append(
            UserError("--input-size {size}: it must be from {low} to {high}.", size=options.input_size, low=low, high=high)
        )
    if options.shares is not None and (
        len(options.shares) != len(options.data) or not all(0 < share < math.inf for share in options.shares)
    ):
        wrong.append(UserError("--shares needs a number above 0 for each of the {count} data sets.", count=len(options.data)))
    with wrong.caught():
        make_folder(options.out)
    start = teacher = None
    if options.init:
        with wrong.caught():
            start = load(options.init)
    if options.teacher:
        with wrong.caught():
            teacher = load_teacher(options.teacher, device)
    sets: list[DataSet] = []
    for path in options.data:
        with wrong.caught():
            sets.append(read_data_set(path, options))
    wrong.refuse()
    classes = choose_classes([each.training for each in sets], start, teacher)
    for i, each in enumerate(sets):
        with wrong.caught():
            validation = each.validation and each.validation.relabelled(classes)
            sets[i] = each._replace(training=each.training.relabelled(classes), validation=validation)
    wrong.refuse()
    splits, exam = choose_exam(sets)
    largest = round(MARGIN * max(phase.size for phase in recipe.schedule))
    sides = [min(each.side, largest) for each in sets]
    return Checked(splits, sides, share_out(splits, options.shares, recipe.batch_size), classes, exam, start, teacher)


def read_data_set(path: Path, options: Options) -> DataSet:
    """Both parts of a data set, without files that are not pictures."""
    wrong = Mistakes()
    training, side, validation = Split((), (), ()), 0, None
    with wrong.caught():
        training, side = check_pictures(read_split(path, "train"), options.workers, options.skip_broken)
    if path.is_dir() and has_part(path, "val"):
        with wrong.caught():
            validation, _ = check_pictures(read_split(path, "val"), options.workers, options.skip_broken)
    wrong.refuse()
    return DataSet(path, training, side, validation)


def choose_classes(splits: Sequence[Split], start: LoadedModel | None, teacher: Teacher | None) -> tuple[ClassName, ...]:
    """The classes of the network: those of the first labelled data set, or the teacher's."""
    own = next((split.classes for split in splits if split.labelled), None)
    if teacher is None:
        if own is None:
            raise UserError("The pictures have no labels: put them into train/<class>/ and val/<class>/, or name a --teacher.")
        if len(own) < 2:
            raise UserError("There is only one class ({name}); a network needs at least two.", name=own[0].name)
        return own
    if start is not None and len(start.config.labels) == teacher.classes:
        return weights_classes(start.config.labels)
    if own is not None and len(own) == teacher.classes:
        return own
    if teacher.classes == 1000:
        return tuple(ClassName(row.wnid, row.name) for row in imagenet_classes())
    raise UserError(
        "The teacher {name} knows {count:,} classes; they must be the data's ({own:,}), the start's or ImageNet's 1,000.",
        name=teacher.name,
        count=teacher.classes,
        own=len(own or ()),
    )


def choose_exam(sets: Sequence[DataSet]) -> tuple[list[Split], Exam]:
    """Choose the training pictures, and those that the network is measured on: the first validation part, else held-out pictures.

    The temperatures are fitted on held-out pictures, 2 % of the labelled training pictures. Where the measured data set has no
    labelled training pictures, the even rows of its validation part fit the temperatures and the odd rows are reported.
    """
    splits = [each.training for each in sets]
    chosen = next((i for i, each in enumerate(sets) if each.validation is not None), None)
    if chosen is None:
        chosen = next((i for i, split in enumerate(splits) if split.labelled), None)
        if chosen is None:
            raise UserError("There are no labelled pictures to measure on: one data set needs val/<class>/<picture> or val.npz.")
    name, measured = sets[chosen].path.name, sets[chosen].validation
    if measured is not None and not splits[chosen].labelled:
        even, odd = (measured.subset(range(first, len(measured.pictures), 2)) for first in (0, 1))
        return splits, Exam(even, odd, "odd", f"{name}, {len(odd.pictures):,} validation pictures (odd rows)")
    splits[chosen], held_out = hold_out(splits[chosen])
    if measured is None:
        return splits, Exam(held_out, held_out, "all", f"{name}, {len(held_out.pictures):,} held-out training pictures")
    return splits, Exam(held_out, measured, "all", f"{name}, {len(measured.pictures):,} validation pictures")


def share_out(splits: Sequence[Split], shares: Sequence[float] | None, batch_size: int) -> list[int]:
    """How many pictures of each data set are in a batch."""
    counts = [len(split.pictures) for split in splits]
    if sum(counts) < batch_size:
        raise UserError(
            "{count} training pictures are too few for a batch of {size}; lower --batch-size.", count=sum(counts), size=batch_size
        )
    parts = [share / sum(shares or counts) * batch_size for share in shares or counts]
    whole = [int(part) for part in parts]
    for i in sorted(range(len(parts)), key=lambda i: whole[i] - parts[i])[: batch_size - sum(whole)]:
        whole[i] += 1
    if min(whole) < 1:
        raise UserError(
            "A batch of {size} is too small for {count} data sets in these shares; raise --batch-size or change --shares.",
            size=batch_size,
            count=len(splits),
        )
    return whole
