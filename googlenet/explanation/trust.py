"""The result of `googlenet.probes.trust`'s test of a map, as numbers and as a sentence in English or Korean. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from googlenet.explanation.classes import find_group, imagenet_groups, korean_name
from googlenet.explanation.statements import percent

__all__ = ["Trust", "area"]

_CLEAR = 0.05
"""Two curves count as different from this area between them, as a share of the whole picture's probability."""

_ALIKE, _PARTLY = 0.5, 0.2
"""The rank correlations from which the map with randomised weights counts as alike, and as partly alike."""


@dataclass(frozen=True, eq=False)  # its arrays have no equality that is one truth value
class Trust:
    """One stage's deletion and insertion curves, those in random order, and its map with randomised weights."""

    head: str
    label: str
    """of the asked class"""
    steps: tuple[float, ...]
    """0…1: the share of the picture that is hidden (deletion) or shown (insertion)"""
    deletion: tuple[float, ...]
    """the asked class's probability in the asked head; the places with most evidence are hidden first"""
    insertion: tuple[float, ...]
    """the same; the places with most evidence are shown first"""
    random_deletion: tuple[float, ...]
    """in the order of a random map with as many cells as the stage's"""
    random_insertion: tuple[float, ...]
    randomised: NDArray[np.float32]
    """(4, H, W): the stage's branch maps after the weights from the heads down to this stage were drawn anew"""
    correlation: float
    """Spearman's rank correlation of that map with the stage's own"""

    def to_json(self) -> dict[str, Any]:
        """For the command line and the API (docs/cli.md, "How far a map can be trusted")."""
        curves = ("deletion", "insertion", "random_deletion", "random_insertion")
        return {
            "steps": list(self.steps),
            **{name: list(getattr(self, name)) for name in curves},
            "area": {name: area(getattr(self, name)) for name in curves},
            "randomised_correlation": self.correlation,
            "sentence": {language: self.sentence(language) for language in ("en", "ko")},
        }

    def sentence(self, language: str = "en") -> str:
        """The result in words: hiding the brightest tenth and a random tenth, both curves, and the randomised weights."""
        tenth = round((len(self.steps) - 1) / 10)
        drop, random_drop = (curve[0] - curve[tenth] for curve in (self.deletion, self.random_deletion))
        clear = _CLEAR * self.deletion[0]
        hides = area(self.random_deletion) - area(self.deletion) > clear
        shows = area(self.insertion) - area(self.random_insertion) > clear
        before, after = percent(self.deletion[0], language), percent(self.deletion[tenth], language)
        if language == "en":
            text = f"Hiding the brightest tenth of the picture {_points(drop)} {self.label} in {_named(self.head)} "
            text += f"({before} to {after}); hiding a random tenth {_points(random_drop)} it. "
        else:
            group = find_group(self.label, imagenet_groups())
            name = korean_name(self.label) or (group.korean if group else self.label)
            text = f"가장 밝은 10분의 1을 가리면 {self.head} 헤드에서 ‘{name}’ 클래스의 확률이 {_points(drop, 'ko')}"
            text += f"({before} → {after}). 무작위로 10분의 1을 가리면 {_points(random_drop, 'ko')}. "
        kind = "alike" if self.correlation >= _ALIKE else "partly" if self.correlation >= _PARTLY else "different"
        alike = _RANDOMISED[language][kind].format(round(self.correlation, 2) + 0.0)  # never "-0.00"
        return f"{text}{_VERDICTS[language][hides, shows]} {alike.replace('-', '−')}"


def area(curve: tuple[float, ...]) -> float:
    """The area under a curve over evenly spaced steps from 0 to 1."""
    return float(np.trapezoid(curve, dx=1 / (len(curve) - 1)))


def _points(drop: float, language: str = "en") -> str:
    """A change of probability in percentage points."""
    size = round(abs(drop) * 100)
    if size == 0:
        return "takes less than a point from" if language == "en" else "1%p도 달라지지 않습니다"
    if language == "en":
        many = f"{size} point{'s' if size > 1 else ''}"
        return f"takes {many} from" if drop > 0 else f"adds {many} to"
    return f"{size}%p {'내려갑니다' if drop > 0 else '올라갑니다'}"


_VERDICTS = {
    "en": {
        (True, True): "The map beats chance when its bright places are hidden and when they alone are shown.",
        (True, False): "The map beats chance when its bright places are hidden, but not when they alone are shown.",
        (False, True): "The map beats chance when its bright places alone are shown, but not when they are hidden.",
        (False, False): "In both tests the map is no better than chance: do not rely on it for this picture.",
    },
    "ko": {
        (True, True): "밝은 곳을 가릴 때도, 그곳만 보여 줄 때도 근거 지도가 무작위보다 낫습니다.",
        (True, False): "밝은 곳을 가릴 때는 근거 지도가 무작위보다 낫지만, 그곳만 보여 줄 때는 그렇지 않습니다.",
        (False, True): "밝은 곳만 보여 줄 때는 근거 지도가 무작위보다 낫지만, 그곳을 가릴 때는 그렇지 않습니다.",
        (False, False): "두 시험 모두에서 근거 지도가 무작위보다 낫지 않습니다. 이 사진에서는 이 근거 지도를 믿지 마세요.",
    },
}
"""language → (better than chance at deletion, at insertion) → the sentence."""

_RANDOMISED = {
    "en": {
        "different": "With randomised weights the map is a different one (rank correlation {:.2f}).",
        "partly": "With randomised weights part of the map stays (rank correlation {:.2f}): that part shows the picture, not the "
        "class.",
        "alike": "With randomised weights the map stays alike (rank correlation {:.2f}): it shows the picture, not the class.",
    },
    "ko": {
        "different": "가중치를 무작위로 바꾸면 다른 근거 지도가 됩니다(순위 상관계수 {:.2f}).",
        "partly": "가중치를 무작위로 바꿔도 근거 지도의 일부가 남습니다(순위 상관계수 {:.2f}). 그 부분은 클래스가 아니라 "
        "사진 자체를 보여 줍니다.",
        "alike": "가중치를 무작위로 바꿔도 근거 지도가 비슷합니다(순위 상관계수 {:.2f}). 이 근거 지도는 클래스가 아니라 "
        "사진 자체를 보여 줍니다.",
    },
}
"""language → how alike the map stays → the sentence."""


def _named(head: str) -> str:
    return "the main head" if head == "main" else head
