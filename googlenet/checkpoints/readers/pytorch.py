"""PyTorch state dicts, as `torch.save` and as safetensors, in torchvision's names or Caffe's with `/` written `_`."""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import logging
import pickle
import pickletools
import re
import struct
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from googlenet.checkpoints.checkpoint import FLOATS, MAX_BYTES, is_plain
from googlenet.checkpoints.config import MAX_CLASSES
from googlenet.checkpoints.labels import as_labels
from googlenet.checkpoints.readers import layouts
from googlenet.checkpoints.readers.layouts import Difference, RawWeights, berkeley
from googlenet.errors import DamagedWeightsError, WeightsError
from googlenet.errors.korean import in_locale
from googlenet.model.architecture import BERKELEY, PAPER, TORCHVISION

__all__ = ["from_checkpoint", "load_safetensors", "read_torch"]

PUBLISHED = "1378be20"
"""How the SHA-256 of torchvision's published file begins. Its auxiliary heads were never trained."""
_MAX_HEADER = 1 << 20
"""Bytes of a safetensors file's list of tensors; a GoogLeNet's has 40 KB."""
_MAX_STEPS = 200_000
"""Instructions of a pickle; a GoogLeNet's with its optimizer's state has less than 50,000."""
_MAKES_MEMORY = re.compile(rb"c(?:torch(?:\.[\w.]+)?\n\w*Tensor|(?:builtins|__builtin__)\nbytearray)\n")
"""The names that `torch.load(weights_only=True)` lets a pickle call with any size: a file of 300 bytes took 4 GB for a
bytearray, and a FloatTensor's numbers are what lay in this program's memory before."""
MAX_PARTS = 20_000
"""Files in an archive of `torch.save`; a GoogLeNet's has a few hundred."""

_MARKS = {"conv1.conv.weight": "torchvision", "conv1_7x7_s2.weight": "caffe"}
"""The first convolution in the two ways of naming."""
_WRAPPERS = {"_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_orig_mod", "module"}
"""Parts of a key that PyTorch's wrappers of a module leave in it."""
_DEPTH = 3
"""How deep in a training program's checkpoint a network is looked for."""
_CLASS_NAMES = ("classes", "class_names", "class_to_idx")
"""Keys under which training programs keep the names of the classes."""
_LOG = logging.getLogger(__name__)


class Stub:
    """Stands for an object of a checkpoint that is no tensor, such as an `argparse.Namespace`. It is empty, whatever is given."""

    def __new__(cls, *_: object) -> Stub:
        return object.__new__(cls)

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


class DictStub:
    """Stands for a `defaultdict` and its like, which are plain dictionaries then."""

    def __new__(cls, *_: object) -> dict[Any, Any]:  # type: ignore[misc]
        return OrderedDict()  # which may have attributes, as some of them do


class Network(NamedTuple):
    """A mapping of a checkpoint that holds a network's tensors by name."""

    key: str
    """where it lies, such as `state_dict` or `ema.module`"""
    tensors: Mapping[Any, object]
    prefix: str
    """of the network's names"""
    mark: str


def read_torch(name: str, data: bytes, key: str | None) -> RawWeights:
    """A file of `torch.save`."""
    loaded, named = _load_pickle(name, data)
    whole = WeightsError(
        "{name} holds something other than tensors by name; save the model's state_dict() and give that.", name=name
    )
    if not isinstance(loaded, Mapping):
        raise whole
    try:
        raw = from_checkpoint(name, loaded, key, hashlib.sha256(data).hexdigest().startswith(PUBLISHED))
    except Difference:
        if "torch.nn.modules.conv.Conv2d" in named:  # the model lies there as an object
            raise whole from None
        raise
    places = [place for place in (loaded, loaded.get("hyper_parameters")) if isinstance(place, Mapping)]
    labels = (as_labels(place[names]) for place in places for names in _CLASS_NAMES if names in place)
    return replace(raw, labels=next(filter(None, labels), None))


