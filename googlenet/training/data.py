"""Reads data sets, folders of pictures or packed `.npz` files, into checked splits.

A data set is one of
- a folder with `train/<class>/<picture>` and `val/<class>/<picture>` (an ImageFolder tree; `valid` and `validation` are `val`),
- a folder with `val*.npz` and other `.npz` files, which are the training part,
- a folder with `<class>/<picture>`, or one `.npz` file,
- any other folder of pictures, which have no labels.

Without `val`, some labelled pictures of each class are held out in its place (`hold_out`).

`classes.json` in the folder gives the classes their names: a list of objects with `wnid` (the folder's name) and `name`.

An `.npz` holds the encoded pictures one after the other (`jpeg` or `webp`, uint8) and `offset` (int64, N + 1). Where they are
known, it also holds `label` (the class's row in `classes.json`; without that file, ImageNet's index) and `box` (N×4: x_min,
y_min, x_max, y_max, inclusive). The boxes of a tree are in `boxes.csv` beside the class folders: `path,x_min,y_min,x_max,y_max`.
"""

from __future__ import annotations

import csv
import hashlib
import json
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from googlenet.batch.files import SUFFIXES, is_hidden, pictures_in, unreadable
from googlenet.checkpoints.labels import nfc
from googlenet.errors import ListedError, UserError
from googlenet.explanation.classes import imagenet_classes
from googlenet.pictures.frame import Box
from googlenet.training.recipe import SPLIT

Part = Literal["train", "val"]
FOLDERS: dict[Part, tuple[str, ...]] = {"train": ("train",), "val": ("val", "valid", "validation")}
"""part → the names that its folder may have"""
UNKNOWN = -1
"""The label of a picture whose class is not known."""
NAMED = 20
"""How many names an error lists; for the rest it gives the number."""


class ClassName(NamedTuple):
    wnid: str
    """WordNet's identifier, or the name of the class's folder"""
    name: str
    """the readable name"""


class PackedPicture(NamedTuple):
    """One picture of a packed set."""

    path: Path
    row: int
    data: NDArray[np.uint8]

    @property
    def name(self) -> str:
        return f"{self.path.name}[{self.row}]"

    def __str__(self) -> str:
        return f"{self.path}[{self.row}]"


Picture = Path | PackedPicture


@dataclass(frozen=True)
class Split:
    """Pictures in order, with their labels and boxes."""

    pictures: tuple[Picture, ...]
    labels: tuple[int, ...]
    """rows of `classes`; `UNKNOWN` where the class is not known"""
    classes: tuple[ClassName, ...]
    boxes: tuple[Box | None, ...] | None = None
    """where the object lies, in pixels of the file, the far edges exclusive; None where the data set has no boxes"""

    @property
    def labelled(self) -> bool:
        return bool(self.pictures) and self.labels[0] != UNKNOWN

    def subset(self, rows: Iterable[int]) -> Split:
        """The pictures in these rows, in this order."""
        rows = list(rows)
        boxes = None if self.boxes is None else tuple(self.boxes[i] for i in rows)
        return replace(
            self, pictures=tuple(self.pictures[i] for i in rows), labels=tuple(self.labels[i] for i in rows), boxes=boxes
        )

    def relabelled(self, known: Sequence[ClassName]) -> Split:
        """The same pictures with labels as rows of `known`, which must hold all of these classes."""
        if not self.labelled:
            return replace(self, classes=tuple(known))
        rows = match_classes(self.classes, known)
        return replace(self, labels=tuple(rows[label] for label in self.labels), classes=tuple(known))


def imagenet() -> tuple[ClassName, ...]:
    """ImageNet's 1,000 classes."""
    return tuple(ClassName(row.wnid, row.name) for row in imagenet_classes())


def weights_classes(labels: Sequence[str]) -> tuple[ClassName, ...]:
    """The classes of a set of weights: with ImageNet's wnids where the labels are ImageNet's, else with the label as wnid."""
    table = imagenet()
    return table if tuple(labels) == tuple(row.name for row in table) else tuple(ClassName(label, label) for label in labels)


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
        if twice := repeated(column):
            raise UserError("{path} names {names} more than once.", path=path, names=twice)
    return table


def repeated(names: Iterable[str]) -> str:
    """The names that stand there more than once, in one line."""
    return ", ".join(sorted(name for name, count in Counter(names).items() if count > 1)[:NAMED])


