"""A Hub on this machine, the program that talks to it, and a small GoogLeNet to put there."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants, file_download

from googlenet import checkpoints
from googlenet.checkpoints import load, load_for_visitor
from googlenet.checkpoints.cache import Cache
from googlenet.checkpoints.config import ModelConfig
from googlenet.checkpoints.folder import write_folder
from googlenet.checkpoints.source import parse_for_visitor
from googlenet.errors import WeightsError
from googlenet.model.architecture import PAPER, TORCHVISION
from googlenet.pictures.images import Preprocess
from tests.helpers import random_model
from tests.hub.server import TOKEN, HubServer, git_digest, sha256

CARD = "---\nlicense: mit\npipeline_tag: image-classification\n---\n\n# A test\n"
Files = dict[str, bytes]


def write_model(folder: Path, labels: tuple[str, ...] = ("lion", "cougar", "cat"), aux_heads: bool = False) -> Files:
    """A folder of ours with random weights (without auxiliary heads: 12 MB) → its files."""
    model = random_model(PAPER if aux_heads else TORCHVISION, classes=len(labels))
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
    """The program, with the operator's cache and the visitors'. A test uses repositories of its own names: both are new to it."""

    def __init__(self, home: Path) -> None:
        self.cache = home / "hub"

    def load(self, source: str, token: str | bool | None = None, visitor: bool = False) -> dict[str, Any]:
        """What a load gives; `token` as huggingface_hub takes it."""
        shares: list[float] = []
        if visitor:
            loaded = load_for_visitor(parse_for_visitor(source), lambda share, _: shares.append(share))
        else:
            loaded = load(source, token=token, progress=lambda share, _: shares.append(share))
        labels, weight = list(loaded.config.labels), loaded.model.fc.weight[0, 0].item()
        return {**asdict(loaded.provenance), "labels": labels, "weight": weight, "shares": shares}

    def refusal(
        self, source: str, token: str | bool | None = None, visitor: bool = False, kind: type[WeightsError] = WeightsError
    ) -> str:
        """The one sentence that a load ends with: no traceback, no address, no second sentence's worth."""
        with pytest.raises(kind) as caught:
            self.load(source, token, visitor)
        sentence = str(caught.value)
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


@pytest.fixture
def endpoint(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """This process talks to the Hub's stand-in, with none of this machine's own settings of the Hub or of a proxy."""
    for name in os.environ:
        if name.startswith("HF_") or "PROXY" in name.upper():
            monkeypatch.delenv(name)
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE
    settings = {
        "ENDPOINT": hub.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": hub.url + template[template.index("/{repo_id}") :],
        "HF_HUB_DISABLE_XET": True,  # as the command line sets it
        "HF_HUB_ETAG_TIMEOUT": 1,
        "HF_HUB_DOWNLOAD_TIMEOUT": 1,
    }
    for name, value in settings.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setattr(file_download, "_ETAG_RETRY_TIMEOUT", 1)
    monkeypatch.setattr(time, "sleep", lambda _: None)  # the client's waits between its own attempts
    return hub.url


@pytest.fixture(scope="package")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def client(endpoint: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    """With a token."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(checkpoints, "OPERATOR", Cache(home / "hub"))
    monkeypatch.setattr(checkpoints, "VISITORS", Cache(home / "visitors", quota=1 << 30))
    return Client(home)
