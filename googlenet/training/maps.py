"""Measures a set of weights' maps on pictures whose object has a box: `googlenet evaluate WEIGHTS DATA --maps`.

Each stage's map for each head and the true class is compared with baselines that need no network: the box's share of the picture,
a Gaussian in the picture's centre, and a random map with as many cells. `report` makes tables of it, `summary` what `config.json`
states. Intervals are 95 % bootstrap intervals over pictures.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from googlenet.checkpoints.config import MapTrust, Pointing
from googlenet.errors import UserError
from googlenet.explanation import GRAD_CAM, LAYER_CAM, Explanation, Question
from googlenet.explanation.trust import area
from googlenet.inference.explainer import Explainer
from googlenet.inference.gradcam import grad_cam
from googlenet.model.architecture import BRANCHES, HEADS, STAGES, STAGES_BEFORE
from googlenet.pictures.frame import Box, enlarge_to_input
from googlenet.pictures.images import Preprocess
from googlenet.probes.cover import pixels
from googlenet.probes.trust import curves, order, randomise, rank_correlation
from googlenet.training.data import Split
from googlenet.training.evaluate import markdown
from googlenet.training.pictures import opened

__all__ = ["SMALL", "STEPS", "Boxed", "boxed", "interval", "measure_all"]

SMALL = 1 / 3
"""Only pictures whose box covers at most this share are compared with the centre: a larger box is too easy to hit."""
_CENTRED = 1 / 4
"""Standard deviation of the centred Gaussian, as a share of the picture's side."""
_CURVED, _SANE = 1 / 20, 1 / 100
"""Shares of the pictures for deletion and insertion curves, and for randomised weights, which take many passes a picture."""
STEPS = 5
"""Steps of a deletion or insertion curve: few, so that many pictures can be measured."""
_DRAWS = 2000
"""Bootstrap samples for an interval."""
_TITLES = {GRAD_CAM: "Grad-CAM", LAYER_CAM: "LayerCAM"}
"""method → heading of its tables"""
_ON_SMALL = "pictures whose box covers at most a third"

Measures = dict[tuple[str, ...], list[float]]
"""What was measured → its value for each picture. The first of a key's words:

box: the box's share of what the network sees
right: whether main's top class is the true one
centre: whether the picture's centre lies in the box
centred: the centred Gaussian's share inside the box
pointing, head, stage: whether the strongest cell's centre lies in the box (0 without positive evidence)
inside, head, stage: share of the positive evidence inside the box (0 without any)
branch, head, stage, branch: its share of the positive evidence
deletion and insertion, head, order: area under the curve. The order is a stage, "centre", or "random" and a stage. Only the first
    pictures have it, as what follows.
randomised, head, stage, how far down the weights were randomised: rank correlation with the map itself
"""


class Boxed(NamedTuple):
    """A picture with the class and the box of its object."""

    image: Image.Image
    label: int
    """index of its class"""
    box: Box
    """where the object lies, in pixels of the picture"""


def boxed(split: Split, preprocess: Preprocess, sample: int) -> list[Boxed]:
    """At most `sample` pictures with boxes, in random order, without those whose object was cropped away."""
    pictures: list[Boxed] = []
    for row in np.random.default_rng(0).permutation(len(split.examples)):
        picture, label, box = split.examples[row]
        if box is None or len(pictures) == sample:
            continue
        image = opened(picture)
        seen = preprocess.seen(image.size)
        if min(box.x1, seen.x1) > max(box.x0, seen.x0) and min(box.y1, seen.y1) > max(box.y0, seen.y0):
            pictures.append(Boxed(image, label, box))
    if not pictures:
        raise UserError("There is no picture whose object has a box; add boxes.csv beside the class folders.")
    return pictures


