"""The licence that a model card, README.md beside the weights, states in its header.

The header is YAML, which a few bytes make large and nobody needs here: a line of it is enough.
"""

from __future__ import annotations

import re
from pathlib import Path

from googlenet.checkpoints.checkpoint import CARD_FILE, read_beginning
from googlenet.errors import Reason

__all__ = ["license_of"]

_MAX_HEADER = 1 << 16
"""Bytes of a card that are read."""
_HEADER = re.compile(r"---\r?\n(.*?)\r?\n---\s", re.DOTALL)
_LICENSE = re.compile(r"^license:[ \t]*(['\"]?)([A-Za-z0-9][A-Za-z0-9.+-]{0,63})\1[ \t\r]*(?:#.*)?$", re.MULTILINE)


def license_of(folder: Path) -> str | None:
    """The licence that the model card of a folder states; None where it states none."""
    try:
        header = _HEADER.match(read_beginning(folder / CARD_FILE, _MAX_HEADER).decode("utf-8", "replace"))
    except Reason:
        return None
    found = _LICENSE.search(header[1]) if header else None
    return found[2] if found else None
