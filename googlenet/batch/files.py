"""Finds the pictures that `explain` is asked about, and names the files of their results."""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from googlenet.checkpoints.labels import is_hidden, nfc
from googlenet.errors import PictureError, UserError, reason
from googlenet.model.architecture import STAGES

__all__ = [
    "INDEX",
    "SOFTWARE",
    "STDIN",
    "SUFFIXES",
    "PictureFile",
    "check_outputs",
    "find_pictures",
    "make_folder",
    "outputs",
    "passed_over",
    "pictures_in",
    "unreadable",
]

SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
"""What pictures' names end with, in upper or lower case."""
_KINDS = {"overlays": tuple(f"-{stage}.png" for stage in STAGES), "sheet": ("-sheet.png",), "maps": (".npz",)}
"""kind of result → what follows the picture's name in the names of such files"""
_ENDINGS = tuple(ending for endings in _KINDS.values() for ending in endings)
_RESULTS = {".png", ".npz", ".html"}
"""The suffixes of results. Of these, only pictures of the user's are explained, and the others are nobody's loss."""
INDEX = "index.html"
"""The page that lists a folder's results."""
STDIN = Path("-")
"""What stands for a picture on stdin."""
SOFTWARE = "Inside GoogLeNet"
"""The value of `Software` in the PNGs that this program writes, by which it recognises them; its pages have it in a comment."""


@dataclass(frozen=True)
class PictureFile:
    """A picture's file, and the name of its results in the output folder, to which `_ENDINGS` are added."""

    path: Path
    name: Path


def find_pictures(
    arguments: Sequence[str | Path], out: Path | None = None, others: Counter[str] | None = None
) -> tuple[list[PictureFile], list[UserError]]:
    """Find the pictures that the user names: files, and all pictures in folders and their subfolders, sorted by name.

    Links to folders are followed once. Hidden files, the output folder, and files that this program wrote are left out.

    Args:
        arguments: files and folders, or `STDIN`.
        out: the output folder.
        others: counts the files beside pictures by their suffix, without results of this program.

    Returns:
        The pictures, and an error for each web address, and for each folder that cannot be read or holds no pictures.
    """
    pictures: list[tuple[Path, Path]] = []
    wrong: list[UserError] = []
    for each in arguments:
        argument = Path(each)
        if "://" in str(each) and not os.path.exists(argument):  # Path.exists raises for a long name or a locked folder
            wrong.append(PictureError("{address} is not a file; save the picture there and give its path.", address=each))
            continue
        if not os.path.isdir(argument):
            pictures.append((argument, Path("stdin" if argument == STDIN else argument.name)))
            continue
        passed: Counter[str] = Counter()
        problems = len(wrong)
        inside = sorted(pictures_in(argument, out, passed, wrong))
        pictures += [(path, path.relative_to(argument)) for path in inside]
        if not inside and len(wrong) == problems:
            wrong.append(_no_pictures(argument, passed))
        elif others is not None:
            others.update({suffix: count for suffix, count in passed.items() if suffix not in _RESULTS})
    stems = [nfc(str(name.with_suffix(""))).casefold() for _, name in pictures]  # Windows and macOS ignore case
    shared = Counter(stems)
    names = [name if shared[stem] > 1 else name.with_suffix("") for (_, name), stem in zip(pictures, stems, strict=True)]
    return [PictureFile(path, name) for (path, _), name in zip(pictures, names, strict=True)], wrong


def pictures_in(folder: Path, out: Path | None, passed: Counter[str], wrong: list[UserError]) -> Iterator[Path]:
    """The pictures in a folder and its subfolders.

    Args:
        folder: to search.
        out: a folder to leave out.
        passed: counts the other files by their suffix, without hidden ones.
        wrong: gets an error for each folder that cannot be read.
    """
    seen = {_identity(folder)}
    if out and os.path.isdir(out):
        seen.add(_identity(out))
    for here, folders, files in os.walk(folder, followlinks=True, onerror=lambda error: wrong.append(unreadable(error))):
        kept = []
        for name in sorted(folders):
            try:
                each = _identity(Path(here, name))
            except OSError as error:
                wrong.append(unreadable(error))
                continue
            if not is_hidden(name) and each not in seen:
                seen.add(each)
                kept.append(name)
        folders[:] = kept
        for name in sorted(files):
            path = Path(here, name)
            if is_hidden(name):
                continue
            if path.suffix.lower() not in SUFFIXES or (name.endswith(_ENDINGS) and is_ours(path)):
                passed[path.suffix.lower() or name] += 1
            else:
                yield path