def measure_all(explainer: Explainer, split: Split, sample: int, dataset: str) -> MapTrust:
    """Measure both methods' maps on at most `sample` pictures, print the tables, and return what `config.json` states of them."""
    pictures = boxed(split, explainer.config.preprocess, sample)
    measures = {method: measure(explainer, pictures, method) for method in _TITLES}
    for method, title in _TITLES.items():
        print(f"## {title}\n\n{report(measures[method])}\n")
    return summary(measures, dataset, explainer.provenance.sha256)


def measure(explainer: Explainer, pictures: Sequence[Boxed], method: str = GRAD_CAM) -> Measures:
    """Measure the maps of every head on every picture; `_CURVED` and `_SANE` of them, from the first, slowly too."""
    measures: Measures = defaultdict(list)
    rng = np.random.default_rng(0)
    heads = HEADS if explainer.config.architecture.aux_heads else HEADS[-1:]
    curved, sane = (math.ceil(len(pictures) * share) for share in (_CURVED, _SANE))
    step = explainer.engine.largest
    with tqdm(total=len(pictures), desc="where the evidence lies", unit="img", mininterval=2) as bar:
        for start in range(0, len(pictures), step):
            some = pictures[start : start + step]
            x = explainer.prepare([picture.image for picture in some])
            sizes = [picture.image.size for picture in some]
            answers = []
            for head in heads:  # one pass each: its backward pass covers only the head's stages
                questions = [Question(head, picture.label, method=method) for picture in some]
                answers.append(explainer.explain_prepared(x, sizes, questions))
            for i, (picture, *explanations) in enumerate(zip(some, *answers, strict=True)):
                by_head = dict(zip(heads, explanations, strict=True))
                _point(measures, explainer, picture, by_head)
                if start + i < curved:
                    _hide(measures, explainer, x[i : i + 1], picture.label, by_head, rng)
            bar.update(len(some))
    _distrust(measures, explainer, pictures[:sane], heads, method)
    return measures


def _point(measures: Measures, explainer: Explainer, picture: Boxed, explanations: dict[str, Explanation]) -> None:
    """Measure one picture: the pointing game, and the evidence inside the box."""
    main, box = explanations["main"], picture.box
    side = explainer.config.preprocess.crop
    rows, columns = pixels(box, main.seen, side)
    gaussian = _centred(side)
    p = main.probabilities["main"]
    assert p is not None
    measures["box",].append((rows.stop - rows.start) * (columns.stop - columns.start) / side**2)
    measures["right",].append(int(p.argmax()) == picture.label)
    measures["centre",].append(float(rows.start <= side / 2 < rows.stop and columns.start <= side / 2 < columns.stop))
    measures["centred",].append(float(gaussian[rows, columns].sum() / gaussian.sum()))
    for head, explanation in explanations.items():
        for stage in explanation.stages:
            peak = stage.peak
            hit = peak is not None and box.x0 <= peak[0] < box.x1 and box.y0 <= peak[1] < box.y1
            heat = enlarge_to_input(explanation.grids[stage.name].clip(min=0), side)
            measures["pointing", head, stage.name].append(float(hit))
            measures["inside", head, stage.name].append(float(heat[rows, columns].sum() / max(float(heat.sum()), 1e-30)))
            for branch, share in stage.branches.items():
                measures["branch", head, stage.name, branch].append(share)


def _centred(side: int) -> NDArray[np.float32]:
    """A Gaussian in the picture's centre, (side, side)."""
    at = (np.arange(side) + 0.5) / side - 0.5
    line = np.exp(-(at**2) / (2 * _CENTRED**2))
    return np.outer(line, line).astype(np.float32)


