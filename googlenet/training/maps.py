"""Measuring a set of weights' maps on pictures whose object has a box: `googlenet evaluate WEIGHTS DATA --maps`.

Each stage and head is asked about the true class and compared with what needs no network: the box's share of the picture, a
Gaussian in the picture's centre, a random map with as many cells. Intervals are 95 % bootstrap intervals over pictures.
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

from googlenet.architecture import BRANCHES, HEADS, STAGES, STAGES_BEFORE
from googlenet.config import MapTrust, Pointing
from googlenet.cover import light, pixels
from googlenet.errors import UserError
from googlenet.explainer import Explainer
from googlenet.explanation import Explanation, Question
from googlenet.frame import Box
from googlenet.gradcam import grad_cam
from googlenet.images import Preprocess
from googlenet.training.data import Split
from googlenet.training.pictures import opened
from googlenet.trust import curves, order, randomise, rank_correlation
from googlenet.verdict import area

SMALL = 1 / 3
"""A box of at most this part of the picture leaves room to miss it: only such pictures decide "better than the centre"."""

CENTRED = 1 / 4
"""Standard deviation of the centred Gaussian, as a part of the picture's side."""

STEPS = 5
"""Steps of a deletion or insertion curve, so that many pictures can be measured."""

DRAWS = 2000
"""Bootstrap samples of an interval."""

Key = tuple[str, str]
"""(head, stage)"""


class Boxed(NamedTuple):
    """A picture whose object is known."""

    image: Image.Image
    label: int
    """index of its class"""
    box: Box
    """where the object lies, in pixels of the picture"""


def boxed(split: Split, preprocess: Preprocess, sample: int, seed: int = 0) -> list[Boxed]:
    """Pictures with boxes, in random order and at most `sample` of them; those whose object was cropped away are left out.

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
    """What was measured, one row a picture; curves and sanity check on the first pictures alone."""

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


def measure(explainer: Explainer, pictures: Sequence[Boxed], curved: int, sane: int, seed: int = 0) -> Found:
    """Ask every head about every picture.

    Args:
        explainer: with the weights to measure.
        pictures: whose boxes lie at least partly in what the network sees.
        curved: how many of them, from the first, get deletion and insertion curves.
        sane: how many of them, from the first, are asked again with randomised weights.
        seed: of random maps and weights.
    """
    found = Found({stage: height for stage, (height, _) in explainer.grid_sizes.items()})
    rng = np.random.default_rng(seed)
    heads = HEADS if explainer.config.architecture.aux_heads else HEADS[-1:]

    def asked(picture: Boxed) -> dict[str, Explanation]:
        questions = [Question(head, picture.label) for head in heads]
        return dict(zip(heads, explainer.explain_batch([picture.image] * len(heads), questions), strict=True))

    for picture in tqdm(pictures, desc="where the evidence lies", unit="img", mininterval=2):
        point(found, explainer, picture, asked(picture))
    distrust(found, explainer, pictures[:sane], heads, seed)
    for picture in tqdm(pictures[:curved], desc="deletion and insertion", unit="img", mininterval=2):
        hide(found, explainer, picture, asked(picture), rng)
    return found


def point(found: Found, explainer: Explainer, picture: Boxed, explanations: dict[str, Explanation]) -> None:
    """Pointing game and evidence inside the box, of one picture."""
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
        for summary in explanation.stages:
            key, peak, box = (head, summary.name), summary.peak, picture.box
            hit = peak is not None and box.x0 <= peak[0] < box.x1 and box.y0 <= peak[1] < box.y1
            heat = light(explanation.grids[summary.name].clip(min=0), side)
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
    """Deletion and insertion of one picture in every order, all in one run."""
    x = explainer.preprocess(picture.image)
    side = x.shape[-1]
    grids: dict[tuple[str, str], NDArray[np.float32]] = {("", "centre"): centred(side)}
    for height, width in sorted(set(explainer.grid_sizes.values())):
        grids["", f"random {height}"] = rng.standard_normal((height, width)).astype(np.float32)
    grids |= {(head, stage): e.grids[stage] for head, e in explanations.items() for stage in e.branch_grids}
    orders = torch.stack([order(grid, side) for grid in grids.values()])
    for head, (deletion, insertion) in curves(explainer, x, picture.label, orders, STEPS).items():
        for (of, name), deleted, inserted in zip(grids, deletion, insertion, strict=True):
            if of in ("", head):
                found.areas.setdefault((head, "deletion", name), []).append(area(tuple(deleted)))
                found.areas.setdefault((head, "insertion", name), []).append(area(tuple(inserted)))


def distrust(found: Found, explainer: Explainer, pictures: Sequence[Boxed], heads: Sequence[str], seed: int) -> None:
    """Rank correlation of each map with the one after the weights were randomised, from the heads down to each stage."""
    own: dict[tuple[int, str], dict[str, NDArray[np.float32]]] = {}
    for down_to in ("itself", "heads", *STAGES[::-1]):
        model = (
            explainer.model if down_to == "itself" else randomise(explainer.model, None if down_to == "heads" else down_to, seed)
        )
        for i, picture in enumerate(pictures):
            x = explainer.preprocess(picture.image).repeat(len(heads), 1, 1, 1)
            x = x.to(explainer.device, memory_format=torch.channels_last)
            maps = grad_cam(model, x, [Question(head, picture.label) for head in heads]).branch_maps
            for h, head in enumerate(heads):
                grids = {stage: maps[stage][h].sum(dim=0).cpu().numpy() for stage in STAGES_BEFORE[head]}
                if down_to == "itself":
                    own[i, head] = grids
                else:
                    for stage, grid in grids.items():
                        r = rank_correlation(own[i, head][stage], grid)
                        found.randomised.setdefault((head, stage, down_to), []).append(r)


class Interval(NamedTuple):
    """A mean and its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.1%} ({self.low:.1%}…{self.high:.1%})".replace("%", "").replace("-", "−")


