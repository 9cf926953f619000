"""A Space made and brought up to date with huggingface_hub's calls; the tree that it received, file by file."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import create_autospec

import httpx2
import pytest
import torch
import yaml
from huggingface_hub import CommitOperationDelete, HfApi, SpaceRuntime, constants
from huggingface_hub.errors import HfHubHTTPError

from googlenet.checkpoints.config import ModelConfig
from googlenet.checkpoints.folder import write_folder
from googlenet.checkpoints.source import shipped
from googlenet.errors import UserError
from googlenet.model.architecture import TORCHVISION, Architecture
from googlenet.pictures.images import Preprocess
from googlenet.ui import deploy as module
from googlenet.ui.deploy import deploy
from tests.helpers import ROOT, random_image, random_model
from tests.hub.server import TOKEN, HubServer

HEADER = (
    "---\ntitle: Inside GoogLeNet\nsdk: gradio\nsdk_version: 6.31.0\napp_file: app.py\nlicense: apache-2.0\n"
    "models: [someone/unused]\n---\n"
)


STRAY = (
    *("__pycache__/x.pyc", ".hidden", ".git/config", ".vscode/settings.json", "ui/.ipynb_checkpoints/deploy-checkpoint.py"),
    *("prod.env", "id_rsa", "ui/cli.py~", "ui/.cli.py.swp", "ui/key.pem", "errors/korean.json.orig", "token.json"),
    *("venv/lib/a.py", "venv/lib/b/__init__.py", "ui/secret.json", "ui/me.jpg", "ui/examples/private.jpg"),
)
"""What lies in the package's folder and is no part of it."""


def runtime(stage: str, commit: str = "new") -> SpaceRuntime:
    return SpaceRuntime({"stage": stage, "sha": commit, "hardware": {}})


