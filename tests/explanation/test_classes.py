"""ImageNet's classes against torchvision's names and WordNet 3.0, the groups against WordNet, and a class by what one types."""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from torchvision.models import GoogLeNet_Weights

from googlenet.errors import LONGEST, QuestionError
from googlenet.explanation import classes as module
from googlenet.explanation.classes import (
    COMPARED,
    Group,
    Labels,
    everyday_words,
    find_group,
    groups_of,
    imagenet_classes,
    imagenet_groups,
)

CLASSES = imagenet_classes()
PLACE = {each.name: index for index, each in enumerate(CLASSES)}
GROUPS = imagenet_groups()
BY_NAME = {group.name: group for group in GROUPS}
ROWS = {row["name"]: row for row in json.loads(Path(module.__file__).with_name("groups.json").read_text("utf-8"))["groups"]}
PARENTS = json.loads((Path(__file__).parent / "wordnet.json").read_text("utf-8"))["parents"]
"""Facts from WordNet 3.0: each synset at and above ImageNet's classes → the synsets directly above it."""


def above(synset: str) -> set[str]:
    """A synset and all that are above it."""
    return {synset}.union(*(above(parent) for parent in PARENTS[synset].split()))


ABOVE = [above(each.wnid) for each in CLASSES]


def below(synsets: list[str]) -> set[int]:
    """The classes below any of these synsets."""
    return {index for index, found in enumerate(ABOVE) if found.intersection(synsets)}


def level(group: Group) -> int:
    return 1 + level(BY_NAME[group.parent]) if group.parent else 1


def chains(label: str) -> list[str]:
    return [group.name for group in GROUPS if PLACE[label] in group.indices]


def test_classes_are_those_below_the_synsets_but_for_the_listed_exceptions() -> None:
    for group in GROUPS:
        row = ROWS[group.name]
        without, more = ({PLACE[name] for name in row.get(key, ())} for key in ("except", "also"))
        from_wordnet = below(row["synsets"])
        of_children = {index for child in GROUPS if child.parent == group.name for index in child.indices}
        assert set(group.indices) == (from_wordnet - without) | more | of_children, group.name
        assert without <= from_wordnet, group.name
        assert not more & from_wordnet, group.name
        assert not without & set(group.indices), group.name
        assert bool(row.get("comment")) == bool(without | more), group.name
        assert not set(row["synsets"]) - PARENTS.keys(), group.name


def test_the_tree() -> None:
    assert len(GROUPS) == len(BY_NAME) >= 120
    assert 3 <= max(map(level, GROUPS)) <= 5
    count = Counter(index for group in GROUPS for index in group.indices)
    assert min(count[index] for index in range(1000)) >= 2
    for place, group in enumerate(GROUPS):
        assert list(group.indices) == sorted(set(group.indices))
        if group.parent:
            assert BY_NAME[group.parent] in GROUPS[:place]
            assert set(group.indices) < set(BY_NAME[group.parent].indices)


def test_names_are_distinct_and_no_class_has_them() -> None:
    english, korean = ({group.name for group in GROUPS}, {group.korean for group in GROUPS})
    assert len(korean) == len(english) == len(GROUPS)
    assert not english & {each.name.casefold() for each in CLASSES}
    assert not korean & {each.korean for each in CLASSES}
    assert all(re.search("[가-힣]", name) and unicodedata.is_normalized("NFC", name) for name in korean)
    assert all(name == name.strip().casefold() for name in english)


def test_articles() -> None:
    for group in GROUPS:
        if group.article:
            assert group.article == ("an" if group.name[0] in "aeiou" else "a"), group.name
    assert [BY_NAME[name].phrase for name in ("ape", "dog", "headgear")] == ["an ape", "a dog", "headgear"]


@pytest.mark.parametrize(
    ("label", "names"),
    [
        ("redbone", ["animal", "mammal", "dog", "hound", "scent hound"]),
        ("tabby", ["animal", "mammal", "feline", "cat"]),
        ("violin", ["man-made thing", "music equipment", "musical instrument", "stringed instrument", "bowed instrument"]),
    ],
)
def test_a_class_lies_in_ever_narrower_groups(label: str, names: list[str]) -> None:
    assert chains(label) == names


