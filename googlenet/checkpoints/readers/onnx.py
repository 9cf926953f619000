"""A GoogLeNet stored by others (ONNX, Caffe, a PyTorch state dict) → the package's names, checked tensor by tensor.

The three networks in the world are torchvision's (BatchNorm) and Berkeley's of 2014 (local response normalisation, with both
auxiliary heads), each in several layouts. Every byte is hostile until checked: nothing is run, no other file is opened, and no
length or shape that a file claims is believed before it is compared with what is there.
"""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from googlenet.errors import UserError
from googlenet.images import Preprocess
from googlenet.model import BERKELEY, STAGES, TORCHVISION, Architecture, GoogLeNet

FORMATS = (".onnx", ".caffemodel", ".pth", ".pt")
MAX_BYTES = 200 * 1024 * 1024
"""The largest GoogLeNet in the world is Berkeley's: 54 MB."""
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


def convert(path: Path) -> Converted:
    """A file in any layout of `FORMATS` → checked weights; what the file holds decides, not what it is called.

    Raises UserError, in one sentence with the first thing that differs, for a file that cannot be opened, is larger than
    200 MB, is damaged, keeps weights elsewhere, or is not a GoogLeNet.
    """
    name = path.name
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError("{name} cannot be opened: {error}.", name=path, error=error.strerror) from None
    if len(data) > MAX_BYTES:
        raise UserError("{name} is larger than 200 MB; a GoogLeNet's weights are 54 MB at most.", name=name)
    if data.startswith((b"PK\x03\x04", b"\x80")):  # torch.save's zip, and its pickle of before 2020
        return read_state_dict(name, data)
    try:
        kinds = {(number, isinstance(value, int)) for number, value in fields(memoryview(data))}
    except WireError as error:
        raise UserError(
            "{name} is neither ONNX nor Caffe nor a PyTorch state dict, or it is damaged: {error}.", name=name, error=error
        ) from None
    if (7, False) in kinds:  # ModelProto.graph; NetParameter's field 7 is a number
        return read_onnx(name, data)
    if (100, False) in kinds or (2, False) in kinds:
        return read_caffe(name, memoryview(data))
    raise UserError("{name} holds no network; give a GoogLeNet as ONNX, a .caffemodel, or a PyTorch state dict.", name=name)


def differs(name: str, difference: str) -> NoReturn:
    raise UserError("{name} is not a GoogLeNet: {difference}.", name=name, difference=difference)


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
        raise UserError("{name} has broken weights: {key} holds a value that no training gives.", name=name, key=key)
    return tensor


def times(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "a single number"


# A PyTorch state dict


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
        raise UserError(
            "{name} is damaged or holds more than tensors; save the model's state_dict() with torch.save and give that.",
            name=name,
        ) from None
    if not isinstance(loaded, dict) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in loaded.items()):
        raise UserError(
            "{name} holds something other than a flat dict of tensors; save the model's state_dict() and give that.", name=name
        )
    return dict(loaded)


def check_berkeley(name: str, tensors: dict[str, Tensor]) -> Converted:
    if "fc.weight" not in tensors:
        raise UserError(
            "{name} lacks the main head's classifier (loss3/classifier); give a file that holds the whole network.", name=name
        )
    aux_heads = any(key.startswith(("aux1.", "aux2.")) for key in tensors)
    return check(name, tensors, replace(BERKELEY, aux_heads=aux_heads), BERKELEY_PREPROCESS)


# Caffe: protobuf's wire format, read without a schema compiler


class WireError(ValueError):
    """Bytes that are no protobuf message."""


