"""ONNX: the graph is followed from its output back to the picture, since every exporter names things its own way."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from googlenet.checkpoints.readers.graph import Graph, Node, read_graph
from googlenet.checkpoints.readers.layouts import (
    BATCH_NORM_EPSILON,
    BERKELEY_PREPROCESS,
    IMAGENET_MEAN,
    IMAGENET_STD,
    TORCHVISION_PREPROCESS,
    RawWeights,
    differs,
    rgb,
    with_counters,
)
from googlenet.errors import Reason, WeightsError
from googlenet.model.architecture import BERKELEY, STAGES, TORCHVISION
from googlenet.pictures.images import Preprocess

RESHAPES = ("Reshape", "Flatten", "Squeeze")
STATED_SIDE = 224
"""The input's side where a file leaves it open: the paper's."""


@dataclass(frozen=True)
class Block:
    """Convolution (→ BatchNorm) → ReLU as found."""

    weight: Tensor
    bias: Tensor | None
    norm: tuple[Tensor, Tensor, Tensor, Tensor] | None
    """BatchNorm's weight, bias, running mean, running variance; None where it is folded or there is none"""


def read_onnx(name: str, data: bytes) -> RawWeights:
    """Follow the graph back from its output, as each node names what it takes, to the picture."""
    graph = read_graph(name, data)
    refuse_integers(graph)
    weight, bias, at = head(graph)
    tensors = {"fc.weight": weight, "fc.bias": bias}
    blocks: dict[str, Block] = {}
    maxpool4 = 3
    for stage in reversed(STAGES):
        found, at = inception(graph, at, stage)
        blocks |= found
        if stage == "5a":
            maxpool4, at = max_pool(graph, at, (3, 2))
        elif stage in ("4a", "3a"):
            _, at = max_pool(graph, at, (3,))
    norm = graph.made[at].op == "LRN" if at in graph.made else False
    at = response_norm(graph, at) if norm else at
    blocks["conv3"], at = block(graph, at)
    blocks["conv2"], at = block(graph, at)
    at = response_norm(graph, at) if norm else at
    _, at = max_pool(graph, at, (3,))
    blocks["conv1"], at = block(graph, at, stride=2)
    if norm and at != graph.input:
        differs(name, Reason("something stands between the input and the first convolution"))
    transformed = transform(graph, at)
    for prefix, found_block in blocks.items():
        tensors |= block_tensors(prefix, found_block, batch_norm=not norm)
    kernel = blocks["inception3a.branch3.1"].weight.shape[-1]
    architecture = replace(
        BERKELEY if norm else TORCHVISION,
        branch3_kernel=5 if kernel == 5 else 3,
        maxpool4_kernel=2 if maxpool4 == 2 else 3,
        aux_heads=False,  # what is exported is the path to the main head's logits
    )
    if norm:
        return RawWeights(rgb(tensors), architecture, sized(BERKELEY_PREPROCESS, graph.side))
    # With transform nodes the input is normalised with ImageNet's statistics, and the nodes make it mean 0.5 and std 0.5 on
    # the picture. Without them the file does not say which of the two its input is.
    return RawWeights(
        with_counters(tensors), architecture, sized(TORCHVISION_PREPROCESS, graph.side), None if transformed else "half"
    )


def sized(preprocess: Preprocess, side: int | None) -> Preprocess:
    """The published preprocessing for the side that a file states."""
    if side is None or side == preprocess.crop:
        return preprocess
    resize = round(256 * side / 224)
    return replace(preprocess, resize=(resize, resize) if isinstance(preprocess.resize, tuple) else resize, crop=side)


def refuse_integers(graph: Graph) -> None:
    """Quantised weights are no longer the trained ones."""
    for node in graph.made.values():
        if "Quantize" in node.op or node.op in ("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"):
            raise WeightsError(
                "{name} is quantised to integers (node {index} is a {op}); export the network in float32 or float16 instead.",
                name=graph.name,
                index=node.index,
                op=node.op,
            )


