"""Weights from a Hub: pinned, checked, kept; and what a person reads when the Hub, the line or the repository misbehaves."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from tests.hub.conftest import Client, MakeClient
from tests.hub.server import HubServer

Files = dict[str, bytes]


def test_a_pull_is_pinned_and_tells_its_progress(server: HubServer, client: Client, files: Files) -> None:
    repo = server.model("user/good", files)
    loaded = client.load("user/good")
    assert loaded["revision"] == repo.refs["main"]
    assert loaded["sha256"] == hashlib.sha256(files["model.safetensors"]).hexdigest()
    assert (loaded["license"], loaded["offline"], loaded["source"]) == ("mit", False, "user/good")
    assert loaded["labels"] == ["lion", "cougar", "seed 0"]
    assert loaded["shares"] == sorted(loaded["shares"])
    assert loaded["shares"][-1] == 1
    assert len(loaded["shares"]) >= 4
    client.cache_is_sound()


def test_one_commit_serves_config_and_weights(server: HubServer, client: Client, files: Files, other_files: Files) -> None:
    repo = server.model("user/moves", files)
    first = repo.refs["main"]
    assert client.load("user/moves")["labels"][2] == "seed 0"
    second = repo.commit(other_files)
    newest = client.load("user/moves")
    assert (newest["revision"], newest["labels"][2]) == (second, "seed 1")
    older = client.load(f"user/moves@{first}")
    assert (older["revision"], older["labels"][2]) == (first, "seed 0")
    repo.refs["v1"] = first
    assert client.load("user/moves@v1")["revision"] == first
    used = {path.split("/")[4] for method, path, _ in server.log if path.startswith("/user/moves/resolve/")}
    assert used == {first, second}  # commits, never a branch


def test_the_second_load_fetches_nothing(server: HubServer, client: Client, files: Files) -> None:
    server.model("user/twice", files)
    client.load("user/twice")
    before = len(server.log)
    assert client.load("user/twice")["offline"] is False
    assert [path for _, path, _ in server.log[before:]] == ["/api/models/user/twice"]


def test_from_pretrained_and_push_to_hub_do_what_people_expect(
    server: HubServer, client: Client, operator: Client, files: Files, other_files: Files, tmp_path: Path
) -> None:
    repo = server.model("user/mixin", files)
    first = repo.refs["main"]
    repo.commit(other_files)
    assert client("from_pretrained", source="user/mixin") == {"labels": ["lion", "cougar", "seed 1"], "training": False}
    assert client("from_pretrained", source="user/mixin", revision=first)["labels"][2] == "seed 0"
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    pushed = operator("push", folder=str(tmp_path), repository="someone/pushed")
    assert "someone/pushed" in pushed["url"]
    assert set(server.files_of("models", "someone/pushed")) >= {"README.md", "config.json", "model.safetensors"}
    assert client.load("someone/pushed")["sum"] == pytest.approx(client.load("user/mixin@" + first)["sum"], rel=1e-3)


FAULTS = {
    "info-500": "is not on this machine yet and the Hub answers with error 500; connect and try again",
    "info-slow": "is not on this machine yet and the Hub cannot be reached; connect and try again",
    "info-html": "is not on this machine yet and something other than the Hub answers",
    "no-commit": "The Hub does not say which commit",
    "resolve-500": "could not be fetched: the Hub answers with error 501; try again",
    "revoked": "is gated: accept its terms on the Hub",
    "gone": "holds no file",
    "cut": "model.safetensors of {source} could not be fetched: the connection broke or is too slow; try again",
    "longer": "model.safetensors of {source} could not be fetched: the connection broke or is too slow; try again",
    "shorter": "model.safetensors of {source} could not be fetched: what arrived is not as long as it should be; try again",
    "endless": "model.safetensors does not end where it should",
    "slow-file": "model.safetensors of {source} could not be fetched: the connection broke or is too slow; try again",
    "wrong-bytes": "model.safetensors of {source} arrived damaged: it is not the file that the Hub describes; try again",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence_and_the_next_try_succeeds(server: HubServer, client: Client, files: Files, fault: str) -> None:
    source = f"fault/{fault}"
    repo = server.model(source, files, fault=fault)
    assert FAULTS[fault].format(source=source) in client.refused(source)
    client.cache_is_sound()
    repo.fault = ""
    assert client.load(source)["revision"] == repo.refs["main"]


def test_a_connection_cut_once_goes_on_where_it_broke(server: HubServer, client: Client, files: Files) -> None:
    server.model("fault/once", files, fault="once-cut")
    assert client.load("fault/once")["classes"] == 3
    client.cache_is_sound()


def test_what_is_not_there_is_named(server: HubServer, client: Client, files: Files) -> None:
    repo = server.model("user/there", files)
    assert "There is no repository user/absent on the Hub, or it is private" in client.refused("user/absent")
    assert "user/there has no revision v9" in client.refused("user/there@v9")
    assert "user/there holds no file b.onnx" in client.refused("user/there:b.onnx")
    assert "There is no folder or file ../there" in client.refused("../there")
    commit = repo.refs["main"]
    repo.fault = "other-commit"  # the revision that was asked for, or nothing
    assert "does not say which commit" in client.refused(f"user/there@{commit}")


def test_several_candidates_are_named(server: HubServer, client: Client) -> None:
    server.model("user/many", {"a.onnx": b"a", "sub/b.pth": b"b", "README.md": b"hello"})
    assert "user/many holds 2 files of weights; name the one that you mean: a.onnx, sub/b.pth." in client.refused("user/many")
    server.model("user/none", {"README.md": b"hello"})
    assert "user/none holds no GoogLeNet" in client.refused("user/none")


def test_an_existing_path_wins_and_a_visitor_has_no_paths(
    make_client: MakeClient, server: HubServer, files: Files, other_files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.model("user/both", other_files)
    (tmp_path / "user/both").mkdir(parents=True)
    for name, data in files.items():
        (tmp_path / "user/both" / name).write_bytes(data)
    monkeypatch.chdir(tmp_path)
    client = make_client()
    assert client.load("user/both")["labels"][2] == "seed 0"
    assert client.load("user/both", visitor=True)["labels"][2] == "seed 1"
    assert "names no repository" in client.refused(str(tmp_path), visitor=True)


def test_private_and_gated_repositories_open_to_the_token_alone(
    server: HubServer, client: Client, operator: Client, files: Files, other_files: Files
) -> None:
    server.model("own/private", files, private=True)
    server.model("own/gated", other_files, gated=True)
    assert "or it is private; check the name, or set HF_TOKEN" in client.refused("own/private")
    assert "own/gated is gated" in client.refused("own/gated")
    assert operator.load("own/private")["labels"][2] == "seed 0"
    assert operator.load("own/gated")["labels"][2] == "seed 1"
    assert all(not token for _, path, token in server.log if path.startswith("/store/"))  # no token for another host
    # now both lie in the operator's cache, and a visitor of the operator's page still gets neither
    assert "or it is private" in operator.refused("own/private", visitor=True)
    assert "own/gated is gated" in operator.refused("own/gated", visitor=True)


def test_a_wrong_token_is_told(make_client: MakeClient, server: HubServer, files: Files) -> None:
    server.model("user/open", files)
    assert "does not accept the token; check HF_TOKEN" in make_client(HF_TOKEN="hf_wrong").refused("user/open")


def test_a_claim_of_ten_gigabytes_is_refused_before_a_byte_is_fetched(server: HubServer, client: Client, files: Files) -> None:
    server.model("user/huge", files, claimed_size=10_000_000_000)
    assert "model.safetensors of user/huge is larger than 200 MB: no GoogLeNet is." in client.refused("user/huge")
    assert not [path for _, path, _ in server.log if path.startswith("/user/huge/resolve")]


@pytest.mark.parametrize("how", ["offline mode", "no network"])
def test_without_the_hub_the_cached_copy_serves(
    make_client: MakeClient, server: HubServer, operator: Client, files: Files, other_files: Files, tmp_path: Path, how: str
) -> None:
    repo = server.model("user/kept", files)
    server.model("own/secret", other_files, private=True)
    first = operator.load("user/kept")
    operator.load("user/kept", visitor=True)
    operator.load("own/secret")
    shutil.copytree(operator.home, tmp_path / "home", symlinks=True)
    environment = {"HF_HUB_OFFLINE": "1"} if how == "offline mode" else {}
    alone = make_client("http://127.0.0.1:9", tmp_path / "home", **environment)
    why = "offline mode is set" if how == "offline mode" else "the Hub cannot be reached"

    again = alone.load("user/kept")
    assert (again["offline"], again["revision"], again["sha256"]) == (True, first["revision"], first["sha256"])
    assert again["sum"] == first["sum"]
    assert alone.load(f"user/kept@{repo.refs['main']}")["offline"] is True
    assert alone.load("user/kept", visitor=True)["offline"] is True
    assert alone.load("own/secret")["offline"] is True
    assert alone.refused("own/secret", visitor=True).startswith("own/secret is not on this machine yet")
    for source in ("user/kept@v9", "user/never", "user/kept:other.onnx"):
        expected = f"{source} is not on this machine yet and {why}; connect and try again, or use the built-in weights."
        assert alone.refused(source) == expected

    blob = next((tmp_path / "home/hub/models--user--kept/blobs").glob("?" * 64))
    blob.write_bytes(blob.read_bytes()[:-1] + b"!")
    assert "is damaged" in alone.refused("user/kept")


def test_a_server_that_hangs_up_leaves_the_cached_copy(server: HubServer, client: Client, files: Files) -> None:
    server.model("user/hang", files)
    client.load("user/hang")
    server.fault = "hang-up"
    try:
        assert client.load("user/hang")["offline"] is True
    finally:
        server.fault = ""


def test_a_preloaded_copy_is_found(make_client: MakeClient, server: HubServer, files: Files, tmp_path: Path) -> None:
    """What a Space's `preload_from_hub` leaves: the library's own download of named files, by branch."""
    import subprocess
    import sys

    server.model("user/preloaded", files)
    code = "from huggingface_hub import snapshot_download; snapshot_download('user/preloaded')"
    online = make_client(home=tmp_path / "home")
    environment = {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
    subprocess.run([sys.executable, "-c", code], env={"PATH": "/usr/bin"} | environment, check=True, capture_output=True)
    before = len(server.log)
    assert online.load("user/preloaded")["offline"] is False
    assert [path for _, path, _ in server.log[before:]] == ["/api/models/user/preloaded"]
    alone = make_client("http://127.0.0.1:9", tmp_path / "home")
    assert alone.load("user/preloaded")["offline"] is True


def test_the_listing_is_json_that_the_library_reads(server: HubServer, files: Files) -> None:
    """The stand-in itself: its listing states what the files are."""
    import urllib.request

    server.model("user/listed", files)
    with urllib.request.urlopen(f"{server.url}/api/models/user/listed?blobs=True") as answer:
        listing = {s["rfilename"]: s for s in json.load(answer)["siblings"]}
    assert listing["model.safetensors"]["lfs"]["sha256"] == hashlib.sha256(files["model.safetensors"]).hexdigest()
