"""ImageNet's 1,000 classes: WordNet number, name and Korean name.

They name the classes of weights whose file has no labels. Evaluation matches data sets by them, and the page's search finds
classes by their Korean names too.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ImageNetClass:
    """One class of ImageNet-1k. Its index is its place in the table."""

    wnid: str
    """WordNet's identifier, such as n02129165: the name of the class's folder in ImageNet"""
    name: str
    """the label; the 1,000 are distinct, two of them only by case ("Cardigan", a dog, and "cardigan", a garment)"""
    korean: str
    """the everyday Korean name; the 1,000 are distinct"""


@functools.cache
def imagenet_classes() -> tuple[ImageNetClass, ...]:
    """The 1,000 classes in ImageNet's order, which is the order of the logits.

    Example:
        >>> imagenet_classes()[291]
        ImageNetClass(wnid='n02129165', name='lion', korean='사자')
    """
    rows = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))
    return tuple(ImageNetClass(**row) for row in rows)


@functools.cache
def _korean() -> dict[str, str]:
    return {each.name: each.korean for each in imagenet_classes()}


def korean_name(label: str) -> str | None:
    """A class's Korean name; None for a label that is not one of ImageNet's.

    Example:
        >>> korean_name("lion"), korean_name("thing")
        ('사자', None)
    """
    return _korean().get(label)
