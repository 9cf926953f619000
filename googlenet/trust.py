"""How far a map can be trusted: parts of the picture are hidden and the network is asked again; or its weights are randomised.

What is hidden is filled with the mean of its surroundings (`fill`), in one way for the page's "cover a part" and for the
deletion and insertion curves (Petsiuk et al., RISE, 2018). The sanity check re-initialises the weights from the heads down to
a stage (Adebayo et al., 2018): a map that depends on what the network has learnt must change.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from googlenet.architecture import STAGES
from googlenet.errors import QuestionError
from googlenet.explainer import Explainer
from googlenet.explanation import Box, Question, enlarge
from googlenet.gradcam import grad_cam
from googlenet.model import GoogLeNet

STEPS = 20
"""Steps of a deletion or insertion curve."""

SURROUNDINGS = 1 / 8
"""Standard deviation of the Gaussian that weighs a hidden pixel's surroundings, as a part of the picture's side."""

Progress = Callable[[float], None]


@dataclass(frozen=True)
class Cover:
    """The asked class's probability before and after a part of the picture was covered. By head, those that the weights have."""

    box: Box
    """the covered part, within what the network sees, in pixels of the picture"""
    other: Box
    """as large, where the stage's map is darkest"""
    before: dict[str, float]
    after: dict[str, float]
    other_after: dict[str, float]
    """with `other` covered instead"""


@dataclass(frozen=True)
class Trust:
    """How the asked class fares when a picture is hidden in the order of a stage's map, and what a map without meaning is."""

    stage: str
    target: int
    """index of the asked class"""
    steps: tuple[float, ...]
    """0…1: the part of the picture that is hidden (deletion) or shown (insertion)"""
    deletion: tuple[float, ...]
    """the asked class's probability in the asked head, the brightest places hidden first"""
    insertion: tuple[float, ...]
    """the brightest places shown first"""
    random_deletion: tuple[float, ...]
    """in the order of a random map with as many cells"""
    random_insertion: tuple[float, ...]
    randomised: NDArray[np.float32]
    """(4, H, W): the stage's branch maps after the weights from the heads down to this stage were re-initialised"""
    correlation: float
    """Spearman's rank correlation of that map with the stage's own"""

    def to_json(self) -> dict[str, Any]:
        """For the command line and the API: the curves, their areas, the correlation."""
        curves = ("deletion", "insertion", "random_deletion", "random_insertion")
        return {
            "stage": self.stage,
            "steps": list(self.steps),
            **{name: list(getattr(self, name)) for name in curves},
            "area": {name: area(getattr(self, name)) for name in curves},
            "randomised_correlation": self.correlation,
        }


def area(curve: tuple[float, ...]) -> float:
    """The area under a curve over evenly spaced steps from 0 to 1."""
    return float(np.trapezoid(curve, dx=1 / (len(curve) - 1)))


def fill(x: Tensor, hidden: Tensor) -> Tensor:
    """Hide parts of prepared pictures under the mean of their surroundings.

    Each hidden pixel becomes the mean of all visible ones, weighed by a Gaussian of their distance with a standard deviation
    of `SURROUNDINGS` of the picture's side. Where nothing is visible the picture becomes 0, the mean that the weights subtract.

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
    """Cover a part of the picture, ask again, and compare with as large a part in the darkest place of a stage's map.

    Args:
        explainer: answers the questions.
        image: an RGB picture.
        question: head and class; the class whose probabilities are compared is the head's top class where none is named.
        box: the part to cover, in pixels of the picture.
        stage: whose map says which place is dark.

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
        raise QuestionError("The network does not see that part of the picture; choose one that is not hatched.")
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

    What lies outside `seen` is left out.
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
    """The part as large as rows × columns that holds the least evidence; it overlaps the given part as little as can be.

    The least positive evidence counts, and among equals the least evidence of either sign.
    """
    height, width = rows.stop - rows.start, columns.stop - columns.start
    given = np.zeros_like(positive)
    given[rows, columns] = 1

    def sums(values: NDArray[Any]) -> NDArray[Any]:
        """The sum in each window of that size, by its upper left corner."""
        total = np.pad(values.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        return total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]

    overlap, bright, both = (sums(values) for values in (given, positive, either))
    quantum = 1e-6 * max(float(both.max()), 1e-30)  # sums differ in their last digits where they are equal
    keys = (both / quantum, bright / quantum, overlap)
    best = np.lexsort(tuple(key.round().ravel() for key in keys))[0]
    row, column = divmod(int(best), overlap.shape[1])
    return slice(row, row + height), slice(column, column + width)


