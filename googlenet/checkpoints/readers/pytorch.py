"""PyTorch state dicts, in torchvision's names or Caffe's with `/` written `_`."""

from __future__ import annotations

import io
import warnings
import zipfile

import torch
from torch import Tensor

from googlenet.architecture import TORCHVISION
from googlenet.checkpoints.checkpoint import MAX_BYTES
from googlenet.checkpoints.readers.converted import (
    CAFFE_LAYERS,
    TORCHVISION_PREPROCESS,
    Converted,
    check,
    check_berkeley,
    differs,
)
from googlenet.errors import WeightsError


def read_state_dict(name: str, data: bytes) -> Converted:
    """torchvision's names, or Caffe's with `/` written `_`; torchvision's auxiliary heads were never trained and are left out."""
    tensors = load_tensors(name, data)
    if "conv1.conv.weight" in tensors:
        kept = {
            key: tensor
            for key, tensor in tensors.items()
            if not key.startswith(("aux1.", "aux2.")) and not key.endswith(".num_batches_tracked")
        }
        return check(name, kept, TORCHVISION, TORCHVISION_PREPROCESS)
    if "conv1_7x7_s2.weight" in tensors:
        ours = {theirs.replace("/", "_"): module for theirs, module in CAFFE_LAYERS.items()}
        ours |= {f"{theirs}_1": module for theirs, module in ours.items() if theirs.startswith("loss")}  # linear layers
        renamed = {}
        for key, tensor in tensors.items():
            layer, _, kind = key.rpartition(".")
            renamed[f"{ours[layer]}.{kind}" if layer in ours else key] = tensor
        return check_berkeley(name, renamed)
    differs(name, "it has neither conv1.conv.weight (torchvision's name) nor conv1_7x7_s2.weight (Caffe's)")


def load_tensors(name: str, data: bytes) -> dict[str, Tensor]:
    """`torch.load(weights_only=True)`'s flat dict of tensors, and nothing else."""
    try:
        if data.startswith(b"PK"):  # torch.save stores and never compresses, so a bomb shows in the directory
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                infos = archive.infolist()
            if any(i.compress_type != zipfile.ZIP_STORED for i in infos) or sum(i.file_size for i in infos) > MAX_BYTES:
                raise ValueError("compressed")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols: the outcome is what counts
            loaded = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception:  # the unpickler raises whatever the hostile bytes provoke; none of it was run
        raise WeightsError(
            "{name} is damaged or holds more than tensors; save the model's state_dict() with torch.save and give that.",
            name=name,
        ) from None
    if not isinstance(loaded, dict) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in loaded.items()):
        raise WeightsError(
            "{name} holds something other than a flat dict of tensors; save the model's state_dict() and give that.", name=name
        )
    return dict(loaded)
