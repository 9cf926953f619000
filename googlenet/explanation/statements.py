"""What a head can say truthfully: the most specific class or group that is probably right, and how often such answers were right.

Where the class is a guess, its group is usually certain. Of all groups whose summed probability reaches a threshold, the one that
says most is said: log2(classes / its classes) bits. A single class is a group of one. Sources: Deng et al., "Hedging Your Bets",
CVPR 2012; Goren et al., "Hierarchical Selective Classification", NeurIPS 2024.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from googlenet.explanation.classes import Group, groups_of, korean_name

__all__ = ["BINS", "Record", "Speaker", "Statement", "bin_of", "percent"]

_THRESHOLD = 0.8
"""The summed probability from which a group is said, for weights that state none."""

BINS = (0.15, 0.3, 0.5, 0.8)
"""The probabilities at which the bins of a record begin, after the first."""


_PERCENT = {
    None: ("> 99 %", "< 0.1 %", " %"),
    "en": ("over 99 %", "under 0.1 %", " %"),
    "ko": ("99% 이상", "0.1% 미만", "%"),
}
"""language, None for signs → what stands for a share from 99.5 % on, for one below 0.1 %, and the unit of all others"""


class Record(NamedTuple):
    """How many answers of such a probability were right."""

    right: int
    of: int


@dataclass(frozen=True)
class Statement:
    """The most specific group whose probability reaches the threshold. A single class is a group of one."""

    name: str
    """in English, without article: a group's name or a class's label"""
    korean: str
    indices: tuple[int, ...] = field(repr=False)
    """of its classes"""
    probability: float
    """0…1, summed over its classes"""


class Speaker:
    """Finds what to say for one set of weights: of "tabby" with 0.5 and "Egyptian cat" with 0.4, "cat"."""

    def __init__(self, labels: tuple[str, ...], threshold: float | None = None) -> None:
        """`labels` in the order of the logits; `threshold`: the least probability of what is said, `_THRESHOLD` by default."""
        self.labels = labels
        self.threshold = _THRESHOLD if threshold is None else threshold
        self.groups = groups_of(labels)[::-1]
        """the most particular first; empty where a label is not one of ImageNet's: nothing is said then"""
        self.members = np.zeros((len(labels) if self.groups else 0, len(self.groups)), np.float32)
        """(classes, groups): 1 where a class belongs to a group"""
        for column, group in enumerate(self.groups):
            self.members[list(group.indices), column] = 1

    def choose(self, probabilities: NDArray[np.floating]) -> list[tuple[int | Group, float] | None]:
        """What to say for each row of probabilities (N, classes): a class's index or a group, and its probability.

        None where nothing reaches the threshold. Of groups with as many classes, the most probable one is said.
        """
        sums = probabilities @ self.members
        worth = np.where(sums >= self.threshold, sums / 2 - self.members.sum(axis=0), -np.inf)  # a class counts more than a sum
        best, columns = probabilities.argmax(axis=1), worth.argmax(axis=1)
        choices: list[tuple[int | Group, float] | None] = []
        for p, total, index, column in zip(probabilities, sums, best, columns, strict=True):
            if p[index] >= self.threshold:
                choices.append((int(index), float(p[index])))
            elif total[column] >= self.threshold:
                choices.append((self.groups[column], float(total[column])))
            else:
                choices.append(None)
        return choices

    def statements(self, probabilities: Mapping[str, NDArray[np.float32] | None]) -> dict[str, Statement | None] | None:
        """head → what it can say; None for a head that the weights lack. None where the classes have no groups."""
        if not self.groups:
            return None
        present = {head: p for head, p in probabilities.items() if p is not None}
        said = dict(zip(present, map(self.statement, self.choose(np.stack(list(present.values())))), strict=True))
        return {head: said.get(head) for head in probabilities}

    def statement(self, choice: tuple[int | Group, float] | None) -> Statement | None:
        """A choice with its names."""
        if choice is None:
            return None
        what, probability = choice
        if isinstance(what, Group):
            return Statement(what.name, what.korean, what.indices, probability)
        return Statement(self.labels[what], korean_name(self.labels[what]) or "", (what,), probability)


def bin_of(probability: float) -> int:
    """The number of a probability's bin, 0…4."""
    return int(np.searchsorted(BINS, probability, side="right"))


def percent(p: float, language: str | None = None) -> str:
    """A share in per cent, as a sentence of the language ("en", "ko") has it, or in signs. Never rounded to "100 %" or "0 %"."""
    most, least, unit = _PERCENT[language]
    if p >= 0.995:
        return most
    return least if p < 0.001 else f"{100 * p:.{0 if p >= 0.0995 else 1}f}{unit}"
