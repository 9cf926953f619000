"""What the readers share: the published networks' preprocessing, Caffe's names, and the check of the result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NoReturn

import torch
from torch import Tensor

from googlenet.architecture import BERKELEY, STAGES, Architecture
from googlenet.checkpoints.checkpoint import MAX_BYTES
from googlenet.errors import WeightsError
from googlenet.images import Preprocess
from googlenet.model import GoogLeNet

MAX_FIELDS = 20_000
"""Fields in one protobuf message, nodes in one graph: a GoogLeNet has a few hundred."""
BATCH_NORM_EPSILON = 1e-3

TORCHVISION_PREPROCESS = Preprocess(resize=256, crop=224, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
"""ImageNet's normalisation followed by torchvision's `transform_input` is exactly this, on the picture itself."""
BERKELEY_PREPROCESS = Preprocess(
    resize=(256, 256), crop=224, mean=(123 / 255, 117 / 255, 104 / 255), std=(1 / 255, 1 / 255, 1 / 255)
)
"""RGB in 0…255 minus Caffe's mean. The mean must stay Caffe's: conv1 pads with zeros, and those mean the mean colour."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

BRANCHES = {
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
    **{f"inception_{s}/{theirs}": f"inception{s}.{ours}.conv" for s in STAGES for theirs, ours in BRANCHES.items()},
    **{f"loss{n}/conv": f"aux{n}.conv.conv" for n in (1, 2)},
    **{f"loss{n}/fc": f"aux{n}.fc1" for n in (1, 2)},
    **{f"loss{n}/classifier": f"aux{n}.fc2" for n in (1, 2)},
    "loss3/classifier": "fc",
}
"""Berkeley's 64 layers with weights → the package's modules."""


@dataclass(frozen=True)
class Converted:
    """Weights in the package's layout: what `GoogLeNet(architecture, classes)` loads with strict=True."""

    state_dict: dict[str, Tensor]
    """float32 (BatchNorm's counters int64), finite, of exactly the model's keys and shapes"""
    architecture: Architecture
    preprocess: Preprocess
    """how a picture becomes the input that these weights were trained on"""
    classes: int


def differs(name: str, difference: str) -> NoReturn:
    raise WeightsError("{name} is not a GoogLeNet: {difference}.", name=name, difference=difference)


def check(name: str, tensors: dict[str, Tensor], architecture: Architecture, preprocess: Preprocess) -> Converted:
    """Tensors under the package's names → Converted, after each is compared with the model's own."""
    fc = tensors.get("fc.weight")
    if fc is None or fc.ndim != 2 or not 2 <= fc.shape[0] <= MAX_BYTES // (4 * 1024):
        differs(name, "fc.weight, the main head's linear layer, is missing or not of the shape classes×1024")
    classes = fc.shape[0]
    with torch.device("meta"):  # shapes alone, no memory: `classes` is what the file claims
        expected = GoogLeNet(architecture, classes).state_dict()
    state_dict = {}
    for key, wanted in expected.items():
        if key.endswith(".num_batches_tracked"):  # of no use in eval mode, and absent from old files
            state_dict[key] = torch.zeros((), dtype=torch.int64)
            continue
        if key not in tensors:
            differs(name, f"{key} is missing")
        state_dict[key] = checked(name, key, tensors[key], tuple(wanted.shape))
    extra = [key for key in tensors if key not in expected]
    if extra:
        differs(name, f"it holds {extra[0]!r}, which has no place in it")
    if architecture.norm == "local_response":  # trained on BGR; the package feeds RGB
        state_dict["conv1.conv.weight"] = state_dict["conv1.conv.weight"].flip(1).contiguous()
    return Converted(state_dict, architecture, preprocess, classes)


def checked(name: str, key: str, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """One tensor as contiguous float32, of the right shape and finite."""
    if tuple(tensor.shape) != shape:
        differs(name, f"{key} is {times(tuple(tensor.shape))} where {times(shape)} belongs")
    if not tensor.is_floating_point() or tensor.layout != torch.strided or tensor.device.type != "cpu":
        differs(name, f"{key} holds no plain floating-point numbers")
    if tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
        differs(name, f"{key} repeats its numbers instead of holding them all")  # a stride of 0: memory by a claim
    tensor = tensor.detach().to(torch.float32).contiguous().clone()
    if not bool(torch.isfinite(tensor).all()) or (key.endswith("running_var") and bool((tensor < 0).any())):
        raise WeightsError("{name} has broken weights: {key} holds a value that no training gives.", name=name, key=key)
    return tensor


def times(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "a single number"


def check_berkeley(name: str, tensors: dict[str, Tensor]) -> Converted:
    if "fc.weight" not in tensors:
        raise WeightsError(
            "{name} lacks the main head's classifier (loss3/classifier); give a file that holds the whole network.", name=name
        )
    aux_heads = any(key.startswith(("aux1.", "aux2.")) for key in tensors)
    return check(name, tensors, replace(BERKELEY, aux_heads=aux_heads), BERKELEY_PREPROCESS)
