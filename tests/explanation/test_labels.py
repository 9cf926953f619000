"""A class by what a person calls it."""

from __future__ import annotations

import difflib

import pytest

from googlenet.errors import LONGEST, QuestionError
from googlenet.explanation.classes import COMPARED, Group, Labels

THINGS = Labels(tuple(f"thing {i}" for i in range(10)))


def test_by_label_and_by_index() -> None:
    assert THINGS.find("Thing 3") == THINGS.find(" thing 3 ") == THINGS.find("3") == THINGS.find("٣") == THINGS.find(3) == 3
    for name, words in (("thimg 3", "did you mean"), ("10", "index from 0 to 9"), ("-1", "No class"), ("zebra", "No class")):
        with pytest.raises(QuestionError, match=words):
            THINGS.find(name)
    labels = Labels(("2", "1", "0"))
    assert (labels.find("2"), labels.find(2)) == (0, 2)  # text is a label first, a number an index


def test_labels_that_occur_twice_are_asked_by_index() -> None:
    labels = Labels(("crane", "crane", "2"))
    with pytest.raises(QuestionError, match="ask by index: 0, 1"):
        labels.find("crane")
    assert labels.find("1") == 1


def test_case_matters_between_labels_that_differ_by_nothing_else() -> None:
    labels = Labels(("Cardigan", "cardigan", "lion"))
    assert Labels(("café",)).find("Cafe\u0301") == 0  # é in two characters, as macOS writes it
    assert (labels.find("Cardigan"), labels.find("cardigan"), labels.find("LION")) == (0, 1, 2)
    with pytest.raises(QuestionError, match="ask by index: 0, 1"):
        labels.find("CARDIGAN")


def repr_short(name: str | int) -> str:
    return f"{type(name).__name__} {name:x}"[:12] if isinstance(name, int) else ascii(name[:8])


@pytest.mark.parametrize(
    "name", [2**64, -(2**64), 10**5000, "9" * 4301, "٣" * 30, "9" * 18, "x" * 10**6, "\n" * 5000 + "\0"], ids=repr_short
)
def test_any_number_and_any_text_is_one_short_sentence(name: str | int) -> None:
    with pytest.raises(QuestionError, match="No class is called") as caught:
        THINGS.find(name)
    assert len(str(caught.value)) < LONGEST + 200
    assert str(caught.value).isprintable()


def test_similar_labels() -> None:
    labels = Labels(("lion", "sea lion", "cougar", "golden retriever", "Tench"))
    for text, wanted in (("lyon", "lion"), ("goldn retriver", "golden retriever"), ("TENSH", "tench")):
        assert labels.near(text.casefold())[0] == wanted
    assert labels.near("qqqq") == []


def test_names_that_share_a_word_come_before_those_that_share_letters() -> None:
    groups = [Group(name, "a", name, (0,), None) for name in ("cat", "bird")]
    labels = Labels(("tabby", "house finch", "tiger cat", "horse cart"), groups)
    assert labels.find("a Bird") is groups[1]
    assert labels.near("house cat") == ["cat", "house finch", "tiger cat"]


def test_the_search_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """5,000 labels of 300 letters, all alike: difflib would take minutes."""
    compared: list[str] = []
    true = difflib.get_close_matches

    def watched(text: str, labels: object, **options: object) -> list[str]:
        compared.extend([text, *labels])
        return true(text, labels, **options)

    monkeypatch.setattr(difflib, "get_close_matches", watched)
    labels = Labels(tuple(f"{i:05}" + "abcdefgh" * 37 for i in range(5_000)))
    assert labels.near("abcdefgh" * 37)
    assert len(compared) <= 51
    assert max(map(len, compared)) <= COMPARED
