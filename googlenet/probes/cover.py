"""Covers a part of a picture and asks again: which pixels are covered, how they are filled, how the probabilities change.

`cover` covers a part that a person chose, `tipping` what spoke most for an answer rather than for the truth. `fill` replaces
hidden pixels by the mean of their surroundings; the deletion and insertion curves of `googlenet.probes.trust` use it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from googlenet.errors import QuestionError
from googlenet.explanation import Explanation, Group, Prediction, Question, classes_of, likeliest
from googlenet.inference.explainer import Explainer
from googlenet.pictures.frame import Box

__all__ = ["Change", "Cover", "Tipping", "cover", "fill", "pixels", "probability", "tipping"]

_SURROUNDINGS = 1 / 8
"""Standard deviation of the Gaussian weights of a hidden pixel's surroundings, as a share of the picture's side."""
CONTROLS = 6
"""How many other parts are covered for comparison: with the part itself and the whole picture, one batch on a CPU. Of a part like
any other, none of them changes the answer as much with a probability of 1 in 7."""
OVERLAP = 1 / 4
"""The largest share of the covered part that a control may cover too."""
_SQUARE = 2 / 7
"""Side of the square that `tipping` covers, as a share of the network's input: two cells of 5a, four of 4e."""

Part = tuple[slice, slice]
"""Rows and columns of the network's input."""
_NOTHING: Part = slice(0), slice(0)


@dataclass(frozen=True)
class Change:
    """A probability in one head before and after a part of the picture was covered."""

    asked: int | Group
    """class index or group"""
    before: float
    after: float


@dataclass(frozen=True)
class Cover:
    """What covering a part of the picture does, beside covering random parts of the same size."""

    question: Question
    """with its target filled in"""
    stage: str
    """the stage on whose map the part was chosen"""
    box: Box
    """the covered part, cut to what the crop kept, in pixels of the picture"""
    controls: tuple[Box, ...]
    """random parts of the same size; empty where the covered part leaves no room for others"""
    before: dict[str, float]
    """head → probability of the asked class"""
    after: dict[str, float]
    control_after: dict[str, tuple[float, ...]]
    """head → one for each of `controls`, covered in place of `box`"""
    contrast: Change | None
    """the contrast in the asked head; None for a question without one"""
    top_before: Prediction
    """the asked head's top class"""
    top_after: Prediction

    @property
    def target(self) -> Change:
        """The asked class in the asked head."""
        assert self.question.target is not None
        return Change(self.question.target, self.before[self.question.head], self.after[self.question.head])

    @property
    def median(self) -> float:
        """The asked class's probability in the asked head after covering a control, half of them above it."""
        return float(np.median(self.control_after[self.question.head]))

    @property
    def as_much(self) -> int:
        """How many controls lower the asked class as much as the covered part does, or raise it as much where that does."""
        change, others = self.target, np.array(self.control_after[self.question.head])
        return int((others <= change.after).sum() if change.after <= change.before else (others >= change.after).sum())


def fill(x: Tensor, hidden: Tensor) -> Tensor:
    """Hide parts of prepared pictures under the mean of their surroundings.

    Each hidden pixel becomes the mean of all visible pixels, with Gaussian weights of their distance. A picture that is hidden as
    a whole becomes 0, which is the normalised mean colour.

    x (N, 3, S, S) or (1, 3, S, S) float32, normalised, and `hidden` (N, S, S) bool → (N, 3, S, S) float32.
    """
    at = torch.arange(x.shape[-1], dtype=torch.float32, device=x.device)
    near = (-((at[:, None] - at) ** 2) / (2 * (_SURROUNDINGS * len(at)) ** 2)).exp()
    visible = (~hidden)[:, None].float()
    mean = (near @ (x * visible) @ near) / (near @ visible @ near).clamp(min=torch.finfo(torch.float32).tiny)
    return torch.where(hidden[:, None], mean, x)


