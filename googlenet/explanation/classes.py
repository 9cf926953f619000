"""What classes are called: ImageNet's 1,000 classes, everyday groups of them, and the search for what a person types.

The groups, such as "a dog" and "a musical instrument", form a tree of up to five levels, from the general (an animal) to the
particular (a scent hound). A class may be in several branches: an umbrella is an accessory, a piano has strings and keys.
`groups.json` has for each group its classes, the WordNet synsets that they are below, and the exceptions with a comment each.
"""

from __future__ import annotations

import difflib
import functools
import heapq
import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from googlenet.errors import QuestionError

__all__ = ["Group", "Labels", "everyday_words", "find_group", "groups_of", "imagenet_classes", "imagenet_groups", "korean_name"]

COMPARED = 60
"""How many letters of a name the search for similar labels compares."""
_ALIKE = 0.75
"""difflib's ratio from which a spelling counts as similar: that of "lyon" and "lion", not of "unicorn" and "corn"."""
_ARTICLE = re.compile(r"^(an?|the)\s+")
_SMALL_WORDS = {"a", "an", "the", "and", "at", "in", "of", "on"}
"""Names that have nothing but these in common have nothing in common."""
_PLURALS = ("s", ""), ("es", ""), ("ies", "y")
"""How a plural ends, and its singular."""


@dataclass(frozen=True)
class ImageNetClass:
    """One class of ImageNet-1k. Its index is its place in the table."""

    wnid: str
    """WordNet's identifier, such as n02129165: the name of the class's folder in ImageNet"""
    name: str
    """the label; the 1,000 are distinct, two of them only by case ("Cardigan", a dog, and "cardigan", a garment)"""
    korean: str
    """the everyday Korean name; the 1,000 are distinct"""


@dataclass(frozen=True)
class Group:
    """Classes that one everyday word names."""

    name: str
    """the English name without its article; no class has the same"""
    article: str
    """ "a", "an", or "" for a word that takes none, such as headgear"""
    korean: str
    indices: tuple[int, ...]
    """its classes, ascending; never empty"""
    parent: str | None
    """the name of the wider group, which holds all of these classes; None at the top"""

    @property
    def phrase(self) -> str:
        """The name with its article, as a sentence has it: "a dog", "headgear"."""
        return f"{self.article} {self.name}".strip()


def _read(name: str) -> Any:
    return json.loads(Path(__file__).with_name(name).read_text("utf-8"))


@functools.cache
def imagenet_classes() -> tuple[ImageNetClass, ...]:
    """The 1,000 classes in ImageNet's order, which is the order of the logits."""
    return tuple(ImageNetClass(**row) for row in _read("classes.json"))


@functools.cache
def _korean() -> dict[str, str]:
    return {each.name: each.korean for each in imagenet_classes()}


def korean_name(label: str) -> str | None:
    """A class's Korean name; None for a label that is not one of ImageNet's."""
    return _korean().get(label)


@functools.cache
def imagenet_groups() -> tuple[Group, ...]:
    """All groups over ImageNet's 1,000 classes, each after its parent."""
    rows = _read("groups.json")["groups"]
    return tuple(
        Group(row["name"], row["article"], row["korean"], tuple(_indices(row["classes"])), row["parent"]) for row in rows
    )


def _indices(ranges: str) -> Iterator[int]:
    """ "1-3 7" → 1, 2, 3, 7."""
    for each in ranges.split():
        first, _, last = each.partition("-")
        yield from range(int(first), int(last or first) + 1)


def groups_of(labels: Sequence[str]) -> tuple[Group, ...]:
    """The groups over a set of weights' own classes, each after its parent, with the indices of these labels.

    `labels`: any choice of ImageNet's names in any order. Empty where one of them is not ImageNet's.

    Example:
        >>> [(group.phrase, group.indices) for group in groups_of(["lion", "violin", "tabby"])][:4]
        [('an animal', (0, 2)), ('a mammal', (0, 2)), ('a feline', (0, 2)), ('a cat', (2,))]
    """
    place = {label: index for index, label in enumerate(labels)}
    if not place.keys() <= _korean().keys():
        return ()
    names = [each.name for each in imagenet_classes()]
    found = []
    for group in imagenet_groups():
        indices = sorted(place[names[index]] for index in group.indices if names[index] in place)
        if indices:
            found.append(replace(group, indices=tuple(indices)))
    return tuple(found)


def find_group(text: str, groups: Iterable[Group]) -> Group | None:
    """The group that a person names: in English with or without its article, or in Korean. None if no group has the name."""
    folded = unicodedata.normalize("NFC", text).strip().casefold()
    return next((group for group in groups if folded in (group.name, group.phrase, group.korean)), None)