def unreadable(error: OSError) -> UserError:
    """The sentence for a folder that cannot be listed."""
    return UserError("The folder {folder} cannot be read: {error}.", folder=error.filename, error=reason(error))


def _identity(folder: Path) -> tuple[int, int]:
    """Device and inode: equal for all paths and links to one folder."""
    status = folder.stat()
    return status.st_dev, status.st_ino


def _no_pictures(folder: Path, passed: Counter[str]) -> UserError:
    """The sentence for a folder without pictures, with what it holds instead."""
    if not passed:
        return PictureError("The folder {folder} is empty; name one that holds pictures.", folder=folder)
    return PictureError(
        "The folder {folder} holds no pictures of a known kind, only {found}; save them as JPEG or PNG.",
        folder=folder,
        found=_kinds(passed),
    )


def passed_over(others: Counter[str]) -> UserError:
    """The sentence for files beside pictures (`find_pictures`)."""
    return UserError(
        "Files of other kinds were left out: {found}; save those that are pictures as JPEG or PNG.", found=_kinds(others)
    )


def _kinds(passed: Counter[str]) -> str:
    """The commonest kinds of files, with their numbers."""
    found = ", ".join(f"{count} × {suffix}" for suffix, count in passed.most_common(5))
    return found + (", …" if len(passed) > 5 else "")


def is_ours(path: Path) -> bool:
    """Whether this program wrote the file: a PNG or page with `SOFTWARE`, or an archive whose first member is `seen`."""
    try:
        with path.open("rb") as file:
            start = file.read(100) if stat.S_ISREG(path.stat().st_mode) else b""
    except OSError:
        return False
    marks = (b"tEXtSoftware\0" + SOFTWARE.encode(), f"<!-- {SOFTWARE} -->".encode())
    return any(mark in start for mark in marks) or start[30:38] == b"seen.npy"


def check_outputs(files: Sequence[PictureFile], out: Path, only: str | None = None) -> None:
    """Make the output folder, after checking that no result would replace another result or a file of the user's.

    Args:
        files: the pictures.
        out: the output folder.
        only: the kind of results that will be written (`_KINDS`); None for all.

    Raises:
        UserError: two results would have the same name, a name is too long for the system, a link leads out of the folder, or a
            file that this program did not write has the name of a result.
    """
    names = [os.path.normcase(nfc(str(file.name))) for file in files]
    shared = Counter(names)
    for file, name in zip(files, names, strict=True):
        if shared[name] > 1:
            raise UserError("Two pictures would be written as {name}; explain them into different folders.", name=out / file.name)
    make_folder(out)
    inside = os.path.realpath(out)
    paths = [path for file in files for path in outputs(out, file, only).values()]
    for path in [*paths, out / INDEX] if len(files) > 1 else paths:
        try:
            (out / path.name).lstat()
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise UserError("{path} cannot be written: {error}.", path=path, error=reason(error)) from None
        if not Path(os.path.realpath(path)).is_relative_to(inside):
            raise UserError("{path} leads out of the output folder by a link; remove it, or choose another folder.", path=path)
        if os.path.lexists(path) and not is_ours(path):
            raise UserError("{path} exists and was not written by this program; choose another output folder.", path=path)


def outputs(out: Path, file: PictureFile, only: str | None = None) -> dict[str, Path]:
    """ending → file, for a picture's results of a kind (`_KINDS`); None for all."""
    endings = _KINDS[only] if only else _ENDINGS
    return {ending: out / file.name.with_name(file.name.name + ending) for ending in endings}


def make_folder(folder: Path) -> None:
    """Make a folder and its parents. Raises UserError where the system does not allow it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError("The folder {folder} cannot be made: {error}.", folder=folder, error=reason(error)) from None
