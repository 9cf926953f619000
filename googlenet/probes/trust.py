"""Tests how far a map can be trusted on one picture: deletion and insertion curves, and randomised weights.

Deletion and insertion (Petsiuk et al., RISE, 2018) hide or show the places with most evidence first and ask the network again.
The sanity check (Adebayo et al., 2018) draws the weights anew from the heads down to a stage: a map that depends on what the
network has learnt must change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from googlenet.concurrency.threads import Progress, in_order, threads
from googlenet.explanation import Explanation, Group, Question
from googlenet.explanation.trust import Trust
from googlenet.inference.device import own_settings
from googlenet.inference.explainer import Explainer
from googlenet.inference.gradcam import grad_cam
from googlenet.model.architecture import STAGES, STAGES_BEFORE
from googlenet.model.network import GoogLeNet
from googlenet.pictures.frame import enlarge_to_input
from googlenet.pictures.images import ImageSource, open_image
from googlenet.probes.cover import fill, probability

__all__ = ["curves", "examine", "examine_prepared", "order", "randomise", "rank_correlation"]

_STEPS = 20
"""Steps of a deletion or insertion curve."""


def examine(
    explainer: Explainer,
    image: ImageSource,
    question: Question,
    stages: Sequence[str] = (),
    progress: Progress = lambda share: None,
) -> Explanation:
    """Explain one picture, and test how far the maps of some stages can be trusted on it.

    A stage costs 79 forward passes and one backward pass, which take seconds on a CPU.

    Args:
        explainer: answers the questions. Other threads' passes may run between the batches.
        image: as for `Explainer.explain`.
        question: head, class or group, contrast, method (`Explainer.question`).
        stages: those to test; by default the last one that the head sees.
        progress: called with the share of the work that is done, 0…1.

    Returns:
        Explanation: its `trust` has a `Trust` for each stage: deletion and insertion curves beside those in random order, the map
        of the network with randomised weights, and a sentence.

    Raises:
        PictureError: the picture cannot be read.
        QuestionError: the head does not see a stage.

    Source: Petsiuk et al., "RISE", 2018 (deletion, insertion); Adebayo et al., "Sanity Checks for Saliency Maps", 2018.

    Example:
        >>> from PIL import Image
        >>> from googlenet import Explainer, Question, examine
        >>> explainer = Explainer.from_pretrained("weights", device="cpu")
        >>> found = examine(explainer, Image.new("RGB", (320, 240)), Question("aux1"), ["4a"]).trust["4a"]
        >>> len(found.deletion), found.randomised.shape
        (21, (4, 14, 14))
    """
    stages = stages or STAGES_BEFORE[question.head][-1:]
    for stage in stages:
        explainer.check_stage(question.head, stage)
    image = open_image(image)
    x = explainer.prepare([image])
    (explanation,) = explainer.explain_prepared(x, [image.size], [question])
    return examine_prepared(explainer, x, replace(explanation, picture=image), stages, progress)


@own_settings()
def examine_prepared(
    explainer: Explainer, x: Tensor, explanation: Explanation, stages: Sequence[str], progress: Progress = lambda share: None
) -> Explanation:
    """`examine` for a picture that is already prepared, x (1, 3, S, S) float32, and explained."""

    def progress_in(done: int) -> Progress:
        return lambda share: progress((done + share) / len(stages))

    trust = {stage: _trust_in(explainer, x, explanation, stage, progress_in(i)) for i, stage in enumerate(stages)}
    return replace(explanation, trust=trust)


def _trust_in(explainer: Explainer, x: Tensor, explanation: Explanation, stage: str, progress: Progress) -> Trust:
    """Test one stage's map on a prepared picture x (1, 3, S, S) float32."""
    question, grid = explanation.question, explanation.grids[stage]
    assert question.target is not None
    noise = np.random.default_rng(0).standard_normal(grid.shape).astype(np.float32)
    orders = torch.stack([order(grid, x.shape[-1]), order(noise, x.shape[-1])])
    both_curves = curves(explainer, x, question.target, orders, _STEPS, lambda share: progress(0.9 * share))[question.head]
    model = explainer.copied_model()
    randomise(model, stage)
    maps = grad_cam(model, x.to(explainer.device, memory_format=torch.channels_last), [question]).branch_maps[stage]
    randomised = maps[0].cpu().numpy()
    progress(1.0)
    deletion, insertion = (tuple(tuple(curve) for curve in both.tolist()) for both in both_curves)
    return Trust(
        question.head,
        explanation.name_of(question.target),
        tuple(np.linspace(0, 1, _STEPS + 1).tolist()),
        deletion[0],
        insertion[0],
        deletion[1],
        insertion[1],
        randomised,
        rank_correlation(grid, randomised.sum(axis=0)),
    )


def order(grid: NDArray[np.floating], side: int) -> Tensor:
    """A map on its own cells → (side, side) int64: each pixel's rank, 0 for the highest value."""
    heat = torch.from_numpy(enlarge_to_input(grid, side))
    return heat.flatten().argsort(descending=True, stable=True).argsort().reshape(side, side)


def curves(
    explainer: Explainer, x: Tensor, target: int | Group, orders: Tensor, steps: int, progress: Progress = lambda share: None
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Measure deletion and insertion of one prepared picture x (1, 3, S, S), in M orders (M, S, S) of its pixels (`order`).

    Returns head → deletion and insertion, (M, steps + 1) each: the probability from nothing to everything hidden (shown).
    """
    side, count = x.shape[-1], len(orders)
    counts = torch.linspace(0, side * side, steps + 1, dtype=torch.float32).round()[1:-1]
    first = (orders[:, None] < counts[None, :, None, None]).flatten(0, 1)  # (M · (steps − 1), S, S)
    hidden = torch.cat((torch.zeros(1, side, side).bool(), torch.ones(1, side, side).bool(), first, ~first))
    parts: dict[str, list[NDArray[np.float32]]] = {}
    batches, lanes = hidden.split(explainer.engine.largest), len(explainer.passes.engines)
    with threads(lanes) as pool:
        asked = in_order(pool, lambda some: explainer.probabilities(fill(x, some)), batches, ahead=lanes)
        for number, probabilities in enumerate(asked, 1):
            for head, p in probabilities.items():
                parts.setdefault(head, []).append(probability(p, target))
            progress(number / len(batches))

    measured = {}
    for head, each in parts.items():
        p = np.concatenate(each)
        whole, none = (np.full((count, 1), value) for value in p[:2])
        deleted, inserted = p[2:].reshape(2, count, steps - 1)
        measured[head] = np.hstack((whole, deleted, none)), np.hstack((none, inserted, whole))
    return measured


def randomise(model: GoogLeNet, stage: str | None, seed: int = 0) -> None:
    """Draw the weights anew, in place, from the heads down to a stage, it included; None for the heads alone."""
    parts: list[nn.Module | None] = [model.fc, model.aux1, model.aux2]
    parts += [] if stage is None else [model.stage(name) for name in STAGES[STAGES.index(stage) :]]
    generator = torch.Generator(device=model.fc.weight.device).manual_seed(seed)
    for part in filter(None, parts):
        for module in part.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
                assert module.bias is not None
                nn.init.zeros_(module.bias)


def rank_correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Spearman's rank correlation of the cells of two maps of one shape; 0 where one map is constant."""

    def ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Ranks in ascending order; equal values have the mean of their ranks."""
        _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
        return (counts.cumsum() - (counts - 1) / 2)[place.ravel()]

    first, second = ranks(a), ranks(b)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])
