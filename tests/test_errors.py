"""What a sentence quotes from outside is bounded and escaped, in every language."""

from __future__ import annotations

import ast
import errno
import pickle
import re
import string
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from googlenet.cli import main
from googlenet.errors import LONGEST, ListedError, PictureError, Reason, UserError, WeightsError, printable, reason
from googlenet.errors.korean import KOREAN_ERRORS, korean_error
from googlenet.ui import sentences
from tests.helpers import ROOT


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain.png", "plain.png"),
        ("사진 写真 é.jpg", "사진 写真 é.jpg"),
        (Path("a/b.onnx"), "a/b.onnx"),
        ("a\nb\tc\0d\x1b[31m", r"a\nb\tc\x00d\x1b[31m"),
        ("caf\udce9.jpg", r"caf\udce9.jpg"),
        ("gpj.\u202eexe", r"gpj.\u202eexe"),
        ("one\u2028two", r"one\u2028two"),
        (ValueError("it\nbroke"), r"it\nbroke"),
    ],
)
def test_what_cannot_be_shown_is_escaped(value: object, expected: str) -> None:
    assert printable(value) == expected


@pytest.mark.parametrize("text", ["x" * 10_000_000, "\n" * 10_000_000, "\U000e0001" * 10_000_000], ids=["x", "newline", "tag"])
def test_megabytes_are_shortened_and_the_end_stays(text: str) -> None:
    shown = printable("begin" + text + "end.pth")
    assert len(shown) == LONGEST
    assert shown.startswith("begin")
    assert shown.endswith("end.pth")
    assert shown.isprintable()


def test_a_reason_is_new_each_time() -> None:
    """A raised error keeps its callers' variables alive: weights without a README.md left a network behind at each load."""
    error = FileNotFoundError(errno.ENOENT, "")
    assert str(reason(error)) == str(reason(error)) == "it does not exist"
    assert reason(error) is not reason(error)


def test_an_error_bounds_every_text_and_keeps_numbers() -> None:
    error = WeightsError(
        "{name} has {count:,} of {share:.1%}: {why}.", name="a\n" * 999, count=1000, share=0.5, why=OSError("x\ny")
    )
    assert "\n" not in str(error)
    assert len(str(error)) < LONGEST + 60
    assert str(error).endswith(r"has 1,000 of 50.0%: x\ny.")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.template, again.values) == (str(error), error.template, error.values)