def match_classes(classes: Sequence[ClassName], known: Sequence[ClassName]) -> list[int]:
    """The row in `known` of each class: by its wnid, then its exact name, then its name in any case.

    Raises:
        UserError: `known` lacks some of the classes; the message names them.

    Example:
        >>> from googlenet import load
        >>> match_classes([ClassName("n02963159", "cardigan")], weights_classes(load("weights").config.labels))
        [474]
    """
    by_wnid, by_name = ({row[column]: i for i, row in enumerate(known)} for column in (0, 1))
    in_any_case = Counter(row.name.casefold() for row in known)
    by_case = {key: i for i, row in enumerate(known) if in_any_case[key := row.name.casefold()] == 1}
    places = [by_wnid.get(wnid, by_name.get(name, by_case.get(name.casefold()))) for wnid, name in classes]
    missing = [row.name for row, place in zip(classes, places, strict=True) if place is None]
    if missing:
        named = ", ".join(missing[:NAMED]) + (f" and {len(missing) - NAMED} more" if len(missing) > NAMED else "")
        raise UserError(
            "The weights have {known:,} classes and lack {count} of the data's: {names}.",
            known=len(known),
            count=len(missing),
            names=named,
        )
    return [place for place in places if place is not None]


def read_split(data: Path, part: Part, held_out: float | None = None, class_folders: bool = True) -> Split:
    """Read one part of a data set: which pictures there are, and their labels and boxes. No picture is opened.

    Args:
        data: a folder or an `.npz` file, as this module's docstring describes.
        part: "train" or "val".
        held_out: share of each class that is the `val` of a data set without one; 0: none, 1: all. None: `SPLIT`, but all of a
            single `.npz` file where the part is "val".
        class_folders: whether the folders of a data set without `train` and `val` are classes.

    Returns:
        The pictures in the order of their names. `classes` are all classes that the data set names, also those without a picture.

    Raises:
        UserError: something is wrong with the data set; the message lists all mistakes.

    Example:
        >>> split = read_split(Path("tiny-imagenet-200"), "val")  # doctest: +SKIP
        >>> len(split.pictures), split.classes[split.labels[0]].name  # doctest: +SKIP
        (10000, 'goldfish')
    """
    if has_part(data, "val"):
        if part == "val" or has_part(data, "train"):
            return read_part(data, part)
    elif has_part(data, "train") or (data.is_dir() and class_folders and any(map(Path.is_dir, visible(data)))):
        whole = read_part(data, "train")
        if held_out is None:
            held_out = 1.0 if part == "val" and data.is_file() else SPLIT
        return hold_out(whole, held_out)[part == "val"] if whole.labelled else whole
    elif part == "train" and data.is_dir():
        pictures = tuple(all_pictures(data))
        if pictures:
            return Split(pictures, (UNKNOWN,) * len(pictures), ())
    raise UserError("{data} holds neither {part}/<class>/<picture> nor a packed set ({part}*.npz).", data=data, part=part)


def has_part(data: Path, part: Part) -> bool:
    """Whether a data set has files of its own for this part. An `.npz` file has a training part alone."""
    return bool(packed_files(data, part) or part_folder(data, part))


def part_folder(data: Path, part: Part) -> Path | None:
    return next((data / name for name in FOLDERS[part] if (data / name).is_dir()), None)


def read_part(data: Path, part: Part) -> Split:
    """The packed files or the tree of a part, without regard to the other part."""
    table = class_table(data if data.is_dir() else data.parent)
    archives = packed_files(data, part)
    return read_packed(archives, table) if archives else read_tree(part_folder(data, part) or data, table)


def hold_out(split: Split, share: float) -> tuple[Split, Split]:
    """Split each class by itself into a training part and a held-out part, by a hash of the pictures' names.

    The choice is fixed, and it hardly changes where pictures come or go. At least one picture of a class is in each part, where
    it has two; a share of 0 or 1 leaves one part empty.
    """
    by_class: dict[int, list[tuple[bytes, int]]] = {}
    for row, (picture, label) in enumerate(zip(split.pictures, split.labels, strict=True)):
        by_class.setdefault(label, []).append((hashlib.sha256(picture.name.encode(errors="surrogateescape")).digest(), row))
    chosen: set[int] = set()
    for rows in by_class.values():
        count = round(share * len(rows))
        if 0 < share < 1:
            count = min(max(1, count), len(rows) - 1)
        chosen |= {row for _, row in sorted(rows)[:count]}
    return split.subset(row for row in range(len(split.labels)) if row not in chosen), split.subset(sorted(chosen))


def packed_files(data: Path, part: Part) -> list[Path]:
    """The `.npz` files of a part, sorted by name."""
    if data.suffix == ".npz" and data.is_file():
        return [data] if part == "train" else []
    return [path for path in sorted(data.glob("[!.]*.npz")) if path.name.startswith("val") == (part == "val")]


def read_packed(paths: list[Path], table: tuple[ClassName, ...] | None) -> Split:
    """The pictures of `.npz` files, one file after the other."""
    classes = table or imagenet()
    pictures: list[PackedPicture] = []
    labels: list[int] = []
    boxes: list[Box | None] = []
    for path in paths:
        its_pictures, its_labels, its_boxes = read_archive(path)
        if its_labels and not 0 <= min(its_labels) <= max(its_labels) < len(classes):
            raise UserError(
                "{path} has labels from {low} to {high}; there are {count} classes.",
                path=path,
                low=min(its_labels),
                high=max(its_labels),
                count=len(classes),
            )
        pictures += its_pictures
        labels += its_labels or [UNKNOWN] * len(its_pictures)
        boxes += its_boxes or [None] * len(its_pictures)
    if len({label == UNKNOWN for label in labels}) > 1:
        raise UserError(
            "Some of {names} have labels and some have none; put them into separate data sets.",
            names=", ".join(path.name for path in paths),
        )
    return Split(tuple(pictures), tuple(labels), classes, tuple(boxes) if any(boxes) else None)


