"""Repositories that mean harm: each is refused with one sentence before it can do any."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.hub.conftest import Client, Files
from tests.hub.server import HubServer


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
    "10 million labels": ({"labels": ["x"] * 10_000_000}, "config.json of {} is larger than 1 MB."),
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
