"""What a head can say truthfully: the most specific class or group that is probably right, and how often such answers were right.

Where the class is a guess, its group is usually certain. Of all groups whose summed probability reaches a threshold, the one that
says most is said: log2(classes / its classes) bits. A single class is a group of one. Sources: Deng et al., "Hedging Your Bets",
CVPR 2012; Goren et al., "Hierarchical Selective Classification", NeurIPS 2024.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from googlenet.explanation.classes import imagenet_classes
from googlenet.explanation.groups import Group, groups_of

THRESHOLD = 0.8
"""The summed probability from which a group is said, for weights that state none."""

BINS = (0.15, 0.3, 0.5, 0.8)
"""The probabilities at which the bins of a record begin, after the first."""


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
    indices: tuple[int, ...]
    """of its classes"""
    probability: float
    """0…1, summed over its classes"""


class Speaker:
    """Finds what to say for weights with some labels and a threshold."""

    def __init__(self, labels: tuple[str, ...], threshold: float) -> None:
        self.groups = groups_of(labels)
        """empty where the labels are not all ImageNet's: nothing is said then"""
        self.labels, self.threshold = labels, threshold

    @cached_property
    def members(self) -> NDArray[np.float32]:
        """(classes, groups): 1 where a class belongs to a group."""
        members = np.zeros((len(self.labels), len(self.groups)), np.float32)
        for column, group in enumerate(self.groups):
            members[list(group.indices), column] = 1
        return members

    def choose(self, probabilities: NDArray[np.floating]) -> list[tuple[int | Group, float] | None]:
        """What to say for each row of probabilities (N, classes): a class's index or a group, and its probability.

        None where no group reaches the threshold. Of two groups with as many classes, the more probable one is said.
        """
        best = probabilities.argmax(axis=1)
        sums = probabilities @ self.members
        sizes = self.members.sum(axis=0)
        rank = np.where(sums >= self.threshold, 1 - sizes + sums / 2, -np.inf)  # by size first: sums / 2 stay below 1
        found: list[tuple[int | Group, float] | None] = []
        for row, index in enumerate(best):
            column = int(rank[row].argmax())
            if probabilities[row, index] >= self.threshold:
                found.append((int(index), float(probabilities[row, index])))
            elif sums[row, column] >= self.threshold:
                found.append((self.groups[column], float(sums[row, column])))
            else:
                found.append(None)
        return found

    def statements(self, probabilities: dict[str, NDArray[np.float32] | None]) -> dict[str, Statement | None] | None:
        """head → what it can say; None for a head that the weights lack. None where the classes have no groups."""
        if not self.groups:
            return None
        present = [head for head, p in probabilities.items() if p is not None]
        rows = np.stack([probabilities[head] for head in present])  # type: ignore[misc]
        said = dict(zip(present, map(self.statement, self.choose(rows)), strict=True))
        return {head: said.get(head) for head in probabilities}

    def statement(self, choice: tuple[int | Group, float] | None) -> Statement | None:
        """A choice in words."""
        if choice is None:
            return None
        what, probability = choice
        if isinstance(what, Group):
            return Statement(what.name, what.korean, what.indices, probability)
        return Statement(self.labels[what], korean_of(self.labels)[what], (what,), probability)


def bin_of(probability: float) -> int:
    """The number of a probability's bin, 0…4."""
    return int(np.searchsorted(BINS, probability, side="right"))
