"""ONNX, through the `onnx` package: the graph is followed from its output to the picture, since every exporter has its own names.

Nothing outside the file is opened, and nothing of it is run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from googlenet.checkpoints.readers import layouts
from googlenet.checkpoints.readers.layouts import Difference, RawWeights
from googlenet.checkpoints.readers.protobuf import Wire
from googlenet.errors import Reason, WeightsError, missing_extra
from googlenet.model.architecture import BERKELEY, STAGES, TORCHVISION
from googlenet.pictures.images import Preprocess

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto, TensorProto

__all__ = ["read_onnx"]

MAX_ONNX = 1 << 26
"""The most bytes of a file. The largest published one has 28 MB, and a parser makes up to eight bytes of one."""
_DEPTH = 100
"""How deep messages may lie in each other; protobuf's own limit. How many numbers of a list are read: a GoogLeNet's has four."""
_FLOATS = (1, 10, 11, 16)
"""ONNX's numbers for single, half, double and bfloat16."""
_INTEGERS = (6, 7)
_ATTRIBUTES = {1: "f", 2: "i", 3: "s", 4: "t", 7: "ints"}
"""ONNX's number for a kind of attribute → the field of its value; no GoogLeNet has other kinds."""
_SEEN_THROUGH = ("Identity", "Dropout", "Cast")
"""Nodes that hand on what they get, in use."""
_RESHAPES = ("Reshape", "Flatten", "Squeeze")
_QUANTISED = ("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger")
_SIDE = 224
"""The input's side where a file leaves it open: the paper's."""
_DEFAULTS: dict[tuple[str, str], object] = {
    **{(op, "strides"): [1, 1] for op in ("Conv", "MaxPool")},
    **{(op, "pads"): [0, 0, 0, 0] for op in ("Conv", "MaxPool")},
    **{("MaxPool", "ceil_mode"): 0, ("BatchNormalization", "epsilon"): 1e-5, ("Gather", "axis"): 0},
    **{("MaxPool", "kernel_shape"): None, ("AveragePool", "kernel_shape"): None, ("LRN", "size"): None},
}
"""(node, attribute) → the value of an attribute that is not stated, where that is not what a GoogLeNet has; None for no value."""
_UNPADDED = {"dilations": [1, 1], "auto_pad": b"NOTSET"}


@dataclass(frozen=True)
class Node:
    index: int
    op: str
    inputs: tuple[str, ...]
    """names with `_SEEN_THROUGH` nodes left out"""
    attributes: dict[str, Any]

    def input(self, position: int = 0) -> str:
        """The name of an input; empty where the node does not have it."""
        return self.inputs[position] if position < len(self.inputs) else ""

    def require(self, **expected: object) -> None:
        """Each attribute is as expected."""
        for key, wanted in expected.items():
            value = self.attributes.get(key, _DEFAULTS.get((self.op, key), wanted))
            close = isinstance(value, float) and isinstance(wanted, float) and math.isclose(value, wanted, rel_tol=1e-4)
            if value != wanted and not close:
                raise self.wrong(key, value, wanted)

    def wrong(self, what: str, value: object, wanted: object) -> Difference:
        """One of its attributes or constants is not as expected."""
        return Difference(
            "node {index} ({op}) has {what} {found} where {wanted} belongs",
            index=self.index,
            op=self.op,
            what=what,
            found=str(value),
            wanted=str(wanted),
        )


