"""A checkpoint in memory, and how its files are read: only regular files, up to a limit of bytes."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from googlenet.checkpoints.config import ModelConfig
from googlenet.errors import Reason, WeightsError, reason
from googlenet.explanation import Provenance
from googlenet.model.architecture import STAGES
from googlenet.model.network import GoogLeNet

WEIGHTS_FILE, CONFIG_FILE, CARD_FILE = "model.safetensors", "config.json", "README.md"
CHANNELS_FILES = ("channels/index.json", *(f"channels/{stage}.webp" for stage in STAGES))
"""Pictures of what the channels look for (`googlenet.probes.atlas`), which may lie beside the weights."""
MAX_SHEET = 4 << 20
"""The most bytes of one of these files. The sheet of the largest stage has 3.2 megapixels."""
MAX_BYTES = 200 * 1024 * 1024
"""The most bytes of a weights file. The largest published one is Berkeley's, 54 MB."""

Progress = Callable[[float, str], None]
"""Called with the share that is done (0…1) and the name of the file."""


@dataclass(frozen=True)
class LoadedModel:
    """A checked network, its configuration and its origin."""

    model: GoogLeNet
    """float32, in eval mode"""
    config: ModelConfig
    provenance: Provenance
    folder: Path | None = None
    """where the weights lie on this disk, with `CHANNELS_FILES` beside them if there are any"""


def read_beginning(path: Path, size: int) -> bytes:
    """The first `size` bytes of a regular file. Raises Reason, also for a device or a pipe, which may have no end."""
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            raise Reason("it is not a regular file")
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise reason(error) from None


def read_whole(path: Path, source: str, limit: int) -> bytes:
    """A file of a SOURCE. Raises WeightsError where it cannot be read or has more than `limit` bytes."""
    try:
        data = read_beginning(path, limit + 1)
    except Reason as why:
        raise WeightsError("{file} of {source} cannot be read: {why}.", file=path.name, source=source, why=why) from None
    if len(data) > limit:
        raise WeightsError("{file} of {source} is larger than {limit} MB.", file=path.name, source=source, limit=limit >> 20)
    return data
