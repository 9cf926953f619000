"""UserErrors in Korean. The page shows both languages, the command line that of the locale."""

from __future__ import annotations

import json
import os
from pathlib import Path

from googlenet.errors import ListedError, UserError

__all__ = ["in_locale", "korean_error"]

KOREAN_ERRORS: dict[str, str] = json.loads(Path(__file__).with_name("korean.json").read_text("utf-8"))
"""UserError template → the same sentence in Korean, with the same names in braces."""


def korean_error(problem: UserError) -> str:
    """The error's sentence in Korean, or in English where its template has no translation."""
    values = {name: korean_error(value) if isinstance(value, UserError) else value for name, value in problem.values.items()}
    korean = KOREAN_ERRORS.get(problem.template)
    if not korean:
        return str(problem)
    lines = problem.shown if isinstance(problem, ListedError) else ()
    return "\n".join([korean.format(**values), *(f"- {korean_error(each)}" for each in lines)])


def in_locale(problem: UserError) -> str:
    """The error's sentence for a terminal: in Korean where the locale for messages is Korean, else in English."""
    locale = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    return korean_error(problem) if locale.split("_")[0] == "ko" else str(problem)
