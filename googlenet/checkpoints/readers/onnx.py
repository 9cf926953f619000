"""ONNX: the graph is followed, since every exporter names things its own way."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from googlenet.architecture import BERKELEY, STAGES, TORCHVISION
from googlenet.checkpoints.readers.converted import (
    BATCH_NORM_EPSILON,
    BERKELEY_PREPROCESS,
    IMAGENET_MEAN,
    IMAGENET_STD,
    MAX_FIELDS,
    TORCHVISION_PREPROCESS,
    Converted,
    check,
    differs,
)
from googlenet.errors import WeightsError, missing_extra


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
        try:
            import onnx  # one of four formats needs it
        except ModuleNotFoundError as error:
            raise missing_extra(error) from None
        self.name = name
        try:
            graph = onnx.load_model_from_string(data).graph
        except Exception:  # protobuf's DecodeError, which differs with its implementation
            raise WeightsError("{name} is a damaged ONNX file; export it anew.", name=name) from None
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
            raise WeightsError(
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
            raise WeightsError("{name} is damaged: {key} does not have the numbers it claims.", name=self.name, key=key) from None
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
