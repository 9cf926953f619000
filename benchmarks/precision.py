"""Measures what bfloat16 changes: `python -m benchmarks.precision FOLDER [--weights SOURCE]`.

The folder's pictures are shuffled with a fixed seed. On the first 200: Spearman's rank correlation of each stage's signed map
with that in float32, for the same class. On the first 1,000: the largest change of a probability in the main head and, where the
top class changes, its lead in float32 in logits.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from googlenet.batch.files import find_pictures
from googlenet.checkpoints import load
from googlenet.checkpoints.source import default_source
from googlenet.explanation import Question
from googlenet.inference.explainer import Explainer
from googlenet.model.architecture import STAGES
from googlenet.pictures.images import open_image
from googlenet.probes.trust import rank_correlation

MAPS, TOPS, BATCH = 200, 1000, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--weights", default=default_source())
    options = parser.parse_args()
    loaded = load(options.weights)
    single, half = (Explainer(loaded, "cpu", bfloat16=bfloat16) for bfloat16 in (False, True))
    paths = [source.path for source in find_pictures([Path(options.folder)])[0]]
    random.Random(0).shuffle(paths)
    correlations: dict[str, list[float]] = {}
    moved: list[float] = []
    leads: list[float] = []
    for start in tqdm(range(0, min(TOPS, len(paths)), BATCH), unit="batch"):
        x = torch.cat([loaded.config.preprocess(open_image(path)) for path in paths[start : start + BATCH]])
        reference = single.passes.run(x, [Question()] * len(x))
        found = half.passes.run(x, [Question(target=int(result["target"])) for result in reference])
        for one, other in zip(reference, found, strict=True):
            for stage in STAGES if start < MAPS else ():
                maps = [result[stage].sum(axis=0) for result in (one, other)]
                correlations.setdefault(stage, []).append(rank_correlation(*maps))
            a, b = (torch.from_numpy(result["main"]) for result in (one, other))
            moved.append(float((a.softmax(0) - b.softmax(0)).abs().max()))
            if a.argmax() != b.argmax():
                first, second = a.topk(2).values.tolist()
                leads.append(first - second)
    print("| stage | rank correlation, mean | least |\n|---|---|---|")
    for stage, values in correlations.items():
        print(f"| {stage} | {np.mean(values):.4f} | {min(values):.3f} |")
    print(f"probabilities move by {np.median(moved):.4f} in the median, {max(moved):.4f} at most")
    print(f"{len(leads)} of {len(moved)} top classes change; they led by {max(leads, default=0):.3f} logits at most")


if __name__ == "__main__":
    main()
