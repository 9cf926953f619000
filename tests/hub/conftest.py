"""The Hub's stand-in, small models to put on it, and the program in a process of its own that talks to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from googlenet.hub import ModelConfig, save
from googlenet.images import Preprocess
from googlenet.model import Architecture
from tests.conftest import ROOT, random_model
from tests.hub.server import HubServer, git_digest

CARD = "---\nlicense: mit\npipeline_tag: image-classification\n---\n\n# A test\n"


def write_model(folder: Path, seed: int = 0) -> dict[str, bytes]:
    """A folder of ours with random weights (no auxiliary heads: 12 MB) → its files."""
    model = random_model(Architecture(aux_heads=False), classes=3, seed=seed)
    preprocess = Preprocess(96, 96, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    model.config = ModelConfig(model.architecture, ("lion", "cougar", f"seed {seed}"), preprocess, None, None)
    save(model, folder, CARD)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


class Client:
    """The program, in a process with an environment of its own; a call is one line there and one back."""

    def __init__(self, endpoint: str, home: Path, **environment: str) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home, self.errors = home, home / "stderr.txt"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("HF_") and "PROXY" not in name.upper()}
        settings = {
            "HF_ENDPOINT": endpoint,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_ETAG_TIMEOUT": "1",
            "HF_HUB_DOWNLOAD_TIMEOUT": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
        }
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("client.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors.open("w"),
            env=clean | settings | environment,
            text=True,
        )

    def __call__(self, call: str, **arguments: Any) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({"call": call} | arguments) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, self.errors.read_text()
        answer = json.loads(line)  # anything else on stdout ends here
        assert "crash" not in answer, answer["crash"]
        return answer

    def load(self, source: str, **options: Any) -> dict[str, Any]:
        answer = self("load", source=source, **options)
        assert "error" not in answer, answer["error"]
        return answer

    def refused(self, source: str, **options: Any) -> str:
        """The one sentence that a load ends with; nothing in it is a traceback, an address or a second sentence's worth."""
        answer = self("load", source=source, **options)
        assert "error" in answer, answer
        sentence = answer["error"]
        assert "\n" not in sentence
        assert "://" not in sentence
        assert sentence.endswith(".")
        assert len(sentence) < 300, sentence
        return sentence

    def cache_is_sound(self) -> None:
        """No half a file anywhere, and every blob is what its name says."""
        assert not [*self.home.rglob("*.incomplete")]
        for blob in (self.home / "hub").glob("*/blobs/*"):
            data = blob.read_bytes()
            if len(blob.name) == 40:
                assert git_digest(data) == blob.name
            else:
                import hashlib

                assert hashlib.sha256(data).hexdigest() == blob.name

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(20)


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def other_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return write_model(tmp_path_factory.mktemp("other"), seed=1)


@pytest.fixture(scope="session")
def server() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server
        server.shutdown()


MakeClient = Callable[..., Client]


@pytest.fixture(scope="session")
def make_client(server: HubServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeClient]:
    made: list[Client] = []

    def make(endpoint: str = server.url, home: Path | None = None, **environment: str) -> Client:
        made.append(Client(endpoint, home or tmp_path_factory.mktemp("home"), **environment))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture(scope="session")
def client(make_client: MakeClient) -> Client:
    """Without a token."""
    return make_client()


@pytest.fixture(scope="session")
def operator(make_client: MakeClient) -> Client:
    """With a token."""
    from tests.hub.server import TOKEN

    return make_client(HF_TOKEN=TOKEN)


assert constants  # the library's constants are read at import: this process must never be pointed at the server
