"""`config.json`: what travels with the weights, read strictly."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from googlenet.architecture import HEADS, Architecture
from googlenet.errors import WeightsError
from googlenet.images import Preprocess

MAX_LABELS = 100_000


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


def dump_config(config: ModelConfig) -> str:
    """`config.json` as text."""
    return json.dumps(asdict(config), ensure_ascii=False, indent=1) + "\n"


def parse_config(data: bytes, source: str) -> ModelConfig:
    """`config.json`, strictly: a missing or unknown field, or a value out of range, is a WeightsError that names it."""
    try:
        found = json.loads(data)
        json.dumps(found, ensure_ascii=False).encode()  # half a character ("\ud800") cannot be shown
    except (ValueError, RecursionError):
        raise WeightsError("config.json of {source} is no JSON.", source=source) from None
    read = ConfigReader(source)
    read.fields(found, "config.json", ModelConfig)
    labels = found["labels"]
    if not (isinstance(labels, list) and 2 <= len(labels) <= MAX_LABELS and all(isinstance(x, str) for x in labels)):
        raise read.wrong("labels", f"a list of 2 to {MAX_LABELS:,} names")
    if not all(1 <= len(label) <= 300 for label in labels):
        raise read.wrong("labels", "names of 1 to 300 letters")
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

    def wrong(self, field: str, wanted: str) -> WeightsError:
        return WeightsError(
            "{field} in config.json of {source} must be {wanted}.", field=field, source=self.source, wanted=wanted
        )

    def fields(self, found: Any, name: str, of: type) -> None:
        if not isinstance(found, dict):
            raise self.wrong(name, "an object")
        wanted = {field.name for field in fields(of)}
        for field in sorted(wanted ^ set(found)):
            if field in wanted:
                raise WeightsError("{name} of {source} lacks the field {field}.", name=name, source=self.source, field=field)
            raise WeightsError(
                "{name} of {source} has an unknown field: {field}.", name=name, source=self.source, field=field[:100]
            )

    def number(self, found: Any, name: str, low: float, high: float) -> float:
        if isinstance(found, bool) or not isinstance(found, int | float) or not low <= found <= high:
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
