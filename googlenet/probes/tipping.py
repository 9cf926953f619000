"""What tipped an answer: the maps of the answered class and of the true one on one scale, and the answer without what spoke most
for the one rather than the other."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from googlenet.explanation import Explanation, Prediction, Question, likeliest
from googlenet.inference.explainer import Explainer
from googlenet.pictures.frame import Box
from googlenet.probes.cover import Change, Part, change_of, covered, in_picture

SIDE = 2 / 7
"""Side of the covered square, as a share of the network's input: two cells of 5a, four of 4e."""


@dataclass(frozen=True, eq=False)  # its array has no equality that is one truth value
class Tipping:
    """What spoke for an answer and for the truth at one stage, and what happens without what tipped it."""

    explanation: Explanation
    """of the answered class alone"""
    stage: str
    maps: NDArray[np.float32]
    """(3, H, W), signed, in logit units: for the answered class, for the truth, for the first rather than the second"""
    box: Box | None
    """the covered square around the third map's strongest cell, in pixels of the picture; None where no cell of it is positive"""
    answered: Change
    truth: Change
    top_before: Prediction
    """the head's top class"""
    top_after: Prediction

    @property
    def scale(self) -> float:
        """The three maps' strongest cell, by which all of them are divided when they are drawn; 0 where none is positive."""
        return max(float(self.maps.max()), 0.0)


def tipping(
    explainer: Explainer, image: Image.Image, question: Question, stage: str, size: tuple[int, int] | None = None
) -> Tipping:
    """Compare an answer with the truth at one stage, cover what tipped it, and ask again.

    It takes one pass for the three maps and one without a backward pass for the covered picture.

    Args:
        image: an RGB picture.
        question: head, answered class, and the true one as its contrast.
        stage: whose maps are compared.
        size: (width, height) of the picture where `image` is a smaller copy of it; by default the image's.

    Raises:
        QuestionError: the head does not see the stage, or the two classes are the same.

    Source: Zhang et al., "Finer-CAM", 2025, for the third map.
    """
    target, truth = question.target, question.contrast
    assert target is not None
    assert truth is not None
    explainer.check_stage(question.head, stage)
    x = explainer.preprocess(image)
    questions = [replace(question, contrast=None), replace(question, target=truth, contrast=None), question]
    own, other, contrast = explainer.explain_prepared(x.expand(3, -1, -1, -1), [size or image.size] * 3, questions)
    maps = np.stack([each.grids[stage] for each in (own, other, contrast)])
    before = own.probabilities[question.head]
    assert before is not None
    after, box = before, None
    if maps[2].max() > 0:
        part = around(maps[2], x.shape[-1])
        box = in_picture(part, own.seen, x.shape[-1])
        after = covered(explainer, x, [part])[question.head][0]
    answered, other_change = (change_of(asked, before, after) for asked in (target, truth))
    top_before, top_after = (likeliest(p, explainer.labels, 1)[0] for p in (before, after))
    return Tipping(own, stage, maps, box, answered, other_change, top_before, top_after)


def around(grid: NDArray[np.floating], side: int) -> Part:
    """The square of `SIDE` around a map's strongest cell, moved into the network's input where it would reach beyond its edge."""
    size = round(SIDE * side)
    cell = np.unravel_index(int(grid.argmax()), grid.shape)
    low = [
        min(max(round((at + 0.5) / cells * side - size / 2), 0), side - size) for at, cells in zip(cell, grid.shape, strict=True)
    ]
    return slice(low[0], low[0] + size), slice(low[1], low[1] + size)
