"""SOURCE as text: `user/repo[@revision][:file]`, the known repositories, and the choice of the weights file among many files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from googlenet.checkpoints.checkpoint import CONFIG_FILE, WEIGHTS_FILE
from googlenet.checkpoints.readers import SUFFIXES
from googlenet.errors import WeightsError


@dataclass(frozen=True)
class Repository:
    """`user/repo[@revision][:file]`"""

    id: str
    revision: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        return self.id + (f"@{self.revision}" if self.revision else "") + (f":{self.file}" if self.file else "")


@dataclass(frozen=True)
class KnownSource:
    """A repository that is known to hold a GoogLeNet."""

    source: str
    name: str
    heads: tuple[str, ...]
    """that are trained"""
    top1: float
    """on ImageNet's 1,000 classes"""
    bytes: int
    """of its parameters"""


KNOWN_SOURCES = (
    KnownSource(
        "mediasynthesismuseum/deepdream-googlenet:bvlc_googlenet.pth",
        "Berkeley 2014",
        ("aux1", "aux2", "main"),
        0.687,
        53_513_120,
    ),
    KnownSource(
        "Kalray/googlenet@f84dc794e4a2c70ebfe495798c7e04e14194f2dc:googlenet.onnx",
        "torchvision",
        ("main",),
        0.698,
        26_499_616,
    ),
    KnownSource(
        "onnxmodelzoo/googlenet-3:googlenet-3.onnx",
        "ONNX model zoo",
        ("main",),
        0.687,
        27_994_208,
    ),
)
"""Sources on the Hub beside the built-in weights, for the page's menu."""

PACKAGE = Path(__file__).parents[1]
BUILT_IN = "weights"
"""The folder of the weights that come with the program, and their name as a SOURCE."""

NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}"
REPOSITORY = re.compile(rf"({NAME}/{NAME})(?:@([A-Za-z0-9_][A-Za-z0-9_./-]{{0,99}}))?(?::([^:\\\0]{{1,200}}))?")
COMMIT = re.compile("[0-9a-f]{40}")
TRAINING_STATE = re.compile(
    r"(optim|optimizer|(lr_)?scheduler|scaler|rng_state|random_states?|training_args)([._-]|$)", re.IGNORECASE
)
"""Files that training programs leave beside the weights, with the same suffixes."""


def parse_repository(text: str) -> Repository:
    """`user/repo[@revision][:file]` → its parts. Raises WeightsError for anything else, such as a path."""
    found = REPOSITORY.fullmatch(text.strip())
    if not found or not all(stays_inside(part) for part in found.groups() if part is not None):
        raise WeightsError(
            "{text} is not the name of a repository; write user/repo, user/repo@revision or user/repo:file.", text=repr(text)
        )
    return Repository(*found.groups())


def stays_inside(name: str) -> bool:
    """Whether a file's name in a repository stays inside the folder that it is put into."""
    return "\\" not in name and not any(part in ("", ".", "..") for part in name.split("/"))


def choose(names: Iterable[str], source: str) -> str:
    """The file that holds the weights: `model.safetensors` beside `config.json`, else the only file with a reader's suffix."""
    names = list(names)
    if CONFIG_FILE in names and WEIGHTS_FILE in names:
        return WEIGHTS_FILE
    candidates = sorted(name for name in names if name.lower().endswith(SUFFIXES) and not TRAINING_STATE.match(Path(name).name))
    if len(candidates) > 1:
        raise WeightsError(
            "{source} holds {count} files of weights; name the one that you mean: {names}.",
            source=source,
            count=len(candidates),
            names=", ".join(candidates[:10]) + (", …" if len(candidates) > 10 else ""),
        )
    if not candidates:
        raise WeightsError(
            "{source} holds no GoogLeNet: neither config.json with model.safetensors nor a file {formats}.",
            source=source,
            formats=", ".join(SUFFIXES),
        )
    return candidates[0]


def shipped(name: str, package: Path = PACKAGE) -> Path:
    """A file or folder that comes with the program: inside an installed package, beside the package in a checkout."""
    installed = package / name if name == BUILT_IN else package / "space" / name
    return installed if installed.exists() else package.parent / name


def default_source() -> str:
    """$GOOGLENET_WEIGHTS, else the built-in weights."""
    return os.environ.get("GOOGLENET_WEIGHTS") or str(shipped(BUILT_IN))
