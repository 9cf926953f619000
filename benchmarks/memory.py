"""Does memory stay flat? `python -m benchmarks.memory [--explanations 2000]` prints the process's resident memory as it goes."""

from __future__ import annotations

import argparse
from pathlib import Path

import gradio.media
from tqdm import tqdm

from googlenet.architecture import HEADS
from googlenet.checkpoints.source import default_source
from googlenet.explainer import Explainer
from googlenet.images import open_image

STATUS = Path("/proc/self/status")


def resident_mb() -> float:
    line = next(line for line in STATUS.read_text("utf-8").splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--explanations", type=int, default=2000)
    parser.add_argument("--weights", default=default_source())
    options = parser.parse_args()
    explainer = Explainer.from_pretrained(options.weights, device="cpu")
    image = open_image(gradio.media.get_image("lion.jpg"))
    print("| explanations | resident MB |\n|---|---|")
    step = max(1, options.explanations // 10)
    for i in tqdm(range(options.explanations + 1), leave=False):
        if i % step == 0:
            tqdm.write(f"| {i} | {resident_mb():.0f} |")
        explainer.explain(image, head=HEADS[i % 3] if explainer.config.architecture.aux_heads else "main")


if __name__ == "__main__":
    main()
