"""Covers a part of a picture and asks again: which pixels are covered, how they are filled, how the probabilities change.

`fill` replaces hidden pixels by the mean of their surroundings. The page's tab "Cover" and the deletion and insertion curves of
`googlenet.probes.trust` use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from googlenet.errors import QuestionError
from googlenet.explanation import Question
from googlenet.inference.explainer import Explainer
from googlenet.pictures.frame import Box, enlarge

SURROUNDINGS = 1 / 8
"""Standard deviation of the Gaussian weights of a hidden pixel's surroundings, as a share of the picture's side."""


@dataclass(frozen=True)
class Cover:
    """The asked class's probability before and after a part of the picture was covered, for each head that the weights have."""

    box: Box
    """the covered part, cut to what the crop kept, in pixels of the picture"""
    other: Box
    """a part of the same size where the stage's map has the least evidence"""
    before: dict[str, float]
    """head → probability"""
    after: dict[str, float]
    other_after: dict[str, float]
    """with `other` covered in place of `box`"""


def fill(x: Tensor, hidden: Tensor) -> Tensor:
    """Hide parts of prepared pictures under the mean of their surroundings.

    Each hidden pixel becomes the mean of all visible pixels, with Gaussian weights of their distance. `SURROUNDINGS` is the
    Gaussian's standard deviation. A picture that is hidden as a whole becomes 0, which is the normalised mean colour.

    Args:
        x: (N, 3, S, S) or (1, 3, S, S) float32, normalised.
        hidden: (N, S, S) bool.

    Returns:
        (N, 3, S, S) float32.

    Example:
        >>> import torch
        >>> x = torch.ones(1, 3, 64, 64)
        >>> hidden = torch.zeros(1, 64, 64, dtype=torch.bool)
        >>> hidden[:, 20:30, 20:30] = True
        >>> torch.allclose(fill(x, hidden), x)
        True
    """
    at = torch.arange(x.shape[-1], device=x.device)
    near = (-((at[:, None] - at) ** 2) / (2 * (SURROUNDINGS * len(at)) ** 2)).exp()
    visible = (~hidden)[:, None].float()
    mean = (near @ (x * visible) @ near) / (near @ visible @ near).clamp(min=torch.finfo(torch.float32).tiny)
    return torch.where(hidden[:, None], mean, x)


def cover(explainer: Explainer, image: Image.Image, question: Question, box: Box, stage: str) -> Cover:
    """Cover a part of the picture, ask again, and compare with an equally large part where a stage's map has the least evidence.

    Args:
        explainer: answers the questions.
        image: an RGB picture.
        question: head and class; without a class, the head's top class.
        box: the part to cover, in pixels of the picture.
        stage: the stage whose map chooses the other part.

    Returns:
        Cover: both parts, and the class's probabilities without and with each covered.

    Raises:
        QuestionError: the head does not see the stage, or the crop left the whole box out.

    Example:
        >>> from PIL import Image
        >>> from googlenet import Explainer, Question
        >>> explainer = Explainer.from_pretrained("weights", device="cpu")
        >>> found = cover(explainer, Image.new("RGB", (320, 240)), Question(), Box(100, 60, 180, 140), "5b")
        >>> sorted(found.after)
        ['aux1', 'aux2', 'main']
    """
    explainer.check_stage(question.head, stage)
    seen = explainer.config.preprocess.seen(image.size)
    box = Box(max(box.x0, seen.x0), max(box.y0, seen.y0), min(box.x1, seen.x1), min(box.y1, seen.y1))
    if box.x0 >= box.x1 or box.y0 >= box.y1:
        raise QuestionError("The network does not see that part of the picture; choose one inside what the crop kept.")
    explanation = explainer.explain_batch([image], [question])[0]
    target = explanation.question.target
    x = explainer.preprocess(image)
    side = x.shape[-1]
    rows, columns = pixels(box, seen, side)
    hidden = torch.zeros(2, side, side, dtype=torch.bool)
    hidden[0, rows, columns] = True
    grid = explanation.grids[stage]
    other = darkest(light(grid.clip(min=0), side), light(np.abs(grid), side), rows, columns)
    hidden[1, other[0], other[1]] = True
    found = explainer.probabilities(fill(x, hidden))
    after, other_after = ({head: float(p[i, target]) for head, p in found.items()} for i in range(2))
    before = {head: p for head, p in explanation.belief.items() if p is not None}
    return Cover(box, in_picture(other, seen, side), before, after, other_after)


def pixels(box: Box, seen: Box, side: int) -> tuple[slice, slice]:
    """A box in the picture's frame → the rows and columns of the network's input that it covers, at least one of each.

    Args:
        box: in pixels of the picture.
        seen: the part of the picture that the crop kept; the box is cut to it.
        side: of the network's input in pixels.
    """

    def covered(start: float, end: float, first: float, last: float) -> slice:
        low, high = (round((edge - first) / (last - first) * side) for edge in (start, end))
        low = min(max(low, 0), side - 1)
        return slice(low, max(min(high, side), low + 1))

    return covered(box.y0, box.y1, seen.y0, seen.y1), covered(box.x0, box.x1, seen.x0, seen.x1)


def in_picture(part: tuple[slice, slice], seen: Box, side: int) -> Box:
    """Rows and columns of the network's input → the box in the picture's frame."""
    rows, columns = part
    x, y = (seen.x1 - seen.x0) / side, (seen.y1 - seen.y0) / side
    return Box(seen.x0 + columns.start * x, seen.y0 + rows.start * y, seen.x0 + columns.stop * x, seen.y0 + rows.stop * y)


def light(grid: NDArray[np.floating], side: int) -> NDArray[np.float32]:
    """A map on its own cells, enlarged to the network's input (side, side)."""
    return enlarge(grid, (side, side), Box(0, 0, side, side))


def darkest(positive: NDArray[np.float32], either: NDArray[np.float32], rows: slice, columns: slice) -> tuple[slice, slice]:
    """The window of the size rows × columns that overlaps the given one least and, of those, holds the least evidence.

    Args:
        positive: the map's positive part (S, S).
        either: the map's absolute value (S, S), which decides between windows with equal positive evidence.
        rows: of the given window.
        columns: of the given window.

    Returns:
        The rows and columns of the window.
    """
    height, width = rows.stop - rows.start, columns.stop - columns.start
    given = np.zeros_like(positive)
    given[rows, columns] = 1

    def sums(values: NDArray[Any]) -> NDArray[Any]:
        """The sum in each window of that size, indexed by the window's upper left corner."""
        total = np.pad(values.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        return total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]

    overlap, bright, both = (sums(values) for values in (given, positive, either))
    quantum = 1e-6 * max(float(both.max()), 1e-30)  # equal sums may differ in their last digits
    keys = (both / quantum, bright / quantum, overlap)
    best = np.lexsort(tuple(key.round().ravel() for key in keys))[0]
    row, column = divmod(int(best), overlap.shape[1])
    return slice(row, row + height), slice(column, column + width)
