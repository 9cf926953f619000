"""The settings of a training run: the recipe, which is its schedule and hyperparameters, and its other options."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from googlenet.errors import UserError
from googlenet.model.architecture import STAGES

__all__ = ["SCRATCH", "SPLIT", "Options", "Phase", "Recipe", "parse_schedule"]

SPLIT = 0.2
"""Share of each class that is held out where a data set has no `val`."""
SCRATCH = "scratch"
"""What stands on the command line for a start from random weights."""
_SIZES = (32, 1024)
"""The smallest and the largest side of a network's input, in pixels, in `config.json`."""


@dataclass(frozen=True)
class Phase:
    """A part of the schedule: some epochs at one size."""

    size: int
    """side of the views in pixels"""
    epochs: int
    freeze: str | None = None
    """The layers up to this stage are frozen, except for BatchNorm's statistics. An epoch then takes less time."""

    def __str__(self) -> str:
        return f"{self.size}:{self.epochs}" + (f":{self.freeze}" if self.freeze else "")


def parse_schedule(text: str) -> tuple[Phase, ...]:
    """`64:8,96:5:3a` → eight epochs at 64 pixels, then five at 96 with everything up to stage 3a frozen."""
    phase = rf"\d{{1,9}}:\d{{1,9}}(:({'|'.join(STAGES)}))?"
    if not re.fullmatch(f"{phase}(,{phase})*", text, re.ASCII):
        raise UserError(
            "The schedule {text} is not SIZE:EPOCHS[:STAGE],SIZE:EPOCHS[:STAGE],… such as 64:8,96:5:3a.", text=repr(text)
        )
    parts = (part.split(":") for part in text.split(","))
    return tuple(Phase(int(size), int(epochs), *stage) for size, epochs, *stage in parts)


@dataclass(frozen=True)
class Recipe:
    """The hyperparameters of a run. The defaults suit a few hundred labelled pictures and a start from trained weights."""

    schedule: tuple[Phase, ...] = (Phase(224, 4, "3b"),)
    minutes: float | None = None
    """The run's length; the schedule's epochs are then shares of this time. None: the run takes the schedule's epochs."""
    batch_size: int = 32
    learning_rate: float = 0.003
    weight_decay: float = 5e-4
    """none on biases and BatchNorm"""
    crops: tuple[float, float] = (0.35, 0.65)
    """the smallest share of the picture's area that a random crop keeps, at the start and at the end, linear in between. A crop
    enlarges objects. At the end the network must see them at the size that they have in use (Touvron et al., "Fixing the
    train-test resolution discrepancy", 2019)"""
    warm_up: float = 0.05
    """share of the run in which the learning rate rises; then it falls to 0 by a cosine"""
    label_smoothing: float = 0.1
    """used without a teacher"""
    teacher_temperature: float = 2.0
    """of the softmax over the teacher's and the student's logits (Hinton et al., "Distilling the knowledge", 2015)"""
    label_boost: float = 4.0
    """added to the teacher's logit of the true class where that is known"""
    mixed: float = 0.5
    """share of the batches in which pairs of pictures and their labels are mixed, in the first half of the run. The second half
    shows unmixed pictures"""
    dropout: tuple[float, float] = (0.1, 0.3)
    """before the last layer of the main head and of the auxiliary heads. The paper's 0.4 and 0.7 suit many more epochs"""
    balance: float = 1.0
    """τ: how much of the classes' frequencies is taken out of the heads at the end (`googlenet.training.last_layers`). Labelled
    pictures of unequal classes are drawn in balance: each class equally often. 0: neither"""
    prior_in_loss: bool = False
    """With a teacher: the logarithm of the teacher's prior is added to the student's logits in the loss alone. The logits are
    then balanced all the time, and nothing is taken out at the end. It suits a start from balanced heads"""
    seed: int = 0

    def mistakes(self) -> Iterator[UserError]:
        """The settings that cannot work, one error each."""
        low, high = _SIZES
        for phase in self.schedule:
            if not low <= phase.size <= high:
                yield UserError("--schedule {phase}: the size must be from {low} to {high}.", phase=phase, low=low, high=high)
            if phase.epochs < 1:
                yield UserError("--schedule {phase}: the number of epochs must be at least 1.", phase=phase)
        if self.batch_size < 2:
            yield UserError("--batch-size {size}: BatchNorm needs at least 2.", size=self.batch_size)
        if not 0 < self.learning_rate < 100:
            yield UserError("--learning-rate {rate:g}: it must be above 0 and below 100.", rate=self.learning_rate)
        if self.minutes is not None and not 0 < self.minutes < 1e6:
            yield UserError("--minutes {minutes:g}: it must be above 0.", minutes=self.minutes)


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
    split: float = SPLIT
    """share of each class that is held out where no data set has a part `val`"""
    resume: bool = False
    overwrite: bool = False
    """replace a finished run or a checkpoint in `out`"""
    workers: int = 0
    """threads that decode pictures; 0 decodes in the calling thread"""
    skip_broken: bool = False
    """leave out pictures that cannot be read"""

    def mistakes(self) -> Iterator[UserError]:
        """The options that cannot work, one error each."""
        (low, high), size, count = _SIZES, self.input_size, len(self.data)
        if size is not None and not low <= size <= high:
            yield UserError("--input-size {size}: it must be from {low} to {high}.", size=size, low=low, high=high)
        shares = self.shares
        if shares is not None and (len(shares) != count or not all(0 < share < math.inf for share in shares)):
            yield UserError("--shares needs a number above 0 for each of the {count} data sets.", count=count)
        if not 0 < self.split < 1:
            yield UserError("--split {share:g}: it must be above 0 and below 1.", share=self.split)
