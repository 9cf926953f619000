"""Checks a training run's input before the first step, and reports all mistakes together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch

from googlenet.batch.files import make_folder
from googlenet.checkpoints import LoadedModel, load
from googlenet.checkpoints.checkpoint import CARD_FILE, CONFIG_FILE, WEIGHTS_FILE
from googlenet.errors import ListedError, UserError
from googlenet.training.data import (
    ROWS,
    ClassName,
    Split,
    SplitName,
    check_outside,
    has_part,
    hold_out,
    imagenet,
    read_split,
    weights_classes,
)
from googlenet.training.pictures import check_pictures
from googlenet.training.recipe import Options, Recipe
from googlenet.training.teachers import Teacher, load_teacher

__all__ = ["CHECKPOINT_FILE", "RunInput", "check"]

CHECKPOINT_FILE = "checkpoint.pt"
_MARGIN = 1.25
"""Pictures are kept at this many times the network's input side, since a random crop is smaller than the picture."""
_FITTED = 0.02
"""Share of the labelled training pictures that choose the temperatures, where the reported ones are others."""
_FEW = 30
"""Fewer pictures of a class than this say little about it."""


class Exam(NamedTuple):
    """Pictures that the network never learns from."""

    fit: Split
    """pictures that choose the temperatures and the threshold"""
    measure: Split
    """pictures whose results are reported"""
    data: Path
    """the data set that `measure` is of"""
    kind: str
    """what `measure` is, in words"""

    @property
    def title(self) -> str:
        return f"{self.data.resolve().name}, {len(self.measure.examples):,} {self.kind}"

    def __str__(self) -> str:
        """What the run says about them before it starts."""
        counts = Counter(self.measure.labels)
        low, high = min(counts.values()), max(counts.values())
        each = f"{low}" if low == high else f"{low} to {high}"
        lines = [f"Measured on {self.title} of {len(counts):,} of {len(self.measure.classes):,} classes, {each} of each."]
        if self.fit is not self.measure:
            lines.append(f"{len(self.fit.examples):,} other pictures are held out to choose the temperatures.")
        if low < _FEW:
            lines.append(f"So few mean little: one picture of {low} is {1 / low:.0%} of its class.")
        return " ".join(lines)


class RunInput(NamedTuple):
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


@contextmanager
def _added_to(mistakes: list[UserError]) -> Iterator[None]:
    """Add the UserError that the block raises to a list."""
    try:
        yield
    except UserError as error:
        mistakes += error.errors if isinstance(error, ListedError) else [error]


def _refuse(mistakes: list[UserError]) -> None:
    if mistakes:
        raise mistakes[0] if len(mistakes) == 1 else ListedError("Nothing was started:", mistakes)


def check(options: Options, recipe: Recipe, device: torch.device) -> RunInput:
    """Read headers, classes, weights and the teacher. Raises a UserError that names all mistakes."""
    wrong = [*recipe.mistakes(), *options.mistakes()]
    if not options.overwrite:
        wrong += _what_is_there(options)
    start = teacher = None
    with _added_to(wrong):
        start = load(options.init) if options.init else None
    with _added_to(wrong):
        teacher = load_teacher(options.teacher, device) if options.teacher else None

    def read(data: Path, part: SplitName, held_out: float) -> tuple[Split, int]:
        split = read_split(data, part, held_out, class_folders=options.teacher is None)
        return check_pictures(split, options.workers, options.skip_broken)

    measured = next((data for data in options.data if has_part(data, "val")), None)
    held_out = options.split if measured is None else 0.0
    splits: list[Split] = []
    sides: list[int] = []
    for data in options.data:
        with _added_to(wrong):
            training, side = read(data, "train", held_out)
            splits.append(training)
            sides.append(side)
            if measured is None and training.labelled:
                measured, held_out = data, 0.0
    validation = Split()
    if measured is not None:
        with _added_to(wrong):
            validation, _ = read(measured, "val", options.split)
    with _added_to(wrong):
        for data in options.data:
            check_outside(options.out, data)
        make_folder(options.out)
    _refuse(wrong)
    classes = _choose_classes(splits, start, teacher)
    if measured is None or not validation.examples:
        raise UserError("There are no labelled pictures to measure on: one data set needs val/<class>/<picture> or val.npz.")
    relabelled: list[Split] = []
    for split in (*splits, validation):
        with _added_to(wrong):
            relabelled.append(split.relabelled(classes))
    _refuse(wrong)
    *splits, validation = relabelled
    exam = _choose_exam(splits, options.data.index(measured), measured, validation)
    largest = round(_MARGIN * max(phase.size for phase in recipe.schedule))
    per_batch = _share_out(splits, options.shares, recipe.batch_size)
    return RunInput(splits, [min(side, largest) for side in sides], per_batch, classes, exam, start, teacher)


