"""The classes of data sets and of weights, and how they match."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from googlenet.checkpoints.labels import nfc
from googlenet.errors import UserError
from googlenet.explanation.classes import imagenet_classes

NAMED = 20
"""How many names an error lists; for the rest it gives the number."""


class ClassName(NamedTuple):
    wnid: str
    """WordNet's identifier, or the name of the class's folder"""
    name: str
    """the readable name"""


def class_table(folder: Path) -> tuple[ClassName, ...] | None:
    """The rows of `folder/classes.json`, None without that file. Raises UserError where it has another shape."""
    path = folder / "classes.json"
    if not path.is_file():
        return None
    try:
        rows = json.loads(nfc(path.read_text(encoding="utf-8")))
        table = tuple(ClassName(row["wnid"], row["name"]) for row in rows)
        if not table or not all(isinstance(text, str) and text for row in table for text in row):
            raise ValueError("an empty name")
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise UserError('{path} must be a list of objects such as {{"wnid": "n02129165", "name": "lion"}}.', path=path) from None
    for column in zip(*table, strict=True):
        twice = sorted({text for text in column if column.count(text) > 1})
        if twice:
            raise UserError("{path} names {names} more than once.", path=path, names=", ".join(twice[:NAMED]))
    return table


def match_classes(classes: Sequence[ClassName], known: Sequence[ClassName]) -> list[int]:
    """The row in `known` of each class: by its wnid, then its exact name, then its name in any case.

    Raises:
        UserError: `known` lacks some of the classes; the message names them.

    Example:
        >>> from googlenet import load
        >>> match_classes([ClassName("n02963159", "cardigan")], weights_classes(load("weights").config.labels))
        [474]
    """
    by_name = {row.name: i for i, row in enumerate(known)}
    by_wnid = {row.wnid: i for i, row in enumerate(known)}
    by_folded: dict[str, int | None] = {}
    for i, row in enumerate(known):  # None where two names differ only by case
        by_folded[row.name.casefold()] = None if row.name.casefold() in by_folded else i
    found = [by_wnid.get(row.wnid, by_name.get(row.name, by_folded.get(row.name.casefold()))) for row in classes]
    missing = [row.name for row, place in zip(classes, found, strict=True) if place is None]
    if missing:
        named = ", ".join(missing[:NAMED]) + (f" and {len(missing) - NAMED} more" if len(missing) > NAMED else "")
        raise UserError(
            "The weights have {known:,} classes and lack {count} of the data's: {names}.",
            known=len(known),
            count=len(missing),
            names=named,
        )
    return [place for place in found if place is not None]


def weights_classes(labels: Sequence[str]) -> tuple[ClassName, ...]:
    """The classes of a set of weights: with ImageNet's wnids where the labels are ImageNet's, else with the label as wnid."""
    table = tuple(ClassName(row.wnid, row.name) for row in imagenet_classes())
    if tuple(labels) == tuple(row.name for row in table):
        return table
    return tuple(ClassName(label, label) for label in labels)
