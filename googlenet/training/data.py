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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, repeat
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from googlenet.batch.files import SUFFIXES, pictures_in, unreadable
from googlenet.checkpoints.labels import is_hidden, nfc
from googlenet.errors import ListedError, UserError
from googlenet.explanation.classes import imagenet_classes
from googlenet.pictures.frame import Box
from googlenet.training.recipe import SPLIT

__all__ = [
    "NAMED",
    "ROWS",
    "UNKNOWN",
    "ClassName",
    "Picture",
    "Rows",
    "Split",
    "SplitName",
    "check_outside",
    "has_part",
    "hold_out",
    "imagenet",
    "read_split",
    "weights_classes",
]

SplitName = Literal["train", "val"]
_FOLDERS: dict[SplitName, tuple[str, ...]] = {"train": ("train",), "val": ("val", "valid", "validation")}
"""part → the names that its folder may have"""
Rows = Literal["all", "even", "odd"]
ROWS: dict[Rows, slice] = {"all": slice(None), "even": slice(0, None, 2), "odd": slice(1, None, 2)}
"""Even rows can choose a value and odd rows report its result."""
UNKNOWN = -1
"""The label of a picture whose class is not known."""
NAMED = 20
"""How many names an error lists; for the rest it gives the number."""


class ClassName(NamedTuple):
    wnid: str
    """WordNet's identifier, or the name of the class's folder"""
    name: str


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


class Example(NamedTuple):
    """A picture with what is known of it."""

    picture: Picture
    label: int = UNKNOWN
    """a row of the data set's classes"""
    box: Box | None = None
    """where the object lies, in pixels of the file, the far edges exclusive"""


@dataclass(frozen=True)
class Split:
    """Examples in order. All of them have labels, or none."""

    examples: tuple[Example, ...] = ()
    classes: tuple[ClassName, ...] = ()

    @cached_property
    def pictures(self) -> tuple[Picture, ...]:
        return tuple(each.picture for each in self.examples)

    @cached_property
    def labels(self) -> tuple[int, ...]:
        return tuple(each.label for each in self.examples)

    @property
    def labelled(self) -> bool:
        return bool(self.examples) and self.examples[0].label != UNKNOWN

    def subset(self, rows: Iterable[int]) -> Split:
        """The examples in these rows, in this order."""
        return Split(tuple(self.examples[row] for row in rows), self.classes)

    def relabelled(self, known: Sequence[ClassName]) -> Split:
        """The same pictures with labels as rows of `known`, which must hold all of these classes."""
        if not self.labelled:
            return Split(self.examples, tuple(known))
        rows = match_classes(self.classes, known)
        return Split(tuple(each._replace(label=rows[each.label]) for each in self.examples), tuple(known))


def imagenet() -> tuple[ClassName, ...]:
    """ImageNet's 1,000 classes."""
    return tuple(ClassName(row.wnid, row.name) for row in imagenet_classes())


def weights_classes(labels: Sequence[str]) -> tuple[ClassName, ...]:
    """The classes of a set of weights: with ImageNet's wnids where the labels are ImageNet's, else with the label as wnid."""
    table = imagenet()
    return table if tuple(labels) == tuple(row.name for row in table) else tuple(ClassName(label, label) for label in labels)


def _class_table(folder: Path) -> tuple[ClassName, ...]:
    """The rows of `folder/classes.json`, none without that file. Raises UserError where it has another shape."""
    path = folder / "classes.json"
    if not path.is_file():
        return ()
    try:
        rows = json.loads(nfc(path.read_text(encoding="utf-8")))
        table = tuple(ClassName(row["wnid"], row["name"]) for row in rows)
        if not table or not all(isinstance(text, str) and text for row in table for text in row):
            raise ValueError("an empty name")
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise UserError('{path} must be a list of objects such as {{"wnid": "n02129165", "name": "lion"}}.', path=path) from None
    for column in zip(*table, strict=True):
        if twice := _repeated(column):
            raise UserError("{path} names {names} more than once.", path=path, names=twice)
    return table


def _repeated(names: Iterable[str]) -> str:
    """The names that stand there more than once, in one line."""
    return ", ".join(sorted(name for name, count in Counter(names).items() if count > 1)[:NAMED])


