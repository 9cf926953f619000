"""A Space made and brought up to date on the Hub's stand-in; the tree that it received, file by file."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from huggingface_hub import constants

from googlenet.checkpoints.config import ModelConfig
from googlenet.checkpoints.folder import write_folder
from googlenet.checkpoints.source import shipped
from googlenet.errors import UserError
from googlenet.model.architecture import TORCHVISION, Architecture
from googlenet.pictures.images import Preprocess
from googlenet.ui.deploy import deploy
from tests.helpers import ROOT, random_model
from tests.hub.conftest import Client
from tests.hub.server import TOKEN, HubServer, sha256

HEADER = (
    "---\ntitle: Inside GoogLeNet\nsdk: gradio\nsdk_version: 6.31.0\napp_file: app.py\nlicense: apache-2.0\n"
    "models: [someone/unused]\n---\n"
)


STRAY = (
    *("__pycache__/x.pyc", ".hidden", ".git/config", ".vscode/settings.json", "ui/.ipynb_checkpoints/deploy-checkpoint.py"),
    *("prod.env", "id_rsa", "ui/cli.py~", "ui/.cli.py.swp", "ui/key.pem", "errors/korean.json.orig", "token.json"),
)
"""What lies in the package's folder and is no part of it."""

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(client: Client, checkout: Path) -> Run:
    def run(space: str, **options: Any) -> dict[str, Any]:
        defaults = {"weights": str(checkout / "weights"), "hardware": None, "private": False, "dry_run": False}
        return client.ask(deploy={"repo_id": space, "package": str(checkout / "googlenet"), **defaults, **options})

    return run


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with what lies around in one: the program, small weights, caches, files of editors, secrets, links."""
    root = tmp_path_factory.mktemp("checkout")
    for name in ("app.py", "requirements.txt", "LICENSE"):
        shutil.copy(ROOT / name, root / name)
    package = root / "googlenet"
    shutil.copytree(ROOT / "googlenet", package, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "notes.txt").write_bytes(b"private")
    for name in STRAY:
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_bytes(b"private")
    (root / "away").mkdir()
    (root / "away/secret.py").write_bytes(b"private")
    (package / "ui/secret.py").symlink_to(root / "notes.txt")
    (package / "ui/page/js/secret.js").symlink_to(root / "nowhere")
    (package / "away").symlink_to(root / "away")
    (root / "README.md").write_text(HEADER + "# Inside GoogLeNet\n\n---\nmore\n")
    model = random_model(Architecture(aux_heads=False), classes=3)
    config = ModelConfig(model.architecture, ("a", "b", "c"), Preprocess(96, 96, (0.5,) * 3, (0.5,) * 3), None, None)
    write_folder(model, config, root / "weights")
    (root / "weights/checkpoint.bin").write_bytes(b"x")
    (root / "weights/channels").mkdir()
    for name in ("index.json", "5b.webp", "notes.txt"):
        (root / "weights/channels" / name).write_bytes(b"x")
    return root


def deploy_here(space: str, weights: object, package: Path, dry_run: bool = True, private: bool = False) -> None:
    """In this process."""
    deploy(space, weights=str(weights), hardware=None, private=private, dry_run=dry_run, package=package)


def header(readme: bytes) -> dict[str, Any]:
    return yaml.safe_load(readme.decode().split("---\n")[1])


def test_a_space_gets_exactly_its_files(hub: HubServer, run: Run, checkout: Path) -> None:
    answer = run("someone/space", hardware="t4-small")
    assert answer["address"] == f"{hub.url}/spaces/someone/space"
    assert answer["said"].endswith(f"Inside GoogLeNet is at {answer['address']}\n")
    space = hub.spaces["someone/space"]
    program = {p.relative_to(ROOT).as_posix(): p for p in (ROOT / "googlenet").rglob("*") if p.is_file() and p.suffix != ".pyc"}
    expected = {name: path.read_bytes() for name, path in program.items()}
    for name in ("app.py", "requirements.txt", "LICENSE"):
        expected[name] = (ROOT / name).read_bytes()
    for name in ("README.md", "config.json", "model.safetensors", "channels/index.json", "channels/5b.webp"):
        expected[f"weights/{name}"] = (checkout / "weights" / name).read_bytes()
    received = dict(space.files)
    assert set(received) == {*expected, "README.md", ".gitattributes"}  # old.txt, which was there, is gone
    for name, data in expected.items():
        assert received[name] == data, name
    named = {name: value for name, value in header(HEADER.encode()).items() if name not in ("license", "models")}
    assert header(received["README.md"]) == named
    assert received["README.md"].endswith(b"---\n# Inside GoogLeNet\n\n---\nmore\n")
    assert (space.sdk, space.hardware, space.variables, space.private) == ("gradio", "t4-small", {}, False)
    assert not hub.requests("xet")
    assert [request.path for request in hub.requests("^PUT ")] == [f"/put/{sha256(expected['weights/model.safetensors'])}"]

    assert run("someone/space")["address"] == answer["address"]  # nothing has changed: no second commit
    assert (space.files, space.commits) == (received, 1)


def test_weights_on_the_hub_are_named_and_preloaded(hub: HubServer, run: Run) -> None:
    commit = hub.model("user/repo", {"a.onnx": b"a"}).refs["main"]
    source = f"user/repo@{commit}:a.onnx"
    run("someone/hub", weights=source, private=True)
    space = hub.spaces["someone/hub"]
    assert (space.variables, space.private) == ({"GOOGLENET_WEIGHTS": source}, True)
    assert not [name for name in space.files if name.startswith("weights/")]
    named = header(space.files["README.md"])
    assert (named["preload_from_hub"], named["models"]) == ([f"user/repo a.onnx {commit}"], ["user/repo"])
    # back to the built-in weights: the variable goes, the files come
    run("someone/hub")
    assert (space.variables, space.private) == ({}, True)
    assert "weights/model.safetensors" in space.files
    assert "preload_from_hub" not in header(space.files["README.md"])


def test_a_space_has_its_own_title_and_examples(hub: HubServer, run: Run, tmp_path: Path) -> None:
    """No licence is claimed for it, and pictures alone are sent. Without the options, both go again."""
    for name in ("our cat.jpg", "b.PNG", ".hidden.jpg", "notes.txt", "deep/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "link.jpg").symlink_to(tmp_path / "notes.txt")
    run("someone/own", title="Our pets: 고양이", examples=str(tmp_path))
    space = hub.spaces["someone/own"]
    assert space.variables == {"GOOGLENET_TITLE": "Our pets: 고양이", "GOOGLENET_EXAMPLES": "examples"}
    sent = {name: data for name, data in space.files.items() if name.startswith("examples/")}
    assert sent == {"examples/our cat.jpg": b"our cat.jpg", "examples/b.PNG": b"b.PNG"}
    assert header(space.files["README.md"])["title"] == "Our pets: 고양이"
    assert not space.private
    run("someone/own", private=True)
    assert space.private
    assert space.variables == {}
    assert "examples/b.PNG" not in space.files
    assert run("someone/own", examples=str(tmp_path / "deep/c.jpg"))["error"].endswith(
        "c.jpg cannot be read: its folder is a file."
    )
    (tmp_path / "deep/c.jpg").unlink()
    assert "holds no pictures" in run("someone/own", examples=str(tmp_path / "deep"))["error"]


def test_an_installed_program_deploys_what_a_checkout_does(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wheel has no checkout around it: the Space's own files and the weights lie inside the package."""
    package = tmp_path / "site-packages" / "googlenet"
    shutil.copytree(checkout / "googlenet", package, symlinks=True)
    shutil.copytree(checkout / "weights", package / "weights")
    (package / "space").mkdir()
    for name in ("app.py", "requirements.txt", "README.md", "LICENSE"):
        shutil.copy(checkout / name, package / "space" / name)
        (tmp_path / "site-packages" / name).write_text("of some other package", "utf-8")

    deploy_here("a/b", shipped("weights", package), package)
    installed = capsys.readouterr().out
    deploy_here("a/b", checkout / "weights", checkout / "googlenet")
    assert installed == capsys.readouterr().out
    assert "file googlenet/ui/deploy.py (" in installed
    assert "file weights/model.safetensors (" in installed


