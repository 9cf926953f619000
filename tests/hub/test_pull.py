"""Weights from a Hub: pinned, checked, kept; what a person reads when the Hub misbehaves, or a repository means harm."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import close_session, constants, hf_hub_download

from googlenet.checkpoints.cache import Cache, size_of
from googlenet.checkpoints.checkpoint import MAX_BYTES, LoadedModel
from googlenet.checkpoints.hub import DownloadProgress, HubAwayError, fetch_listing, pull
from googlenet.checkpoints.source import parse_repository
from googlenet.errors import DamagedWeightsError, GatedWeightsError, MissingWeightsError, OfflineWeightsError, UserError
from googlenet.ui.weights import ended_after
from tests.helpers import ROOT
from tests.hub.conftest import Client, Files
from tests.hub.server import TOKEN, HubServer, sha256

NOWHERE = "http://127.0.0.1:9"
AWAY = "{} is not on this machine yet and {}; try again when that has changed, or use the built-in weights."
MISSING = "There is no repository {} on the Hub, or it is private; check the name, or set HF_TOKEN."
GATED = "{} is gated: accept its terms on the Hub, then set HF_TOKEN and try again."
NOT_PUBLIC = "There is no repository {} on the Hub, or it is private; check the name, or choose a public one."
NOT_OPEN = "{} is gated; choose one that is open to all."


def test_the_first_pull_and_the_second(hub: HubServer, client: Client, ours: Files) -> None:
    """Over HTTP, though the Hub offers Xet: each byte counts once, and no cache beside the one that has the quota is filled."""
    repo = hub.model("user/first", ours | {"notes.txt": b"not asked for", "other.onnx": b"neither"})
    found = client.load("user/first")
    assert found["revision"] == repo.refs["main"]
    assert found["sha256"] == sha256(ours["model.safetensors"])
    assert (found["license"], found["offline"], found["labels"]) == ("mit", False, ["lion", "cougar", "cat"])
    assert found["shares"] == sorted(found["shares"])
    assert found["shares"][-1] == 1
    assert len([share for share in found["shares"] if 0 < share < 1]) >= 2
    # each file was fetched once, at the commit, and nothing else was
    at = f"/api/resolve-cache/models/user/first/{found['revision']}"
    fetched = sorted(request.path for request in hub.requests("GET .*/resolve|GET /cdn/"))
    large = f"/user/first/resolve/{found['revision']}/model.safetensors"  # leads to the other host
    assert fetched == sorted([f"{at}/README.md", f"{at}/config.json", large, f"/cdn/{found['sha256']}"])
    assert client.blobs("user/first") == set(ours.values())
    # the answer to this offered Xet
    assert hub.requests("HEAD /user/first/resolve")
    assert hub.requests("xet-read-token") == []
    assert not (client.cache.parent / "xet").exists()
    # the token goes to the Hub alone, and not to the other host
    assert {request.authorization for request in hub.requests("/api/|/resolve")} == {f"Bearer {TOKEN}"}
    assert [request.authorization for request in hub.requests("/cdn/")] == [None]
    # the second start asks which commit is newest, and fetches nothing
    hub.log.clear()
    again = client.load("user/first")
    assert (again["revision"], again["weight"]) == (found["revision"], found["weight"])
    assert [request.path for request in hub.log] == ["/api/models/user/first"]
    # without a token
    hub.log.clear()
    hub.model("user/without", ours)
    client.load("user/without", False)
    assert len(hub.log) == 10
    assert {request.authorization for request in hub.log} == {None}


def test_the_revision_that_is_asked_for_or_nothing(hub: HubServer, client: Client, ours: Files) -> None:
    repo = hub.model("user/revisions", ours)
    first = repo.commit(ours | {"README.md": b"---\nlicense: afl-3.0\n---\n"}, "v1", "feature/x")
    second = repo.commit(ours | {"README.md": b"---\nlicense: bsd\n---\n"}, "v2")
    at_first, at_second = (first, "afl-3.0"), (second, "bsd")
    wanted = {"v1": at_first, "feature/x": at_first, "v2": at_second, "main": at_second, first: at_first, second: at_second}
    for revision, expected in wanted.items():
        found = client.load(f"user/revisions@{revision}")
        assert (found["revision"], found["license"]) == expected
    assert client.refusal("user/revisions@v3").startswith("user/revisions has no revision v3")
    assert client.refusal("user/revisions@" + "a" * 40).startswith("user/revisions has no revision aaa")
    assert client.refusal("user/revisions:b.onnx") == "user/revisions holds no file b.onnx."
    repo.refs[first] = second  # a Hub that answers with another commit than the one that was asked for
    assert client.refusal(f"user/revisions@{first}").startswith("The Hub does not say which commit")


def test_private_and_gated_repositories_open_to_the_token_alone(hub: HubServer, client: Client, ours: Files) -> None:
    hub.model("own/gated", ours, gated=True)
    hub.model("own/private", ours, private=True)
    hub.model("own/revoked", ours, revoked=True)  # its listing is open, its files are not
    assert client.refusal("own/revoked") == GATED.format("own/revoked")
    for name in ("own/gated", "own/revoked"):
        assert client.refusal(name, False) == NOT_OPEN.format(name)
    for name in ("own/private", "own/nothing"):
        assert client.refusal(name, False) == NOT_PUBLIC.format(name)
    assert client.refusal("own/nothing") == MISSING.format("own/nothing")
    assert client.load("own/gated")["revision"]
    assert client.load("own/private")["revision"]
    # what the operator's token fetched stays closed to whoever asks without it
    assert client.refusal("own/gated", visitor=True) == NOT_OPEN.format("own/gated")
    assert client.refusal("own/private", visitor=True) == NOT_PUBLIC.format("own/private")
    assert client.refusal("own/private", "hf_wrong").startswith("The Hub does not accept the token; check HF_TOKEN")


def test_an_existing_path_wins_and_a_visitor_has_no_paths(
    hub: HubServer, client: Client, ours: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    hub.model("tests/hub", ours)
    assert client.refusal("tests/hub").startswith("tests/hub holds no GoogLeNet")
    hub.log.clear()
    assert client.load("tests/hub", visitor=True)["revision"]
    assert {request.authorization for request in hub.log} == {None}
    assert not (client.cache / "models--tests--hub").exists()  # visitors have a cache of their own
    assert "is not the name of a repository" in client.refusal(str(client.cache), visitor=True)


def pulled(cache: Cache, name: str, token: str | bool = False) -> LoadedModel:
    return pull(cache, parse_repository(name), token)


@pytest.mark.usefixtures("endpoint")
def test_a_token_that_is_asked_for_and_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("googlenet.checkpoints.hub.get_token", lambda: None)
    with pytest.raises(UserError, match=r"There is no token on this machine; set HF_TOKEN\."):
        fetch_listing(parse_repository("user/repo"), True)


@pytest.mark.usefixtures("endpoint")
def test_without_the_hub_the_cached_copy_serves(
    hub: HubServer, ours: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No network, and offline mode: what was pulled is there, for whom it was pulled, and what the library itself fetched."""
    cache, visitors = Cache(tmp_path / "hub"), Cache(tmp_path / "visitors", quota=1 << 30)
    repo = hub.model("user/kept", ours)
    old = repo.refs["main"]
    new = repo.commit(ours | {"README.md": b"---\nlicense: bsd\n---\n"}, "v2")
    hub.model("own/secret", ours, private=True)
    first = pulled(cache, "user/kept")
    hub.model("user/visited", ours)
    pulled(visitors, "user/visited")
    for source in (f"user/kept@{old}", "user/kept@v2"):
        pulled(cache, source)
    pulled(cache, "own/secret", TOKEN)
    preloaded = hub.model("user/preloaded", ours).refs["main"]  # as a Space's `preload_from_hub` does it
    for name in ours:
        hf_hub_download("user/preloaded", name, cache_dir=cache.root, token=False)
    hub.log.clear()
    monkeypatch.setattr(constants, "ENDPOINT", NOWHERE)
    served = {"user/kept": new, f"user/kept@{old}": old, "user/kept@v2": new, "user/preloaded": preloaded}
    for source, commit in served.items():
        found = pulled(cache, source)
        assert (found.provenance.revision, found.provenance.offline) == (commit, True)
        assert found.provenance.sha256 == first.provenance.sha256
    assert pulled(cache, "own/secret", TOKEN).provenance.offline
    assert pulled(visitors, "user/visited").provenance.offline
    absent = ("user/never", "user/visited", "user/kept@v3", "user/kept@" + "0" * 40, "user/kept:other.pth")
    # nothing of the operator's cache is a visitor's
    lacking = [*((cache, source) for source in absent), *((visitors, source) for source in ("own/secret", "user/kept"))]
    for place, source in lacking:
        with pytest.raises(OfflineWeightsError) as caught:
            pulled(place, source)
        assert str(caught.value) == AWAY.format(source, "the Hub cannot be reached")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert pulled(cache, "user/kept").provenance.offline
    with pytest.raises(
        OfflineWeightsError, match="user/never is not on this machine yet and HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set"
    ):
        pulled(cache, "user/never")
    assert hub.log == []


