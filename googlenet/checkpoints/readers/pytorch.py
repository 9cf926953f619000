"""PyTorch state dicts, as `torch.save` and as safetensors, in torchvision's names or Caffe's with `/` written `_`."""

from __future__ import annotations

import contextlib
import hashlib
import io
import pickle
import pickletools
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import replace

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from googlenet.checkpoints.checkpoint import MAX_BYTES
from googlenet.checkpoints.readers.layouts import (
    BERKELEY_PREPROCESS,
    CAFFE_LAYERS,
    FLOATS,
    IMAGENET_MEAN,
    IMAGENET_STD,
    TORCHVISION_PREPROCESS,
    RawWeights,
    berkeley,
    differs,
    is_plain,
    with_counters,
)
from googlenet.errors import Reason, WeightsError
from googlenet.model.architecture import BERKELEY, PAPER, TORCHVISION
from googlenet.pictures.images import Preprocess

PUBLISHED = "1378be20"
"""How the SHA-256 of torchvision's published file begins. Its auxiliary heads were never trained."""
WRAPPERS = ("state_dict", "model_state_dict", "model", "ema")
"""Keys under which training programs keep the weights in their checkpoints."""
MAX_HEADER = 1 << 20
"""Bytes of a safetensors file's list of tensors; a GoogLeNet's has 40 KB."""
MAX_STEPS = 200_000
"""Instructions of a pickle; a GoogLeNet's with its optimizer's state has less than 50,000."""
MAKES_MEMORY = re.compile(rb"(?:bytearray|Tensor)\n")
"""Ends of the names that `torch.load(weights_only=True)` lets a pickle call with any size: a file of 300 bytes took 4 GB for a
bytearray, and a FloatTensor's numbers are what lay in this program's memory before."""
MAX_PARTS = 20_000
"""Files in an archive of `torch.save`; a GoogLeNet's has a few hundred."""

TORCHVISION_MARK, CAFFE_MARK = "conv1.conv.weight", "conv1_7x7_s2.weight"
"""The first convolution in the two ways of naming."""


def read_torch(name: str, data: bytes) -> RawWeights:
    """A file of `torch.save`."""
    return from_state_dict(name, unwrapped(name, load_pickle(name, data)), hashlib.sha256(data).hexdigest().startswith(PUBLISHED))


def read_safetensors(name: str, data: bytes) -> RawWeights:
    """A safetensors file without a `config.json` of this program beside it."""
    return from_state_dict(name, load_safetensors(name, data), published=False)


def from_state_dict(name: str, tensors: Mapping[str, Tensor], published: bool) -> RawWeights:
    """Tensors under torchvision's or Caffe's names, with or without a prefix that wrappers of the model left."""
    for mark, read in ((TORCHVISION_MARK, from_torchvision), (CAFFE_MARK, from_caffe)):
        found = min((key for key in tensors if key.endswith(mark)), key=len, default=None)
        if found is not None:
            return read(name, without_prefix(tensors, found.removesuffix(mark)), published)
    differs(
        name,
        Reason("it has neither {ours} (torchvision's name) nor {theirs} (Caffe's)", ours=TORCHVISION_MARK, theirs=CAFFE_MARK),
    )


def without_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """`module.` of DataParallel, `_orig_mod.` of torch.compile and the like; n_averaged is AveragedModel's counter."""
    return {
        key if (short := key.removeprefix(prefix)) in tensors else short: t for key, t in tensors.items() if key != "n_averaged"
    }


def from_torchvision(name: str, tensors: dict[str, Tensor], published: bool) -> RawWeights:
    """torchvision's names, which are the package's own."""
    kernel = tensors.get("inception3a.branch3.1.conv.weight")
    paper = kernel is not None and kernel.shape[-1:] == (5,)
    aux_heads = not published and all(was_trained(tensors, head) for head in ("aux1", "aux2"))
    if not aux_heads:
        tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith(("aux1.", "aux2."))}
    if "conv1.conv.bias" in tensors:  # no BatchNorm: Berkeley's network as this program writes it
        return RawWeights(tensors, replace(BERKELEY, aux_heads=aux_heads), BERKELEY_PREPROCESS)
    tensors = with_counters(tensors)
    if paper:  # the paper's network, as this program trains it
        return RawWeights(
            tensors, replace(PAPER, aux_heads=aux_heads), Preprocess(224, 224, IMAGENET_MEAN, IMAGENET_STD), "imagenet"
        )
    return RawWeights(tensors, replace(TORCHVISION, aux_heads=aux_heads), TORCHVISION_PREPROCESS, None if published else "half")