class Graph:
    """An ONNX graph as nodes by the tensor that they make, the stored tensors, and the GoogLeNet's tensors that were found."""

    def __init__(self, name: str, graph: GraphProto) -> None:
        """`name`: of the file."""
        self.name = name
        self.stored: dict[str, TensorProto] = {}
        self.nodes: dict[str, Node] = {}
        self.decoded: dict[str, Tensor] = {}
        self.tensors: dict[str, Tensor] = {}
        for tensor in graph.initializer:
            self.store(tensor.name, tensor)
        pictures = [value for value in graph.input if value.name not in self.stored]  # old files list the weights as inputs too
        inputs, outputs = len(pictures), len(graph.output)
        if (inputs, outputs) != (1, 1):
            raise Difference(
                "it has {inputs} inputs and {outputs} outputs where one of each belongs", inputs=inputs, outputs=outputs
            )
        self.input = pictures[0].name
        self.side = _stated_side([dim.dim_value for dim in pictures[0].type.tensor_type.shape.dim])
        alias: dict[str, str] = {}
        for index, node in enumerate(graph.node):
            sources, attributes = tuple(alias.get(value, value) for value in node.input), _attributes_of(node)
            through = node.op_type in _SEEN_THROUGH and sources and attributes.get("to", 1) in _FLOATS
            for position, output in enumerate(node.output):
                if position == 0 and through:
                    alias[output] = sources[0]
                elif node.op_type == "Constant" and hasattr(attributes.get("value"), "dims"):
                    self.store(output, attributes["value"])
                else:  # what is not the first output is never what a GoogLeNet goes on with
                    op = node.op_type if position == 0 else f"{node.op_type}, output {position + 1}"
                    self.nodes[output] = Node(index, op, sources, attributes)
        self.norms_responses = any(node.op == "LRN" for node in self.nodes.values())  # as Berkeley's network does
        self.output = alias.get(graph.output[0].name, graph.output[0].name)

    def store(self, key: str, tensor: TensorProto) -> None:
        if tensor.external_data or tensor.data_location:
            where = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
            raise WeightsError(
                "{name} keeps the weights of {key} in another file ({where}); export it as one file.",
                name=self.name,
                key=key,
                where=where,
            )
        self.stored[key] = tensor

    def skip(self, tensor: str, *ops: str) -> str:
        """The tensor that a chain of such nodes starts from."""
        for _ in range(_DEPTH):  # a damaged file may lead in a circle
            if tensor in self.nodes and self.nodes[tensor].op in ops:
                tensor = self.nodes[tensor].input()
        return tensor

    def step(self, tensor: str, *ops: str, **attributes: object) -> Node:
        """The node that makes a tensor, which must be one of `ops` with these attributes."""
        node = self.nodes.get(tensor)
        if node is None:
            raise Difference("no node makes {tensor} where a {wanted} belongs", tensor=repr(tensor), wanted=ops[0])
        if node.op not in ops:
            raise Difference("node {index} is a {op} where a {wanted} belongs", index=node.index, op=node.op, wanted=ops[0])
        node.require(**attributes)
        return node

    def constant(self, node: Node, position: int) -> Tensor:
        """A stored tensor that a node takes, as float32."""
        from onnx import numpy_helper

        key = node.input(position)
        if key not in self.decoded:  # a file may name one a thousand times
            tensor = self.stored.get(key)
            if tensor is None or tensor.data_type not in (*_FLOATS, *_INTEGERS):
                raise Difference(
                    "input {position} of node {index} ({op}) is not stored in the file as numbers",
                    position=position,
                    index=node.index,
                    op=node.op,
                )
            try:
                with np.errstate(over="ignore"):
                    array = numpy_helper.to_array(tensor).astype(np.float32)
            except (ValueError, TypeError):
                array = None
            if array is None or array.shape != tuple(tensor.dims):  # a negative side stands for any size
                raise Reason("{key} holds another number of values than it declares", key=key)
            self.decoded[key] = torch.from_numpy(array)
        return self.decoded[key]


def read_onnx(name: str, data: bytes) -> RawWeights:
    """Follow the graph back from its output, as each node names what it takes, to the picture."""
    graph = _read_graph(name, data)
    for node in graph.nodes.values():
        if "Quantize" in node.op or node.op in _QUANTISED:
            raise WeightsError(
                "{name} is quantised to integers (node {index} is a {op}); export the network in float32 or float16 instead.",
                name=name,
                index=node.index,
                op=node.op,
            )
    at = _head(graph)
    for stage in reversed(STAGES):
        at = _inception(graph, at, stage)
        if stage == "5a":
            pool = _max_pool(graph, at, 3, 2)
            maxpool4, at = pool.attributes["kernel_shape"][0], pool.input()
        elif stage in ("4a", "3a"):
            at = _max_pool(graph, at, 3).input()
    at = _block(graph, _response_norm(graph, at), "conv3")
    at = _response_norm(graph, _block(graph, at, "conv2"))
    at = _block(graph, _max_pool(graph, at, 3).input(), "conv1", stride=2)
    architecture = replace(
        BERKELEY if graph.norms_responses else TORCHVISION,
        branch3_kernel=5 if graph.tensors["inception3a.branch3.1.conv.weight"].shape[-1] == 5 else 3,
        maxpool4_kernel=maxpool4,
        aux_heads=False,  # what is exported is the path to the main head's logits
    )
    if graph.norms_responses:
        if at != graph.input:
            raise Difference("something stands between the input and the first convolution")
        return RawWeights(layouts.rgb(graph.tensors), architecture, _sized(layouts.BERKELEY_PREPROCESS, graph.side))
    # With transform nodes the input is normalised with ImageNet's statistics, and the nodes make it mean 0.5 and std 0.5 on
    # the picture. Without them the file does not say which of the two its input is.
    assumed = None if _transform(graph, at) else "half"
    return RawWeights(
        layouts.with_counters(graph.tensors), architecture, _sized(layouts.TORCHVISION_PREPROCESS, graph.side), assumed
    )