@pytest.mark.parametrize(
    ("source", "preload"),
    [
        ("user/repo", "user/repo"),
        ("user/repo:a.pth", "user/repo a.pth"),
        (f"user/repo@{'a' * 40}", f"user/repo config.json,model.safetensors {'a' * 40}"),
    ],
)
def test_the_preload_line(checkout: Path, source: str, preload: str, capsys: pytest.CaptureFixture[str]) -> None:
    deploy_here("someone/dry", source, checkout / "googlenet", private=True)
    said = capsys.readouterr().out
    assert f"header - {preload}\n" in said
    assert f"variable GOOGLENET_WEIGHTS={source}\n" in said
    assert "Space someone/dry, private, hardware as it is (cpu-basic when new)\n" in said


def test_weights_that_need_a_name_are_named(checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """torchvision's, and one of several networks in a checkpoint."""
    networks = {name: random_model(TORCHVISION, classes=3).state_dict() for name in ("model", "ema")}
    torch.save(networks, tmp_path / "net.pth")
    for source, variable in (("torchvision", "torchvision"), (f"{tmp_path}/net.pth:ema", "weights/net.pth:ema")):
        deploy_here("a/b", source, checkout / "googlenet")
        assert f"variable GOOGLENET_WEIGHTS={variable}\n" in capsys.readouterr().out


def test_a_dry_run_sends_nothing(hub: HubServer, run: Run) -> None:
    said = run("someone/dry", dry_run=True)["said"]
    assert hub.log == []
    assert "file app.py (" in said
    assert "file weights/model.safetensors (" in said
    assert said.endswith("nothing was sent.\n")
    assert "notes.txt" not in said
    assert "checkpoint.bin" not in said


def test_what_becomes_of_the_space_is_told(hub: HubServer, run: Run) -> None:
    """One that does not run, one that the Hub refuses; and that of before does not pass for the new one."""
    run("someone/states")
    space = hub.spaces["someone/states"]
    for stage, log in (("BUILD_ERROR", "build"), ("RUNTIME_ERROR", "run")):
        space.stages = ["BUILDING", stage]
        error = run("someone/states")["error"]
        assert error == f"someone/states does not run ({stage}): ERROR: the {log} of someone/states failed."
    error = run("someone/states", hardware="warp-drive")["error"]
    assert error == "The Hub refuses to make someone/states: Invalid hardware flavor: warp-drive."
    hub.model("user/new", {"a.onnx": b"a"})
    space.stages = ["RUNNING old", "BUILDING", "RUNNING"]
    run("someone/states", weights="user/new")
    assert space.stages == ["RUNNING"]


def test_weights_that_the_hub_lacks_are_told_before_anything_is_sent(hub: HubServer, run: Run) -> None:
    hub.model("user/there", {"a.onnx": b"a", "b.onnx": b"b"})
    assert run("someone/new", weights="user/absent")["error"].startswith("There is no repository user/absent on the Hub")
    assert run("someone/new", weights="user/there:c.onnx")["error"] == "user/there holds no file c.onnx."
    assert run("someone/new", weights="user/there")["error"].startswith("user/there holds 2 files of weights; name the one")
    assert "someone/new" not in hub.spaces


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/api/repos/create", "403", "The token may not write to someone/fault; set HF_TOKEN to one that may."),
        ("/api/repos/create", "401", "The token may not write to someone/fault; set HF_TOKEN to one that may."),
        ("/commit/", "400", "The Hub refuses to make someone/fault: so the tests want it."),
        ("/put/", "400", "someone/fault could not be brought up to date: the Hub answers with error 400; try again."),
    ],
)
def test_a_hub_that_fails_is_told(hub: HubServer, run: Run, path: str, status: str, sentence: str) -> None:
    hub.large.clear()
    hub.spaces.pop("someone/fault", None)
    hub.fail(path, status, -1)
    assert run("someone/fault")["error"] == sentence
    hub.faults.clear()
    assert run("someone/fault")["address"]


