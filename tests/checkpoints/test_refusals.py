"""Files that are no GoogLeNet, and files that mean harm: each is refused in one bounded sentence, before it can cost anything."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from googlenet.checkpoints import load, readers
from googlenet.checkpoints.checkpoint import MAX_BYTES
from googlenet.checkpoints.readers import SUFFIXES
from googlenet.checkpoints.readers import onnx as reader
from googlenet.checkpoints.readers.protobuf import MAX_FIELDS
from googlenet.checkpoints.readers.pytorch import MAX_PARTS
from googlenet.errors import Reason, UserError
from googlenet.model.architecture import TORCHVISION
from googlenet.model.network import GoogLeNet
from tests.checkpoints.files import (
    CLASSES,
    berkeley_onnx,
    berkeley_tensors,
    caffemodel,
    change,
    export,
    field,
    refusal,
    torchvision_state,
    varint,
)


@pytest.mark.parametrize(
    ("op", "position", "attributes", "named"),
    [
        ("MaxPool", 0, {"pads": [0, 0, 0, 0]}, "ceil_mode 0 where 1"),
        ("MaxPool", 0, {"kernel_shape": [5, 5]}, "kernel_shape [5, 5] where [3, 3]"),
        ("Conv", 0, {"strides": [1, 1]}, "strides [1, 1] where [2, 2]"),
        ("Conv", 9, {"dilations": [2, 2]}, "dilations [2, 2] where [1, 1]"),
        ("LRN", 1, {"alpha": 5e-4}, "alpha 0.000"),
        ("Concat", 3, {"axis": 2}, "axis 2 where 1"),
    ],
)
def test_parameters_of_nodes_are_compared(
    tmp_path: Path, op: str, position: int, attributes: dict[str, object], named: str
) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(change(berkeley_onnx("Gemm"), op, position, **attributes), path)
    sentence = refusal(path)
    assert named in sentence
    assert f"({op})" in sentence


def test_another_network_is_refused_as_onnx_and_as_state_dict(tmp_path: Path) -> None:
    layers = nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
    model = nn.Sequential(*layers).eval()
    (tmp_path / "other.onnx").write_bytes(export(model))
    assert "is a Relu where a Concat belongs" in refusal(tmp_path / "other.onnx")
    torch.save(model.state_dict(), tmp_path / "other.pth")
    assert "conv1.conv.weight" in refusal(tmp_path / "other.pth")


with torch.device("meta"):
    SHAPES = {key: tensor.shape for key, tensor in GoogLeNet(replace(TORCHVISION, aux_heads=True), CLASSES).state_dict().items()}
STATISTICS = {  # of an auxiliary head, as which they would tell whether it was trained
    **{key: torch.zeros(shape) for key, shape in SHAPES.items() if key.startswith("aux")},
    "aux1.conv.bn.weight": torch.zeros(1).expand(10**12),
    "aux2.conv.bn.weight": torch.zeros(128),
}
KEY = "inception4a.branch2.1.conv.weight"


DIFFERENCES: dict[str, tuple[dict[str, Tensor | None], str]] = {
    "misshapen": ({KEY: torch.zeros(208, 96, 1, 1)}, "has the shape 208×96×1×1 where 208×96×3×3 belongs"),
    "NaN": ({KEY: torch.full((208, 96, 3, 3), torch.nan)}, "holds values that are not finite, or variances below 0"),
    "stride 0": ({KEY: torch.zeros(1).expand(208, 96, 3, 3)}, "does not hold all of its numbers"),
    "integers": ({KEY: torch.zeros(208, 96, 3, 3, dtype=torch.int32)}, "numbers of the type int32 where float32 belongs"),
    "missing": ({KEY: None}, f"lack the tensor {KEY}"),
    "extra": ({"bottleneck.weight": torch.zeros(3)}, "hold a tensor that no GoogLeNet has: bottleneck.weight"),
    "one class": (
        {"fc.weight": torch.zeros(1, 1024), "fc.bias": torch.zeros(1)},
        "have one class; a GoogLeNet tells at least two",
    ),
    "a billion classes": ({"fc.weight": torch.zeros(1).expand(10**9, 1024)}, "fc.weight"),
    "negative variance": ({"conv1.bn.running_var": torch.full((64,), -1.0)}, "conv1.bn.running_var"),
    "complex": ({KEY: torch.zeros(208, 96, 3, 3, dtype=torch.complex64)}, "the type complex64 where float32 belongs"),
    "sparse": ({KEY: torch.zeros(208, 96, 3, 3).to_sparse()}, "does not hold all of its numbers"),
    "a trillion statistics": (STATISTICS, "has the shape 1000000000000 where 128 belongs"),
    "a name of a megabyte": ({"x\n" * 500_000: torch.zeros(1)}, r"x\nx\n"),
}


@pytest.mark.parametrize("difference", DIFFERENCES)
def test_state_dict_that_differs(tmp_path: Path, difference: str) -> None:
    changes, named = DIFFERENCES[difference]
    path = tmp_path / "net.pth"
    state = {key: tensor for key, tensor in (torchvision_state() | changes).items() if tensor is not None}
    torch.save(state, path)
    assert named in refusal(path)


# Hostile files


class Attack:
    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.witness),)


@pytest.mark.parametrize("form", ["zip", "legacy", "bare pickle"])
def test_a_pickle_that_would_run_code_does_not(tmp_path: Path, form: str) -> None:
    witness, path = tmp_path / "ran", tmp_path / "net.pth"
    state = {"conv1.conv.weight": Attack(witness)}
    if form == "bare pickle":
        path.write_bytes(pickle.dumps(state))
        pickle.loads(path.read_bytes())  # the attack is a real one
        witness.rmdir()
    else:
        torch.save(state, path, _use_new_zipfile_serialization=form == "zip")
    assert "more than tensors" in refusal(path)
    assert not witness.exists()


def test_what_torch_saves_beside_state_dicts_is_told_apart(tmp_path: Path) -> None:
    """No whole file is called damaged, and nothing is unpacked."""
    path = tmp_path / "net.pt"
    path.write_bytes(archive_of(dict.fromkeys(("data.pkl", "constants.pkl", "code/__torch__.py"), b"")))  # as torch.jit.save
    assert "is a TorchScript program; save the model's state_dict()" in refusal(path)
    torch.save({"conv1.conv.weight": torch.zeros(9, 99)}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1000])
    assert "is damaged or cut short" in refusal(path)
    with zipfile.ZipFile(io.BytesIO(whole)) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.namelist():
            target.writestr(entry, source.read(entry))
    assert "is compressed, as torch.save never does" in refusal(path)


def test_caffe_lengths_that_lie(tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    name, weight = field(1, b"conv1/7x7_s2"), field(5, bytes(64 * 3 * 49 * 4))
    shape = field(7, weight + field(7, field(1, b"".join(map(varint, [2**40, 2**20])))))
    for data, sentence in (
        (varint(100 << 3 | 2) + varint(10**12) + name, "claims 1000000000000 bytes where 14 remain"),
        (field(100, name + shape + shape), f"a list claims {2**40}×{2**20} numbers where {64 * 3 * 49} are stored"),
        (field(100, name + varint(7 << 3 | 2) + varint(2**35)), f"claims {2**35} bytes"),
        (field(100, b"\xff" * 40), "has no end"),
        (field(100, name + field(3, 0) * (MAX_FIELDS + 1)), "fields"),
    ):
        path.write_bytes(data)
        assert sentence in refusal(path)


def test_caffe_truncated_extra_and_not_a_number(tmp_path: Path) -> None:
    path, tensors = tmp_path / "net.caffemodel", berkeley_tensors()
    one = {layer: tensors[layer] for layer in ("conv1/7x7_s2", "loss3/classifier")}
    weight, bias = tensors["loss2/fc"]
    for data, sentence in (
        (caffemodel(one, old=True)[:-1000], "remain"),
        (caffemodel(one | {"extra": tensors["loss1/conv"]}, old=True), "layer extra, which GoogLeNet does not have"),
        (caffemodel({k: v for k, v in tensors.items() if k != "loss1/fc"}, old=False), "lack the tensor aux1.fc1.weight"),
        (caffemodel(tensors | {"loss2/fc": (weight, bias * np.float32("inf"))}, old=False), "aux2.fc1.bias"),
    ):
        path.write_bytes(data)
        assert sentence in refusal(path)


def test_onnx_data_outside_is_never_opened(tmp_path: Path) -> None:
    secret = tmp_path / "secret.bin"
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "net.onnx"
    model = berkeley_onnx("Gemm")
    size = len(model.graph.initializer[0].raw_data)
    secret.write_bytes(struct.pack("<f", 1.0) * (size // 4))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret.bin")
    path.write_bytes(model.SerializeToString())
    sentence = refusal(path)
    assert "another file (../secret.bin)" in sentence
    assert "w0" in sentence


def test_onnx_that_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    model = berkeley_onnx("Gemm")
    data = model.SerializeToString()
    path.write_bytes(data[: len(data) // 2])
    assert "cannot be read: field 7 claims" in refusal(path)

    model.graph.initializer[0].dims[0] = 2**40  # claims more than it has
    path.write_bytes(model.SerializeToString())
    assert "w0 holds another number of values than it declares" in refusal(path)

    model = berkeley_onnx("Gemm")
    for op, named in ("Relu", "is a Relu where a Conv belongs"), ("Reshape", "is a Reshape where a GlobalAveragePool belongs"):
        node = next(node for node in model.graph.node if node.op_type == op)
        node.input[0] = node.output[0]  # a circle
        path.write_bytes(model.SerializeToString())
        assert named in refusal(path)

    model = berkeley_onnx("Gemm")
    broken = numpy_helper.to_array(model.graph.initializer[0]).copy()
    broken[0, 0, 0, 0] = np.nan
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(broken, model.graph.initializer[0].name))
    path.write_bytes(model.SerializeToString())
    assert "conv1.conv.weight" in refusal(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "data", [b"", b"These are not weights.\n" * 50, b"PK\x03\x04", b"\x80\x02}q\x00.", bytes(64)], ids=range(5)
)
def test_a_file_that_is_no_network(tmp_path: Path, suffix: str, data: bytes) -> None:
    path = tmp_path / f"net{suffix}"
    path.write_bytes(data)
    refusal(path)


def test_a_file_too_large(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert "200 MB" in refusal(path)


# Too many of something: refused by a count, before work


def many_safetensors() -> bytes:
    entry = b'"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    text = b"{" + b",".join(entry % i for i in range(250_000)) + b"}"
    return struct.pack("<Q", len(text)) + text


def archive_of(parts: Mapping[str, bytes]) -> bytes:
    """A file in the form of `torch.save`."""
    with zipfile.ZipFile(out := io.BytesIO(), "w") as archive:
        for name, data in parts.items():
            archive.writestr(f"archive/{name}", data)
    return out.getvalue()


LONG_PICKLE = pickle.dumps(dict.fromkeys(range(250_000), 0), 2)
TOO_MANY = MAX_FIELDS + 1
MANY: dict[str, Callable[[], bytes]] = {
    "safetensors": many_safetensors,
    "zip": lambda: archive_of({"data.pkl": LONG_PICKLE}),
    "old pickle": lambda: 3 * pickle.dumps(0, 2) + LONG_PICKLE,
    "parts of a zip": lambda: archive_of({f"data/{i}": b"" for i in range(MAX_PARTS + 1)}),
    "ONNX initialisers": lambda: field(7, field(5, b"") * TOO_MANY),
    "ONNX nodes": lambda: field(7, field(1, field(4, b"Relu")) * TOO_MANY),
    "ONNX attributes": lambda: onnx_graph(field(1, field(5, b"") * TOO_MANY)),
    "ONNX dimensions": lambda: field(7, field(5, b"\x08\x01" * TOO_MANY)),
    "ONNX functions": lambda: field(7, b"") + field(25, b"") * TOO_MANY,
    "Caffe layers": lambda: field(100, b"") * TOO_MANY,
    "Caffe fields": lambda: field(100, field(3, 0) * TOO_MANY),
    "Caffe dimensions": lambda: field(100, 2 * field(7, field(7, field(1, 1) * TOO_MANY))),
}


@pytest.mark.parametrize("kind", MANY)
def test_too_many_of_something(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused by the count: neither torch nor safetensors is asked to make so many things."""
    path = tmp_path / "net.bin"
    path.write_bytes(MANY[kind]())
    monkeypatch.setattr(torch, "load", None)
    monkeypatch.setattr(safetensors.torch, "load", None)
    monkeypatch.setattr(onnx, "load_model_from_string", None)
    sentence = refusal(path)
    assert "it lists more tensors than a GoogLeNet has" in sentence or f"more than {MAX_FIELDS:,} fields" in sentence


