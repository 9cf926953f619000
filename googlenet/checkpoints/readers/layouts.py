"""The published networks: their preprocessing, their names, and what a reader hands over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from googlenet.errors import Reason, WeightsError
from googlenet.model.architecture import BERKELEY, STAGES, Architecture
from googlenet.pictures.images import Preprocess

__all__ = [
    "BATCH_NORM_EPSILON",
    "BERKELEY_PREPROCESS",
    "CAFFE_LAYERS",
    "CLASSIFIERS",
    "HALF",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "NORMALISATIONS",
    "PAPER_PREPROCESS",
    "TORCHVISION_PREPROCESS",
    "Difference",
    "RawWeights",
    "berkeley",
    "rgb",
    "with_counters",
]

BATCH_NORM_EPSILON = 1e-3
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)
NORMALISATIONS = {"imagenet": (IMAGENET_MEAN, IMAGENET_STD), "half": (HALF, HALF)}
"""Mean and standard deviation of the two normalisations in which torchvision trains GoogLeNets: ImageNet's, which
`transform_input=False` keeps, and what `transform_input=True` makes of it."""
PAPER_PREPROCESS = Preprocess(224, 224, IMAGENET_MEAN, IMAGENET_STD)
TORCHVISION_PREPROCESS = Preprocess(resize=256, crop=224, mean=HALF, std=HALF)
"""ImageNet's normalisation followed by torchvision's `transform_input` is exactly this, on the picture itself."""
BERKELEY_PREPROCESS = Preprocess(
    resize=(256, 256), crop=224, mean=(123 / 255, 117 / 255, 104 / 255), std=(1 / 255, 1 / 255, 1 / 255)
)
"""RGB in 0…255 minus Caffe's mean. The mean must stay Caffe's: conv1 pads with zeros, and those mean the mean colour."""

_BRANCHES = {
    "1x1": "branch1",
    "3x3_reduce": "branch2.0",
    "3x3": "branch2.1",
    "5x5_reduce": "branch3.0",
    "5x5": "branch3.1",
    "pool_proj": "branch4.1",
}
CAFFE_LAYERS = {
    "conv1/7x7_s2": "conv1.conv",
    "conv2/3x3_reduce": "conv2.conv",
    "conv2/3x3": "conv3.conv",
    **{f"inception_{s}/{theirs}": f"inception{s}.{ours}.conv" for s in STAGES for theirs, ours in _BRANCHES.items()},
    **{f"loss{n}/conv": f"aux{n}.conv.conv" for n in (1, 2)},
    **{f"loss{n}/fc": f"aux{n}.fc1" for n in (1, 2)},
    **{f"loss{n}/classifier": f"aux{n}.fc2" for n in (1, 2)},
    "loss3/classifier": "fc",
}
"""Berkeley's 64 layers with weights → the package's modules."""
CLASSIFIERS = {"loss1": "aux1.fc2", "loss2": "aux2.fc2", "loss3": "fc"}
"""The last layers: how Caffe's names of each head begin → the package's modules."""


@dataclass(frozen=True)
class RawWeights:
    """What a reader finds in a file; `checkpoint.build` checks it."""

    tensors: dict[str, Tensor]
    """under the package's names, as the file has them"""
    architecture: Architecture
    preprocess: Preprocess
    """how a picture becomes the input that these weights were trained on"""
    assumed: str | None = None
    """the normalisation in `preprocess`, one of `NORMALISATIONS`, where the file does not say which it is"""
    labels: tuple[str, ...] | None = None
    """the classes' names where the file has them"""


class Difference(Reason):
    """What shows that a file is not a GoogLeNet."""


def berkeley(name: str, layers: Iterable[tuple[str, Tensor, Tensor]]) -> RawWeights:
    """Caffe's layers (name, weight, bias), in the file's order → weights.

    Fine-tuning in Caffe renames the last layers, so that they start anew: a linear layer of 1,024 inputs and an unknown name
    is the classifier in whose place it stands.
    """
    tensors: dict[str, Tensor] = {}
    before = ""
    for layer, weight, bias in layers:
        module = CAFFE_LAYERS.get(layer)
        if module is None and weight.ndim == 2 and weight.shape[1] == 1024:
            module = CLASSIFIERS.get(layer[:5]) or {"aux1.fc1": "aux1.fc2", "aux2.fc1": "aux2.fc2"}.get(before, "fc")
        if module is None or f"{module}.weight" in tensors:
            raise Difference("it has weights in a layer {layer}, which GoogLeNet does not have", layer=layer)
        tensors |= {f"{module}.weight": weight, f"{module}.bias": bias}
        before = module
    if "fc.weight" not in tensors:
        raise WeightsError(
            "{name} lacks the main head's classifier (loss3/classifier); give a file that holds the whole network.", name=name
        )
    return RawWeights(rgb(tensors), replace(BERKELEY, aux_heads="aux1.conv.conv.weight" in tensors), BERKELEY_PREPROCESS)


def rgb(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """conv1 of a network that was trained on BGR, for the package's RGB."""
    weight = tensors.get("conv1.conv.weight")
    return tensors if weight is None or weight.ndim != 4 else tensors | {"conv1.conv.weight": weight.flip(1)}


def with_counters(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """With BatchNorm's counters at 0: of no use but in training, and of any type or absent in others' files."""
    norms = [key.removesuffix("running_mean") for key in tensors if key.endswith(".running_mean")]
    return tensors | {f"{norm}num_batches_tracked": torch.zeros((), dtype=torch.int64) for norm in norms}