def _read_graph(name: str, data: bytes) -> Graph:
    """A ModelProto's graph. Raises Reason for what is no protobuf message, or what no GoogLeNet has."""
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise missing_extra(error) from None
    if len(data) > MAX_ONNX:
        raise Difference("it is larger than {limit} MB", limit=MAX_ONNX >> 20)
    _count(Wire(), memoryview(data), onnx.ModelProto.DESCRIPTOR)
    try:
        model = onnx.load_model_from_string(data)
    except Exception:  # protobuf's own, which onnx does not name
        raise Reason("it is no ONNX model") from None
    return Graph(name, model.graph)


def _count(wire: Wire, message: memoryview, kind: Any, depth: int = 0) -> None:
    """Refuse a file of too many messages before a parser makes an object of each: 20 MB of empty tensors took 1.7 GB."""
    if depth > _DEPTH:
        raise Reason("its messages lie too deep in each other")
    for number, value in wire.fields(message):
        part = kind.fields_by_number.get(number)
        if part is not None and part.message_type is not None and isinstance(value, memoryview):
            _count(wire, value, part.message_type, depth + 1)


def _attributes_of(node: NodeProto) -> dict[str, Any]:
    """A node's attributes by name."""
    values = {each.name: getattr(each, _ATTRIBUTES[each.type]) for each in node.attribute if each.type in _ATTRIBUTES}
    return {key: list(value[:_DEPTH]) if hasattr(value, "append") else value for key, value in values.items()}


def _stated_side(shape: list[int]) -> int:
    """The side of a square input (N, 3, S, S)."""
    if len(shape) != 4 or 0 in shape[2:]:
        return _SIDE
    height, width = shape[2:]
    if height != width or not 64 <= height <= 1024:
        raise Difference("its input is {height}×{width} where a square of 64 to 1024 belongs", height=height, width=width)
    return height


def _sized(preprocess: Preprocess, side: int) -> Preprocess:
    """The published preprocessing for the side that a file states."""
    resize = round(256 * side / _SIDE)
    return replace(preprocess, resize=(resize, resize) if isinstance(preprocess.resize, tuple) else resize, crop=side)


