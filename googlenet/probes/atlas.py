"""An atlas: what all channels of a network look for, one sheet of pictures for each stage, beside its weights in `channels/`.

`index.json` holds the SHA-256 of the network's trunk (`googlenet.checkpoints.folder.trunk_sha256`) and the number of channels of
each stage. `<stage>.webp` holds `COLUMNS` tiles in a row. Some stages may be missing. An atlas may come from the
Hub, so it is checked before use. An atlas of another trunk is not used.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from googlenet.checkpoints.cache import write_whole
from googlenet.checkpoints.checkpoint import MAX_SHEET, read_beginning
from googlenet.checkpoints.config import refuse_many_fields
from googlenet.errors import Reason, UserError, reason
from googlenet.model.architecture import STAGES
from googlenet.model.network import GoogLeNet
from googlenet.pictures.images import Preprocess
from googlenet.probes.visualise import TILE, visualise

__all__ = ["Atlas", "read_atlas", "webp", "write_atlas"]

COLUMNS = 32
"""Tiles in a row of a sheet."""
_INDEX = "index.json"
_MAX_INDEX = 1 << 16
"""The most bytes of an index that are read."""
_QUALITY = 60
"""Quality of the sheets' WebP compression, 0 to 100."""


class Index(BaseModel):
    """`index.json`."""

    model_config = ConfigDict(strict=True, extra="forbid")

    trunk: str = Field(pattern="^[0-9a-f]{64}$")
    """its SHA-256"""
    tile: Literal[56] = 56
    columns: Literal[32] = 32
    channels: dict[Literal[STAGES], int] = {}  # type: ignore[valid-type]
    """stage → how many pictures its sheet holds"""

    def write(self, folder: Path) -> None:
        write_whole(folder / _INDEX, (self.model_dump_json(indent=1) + "\n").encode())


@dataclass(frozen=True)
class Atlas:
    """An atlas whose index is checked. Each sheet is checked when it is read."""

    folder: Path
    counts: Mapping[str, int]
    """stage → number of its channels"""

    def tiles(self, stage: str, channels: Sequence[int]) -> dict[int, NDArray[np.uint8]]:
        """Channel → its picture (TILE, TILE, 3), for some of a stage's channels.

        Empty where the atlas lacks the stage or its sheet is damaged; the log then names the sheet.
        """
        if stage not in self.counts or not channels:
            return {}
        path = self.folder / f"{stage}.webp"
        rows = -(-self.counts[stage] // COLUMNS)
        try:
            with Image.open(io.BytesIO(read_beginning(path, MAX_SHEET)), formats=["WEBP"]) as sheet:
                if sheet.size != (COLUMNS * TILE, rows * TILE):
                    raise Reason("it has another size")
                pixels = np.asarray(sheet.convert("RGB"))
        except (Reason, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            logging.warning("The sheet of channels %s is left out: %s.", path, error)
            return {}
        grid = pixels.reshape(rows, TILE, COLUMNS, TILE, 3)
        return {channel: grid[channel // COLUMNS, :, channel % COLUMNS] for channel in channels}


def read_atlas(folder: Path, trunk: str, counts: Mapping[str, int]) -> Atlas | None:
    """The atlas of a folder, for the trunk with this SHA-256 and `counts`: stage → number of its channels in these weights.

    None where there is none or it belongs to other weights. The log says so in the second case.
    """
    if not (folder / _INDEX).exists():
        return None
    try:
        index = read_index(folder)
        if index.trunk != trunk:
            raise Reason("they belong to other weights")
        if any(counts[stage] != count for stage, count in index.channels.items()):
            raise Reason("a stage has another number of channels")
    except Reason as why:
        logging.warning("The channels' pictures in %s are left out: %s.", folder, why)
        return None
    return Atlas(folder, index.channels)


def read_index(folder: Path) -> Index:
    """The folder's `index.json`. Raises Reason where it cannot be used."""
    data = read_beginning(folder / _INDEX, _MAX_INDEX)
    refuse_many_fields(data)
    try:
        return Index.model_validate_json(data)
    except ValidationError:
        raise Reason("index.json is not that of an atlas") from None


def write_atlas(
    model: GoogLeNet,
    preprocess: Preprocess,
    trunk: str,
    folder: Path,
    stages: Sequence[str],
    *,
    batch: int = 32,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Write the pictures of all channels of some stages. The next run continues an interrupted one.

    `progress` is called after each batch with the number of its tiles. Raises UserError where the folder holds the atlas of other
    weights, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        index = read_index(folder) if (folder / _INDEX).exists() else Index(trunk=trunk)
        if index.trunk != trunk:
            raise UserError("{folder} holds the channels of other weights; choose another folder.", folder=folder)
        index.write(folder)
        for stage in stages:
            if stage not in index.channels:
                tiles = _draw_stage(model, preprocess, stage, folder / f"{stage}.part.npy", batch, progress)
                write_whole(folder / f"{stage}.webp", sheet_of(tiles))
                index.channels[stage] = len(tiles)
                index.write(folder)
                (folder / f"{stage}.part.npy").unlink()
    except (OSError, Reason) as error:
        why = error if isinstance(error, Reason) else reason(error)
        raise UserError("The folder {folder} cannot be written: {error}.", folder=folder, error=why) from None


def _draw_stage(
    model: GoogLeNet, preprocess: Preprocess, stage: str, part: Path, batch: int, progress: Callable[[int], None]
) -> NDArray[np.uint8]:
    """Draw all channels of a stage: (K, TILE, TILE, 3). The file `part` keeps the pictures that are done."""
    count = sum(model.stage(stage).splits)
    tiles = np.load(part) if part.exists() else np.zeros((0, TILE, TILE, 3), np.uint8)
    while len(tiles) < count:
        channels = range(len(tiles), min(len(tiles) + batch, count))
        tiles = np.concatenate((tiles, visualise(model, preprocess, stage, channels)))
        data = io.BytesIO()
        np.save(data, tiles)
        write_whole(part, data.getvalue())
        progress(len(channels))
    return tiles


def sheet_of(tiles: NDArray[np.uint8]) -> bytes:
    """Tiles (N, TILE, TILE, 3) → a WebP with `COLUMNS` in a row."""
    rows = -(-len(tiles) // COLUMNS)
    filled = np.concatenate((tiles, np.zeros((rows * COLUMNS - len(tiles), TILE, TILE, 3), np.uint8)))
    sheet = filled.reshape(rows, COLUMNS, TILE, TILE, 3).swapaxes(1, 2).reshape(rows * TILE, COLUMNS * TILE, 3)
    return webp(sheet, _QUALITY)


def webp(pixels: NDArray[np.uint8], quality: int) -> bytes:
    """RGB (H, W, 3) → a WebP file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", quality=quality)
    return file.getvalue()
