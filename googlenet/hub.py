"""Where weights come from and what travels with them: a folder, a file or a Hub repository → a checked model."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import ModelCard
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from googlenet.errors import UserError
from googlenet.images import Preprocess
from googlenet.model import HEADS, Architecture, GoogLeNet

WEIGHTS_FILE, CONFIG_FILE, CARD_FILE = "model.safetensors", "config.json", "README.md"


@dataclass(frozen=True)
class Metrics:
    """Measured accuracies; shares in 0…1."""

    dataset: str
    top1: dict[str, float]
    """by head"""
    top5: dict[str, float]
    """by head"""
    unlikely_below: float | None
    """When the main head's best probability lies below this, none of the classes looks likely; None where not measured."""


@dataclass(frozen=True)
class ModelConfig:
    """`config.json`: what travels with the weights."""

    architecture: Architecture
    labels: tuple[str, ...]
    preprocess: Preprocess
    temperatures: dict[str, float] | None
    """by head: probabilities are softmax(logits / temperature); None means 1"""
    metrics: Metrics | None


@dataclass(frozen=True)
class Provenance:
    """Where a loaded model came from, so that a result can be repeated."""

    source: str
    """as asked for"""
    revision: str | None
    """the Hub commit (40 hex digits); None for a folder or file"""
    sha256: str
    """of the weights file, hex"""
    license: str | None
    """from the model card's header"""
    offline: bool
    """True where the Hub could not be asked and the cached copy is used"""


@dataclass(frozen=True)
class LoadedModel:
    model: GoogLeNet
    config: ModelConfig
    provenance: Provenance


Progress = Callable[[float, str], None]
"""Told the share done (0…1) and what is being done."""


MAX_BYTES = 200 * 1024 * 1024
MAX_LABELS = 100_000


def load(source: str, *, token: str | bool | None = None, progress: Progress | None = None) -> LoadedModel:
    """Load a SOURCE: a folder in this program's layout. The model is float32 and in eval mode.

    Raises UserError in one sentence for whatever keeps the weights from loading.
    """
    folder = Path(source)
    if not folder.is_dir():
        raise UserError("There are no weights at {source}.", source=source)
    return load_folder(folder, source, None, offline=False)


def load_folder(folder: Path, source: str, revision: str | None, *, offline: bool) -> LoadedModel:
    """Read `config.json`, `model.safetensors` and the card's licence from a folder."""
    config = parse_config(read_bounded(folder / CONFIG_FILE, source, 16 * 1024 * 1024), source)
    path = folder / WEIGHTS_FILE
    data = read_bounded(path, source, MAX_BYTES)
    model = build(config, read_tensors(path, source), source)
    provenance = Provenance(source, revision, hashlib.sha256(data).hexdigest(), license_of(folder), offline)
    return LoadedModel(model, config, provenance)


def read_bounded(path: Path, source: str, limit: int) -> bytes:
    try:
        if path.stat().st_size > limit:
            raise UserError("{file} of {source} is larger than {limit} MB.", file=path.name, source=source, limit=limit >> 20)
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            "{source} lacks a readable {file} ({error}).", source=source, file=path.name, error=error.strerror
        ) from None


def read_tensors(path: Path, source: str) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError("{file} of {source} is damaged: {error}.", file=path.name, source=source, error=error) from None


