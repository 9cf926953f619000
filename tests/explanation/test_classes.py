"""The table of ImageNet's classes against torchvision's names and WordNet's numbers, and groups whose members are known."""

from __future__ import annotations

import re

import pytest
from torchvision.models import GoogLeNet_Weights

from googlenet.explanation.classes import imagenet_classes

CLASSES = imagenet_classes()


def members(group: str) -> list[str]:
    return [each.name for each in CLASSES if group in each.groups]


def test_names_are_imagenets_in_its_order() -> None:
    assert [each.name for each in CLASSES] == GoogLeNet_Weights.IMAGENET1K_V1.meta["categories"]
    assert len({each.name for each in CLASSES}) == len({each.wnid for each in CLASSES}) == 1000


def test_wnids_are_wordnets() -> None:
    assert all(re.fullmatch(r"n\d{8}", each.wnid) for each in CLASSES)
    known = {291: "n02129165", 264: "n02113186", 474: "n02963159", 779: "n04146614"}
    assert {index: CLASSES[index].wnid for index in known} == known
    assert [each.wnid for each in CLASSES] == sorted(each.wnid for each in CLASSES)  # ImageNet's order is WordNet's


@pytest.mark.parametrize(
    ("group", "count", "among", "not_among"),
    [
        ("dog", 118, "Cardigan", "cardigan"),
        ("animal", 398, "puffer", "abacus"),
        ("cat", 7, "tabby", "lion"),
        ("big cat", 6, "lion", "tabby"),
        ("bird", 59, "crane bird", "crane"),
        ("snake", 17, "sidewinder", "Komodo dragon"),
        ("bus", 3, "school bus", "passenger car"),
        ("vehicle", 72, "warplane", "plane"),
        ("musical instrument", 26, "upright", "pick"),
        ("clothes", 35, "cardigan", "Cardigan"),
        ("fruit", 10, "Granny Smith", "hip"),
    ],
)
def test_groups(group: str, count: int, among: str, not_among: str) -> None:
    found = members(group)
    assert len(found) == count
    assert among in found
    assert not_among not in found


def test_every_animal_of_a_narrower_kind_is_in_the_wider_one() -> None:
    for narrow, wide in (("terrier", "dog"), ("dog", "mammal"), ("mammal", "animal"), ("snake", "reptile"), ("bird", "animal")):
        assert set(members(narrow)) < set(members(wide))
