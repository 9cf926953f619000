"""The table of ImageNet's classes against torchvision's names and WordNet's numbers, and its Korean names."""

from __future__ import annotations

import re
import unicodedata

from torchvision.models import GoogLeNet_Weights

from googlenet.explanation.classes import imagenet_classes

CLASSES = imagenet_classes()


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
