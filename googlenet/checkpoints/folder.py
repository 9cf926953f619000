"""This program's own layout: `config.json`, `model.safetensors` and a model card in one folder."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import safetensors.torch
from torch import Tensor

from googlenet.checkpoints import readers
from googlenet.checkpoints.checkpoint import CARD_FILE, CONFIG_FILE, MAX_BYTES, WEIGHTS_FILE, LoadedModel
from googlenet.checkpoints.tensors import build, read_tensors
from googlenet.classes import imagenet_classes
from googlenet.config import ModelConfig, dump_config, parse_config
from googlenet.errors import WeightsError
from googlenet.explanation import Provenance
from googlenet.model import GoogLeNet


def read_folder(folder: Path, file: str, source: str, revision: str | None = None, offline: bool = False) -> LoadedModel:
    """Read a weights file of a folder: our own with the `config.json` beside it, any other by its reader."""
    path = folder / file
    data = read_bounded(path, source, MAX_BYTES)
    if file == WEIGHTS_FILE:
        config = parse_config(read_bounded(folder / CONFIG_FILE, source, 16 * 1024 * 1024), source)
        tensors = read_tensors(data, path.name, source)
    else:
        converted = readers.convert(path)
        tensors = converted.state_dict
        config = ModelConfig(converted.architecture, labels_of(converted.classes), converted.preprocess, None, None)
    model = build(config.architecture, len(config.labels), tensors, source)
    provenance = Provenance(source, revision, hashlib.sha256(data).hexdigest(), license_of(folder), offline)
    return LoadedModel(model, config, provenance)


def labels_of(classes: int) -> tuple[str, ...]:
    """ImageNet's names where there are 1,000 classes; layouts other than ours carry none."""
    if classes == 1000:
        return tuple(each.name for each in imagenet_classes())
    return tuple(f"class {i}" for i in range(classes))


def read_bounded(path: Path, source: str, limit: int) -> bytes:
    try:
        if path.stat().st_size > limit:
            raise WeightsError("{file} of {source} is larger than {limit} MB.", file=path.name, source=source, limit=limit >> 20)
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(
            "{source} lacks a readable {file} ({error}).", source=source, file=path.name, error=error.strerror
        ) from None


def license_of(folder: Path) -> str | None:
    """The licence in the header of the model card beside the weights, None without one."""
    try:
        with (folder / CARD_FILE).open(encoding="utf-8", errors="replace") as file:
            text = file.read(65536)
    except OSError:
        return None
    header = text.partition("\n---")[0] if text.startswith("---\n") else ""
    found = re.search(r"^license: *[\"']?([A-Za-z0-9][A-Za-z0-9.+-]{0,63})", header, re.MULTILINE)
    return found and found[1]


def save(loaded: LoadedModel, folder: str | Path, card: str | None = None) -> None:
    """Write weights in this program's layout. See `write_folder`."""
    write_folder(loaded.model, loaded.config, Path(folder), card)


def write_folder(model: GoogLeNet, config: ModelConfig, folder: Path, card: str | None = None) -> None:
    """Write the three files of this program's layout, each whole or not at all.

    Half precision, BatchNorm's tensors in float32. Without a `card` one that is there stays, else a short one is written. Raises
    WeightsError where the folder cannot be written, or the model has no `config`.
    """
    if card is None and not (folder / CARD_FILE).exists():
        card = "---\nlicense: apache-2.0\npipeline_tag: image-classification\ntags: [googlenet]\n---\n\n# GoogLeNet\n"
    tensors = {name: as_written(name, value) for name, value in model.state_dict().items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / WEIGHTS_FILE, safetensors.torch.save(tensors))
        write_whole(folder / CONFIG_FILE, dump_config(config).encode())
        if card is not None:
            write_whole(folder / CARD_FILE, card.encode())
    except OSError as error:
        raise WeightsError("The folder {folder} cannot be written: {error}.", folder=folder, error=error) from None


def as_written(name: str, value: Tensor) -> Tensor:
    """A tensor as it is written: BatchNorm's, and what half precision cannot hold, as they are."""
    value = value.cpu().contiguous()
    if ".bn." in name:
        return value
    half = value.half()
    return half if bool(half.isfinite().all()) else value


def write_whole(path: Path, data: bytes) -> None:
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
