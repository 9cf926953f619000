"""Reports how good a set of weights' maps are: tables in Markdown, and the summary in `config.json`.

Intervals are 95 % bootstrap intervals over pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from googlenet.checkpoints.config import MapTrust, Pointing
from googlenet.explanation import GRAD_CAM, LAYER_CAM
from googlenet.model.architecture import BRANCHES, STAGES
from googlenet.training.maps import SMALL, STEPS, Found

TITLES = {GRAD_CAM: "Grad-CAM", LAYER_CAM: "LayerCAM"}
"""method → heading of its tables"""

DRAWS = 2000
"""Bootstrap samples for an interval."""


class Interval(NamedTuple):
    """A mean and its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{per_cent(self.mean)} ({per_cent(self.low)}…{per_cent(self.high)})"


def per_cent(share: float) -> str:
    """A share in per cent, to one decimal place."""
    return signed(100 * share, 1)


def signed(value: float, digits: int) -> str:
    """A number with a typographic minus sign, and no minus sign before 0."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def interval(values: NDArray[np.floating]) -> Interval:
    """The mean over pictures and its interval. The bootstrap draws pictures with replacement, with a fixed seed."""
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


def summary(found: Mapping[str, Found], dataset: str, sha256: str) -> MapTrust:
    """What `config.json` states about the maps, to four decimal places.

    Args:
        found: method → its measurements, of the same pictures.
        dataset: its name.
        sha256: of the weights file.
    """
    grad_cam = found[GRAD_CAM]
    small = groups(grad_cam)["pictures whose box covers at most a third"]
    centre = round(float(np.array(grad_cam.centre)[small].mean()), 4)
    return MapTrust(dataset, int(small.sum()), centre, pointing(grad_cam), sha256, pointing(found[LAYER_CAM]))


def pointing(found: Found) -> dict[str, dict[str, Pointing]]:
    """head → stage → how often its strongest cell lies on a small object."""
    small = groups(found)["pictures whose box covers at most a third"]
    told: dict[str, dict[str, Pointing]] = {}
    for head, stages in gains(found).items():
        for stage, gain in stages.items():
            share = np.array(found.pointing[head, stage])[small].mean()
            told.setdefault(head, {})[stage] = Pointing(*(round(float(value), 4) for value in (share, *gain)))
    return told


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
            cells += [interval(own), per_cent(by_chance.mean()), per_cent(centre.mean()), interval(own - by_chance)]
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
        lines.append(f"| {head} | {stage} | {' | '.join(map(per_cent, means))} |")
    return "\n".join(lines)


def sanity_table(found: Found) -> str:
    """How similar a map stays when weights are randomised."""
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
            lines.append(f"| {head} | {stage} | {' | '.join(signed(float(r), 2) for r in means)} |")
    return "\n".join(lines)