def match_classes(classes: Sequence[ClassName], known: Sequence[ClassName]) -> list[int]:
    """The row in `known`, which must hold all classes, of each: by its wnid, then its exact name, then its name in any case.

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


def read_split(data: Path, part: SplitName, held_out: float | None = None, class_folders: bool = True) -> Split:
    """Read one part of a data set, without opening a picture.

    Args:
        data: a folder or an `.npz` file, as this module's docstring describes.
        part: "train" or "val".
        held_out: share of each class that is the `val` of a data set without one, 0…1. None: `SPLIT`, but all of a single `.npz`
            file where the part is "val".
        class_folders: whether the folders of a data set without `train` and `val` are classes.

    Returns:
        The pictures in the order of their names, and all classes that the data set names, also those without a picture.

    Raises:
        UserError: something is wrong with the data set; the message lists all mistakes.

    Example:
        >>> split = read_split(Path("tiny-imagenet-200"), "val")  # doctest: +SKIP
        >>> len(split.pictures), split.classes[split.labels[0]].name  # doctest: +SKIP
        (10000, 'goldfish')
    """
    if has_part(data, "val"):
        if part == "val" or has_part(data, "train"):
            return _read_part(data, part)
    elif has_part(data, "train") or (data.is_dir() and class_folders and any(map(Path.is_dir, _visible(data)))):
        whole = _read_part(data, "train")
        if held_out is None:
            held_out = 1.0 if part == "val" and data.is_file() else SPLIT
        return hold_out(whole, held_out)[part == "val"] if whole.labelled else whole
    elif part == "train" and data.is_dir():
        pictures = all_pictures(data)
        if pictures:
            return Split(tuple(map(Example, pictures)))
    if not data.exists():
        raise UserError("There is no data set {data}; name a folder or an .npz file.", data=data)
    raise UserError(
        "{data} holds neither {part}/<class>/<picture> nor <class>/<picture> nor a packed set ({part}*.npz).",
        data=data,
        part=part,
    )


def has_part(data: Path, part: SplitName) -> bool:
    """Whether a data set has files of its own for this part. An `.npz` file has a training part alone."""
    try:
        return bool(_packed_files(data, part) or _part_folder(data, part))
    except OSError as error:
        raise unreadable(error) from None


def _part_folder(data: Path, part: SplitName) -> Path | None:
    return _part_folders(data).get(part)


def _part_folders(data: Path) -> dict[SplitName, Path]:
    """The folders of the parts. Where none of them holds folders and others lie beside them, their names are those of classes."""
    folders = {each.name: each for each in _visible(data) if each.is_dir()} if data.is_dir() else {}
    parts = {part: folders[name] for part, names in _FOLDERS.items() for name in reversed(names) if name in folders}
    has_classes = any(each.is_dir() for folder in parts.values() for each in _visible(folder))
    return parts if has_classes or len(parts) == len(folders) else {}


def check_outside(path: Path, data: Path) -> None:
    """Raises UserError where a folder that is to be written lies among the class folders of a data set: it would be a class."""
    roots = list(_part_folders(data).values()) or [data]
    if not _packed_files(data, "train") and any(path.resolve().is_relative_to(root.resolve()) for root in roots if root.is_dir()):
        raise UserError("{path} lies among the classes of {data}; choose a folder elsewhere.", path=path, data=data)


def _read_part(data: Path, part: SplitName) -> Split:
    """The packed files or the tree of a part, without regard to the other part."""
    table = _class_table(data if data.is_dir() else data.parent)
    archives = _packed_files(data, part)
    return _read_packed(archives, table or imagenet()) if archives else _read_tree(_part_folder(data, part) or data, table)


def hold_out(split: Split, share: float) -> tuple[Split, Split]:
    """Split each class by itself into a training part and a held-out part, by a hash of names: new pictures change little.

    At least one picture of a class is in each part, where it has two; a share of 0 or 1 leaves one part empty.
    """
    by_class: dict[int, list[tuple[bytes, int]]] = {}
    for row, (picture, label, _) in enumerate(split.examples):
        by_class.setdefault(label, []).append((hashlib.sha256(nfc(picture.name).encode(errors="surrogateescape")).digest(), row))
    chosen: set[int] = set()
    for rows in by_class.values():
        count = round(share * len(rows))
        if 0 < share < 1:
            count = min(max(1, count), len(rows) - 1)
        chosen |= {row for _, row in sorted(rows)[:count]}
    return split.subset(row for row in range(len(split.examples)) if row not in chosen), split.subset(sorted(chosen))


def _packed_files(data: Path, part: SplitName) -> list[Path]:
    """The `.npz` files of a part, by name."""
    if data.suffix == ".npz" and data.is_file():
        return [data] if part == "train" else []
    return [path for path in sorted(data.glob("[!.]*.npz")) if path.name.startswith("val") == (part == "val")]


def _read_packed(paths: list[Path], classes: tuple[ClassName, ...]) -> Split:
    """The pictures of `.npz` files, one file after the other."""
    splits = [_read_archive(path, classes) for path in paths]
    if len({split.labelled for split in splits}) > 1:
        names = ", ".join(path.name for path in paths)
        raise UserError("Some of {names} have labels and some have none; put them into separate data sets.", names=names)
    return Split(tuple(each for split in splits for each in split.examples), classes)


def _read_archive(path: Path, classes: tuple[ClassName, ...]) -> Split:
    """The pictures of one `.npz` file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("jpeg", "webp", "offset", "label", "box") if name in file}
        data = arrays["jpeg"] if "jpeg" in arrays else arrays["webp"]
        offset = arrays["offset"].astype(np.int64)
        count = len(offset) - 1
        labels = arrays.get("label", np.empty(0)).astype(np.int64).tolist()
        box = arrays.get("box", np.empty((0, 4))).astype(np.float64).reshape(-1, 4).tolist()
        whole = data.dtype == np.uint8 and data.ndim == 1 and count > 0 and offset[0] == 0 and offset[-1] == len(data)
        if not whole or (np.diff(offset) <= 0).any() or len(labels) not in (0, count) or len(box) not in (0, count):
            raise ValueError("its arrays do not fit together")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError("{path} is not a packed set with jpeg or webp, and offset ({error}).", path=path, error=error) from None
    low, high = min(labels, default=0), max(labels, default=0)
    if low < 0 or high >= len(classes):
        raise UserError(
            "{path} has labels from {low} to {high}; there are {count:,} classes.",
            path=path,
            low=low,
            high=high,
            count=len(classes),
        )
    pictures = (PackedPicture(path, row, data[start:end]) for row, (start, end) in enumerate(pairwise(offset.tolist())))
    boxes = (Box(x0, y0, x1 + 1, y1 + 1) for x0, y0, x1, y1 in box) if box else repeat(None)
    return Split(tuple(map(Example, pictures, labels or repeat(UNKNOWN), boxes)), classes)