def interval(values: NDArray[np.floating]) -> Interval:
    """The mean over pictures; the bootstrap draws pictures with replacement, always in the same way."""
    if not len(values):
        return Interval(np.nan, np.nan, np.nan)
    drawn = values[np.random.default_rng(0).integers(0, len(values), (DRAWS, len(values)))].mean(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(float(values.mean()), float(low), float(high))


def groups(found: Found) -> dict[str, NDArray[np.bool_]]:
    """The three groups of pictures that are reported."""
    return {
        "all pictures": np.ones(len(found.box), bool),
        "pictures whose box covers at most a third": np.array(found.box) <= SMALL,
        "pictures that main names right": np.array(found.right),
    }


def gains(found: Found) -> dict[str, dict[str, Interval]]:
    """head → stage → how much more often its strongest cell lies on a small object than the picture's centre does."""
    small = groups(found)["pictures whose box covers at most a third"]
    centre = np.array(found.centre)
    told: dict[str, dict[str, Interval]] = {}
    for (head, stage), hits in found.pointing.items():
        told.setdefault(head, {})[stage] = interval((np.array(hits) - centre)[small])
    return told


def summary(found: Found, dataset: str) -> MapTrust:
    """What `config.json` states of the maps, to four digits."""
    small = groups(found)["pictures whose box covers at most a third"]
    pointing: dict[str, dict[str, Pointing]] = {}
    for head, stages in gains(found).items():
        for stage, gain in stages.items():
            share = np.array(found.pointing[head, stage])[small].mean()
            pointing.setdefault(head, {})[stage] = Pointing(*(round(float(value), 4) for value in (share, *gain)))
    return MapTrust(dataset, int(small.sum()), round(float(np.array(found.centre)[small].mean()), 4), pointing)


def report(found: Found) -> str:
    """All tables in Markdown, in per cent; areas under curves in per cent of the largest possible."""
    parts = []
    for name, chosen in groups(found).items():
        curved = chosen[: len(next(iter(found.areas.values()), []))]
        parts += [f"### {name[0].upper()}{name[1:]}", pointing_table(found, chosen)]
        if curved.any():
            parts.append(curve_table(found, curved))
    return "\n\n".join([*parts, branch_table(found), sanity_table(found)])


def pointing_table(found: Found, chosen: NDArray[np.bool_]) -> str:
    box, centre, centred_share = (np.array(values)[chosen] for values in (found.box, found.centre, found.centred))
    lines = [
        f"{chosen.sum()} pictures. The box covers {interval(box)}. The picture's centre lies in it for {interval(centre)}; of a "
        f"centred Gaussian {interval(centred_share)} lies in it.",
        "",
        "| head | stage | strongest cell on the object | minus the centre | positive evidence inside | minus the Gaussian |",
        "|---|---|---|---|---|---|",
    ]
    for head, stage in found.pointing:
        hits, inside = (np.array(values[head, stage])[chosen] for values in (found.pointing, found.inside))
        cells = (interval(hits), interval(hits - centre), interval(inside), interval(inside - centred_share))
        lines.append(f"| {head} | {stage} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def curve_table(found: Found, chosen: NDArray[np.bool_]) -> str:
    """Deletion: less is better. Insertion: more is better."""
    lines = [
        f"{chosen.sum()} pictures with curves of {STEPS} steps.",
        "",
        "| head | stage | deletion | random | centre | map minus random | insertion | random | centre | map minus random |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for head, stage in found.pointing:
        cells = []
        for way in ("deletion", "insertion"):
            random = f"random {found.rows[stage]}"
            own, by_chance, centre = (np.array(found.areas[head, way, name])[chosen] for name in (stage, random, "centre"))
            cells += [interval(own), f"{by_chance.mean():.1%}"[:-1], f"{centre.mean():.1%}"[:-1], interval(own - by_chance)]
        lines.append(f"| {head} | {stage} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def branch_table(found: Found) -> str:
    lines = [
        f"### Which filters carry the evidence\n\n{len(found.box)} pictures, each asked about its true class.\n",
        f"| head | stage | {' | '.join(branch.replace('x', '×') for branch in BRANCHES)} |",
        "|---|---|---|---|---|---|",
    ]
    for (head, stage), shares in found.branches.items():
        means = np.array(shares).mean(axis=0)
        lines.append(f"| {head} | {stage} | {' | '.join(f'{share:.1%}'[:-1] for share in means)} |")
    return "\n".join(lines)


def sanity_table(found: Found) -> str:
    """How alike a map stays when weights are drawn anew."""
    count = len(next(iter(found.randomised.values()), []))
    lines = [
        "### Sanity check by cascading randomisation\n",
        f"Rank correlation of a map with itself after the weights were drawn anew, mean over {count} pictures.\n",
        f"| head | stage | heads alone | {' | '.join(f'down to {stage}' for stage in STAGES[::-1])} |",
        "|---|---|" + "---|" * 10,
    ]
    for head, stage in found.pointing:
        if count:
            means = [np.mean(found.randomised[head, stage, down_to]) for down_to in ("heads", *STAGES[::-1])]
            lines.append(f"| {head} | {stage} | {' | '.join(f'{r:.2f}' for r in means)} |".replace("-0", "−0"))
    return "\n".join(lines)
