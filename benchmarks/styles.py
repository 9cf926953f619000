"""Measures what the answers are worth on other pictures than photographs: `python -m benchmarks.styles PACS [--weights SOURCE]`.

`PACS`: the folder of that data set (Li et al., *Deeper, Broader and Artier Domain Generalization*, 2017): `STYLE/KIND/picture`.
Asked are the first 130 pictures, by name, of each style of the four kinds that ImageNet's classes cover. The table has the main
head alone. A statement (`googlenet.explanation.statements`) is right where one of its classes is of the picture's kind.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from googlenet.checkpoints.source import default_source
from googlenet.explanation import Explanation, Question, classes_of
from googlenet.inference.explainer import Explainer
from googlenet.pictures.images import open_image
from googlenet.ui.sentences import SURE

STYLES = ("photo", "art_painting", "cartoon", "sketch")
KINDS = {"dog": "dog", "elephant": "elephant", "guitar": "guitar", "horse": "sorrel"}
"""kind → the group or class of ImageNet that covers it"""
PICTURES, BATCH = 130, 8


def explanations(explainer: Explainer, folder: Path) -> Iterator[Explanation]:
    paths = sorted(folder.iterdir())[:PICTURES]
    for start in range(0, len(paths), BATCH):
        images = [open_image(path) for path in paths[start : start + BATCH]]
        yield from explainer.explain_batch(images, [Question()] * len(images))


def line(explainer: Explainer, style: Path) -> str:
    """A style's row of the table."""
    counts: Counter[str] = Counter()
    for kind, asked in KINDS.items():
        its_classes = set(classes_of(explainer.question("main", asked).target))
        for explanation in explanations(explainer, style / kind):
            p, said = explanation.probabilities["main"], (explanation.statements or {}).get("main")
            assert p is not None
            counts["pictures"] += 1
            counts["unlikely"] += explanation.unlikely
            counts["name right"] += int(p.argmax()) in its_classes
            if said is None:
                continue
            right = bool(its_classes & set(said.indices))
            for sureness in ("said", "sure") if said.probability >= SURE else ("said",):
                counts[sureness] += 1
                counts[f"{sureness}, right"] += right
    shares = " | ".join(f"{100 * counts[name] / counts['pictures']:.1f}" for name in ("name right", "unlikely"))
    of_all, of_sure = (f"{counts[f'{name}, right']} of {counts[name]}" for name in ("said", "sure"))
    return f"| {style.name} | {counts['pictures']} | {shares} | {of_all} | {of_sure} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", default=default_source())
    options = parser.parse_args()
    explainer = Explainer.from_pretrained(options.weights)
    print("| style | pictures | name right, % | not recognised, % | statements right | those made surely, right |")
    print("|---|---|---|---|---|---|")
    for style in STYLES:
        print(line(explainer, options.folder / style), flush=True)


if __name__ == "__main__":
    main()