@pytest.mark.parametrize("what", [b"builtins\nbytearray", b"__builtin__\nbytearray", b"torch\nFloatTensor", b"torch\nTensor"])
def test_a_pickle_that_asks_for_memory_gets_none(tmp_path: Path, what: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pickle calls something with 10¹¹."""
    monkeypatch.setattr(torch, "load", None)
    path = tmp_path / "net.pth"
    call = b"\x80\x02c" + what + b"\n\x8a\x08" + (10**11).to_bytes(8, "little") + b"\x85R."
    path.write_bytes(archive_of({"data.pkl": call, "version": b"3\n"}))
    assert "holds more than tensors" in refusal(path)


LIST = bytes(1_000_000)
"""A million numbers of one byte."""
LONG_LISTS: dict[str, Callable[[], bytes]] = {
    "ONNX attribute": lambda: onnx_graph(field(1, field(1, b"x") + field(2, b"y") + field(5, field(8, LIST)))),
    "ONNX shape": lambda: onnx_graph(field(5, field(1, LIST) + field(8, b"w"))),
    "Caffe shape": lambda: field(100, 2 * field(7, field(7, field(1, LIST)))),
    "ONNX numbers": lambda: onnx_graph(
        field(5, field(2, 10) + field(8, b"w") + field(5, LIST)) + field(1, field(1, b"x") + field(1, b"w") + field(2, b"y"))
    ),
}


def onnx_graph(parts: bytes) -> bytes:
    return field(7, parts + field(11, field(1, b"x")) + field(12, field(1, b"y")))


@pytest.mark.parametrize("kind", LONG_LISTS)
def test_a_long_list_of_numbers_takes_little_memory(kind: str) -> None:
    data = LONG_LISTS[kind]()
    tracemalloc.start()
    with pytest.raises((UserError, Reason)):
        readers.read("net.bin", data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


def test_numbers_that_every_node_takes_are_not_copied_for_each() -> None:
    stored = numpy_helper.from_array(np.zeros(100, np.float32), "w")
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    nodes = [helper.make_node("Conv", ["x", "w"], [f"y{i}"]) for i in range(2)]
    graph = reader.Graph("net.onnx", helper.make_graph(nodes, "net", [value], [value], [stored]))
    assert graph.constant(graph.nodes["y0"], 1) is graph.constant(graph.nodes["y1"], 1)


def test_an_onnx_file_is_bounded_by_its_size_before_it_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx, "load_model_from_string", None)
    monkeypatch.setattr(reader, "MAX_ONNX", 1 << 20)
    onnx.save(berkeley_onnx("Gemm"), tmp_path / "net.onnx")
    assert "it is larger than 1 MB" in refusal(tmp_path / "net.onnx")
    (tmp_path / "deep.onnx").write_bytes(field(7, deep(100)))
    assert "too deep" in refusal(tmp_path / "deep.onnx")


def deep(levels: int) -> bytes:
    """Graphs in attributes of nodes of graphs …"""
    message = b""
    for _ in range(levels):
        message = field(1, field(5, field(6, message)))
    return message


# What is no file


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "device"])
def test_a_device_and_a_pipe_are_not_read(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "net.pth")
    assert "cannot be read: it is not a regular file" in refusal(tmp_path / "net.pth")
    (tmp_path / "net.pth").unlink()
    safetensors.torch.save_file(torchvision_state(), tmp_path / "model.safetensors")
    make(tmp_path / "README.md")
    assert load(str(tmp_path)).provenance.license is None
    make(tmp_path / "config.json")
    with pytest.raises(UserError, match=r"config\.json of .* cannot be read: it is not a regular file"):
        load(str(tmp_path))


# What ONNX files hold that no GoogLeNet is made of


def test_quantised_networks_are_named_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    scale, zero = numpy_helper.from_array(np.float32(0.1), "scale"), numpy_helper.from_array(np.int8(0), "zero")
    static = berkeley_onnx("Gemm")  # static quantisation puts a pair of nodes before each convolution
    static.graph.initializer.extend([scale, zero])
    static.graph.node.insert(0, helper.make_node("QuantizeLinear", ["data_0", "scale", "zero"], ["q"]))
    static.graph.node.insert(1, helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["again"]))
    static.graph.node[2].input[0] = "again"
    onnx.save(static, path)
    sentence = refusal(path)
    assert "is quantised to integers (node 0 is a QuantizeLinear)" in sentence
    assert "export the network in float32 or float16 instead" in sentence


@pytest.mark.parametrize(("output", "named"), [(0, "is a Split where"), (1, "is a Split, output 2 where")])
def test_a_node_with_several_outputs_is_named_as_what_it_is(tmp_path: Path, output: int, named: str) -> None:
    model = berkeley_onnx("Gemm")
    at = next(i for i, node in enumerate(model.graph.node) if node.op_type == "Concat")
    concat = model.graph.node[at]
    split = helper.make_node("Split", [concat.input[0]], ["half a", "half b"], axis=1)
    concat.input[0] = split.output[output]
    model.graph.node.insert(at, split)
    onnx.save(model, tmp_path / "net.onnx")
    assert f"node {at} {named} a Relu belongs" in refusal(tmp_path / "net.onnx")


def test_a_cast_to_integers_is_not_seen_through(tmp_path: Path) -> None:
    model = berkeley_onnx("Gemm")
    model.graph.node.insert(0, helper.make_node("Cast", ["data_0"], ["whole"], to=TensorProto.INT64))
    model.graph.node[1].input[0] = "whole"
    onnx.save(model, tmp_path / "net.onnx")
    assert "something stands between the input and the first convolution" in refusal(tmp_path / "net.onnx")