def build(config: ModelConfig, tensors: dict[str, Tensor], source: str) -> GoogLeNet:
    """The network with these tensors, every name and shape checked before anything is copied."""
    with torch.device("meta"):
        expected = GoogLeNet(config.architecture, len(config.labels)).state_dict()
    for name in [*expected, *tensors]:
        if name not in tensors:
            raise UserError("The weights of {source} lack the tensor {name}.", source=source, name=name)
        if name not in expected:
            raise UserError("The weights of {source} hold a tensor that no GoogLeNet has: {name}.", source=source, name=name)
        found, wanted = tensors[name], expected[name]
        if found.shape != wanted.shape or found.is_floating_point() != wanted.is_floating_point():
            raise UserError(
                "{name} of {source} is {found} where {wanted} belongs.",
                name=name,
                source=source,
                found="×".join(map(str, found.shape)) or "a number",
                wanted="×".join(map(str, wanted.shape)) or "a number",
            )
        if found.is_floating_point() and not found.isfinite().all():
            raise UserError("{name} of {source} holds values that are no numbers.", name=name, source=source)
    model = GoogLeNet(config.architecture, len(config.labels))
    model.load_state_dict(tensors, strict=True)
    model.config = config
    return model.eval()


def license_of(folder: Path) -> str | None:
    """The licence in the model card's header, None without one."""
    try:
        return ModelCard.load(folder / CARD_FILE).data.license
    except (OSError, ValueError):
        return None