def cover(
    explainer: Explainer, image: Image.Image, question: Question, box: Box, stage: str, size: tuple[int, int] | None = None
) -> Cover:
    """Cover a part of the picture, ask again, and compare with random parts of the same size. No pass computes maps.

    Args:
        image: an RGB picture.
        question: head and class; without a class, the head's top class.
        box: the part to cover, in pixels of the picture.
        stage: the stage on whose map the part was chosen.
        size: (width, height) of the picture where `image` is a smaller copy of it; by default the image's.

    Raises:
        QuestionError: the head does not see the stage, or the crop left the whole box out.
    """
    explainer.check_stage(question.head, stage)
    explainer.check(question)
    seen = explainer.config.preprocess.seen(size or image.size)
    box = Box(max(box.x0, seen.x0), max(box.y0, seen.y0), min(box.x1, seen.x1), min(box.y1, seen.y1))
    if box.x0 >= box.x1 or box.y0 >= box.y1:
        raise QuestionError("The network does not see that part of the picture; choose one inside what the crop kept.")
    x = explainer.preprocess(image)
    side = x.shape[-1]
    part = pixels(box, seen, side)
    others = random_parts(part, side)
    heads = _covered(explainer, x, [_NOTHING, part, *others])
    before, after = heads[question.head][:2]
    target = int(before.argmax()) if question.target is None else question.target
    asked = {head: probability(p, target).tolist() for head, p in heads.items()}
    return Cover(
        replace(question, target=target),
        stage,
        box,
        tuple(in_picture(other, seen, side) for other in others),
        {head: p[0] for head, p in asked.items()},
        {head: p[1] for head, p in asked.items()},
        {head: tuple(p[2:]) for head, p in asked.items()},
        None if question.contrast is None else _change_of(question.contrast, before, after),
        likeliest(before, explainer.labels, 1)[0],
        likeliest(after, explainer.labels, 1)[0],
    )


def _covered(explainer: Explainer, x: Tensor, parts: Sequence[Part]) -> dict[str, NDArray[np.float32]]:
    """head → probabilities (parts, classes) of one prepared picture x (1, 3, S, S), each time with one of the parts covered."""
    hidden = torch.zeros(len(parts), *x.shape[2:], dtype=torch.bool)
    for place, (rows, columns) in enumerate(parts):
        hidden[place, rows, columns] = True
    return explainer.probabilities(fill(x, hidden))


def probability(p: NDArray[np.float32], asked: int | Group) -> NDArray[np.float32]:
    """Probabilities (…, classes) → (…) of a class, or of a group's classes together."""
    return np.asarray(p[..., list(classes_of(asked))].sum(axis=-1))


def _change_of(asked: int | Group, before: NDArray[np.float32], after: NDArray[np.float32]) -> Change:
    """How the probability of a class or group changes from (classes,) to (classes,)."""
    return Change(asked, float(probability(before, asked)), float(probability(after, asked)))


def pixels(box: Box, seen: Box, side: int) -> Part:
    """A box in the picture → the rows and columns of the network's input that it covers, at least one of each.

    `seen` is the part of the picture that the crop kept; the box is cut to it.
    """
    x0, y0, x1, y1 = map(round, box.moved(seen, Box(0, 0, side, side)))

    def along(low: int, high: int) -> slice:
        low = min(max(low, 0), side - 1)
        return slice(low, max(min(high, side), low + 1))

    return along(y0, y1), along(x0, x1)


def in_picture(part: Part, seen: Box, side: int) -> Box:
    """Rows and columns of the network's input → the box in the picture's frame."""
    rows, columns = part
    return Box(columns.start, rows.start, columns.stop, rows.stop).moved(Box(0, 0, side, side), seen)


def random_parts(part: Part, side: int, count: int = CONTROLS) -> list[Part]:
    """Up to `count` parts of the same size at random places of the network's input, the same at each call.

    They share at most `OVERLAP` of their area with the covered one. There are none where there is no such place.
    """
    height, width = (edge.stop - edge.start for edge in part)

    def shared(edge: slice, size: int) -> NDArray[np.int64]:
        """For each start of a window, how much of the edge it holds."""
        start = np.arange(side - size + 1)
        return (np.minimum(start + size, edge.stop) - np.maximum(start, edge.start)).clip(min=0)

    overlap = shared(part[0], height)[:, None] * shared(part[1], width)
    rows, columns = np.nonzero(overlap <= OVERLAP * height * width)
    chosen = np.random.default_rng(0).permutation(len(rows))[:count]
    return [
        (slice(r, r + height), slice(c, c + width)) for r, c in zip(rows[chosen].tolist(), columns[chosen].tolist(), strict=True)
    ]


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
        after = _covered(explainer, x, [part])[question.head][0]
    answered, other_change = (_change_of(asked, before, after) for asked in (target, truth))
    top_before, top_after = (likeliest(p, explainer.labels, 1)[0] for p in (before, after))
    return Tipping(own, stage, maps, box, answered, other_change, top_before, top_after)


def around(grid: NDArray[np.floating], side: int) -> Part:
    """The square around a map's strongest cell, moved into the network's input where it would reach beyond its edge."""
    size = round(_SQUARE * side)
    cell = np.unravel_index(int(grid.argmax()), grid.shape)
    low = [
        min(max(round((at + 0.5) / cells * side - size / 2), 0), side - size) for at, cells in zip(cell, grid.shape, strict=True)
    ]
    return slice(low[0], low[0] + size), slice(low[1], low[1] + size)