def was_trained(tensors: Mapping[str, Tensor], head: str) -> bool:
    """Whether an auxiliary head is there and its BatchNorm, where it has one, has seen data."""
    if f"{head}.fc2.weight" not in tensors:
        return False
    fresh = {"running_mean": 0.0, "running_var": 1.0}
    statistics = {kind: tensors.get(f"{head}.conv.bn.{kind}") for kind in fresh}
    if any(t is None or t.shape != (128,) or t.dtype not in FLOATS or not is_plain(t) for t in statistics.values()):
        return True  # no BatchNorm, or one that the check of tensors refuses
    return any(bool((found != fresh[kind]).any()) for kind, found in statistics.items() if found is not None)


def from_caffe(name: str, tensors: dict[str, Tensor], published: bool) -> RawWeights:
    """Caffe's layers as a state dict; linear layers carry `_1`."""
    theirs = {layer.replace("/", "_"): layer for layer in CAFFE_LAYERS}
    theirs |= {f"{key}_1": layer for key, layer in theirs.items() if layer.startswith("loss")}
    layers: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        layer, _, kind = key.rpartition(".")
        layers.setdefault(layer, {})[kind] = tensor
    for layer, parts in layers.items():
        if parts.keys() != {"weight", "bias"}:
            differs(name, Reason("layer {layer} does not have one weight and one bias", layer=layer))
    return berkeley(name, ((theirs.get(layer, layer), parts["weight"], parts["bias"]) for layer, parts in layers.items()))


def load_safetensors(name: str, data: bytes) -> dict[str, Tensor]:
    """The tensors of a safetensors file; their list is bounded before it is read."""
    if len(data) >= 8 and MAX_HEADER < struct.unpack("<Q", data[:8])[0] <= len(data):
        differs(name, Reason("it lists more tensors than a GoogLeNet has"))
    try:
        return safetensors.torch.load(data)
    except KeyError:
        raise WeightsError("{name} has numbers of a type that PyTorch does not have; save it as float32.", name=name) from None
    except (SafetensorError, ValueError):
        raise WeightsError("{name} is damaged or cut short; fetch it anew.", name=name) from None


def load_pickle(name: str, data: bytes) -> object:
    """`torch.load(weights_only=True)`, after everything that the file can make long was counted."""
    pickled = pickle_of_archive(name, data) if data.startswith(b"PK") else data
    if count_steps(pickled) > MAX_STEPS:
        differs(name, Reason("it lists more tensors than a GoogLeNet has"))
    if MAKES_MEMORY.search(pickled):
        raise more_than_tensors(name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols: the outcome is what counts
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise more_than_tensors(name) from None
    except Exception:  # the unpickler raises whatever the hostile bytes provoke; none of it was run
        raise WeightsError(
            "{name} cannot be read by torch.load; save the model's state_dict() with torch.save and give that.", name=name
        ) from None


def more_than_tensors(name: str) -> WeightsError:
    return WeightsError("{name} holds more than tensors; save the model's state_dict() with torch.save and give that.", name=name)


def count_steps(data: bytes) -> int:
    """The instructions of the pickles at the beginning (before 2020 the weights' was the fourth), at most one over the limit."""
    stream, steps = io.BytesIO(data), 0
    with contextlib.suppress(Exception):  # what is no pickle ends the count; torch.load is to judge it
        while stream.tell() < len(data):
            for _ in pickletools.genops(stream):
                steps += 1
                if steps > MAX_STEPS:
                    return steps
    return steps


def pickle_of_archive(name: str, data: bytes) -> bytes:
    """The pickle in an archive of `torch.save`, which stores and never compresses, so that a bomb shows in the directory."""
    if data.count(b"PK\x01\x02") > MAX_PARTS:
        differs(name, Reason("it lists more tensors than a GoogLeNet has"))
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            if any(i.filename.endswith("/constants.pkl") for i in infos):
                raise WeightsError("{name} is a TorchScript program; save the model's state_dict() and give that.", name=name)
            if any(i.compress_type != zipfile.ZIP_STORED for i in infos) or sum(i.file_size for i in infos) > MAX_BYTES:
                raise WeightsError("{name} is compressed, as torch.save never does; save it with torch.save.", name=name)
            return b"".join(archive.read(i) for i in infos if i.filename.endswith("data.pkl"))
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError):
        raise WeightsError("{name} is damaged or cut short; fetch it anew.", name=name) from None


def unwrapped(name: str, loaded: object) -> dict[str, Tensor]:
    """The state dict, where a training program's checkpoint holds one among other things."""
    if isinstance(loaded, Mapping):
        loaded = next((loaded[key] for key in WRAPPERS if isinstance(loaded.get(key), Mapping)), loaded)
    if not isinstance(loaded, Mapping) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in loaded.items()):
        raise WeightsError(
            "{name} holds something other than tensors by name; save the model's state_dict() and give that.", name=name
        )
    return dict(loaded)
