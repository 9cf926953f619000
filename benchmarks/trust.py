"""Compares our maps with those of other methods and packages: `python -m benchmarks.trust DATA [--sample 240]`.

DATA has object boxes, as for `googlenet evaluate --maps`. Only pictures whose object's box covers at most a third of them are
used. The question is their true class in the main head. The packages grad-cam and torchcam compute Grad-CAM, LayerCAM and
Grad-CAM++ of the same network in float32, through their public interfaces. Captum computes gradient × activation at each
position. The positive part of each map is used. All maps are tested with the same Explainer. Cells without evidence are hidden
last, in one random order.

`pointing`: how often the strongest cell lies in the object's box. `deletion` (less is better) and `insertion` (more is better):
the area under the class's probability. All figures are in per cent, with 95 % bootstrap intervals over pictures.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from captum.attr import LayerGradientXActivation
from numpy.typing import NDArray
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus, LayerCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor
from torchcam.methods import GradCAM as TorchGradCAM
from torchcam.methods import GradCAMpp as TorchGradCAMpp
from torchcam.methods import LayerCAM as TorchLayerCAM
from tqdm import tqdm

from googlenet.checkpoints import load
from googlenet.checkpoints.source import default_source
from googlenet.explanation import Question
from googlenet.explanation.trust import area
from googlenet.inference.explainer import Explainer
from googlenet.model.architecture import STAGES
from googlenet.model.network import GoogLeNet
from googlenet.pictures.frame import enlarge_to_input, peak_of
from googlenet.probes.cover import pixels
from googlenet.probes.trust import curves, order
from googlenet.training.data import read_split
from googlenet.training.evaluate import prepare
from googlenet.training.maps import SMALL, STEPS, Boxed, boxed, interval

OURS = "Grad-CAM, this program"

Maps = dict[str, NDArray[np.float32]]
"""stage → the positive part of its map (h, w), on any number of cells"""
Method = Callable[[Boxed, Tensor], Maps]
Found = dict[tuple[str, str, str], list[float]]
"""(figure, stage, method) → one value a picture"""


def methods(explainer: Explainer, model: GoogLeNet) -> dict[str, Method]:
    """name → a function from a picture and its input x (1, 3, S, S) to maps."""
    layers = [model.stage(stage) for stage in STAGES]

    def ours(picture: Boxed, x: Tensor) -> Maps:
        (explanation,) = explainer.explain_prepared(x, [picture.image.size], [Question("main", picture.label)])
        return {stage: grid.clip(min=0) for stage, grid in explanation.grids.items()}

    def position_wise(picture: Boxed, x: Tensor) -> Maps:
        found = LayerGradientXActivation(model, layers).attribute(x, target=picture.label)
        return {stage: one[0].detach().sum(dim=0).clamp(min=0).numpy() for stage, one in zip(STAGES, found, strict=True)}

    def of_grad_cam(kind: Any) -> Method:
        def maps(picture: Boxed, x: Tensor) -> Maps:
            with kind(model, layers) as method:
                method.aggregate_multi_layers = lambda each: np.concatenate(each, axis=1)  # by default their mean
                found = method(x, [ClassifierOutputTarget(picture.label)])[0]
            return dict(zip(STAGES, found, strict=True))

        return maps

    def of_torchcam(kind: Any) -> Method:
        def maps(picture: Boxed, x: Tensor) -> Maps:
            with kind(model, [f"inception{stage}" for stage in STAGES]) as method:
                found = method(picture.label, model(x))
            return {stage: one[0].numpy() for stage, one in zip(STAGES, found, strict=True)}

        return maps

    return {
        OURS: ours,
        "Grad-CAM, grad-cam": of_grad_cam(GradCAM),
        "Grad-CAM, torchcam": of_torchcam(TorchGradCAM),
        "gradient × activation, Captum": position_wise,
        "LayerCAM, grad-cam": of_grad_cam(LayerCAM),
        "LayerCAM, torchcam": of_torchcam(TorchLayerCAM),
        "Grad-CAM++, grad-cam": of_grad_cam(GradCAMPlusPlus),
        "Grad-CAM++, torchcam": of_torchcam(TorchGradCAMpp),
    }


def small(pictures: list[Boxed], explainer: Explainer) -> Iterator[Boxed]:
    """The pictures whose object's box covers at most `SMALL` of what the network sees."""
    preprocess = explainer.config.preprocess
    for picture in pictures:
        rows, columns = pixels(picture.box, preprocess.seen(picture.image.size), preprocess.crop)
        if (rows.stop - rows.start) * (columns.stop - columns.start) <= SMALL * preprocess.crop**2:
            yield picture


