"""Finds a class or group by the name or index that a person types."""

from __future__ import annotations

import difflib
import heapq
import unicodedata
from collections import defaultdict
from collections.abc import Sequence

from googlenet.errors import QuestionError
from googlenet.explanation.groups import Group, everyday_words, find_group

COMPARED = 60
"""How many letters of a name the search for similar labels compares."""
ALIKE = 0.7
"""difflib's ratio from which a spelling counts as similar: that of "cheetha" and "cheetah", not of "sofa" and "sock"."""


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
            "No class is called {name}; use one of the {count} labels or an index from 0 to {last}.",
            name=repr(text),
            count=len(self.names),
            last=len(self.names) - 1,
        )

    def near(self, text: str) -> list[str]:
        """What a person means by the case-folded text: the class or group of an everyday word; else up to three labels or groups
        that have a word of it; else labels with a similar spelling.

        Of names with as many of its words, the shortest comes first. difflib is slow for long names and many labels. It compares
        only the first `COMPARED` letters of the fifty labels that share most pairs of letters with the text.
        """
        text = text[:COMPARED]
        names = (*(group.name for group in self.groups), *self.folded)
        meant = everyday_words().get(text)
        if meant and meant.casefold() in names:
            return [meant]
        words = set(text.split())
        alike = {name: words & set(name.split()) for name in names}
        found = sorted(filter(alike.get, alike), key=lambda name: (-len(alike[name]), len(name.split())))
        if found:
            return found[:3]
        pairs = pairs_of(text)
        likely = heapq.nlargest(50, self.folded, key=lambda label: similarity(pairs, pairs_of(label[:COMPARED])))
        beginnings = {label[:COMPARED]: label for label in likely}
        return [beginnings[found] for found in difflib.get_close_matches(text, beginnings, n=3, cutoff=ALIKE)]


def pairs_of(text: str) -> set[str]:
    """The pairs of neighbouring letters."""
    return {text[i : i + 2] for i in range(len(text) - 1)} or {text}


def similarity(a: set[str], b: set[str]) -> float:
    """The Sørensen–Dice coefficient of two sets, 0…1."""
    return 2 * len(a & b) / (len(a) + len(b))
