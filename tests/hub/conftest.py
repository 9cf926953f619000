"""A Hub on this machine, the program in processes of its own that talk to it, and a small GoogLeNet to put there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from googlenet.checkpoints.config import ModelConfig
from googlenet.checkpoints.folder import write_folder
from googlenet.model.architecture import Architecture
from googlenet.pictures.images import Preprocess
from tests.helpers import ROOT, random_model
from tests.hub.server import TOKEN, HubServer, git_digest, sha256

CARD = "---\nlicense: mit\npipeline_tag: image-classification\n---\n\n# A test\n"
Files = dict[str, bytes]


def write_model(folder: Path, labels: tuple[str, ...] = ("lion", "cougar", "cat"), aux_heads: bool = False) -> Files:
    """A folder of ours with random weights (without auxiliary heads: 12 MB) → its files."""
    model = random_model(Architecture(aux_heads=aux_heads), classes=len(labels))
    preprocess = Preprocess(96, 96, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    config = ModelConfig(model.architecture, labels, preprocess, None, None)
    write_folder(model, config, folder, CARD)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="package")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A repository in this program's layout."""
    return write_model(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="package")
def server() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server
        server.shutdown()


@pytest.fixture
def hub(server: HubServer) -> HubServer:
    """The server, well-behaved, with an empty log."""
    server.faults.clear()
    server.log.clear()
    return server


class Client:
    """The program in a process of its own, with a token; a load is one line there and one back."""

    def __init__(self, home: Path, endpoint: str) -> None:
        self.cache, self.errors = home / "hub", home / "stderr.txt"
        # none of this machine's own settings of the Hub or of a proxy
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_") and "PROXY" not in name.upper()}
        own = {
            "HF_HOME": str(home),
            "HF_TOKEN": TOKEN,
            "HF_ENDPOINT": endpoint,
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",  # as the command line sets it
            "HF_HUB_ETAG_TIMEOUT": "1",
            "HF_HUB_DOWNLOAD_TIMEOUT": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
        }
        with self.errors.open("a") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.hub.client"],
                cwd=ROOT,
                env=kept | own,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, self.errors.read_text()
        answer: dict[str, Any] = json.loads(line)  # anything else on stdout ends here
        assert "crash" not in answer, answer["crash"]
        return answer

    def load(self, source: str, token: str | bool | None = None, visitor: bool = False) -> dict[str, Any]:
        """What a load gives; `token` as huggingface_hub takes it."""
        answer = self.ask(source=source, token=token, visitor=visitor)
        assert "error" not in answer, answer["error"]
        return answer

    def refusal(self, source: str, token: str | bool | None = None, visitor: bool = False, **more: float) -> str:
        """The one sentence that a load ends with: no traceback, no address, no second sentence's worth."""
        answer = self.ask(source=source, token=token, visitor=visitor, **more)
        assert "error" in answer, f"{source} was loaded"
        sentence: str = answer["error"]
        assert sentence.endswith(".")
        assert len(sentence) < 300
        assert not any(mark in sentence for mark in ("\n", "Traceback", "Error(", "://", "127.0.0.1")), sentence
        return sentence

    def blobs(self, name: str) -> set[bytes]:
        """The files of a repository in the cache; each is what its name says, and none is a part of one."""
        folder = self.cache / f"models--{name.replace('/', '--')}" / "blobs"
        files = {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}
        for digest, data in files.items():
            assert digest == (git_digest(data) if len(digest) == 40 else sha256(data))
        return set(files.values())

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="package")
def client(server: HubServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The client of most tests; a test uses repositories of its own names, so that the cache is new to it."""
    client = Client(tmp_path_factory.mktemp("home"), server.url)
    yield client
    client.close()


@pytest.fixture
def endpoint(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """This process talks to the Hub's stand-in."""
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + template[template.index("/{repo_id}") :])
    return hub.url
