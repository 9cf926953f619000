"""Everyday groups of ImageNet's classes, such as "a dog" and "a musical instrument".

They form a tree of up to five levels, from the general (an animal) to the particular (a scent hound). A class may be in several
branches: an umbrella is an accessory, a piano has strings and keys. `groups.json` has the data: for each group its classes, the
WordNet synsets that they are below, and the exceptions with a comment each.
"""

from __future__ import annotations

import functools
import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from googlenet.explanation.classes import imagenet_classes


@dataclass(frozen=True)
class Group:
    """Classes that one everyday word names."""

    name: str
    """the English name without its article; no class has the same"""
    article: str
    """ "a", "an", or "" for a word that takes none, such as headgear"""
    korean: str
    """the Korean name"""
    indices: tuple[int, ...]
    """its classes, ascending; never empty"""
    parent: str | None
    """the name of the wider group, which holds all of these classes; None at the top"""

    @property
    def phrase(self) -> str:
        """The name with its article, as a sentence has it: "a dog", "headgear"."""
        return f"{self.article} {self.name}".strip()


@functools.cache
def imagenet_groups() -> tuple[Group, ...]:
    """All groups over ImageNet's 1,000 classes, each after its parent.

    Example:
        >>> [(group.phrase, len(group.indices)) for group in imagenet_groups()[:3]]
        [('an animal', 398), ('a mammal', 218), ('a dog', 118)]
    """
    rows = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))["groups"]
    return tuple(
        Group(row["name"], row["article"], row["korean"], tuple(_indices(row["classes"])), row["parent"]) for row in rows
    )


def _indices(ranges: str) -> Iterable[int]:
    """ "1-3 7" → 1, 2, 3, 7."""
    for each in ranges.split():
        first, _, last = each.partition("-")
        yield from range(int(first), int(last or first) + 1)


def groups_of(labels: Sequence[str]) -> tuple[Group, ...]:
    """The groups over a set of weights' own classes, each after its parent.

    Args:
        labels: the weights' labels in the order of the logits. Any choice of ImageNet's names in any order.

    Returns:
        The groups that have a class among the labels, with the labels' indices. Empty if a label is not one of ImageNet's.

    Example:
        >>> [(group.phrase, group.indices) for group in groups_of(["lion", "violin", "tabby"])][:4]
        [('an animal', (0, 2)), ('a mammal', (0, 2)), ('a feline', (0, 2)), ('a cat', (2,))]
    """
    classes = imagenet_classes()
    place = {label: index for index, label in enumerate(labels)}
    if not place.keys() <= {each.name for each in classes}:
        return ()
    over_labels = (
        replace(
            group, indices=tuple(sorted(place[classes[index].name] for index in group.indices if classes[index].name in place))
        )
        for group in imagenet_groups()
    )
    return tuple(group for group in over_labels if group.indices)


def find_group(text: str, groups: Iterable[Group]) -> Group | None:
    """The group that a person names: in English with or without its article, or in Korean. None if no group has the name.

    Example:
        >>> [find_group(text, imagenet_groups()).name for text in ("Dog", "a dog", "개")]
        ['dog', 'dog', 'dog']
    """
    folded = unicodedata.normalize("NFC", text).strip().casefold()
    return next((group for group in groups if folded in (group.name, group.phrase, group.korean)), None)


@functools.cache
def everyday_words() -> dict[str, str]:
    """A word that is no name here → the class or group that a person means by it.

    Example:
        >>> everyday_words()["puppy"], everyday_words()["휴대폰"]
        ('dog', 'cellular telephone')
    """
    words: dict[str, str] = json.loads(Path(__file__).with_name("words.json").read_text("utf-8"))
    return words
