"""The page's own words in English and Korean (`page/texts.json`), and what an error says in both."""

from __future__ import annotations

import json
from pathlib import Path

from googlenet.errors import UserError
from googlenet.errors.korean import korean_error

TITLE = "Inside GoogLeNet"
LANGUAGES = ("en", "ko")

PAGE: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("page").joinpath("texts.json").read_text("utf-8"))
"""language → the page's own words; `{names}` are filled in by the page's script."""


def error(problem: UserError) -> dict[str, str]:
    """language → the error's sentence; English where a template has no translation."""
    return {"en": str(problem), "ko": korean_error(problem)}
