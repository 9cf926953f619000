"""Repositories that mean harm: each is refused with one sentence before it can do any."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from tests.hub.conftest import Client, Files
from tests.hub.server import HubServer


def repacked(ours: Files, change: Callable[[dict[str, Tensor]], object]) -> Files:
    tensors = safetensors.torch.load(ours["model.safetensors"])
    change(tensors)
    return ours | {"model.safetensors": safetensors.torch.save(tensors)}


TENSORS: dict[str, tuple[Callable[[dict[str, Tensor]], object], str]] = {
    "missing": (lambda t: t.pop("inception4c.branch2.1.conv.weight"), "lack the tensor inception4c.branch2.1.conv.weight"),
    "extra": (lambda t: t.update(evil=torch.zeros(1)), "hold a tensor that no GoogLeNet has: evil"),
    "misshapen": (lambda t: t.update({"fc.weight": torch.zeros(1024, 3)}), "has the shape 1024×3 where 3×1024 belongs"),
    "not a number": (
        lambda t: t["fc.bias"].fill_(torch.nan),
        "fc.bias of {} holds values that are not finite, or variances below 0",
    ),
}


@pytest.mark.parametrize("case", TENSORS)
def test_tensors_that_do_not_fit(case: str, hub: HubServer, client: Client, ours: Files) -> None:
    change, sentence = TENSORS[case]
    name = f"evil/{case.replace(' ', '-')}"
    hub.model(name, repacked(ours, change))
    assert sentence.format(name) in client.refusal(name)


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<Q", 1 << 62) + b"{}",
        struct.pack("<Q", 90) + b"{}",
        struct.pack("<Q", 88)
        + b'{"fc.bias": {"dtype": "F32", "shape": [1000000000000000000], "data_offsets": [0, 12]}}  '
        + bytes(12),
        b"",
    ],
    ids=["longer than memory", "longer than the file", "more numbers than bytes", "empty"],
)
def test_safetensors_that_lie_about_lengths(
    data: bytes, hub: HubServer, client: Client, ours: Files, request: pytest.FixtureRequest
) -> None:
    name = "evil/" + request.node.callspec.id.replace(" ", "-")
    hub.model(name, ours | {"model.safetensors": data})
    assert client.refusal(name) == "model.safetensors is damaged or cut short; fetch it anew."


@pytest.mark.parametrize("size", [10_000_000_000, 200 * 1024 * 1024 + 1])
@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "README.md"])
def test_a_claim_of_ten_gigabytes_is_refused_before_a_byte_is_fetched(
    size: int, file: str, hub: HubServer, client: Client, ours: Files
) -> None:
    hub.model("evil/huge", ours, claims={file: {"size": size}})
    assert client.refusal("evil/huge") == f"{file} of evil/huge is larger than 200 MB, the most that is read."
    assert [request.path for request in hub.log] == ["/api/models/evil/huge"]


def test_a_listing_that_names_other_bytes(hub: HubServer, client: Client, ours: Files) -> None:
    claim = {"lfs": {"sha256": "0" * 64, "size": 1, "pointerSize": 134}, "size": 1}
    hub.model("evil/other", ours, claims={"model.safetensors": claim})
    assert "arrived damaged" in client.refusal("evil/other")
    assert ours["model.safetensors"] not in client.blobs("evil/other")


CONFIGS: dict[str, tuple[dict[str, Any], str]] = {
    "wrong type": ({"labels": "abc"}, "labels in config.json of {} must be a list."),
    "unknown field": ({"run": "me"}, "config.json of {} has an unknown field: run."),
    "100,001 labels": ({"labels": ["x"] * 100_001}, "labels in config.json of {} must be a list of at most 100,000."),
    "10 million labels": ({"labels": ["x"] * 10_000_000}, "config.json of {} is larger than 16 MB."),
    "other labels": ({"labels": ["x"] * 5}, "fc.weight of {} has the shape 3×1024 where 5×1024 belongs."),
    "giant number": ({"temperatures": {"main": 10**400}}, "temperatures.main in config.json of {} must be at most 100."),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_configs_that_are_refused(case: str, hub: HubServer, client: Client, ours: Files) -> None:
    values, sentence = CONFIGS[case]
    name = "evil/" + case.replace(" ", "-").replace(",", "")
    hub.model(name, ours | {"config.json": json.dumps(json.loads(ours["config.json"]) | values).encode()})
    assert sentence.format(name) in client.refusal(name)


def test_names_that_lead_out_of_the_folder(hub: HubServer, client: Client, ours: Files) -> None:
    evil = dict.fromkeys(
        ["../../evil.pth", "/evil.pth", "a/../../evil.pth", "..\\evil.pth", "a//evil.pth", "./evil.pth"], b"evil"
    )
    hub.model("evil/names", evil)
    assert client.refusal("evil/names").startswith("evil/names holds no GoogLeNet")
    for name in evil:
        assert client.refusal(f"evil/names:{name}", visitor=True).endswith(
            "write user/repo, user/repo@revision or user/repo:file."
        )
    hub.model("evil/beside", ours | evil)
    assert client.load("evil/beside")["revision"]
    assert not list(client.cache.parent.rglob("evil.pth"))


def test_several_files_or_none(hub: HubServer, client: Client) -> None:
    hub.model("user/many", {"a.onnx": b"a", "sub/b.pth": b"b", "README.md": b"hello"})
    assert client.refusal("user/many") == "user/many holds 2 files of weights; name the one that you mean: a.onnx, sub/b.pth."
    hub.model("user/none", {"README.md": b"hello", "optimizer.pt": b"x"})
    assert client.refusal("user/none").startswith("user/none holds no GoogLeNet: neither config.json with model.safetensors nor")


class Attack:
    """What would run at unpickling."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def test_a_pickle_does_not_run(hub: HubServer, client: Client, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    data = pickle.dumps({"conv1_7x7_s2.weight": Attack(mark)}, 2)
    hub.model("evil/pickle", {"bvlc.pth": data})
    assert client.refusal("evil/pickle").startswith("bvlc.pth holds more than tensors")
    assert not mark.exists()
    pickle.loads(data)
    assert mark.exists()  # it would have run


def test_onnx_that_keeps_its_weights_in_a_file_of_this_machine(hub: HubServer, client: Client, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(3 * 1024 * 4))
    weight = onnx.TensorProto(name="w", data_type=1, dims=[3, 1024], data_location=1)
    for key, value in (("location", str(secret)), ("offset", "0"), ("length", str(3 * 1024 * 4))):
        weight.external_data.add(key=key, value=value)
    taken, given = (onnx.helper.make_tensor_value_info(name, 1, None) for name in "xy")
    node = onnx.helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)
    data = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [taken], [given], [weight])).SerializeToString()
    hub.model("evil/onnx", {"net.onnx": data})
    assert "net.onnx" in client.refusal("evil/onnx")


@pytest.mark.parametrize("length", [b"\x7f", b"\xff\xff\xff\xff\x07", b"\xff" * 9 + b"\x01", b"\xff" * 20])
def test_caffe_whose_lengths_lie(length: bytes, hub: HubServer, client: Client) -> None:
    name = f"evil/caffe-{len(length)}"
    hub.model(name, {"net.caffemodel": b"\xa2\x06" + length + b"conv1"})
    assert client.refusal(name).startswith("net.caffemodel ")
