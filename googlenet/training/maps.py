"""Measures a set of weights' maps on pictures whose object has a box: `googlenet evaluate WEIGHTS DATA --maps`.

Each stage's map for each head and the true class is compared with baselines that need no network: the box's share of the picture,
a Gaussian in the picture's centre, and a random map with as many cells. `googlenet.training.map_report` makes tables of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from googlenet.errors import UserError
from googlenet.explanation import GRAD_CAM, Explanation, Question
from googlenet.explanation.verdict import area
from googlenet.inference.explainer import Explainer
from googlenet.inference.gradcam import grad_cam
from googlenet.model.architecture import BRANCHES, HEADS, STAGES, STAGES_BEFORE
from googlenet.pictures.frame import Box
from googlenet.pictures.images import Preprocess
from googlenet.probes.cover import light, pixels
from googlenet.probes.trust import curves, order, randomise, rank_correlation
from googlenet.training.data import Split
from googlenet.training.pictures import opened

SMALL = 1 / 3
"""Only pictures whose box covers at most this share are compared with the centre: a larger box is too easy to hit."""

CENTRED = 1 / 4
"""Standard deviation of the centred Gaussian, as a share of the picture's side."""

STEPS = 5
"""Steps of a deletion or insertion curve: few, so that many pictures can be measured."""

Key = tuple[str, str]
"""(head, stage)"""


class Boxed(NamedTuple):
    """A picture with the class and the box of its object."""

    image: Image.Image
    label: int
    """index of its class"""
    box: Box
    """where the object lies, in pixels of the picture"""


def boxed(split: Split, preprocess: Preprocess, sample: int, seed: int = 0) -> list[Boxed]:
    """At most `sample` pictures with boxes, in random order. Pictures whose object was cropped away are left out.

    Raises UserError where the data set has no boxes.
    """
    found: list[Boxed] = []
    boxes = split.boxes or (None,) * len(split.pictures)
    for row in np.random.default_rng(seed).permutation(len(split.pictures)):
        box = boxes[row]
        if box is None or len(found) == sample:
            continue
        image = opened(split.pictures[row])
        seen = preprocess.seen(image.size)
        if min(box.x1, seen.x1) > max(box.x0, seen.x0) and min(box.y1, seen.y1) > max(box.y0, seen.y0):
            found.append(Boxed(image, split.labels[row], box))
    if not found:
        raise UserError("There is no picture whose object has a box; add boxes.csv beside the class folders.")
    return found


@dataclass
class Found:
    """The measurements, one entry for each picture. Only the first pictures have curves and the sanity check."""

    rows: dict[str, int] = field(default_factory=dict)
    """stage → rows of its map"""
    box: list[float] = field(default_factory=list)
    """the box's share of what the network sees"""
    right: list[bool] = field(default_factory=list)
    """whether main's top class is the true one"""
    centre: list[float] = field(default_factory=list)
    """whether the picture's centre lies in the box"""
    centred: list[float] = field(default_factory=list)
    """the centred Gaussian's share inside the box"""
    pointing: dict[Key, list[float]] = field(default_factory=dict)
    """whether the strongest cell's centre lies in the box (0 without positive evidence)"""
    inside: dict[Key, list[float]] = field(default_factory=dict)
    """share of the positive evidence inside the box (0 without any)"""
    branches: dict[Key, list[list[float]]] = field(default_factory=dict)
    """share of the positive evidence of each of `BRANCHES`"""
    areas: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)
    """(head, "deletion" or "insertion", order) → area under the curve; the order is a stage, "centre", or "random" and a side"""
    randomised: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)
    """(head, stage, how far down the weights were randomised) → rank correlation with the map itself"""


def measure(
    explainer: Explainer, pictures: Sequence[Boxed], curved: int, sane: int, seed: int = 0, method: str = GRAD_CAM
) -> Found:
    """Measure the maps of every head on every picture.

    Args:
        explainer: with the weights to measure.
        pictures: whose boxes lie at least partly in what the network sees.
        curved: how many of them, from the first, get deletion and insertion curves.
        sane: how many of them, from the first, are asked again with randomised weights.
        seed: for random maps and weights.
        method: one of `googlenet.explanation.METHODS`.
    """
    found = Found({stage: height for stage, (height, _) in explainer.grid_sizes.items()})
    rng = np.random.default_rng(seed)
    heads = HEADS if explainer.config.architecture.aux_heads else HEADS[-1:]
    with tqdm(total=len(pictures), desc="where the evidence lies", unit="img", mininterval=2) as bar:
        for start in range(0, len(pictures), explainer.engine.largest):
            some = pictures[start : start + explainer.engine.largest]
            explanations = explained(explainer, some, heads, method)
            for i, picture in enumerate(some):
                point(found, explainer, picture, {head: explanations[head][i] for head in heads})
                if start + i < curved:
                    hide(found, explainer, picture, {head: explanations[head][i] for head in heads}, rng)
            bar.update(len(some))
    distrust(found, explainer, pictures[:sane], heads, seed, method)
    return found


