"""The names of classes: in NFC, from a file that a person wrote, or from a training program's checkpoint."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from googlenet.errors import Reason, WeightsError, reason

__all__ = ["as_labels", "is_hidden", "nfc", "read_labels"]

_MAX_BYTES = 1 << 24
_LONGEST = 300
"""Characters of a label, as in `config.json`."""


def nfc(text: str) -> str:
    """Text with each letter and its marks as one character: macOS writes 'é' as two, and both look the same."""
    return unicodedata.normalize("NFC", text)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is left out: systems and editors keep their own things in such."""
    return name.startswith(".") or name == "__MACOSX"


def as_labels(value: object) -> tuple[str, ...] | None:
    """Labels in the order of their indices: of a list, of `{index: name}` or of `{name: index}`. None for anything else."""
    if isinstance(value, Mapping):
        by_name = all(isinstance(index, int) for index in value.values())
        pairs = [(index, name) if by_name else (name, index) for name, index in value.items()]
        names = {str(index): name for index, name in pairs}
        value = [names.get(str(index)) for index in range(len(pairs))]  # None where an index stands twice, or is missing
    if not isinstance(value, list | tuple) or not value:
        return None
    if not all(isinstance(name, str) and 0 < len(name) <= _LONGEST for name in value):
        return None
    return tuple(map(nfc, value))


def read_labels(path: str, classes: int) -> tuple[str, ...]:
    """The labels that a person gives for weights.

    Args:
        path: a text file in UTF-8 with a line for each class, a JSON file with a list or `{index: name}`, or a folder whose
            sub-folders, or those of its `train`, are the classes, sorted as torchvision's `ImageFolder` sorts them.
        classes: how many the weights tell apart.

    Raises:
        WeightsError: the file cannot be read, or holds another number of labels.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        ...     _ = file.write("cat" + chr(10) + "dog" + chr(10))
        ...     file.flush()
        ...     read_labels(file.name, 2)
        ('cat', 'dog')
    """
    try:
        given = Path(path)
        labels = as_labels(_sub_folders(given) if given.is_dir() else _content(given))
        if labels is None:
            raise Reason("it has neither a line for each class, nor a JSON list, nor a JSON object with the indices from 0")
    except (OSError, Reason) as error:
        why = reason(error) if isinstance(error, OSError) else error
        raise WeightsError("The labels {file} cannot be read: {why}.", file=path, why=why) from None
    if len(labels) != classes:
        raise WeightsError(
            "{file} names {count:,} classes, and the weights tell {classes:,} apart; give one label for each.",
            file=path,
            count=len(labels),
            classes=classes,
        )
    return labels


def _sub_folders(folder: Path) -> list[str]:
    """The names of a data set's class folders."""
    inside = folder / "train" if (folder / "train").is_dir() else folder
    return sorted(each.name for each in inside.iterdir() if each.is_dir() and not is_hidden(each.name))


def _content(path: Path) -> object:
    with path.open("rb") as file:
        try:
            text = file.read(_MAX_BYTES).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise Reason("it is not UTF-8; save it as UTF-8") from None
    if text.lstrip().startswith(("[", "{")):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return None
    return [line.strip() for line in text.splitlines() if line.strip()]