@pytest.mark.parametrize(
    ("locale", "korean"),
    [
        ({"LANG": "ko_KR.UTF-8"}, True),
        ({"LC_ALL": "ko_KR.eucKR", "LANG": "en_US.UTF-8"}, True),
        ({"LC_MESSAGES": "ko", "LANG": "de_DE.UTF-8"}, True),
        ({"LC_ALL": "C.UTF-8", "LANG": "ko_KR.UTF-8"}, False),
        ({"LANG": "kok_IN"}, False),
        ({}, False),
    ],
)
def test_the_command_line_speaks_the_locales_language(
    locale: dict[str, str], korean: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in locale.items():
        monkeypatch.setenv(name, value)
    assert main(["explain", str(tmp_path)]) == 1
    error = PictureError("The folder {folder} is empty; name one that holds pictures.", folder=tmp_path)
    assert capsys.readouterr().err == f"googlenet: {korean_error(error) if korean else error}\n"


def test_a_reason_is_translated_within_its_sentence() -> None:
    error = UserError("{name} cannot be opened: {error}.", name="a.jpg", error=reason(OSError(errno.EACCES, "Permission denied")))
    said = sentences.error(error)
    assert said["en"] == "a.jpg cannot be opened: access is denied."
    assert "denied" not in said["ko"]
    assert "a.jpg" in said["ko"]


def test_an_error_number_without_words_is_told_as_a_number() -> None:
    assert str(reason(OSError(errno.EXDEV, "Invalid cross-device link"))) == f"error {errno.EXDEV} of the operating system"
    assert str(reason(OSError("no number"))) == "error 0 of the operating system"
    assert isinstance(reason(OSError(errno.ENOSPC, "")), Reason)


def test_several_errors_are_one_with_a_line_for_each_in_every_language() -> None:
    errors = [UserError("The folder {folder} cannot be made: {error}.", folder="a", error=reason(OSError(errno.EACCES, "")))] * 2
    several = ListedError("Nothing was started:", errors)
    assert str(several) == "Nothing was started:" + 2 * "\n- The folder a cannot be made: access is denied."
    assert sentences.error(several)["ko"].count("\n- ") == 2
    assert "folder" not in sentences.error(several)["ko"]
    assert str(pickle.loads(pickle.dumps(several))) == str(several)
    assert str(ListedError("Nothing was started:", errors * 20)).endswith("\n- … and 20 more.")


def user_errors(trees: Iterable[ast.AST]) -> set[str]:
    """The names of UserError and of every class below it."""
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    kinds: set[str] = set()
    more = {"UserError"}
    while more - kinds:
        kinds |= more
        more = {c.name for c in classes if any(isinstance(base, ast.Name) and base.id in kinds for base in c.bases)}
    return kinds


def first_arguments(tree: ast.AST, kinds: set[str]) -> Iterator[ast.expr]:
    """What the calls `UserError(…)`, and `super().__init__(…)` in a class below it, begin with."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds:
            yield from node.args[:1]
        if isinstance(node, ast.ClassDef) and node.name in kinds - {"UserError"}:
            for inner in ast.walk(node):
                if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute) and inner.func.attr == "__init__":
                    yield from inner.args[:1]


def raised_templates(trees: Mapping[str, ast.AST]) -> set[str]:
    """The template of every UserError in the code. Fails for one that is put together at run time: it has no translation."""
    kinds = user_errors(trees.values())
    found = set()
    for name, tree in trees.items():
        for argument in first_arguments(tree, kinds):
            if isinstance(argument, ast.Constant):
                found.add(argument.value)
            else:  # another error's template, handed on
                handed_on = isinstance(argument, ast.Attribute | ast.Subscript | ast.Name)
                assert handed_on, (
                    f"{name}:{argument.lineno}: give UserError a template and its values, not {ast.unparse(argument)}"
                )
    return found


@pytest.fixture(scope="module")
def templates() -> set[str]:
    return raised_templates({str(path): ast.parse(path.read_text("utf-8")) for path in (ROOT / "googlenet").rglob("*.py")})


def test_templates_are_found_and_one_that_is_put_together_is_not_accepted() -> None:
    code = """
class OwnError(UserError):
    def __init__(self): super().__init__("inside {name}")
raise OwnError()
raise WrongError(f"not ours {x}")
raise UserError("direct")
"""
    assert raised_templates({"a.py": ast.parse(code)}) == {"inside {name}", "direct"}
    for wrong in ('UserError(f"no {x}")', 'UserError("no " + x)', 'UserError("no {}".format(x))'):
        with pytest.raises(AssertionError, match=r"a\.py:1: give UserError a template"):
            raised_templates({"a.py": ast.parse(wrong)})


def names(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def test_every_error_has_a_korean_sentence_and_every_korean_sentence_an_error(templates: set[str]) -> None:
    assert templates - set(KOREAN_ERRORS) == set()
    assert set(KOREAN_ERRORS) - templates == set()


@pytest.mark.parametrize("english", KOREAN_ERRORS)
def test_a_korean_sentence_has_the_same_names_and_no_english_words(english: str) -> None:
    korean = KOREAN_ERRORS[english]
    assert names(english) == names(korean)
    assert re.search("[가-힣]", korean)
    words = re.findall(r"[A-Za-z][\w./-]*", re.sub(r"\{[^}]*\}", "", korean), re.ASCII)
    assert [word for word in words if word.rstrip(".") not in english] == []  # names of things are the same in both
