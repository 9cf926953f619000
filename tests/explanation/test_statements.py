"""What a head says: the rule, on probabilities whose statement is known, and the records."""

from __future__ import annotations

import numpy as np
import pytest

from googlenet.explanation.classes import imagenet_classes, imagenet_groups
from googlenet.explanation.statements import Speaker, bin_of

LABELS = tuple(each.name for each in imagenet_classes())
GROUPS = {group.name: group for group in imagenet_groups()}
SPEAKER = Speaker(LABELS)


def spread(shares: dict[str, float]) -> np.ndarray:
    """Each share spread evenly over a class or a group."""
    p = np.zeros(1000, np.float32)
    for name, share in shares.items():
        indices = list(GROUPS[name].indices) if name in GROUPS else [LABELS.index(name)]
        p[indices] += share / len(indices)
    return p


@pytest.mark.parametrize(
    ("shares", "name", "korean", "classes", "probability"),
    [
        ({"lion": 0.85, "violin": 0.15}, "lion", "사자", 1, 0.85),
        ({"dog": 0.9, "violin": 0.1}, "dog", "개", 118, 0.9),
        ({"dog": 0.5, "cat": 0.45, "violin": 0.05}, "mammal", "포유류", 218, 0.95),
        ({"dog": 0.5, "bird": 0.45, "violin": 0.05}, "animal", "동물", 398, 0.95),
    ],
)
def test_the_most_specific_group_that_is_sure_is_said(
    shares: dict[str, float], name: str, korean: str, classes: int, probability: float
) -> None:
    said = SPEAKER.statements({"main": spread(shares), "aux1": None})
    assert said is not None
    assert said["aux1"] is None
    main = said["main"]
    assert main is not None
    assert (main.name, main.korean, len(main.indices)) == (name, korean, classes)
    assert main.probability == pytest.approx(probability, rel=1e-5)


def test_the_rule_is_the_most_bits_of_all_groups_that_reach_the_threshold() -> None:
    """Against the rule as it is written, on random probabilities of every sharpness."""
    rng = np.random.default_rng(0)
    candidates = [(i,) for i in range(1000)] + [group.indices for group in imagenet_groups()]
    for threshold in (0.5, 0.8):
        for sharpness in (1, 4, 16):
            p = np.exp(sharpness * rng.standard_normal(1000))
            p = (p / p.sum()).astype(np.float32)
            sure = [each for each in candidates if p[list(each)].sum() >= threshold]
            (choice,) = Speaker(LABELS, threshold).choose(p[None])
            said = () if choice is None else choice[0].indices if hasattr(choice[0], "indices") else (choice[0],)
            assert len(said) == min(map(len, sure), default=0)
            assert not sure or said in sure


def test_where_nothing_is_sure_and_where_classes_are_few() -> None:
    assert SPEAKER.statements({"main": spread({"dog": 0.5, "violin": 0.5})}) == {"main": None}
    assert Speaker(("cat", "rock")).statements({"main": np.array([0.9, 0.1], np.float32)}) is None  # not ImageNet's classes
    said = Speaker(("tabby", "Egyptian cat", "violin")).statements({"main": np.array([0.5, 0.4, 0.1], np.float32)})
    assert said is not None
    assert said["main"] is not None
    assert said["main"].name == "cat"  # of groups with the same classes the most particular


def test_bins() -> None:
    assert [bin_of(p) for p in (0, 0.149, 0.15, 0.3, 0.5, 0.79, 0.8, 1)] == [0, 0, 1, 2, 3, 3, 4, 4]