def point(found: Found, picture: Boxed, maps: dict[str, Maps], explainer: Explainer) -> None:
    """Add whether each map's strongest cell lies in the object's box."""
    seen, box = explainer.config.preprocess.seen(picture.image.size), picture.box
    for name, stages in maps.items():
        for stage, heat in stages.items():
            x, y = peak_of(heat, seen)
            hit = heat.max() > 0 and box.x0 <= x < box.x1 and box.y0 <= y < box.y1
            found.setdefault(("pointing", stage, name), []).append(float(hit))


def hide(found: Found, picture: Boxed, x: Tensor, maps: dict[str, Maps], explainer: Explainer, rng: np.random.Generator) -> None:
    """Add deletion and insertion in each map's order and in random order."""
    side = x.shape[-1]
    keys, orders = [], []
    for stage in STAGES:
        noise = enlarge_to_input(rng.random(explainer.grid_sizes[stage]), side)
        keys.append((stage, "random order"))
        orders.append(order(noise, side))
        for name, stages in maps.items():
            heat = enlarge_to_input(stages[stage], side)
            keys.append((stage, name))
            orders.append(order(np.where(heat > 0, heat, -noise), side))
    deletion, insertion = curves(explainer, x, picture.label, torch.stack(orders), STEPS)["main"]
    for (stage, name), deleted, inserted in zip(keys, deletion, insertion, strict=True):
        found.setdefault(("deletion", stage, name), []).append(area(tuple(deleted)))
        found.setdefault(("insertion", stage, name), []).append(area(tuple(inserted)))


def table(found: Found, stage: str, names: list[str]) -> str:
    """One stage's figures, and each method's difference from ours on the same pictures."""
    lines = [
        f"\n### {stage}\n",
        "| method | pointing | minus ours | deletion | minus ours | insertion | minus ours |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in names:
        cells = []
        for figure in ("pointing", "deletion", "insertion"):
            values, own = (np.array(found.get((figure, stage, each), [])) for each in (name, OURS))
            cells.append(str(interval(values)) if len(values) else "")
            cells.append(str(interval(values - own)) if len(values) and name != OURS else "")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", default=default_source())
    parser.add_argument("--sample", type=int, default=240, help="pictures for the pointing game")
    parser.add_argument("--curved", type=int, default=24, help="how many of them get deletion and insertion curves")
    options = parser.parse_args()
    started = time.perf_counter()
    loaded = load(options.weights)
    explainer = Explainer(loaded, "cpu")
    split = prepare(read_split(options.data, "val"), loaded.config, workers=2, skip_broken=False)
    pictures = list(small(boxed(split, loaded.config.preprocess, 4 * options.sample), explainer))[: options.sample]
    called = methods(explainer, loaded.model.eval())
    found: Found = {}
    rng = np.random.default_rng(0)
    for i, picture in enumerate(tqdm(pictures, unit="img", mininterval=2)):
        x = explainer.preprocess(picture.image)
        maps = {name: method(picture, x) for name, method in called.items()}
        point(found, picture, maps, explainer)
        if i < options.curved:
            hide(found, picture, x, maps, explainer, rng)
    print(
        f"weights {explainer.provenance.sha256[:12]}, main head; {len(pictures)} pictures, curves of the first {options.curved}"
    )
    for stage in STAGES:
        print(table(found, stage, [*called, "random order"]))
    print(f"\n{time.perf_counter() - started:.0f} s, {torch.get_num_threads()} CPU threads")


if __name__ == "__main__":
    main()