@pytest.mark.usefixtures("endpoint")
def test_what_a_visitor_names_and_is_no_weights_does_not_stay(hub: HubServer, ours: Files, tmp_path: Path) -> None:
    cache = Cache(tmp_path, quota=1 << 30)
    hub.model("evil/junk", {"net.onnx": bytes(3_000_000), "README.md": b"---\nlicense: mit\n---\n"})
    with pytest.raises(UserError, match=r"net\.onnx has a layout"):
        pulled(cache, "evil/junk")
    assert {path.name for path in tmp_path.rglob("*")} <= {".locks", "CACHEDIR.TAG"}
    with pytest.raises(UserError, match=r"net\.onnx has a layout"):
        pulled(Cache(tmp_path / "operator"), "evil/junk")
    assert size_of(tmp_path / "operator") > 3_000_000  # has no quota and keeps it
    hub.model("user/good", ours | {"net.onnx": bytes(3_000_000)})
    pulled(cache, "user/good")
    with pytest.raises(UserError, match=r"net\.onnx has a layout"):
        pulled(cache, "user/good:net.onnx")
    assert cache.find(parse_repository("user/good"))  # the others of the repository do
    kept = {path.read_bytes() for path in (cache.folder(parse_repository("user/good")) / "blobs").iterdir()}
    assert ours["model.safetensors"] in kept
    assert bytes(3_000_000) not in kept