def _read_tree(folder: Path, table: tuple[ClassName, ...]) -> Split:
    """The pictures of `folder/<class>/`, or of the one folder in it that holds pictures."""
    named = {row.wnid: row for row in table}
    inside = _visible(folder)
    pictures = {each: all_pictures(each) for each in inside if each.is_dir()}
    classes = tuple(named.get(name, ClassName(name, name)) for name in (nfc(each.name) for each in pictures))
    loose = [path.name for path in inside if path.suffix.lower() in SUFFIXES and path.is_file()]
    if wrong := list(_mistakes_in(folder, pictures, classes, loose)):
        raise wrong[0] if len(wrong) == 1 else ListedError("The data cannot be used:", wrong)
    boxes = _read_boxes(folder)
    rows = ((path, label) for label, its_pictures in enumerate(pictures.values()) for path in its_pictures)
    examples = (Example(path, label, boxes.get(nfc(path.relative_to(folder).as_posix()))) for path, label in rows)
    return Split(tuple(examples), classes)


def _mistakes_in(
    folder: Path, pictures: Mapping[Path, list[Path]], classes: Sequence[ClassName], loose: list[str]
) -> Iterator[UserError]:
    """What is wrong with a tree, one error each. `pictures`: by class folder; `loose`: names of pictures beside those."""
    if loose:
        yield UserError(
            "In {folder} {count} pictures lie beside the class folders ({names}); put each into one.",
            folder=folder,
            count=len(loose),
            names=", ".join(loose[:3]),
        )
    for each, its_pictures in pictures.items():
        parents = {path.parent for path in its_pictures}
        if not parents:
            yield UserError("The class {name} of {folder} has no pictures.", name=each.name, folder=folder)
        elif len(parents) > 1:
            yield UserError(
                "The class {name} of {folder} holds folders with pictures ({names}); classes do not nest.",
                name=each.name,
                folder=folder,
                names=", ".join(sorted(str(parent.relative_to(folder)) for parent in parents - {each})[:3]),
            )
    if twice := _repeated(row.name for row in classes):
        yield UserError("Several classes of {folder} are called {names}.", folder=folder, names=twice)
    if not classes:
        yield UserError("{folder} holds no class folders.", folder=folder)


def _read_boxes(folder: Path) -> dict[str, Box]:
    """`boxes.csv`: a picture's path in the folder → its object's box. None without that file."""
    path = folder / "boxes.csv"
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {
                nfc(row["path"]): Box(float(row["x_min"]), float(row["y_min"]), float(row["x_max"]) + 1, float(row["y_max"]) + 1)
                for row in csv.DictReader(file)
            }
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        raise UserError("{path} must have the columns path, x_min, y_min, x_max and y_max.", path=path) from None


def _visible(folder: Path) -> list[Path]:
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
