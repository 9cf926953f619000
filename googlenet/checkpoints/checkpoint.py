"""A checkpoint in memory, and the limits of one on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from googlenet.config import ModelConfig
from googlenet.explanation import Provenance
from googlenet.model import GoogLeNet

WEIGHTS_FILE, CONFIG_FILE, CARD_FILE = "model.safetensors", "config.json", "README.md"
MAX_BYTES = 200 * 1024 * 1024
"""The largest published GoogLeNet file is Berkeley's: 54 MB."""

Progress = Callable[[float, str], None]
"""Called with the share that is done (0…1) and the name of the file."""


@dataclass(frozen=True)
class LoadedModel:
    """A checked network with what travels with its weights."""

    model: GoogLeNet
    """float32, in eval mode"""
    config: ModelConfig
    provenance: Provenance
