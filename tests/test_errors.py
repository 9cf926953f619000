"""What a sentence quotes from outside is bounded and escaped, in every language."""

from __future__ import annotations

import errno
import pickle
from pathlib import Path

import pytest

from googlenet.errors import LONGEST, Reason, UserError, WeightsError, printable, reason
from googlenet.ui import texts


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


def test_an_error_bounds_every_text_and_keeps_numbers() -> None:
    error = WeightsError(
        "{name} has {count:,} of {share:.1%}: {why}.", name="a\n" * 999, count=1000, share=0.5, why=OSError("x\ny")
    )
    assert "\n" not in str(error)
    assert len(str(error)) < LONGEST + 60
    assert str(error).endswith(r"has 1,000 of 50.0%: x\ny.")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.template, again.values) == (str(error), error.template, error.values)


def test_a_reason_is_translated_within_its_sentence() -> None:
    error = UserError("{name} cannot be opened: {error}.", name="a.jpg", error=reason(OSError(errno.EACCES, "Permission denied")))
    said = texts.error(error)
    assert said["en"] == "a.jpg cannot be opened: access is denied."
    assert "denied" not in said["ko"]
    assert "a.jpg" in said["ko"]


def test_an_error_number_without_words_is_told_as_a_number() -> None:
    assert str(reason(OSError(errno.EXDEV, "Invalid cross-device link"))) == f"error {errno.EXDEV} of the operating system"
    assert str(reason(OSError("no number"))) == "error 0 of the operating system"
    assert isinstance(reason(OSError(errno.ENOSPC, "")), Reason)