@functools.cache
def everyday_words() -> dict[str, str]:
    """A word that is no name here, such as "puppy" → the class or group that a person means by it."""
    words: dict[str, str] = _read("words.json")
    return words


class Labels:
    """The labels of a set of weights, in the order of the logits."""

    def __init__(self, names: tuple[str, ...], groups: Sequence[Group] = ()) -> None:
        """`groups`: of these classes, which can be asked about too."""
        self.names = names
        self.groups = groups
        self.folded: defaultdict[str, list[int]] = defaultdict(list)
        """case-folded label → its indices"""
        for index, name in enumerate(names):
            self.folded[name.casefold()].append(index)

    def find(self, name: str | int) -> int | Group:
        """A label, or an index as a number or in digits → index; a group's name, in English or Korean → the group.

        A string is a label first, then an index, then a group. Case matters only between labels that differ by case alone, such
        as "Cardigan" (a dog) and "cardigan" (a garment).

        Raises:
            QuestionError: no class or group or several classes have the name. The sentence names similar labels or the indices.

        Example:
            >>> labels = Labels(("lion", "Cardigan", "cardigan"))
            >>> labels.find("Lion"), labels.find("cardigan"), labels.find("1"), labels.find(1)
            (0, 2, 1, 1)
        """
        if isinstance(name, int):
            if 0 <= name < len(self.names):
                return name
            raise self.unknown(f"{name:#x}" if name.bit_length() > 64 else str(name))  # str() of 5,000 digits raises ValueError
        text = unicodedata.normalize("NFC", name).strip()  # as the labels are
        found = self.folded.get(text.casefold(), [])
        found = [index for index in found if self.names[index] == text] or found
        if len(found) == 1:
            return found[0]
        if found:
            raise QuestionError(
                "Several classes are called {name}; ask by index: {indices}.", name=text, indices=", ".join(map(str, found))
            )
        if text.isdecimal() and len(text) <= 18 and int(text) < len(self.names):
            return int(text)
        group = find_group(text, self.groups)
        if group is None:
            raise self.unknown(text)
        return group

    def unknown(self, text: str) -> QuestionError:
        """The error for a name that no class has."""
        near = self.near(text.casefold())
        if near:
            return QuestionError("No class is called {name}; did you mean {near}?", name=repr(text), near=", ".join(near))
        return QuestionError(
            "No class is called {name}; use one of the {count:,} labels or an index from 0 to {last}.",
            name=repr(text),
            count=len(self.names),
            last=len(self.names) - 1,
        )

    def near(self, text: str) -> list[str]:
        """What a person means by the case-folded text: the class or group of a Korean name, an everyday word or a plural; else up
        to three labels or groups that have a word of it; else labels with a similar spelling.

        Of names with as many of its words, the shortest comes first. difflib is slow for long names and many labels. It compares
        only the first `COMPARED` letters of the fifty labels that share most pairs of letters with the text.
        """
        text = _ARTICLE.sub("", text[:COMPARED]).strip(" .,")
        names = (*(group.name for group in self.groups), *self.folded)
        korean = {korean_name(name): name for name in self.names}
        for form in _forms(text):
            meant = korean.get(form) or everyday_words().get(form, form)
            if meant.casefold() in names:
                return [meant]
        words = {singular for word in text.replace(",", " ").split() for singular in _forms(word)} - _SMALL_WORDS
        alike = {name: words & set(name.split()) for name in names}
        found = sorted(filter(alike.get, alike), key=lambda name: (-len(alike[name]), len(name.split())))
        if found:
            return found[:3]
        pairs = _pairs_of(text)
        likely = heapq.nlargest(50, self.folded, key=lambda label: _similarity(pairs, _pairs_of(label[:COMPARED])))
        beginnings = {label[:COMPARED]: label for label in likely}
        return [beginnings[found] for found in difflib.get_close_matches(text, beginnings, n=3, cutoff=_ALIKE)]


def _forms(text: str) -> Iterator[str]:
    """A text, its part before a comma, as ImageNet writes "lion, king of beasts, Panthera leo", and the singulars of both."""
    for form in (text, text.partition(",")[0]):
        yield form
        yield from (form.removesuffix(ending) + letter for ending, letter in _PLURALS if form.endswith(ending))


def _pairs_of(text: str) -> set[str]:
    """The pairs of neighbouring letters."""
    return {text[i : i + 2] for i in range(len(text) - 1)} or {text}


def _similarity(a: set[str], b: set[str]) -> float:
    """The Sørensen–Dice coefficient of two sets, 0…1."""
    return 2 * len(a & b) / (len(a) + len(b))