def _hide(
    measures: Measures,
    explainer: Explainer,
    x: Tensor,
    label: int,
    explanations: dict[str, Explanation],
    rng: np.random.Generator,
) -> None:
    """Measure deletion and insertion for one prepared picture x (1, 3, S, S), in every order at once."""
    side = x.shape[-1]
    sizes = explainer.grid_sizes
    random = {size: rng.standard_normal(size).astype(np.float32) for size in sorted(set(sizes.values()))}
    grids = [("", "centre", _centred(side)), *(("", str(size), grid) for size, grid in random.items())]
    grids += [(head, stage, grid) for head, e in explanations.items() for stage, grid in e.grids.items()]
    orders = torch.stack([order(grid, side) for *_, grid in grids])
    for head, ways in curves(explainer, x, label, orders, STEPS).items():
        for way, lines in zip(("deletion", "insertion"), ways, strict=True):
            areas = {name: area(tuple(line)) for (of, name, _), line in zip(grids, lines, strict=True) if of in ("", head)}
            measures[way, head, "centre"].append(areas["centre"])
            for stage in STAGES_BEFORE[head]:
                measures[way, head, stage].append(areas[stage])
                measures[way, head, f"random {stage}"].append(areas[str(sizes[stage])])


def _distrust(measures: Measures, explainer: Explainer, pictures: Sequence[Boxed], heads: Sequence[str], method: str) -> None:
    """Measure each map's rank correlation with the map of randomised weights, from the heads down to each stage."""
    own: dict[tuple[int, str, str], NDArray[np.float32]] = {}
    model = explainer.copied_model()
    for down_to in ("itself", "heads", *STAGES[::-1]):
        if down_to != "itself":  # one seed draws the same weights for what was drawn already
            randomise(model, None if down_to == "heads" else down_to)
        for i, picture in enumerate(pictures):
            x = explainer.preprocess(picture.image).repeat(len(heads), 1, 1, 1)
            x = x.to(explainer.device, memory_format=torch.channels_last)
            maps = grad_cam(model, x, [Question(head, picture.label, method=method) for head in heads]).branch_maps
            for h, head in enumerate(heads):
                for stage in STAGES_BEFORE[head]:
                    grid = maps[stage][h].sum(dim=0).cpu().numpy()
                    if down_to == "itself":
                        own[i, head, stage] = grid
                    else:
                        measures["randomised", head, stage, down_to].append(rank_correlation(own[i, head, stage], grid))