@pytest.mark.parametrize(
    ("name", "count", "among", "not_among"),
    [
        ("dog", 118, "Cardigan", "cardigan"),
        ("animal", 398, "puffer", "abacus"),
        ("aircraft", 5, "warplane", "plane"),
        ("fruit", 10, "Granny Smith", "hip"),
    ],
)
def test_labels_of_two_senses_are_in_the_right_group(name: str, count: int, among: str, not_among: str) -> None:
    indices = BY_NAME[name].indices
    assert len(indices) == count
    assert PLACE[among] in indices
    assert PLACE[not_among] not in indices


def test_groups_of_other_labels_keep_the_classes_that_are_there() -> None:
    labels = [each.name for each in reversed(CLASSES[100:300])]
    found = groups_of(labels)
    assert groups_of([each.name for each in CLASSES]) == GROUPS
    assert groups_of(["lion", "violin", "a cat of ours"]) == groups_of([]) == ()
    names = [group.name for group in found]
    assert "dog" in names
    assert "car" not in names
    for place, group in enumerate(found):
        assert [labels[index] for index in reversed(group.indices)] == [
            CLASSES[index].name for index in BY_NAME[group.name].indices if 100 <= index < 300
        ]
        assert group.parent is None or group.parent in names[:place]


def test_a_group_is_found_by_its_name_its_phrase_and_its_korean_name() -> None:
    for group in GROUPS:
        for text in (group.name, group.phrase.upper(), f" {group.korean} ", unicodedata.normalize("NFD", group.korean)):
            assert find_group(text, GROUPS) is group
    for text in ("an dog", "a headgear", "dogs", "lion", ""):
        assert find_group(text, GROUPS) is None


def test_names_are_imagenets_in_its_order() -> None:
    assert [each.name for each in CLASSES] == GoogLeNet_Weights.IMAGENET1K_V1.meta["categories"]
    assert len({each.name for each in CLASSES}) == len({each.wnid for each in CLASSES}) == 1000


def test_wnids_are_wordnets() -> None:
    assert all(re.fullmatch(r"n\d{8}", each.wnid) for each in CLASSES)
    known = {291: "n02129165", 264: "n02113186", 474: "n02963159", 779: "n04146614"}
    assert {index: CLASSES[index].wnid for index in known} == known
    assert [each.wnid for each in CLASSES] == sorted(each.wnid for each in CLASSES)  # ImageNet's order is WordNet's


def test_every_class_has_a_korean_name_of_its_own() -> None:
    names = [each.korean for each in CLASSES]
    assert len(set(names)) == 1000
    assert not [name for name in names if not re.fullmatch(r"\d?[가-힣]+( [가-힣]+)*", name)]
    assert all(unicodedata.is_normalized("NFC", name) for name in names)
    known = {
        293: "치타",
        207: "골든 리트리버",
        264: "카디건 웰시 코기",
        474: "카디건",
        134: "두루미",
        517: "크레인",
        978: "바닷가",
    }
    assert {index: names[index] for index in known} == known


def test_an_everyday_word_is_no_name_and_stands_for_one() -> None:
    names = PLACE.keys() | BY_NAME.keys()
    korean = {each.korean for each in (*CLASSES, *GROUPS)}
    assert set(everyday_words().values()) <= names
    assert not everyday_words().keys() & ({name.casefold() for name in names} | korean)
    labels = Labels(tuple(PLACE), GROUPS)
    for word, name in everyday_words().items():
        with pytest.raises(QuestionError, match=f"did you mean {name}\\?"):
            labels.find(word)
    with pytest.raises(QuestionError, match="use one of the 1,000 labels"):
        Labels(tuple(map(str, range(1000)))).find("puppy")


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


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("cats", "cat"),
        ("Dogs", "dog"),
        ("birds", "bird"),
        ("shoes", "shoe"),
        ("buses", "bus"),
        ("puppies", "dog"),
        ("two lions", "lion"),
        ("a lion", "lion"),
        ("The lion.", "lion"),
        ("lion, king of beasts, Panthera leo", "lion"),
        ("tabby, tabby cat", "tabby"),
        ("사자", "lion"),
        ("치타", "cheetah"),
        ("unicorn", None),
    ],
)
def test_what_people_say_is_understood(said: str, meant: str | None) -> None:
    """A plural, an article, ImageNet's own long name, and a class's Korean name."""
    near = Labels(tuple(PLACE), GROUPS).near(said.casefold())
    assert near[:1] == ([meant] if meant else [])
    assert "person at a wedding" not in near


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