def explained(explainer: Explainer, pictures: Sequence[Boxed], heads: Sequence[str], method: str) -> dict[str, list[Explanation]]:
    """head → an Explanation of each picture's true class. One pass a head: the backward pass covers only the head's stages."""
    x = explainer.prepare([picture.image for picture in pictures])
    sizes = [picture.image.size for picture in pictures]
    questions = {head: [Question(head, picture.label, method=method) for picture in pictures] for head in heads}
    return {head: explainer.explain_prepared(x, sizes, questions[head]) for head in heads}


def point(found: Found, explainer: Explainer, picture: Boxed, explanations: dict[str, Explanation]) -> None:
    """Measure one picture: the pointing game, and the evidence inside the box."""
    first = next(iter(explanations.values()))
    side = explainer.config.preprocess.crop
    rows, columns = pixels(picture.box, first.seen, side)
    gaussian = centred(side)
    found.box.append((rows.stop - rows.start) * (columns.stop - columns.start) / side**2)
    main = first.probabilities["main"]
    assert main is not None
    found.right.append(int(main.argmax()) == picture.label)
    found.centre.append(float(rows.start <= side / 2 < rows.stop and columns.start <= side / 2 < columns.stop))
    found.centred.append(float(gaussian[rows, columns].sum() / gaussian.sum()))
    for head, explanation in explanations.items():
        grids = explanation.grids
        for summary in explanation.stages:
            key, peak, box = (head, summary.name), summary.peak, picture.box
            hit = peak is not None and box.x0 <= peak[0] < box.x1 and box.y0 <= peak[1] < box.y1
            heat = light(grids[summary.name].clip(min=0), side)
            found.pointing.setdefault(key, []).append(float(hit))
            found.inside.setdefault(key, []).append(float(heat[rows, columns].sum() / max(float(heat.sum()), 1e-30)))
            found.branches.setdefault(key, []).append([summary.branches[branch] for branch in BRANCHES])


def centred(side: int) -> NDArray[np.float32]:
    """A Gaussian in the picture's centre, (side, side)."""
    at = (np.arange(side) + 0.5) / side - 0.5
    line = np.exp(-(at**2) / (2 * CENTRED**2))
    return np.outer(line, line).astype(np.float32)


def hide(
    found: Found, explainer: Explainer, picture: Boxed, explanations: dict[str, Explanation], rng: np.random.Generator
) -> None:
    """Measure deletion and insertion for one picture, in every order at once."""
    x = explainer.preprocess(picture.image)
    side = x.shape[-1]
    grids: dict[tuple[str, str], NDArray[np.float32]] = {("", "centre"): centred(side)}
    for height, width in sorted(set(explainer.grid_sizes.values())):
        grids["", f"random {height}"] = rng.standard_normal((height, width)).astype(np.float32)
    grids |= {(head, stage): grid for head, e in explanations.items() for stage, grid in e.grids.items()}
    orders = torch.stack([order(grid, side) for grid in grids.values()])
    for head, (deletion, insertion) in curves(explainer, x, picture.label, orders, STEPS).items():
        for (of, name), deleted, inserted in zip(grids, deletion, insertion, strict=True):
            if of in ("", head):
                found.areas.setdefault((head, "deletion", name), []).append(area(tuple(deleted)))
                found.areas.setdefault((head, "insertion", name), []).append(area(tuple(inserted)))


def distrust(found: Found, explainer: Explainer, pictures: Sequence[Boxed], heads: Sequence[str], seed: int, method: str) -> None:
    """Measure each map's rank correlation with the map of randomised weights, from the heads down to each stage."""
    own: dict[tuple[int, str], dict[str, NDArray[np.float32]]] = {}
    for down_to in ("itself", "heads", *STAGES[::-1]):
        model = explainer.copied_model()
        if down_to != "itself":
            randomise(model, None if down_to == "heads" else down_to, seed)
        for i, picture in enumerate(pictures):
            x = explainer.preprocess(picture.image).repeat(len(heads), 1, 1, 1)
            x = x.to(explainer.device, memory_format=torch.channels_last)
            maps = grad_cam(model, x, [Question(head, picture.label, method=method) for head in heads]).branch_maps
            for h, head in enumerate(heads):
                grids = {stage: maps[stage][h].sum(dim=0).cpu().numpy() for stage in STAGES_BEFORE[head]}
                if down_to == "itself":
                    own[i, head] = grids
                else:
                    for stage, grid in grids.items():
                        r = rank_correlation(own[i, head][stage], grid)
                        found.randomised.setdefault((head, stage, down_to), []).append(r)