def block(graph: Graph, tensor: str, stride: int = 1) -> tuple[Block, str]:
    """Convolution (→ BatchNorm) → ReLU that ends in a tensor, and the tensor that it starts from."""
    node = graph.step(graph.step(tensor, "Relu").inputs[0], "Conv", "BatchNormalization")
    norm = None
    if node.op == "BatchNormalization":
        graph.require(node, epsilon=(BATCH_NORM_EPSILON, 1e-5), training_mode=(0, 0))
        gamma, beta, mean, variance = (graph.constant(node, position).float() for position in (1, 2, 3, 4))
        norm = (gamma, beta, mean, variance)
        node = graph.step(node.inputs[0], "Conv")
    weight = graph.constant(node, 1).float()
    bias = graph.constant(node, 2).float() if len(node.inputs) > 2 and node.inputs[2] else None
    size = weight.shape[-1] if weight.ndim else 0
    graph.require(
        node,
        kernel_shape=([size, size], [size, size]),
        strides=([stride, stride], [1, 1]),
        pads=([size // 2] * 4, [0] * 4),
        dilations=([1, 1], [1, 1]),
        group=(1, 1),
        auto_pad=(b"NOTSET", b"NOTSET"),
    )
    return Block(weight, bias, norm), node.inputs[0]


def max_pool(graph: Graph, tensor: str, kernels: tuple[int, ...]) -> tuple[int, str]:
    """The max-pool of stride 2 that makes a tensor: its kernel, and the tensor that it starts from."""
    node = graph.step(tensor, "MaxPool")
    kernel = next((k for k in kernels if node.attributes.get("kernel_shape") == [k, k]), kernels[0])
    graph.require(
        node,
        kernel_shape=([kernel, kernel], None),
        strides=([2, 2], [1, 1]),
        dilations=([1, 1], [1, 1]),
        auto_pad=(b"NOTSET", b"NOTSET"),
    )
    # ONNX before opset 10 has no ceil_mode, and exporters pad the far edges instead: on maps of even sides one cell or two
    # (the model zoo's file) give the sizes and the values of rounding up
    even = all(side % 2 == 0 for side in sides(graph.side or STATED_SIDE, kernel)[:-1])
    padded = even and node.attributes.get("pads") in ([0, 0, 1, 1], [0, 0, kernel - 1, kernel - 1])
    if not padded or node.attributes.get("ceil_mode", 0) != 0:
        graph.require(node, pads=([0] * 4, [0] * 4), ceil_mode=(1, 0))
    return kernel, node.inputs[0]


def sides(side: int, last_kernel: int) -> list[int]:
    """The maps' sides for a picture's: after conv1 and after each max-pool, which rounds up."""
    found = [(side - 1) // 2 + 1]
    for kernel in (3, 3, 3, last_kernel):
        found.append(-(-(found[-1] - kernel) // 2) + 1)
    return found


def inception(graph: Graph, tensor: str, stage: str) -> tuple[dict[str, Block], str]:
    """A stage's blocks by the package's names, and the tensor that its four branches start from."""
    node = graph.step(tensor, "Concat")
    graph.require(node, axis=(1, 1))
    if len(node.inputs) != 4:
        graph.wrong(node, "inputs", len(node.inputs), 4)
    blocks, prefix = {}, f"inception{stage}"
    blocks[f"{prefix}.branch1"], source = block(graph, node.inputs[0])
    starts = [source]
    for branch, end in (("branch2", node.inputs[1]), ("branch3", node.inputs[2])):
        blocks[f"{prefix}.{branch}.1"], between = block(graph, end)
        blocks[f"{prefix}.{branch}.0"], start = block(graph, between)
        starts.append(start)
    blocks[f"{prefix}.branch4.1"], between = block(graph, node.inputs[3])
    pool = graph.step(between, "MaxPool")
    graph.require(
        pool,
        kernel_shape=([3, 3], None),
        strides=([1, 1], [1, 1]),
        pads=([1] * 4, [0] * 4),
        dilations=([1, 1], [1, 1]),
        auto_pad=(b"NOTSET", b"NOTSET"),
    )
    if {*starts, pool.inputs[0]} != {source}:
        differs(
            graph.name, Reason("the branches that node {index} (Concat) joins do not start from one tensor", index=node.index)
        )
    return blocks, source


def response_norm(graph: Graph, tensor: str) -> str:
    node = graph.step(tensor, "LRN")
    graph.require(node, size=(5, None), alpha=(1e-4, 1e-4), beta=(0.75, 0.75), bias=(1.0, 1.0))
    return node.inputs[0]


def head(graph: Graph) -> tuple[Tensor, Tensor, str]:
    """The linear layer's weight (classes, 1024) and bias, and the last stage's output."""
    node = graph.step(graph.output, "Gemm", "Add", "Softmax", *RESHAPES)
    while node.op in ("Softmax", *RESHAPES):  # the package takes the logits
        node = graph.step(node.inputs[0], "Gemm", "Add", "Softmax", *RESHAPES)
    if node.op == "Gemm":
        graph.require(node, alpha=(1.0, 1.0), beta=(1.0, 1.0), transA=(0, 0))
        weight, bias = graph.constant(node, 1), graph.constant(node, 2)
        turned = not node.attributes.get("transB", 0)
    else:
        stored = 0 if node.inputs[0] in graph.constants else 1
        bias = graph.constant(node, stored)
        node = graph.step(node.inputs[min(1 - stored, len(node.inputs) - 1)], "MatMul")
        weight, turned = graph.constant(node, 1), True
    weight = weight.t() if turned and weight.ndim == 2 else weight
    node = graph.step(node.inputs[0], "GlobalAveragePool", "AveragePool", "ReduceMean", *RESHAPES)
    while node.op in RESHAPES:  # (N, 1024, 1, 1) → (N, 1024)
        node = graph.step(node.inputs[0], "GlobalAveragePool", "AveragePool", "ReduceMean", *RESHAPES)
    if node.op == "AveragePool":  # of the whole map
        whole = sides(graph.side or STATED_SIDE, 3)[-1]
        graph.require(
            node, kernel_shape=([whole] * 2, None), pads=([0] * 4, [0] * 4), auto_pad=(b"NOTSET", b"NOTSET"), ceil_mode=(0, 0)
        )
    if node.op == "ReduceMean":
        axes = graph.constant(node, 1).tolist() if len(node.inputs) > 1 else node.attributes.get("axes")
        if not isinstance(axes, list) or sorted(axis % 4 for axis in axes) != [2, 3]:
            graph.wrong(node, "axes", axes, [2, 3])
    return weight.float(), bias.float(), node.inputs[0]


def transform(graph: Graph, tensor: str) -> bool:
    """Whether the input goes through torchvision's `transform_input`, with its very constants, before the first convolution."""
    if tensor == graph.input:
        return False
    node = graph.step(tensor, "Concat")
    graph.require(node, axis=(1, 1))
    if len(node.inputs) != 3:
        graph.wrong(node, "inputs", len(node.inputs), 3)
    for channel, end in enumerate(node.inputs):
        shift = graph.step(end, "Add")
        scalar(graph, shift, (IMAGENET_MEAN[channel] - 0.5) / 0.5)
        scale = graph.step(shift.inputs[0], "Mul")
        scalar(graph, scale, IMAGENET_STD[channel] / 0.5)
        pick = graph.step(scale.inputs[0], "Unsqueeze", "Gather")
        if pick.op == "Unsqueeze":
            pick = graph.step(pick.inputs[0], "Gather")
        graph.require(pick, axis=(1, 0))
        taken = graph.constant(pick, 1).flatten().tolist()
        if taken != [channel] or pick.inputs[0] != graph.input:
            graph.wrong(pick, "channels", taken[:3], [channel])
    return True


def scalar(graph: Graph, node: Node, wanted: float) -> None:
    """A constant is one number, equal to the wanted one at the precision of its type."""
    found = graph.constant(node, 1)
    precision = torch.finfo(found.dtype).eps if found.is_floating_point() else 0.0
    if found.numel() != 1 or not math.isclose(found.item(), wanted, rel_tol=2 * precision, abs_tol=1e-5):
        graph.wrong(node, "constant", found.flatten()[:3].tolist(), round(wanted, 5))


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
