"""SOURCE, what a person names: a folder, a file, `user/repo[@revision][:file]` or `torchvision`; parsed once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from googlenet.checkpoints.checkpoint import CONFIG_FILE, WEIGHTS_FILE
from googlenet.checkpoints.readers import SUFFIXES
from googlenet.errors import MissingWeightsError, WeightsError, reason
from googlenet.model.architecture import HEADS

__all__ = [
    "COMMIT",
    "KNOWN_SOURCES",
    "PACKAGE",
    "TORCHVISION_SOURCE",
    "File",
    "Folder",
    "Repository",
    "Source",
    "Torchvision",
    "choose",
    "default_source",
    "list_folder",
    "parse_for_visitor",
    "parse_source",
    "shipped",
    "stays_inside",
]


@dataclass(frozen=True)
class Folder:
    """A folder on this machine, and the name by which errors and results call it."""

    path: Path
    name: str


@dataclass(frozen=True)
class File:
    """`path[:key]`, of a file or of the folder around it. `key` chooses among the networks of a training program's checkpoint."""

    path: Path
    name: str
    key: str | None = None


@dataclass(frozen=True)
class Repository:
    """`user/repo[@revision][:file[:key]]` on the Hub."""

    id: str
    revision: str | None = None
    file: str | None = None
    key: str | None = None

    def __str__(self) -> str:
        parts = (("@", self.revision), (":", self.file), (":", self.key))
        return self.id + "".join(mark + part for mark, part in parts if part)


@dataclass(frozen=True)
class Torchvision:
    """torchvision's own GoogLeNet."""

    def __str__(self) -> str:
        return TORCHVISION_SOURCE


TORCHVISION_SOURCE = "torchvision"
Source = Folder | File | Repository | Torchvision


@dataclass(frozen=True)
class KnownSource:
    """A published GoogLeNet that the page's menu offers."""

    source: str
    name: str
    heads: tuple[str, ...]
    """that are trained"""
    top1: float
    """on ImageNet's 1,000 classes"""
    bytes: int
    """of its parameters"""


KNOWN_SOURCES = (
    KnownSource("mediasynthesismuseum/deepdream-googlenet:bvlc_googlenet.pth", "Berkeley 2014", HEADS, 0.687, 53_513_120),
    KnownSource(TORCHVISION_SOURCE, "torchvision", ("main",), 0.698, 26_499_616),
    KnownSource(
        "Kalray/googlenet@f84dc794e4a2c70ebfe495798c7e04e14194f2dc:googlenet.onnx", "Kalray", ("main",), 0.698, 26_499_616
    ),
    KnownSource("onnxmodelzoo/googlenet-3:googlenet-3.onnx", "ONNX model zoo", ("main",), 0.687, 27_994_208),
)
"""Sources beside the built-in weights, for the page's menu."""

PACKAGE = Path(__file__).parents[1]
_BUILT_IN = "weights"
"""The folder of the weights that come with the program, and their name as a SOURCE."""

_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}"
_REPOSITORY = re.compile(
    rf"({_NAME}/{_NAME})(?:@([A-Za-z0-9_][A-Za-z0-9_./-]{{0,99}}))?(?::([^:\\\0]{{1,200}}))?(?::([^:\\\0]{{1,200}}))?"
)
COMMIT = re.compile("[0-9a-f]{40}")
_TRAINING_STATE = re.compile(
    r"(optim|optimizer|(lr_)?scheduler|scaler|rng_state|random_states?|training_args|sampler|dl_state_dict)([._-]|$)",
    re.IGNORECASE,
)
"""Files that training programs leave beside the weights, with the same suffixes."""


def parse_source(text: str) -> Source:
    """What a person names → where the weights are.

    An existing path wins; `weights` and `torchvision` stand for those weights where there is no such path.

    Raises:
        MissingWeightsError: there is no such path, and the text is not the name of a repository.

    Example:
        >>> parse_source("user/repo@v1:net.pth").revision
        'v1'
    """
    if text == _BUILT_IN and not os.path.exists(text):
        return Folder(shipped(_BUILT_IN), _BUILT_IN)
    if os.path.isdir(text):
        own = os.path.realpath(text) == os.path.realpath(shipped(_BUILT_IN))
        return Folder(Path(text), _BUILT_IN if own else text)  # results name no path of this machine
    if os.path.exists(text):
        return File(Path(text), text)
    if text == TORCHVISION_SOURCE:
        return Torchvision()
    path, _, key = text.rpartition(":")
    if os.path.isdir(path):
        path = os.path.join(path, choose(list_folder(Folder(Path(path), path)), path))
    if os.path.isfile(path):
        return File(Path(path), path, key)
    if not _REPOSITORY.fullmatch(text.strip()):
        raise MissingWeightsError("There is no folder or file {source}; give one, or a repository as user/repo.", source=text)
    return parse_repository(text)


def parse_repository(text: str) -> Repository:
    """`user/repo[@revision][:file]` → its parts. Raises WeightsError for anything else, such as a path."""
    found = _REPOSITORY.fullmatch(text.strip())
    if not found or not all(stays_inside(part) for part in found.groups()[:3] if part is not None):
        raise WeightsError(
            "{text} is not the name of a repository; write user/repo, user/repo@revision or user/repo:file.", text=repr(text)
        )
    return Repository(*found.groups())


def parse_for_visitor(text: str) -> Repository | Torchvision:
    """What a visitor of the page may name: never a path of this machine. Raises WeightsError."""
    return Torchvision() if text == TORCHVISION_SOURCE else parse_repository(text)


def stays_inside(name: str) -> bool:
    """Whether a file's name in a repository stays inside the folder that it is put into."""
    return "\\" not in name and not any(part in ("", ".", "..") for part in name.split("/"))


def list_folder(folder: Folder) -> list[str]:
    """The names of a folder's files. Raises WeightsError."""
    try:
        return os.listdir(folder.path)
    except OSError as error:
        raise WeightsError("The folder {source} cannot be read: {error}.", source=folder.name, error=reason(error)) from None


def choose(names: Iterable[str], source: str) -> str:
    """The file that holds the weights: `model.safetensors` beside `config.json`, else the only file with a reader's suffix."""
    names = list(names)
    if CONFIG_FILE in names and WEIGHTS_FILE in names:
        return WEIGHTS_FILE
    candidates = sorted(name for name in names if name.lower().endswith(SUFFIXES) and not _TRAINING_STATE.match(Path(name).name))
    if len(candidates) > 1:
        raise WeightsError(
            "{source} holds {count} files of weights; name the one that you mean: {names}.",
            source=source,
            count=len(candidates),
            names=", ".join(candidates[:10]) + (", …" if len(candidates) > 10 else ""),
        )
    if not candidates:
        raise MissingWeightsError(
            "{source} holds no GoogLeNet: neither config.json with model.safetensors nor a file {formats}.",
            source=source,
            formats=", ".join(SUFFIXES),
        )
    return candidates[0]


def shipped(name: str, package: Path = PACKAGE) -> Path:
    """A file or folder that comes with the program: inside an installed package, beside the package in a checkout."""
    installed = package / name if name == _BUILT_IN else package / "space" / name
    return installed if installed.exists() else package.parent / name


def default_source() -> str:
    """$GOOGLENET_WEIGHTS, else the built-in weights."""
    return os.environ.get("GOOGLENET_WEIGHTS") or str(shipped(_BUILT_IN))