def _block(graph: Graph, tensor: str, prefix: str, stride: int = 1) -> str:
    """Take the convolution (→ BatchNorm) → ReLU that ends in a tensor. Returns the tensor that it starts from.

    A BatchNorm that is folded into the convolution becomes one that only adds the bias.
    """
    node = graph.step(graph.step(tensor, "Relu").input(), "Conv", "BatchNormalization")
    statistics = None
    if node.op == "BatchNormalization":
        node.require(epsilon=layouts.BATCH_NORM_EPSILON, training_mode=0)
        statistics = [graph.constant(node, position) for position in (1, 2, 3, 4)]
        node = graph.step(node.input(), "Conv")
    weight = graph.constant(node, 1)
    size, outputs = weight.shape[-1] if weight.ndim else 0, weight.shape[:1]
    bias = graph.constant(node, 2) if node.input(2) else torch.zeros(outputs)
    node.require(kernel_shape=[size, size], strides=[stride, stride], pads=[size // 2] * 4, group=1, **_UNPADDED)
    graph.tensors[f"{prefix}.conv.weight"] = weight
    if graph.norms_responses:  # Berkeley's network has no BatchNorm
        graph.tensors[f"{prefix}.conv.bias"] = bias
        return node.input()
    if statistics is None:  # the square root that BatchNorm divides by is 1
        statistics = [torch.ones(outputs), bias, torch.zeros(outputs), torch.full(outputs, 1 - layouts.BATCH_NORM_EPSILON)]
    elif statistics[2].shape == bias.shape:
        statistics[2] = statistics[2] - bias
    names = ("weight", "bias", "running_mean", "running_var")
    graph.tensors |= {f"{prefix}.bn.{name}": value for name, value in zip(names, statistics, strict=True)}
    return node.input()


def _max_pool(graph: Graph, tensor: str, *kernels: int) -> Node:
    """The max-pool of stride 2 that makes a tensor, of one of the kernels."""
    node = graph.step(tensor, "MaxPool", strides=[2, 2], **_UNPADDED)
    kernel = next((k for k in kernels if node.attributes.get("kernel_shape") == [k, k]), kernels[0])
    node.require(kernel_shape=[kernel, kernel])
    # ONNX before opset 10 has no ceil_mode, and exporters pad the far edges instead: on maps of even sides one cell or two
    # (the model zoo's file) give the sizes and the values of rounding up
    even = all(side % 2 == 0 for side in _sides(graph.side, kernel)[:-1])
    padded = even and node.attributes.get("pads") in ([0, 0, 1, 1], [0, 0, kernel - 1, kernel - 1])
    if not padded or node.attributes.get("ceil_mode", 0) != 0:
        node.require(pads=[0] * 4, ceil_mode=1)
    return node


def _sides(side: int, last_kernel: int) -> list[int]:
    """The maps' sides for a picture's: after conv1 and after each max-pool, which rounds up."""
    found = [(side - 1) // 2 + 1]
    for kernel in (3, 3, 3, last_kernel):
        found.append(-(-(found[-1] - kernel) // 2) + 1)
    return found


def _inception(graph: Graph, tensor: str, stage: str) -> str:
    """Take a stage's blocks. Returns the tensor that its four branches start from."""
    node, prefix = _join(graph, tensor, 4), f"inception{stage}"
    starts = {_block(graph, node.input(0), f"{prefix}.branch1")}
    for branch, end in ("branch2", node.input(1)), ("branch3", node.input(2)):
        starts.add(_block(graph, _block(graph, end, f"{prefix}.{branch}.1"), f"{prefix}.{branch}.0"))
    pooled = _block(graph, node.input(3), f"{prefix}.branch4.1")
    pool = graph.step(pooled, "MaxPool", kernel_shape=[3, 3], strides=[1, 1], pads=[1] * 4, **_UNPADDED)
    if starts != {pool.input()}:
        raise Difference("the branches that node {index} (Concat) joins do not start from one tensor", index=node.index)
    return pool.input()


def _join(graph: Graph, tensor: str, inputs: int) -> Node:
    """The node that joins channels into a tensor."""
    node = graph.step(tensor, "Concat", axis=1)
    if len(node.inputs) != inputs:
        raise node.wrong("inputs", len(node.inputs), inputs)
    return node


def _response_norm(graph: Graph, tensor: str) -> str:
    """The tensor before the response normalisation that ends in a tensor; the tensor itself in torchvision's network."""
    if not graph.norms_responses:
        return tensor
    return graph.step(tensor, "LRN", size=5, alpha=1e-4, beta=0.75, bias=1.0).input()


def _head(graph: Graph) -> str:
    """Take the linear layer, with a weight of (classes, 1024). Returns the last stage's output."""
    node = graph.step(graph.skip(graph.output, "Softmax", *_RESHAPES), "Gemm", "Add")  # the package takes the logits
    if node.op == "Gemm":
        node.require(alpha=1.0, beta=1.0, transA=0)
        bias, turned = graph.constant(node, 2), not node.attributes.get("transB", 0)
    else:
        stored = 0 if node.input() in graph.stored else 1
        bias, turned = graph.constant(node, stored), True
        node = graph.step(node.input(1 - stored), "MatMul")
    weight = graph.constant(node, 1)
    graph.tensors |= {"fc.weight": weight.t() if turned and weight.ndim == 2 else weight, "fc.bias": bias}
    node = graph.step(graph.skip(node.input(), *_RESHAPES), "GlobalAveragePool", "AveragePool", "ReduceMean")
    if node.op == "AveragePool":  # of the whole map
        side = _sides(graph.side, 3)[-1]
        node.require(kernel_shape=[side, side], pads=[0] * 4, ceil_mode=0, **_UNPADDED)
    if node.op == "ReduceMean":
        axes = graph.constant(node, 1).flatten()[:_DEPTH].tolist() if node.input(1) else node.attributes.get("axes")
        if not isinstance(axes, list) or sorted(axis % 4 for axis in axes) != [2, 3]:
            raise node.wrong("axes", axes, [2, 3])
    return node.input()


def _transform(graph: Graph, tensor: str) -> bool:
    """Whether the input goes through torchvision's `transform_input`, with its very constants, before the first convolution."""
    if tensor == graph.input:
        return False
    for channel, end in enumerate(_join(graph, tensor, 3).inputs):
        shift = graph.step(end, "Add")
        _scalar(graph, shift, (layouts.IMAGENET_MEAN[channel] - 0.5) / 0.5)
        scale = graph.step(shift.input(), "Mul")
        _scalar(graph, scale, layouts.IMAGENET_STD[channel] / 0.5)
        pick = graph.step(graph.skip(scale.input(), "Unsqueeze"), "Gather", axis=1)
        channels = graph.constant(pick, 1).flatten()[:3].tolist()
        if channels != [channel] or pick.input() != graph.input:
            raise pick.wrong("channels", channels, [channel])
    return True


def _scalar(graph: Graph, node: Node, wanted: float) -> None:
    """A constant is one number, equal to the wanted one at the precision of bfloat16."""
    value = graph.constant(node, 1)
    if value.numel() != 1 or not math.isclose(value.item(), wanted, rel_tol=2**-8, abs_tol=1e-5):
        raise node.wrong("constant", value.flatten()[:3].tolist(), round(wanted, 5))