class Interval(NamedTuple):
    """A mean and its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{_per_cent(self.mean)} ({_per_cent(self.low)}…{_per_cent(self.high)})"


def _per_cent(share: float) -> str:
    """A share in per cent, to one decimal place."""
    return _signed(100 * share, 1)


def _signed(value: float, digits: int) -> str:
    """A number with a typographic minus sign, and no minus sign before 0."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def interval(values: NDArray[np.floating]) -> Interval:
    """The mean over pictures and its interval. The bootstrap draws pictures with replacement, with a fixed seed."""
    if not len(values):
        return Interval(np.nan, np.nan, np.nan)
    drawn = values[np.random.default_rng(0).integers(0, len(values), (_DRAWS, len(values)))].mean(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(float(values.mean()), float(low), float(high))


def groups(measures: Measures) -> dict[str, NDArray[np.bool_]]:
    """The three groups of pictures that are reported."""
    box = np.array(measures["box",])
    return {
        "all pictures": np.ones(len(box), bool),
        _ON_SMALL: box <= SMALL,
        "pictures that main names right": np.array(measures["right",], bool),
    }


def _maps_of(measures: Measures) -> Iterator[tuple[str, str]]:
    """(head, stage) of each map that was measured."""
    return ((key[1], key[2]) for key in measures if key[0] == "pointing")


def summary(measures: Mapping[str, Measures], dataset: str, sha256: str) -> MapTrust:
    """What `config.json` states about the maps, to four decimal places. `measures`: by method, of the same pictures."""
    small = groups(measures[GRAD_CAM])[_ON_SMALL]
    centre = np.array(measures[GRAD_CAM]["centre",])[small]

    def pointing(method: str) -> dict[str, dict[str, Pointing]]:
        heads: dict[str, dict[str, Pointing]] = defaultdict(dict)
        for head, stage in _maps_of(measures[method]):
            hits = np.array(measures[method]["pointing", head, stage])[small]
            heads[head][stage] = Pointing(*(round(float(value), 4) for value in (hits.mean(), *interval(hits - centre))))
        return dict(heads)

    return MapTrust(dataset, len(centre), round(float(centre.mean()), 4), pointing(GRAD_CAM), sha256, pointing(LAYER_CAM))


def report(measures: Measures) -> str:
    """All tables in Markdown, in per cent; areas under curves in per cent of the largest possible."""
    parts = []
    for name, chosen in groups(measures).items():
        curved = chosen[: len(measures["deletion", "main", "centre"])]
        parts += [f"### {name[0].upper()}{name[1:]}", _pointing_table(measures, chosen)]
        if curved.any():
            parts.append(_curve_table(measures, curved))
    return "\n\n".join([*parts, _branch_table(measures), _sanity_table(measures)])


def _pointing_table(measures: Measures, chosen: NDArray[np.bool_]) -> str:
    def values(*key: str) -> NDArray[np.float64]:
        return np.array(measures[key])[chosen]

    centre, gaussian = values("centre"), values("centred")
    rows = []
    for head, stage in _maps_of(measures):
        hits, inside = values("pointing", head, stage), values("inside", head, stage)
        rows.append((head, stage, *map(interval, (hits, hits - centre, inside, inside - gaussian))))
    columns = ("strongest cell on the object", "minus the centre", "positive evidence inside", "minus the Gaussian")
    return (
        f"{chosen.sum()} pictures. The box covers {interval(values('box'))}. The picture's centre lies in it for "
        f"{interval(centre)}; of a centred Gaussian {interval(gaussian)} lies in it.\n\n"
        f"{markdown(('head', 'stage', *columns), rows)}"
    )


def _curve_table(measures: Measures, chosen: NDArray[np.bool_]) -> str:
    """Deletion: less is better. Insertion: more is better."""
    rows = []
    for head, stage in _maps_of(measures):
        row: list[object] = [head, stage]
        for way in ("deletion", "insertion"):
            names = (stage, f"random {stage}", "centre")
            own, by_chance, centre = (np.array(measures[way, head, name])[chosen] for name in names)
            row += [interval(own), _per_cent(by_chance.mean()), _per_cent(centre.mean()), interval(own - by_chance)]
        rows.append(row)
    baselines = ("random", "centre", "map minus random")
    columns = ("head", "stage", "deletion", *baselines, "insertion", *baselines)
    return f"{chosen.sum()} pictures with curves of {STEPS} steps.\n\n{markdown(columns, rows)}"


def _branch_table(measures: Measures) -> str:
    rows = []
    for head, stage in _maps_of(measures):
        shares = (float(np.mean(measures["branch", head, stage, branch])) for branch in BRANCHES)
        rows.append((head, stage, *map(_per_cent, shares)))
    title = f"### Which filters carry the evidence\n\n{len(measures['box',])} pictures, each asked about its true class.\n\n"
    return title + markdown(["head", "stage", *(branch.replace("x", "×") for branch in BRANCHES)], rows)


def _sanity_table(measures: Measures) -> str:
    """How similar a map stays when weights are randomised."""
    rows = []
    for head, stage in _maps_of(measures):
        means = (float(np.mean(measures["randomised", head, stage, down_to])) for down_to in ("heads", *STAGES[::-1]))
        rows.append((head, stage, *(_signed(mean, 2) for mean in means)))
    count = len(measures["randomised", "main", "3a", "heads"])
    title = (
        "### Sanity check by cascading randomisation\n\nRank correlation of a map with itself after the weights were drawn anew, "
    )
    columns = ("head", "stage", "heads alone", *(f"down to {stage}" for stage in STAGES[::-1]))
    return f"{title}mean over {count} pictures.\n\n{markdown(columns, rows)}"