def read_archive(path: Path) -> tuple[list[PackedPicture], list[int], list[Box | None]]:
    """The file's pictures, labels and boxes; a list is empty where the file holds none."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("jpeg", "webp", "offset", "label", "box") if name in file}
        data = arrays["jpeg"] if "jpeg" in arrays else arrays["webp"]
        offset = arrays["offset"].astype(np.int64)
        count = len(offset) - 1
        labels = arrays.get("label", np.empty(0)).astype(np.int64)
        box = arrays.get("box", np.empty((0, 4))).astype(np.float64).reshape(-1, 4)
        whole = data.dtype == np.uint8 and data.ndim == 1 and count > 0 and offset[0] == 0 and offset[-1] == len(data)
        if not whole or (np.diff(offset) <= 0).any() or len(labels) not in (0, count) or len(box) not in (0, count):
            raise ValueError("its arrays do not fit together")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError("{path} is not a packed set with jpeg or webp, and offset ({error}).", path=path, error=error) from None
    pictures = [PackedPicture(path, row, data[start:end]) for row, (start, end) in enumerate(pairwise(offset.tolist()))]
    return pictures, labels.tolist(), [Box(x0, y0, x1 + 1, y1 + 1) for x0, y0, x1, y1 in box.tolist()]


def read_tree(folder: Path, table: tuple[ClassName, ...] | None) -> Split:
    """The pictures of `folder/<class>/`, or of the one folder in it that holds pictures."""
    names = {row.wnid: row for row in table or ()}
    classes: list[ClassName] = []
    pictures: list[Path] = []
    labels: list[int] = []
    wrong: list[UserError] = []
    inside = visible(folder)
    if loose := [path.name for path in inside if path.suffix.lower() in SUFFIXES and path.is_file()]:
        wrong.append(
            UserError(
                "In {folder} {count} pictures lie beside the class folders ({names}); put each into one.",
                folder=folder,
                count=len(loose),
                names=", ".join(loose[:3]),
            )
        )
    for each in filter(Path.is_dir, inside):
        its_pictures = all_pictures(each)
        nested = sorted({str(path.parent.relative_to(folder)) for path in its_pictures} - {each.name})
        if not its_pictures:
            wrong.append(UserError("The class {name} of {folder} has no pictures.", name=each.name, folder=folder))
        elif len({path.parent for path in its_pictures}) > 1:
            wrong.append(
                UserError(
                    "The class {name} of {folder} holds folders with pictures ({names}); classes do not nest.",
                    name=each.name,
                    folder=folder,
                    names=", ".join(nested[:3]),
                )
            )
        labels += [len(classes)] * len(its_pictures)
        pictures += its_pictures
        name = nfc(each.name)
        classes.append(names.get(name, ClassName(name, name)))
    if twice := repeated(row.name for row in classes):
        wrong.append(UserError("Several classes of {folder} are called {names}.", folder=folder, names=twice))
    if not classes:
        wrong.append(UserError("{folder} holds no class folders.", folder=folder))
    if wrong:
        raise wrong[0] if len(wrong) == 1 else ListedError("The data cannot be used:", wrong)
    return Split(tuple(pictures), tuple(labels), tuple(classes), read_boxes(folder, pictures))


def read_boxes(folder: Path, pictures: list[Path]) -> tuple[Box | None, ...] | None:
    """`boxes.csv` in the order of the pictures, None without that file."""
    path = folder / "boxes.csv"
    if not path.is_file():
        return None
    try:
        with path.open(encoding="utf-8", newline="") as file:
            boxes = {
                row["path"]: Box(float(row["x_min"]), float(row["y_min"]), float(row["x_max"]) + 1, float(row["y_max"]) + 1)
                for row in csv.DictReader(file)
            }
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        raise UserError("{path} must have the columns path, x_min, y_min, x_max and y_max.", path=path) from None
    return tuple(boxes.get(picture.relative_to(folder).as_posix()) for picture in pictures)


def visible(folder: Path) -> list[Path]:
    """The folder's files and folders, by name, without hidden ones."""
    try:
        return sorted(path for path in folder.iterdir() if not is_hidden(path.name))
    except OSError as error:
        raise unreadable(error) from None


def all_pictures(folder: Path) -> list[Path]:
    """The pictures in a folder and below it, by name. Raises UserError where one of its folders cannot be read."""
    wrong: list[UserError] = []
    pictures = sorted(pictures_in(folder, None, Counter(), wrong))
    if wrong:
        raise wrong[0]
    return pictures