def varint(view: memoryview, at: int) -> tuple[int, int]:
    """The number at a position and the position after it."""
    value = 0
    for index, byte in enumerate(view[at : at + 10]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise WireError(f"the number at byte {at} has no end")


def fields(view: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """A message's fields, (number, value): an int for a varint, the bytes (not copied) for everything else."""
    at = count = 0
    if not len(view):
        raise WireError("it is empty")
    while at < len(view):
        count += 1
        if count > MAX_FIELDS:
            raise WireError(f"one message has more than {MAX_FIELDS} fields")
        tag, at = varint(view, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = varint(view, at)
            yield number, value
            continue
        if wire not in (1, 2, 5) or number == 0:
            raise WireError(f"byte {at} starts no field")
        length = 8 if wire == 1 else 4
        if wire == 2:
            length, at = varint(view, at)
        if length > len(view) - at:
            raise WireError(f"field {number} claims {length} bytes where {len(view) - at} remain")
        yield number, view[at : at + length]
        at += length


def read_caffe(name: str, view: memoryview) -> Converted:
    """Berkeley's `NetParameter`: field 100 (LayerParameter) in newer files, field 2 (V1LayerParameter) in older ones."""
    tensors: dict[str, Tensor] = {}
    try:
        for number, message in fields(view):
            if number not in (100, 2) or isinstance(message, int):
                continue
            layer, blobs = read_layer(message, *((1, 7) if number == 100 else (4, 6)))
            if not blobs:
                continue
            if layer not in CAFFE_LAYERS:
                differs(name, f"it has weights in a layer {layer!r}, which has no place in it")
            module = CAFFE_LAYERS[layer]
            if len(blobs) != 2 or f"{module}.weight" in tensors:
                differs(name, f"layer {layer} does not have one weight and one bias")
            tensors[f"{module}.weight"] = read_blob(blobs[0], 4 if module.endswith("conv") else 2)
            tensors[f"{module}.bias"] = read_blob(blobs[1], 1)
    except WireError as error:
        raise UserError("{name} is damaged: {error}; fetch it anew.", name=name, error=error) from None
    return check_berkeley(name, tensors)


def read_layer(message: memoryview, name_field: int, blob_field: int) -> tuple[str, list[memoryview]]:
    layer, blobs = "", []
    for number, value in fields(message):
        if number == name_field and not isinstance(value, int):
            layer = bytes(value[:100]).decode("utf-8", "replace")
        if number == blob_field and not isinstance(value, int):
            blobs.append(value)
    return layer, blobs


def read_blob(message: memoryview, rank: int) -> Tensor:
    """A `BlobProto` of at least `rank` dimensions; old files pad theirs to four with leading ones."""
    data, old, new = [], [0, 0, 0, 0], None
    for number, value in fields(message):
        if isinstance(value, int):
            if 1 <= number <= 4:
                old[number - 1] = value
        elif number == 5:
            data.append(value)
        elif number == 7:
            new = read_dims(value)
    dims = old if new is None else new
    raw = b"".join(data)
    if len(raw) % 4 or math.prod(dims) != len(raw) // 4 or not raw:
        raise WireError(f"a blob claims {times(tuple(dims))} numbers where {len(raw) // 4} are stored")
    while len(dims) > rank and dims[0] == 1:
        dims = dims[1:]
    return torch.frombuffer(bytearray(raw), dtype=torch.float32).reshape(dims)


def read_dims(message: memoryview) -> list[int]:
    """A `BlobShape`: dim, packed or one by one."""
    dims: list[int] = []
    for number, value in fields(message):
        if number != 1:
            continue
        if isinstance(value, int):
            dims.append(value)
            continue
        at = 0
        while at < len(value) and len(dims) <= 32:
            dim, at = varint(value, at)
            dims.append(dim)
    if len(dims) > 32:  # Caffe's own limit
        raise WireError("a blob has more than 32 dimensions")
    return dims


# ONNX: the graph is followed, since every exporter names things its own way


@dataclass(frozen=True)
class Node:
    index: int
    op: str
    inputs: tuple[str, ...]
    """names with Identity and Dropout already seen through"""
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Block:
    """Convolution (→ BatchNorm) → ReLU as found."""

    weight: Tensor
    bias: Tensor | None
    norm: tuple[Tensor, Tensor, Tensor, Tensor] | None
    """BatchNorm's weight, bias, running mean, running variance; None where it is folded or there is none"""


class Graph:
    """An ONNX graph as nodes by the tensor that they make, and the constants; nothing outside the file is ever opened."""

    def __init__(self, name: str, data: bytes) -> None:
        import onnx  # one of four formats needs it

        self.name = name
        try:
            graph = onnx.load_model_from_string(data).graph
        except Exception:  # protobuf's DecodeError, which differs with its implementation
            raise UserError("{name} is a damaged ONNX file; export it anew.", name=name) from None
        if len(graph.node) > MAX_FIELDS:
            differs(name, f"it has {len(graph.node)} nodes")
        self.constants: dict[str, Any] = {}
        self.made: dict[str, Node] = {}
        for tensor in graph.initializer:
            self.keep(tensor.name, tensor)
        inputs = [value.name for value in graph.input if value.name not in self.constants]  # old files list weights too
        if len(inputs) != 1 or len(graph.output) != 1:
            differs(name, f"it has {len(inputs)} inputs and {len(graph.output)} outputs where one of each belongs")
        self.input = inputs[0]
        self.alias = {self.input: self.input, "": ""}
        for index, node in enumerate(graph.node):
            self.add(index, node)
        self.output = self.alias.get(graph.output[0].name, "")

    def add(self, index: int, node: Any) -> None:
        """Register one node; a graph without order, or with a cycle, stops here."""
        import onnx

        inputs = []
        for value in node.input:
            if value not in self.alias and value not in self.constants:
                differs(self.name, f"node {index} ({node.op_type}) uses {value!r} before it is made")
            inputs.append(self.alias.get(value, value))
        if not node.output or node.output[0] in self.alias or node.output[0] in self.constants:
            differs(self.name, f"node {index} ({node.op_type}) makes nothing new")
        output = node.output[0]
        kinds = {onnx.AttributeProto.INT: "i", onnx.AttributeProto.FLOAT: "f", onnx.AttributeProto.STRING: "s"}
        attributes: dict[str, Any] = {}
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                self.keep(output, attribute.t)
            elif attribute.type == onnx.AttributeProto.INTS:
                attributes[attribute.name] = list(attribute.ints)
            elif attribute.type in kinds:
                attributes[attribute.name] = getattr(attribute, kinds[attribute.type])
        if output in self.constants:
            return
        if node.op_type in ("Identity", "Dropout") and inputs:
            if inputs[0] in self.constants:
                self.constants[output] = self.constants[inputs[0]]
            else:
                self.alias[output] = inputs[0]
            return
        self.alias[output] = output
        self.made[output] = Node(index, node.op_type, tuple(inputs), attributes)

    def keep(self, key: str, tensor: Any) -> None:
        import onnx

        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            where = next((entry.value for entry in tensor.external_data if entry.key == "location"), "?")
            raise UserError(
                "{name} keeps the weights of {key} in another file ({where}); export it as one file.",
                name=self.name,
                key=key,
                where=where[:100],
            )
        self.constants[key] = tensor

    def step(self, tensor: str, *ops: str) -> Node:
        """The node that makes a tensor, which must be one of `ops`."""
        node = self.made.get(tensor)
        if node is None:
            what = "the input" if tensor == self.input else f"the constant {tensor!r}"
            differs(self.name, f"{what} stands where a {ops[0]} belongs")
        if node.op not in ops:
            differs(self.name, f"node {node.index} is a {node.op} where a {ops[0]} belongs")
        if not node.inputs:
            differs(self.name, f"node {node.index} ({node.op}) has no input")
        return node

    def require(self, node: Node, **expected: tuple[Any, Any]) -> None:
        """Each attribute, given as (what belongs there, ONNX's default), is as expected."""
        for key, (wanted, default) in expected.items():
            found = node.attributes.get(key, default)
            close = isinstance(found, float) and isinstance(wanted, float) and math.isclose(found, wanted, rel_tol=1e-4)
            if found != wanted and not close:
                differs(self.name, f"node {node.index} ({node.op}) has {key} {found} where {wanted} belongs")

    def constant(self, node: Node, position: int) -> Tensor:
        """A stored tensor that a node takes, as float32 or int64."""
        import numpy as np
        import onnx
        from onnx.numpy_helper import to_array

        key = node.inputs[position] if position < len(node.inputs) else ""
        tensor = self.constants.get(key)
        kinds = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE, onnx.TensorProto.INT64)
        if tensor is None or tensor.data_type not in kinds:
            differs(self.name, f"input {position} of node {node.index} ({node.op}) is not stored in the file as numbers")
        try:
            array = np.array(to_array(tensor))  # compares the claimed shape with the bytes that are there
        except Exception:
            raise UserError("{name} is damaged: {key} does not have the numbers it claims.", name=self.name, key=key) from None
        return torch.from_numpy(array if array.dtype == np.int64 else array.astype(np.float32))

    def block(self, tensor: str, stride: int = 1) -> tuple[Block, str]:
        """Convolution (→ BatchNorm) → ReLU that ends in a tensor, and the tensor that it starts from."""
        node = self.step(self.step(tensor, "Relu").inputs[0], "Conv", "BatchNormalization")
        norm = None
        if node.op == "BatchNormalization":
            self.require(node, epsilon=(BATCH_NORM_EPSILON, 1e-5), training_mode=(0, 0))
            norm = (self.constant(node, 1), self.constant(node, 2), self.constant(node, 3), self.constant(node, 4))
            node = self.step(node.inputs[0], "Conv")
        weight = self.constant(node, 1)
        bias = self.constant(node, 2) if len(node.inputs) > 2 and node.inputs[2] else None
        size = weight.shape[-1] if weight.ndim else 0
        self.require(
            node,
            kernel_shape=([size, size], [size, size]),
            strides=([stride, stride], [1, 1]),
            pads=([size // 2] * 4, [0] * 4),
            dilations=([1, 1], [1, 1]),
            group=(1, 1),
            auto_pad=(b"NOTSET", b"NOTSET"),
        )
        return Block(weight, bias, norm), node.inputs[0]

    def max_pool(self, tensor: str, kernels: tuple[int, ...]) -> tuple[int, str]:
        """The max-pool of stride 2 that makes a tensor: its kernel, and the tensor that it starts from."""
        node = self.step(tensor, "MaxPool")
        kernel = next((k for k in kernels if node.attributes.get("kernel_shape") == [k, k]), kernels[0])
        self.require(
            node,
            kernel_shape=([kernel, kernel], None),
            strides=([2, 2], [1, 1]),
            dilations=([1, 1], [1, 1]),
            auto_pad=(b"NOTSET", b"NOTSET"),
        )
        # ONNX before opset 10 has no ceil_mode, and exporters pad the far edges instead: on a map of even sides, as all of them
        # are for a 224×224 picture, one cell or two (the model zoo's file) give the sizes and the values of rounding up
        padded = node.attributes.get("pads") in ([0, 0, 1, 1], [0, 0, kernel - 1, kernel - 1])
        if not padded or node.attributes.get("ceil_mode", 0) != 0:
            self.require(node, pads=([0] * 4, [0] * 4), ceil_mode=(1, 0))
        return kernel, node.inputs[0]

    def inception(self, tensor: str, stage: str) -> tuple[dict[str, Block], str]:
        """A stage's blocks by the package's names, and the tensor that its four branches start from."""
        node = self.step(tensor, "Concat")
        self.require(node, axis=(1, 1))
        if len(node.inputs) != 4:
            differs(self.name, f"node {node.index} (Concat) joins {len(node.inputs)} branches where 4 belong")
        blocks, prefix = {}, f"inception{stage}"
        blocks[f"{prefix}.branch1"], source = self.block(node.inputs[0])
        starts = [source]
        for branch, end in (("branch2", node.inputs[1]), ("branch3", node.inputs[2])):
            blocks[f"{prefix}.{branch}.1"], between = self.block(end)
            blocks[f"{prefix}.{branch}.0"], start = self.block(between)
            starts.append(start)
        blocks[f"{prefix}.branch4.1"], between = self.block(node.inputs[3])
        pool = self.step(between, "MaxPool")
        self.require(
            pool,
            kernel_shape=([3, 3], None),
            strides=([1, 1], [1, 1]),
            pads=([1] * 4, [0] * 4),
            dilations=([1, 1], [1, 1]),
            auto_pad=(b"NOTSET", b"NOTSET"),
        )
        if {*starts, pool.inputs[0]} != {source}:
            differs(self.name, f"the branches that node {node.index} (Concat) joins do not start from one tensor")
        return blocks, source

    def response_norm(self, tensor: str) -> str:
        node = self.step(tensor, "LRN")
        self.require(node, size=(5, None), alpha=(1e-4, 1e-4), beta=(0.75, 0.75), bias=(1.0, 1.0))
        return node.inputs[0]

    def head(self, tensor: str) -> tuple[Tensor, Tensor, str]:
        """The linear layer's weight (classes, 1024) and bias, and the last stage's output."""
        node = self.step(tensor, "Gemm", "Add", "Softmax", "Reshape", "Flatten")
        while node.op in ("Softmax", "Reshape", "Flatten"):  # the package takes the logits
            node = self.step(node.inputs[0], "Gemm", "Add", "Softmax", "Reshape", "Flatten")
        if node.op == "Gemm":
            self.require(node, alpha=(1.0, 1.0), beta=(1.0, 1.0), transA=(0, 0))
            weight, bias = self.constant(node, 1), self.constant(node, 2)
            weight = weight if node.attributes.get("transB", 0) else weight.t() if weight.ndim == 2 else weight
        else:
            stored = 0 if node.inputs[0] in self.constants else 1
            bias = self.constant(node, stored)
            node = self.step(node.inputs[min(1 - stored, len(node.inputs) - 1)], "MatMul")
            weight = self.constant(node, 1)
            weight = weight.t() if weight.ndim == 2 else weight
        shapes = ("Reshape", "Flatten", "Squeeze")
        node = self.step(node.inputs[0], "GlobalAveragePool", "AveragePool", "ReduceMean", *shapes)
        while node.op in shapes:  # (N, 1024, 1, 1) → (N, 1024)
            node = self.step(node.inputs[0], "GlobalAveragePool", "AveragePool", "ReduceMean", *shapes)
        if node.op == "AveragePool":  # of the whole map, which is 7×7 for a 224×224 picture
            self.require(
                node, kernel_shape=([7, 7], None), pads=([0] * 4, [0] * 4), auto_pad=(b"NOTSET", b"NOTSET"), ceil_mode=(0, 0)
            )
        if node.op == "ReduceMean":
            axes = self.constant(node, 1).tolist() if len(node.inputs) > 1 else node.attributes.get("axes")
            if not isinstance(axes, list) or sorted(axis % 4 for axis in axes) != [2, 3]:
                differs(self.name, f"node {node.index} (ReduceMean) has axes {axes} where [2, 3] belongs")
        return weight, bias, node.inputs[0]

    def transform(self, tensor: str) -> None:
        """The start: the input itself, or torchvision's `transform_input` of each channel, with its very constants."""
        if tensor == self.input:
            return
        node = self.step(tensor, "Concat")
        self.require(node, axis=(1, 1))
        if len(node.inputs) != 3:
            differs(self.name, f"node {node.index} (Concat) joins {len(node.inputs)} channels where 3 belong")
        for channel, end in enumerate(node.inputs):
            shift = self.step(end, "Add")
            self.scalar(shift, (IMAGENET_MEAN[channel] - 0.5) / 0.5)
            scale = self.step(shift.inputs[0], "Mul")
            self.scalar(scale, IMAGENET_STD[channel] / 0.5)
            pick = self.step(scale.inputs[0], "Unsqueeze", "Gather")
            if pick.op == "Unsqueeze":
                pick = self.step(pick.inputs[0], "Gather")
            self.require(pick, axis=(1, 0))
            if self.constant(pick, 1).flatten().tolist() != [channel] or pick.inputs[0] != self.input:
                differs(self.name, f"node {pick.index} (Gather) does not take the input's channel {channel}")

    def scalar(self, node: Node, wanted: float) -> None:
        found = self.constant(node, 1).flatten().tolist()
        if len(found) != 1 or not math.isclose(found[0], wanted, abs_tol=1e-5):
            differs(self.name, f"node {node.index} ({node.op}) has the constant {found[:3]} where {wanted:.5f} belongs")


def read_onnx(name: str, data: bytes) -> Converted:
    """Follow the graph back from its output, as each node names what it takes, to the picture."""
    graph = Graph(name, data)
    weight, bias, at = graph.head(graph.output)
    tensors = {"fc.weight": weight, "fc.bias": bias}
    blocks: dict[str, Block] = {}
    maxpool4 = 3
    for stage in reversed(STAGES):
        found, at = graph.inception(at, stage)
        blocks |= found
        if stage == "5a":
            maxpool4, at = graph.max_pool(at, (3, 2))
        elif stage in ("4a", "3a"):
            _, at = graph.max_pool(at, (3,))
    norm = graph.made[at].op == "LRN" if at in graph.made else False
    at = graph.response_norm(at) if norm else at
    blocks["conv3"], at = graph.block(at)
    blocks["conv2"], at = graph.block(at)
    at = graph.response_norm(at) if norm else at
    _, at = graph.max_pool(at, (3,))
    blocks["conv1"], at = graph.block(at, stride=2)
    if norm and at != graph.input:
        differs(name, "something stands between the input and the first convolution")
    graph.transform(at)
    for prefix, block in blocks.items():
        tensors |= block_tensors(prefix, block, batch_norm=not norm)
    kernel = blocks["inception3a.branch3.1"].weight.shape[-1]
    architecture = replace(
        BERKELEY if norm else TORCHVISION,
        branch3_kernel=5 if kernel == 5 else 3,
        maxpool4_kernel=2 if maxpool4 == 2 else 3,
        aux_heads=False,  # what is exported is the path to the main head's logits
    )
    # With transform nodes the input is normalised with ImageNet's statistics, and the nodes make it mean 0.5 and std 0.5 on
    # the picture. Without them the same weights still expect that of their input: the exporter left the transform to the caller.
    return check(name, tensors, architecture, BERKELEY_PREPROCESS if norm else TORCHVISION_PREPROCESS)


def block_tensors(prefix: str, block: Block, batch_norm: bool) -> dict[str, Tensor]:
    """A block under the package's names. A folded BatchNorm becomes one that only adds the convolution's bias."""
    weight, outputs = block.weight, block.weight.shape[:1]
    bias = torch.zeros(outputs) if block.bias is None else block.bias
    tensors = {f"{prefix}.conv.weight": weight}
    if not batch_norm:
        return tensors | {f"{prefix}.conv.bias": bias}
    if block.norm is None:
        # a variance of 1 − epsilon: the square root that BatchNorm divides by is 1
        scale, shift, mean, variance = (
            torch.ones(outputs),
            bias,
            torch.zeros(outputs),
            torch.full(outputs, 1 - BATCH_NORM_EPSILON),
        )
    else:
        scale, shift, mean, variance = block.norm
        mean = mean - bias if mean.shape == bias.shape else mean
    return tensors | {
        f"{prefix}.bn.weight": scale,
        f"{prefix}.bn.bias": shift,
        f"{prefix}.bn.running_mean": mean,
        f"{prefix}.bn.running_var": variance,
    }
