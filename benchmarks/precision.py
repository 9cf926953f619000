"""What bfloat16 changes: `python -m benchmarks.precision PICTURES [--source SOURCE]`.

On the first 200 pictures of a folder (shuffled, seed 0): Spearman's rank correlation of each stage's signed map with the one in
float32, for the same class. On the first 1,000: how the main head's probabilities move and, for each top class that another
one replaces, by how many logits it led in float32.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from googlenet import hub
from googlenet.explain import BATCH, Explainer
from googlenet.gradcam import Question
from googlenet.images import open_image

MAPS, TOPS = 200, 1000


def ranks(values: torch.Tensor) -> torch.Tensor:
    return values.flatten(1).argsort(1).argsort(1).double()


def rank_correlation(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """(N, H, W) twice → (N,)."""
    return torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(ranks(a), ranks(b), strict=True)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--source", default=hub.default_source())
    options = parser.parse_args()
    loaded = hub.load(options.source)
    single, half = (Explainer(loaded, "cpu", bfloat16=bfloat16) for bfloat16 in (False, True))
    paths = sorted(p for p in options.pictures.rglob("*") if p.suffix.lower() in (".jpeg", ".jpg", ".png"))
    random.Random(0).shuffle(paths)
    correlations: dict[str, list[torch.Tensor]] = {}
    moved, leads = [], []
    for start in tqdm(range(0, min(TOPS, len(paths)), BATCH), unit="batch"):
        x = torch.cat([loaded.config.preprocess(open_image(path)) for path in paths[start : start + BATCH]])
        reference = single.run(x, [Question()] * len(x))
        found = half.run(x, [Question(target=target) for target in reference.targets.tolist()])
        if start < MAPS:
            for stage, maps in reference.branch_maps.items():
                correlations.setdefault(stage, []).append(rank_correlation(maps.sum(1), found.branch_maps[stage].sum(1)))
        a, b = reference.logits.main, found.logits.main
        moved += (a.softmax(1) - b.softmax(1)).abs().amax(1).tolist()
        best = a.topk(2).values
        leads += (best[:, 0] - best[:, 1])[a.argmax(1) != b.argmax(1)].tolist()
    print("| stage | rank correlation, mean | least |\n|---|---|---|")
    for stage, parts in correlations.items():
        values = torch.cat(parts)
        print(f"| {stage} | {values.mean():.4f} | {values.min():.3f} |")
    print(f"probabilities move by {np.median(moved):.4f} in the median, {max(moved):.4f} at most")
    print(f"{len(leads)} of {len(moved)} top classes change; they led by {max(leads, default=0):.3f} logits at most")


if __name__ == "__main__":
    main()
