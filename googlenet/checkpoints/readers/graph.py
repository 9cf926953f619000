"""An ONNX file as a graph, through the `onnx` package. Nothing outside the file is opened, and nothing of it is run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from googlenet.checkpoints.checkpoint import MAX_BYTES
from googlenet.checkpoints.readers.layouts import differs
from googlenet.checkpoints.readers.wire import Wire
from googlenet.errors import Reason, WeightsError, missing_extra

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto, ValueInfoProto

FLOAT, INT32, INT64, FLOAT16, DOUBLE, BFLOAT16 = 1, 6, 7, 10, 11, 16
"""ONNX's numbers for the types of a GoogLeNet's tensors."""
FLOATS = (FLOAT, FLOAT16, DOUBLE, BFLOAT16)
MAX_INTEGERS = 1000
"""The most bytes of a list of integers, such as axes."""
SEEN_THROUGH = ("Identity", "Dropout", "Cast")
"""Nodes that hand on what they get, in use."""
MAX_ONNX = 1 << 26
"""The most bytes of a file. The largest published one has 28 MB, and a parser makes up to eight bytes of one."""
DEPTH = 100
"""How deep messages may lie in each other; protobuf's own limit."""


@dataclass(frozen=True)
class Node:
    index: int
    op: str
    inputs: tuple[str, ...]
    """names with `SEEN_THROUGH` nodes left out"""
    attributes: dict[str, Any]


@dataclass
class Graph:
    """An ONNX graph as nodes by the tensor that they make, and the constants."""

    name: str
    """of the file"""
    constants: dict[str, TensorProto] = field(default_factory=dict)
    made: dict[str, Node] = field(default_factory=dict)
    alias: dict[str, str] = field(default_factory=lambda: {"": ""})
    """tensor → the tensor that it equals"""
    input: str = ""
    output: str = ""
    taken: int = 0
    """bytes of the constants that were decoded so far"""
    side: int | None = None
    """the picture's side in pixels where the file states it"""

    def add(self, index: int, node: NodeProto) -> None:
        """Register one node; a graph without order, or with a cycle, stops here."""
        op = node.op_type
        for value in node.input:
            if value not in self.alias and value not in self.constants:
                differs(
                    self.name, Reason("node {index} ({op}) uses {tensor} before it is made", index=index, op=op, tensor=value)
                )
        taken = tuple(self.alias.get(value, value) for value in node.input)
        outputs = [output for output in node.output if output]
        if not outputs or any(output in self.alias or output in self.constants for output in outputs):
            differs(self.name, Reason("node {index} ({op}) has no output with a new name", index=index, op=op))
        attributes = attributes_of(node)
        if op == "Constant" and hasattr(attributes.get("value"), "dims"):
            self.keep(outputs[0], attributes["value"])
            return
        through = op in SEEN_THROUGH and taken and attributes.get("to", FLOAT) in FLOATS
        for position, output in enumerate(outputs):
            if through and position == 0 and taken[0] in self.constants:
                self.constants[output] = self.constants[taken[0]]
            elif through and position == 0:
                self.alias[output] = taken[0]
            else:  # what is not the first output is never what a GoogLeNet goes on with
                self.alias[output] = output
                self.made[output] = Node(index, op if position == 0 else f"{op}, output {position + 1}", taken, attributes)

    def keep(self, key: str, tensor: TensorProto) -> None:
        if tensor.external_data or tensor.data_location:
            where = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
            raise WeightsError(
                "{name} keeps the weights of {key} in another file ({where}); export it as one file.",
                name=self.name,
                key=key,
                where=where,
            )
        self.constants[key] = tensor

    def step(self, tensor: str, *ops: str) -> Node:
        """The node that makes a tensor, which must be one of `ops`."""
        node = self.made.get(tensor)
        if node is None and tensor == self.input:
            differs(self.name, Reason("the input stands where a {wanted} belongs", wanted=ops[0]))
        if node is None:
            differs(self.name, Reason("the constant {tensor} stands where a {wanted} belongs", tensor=tensor, wanted=ops[0]))
        if node.op not in ops:
            differs(
                self.name, Reason("node {index} is a {op} where a {wanted} belongs", index=node.index, op=node.op, wanted=ops[0])
            )
        if not node.inputs:
            differs(self.name, Reason("node {index} ({op}) has no input", index=node.index, op=node.op))
        return node

    def require(self, node: Node, **expected: tuple[Any, Any]) -> None:
        """Each attribute, given as (what belongs there, ONNX's default), is as expected."""
        for key, (wanted, default) in expected.items():
            found = node.attributes.get(key, default)
            close = isinstance(found, float) and isinstance(wanted, float) and math.isclose(found, wanted, rel_tol=1e-4)
            if found != wanted and not close:
                self.wrong(node, key, found, wanted)

    def wrong(self, node: Node, what: str, found: object, wanted: object) -> None:
        """Refuse a node for one of its attributes or constants."""
        reason = Reason(
            "node {index} ({op}) has {what} {found} where {wanted} belongs",
            index=node.index,
            op=node.op,
            what=what,
            found=str(found),
            wanted=str(wanted),
        )
        differs(self.name, reason)

    def constant(self, node: Node, position: int) -> Tensor:
        """A stored tensor that a node takes, in its own type."""
        key = node.inputs[position] if position < len(node.inputs) else ""
        stored = self.constants.get(key)
        if stored is None or stored.data_type not in (*FLOATS, INT32, INT64):
            reason = Reason(
                "input {position} of node {index} ({op}) is not stored in the file as numbers",
                position=position,
                index=node.index,
                op=node.op,
            )
            differs(self.name, reason)
        self.taken += stored.ByteSize()
        if self.taken > MAX_BYTES or (
            stored.data_type in (6, 7) and stored.ByteSize() > MAX_INTEGERS
        ):  # each of a hundred nodes would get its own copy
            differs(self.name, Reason("its nodes take more numbers than a file may hold"))
        return numbers(stored)