@pytest.mark.usefixtures("endpoint")
def test_the_visitors_cache_stays_within_its_quota(hub: HubServer, ours: Files, tmp_path: Path) -> None:
    size = sum(map(len, ours.values()))
    cache = Cache(tmp_path, quota=size * 5 // 2)
    names = ["user/one", "user/two", "user/three", "user/four"]
    for at, name in enumerate(names):
        hub.model(name, ours)
        pulled(cache, name)
        os.utime(cache.folder(parse_repository(name)), (at, at))
        assert size_of(tmp_path) <= cache.quota + 10_000  # links, notes and locks
    here = [name for name in names if cache.find(parse_repository(name))]
    assert here == ["user/three", "user/four"]
    pulled(cache, "user/three")  # used again: the other one is older now
    pulled(cache, "user/one")
    assert [name for name in names if cache.find(parse_repository(name))] == ["user/one", "user/three"]


@pytest.mark.usefixtures("endpoint")
def test_a_cache_that_cannot_be_written_is_named_with_the_way_out(hub: HubServer, ours: Files, tmp_path: Path) -> None:
    hub.model("user/unwritten", ours)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"The cache .*file/hub cannot be written: its folder is a file; set HF_HOME"):
        pulled(Cache(tmp_path / "file" / "hub"), "user/unwritten")


def test_the_channels_pictures_come_along_within_bounds(hub: HubServer, client: Client, ours: Files) -> None:
    pictures = {"channels/index.json": b"{}", "channels/4c.webp": b"RIFF"}
    more = {"channels/other.bin": b"not asked for", "channels/5b.webp": bytes((4 << 20) + 1)}
    hub.model("user/pictures", ours | pictures | more)
    client.load("user/pictures")
    assert client.blobs("user/pictures") == {*ours.values(), *pictures.values()}
    hub.log.clear()
    client.load("user/pictures", visitor=True)
    assert len(hub.requests("GET .*channels")) == len(pictures)


def test_the_command_line_switches_xet_off() -> None:
    code = "import os, googlenet.cli as cli; cli._parse = lambda _: print(os.environ['HF_HUB_DISABLE_XET']) or exit(); cli.main()"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.endswith("1\n")


def test_the_meter_counts_a_file_that_begins_anew_once() -> None:
    shares: list[float] = []
    meter = DownloadProgress(lambda share, _: shares.append(share), 100)
    for step in (40, -40, 60, 40):
        meter.count("a", step)
    meter.finish("a", 100)
    assert shares == [0.4, 0.0, 0.6, 1.0, 1.0]
    meter.count("a", MAX_BYTES)
    with pytest.raises(UserError, match="a is longer than the Hub announced"):
        meter.count("a", 1)