def save(model: GoogLeNet, folder: Path, card: str | None = None) -> None:
    """Write the three files of this program's layout, each whole or not at all.

    Half precision, BatchNorm's tensors in float32. Raises UserError where the folder cannot be written.
    """
    assert model.config is not None, "model.config says what travels with the weights; set it before saving"
    batch_norm = (".bn.", "num_batches_tracked")
    tensors = {
        name: value.cpu().contiguous() if any(part in name for part in batch_norm) else value.half().cpu().contiguous()
        for name, value in model.state_dict().items()
    }
    if card is None:
        card = "---\nlicense: apache-2.0\npipeline_tag: image-classification\ntags: [googlenet]\n---\n\n# GoogLeNet\n"
    config = dump_config(model.config)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / WEIGHTS_FILE, lambda path: save_file(tensors, path))
        write_whole(folder / CONFIG_FILE, lambda path: path.write_text(config, encoding="utf-8"))
        write_whole(folder / CARD_FILE, lambda path: path.write_text(card, encoding="utf-8"))
    except (OSError, SafetensorError) as error:
        raise UserError("The folder {folder} cannot be written: {error}.", folder=folder, error=error) from None


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    part = path.with_name(path.name + ".part")
    try:
        write(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def dump_config(config: ModelConfig) -> str:
    """`config.json` as text."""
    return json.dumps(asdict(config), ensure_ascii=False, indent=1) + "\n"


def parse_config(data: bytes, source: str) -> ModelConfig:
    """`config.json`, strictly: a missing or unknown field, or a value out of range, is a UserError that names it."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise UserError("config.json of {source} is no JSON.", source=source) from None
    read = ConfigReader(source)
    read.fields(found, "config.json", ModelConfig)
    labels = found["labels"]
    if not (isinstance(labels, list) and 2 <= len(labels) <= MAX_LABELS and all(isinstance(x, str) for x in labels)):
        raise read.wrong("labels", f"a list of 2 to {MAX_LABELS:,} names")
    architecture = read.architecture(found["architecture"])
    heads = HEADS if architecture.aux_heads else ("main",)
    temperatures = found["temperatures"]
    if temperatures is not None:
        temperatures = read.by_head(temperatures, "temperatures", heads, 0.01, 100)
    return ModelConfig(
        architecture, tuple(labels), read.preprocess(found["preprocess"]), temperatures, read.metrics(found["metrics"], heads)
    )


@dataclass(frozen=True)
class ConfigReader:
    """Checks of `config.json`'s parts; every complaint names the source and the field."""

    source: str

    def wrong(self, field: str, wanted: str) -> UserError:
        return UserError("{field} in config.json of {source} must be {wanted}.", field=field, source=self.source, wanted=wanted)

    def fields(self, found: Any, name: str, of: type) -> None:
        if not isinstance(found, dict):
            raise self.wrong(name, "an object")
        wanted = {field.name for field in fields(of)}
        for field in sorted(wanted ^ set(found)):
            if field in wanted:
                raise UserError("{name} of {source} lacks the field {field}.", name=name, source=self.source, field=field)
            raise UserError("{name} of {source} has an unknown field: {field}.", name=name, source=self.source, field=field)

    def number(self, found: Any, name: str, low: float, high: float) -> float:
        if isinstance(found, bool) or not isinstance(found, int | float) or not (math.isfinite(found) and low <= found <= high):
            raise self.wrong(name, f"a number from {low:g} to {high:g}")
        return float(found)

    def pixels(self, found: Any, name: str) -> int:
        if isinstance(found, bool) or not isinstance(found, int) or not 32 <= found <= 1024:
            raise self.wrong(name, "a whole number from 32 to 1024")
        return found

    def choice(self, found: Any, name: str, choices: tuple[Any, ...]) -> Any:
        if not any(found == choice and type(found) is type(choice) for choice in choices):
            raise self.wrong(name, "one of " + ", ".join(map(str, choices)))
        return found

    def by_head(self, found: Any, name: str, heads: tuple[str, ...], low: float, high: float) -> dict[str, float]:
        if not isinstance(found, dict) or set(found) != set(heads):
            raise self.wrong(name, "an object with " + ", ".join(heads))
        return {head: self.number(found[head], f"{name}.{head}", low, high) for head in heads}

    def architecture(self, found: Any) -> Architecture:
        self.fields(found, "architecture", Architecture)
        return Architecture(
            norm=self.choice(found["norm"], "norm", ("batch", "local_response")),
            branch3_kernel=self.choice(found["branch3_kernel"], "branch3_kernel", (3, 5)),
            maxpool4_kernel=self.choice(found["maxpool4_kernel"], "maxpool4_kernel", (2, 3)),
            aux_pool=self.choice(found["aux_pool"], "aux_pool", ("5x5/3", "adaptive")),
            aux_heads=self.choice(found["aux_heads"], "aux_heads", (False, True)),
        )

    def preprocess(self, found: Any) -> Preprocess:
        self.fields(found, "preprocess", Preprocess)
        resize, crop = found["resize"], self.pixels(found["crop"], "crop")
        if isinstance(resize, list) and len(resize) == 2:
            resize = (self.pixels(resize[0], "resize"), self.pixels(resize[1], "resize"))
        else:
            resize = self.pixels(resize, "resize")
        if crop > (min(resize) if isinstance(resize, tuple) else resize):
            raise self.wrong("crop", "at most as large as resize")
        return Preprocess(
            resize,
            crop,
            self.channels(found["mean"], "mean", 0),
            self.channels(found["std"], "std", 1e-4),
            self.choice(found["interpolation"], "interpolation", ("nearest", "bilinear", "bicubic")),
        )

    def channels(self, found: Any, name: str, low: float) -> tuple[float, float, float]:
        if not isinstance(found, list) or len(found) != 3:
            raise self.wrong(name, "three numbers")
        red, green, blue = (self.number(value, name, low, 1) for value in found)
        return red, green, blue

    def metrics(self, found: Any, heads: tuple[str, ...]) -> Metrics | None:
        if found is None:
            return None
        self.fields(found, "metrics", Metrics)
        if not isinstance(found["dataset"], str):
            raise self.wrong("metrics.dataset", "a name")
        below = found["unlikely_below"]
        return Metrics(
            found["dataset"],
            self.by_head(found["top1"], "metrics.top1", heads, 0, 1),
            self.by_head(found["top5"], "metrics.top5", heads, 0, 1),
            None if below is None else self.number(below, "metrics.unlikely_below", 0, 1),
        )


def default_source() -> str:
    """$GOOGLENET_WEIGHTS, else `weights/` beside the package."""
    return os.environ.get("GOOGLENET_WEIGHTS") or str(Path(__file__).parent.parent / "weights")


def import_weights(source: str, out: Path) -> LoadedModel:
    """Write any SOURCE in this program's layout."""
    loaded = load(source)
    save(loaded.model, out)
    return loaded
