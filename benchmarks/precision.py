"""What bfloat16 changes: `python -m benchmarks.precision FOLDER [--weights SOURCE]`.

On the first 200 pictures of a folder (shuffled, seed 0): Spearman's rank correlation of each stage's signed map with the one in
float32, for the same class. On the first 1,000: how the main head's probabilities move and, for each top class that another
one replaces, by how many logits it led in float32.
"""

from __future__ import annotations

import argparse
import random

import numpy as np
import torch
from tqdm import tqdm

from googlenet.checkpoints import load
from googlenet.checkpoints.source import default_source
from googlenet.cli import pictures
from googlenet.explainer import BATCH, Explainer
from googlenet.explanation import Question
from googlenet.images import open_image

MAPS, TOPS = 200, 1000


def rank_correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    """Spearman's, of all values of two tensors of one shape."""
    ranks = torch.stack([a.flatten().argsort().argsort(), b.flatten().argsort().argsort()]).double()
    return float(torch.corrcoef(ranks)[0, 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--weights", default=default_source())
    options = parser.parse_args()
    loaded = load(options.weights)
    single, half = (Explainer(loaded, "cpu", bfloat16=bfloat16) for bfloat16 in (False, True))
    paths = [path for path, _ in pictures([options.folder])]
    random.Random(0).shuffle(paths)
    correlations: dict[str, list[float]] = {}
    moved, leads = [], []
    for start in tqdm(range(0, min(TOPS, len(paths)), BATCH), unit="batch"):
        x = torch.cat([loaded.config.preprocess(open_image(path)) for path in paths[start : start + BATCH]])
        reference = single.run(x, [Question()] * len(x))
        found = half.run(x, [Question(target=target) for target in reference.targets.tolist()])
        if start < MAPS:
            for stage, maps in reference.branch_maps.items():
                pairs = zip(maps.sum(1), found.branch_maps[stage].sum(1), strict=True)
                correlations.setdefault(stage, []).extend(rank_correlation(*pair) for pair in pairs)
        a, b = reference.logits.main, found.logits.main
        moved += (a.softmax(1) - b.softmax(1)).abs().amax(1).tolist()
        best = a.topk(2).values
        leads += (best[:, 0] - best[:, 1])[a.argmax(1) != b.argmax(1)].tolist()
    print("| stage | rank correlation, mean | least |\n|---|---|---|")
    for stage, values in correlations.items():
        print(f"| {stage} | {np.mean(values):.4f} | {min(values):.3f} |")
    print(f"probabilities move by {np.median(moved):.4f} in the median, {max(moved):.4f} at most")
    print(f"{len(leads)} of {len(moved)} top classes change; they led by {max(leads, default=0):.3f} logits at most")


if __name__ == "__main__":
    main()