def test_without_a_network_one_sentence(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    for offline, why in ((False, "the connection broke or is too slow"), (True, "offline mode is set")):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
        with pytest.raises(UserError) as caught:
            deploy_here("a/b", checkout / "weights", checkout / "googlenet", dry_run=False)
        assert str(caught.value) == f"a/b could not be brought up to date: {why}; try again."


def test_what_cannot_be_deployed_is_told(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad").mkdir()
    monkeypatch.setattr("googlenet.ui.deploy.get_token", lambda: None)  # this machine may have one, which must not be used
    for space, weights, root, sentence in (
        ("space", "user/repo", checkout, "space is not the name of a Space; write user/space."),
        ("a/b/c", "user/repo", checkout, "a/b/c is not the name of a Space; write user/space."),
        ("a b/c", "user/repo", checkout, "a b/c is not the name of a Space; write user/space."),
        ("a/b", "user/repo", tmp_path, "app.py of the program is missing; install it anew, or deploy from a checkout."),
        ("a/b", tmp_path / "bad", checkout, "holds no GoogLeNet"),
        ("a/b", "nowhere", checkout, "There is no folder or file nowhere"),
    ):
        with pytest.raises(UserError, match=sentence):
            deploy_here(space, weights, root / "googlenet")
    with pytest.raises(UserError, match="There is no token on this machine; set HF_TOKEN"):
        deploy_here("a/b", "user/repo", checkout / "googlenet", dry_run=False)


def test_the_header_of_this_checkout_is_one_that_spaces_know() -> None:
    """Against the fields of the Hub's "Spaces Configuration Reference" that matter to a Gradio Space."""
    found = header((ROOT / "README.md").read_bytes())
    known = {"title", "emoji", "colorFrom", "colorTo", "sdk", "python_version", "sdk_version", "suggested_hardware", "app_file"}
    known |= {"fullWidth", "header", "short_description", "models", "datasets", "tags", "thumbnail", "pinned", "license"}
    known |= {"startup_duration_timeout", "preload_from_hub", "disable_embedding", "custom_headers"}
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert set(found) <= known
    assert (found["sdk"], found["app_file"], found["license"]) == ("gradio", "app.py", "apache-2.0")
    assert {found["colorFrom"], found["colorTo"]} <= colours
    assert re.fullmatch(r"3\.\d+(\.\d+)?", str(found["python_version"]))
    assert re.fullmatch(r"6\.\d+\.\d+", found["sdk_version"])  # what requirements.txt asks for
    assert len(found["short_description"]) <= 60