def examine(
    explainer: Explainer, image: Image.Image, question: Question, stage: str, progress: Progress = lambda share: None
) -> Trust:
    """Measure how far a stage's map of one picture can be trusted.

    Args:
        explainer: answers the questions; it stays free for others between batches.
        image: an RGB picture.
        question: head, class, contrast.
        stage: one that the head sees.
        progress: called with the part that is done, 0…1.

    Raises:
        QuestionError: the head does not see the stage.

    Source: Petsiuk et al., "RISE", 2018 (deletion, insertion); Adebayo et al., "Sanity Checks for Saliency Maps", 2018.

    Example:
        >>> from PIL import Image
        >>> from googlenet import Explainer, Question
        >>> explainer = Explainer.from_pretrained("weights", device="cpu")
        >>> found = examine(explainer, Image.new("RGB", (320, 240)), Question(), "5b")
        >>> len(found.deletion), found.randomised.shape
        (21, (4, 7, 7))
    """
    explainer.check_stage(question.head, stage)
    explanation = explainer.explain_batch([image], [question])[0]
    question = explanation.question
    assert question.target is not None
    x = explainer.preprocess(image)
    grid = explanation.grids[stage]
    noise = np.random.default_rng(0).standard_normal(grid.shape).astype(np.float32)
    orders = torch.stack([order(grid, x.shape[-1]), order(noise, x.shape[-1])])
    found = curves(explainer, x, question.target, orders, STEPS, lambda share: progress(0.9 * share))[question.head]
    copied = randomise(explainer.model, stage)
    maps = grad_cam(copied, x.to(explainer.device, memory_format=torch.channels_last), [question]).branch_maps[stage]
    randomised = maps[0].cpu().numpy()
    progress(1.0)
    deletion, insertion = (tuple(tuple(curve) for curve in both.tolist()) for both in found)
    return Trust(
        stage,
        question.target,
        tuple(np.linspace(0, 1, STEPS + 1).tolist()),
        deletion[0],
        insertion[0],
        deletion[1],
        insertion[1],
        randomised,
        rank_correlation(grid, randomised.sum(axis=0)),
    )


def order(grid: NDArray[np.floating], side: int) -> Tensor:
    """A map on its own cells → (side, side) int64: each pixel's place when the brightest comes first."""
    heat = torch.from_numpy(light(grid, side))
    return heat.flatten().argsort(descending=True, stable=True).argsort().reshape(side, side)


def curves(
    explainer: Explainer, x: Tensor, target: int, orders: Tensor, steps: int, progress: Progress = lambda share: None
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Deletion and insertion curves of one prepared picture x (1, 3, S, S) in M orders of its pixels (M, S, S).

    Returns for each head two arrays (M, steps + 1): the class's probability, from nothing hidden (shown) to everything.
    """
    side, count = x.shape[-1], len(orders)
    counts = torch.linspace(0, side * side, steps + 1).round()[1:-1]
    first = (orders[:, None] < counts[None, :, None, None]).flatten(0, 1)  # (M · (steps − 1), S, S): the brightest of them
    hidden = torch.cat((torch.zeros(1, side, side).bool(), torch.ones(1, side, side).bool(), first, ~first))
    found: dict[str, list[NDArray[np.float32]]] = {}
    batch = explainer.engine.largest
    for start in range(0, len(hidden), batch):
        for head, p in explainer.probabilities(fill(x, hidden[start : start + batch])).items():
            found.setdefault(head, []).append(p[:, target])
        progress(min(1.0, (start + batch) / len(hidden)))

    def taken_apart(parts: list[NDArray[np.float32]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        p = np.concatenate(parts)
        whole, none = (np.full((count, 1), value) for value in p[:2])
        deleted, inserted = p[2:].reshape(2, count, steps - 1)
        return np.hstack((whole, deleted, none)), np.hstack((none, inserted, whole))

    return {head: taken_apart(parts) for head, parts in found.items()}


def randomise(model: GoogLeNet, stage: str | None, seed: int = 0) -> GoogLeNet:
    """A copy with the weights from the heads down to a stage, it included, drawn anew; None for the heads alone."""
    copied = copy.deepcopy(model)
    top = [getattr(copied, name) for name in ("fc", "aux1", "aux2") if getattr(copied, name) is not None]
    top += [] if stage is None else [copied.stage(name) for name in STAGES[STAGES.index(stage) :]]
    generator = torch.Generator(device=copied.fc.weight.device).manual_seed(seed)
    for part in top:
        for module in part.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
    return copied


def rank_correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Spearman's, over all cells of two maps of one shape; 0 where one of them is the same everywhere."""

    def ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Places in ascending order; equal values share the mean of theirs."""
        _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
        return (counts.cumsum() - (counts - 1) / 2)[place.ravel()]

    first, second = ranks(a), ranks(b)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])