def from_checkpoint(name: str, loaded: Mapping[Any, object], key: str | None, published: bool = False) -> RawWeights:
    """The only network in a checkpoint, or the one that `key` names. `published`: whether the file is torchvision's."""
    networks = list(_find_networks(loaded, set()))
    chosen = [network for network in networks if key in (None, network.key)]
    keys = [network.key for network in networks]
    shown = ", ".join(keys[:10]) + (", …" if len(keys) > 10 else "")
    if key is not None and keys == [""]:
        raise WeightsError("{name} holds one network; leave out :{key}.", name=name, key=key)
    if networks and not chosen:
        raise WeightsError("{name} has no network {key}; it has {keys}.", name=name, key=key, keys=shown)
    if len(chosen) > 1:
        raise WeightsError(
            "{name} holds {count} networks: {keys}; choose one as SOURCE:{key}.",
            name=name,
            count=len(keys),
            keys=shown,
            key=keys[0],
        )
    if not chosen:
        ours, theirs = _MARKS
        raise Difference("it has neither {ours} (torchvision's name) nor {theirs} (Caffe's)", ours=ours, theirs=theirs)
    network = chosen[0]
    tensors: dict[str, Tensor] = {}
    for full, tensor in network.tensors.items():
        if isinstance(full, str) and isinstance(tensor, Tensor) and (plain := _unwrapped(full)).startswith(network.prefix):
            tensors.setdefault(plain.removeprefix(network.prefix), tensor)
    if not network.prefix:
        tensors.pop("n_averaged", None)  # AveragedModel's counter
    return _from_torchvision(name, tensors, published) if _MARKS[network.mark] == "torchvision" else _from_caffe(name, tensors)


def _find_networks(value: Mapping[Any, object], seen: set[int], path: tuple[str, ...] = ()) -> Iterator[Network]:
    """The networks in nested mappings. Each mapping is searched once: a pickle may name one a million times."""
    if id(value) in seen:
        return
    seen.add(id(value))
    keys = {_unwrapped(key) for key, tensor in value.items() if isinstance(key, str) and isinstance(tensor, Tensor)}
    for mark in _MARKS:
        prefixes = [""] if mark in keys else sorted(key.removesuffix(mark) for key in keys if key.endswith("." + mark))
        for prefix in prefixes:
            yield Network(".".join(filter(None, (*path, prefix[:-1]))), value, prefix, mark)
    for key, inner in value.items():
        if isinstance(key, str) and isinstance(inner, Mapping) and len(path) < _DEPTH:
            yield from _find_networks(inner, seen, (*path, key))


def _unwrapped(key: str) -> str:
    return ".".join(part for part in key.split(".") if part not in _WRAPPERS)


def _from_torchvision(name: str, tensors: dict[str, Tensor], published: bool) -> RawWeights:
    """torchvision's names, which are the package's own."""
    tensors = _with_linear_classifiers(tensors)
    aux_heads = not published and _heads_were_trained(name, tensors)
    if not aux_heads:
        tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith(("aux1.", "aux2."))}
    kernel = tensors.get("inception3a.branch3.1.conv.weight")
    assumed: str | None
    if "conv1.conv.bias" in tensors:  # no BatchNorm: Berkeley's network as this program writes it
        network, preprocess, assumed = BERKELEY, layouts.BERKELEY_PREPROCESS, None
    elif kernel is not None and kernel.shape[-1:] == (5,):  # the paper's network, as this program trains it
        network, preprocess, assumed = PAPER, layouts.PAPER_PREPROCESS, "imagenet"
    else:
        network, preprocess, assumed = TORCHVISION, layouts.TORCHVISION_PREPROCESS, None if published else "half"
    return RawWeights(layouts.with_counters(tensors), replace(network, aux_heads=aux_heads), preprocess, assumed)


