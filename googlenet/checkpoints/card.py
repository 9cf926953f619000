"""The model card beside the weights: README.md with a YAML header, read as the Hub reads it."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from huggingface_hub import RepoCard
from huggingface_hub.repocard import REGEX_YAML_BLOCK

from googlenet.checkpoints.checkpoint import CARD_FILE, read_beginning
from googlenet.errors import Reason

MAX_CARD, MAX_HEADER = 1 << 20, 1 << 16
"""The most bytes of a card that are read, and the most characters of its header."""


def read_card(path: Path) -> RepoCard | None:
    """A card with its header in `data`; None where there is no file with a header that can be read."""
    try:
        content = read_beginning(path, MAX_CARD).decode("utf-8", "replace")
    except Reason:
        return None
    header = REGEX_YAML_BLOCK.search(content)
    if header is None or len(header[2]) > MAX_HEADER or "<<" in header[2]:  # merged mappings may double at each line
        return None
    try:
        return RepoCard(content, ignore_metadata_errors=True)
    except (ValueError, TypeError, RecursionError, yaml.YAMLError):
        return None


def license_of(folder: Path) -> str | None:
    """The licence that the model card of a folder states; None where it states none."""
    card = read_card(folder / CARD_FILE)
    found = card.data.get("license") if card else None
    return found if isinstance(found, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,63}", found) else None