ILL = {
    "500": "the Hub answers with error 500",
    "429": "the Hub answers with error 429",
    "html": "something other than the Hub answers",
    "slow": "the Hub cannot be reached",
    "reset": "the Hub cannot be reached",
}


def test_a_hub_that_is_ill_leaves_the_cached_copy(hub: HubServer, client: Client, ours: Files) -> None:
    hub.model("user/well", ours)
    client.load("user/well")
    for do, why in ILL.items():
        hub.fail("GET /api/models", do, 2)
        assert client.load("user/well")["offline"], do
        assert client.refusal("user/absent") == AWAY.format("user/absent", why)
    assert not client.load("user/well")["offline"]


@pytest.fixture
def untrusted() -> Iterator[str]:
    """The address of a server whose certificate nobody has signed."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(Path(__file__).with_name("localhost.pem"))
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://localhost:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ("HF_TOKEN", "“hf_token”", "HF_TOKEN holds a character that no token has"),
        ("HF_ENDPOINT", "hub.example", "HF_ENDPOINT does not begin with https://"),
        ("HF_ENDPOINT", "", "the certificate of localhost is not trusted here: SSL_CERT_FILE names those that are"),
        ("ALL_PROXY", "socks5://127.0.0.1:9", "the proxy settings in ALL_PROXY cannot be used"),
        ("all_proxy", "socks://127.0.0.1:9", "the proxy settings in all_proxy cannot be used"),
        ("https_proxy", "host:port", "the proxy settings in https_proxy cannot be used"),
        ("no_proxy", "xn--a", "the proxy settings in no_proxy cannot be used"),
        ("https_proxy", "http://127.0.0.1:9", "the Hub cannot be reached"),  # the Hub of this test is not asked through it
        ("http_proxy", "http://127.0.0.1:9", "the Hub cannot be reached through the proxy in http_proxy"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem", "the certificates in SSL_CERT_FILE cannot be read"),
        ("no_proxy", "192.168.*", "the Hub cannot be reached"),
    ],
)
def test_a_setting_of_this_machine_that_is_wrong_is_named(
    variable: str, value: str, why: str, untrusted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    endpoint = (value or untrusted) if variable == "HF_ENDPOINT" else NOWHERE
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setenv(variable, value)
    close_session()  # the client of before was made with other settings
    try:
        with pytest.raises(HubAwayError) as caught:
            fetch_listing(parse_repository("user/repo"), None)
    finally:
        close_session()
    assert str(caught.value) == why


def test_a_damaged_copy_is_not_used(hub: HubServer, client: Client, ours: Files) -> None:
    hub.model("user/rotten", ours)
    found = client.load("user/rotten")
    blob = client.cache / "models--user--rotten" / "blobs" / found["sha256"]
    blob.write_bytes(blob.read_bytes()[:-4] + b"rots")
    hub.fail("GET /api/models", "500")
    assert client.refusal("user/rotten").startswith("The copy of user/rotten on this machine is damaged")
    assert not client.load("user/rotten")["offline"]
    blob.write_bytes(blob.read_bytes()[:-4] + b"rots")
    assert "arrived damaged" in client.refusal("user/rotten")
    assert client.load("user/rotten")["sha256"] == found["sha256"]


def unfetched(why: str) -> str:
    return f"could not be fetched: {why}; try again."


BROKEN = "the connection broke or is too slow"
OTHER = "what arrived is not what the Hub announced"
FAULTS = {
    "listing 400": ("GET /api/models", "400", 1, "The Hub refuses {} with error 400."),
    "listing 404": ("GET /api/models", "404", 1, MISSING),
    "listing without commit": ("GET /api/models", "200", 1, "something other than the Hub answers"),
    "HEAD 500": ("HEAD .*safetensors", "500", -1, unfetched("the Hub answers with error 500")),
    "HEAD reset": ("HEAD .*safetensors", "reset", -1, unfetched(BROKEN)),
    "HEAD html": ("HEAD .*safetensors", "html", -1, unfetched(OTHER)),
    "GET 404": ("GET /cdn/", "404", -1, unfetched("the Hub answers with error 404")),
    "GET slow": ("GET /cdn/", "slow", 6, unfetched(BROKEN)),
    "GET cut": ("GET /cdn/", "stuck", -1, unfetched(BROKEN)),
    "too short": ("GET /cdn/", "short", -1, unfetched(OTHER)),
    "too long": ("GET /cdn/", "long", -1, unfetched(OTHER)),
    "endless": ("GET /cdn/", "endless", -1, "model.safetensors is longer than the Hub announced; nothing of it was kept."),
    "wrong bytes": (
        "GET /cdn/",
        "bytes",
        -1,
        "model.safetensors of {} arrived damaged: it is not the file that the Hub describes",
    ),
    "small, 500": ("GET .*config.json", "500", -1, "config.json of {} could not be fetched: the Hub answers with error 500"),
    "small, wrong bytes": ("GET .*config.json", "bytes", -1, "config.json of {} arrived damaged: it is not the file"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_is_one_sentence_and_the_next_try_succeeds(case: str, hub: HubServer, client: Client, ours: Files) -> None:
    on, do, times, sentence = FAULTS[case]
    name = "fault/" + re.sub(r"\W+", "-", case)
    hub.model(name, ours)
    hub.fail(on, do, times)
    assert sentence.format(name) in client.refusal(name)
    assert client.blobs(name) <= set(ours.values())
    hub.faults.clear()
    assert client.load(name)["sha256"] == sha256(ours["model.safetensors"])
    assert client.blobs(name) == set(ours.values())


@pytest.mark.parametrize(
    ("on", "do"), [("GET /api/models", "endless"), ("GET /api/models", "bomb"), ("GET /cdn/", "endless 500")]
)
def test_what_is_read_whole_from_the_hub_is_bounded(on: str, do: str, hub: HubServer, client: Client, ours: Files) -> None:
    """It took 21 GB of memory in half a minute."""
    name = "long/" + re.sub(r"\W+", "-", do)
    hub.model(name, ours)
    hub.fail(on, do, -1)
    tracemalloc.start()
    client.refusal(name)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60 << 20


def test_programs_tell_the_refusals_by_their_class(hub: HubServer, client: Client, ours: Files) -> None:
    hub.model("kind/gated", ours, gated=True)
    client.refusal("kind/gated", False, kind=GatedWeightsError)
    hub.model("kind/whole", ours)
    for source in ("kind/none", "kind/whole@v9", "kind/whole:b.onnx", "no/such/path"):
        client.refusal(source, kind=MissingWeightsError)
    hub.fail("GET /cdn/", "bytes", 1)
    client.refusal("kind/whole", kind=DamagedWeightsError)
    hub.fail("GET /api/models", "500")
    client.refusal("kind/unseen", kind=OfflineWeightsError)


def test_a_connection_cut_once_goes_on_where_it_broke(hub: HubServer, client: Client, ours: Files) -> None:
    hub.model("fault/once", ours)
    hub.fail("GET /cdn/", "cut")
    found = client.load("fault/once")
    assert found["sha256"] == sha256(ours["model.safetensors"])
    assert found["shares"][-1] == 1
    first, second = hub.requests("GET /cdn/")
    assert first.range is None
    assert re.fullmatch(r"bytes=[1-9]\d{6,}-", second.range or "")


def test_a_file_of_another_layout_is_named_by_a_visitor(hub: HubServer, client: Client, ours: Files) -> None:
    hub.model("museum/deepdream", {"deep/net.safetensors": ours["model.safetensors"], "net.onnx": b"another"})
    found = client.load("museum/deepdream:deep/net.safetensors", visitor=True)
    assert found["labels"] == ["class 0", "class 1", "class 2"]


def test_a_hub_that_sends_too_slowly_is_left_at_the_time_limit(hub: HubServer, client: Client, ours: Files) -> None:
    """At 10 kB a second no read of the client's times out, and the file would take twenty minutes."""
    hub.model("user/trickles", ours)
    hub.fail("GET /cdn/", "trickle", times=100)
    with pytest.raises(UserError) as caught, ended_after(1, "user/trickles"):
        client.load("user/trickles", visitor=True)
    assert str(caught.value) == "The Hub took longer than 0 minutes to send user/trickles; try again later."
    hub.faults.clear()
    assert client.load("user/trickles", visitor=True)["revision"]


# Repositories that mean harm: each is refused with one sentence before it can do any


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "README.md"])
def test_a_claim_of_more_than_200_megabytes_is_refused_before_a_byte_is_fetched(
    file: str, hub: HubServer, client: Client, ours: Files
) -> None:
    hub.model("evil/huge", ours, claims={file: {"size": MAX_BYTES + 1}})
    assert client.refusal("evil/huge") == f"{file} of evil/huge is larger than 200 MB, the most that is read."
    assert [request.path for request in hub.log] == ["/api/models/evil/huge"]


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
