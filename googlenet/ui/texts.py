"""The page's texts in English and Korean: its own words (`page/texts.json`), sentences (`sentences.json`) and errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from googlenet.errors import UserError
from googlenet.errors.korean import korean_error

TITLE = "Inside GoogLeNet"
LANGUAGES = ("en", "ko")

PAGE: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("page").joinpath("texts.json").read_text("utf-8"))
"""language → the page's own words; `{names}` are filled in by the page's script."""
SENTENCES: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("sentences.json").read_text("utf-8"))
"""language → key → what `sentences` and `outcomes` say; or key → kind → that"""


def say(language: str, key: str, kind: str | None = None, /, **values: object) -> str:
    """A sentence of `SENTENCES` with its values. A language may leave values out."""
    text = SENTENCES[language][key] if kind is None else SENTENCES[language][key][kind]
    return str(text.format(**values))


def error(problem: UserError) -> dict[str, str]:
    """language → the error's sentence; English where a template has no translation."""
    return {"en": str(problem), "ko": korean_error(problem)}
