"""Where weights come from and what travels with them: a folder, a file or a Hub repository → a checked model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from googlenet.images import Preprocess
from googlenet.model import Architecture, GoogLeNet

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
