"""An ONNX file as a graph. Nothing outside the file is opened, and nothing is made of it but what is asked for."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from googlenet.checkpoints.checkpoint import MAX_BYTES
from googlenet.checkpoints.readers.layouts import differs
from googlenet.checkpoints.readers.wire import Wire, packed, pieces
from googlenet.errors import Reason, WeightsError

FLOAT, INT32, INT64, FLOAT16, DOUBLE, BFLOAT16 = 1, 6, 7, 10, 11, 16
DTYPES = {
    FLOAT: torch.float32,
    INT32: torch.int32,
    INT64: torch.int64,
    FLOAT16: torch.float16,
    DOUBLE: torch.float64,
    BFLOAT16: torch.bfloat16,
}
"""ONNX's types of numbers that a GoogLeNet may have."""
TYPED_FIELDS = {FLOAT: 4, INT32: 5, INT64: 7, FLOAT16: 5, DOUBLE: 10, BFLOAT16: 5}
"""Where a TensorProto without raw bytes has its numbers."""
SEEN_THROUGH = ("Identity", "Dropout", "Cast")
"""Nodes that hand on what they get, in use."""


@dataclass(frozen=True)
class Stored:
    """A TensorProto: its numbers as bytes, decoded when asked for."""

    name: str
    kind: int
    dims: tuple[int, ...]
    data: dict[int, list[int | memoryview]]
    """field → its values"""
    outside: str | None
    """the file that holds the numbers instead"""

    def numbers(self) -> Tensor:
        """The tensor in its own type. Raises Reason where the claimed shape does not fit the bytes."""
        dtype = DTYPES[self.kind]
        field = 9 if 9 in self.data else TYPED_FIELDS[self.kind]
        values = self.data.get(field, ())
        if field == 9 or self.kind in (FLOAT, DOUBLE):
            raw = b"".join(value for value in values if not isinstance(value, int))
        else:
            width = {4: np.int32, 8: np.int64, 2: np.uint16}[dtype.itemsize]  # halves are stored as their bits
            lists = (pieces(value) if isinstance(value, memoryview) else [packed(value)] for value in values)
            raw = b"".join(piece.astype(width).tobytes() for found in lists for piece in found)
        if min(self.dims, default=1) < 1 or len(raw) != math.prod(self.dims) * dtype.itemsize:
            raise Reason("{key} holds another number of values than it declares", key=self.name)
        return torch.frombuffer(bytearray(raw), dtype=dtype).reshape(self.dims)


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
    constants: dict[str, Stored] = field(default_factory=dict)
    made: dict[str, Node] = field(default_factory=dict)
    alias: dict[str, str] = field(default_factory=lambda: {"": ""})
    """tensor → the tensor that it equals"""
    input: str = ""
    output: str = ""
    taken: int = 0
    """bytes of the constants that were decoded so far"""
    side: int | None = None
    """the picture's side in pixels where the file states it"""

    def add(self, index: int, op: str, inputs: list[str], outputs: list[str], attributes: dict[str, Any]) -> None:
        """Register one node; a graph without order, or with a cycle, stops here."""
        for value in inputs:
            if value not in self.alias and value not in self.constants:
                differs(
                    self.name, Reason("node {index} ({op}) uses {tensor} before it is made", index=index, op=op, tensor=value)
                )
        taken = tuple(self.alias.get(value, value) for value in inputs)
        outputs = [output for output in outputs if output]
        if not outputs or any(output in self.alias or output in self.constants for output in outputs):
            differs(self.name, Reason("node {index} ({op}) has no output with a new name", index=index, op=op))
        if op == "Constant" and isinstance(attributes.get("value"), Stored):
            self.keep(outputs[0], attributes["value"])
            return
        through = op in SEEN_THROUGH and taken and attributes.get("to", FLOAT) in (FLOAT, FLOAT16, DOUBLE, BFLOAT16)
        for position, output in enumerate(outputs):
            if through and position == 0 and taken[0] in self.constants:
                self.constants[output] = self.constants[taken[0]]
            elif through and position == 0:
                self.alias[output] = taken[0]
            else:  # what is not the first output is never what a GoogLeNet goes on with
                self.alias[output] = output
                self.made[output] = Node(index, op if position == 0 else f"{op}, output {position + 1}", taken, attributes)

    def keep(self, key: str, tensor: Stored) -> None:
        if tensor.outside is not None:
            raise WeightsError(
                "{name} keeps the weights of {key} in another file ({where}); export it as one file.",
                name=self.name,
                key=key,
                where=tensor.outside,
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
        if stored is None or stored.kind not in DTYPES:
            reason = Reason(
                "input {position} of node {index} ({op}) is not stored in the file as numbers",
                position=position,
                index=node.index,
                op=node.op,
            )
            differs(self.name, reason)
        found = stored.numbers()
        self.taken += found.nbytes
        if self.taken > MAX_BYTES:  # each of a hundred nodes would get its own copy
            differs(self.name, Reason("its nodes take more numbers than a file may hold"))
        return found


def read_graph(name: str, data: bytes) -> Graph:
    """A ModelProto's graph. Raises Reason for what is no protobuf message, WeightsError for what no GoogLeNet has."""
    wire = Wire()
    graph = Graph(name)
    nodes: list[memoryview] = []
    inputs: list[memoryview] = []
    outputs: list[memoryview] = []
    for number, model in wire.fields(memoryview(data)):
        if number != 7 or isinstance(model, int):
            continue
        for part, message in wire.fields(model):
            if isinstance(message, int):
                continue
            if part == 1:
                nodes.append(message)
            elif part == 5:
                stored = read_tensor(wire, message)
                graph.keep(stored.name, stored)
            elif part in (11, 12):
                (inputs if part == 11 else outputs).append(message)
    pictures = [(key, shape) for key, shape in (read_value(wire, message) for message in inputs) if key not in graph.constants]
    if len(pictures) != 1 or len(outputs) != 1:  # old files list the weights as inputs too
        reason = Reason(
            "it has {inputs} inputs and {outputs} outputs where one of each belongs", inputs=len(pictures), outputs=len(outputs)
        )
        differs(name, reason)
    graph.input, shape = pictures[0]
    graph.side = stated_side(name, shape)
    graph.alias[graph.input] = graph.input
    for index, message in enumerate(nodes):
        graph.add(index, *read_node(wire, message))
    graph.output = graph.alias.get(read_value(wire, outputs[0])[0], "")
    return graph


def stated_side(name: str, shape: list[int]) -> int | None:
    """The side of a square input (N, 3, S, S); None where the file leaves it open."""
    if len(shape) != 4 or 0 in shape[2:]:
        return None
    if shape[2] != shape[3] or not 64 <= shape[2] <= 1024:
        differs(
            name, Reason("its input is {height}×{width} where a square of 64 to 1024 belongs", height=shape[2], width=shape[3])
        )
    return shape[2]


def text(value: int | memoryview) -> str:
    return "" if isinstance(value, int) else bytes(value).decode("utf-8", "replace")


def read_node(wire: Wire, message: memoryview) -> tuple[str, list[str], list[str], dict[str, Any]]:
    """A NodeProto: op, inputs, outputs, attributes."""
    found: dict[int, list[int | memoryview]] = {}
    for number, value in wire.fields(message):
        found.setdefault(number, []).append(value)
    attributes = dict(read_attribute(wire, value) for value in found.get(5, ()) if not isinstance(value, int))
    op = text(found.get(4, [0])[-1])
    return op, [text(value) for value in found.get(1, ())], [text(value) for value in found.get(2, ())], attributes


def read_attribute(wire: Wire, message: memoryview) -> tuple[str, Any]:
    """An AttributeProto: name and value; None for kinds that no GoogLeNet has."""
    name, value, whole = "", None, []
    for number, found in wire.fields(message):
        if number == 1:
            name = text(found)
        elif number == 2 and not isinstance(found, int) and len(found) == 4:
            value = struct.unpack("<f", found)[0]
        elif number == 3 and isinstance(found, int):
            value = int(packed(found)[0])
        elif number == 4 and not isinstance(found, int):
            value = bytes(found)
        elif number == 5 and not isinstance(found, int):
            value = read_tensor(wire, found)
        elif number == 8:
            whole += packed(found, 100).tolist()
    return name, whole or value


def read_tensor(wire: Wire, message: memoryview) -> Stored:
    name, kind, dims, outside = "", 0, [], None
    data: dict[int, list[int | memoryview]] = {}
    for number, value in wire.fields(message):
        if number == 1:
            dims += packed(value, 33).tolist()
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 8:
            name = text(value)
        elif number == 13 and not isinstance(value, int):
            entry = {key: text(found) for key, found in wire.fields(value)}
            outside = entry.get(2, "") if entry.get(1) == "location" or outside is None else outside
        elif number == 14 and value == 1:
            outside = outside or ""
        elif number in (4, 5, 7, 9, 10):
            data.setdefault(number, []).append(value)
    return Stored(name, kind, tuple(dims[:33]), data, outside)


def read_value(wire: Wire, message: memoryview) -> tuple[str, list[int]]:
    """A ValueInfoProto: name, and the shape with 0 for what is left open."""
    name, shape = "", []
    for number, value in wire.fields(message):
        if number == 1:
            name = text(value)
        elif number == 2:
            for dim in messages(wire, value, 1, 2, 1):
                sizes = [size for part, size in wire.fields(dim) if part == 1 and isinstance(size, int)]
                shape.append(sizes[-1] if sizes else 0)
    return name, shape


def messages(wire: Wire, message: int | memoryview, *path: int) -> Iterator[memoryview]:
    """The messages at a path of field numbers."""
    if isinstance(message, int):
        return
    if not path:
        yield message
        return
    for number, value in wire.fields(message):
        if number == path[0]:
            yield from messages(wire, value, *path[1:])