@pytest.fixture
def api(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`HfApi`, whose calls are compared with its signatures: a Space that holds two files and runs what it is sent."""
    api = create_autospec(HfApi, instance=True)
    api.get_space_variables.return_value = {}
    api.list_repo_files.return_value = [".gitattributes", "old.txt"]
    api.create_commit.return_value = SimpleNamespace(oid="new")
    api.wait_for_space.return_value = runtime("RUNNING")
    monkeypatch.setattr(module, "HfApi", lambda: api)
    monkeypatch.setattr(module, "get_token", lambda: TOKEN)
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    return api


def sent(api: Any) -> dict[str, bytes]:
    """The files of the last commit. What was there and is no part of it is removed."""
    files = {}
    for operation in api.create_commit.call_args.args[1]:
        if isinstance(operation, CommitOperationDelete):
            assert operation.path_in_repo == "old.txt"
        else:
            with operation.as_file() as file:
                files[operation.path_in_repo] = file.read()
    return files


Run = Callable[..., str]


@pytest.fixture
def run(checkout: Path) -> Run:
    """Deploy with some options; what was printed is the answer."""

    def run(space: str, **options: Any) -> str:
        defaults = {"weights": str(checkout / "weights"), "hardware": None, "private": False, "dry_run": False}
        with contextlib.redirect_stdout(io.StringIO()) as said:
            deploy(space, package=checkout / "googlenet", **{**defaults, **options})
        return said.getvalue()

    return run


def refusal(run: Run, space: str, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        run(space, **options)
    return str(caught.value)


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


def header(readme: bytes) -> dict[str, Any]:
    return yaml.safe_load(readme.decode().split("---\n")[1])


def test_a_space_gets_exactly_its_files(api: Any, run: Run, checkout: Path) -> None:
    said = run("a/space", hardware="t4-small")
    assert said.endswith(f"Inside GoogLeNet is at {constants.ENDPOINT}/spaces/a/space\n")
    program = {p.relative_to(ROOT).as_posix(): p for p in (ROOT / "googlenet").rglob("*") if p.is_file() and p.suffix != ".pyc"}
    expected = {name: path.read_bytes() for name, path in program.items()}
    for name in ("app.py", "requirements.txt", "LICENSE"):
        expected[name] = (ROOT / name).read_bytes()
    for name in ("README.md", "config.json", "model.safetensors", "channels/index.json", "channels/5b.webp"):
        expected[f"weights/{name}"] = (checkout / "weights" / name).read_bytes()
    files = sent(api)
    card = files.pop("README.md")
    assert set(files) == set(expected)
    assert [name for name, data in expected.items() if files[name] != data] == []
    assert header(card) == {name: value for name, value in header(HEADER.encode()).items() if name not in ("license", "models")}
    assert card.endswith(b"---\n# Inside GoogLeNet\n\n---\nmore\n")
    api.create_repo.assert_called_once_with("a/space", repo_type="space", space_sdk="gradio", private=None, exist_ok=True)
    api.request_space_hardware.assert_called_once_with("a/space", "t4-small")
    for unused in (api.update_repo_settings, api.add_space_variable, api.delete_space_variable):
        unused.assert_not_called()


def test_weights_on_the_hub_are_named_and_preloaded(hub: HubServer, api: Any, run: Run) -> None:
    commit = hub.model("user/repo", {"a.onnx": b"a"}).refs["main"]
    source = f"user/repo@{commit}:a.onnx"
    run("a/hub", weights=source, private=True)
    api.add_space_variable.assert_called_once_with("a/hub", "GOOGLENET_WEIGHTS", source)
    api.update_repo_settings.assert_called_once_with("a/hub", repo_type="space", private=True)
    files = sent(api)
    assert not [name for name in files if name.startswith("weights/")]
    named = header(files["README.md"])
    assert (named["preload_from_hub"], named["models"]) == ([f"user/repo a.onnx {commit}"], ["user/repo"])
    # back to the built-in weights: the variable goes, the files come
    api.get_space_variables.return_value = {"GOOGLENET_WEIGHTS": source, "THEIRS": "stays"}
    run("a/hub")
    api.delete_space_variable.assert_called_once_with("a/hub", "GOOGLENET_WEIGHTS")
    assert "weights/model.safetensors" in sent(api)
    assert "preload_from_hub" not in header(sent(api)["README.md"])


def test_a_space_has_its_own_title_and_examples(api: Any, run: Run, tmp_path: Path) -> None:
    """No licence is claimed for it. The pictures that `serve` shows are sent, and nothing else."""
    (tmp_path / "deep").mkdir()
    pictures = ("our cat.jpg", "b.PNG", "deep/c.jpg")
    for seed, name in enumerate(pictures):
        random_image(20, 10, seed).save(tmp_path / name)
    for name in (".hidden.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(b"private")
    run("a/own", title="Our pets: 고양이", examples=tmp_path)
    variables = {call.args[1:] for call in api.add_space_variable.call_args_list}
    assert variables == {("GOOGLENET_TITLE", "Our pets: 고양이"), ("GOOGLENET_EXAMPLES", "examples")}
    files = sent(api)
    examples = {name: data for name, data in files.items() if name.startswith("examples/")}
    assert examples == {f"examples/{name}": (tmp_path / name).read_bytes() for name in pictures}
    assert header(files["README.md"])["title"] == "Our pets: 고양이"
    assert "There is no folder" in refusal(run, "a/own", examples=tmp_path / "deep/c.jpg")
    (tmp_path / "deep/broken.jpg").symlink_to(tmp_path / "notes.txt")
    assert "broken.jpg is not a picture that can be read" in refusal(run, "a/own", examples=tmp_path)


def test_an_installed_program_deploys_what_a_checkout_does(checkout: Path, run: Run, tmp_path: Path) -> None:
    """A wheel has no checkout around it: the Space's own files and the weights lie inside the package."""
    package = tmp_path / "site-packages" / "googlenet"
    shutil.copytree(checkout / "googlenet", package, symlinks=True)
    shutil.copytree(checkout / "weights", package / "weights")
    (package / "space").mkdir()
    for name in ("app.py", "requirements.txt", "README.md", "LICENSE"):
        shutil.copy(checkout / name, package / "space" / name)
        (tmp_path / "site-packages" / name).write_text("of some other package", "utf-8")

    with contextlib.redirect_stdout(io.StringIO()) as installed:
        deploy("a/b", weights=str(shipped("weights", package)), hardware=None, private=False, dry_run=True, package=package)
    assert installed.getvalue() == run("a/b", dry_run=True)
    assert "file googlenet/ui/deploy.py (" in installed.getvalue()
    assert "file weights/model.safetensors (" in installed.getvalue()


@pytest.mark.parametrize(
    ("source", "preload"),
    [
        ("user/repo", "user/repo"),
        ("user/repo:a.pth", "user/repo a.pth"),
        (f"user/repo@{'a' * 40}", f"user/repo config.json,model.safetensors {'a' * 40}"),
    ],
)
def test_the_preload_line(run: Run, source: str, preload: str) -> None:
    said = run("someone/dry", weights=source, private=True, dry_run=True)
    assert f"header - {preload}\n" in said
    assert f"variable GOOGLENET_WEIGHTS={source}\n" in said
    assert "Space someone/dry, private, hardware as it is (cpu-basic when new)\n" in said


def test_weights_that_need_a_name_are_named(run: Run, tmp_path: Path) -> None:
    """torchvision's, and one of several networks in a checkpoint."""
    networks = {name: random_model(TORCHVISION, classes=3).state_dict() for name in ("model", "ema")}
    torch.save(networks, tmp_path / "net.pth")
    for source, variable in (("torchvision", "torchvision"), (f"{tmp_path}/net.pth:ema", "weights/net.pth:ema")):
        assert f"variable GOOGLENET_WEIGHTS={variable}\n" in run("a/b", weights=source, dry_run=True)


def test_a_dry_run_sends_nothing(api: Any, run: Run) -> None:
    said = run("a/dry", dry_run=True)
    assert api.mock_calls == []
    assert "file app.py (" in said
    assert "file weights/model.safetensors (" in said
    assert said.endswith("nothing was sent.\n")
    assert "notes.txt" not in said
    assert "checkpoint.bin" not in said


def test_what_becomes_of_the_space_is_told(api: Any, run: Run) -> None:
    """One that does not run; and that of before does not pass for the new one."""
    for stage, log in (("BUILD_ERROR", "build"), ("RUNTIME_ERROR", "run")):
        api.wait_for_space.return_value = runtime(stage)
        api.fetch_space_logs.return_value = ["Collecting nonsense\n", f"ERROR: the {log} failed.\n", "\n"]
        error = refusal(run, "a/states", weights="torchvision")
        assert error == f"a/states does not run ({stage}): ERROR: the {log} failed."
        assert api.fetch_space_logs.call_args.kwargs == {"build": log == "build"}
    api.wait_for_space.side_effect = [runtime("RUNNING", "old"), runtime("RUNNING", "old"), runtime("RUNNING")]
    assert "Inside GoogLeNet is at" in run("a/states", weights="torchvision")
    api.wait_for_space.side_effect = TimeoutError
    late = "a/states is still not running after half an hour; look at its log."
    assert refusal(run, "a/states", weights="torchvision") == late


def test_weights_that_the_hub_lacks_are_told_before_anything_is_sent(hub: HubServer, api: Any, run: Run) -> None:
    hub.model("user/there", {"a.onnx": b"a", "b.onnx": b"b"})
    assert refusal(run, "a/new", weights="user/absent").startswith("There is no repository user/absent on the Hub")
    assert refusal(run, "a/new", weights="user/there:c.onnx") == "user/there holds no file c.onnx."
    assert refusal(run, "a/new", weights="user/there").startswith("user/there holds 2 files of weights; name the one")
    assert api.mock_calls == []


def answer(status: int, said: str | None = None) -> HfHubHTTPError:
    response = httpx2.Response(status, request=httpx2.Request("POST", "https://hub.example"))
    return HfHubHTTPError("failed", response=response, server_message=said)


def failed_file() -> RuntimeError:
    """As the library raises it where a file could not be sent."""
    error = RuntimeError("Error while uploading 'model.safetensors' to the Hub.")
    error.__cause__ = answer(400)
    return error


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        ("create_repo", answer(403), "The token may not write to a/fault; set HF_TOKEN to one that may."),
        ("create_repo", answer(401), "The token may not write to a/fault; set HF_TOKEN to one that may."),
        ("request_space_hardware", answer(400, "No such flavor."), "The Hub refuses to make a/fault: No such flavor."),
        ("create_commit", answer(400), "The Hub refuses to make a/fault: the Hub answers with error 400."),
        ("create_commit", failed_file(), "a/fault could not be brought up to date: the Hub answers with error 400; try again."),
    ],
)
def test_a_hub_that_fails_is_told(api: Any, run: Run, call: str, error: Exception, sentence: str) -> None:
    getattr(api, call).side_effect = error
    assert refusal(run, "a/fault", weights="torchvision", hardware="warp-drive") == sentence


def test_without_a_network_one_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    for offline, why in ((False, "the connection broke or is too slow"), (True, "HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set")):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
        assert refusal(run, "a/b", weights="torchvision") == f"a/b could not be brought up to date: {why}; try again."


def test_what_cannot_be_deployed_is_told(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "get_token", lambda: None)  # this machine may have one, which must not be used
    for space in ("space", "a/b/c", "a b/c"):
        assert refusal(run, space, weights="user/repo") == f"{space} is not the name of a Space; write user/space."
    for weights, sentence in ((str(tmp_path), "holds no GoogLeNet"), ("nowhere", "There is no folder or file nowhere")):
        assert sentence in refusal(run, "a/b", weights=weights)
    assert refusal(run, "a/b", weights="user/repo").startswith("There is no token on this machine; set HF_TOKEN")
    with pytest.raises(UserError, match=r"app\.py of the program is missing; install it anew, or deploy from a checkout\."):
        deploy("a/b", weights="user/repo", hardware=None, private=False, dry_run=True, package=tmp_path / "googlenet")


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
