"""The pure parts of the page: sentences that must be true, errors in two languages, what is sent to the browser."""

from __future__ import annotations

import re
import string
from pathlib import Path

from googlenet.errors import UserError
from googlenet.model.architecture import HEADS
from googlenet.ui import sentences
from googlenet.ui.page import PAGE
from googlenet.ui.uploads import EXAMPLES

PACKAGE = Path(sentences.__file__).parent.parent


def names(template: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def test_an_error_is_said_in_both_languages() -> None:
    said = sentences.error(UserError("{name} cannot be opened: {error}.", name="a.jpg", error="gone"))
    assert said == {"en": "a.jpg cannot be opened: gone.", "ko": "a.jpg 파일을 열 수 없습니다: gone."}


def test_the_pages_words_are_the_same_in_both_languages_and_all_used() -> None:
    english, korean = sentences.PAGE["en"], sentences.PAGE["ko"]
    assert english.keys() == korean.keys()
    for key in english:
        assert names(english[key]) == names(korean[key]), key
    page = "".join(path.read_text("utf-8") for path in (PAGE / "index.html", *(PAGE / "js").glob("*.js")))
    marks = {f"help_{term}" for term in re.findall(r'(?:data-help="|helpMark\(")(\w+)', page)}
    assert marks <= english.keys()
    assert {key for key in english if not re.search(rf"""["'. ]{key}\b""", page)} <= {
        *HEADS,
        *(f"example_{name}" for name in EXAMPLES),
        *marks,
    }
    assert set(re.findall(r'data-w="(\w+)"', page)) | set(re.findall(r'(?:say\("|(?<!/)words\.)(\w+)', page)) <= english.keys()