def numbers(stored: TensorProto) -> Tensor:
    """A stored tensor in its own type. Raises Reason where the claimed shape does not fit the bytes."""
    from onnx import numpy_helper

    try:
        array = numpy_helper.to_array(stored)
    except (ValueError, TypeError):
        array = None
    if array is None or array.shape != tuple(stored.dims):  # a negative side stands for any size
        raise Reason("{key} holds another number of values than it declares", key=stored.name)
    if stored.data_type == BFLOAT16:  # a type that NumPy itself does not have
        return torch.from_numpy(array.astype("float32")).bfloat16()
    return torch.from_numpy(array.copy())  # what the file's bytes back cannot be written


def read_graph(name: str, data: bytes) -> Graph:
    """A ModelProto's graph. Raises Reason for what is no protobuf message, WeightsError for what no GoogLeNet has."""
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise missing_extra(error) from None
    if len(data) > MAX_ONNX:
        differs(name, Reason("it is larger than {limit} MB", limit=MAX_ONNX >> 20))
    count(Wire(), memoryview(data), onnx.ModelProto.DESCRIPTOR)
    try:
        model = onnx.load_model_from_string(data).graph
    except Exception:  # protobuf's own, which onnx does not name
        raise Reason("it is no ONNX model") from None
    graph = Graph(name)
    for tensor in model.initializer:
        graph.keep(tensor.name, tensor)
    pictures = [value for value in model.input if value.name not in graph.constants]
    if len(pictures) != 1 or len(model.output) != 1:  # old files list the weights as inputs too
        reason = Reason(
            "it has {inputs} inputs and {outputs} outputs where one of each belongs",
            inputs=len(pictures),
            outputs=len(model.output),
        )
        differs(name, reason)
    graph.input, graph.side = pictures[0].name, stated_side(name, pictures[0])
    graph.alias[graph.input] = graph.input
    for index, node in enumerate(model.node):
        graph.add(index, node)
    graph.output = graph.alias.get(model.output[0].name, "")
    return graph


def count(wire: Wire, message: memoryview, kind: Any, depth: int = 0) -> None:
    """Refuse a file of too many messages before a parser makes an object of each: 20 MB of empty tensors took 1.7 GB."""
    if depth > DEPTH:
        raise Reason("its messages lie too deep in each other")
    for number, value in wire.fields(message):
        part = kind.fields_by_number.get(number)
        if part is not None and part.message_type is not None and isinstance(value, memoryview):
            count(wire, value, part.message_type, depth + 1)


def attributes_of(node: NodeProto) -> dict[str, Any]:
    """A node's attributes by name; kinds that no GoogLeNet has are left out."""
    from onnx import AttributeProto

    fields = {
        AttributeProto.FLOAT: "f",
        AttributeProto.INT: "i",
        AttributeProto.STRING: "s",
        AttributeProto.TENSOR: "t",
        AttributeProto.INTS: "ints",
    }
    found = {
        attribute.name: getattr(attribute, fields[attribute.type]) for attribute in node.attribute if attribute.type in fields
    }
    return {key: list(value[:DEPTH]) if hasattr(value, "append") else value for key, value in found.items()}


def stated_side(name: str, picture: ValueInfoProto) -> int | None:
    """The side of a square input (N, 3, S, S); None where the file leaves it open."""
    shape = [dim.dim_value for dim in picture.type.tensor_type.shape.dim]
    if len(shape) != 4 or 0 in shape[2:]:
        return None
    if shape[2] != shape[3] or not 64 <= shape[2] <= 1024:
        differs(
            name, Reason("its input is {height}×{width} where a square of 64 to 1024 belongs", height=shape[2], width=shape[3])
        )
    return shape[2]