def _with_linear_classifiers(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A classifier as `Sequential(Dropout, Linear)` under the name of the layer in whose place it stands, and with a bias."""
    tensors = dict(tensors)
    for classifier in layouts.CLASSIFIERS.values():
        layers = [key for key in tensors if re.fullmatch(rf"{re.escape(classifier)}\.[^.]+\.weight", key)]
        if len(layers) == 1:
            place = layers[0].removesuffix(".weight")
            for kind in ("weight", "bias"):
                if f"{place}.{kind}" in tensors:
                    tensors[f"{classifier}.{kind}"] = tensors.pop(f"{place}.{kind}")
        weight = tensors.get(f"{classifier}.weight")
        if weight is not None and weight.ndim == 2 and weight.shape[0] <= MAX_CLASSES:
            tensors.setdefault(f"{classifier}.bias", torch.zeros(weight.shape[0]))
    return tensors


def _heads_were_trained(name: str, tensors: Mapping[str, Tensor]) -> bool:
    """Whether both auxiliary heads are there, tell the main head's classes apart, and have learnt.

    A BatchNorm that was trained has weights other than 1 or biases other than 0. Its running statistics prove nothing: they move
    in each forward pass.
    """
    main = tensors.get("fc.weight")
    same = True
    for head in ("aux1", "aux2"):
        last = tensors.get(f"{head}.fc2.weight")
        affine = [(tensors.get(f"{head}.conv.bn.{kind}"), fresh) for kind, fresh in (("weight", 1.0), ("bias", 0.0))]
        if last is None or all(_is_fresh(tensor, fresh) for tensor, fresh in affine):
            return False
        same = same and (main is None or last.shape[:1] == main.shape[:1])
    if not same:
        left_out = WeightsError("The auxiliary heads of {name} tell other classes apart than the main head; left out.", name=name)
        _LOG.warning("googlenet: %s", in_locale(left_out))
    return same


def _is_fresh(tensor: Tensor | None, value: float) -> bool:
    """Whether a head's BatchNorm has this value alone. False for a tensor that is absent or that the check of tensors refuses."""
    if tensor is None or tensor.shape != (128,) or tensor.dtype not in FLOATS or not is_plain(tensor):
        return False
    return bool((tensor == value).all())


def _from_caffe(name: str, tensors: dict[str, Tensor]) -> RawWeights:
    """Caffe's layers as a state dict; linear layers carry `_1`."""
    theirs = {layer.replace("/", "_"): layer for layer in layouts.CAFFE_LAYERS}
    theirs |= {f"{key}_1": layer for key, layer in theirs.items() if layer.startswith("loss")}
    layers: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        layer, _, kind = key.rpartition(".")
        layers.setdefault(layer, {})[kind] = tensor
    for layer, parts in layers.items():
        if parts.keys() != {"weight", "bias"}:
            raise Difference("layer {layer} does not have one weight and one bias", layer=layer)
    return berkeley(name, ((theirs.get(layer, layer), parts["weight"], parts["bias"]) for layer, parts in layers.items()))


def load_safetensors(name: str, data: bytes) -> dict[str, Tensor]:
    """The tensors of a safetensors file; their list is bounded before it is read."""
    if len(data) >= 8 and _MAX_HEADER < struct.unpack("<Q", data[:8])[0] <= len(data):
        raise Difference("it lists more tensors than a GoogLeNet has")
    try:
        return safetensors.torch.load(data)
    except KeyError:
        raise WeightsError("{name} has numbers of a type that PyTorch does not have; save it as float32.", name=name) from None
    except (SafetensorError, ValueError):
        raise DamagedWeightsError("{name} is damaged or cut short; fetch it anew.", name=name) from None


def _load_pickle(name: str, data: bytes) -> tuple[object, set[str]]:
    """What `torch.load(weights_only=True)` gives, after all that can make it long was counted, and the names that it looks up."""
    pickled = _pickle_of_archive(name, data) if data.startswith(b"PK") else data
    steps, named = _survey(pickled)
    if steps > _MAX_STEPS:
        raise Difference("it lists more tensors than a GoogLeNet has")
    if _MAKES_MEMORY.search(pickled):
        raise _more_than_tensors(name)
    stubs: list[Any] = [(DictStub if each.lower().endswith("dict") else Stub, each) for each in named]
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(stubs):
            warnings.simplefilter("ignore")  # about pickle protocols: the outcome is what counts
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True), named
    except pickle.UnpicklingError:
        raise _more_than_tensors(name) from None
    except Exception:  # the unpickler raises whatever the hostile bytes provoke; none of it was run
        raise WeightsError(
            "{name} cannot be read by torch.load; save the model's state_dict() with torch.save and give that.", name=name
        ) from None


def _more_than_tensors(name: str) -> WeightsError:
    return WeightsError("{name} holds more than tensors; save the model's state_dict() with torch.save and give that.", name=name)


def _survey(data: bytes) -> tuple[int, set[str]]:
    """The instructions of the pickles at the beginning (before 2020 the weights' was the fourth), at most one over the limit,
    and the names that they look up."""
    stream, steps, named = io.BytesIO(data), 0, set()
    with contextlib.suppress(Exception):  # what is no pickle ends the count; torch.load is to judge it
        while stream.tell() < len(data) and steps <= _MAX_STEPS:
            for code, argument, _ in itertools.islice(pickletools.genops(stream), _MAX_STEPS + 1 - steps):
                steps += 1
                if code.name == "GLOBAL":
                    named.add(str(argument).replace(" ", ".").replace("__builtin__.", "builtins.", 1))  # Python 2's name
    return steps, named


def _pickle_of_archive(name: str, data: bytes) -> bytes:
    """The pickle in an archive of `torch.save`, which stores and never compresses, so that a bomb shows in the directory."""
    if data.count(b"PK\x01\x02") > MAX_PARTS:
        raise Difference("it lists more tensors than a GoogLeNet has")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            if any(i.filename.endswith("/constants.pkl") for i in infos):
                raise WeightsError("{name} is a TorchScript program; save the model's state_dict() and give that.", name=name)
            if any(i.compress_type != zipfile.ZIP_STORED for i in infos) or sum(i.file_size for i in infos) > MAX_BYTES:
                raise WeightsError("{name} is compressed, as torch.save never does; save it with torch.save.", name=name)
            return b"".join(archive.read(i) for i in infos if i.filename.endswith("data.pkl"))
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError):
        raise DamagedWeightsError("{name} is damaged or cut short; fetch it anew.", name=name) from None