def _what_is_there(options: Options) -> Iterator[UserError]:
    """What in the output folder must not be replaced, one error each."""
    out, checkpoint = options.out, options.out / CHECKPOINT_FILE
    names = ", ".join(name for name in (WEIGHTS_FILE, CONFIG_FILE, CARD_FILE) if (out / name).exists())
    if names:
        yield UserError("{folder} already holds {names}; choose another folder, or add --overwrite.", folder=out, names=names)
    if checkpoint.exists() and not options.resume:
        yield UserError("{path} is the checkpoint of a run; add --resume to go on from it, or --overwrite.", path=checkpoint)


def _choose_classes(splits: Sequence[Split], start: LoadedModel | None, teacher: Teacher | None) -> tuple[ClassName, ...]:
    """The classes of the network: those of the first labelled data set, or the teacher's."""
    own = next((split.classes for split in splits if split.labelled), ())
    if teacher is None:
        if not own:
            raise UserError("The pictures have no labels: put each into a folder of its class, or name a --teacher.")
        if len(own) < 2:
            raise UserError("There is only one class ({name}); a network needs at least two.", name=own[0].name)
        return own
    candidates = (weights_classes(start.config.labels) if start else (), own, imagenet())
    for classes in candidates:
        if len(classes) == teacher.classes:
            return classes
    raise UserError(
        "The teacher {name} knows {count:,} classes; they must be the data's ({own:,}), the start's or ImageNet's 1,000.",
        name=teacher.name,
        count=teacher.classes,
        own=len(own),
    )


def _choose_exam(splits: list[Split], own: int, data: Path, validation: Split) -> Exam:
    """The pictures that the network is measured on, and those that choose its temperatures.

    Validation pictures that were held out of the training pictures do both. Else a share `_FITTED` of the training pictures of
    the data set, `splits[own]`, is taken out of it and chooses the temperatures; where these have no labels, the even rows of the
    validation pictures do.
    """
    if not has_part(data, "val"):
        return Exam(validation, validation, data, "held-out training pictures")
    if not splits[own].labelled:
        rows = range(len(validation.examples))
        even, odd = (validation.subset(rows[ROWS[kind]]) for kind in ("even", "odd"))
        return Exam(even, odd, data, "validation pictures (odd rows)")
    splits[own], fit = hold_out(splits[own], _FITTED)
    return Exam(fit if fit.examples else validation, validation, data, "validation pictures")


def _share_out(splits: Sequence[Split], shares: Sequence[float] | None, batch_size: int) -> list[int]:
    """How many pictures of each data set are in a batch."""
    weights = shares or [len(split.examples) for split in splits]
    per_batch = [round(weight / sum(weights) * batch_size) for weight in weights]
    if min(per_batch) < 1:
        raise UserError(
            "A batch of {size} is too small for {count} data sets in these shares; raise --batch-size or change --shares.",
            size=batch_size,
            count=len(splits),
        )
    return per_batch
