"""torchvision's own GoogLeNet, from a server that is a file of this machine."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
import torchvision
from torchvision.models import GoogLeNet_Weights

from googlenet.checkpoints import load, load_for_visitor
from googlenet.checkpoints.source import parse_for_visitor
from googlenet.errors import DamagedWeightsError, OfflineWeightsError, UserError
from googlenet.model.architecture import TORCHVISION
from googlenet.ui import sentences
from tests.checkpoints.files import IMAGENET, close, lively, logits, picture

WEIGHTS = GoogLeNet_Weights.IMAGENET1K_V1


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return lively(torchvision.models.googlenet(weights=None, aux_logits=True, transform_input=True, init_weights=False))


@pytest.fixture(scope="module")
def server(model: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file on torchvision's server."""
    file = tmp_path_factory.mktemp("server") / "net"
    torch.save(model.state_dict(), file)
    return file.rename(file.with_name(f"googlenet-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}.pth"))


@pytest.fixture
def published(server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file at torchvision's address, a link that may be removed; torch hub's cache is empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    path = tmp_path / server.name
    path.symlink_to(server)
    monkeypatch.setattr(WEIGHTS.value, "url", path.as_uri())
    return path


def refusal(kind: type[UserError]) -> str:
    with pytest.raises(kind) as caught:
        load("torchvision")
    said = sentences.error(caught.value)
    assert said["ko"] != said["en"]
    return said["en"]


def test_it_is_fetched_once_and_answers_as_torchvision_does(
    model: torch.nn.Module, published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sha256 = hashlib.sha256(published.read_bytes()).hexdigest()
    loaded = load("torchvision")
    assert capsys.readouterr().out == ""  # stdout is for results
    assert loaded.config.architecture == TORCHVISION
    assert not loaded.config.architecture.aux_heads  # its auxiliary heads are noise
    assert list(loaded.config.labels) == WEIGHTS.meta["categories"]
    assert (loaded.config.preprocess.resize, loaded.config.preprocess.crop) == (256, 224)
    assert (loaded.provenance.source, loaded.provenance.sha256) == ("torchvision", sha256)
    assert loaded.provenance.assumed is None
    rgb = picture(96)
    with torch.no_grad():
        close(logits(loaded, rgb).main, model(IMAGENET(rgb)))
    published.unlink()  # offline: from the cache, for a visitor as well
    again = load_for_visitor(parse_for_visitor("torchvision"))
    assert torch.equal(again.model.fc.weight, loaded.model.fc.weight)


def test_a_folder_of_that_name_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "torchvision").mkdir()
    with pytest.raises(UserError, match="torchvision holds no GoogLeNet"):
        load("torchvision")


def test_where_it_cannot_be_fetched(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published.unlink()
    assert refusal(OfflineWeightsError).startswith("torchvision's weights are not on this machine and cannot be fetched: ")
    monkeypatch.setattr(WEIGHTS.value, "url", f"http://127.0.0.1:9/{published.name}")
    assert "cannot be fetched: 127.0.0.1 cannot be reached; connect and try again" in refusal(OfflineWeightsError)


def test_another_file_than_torchvisions(published: Path, tmp_path: Path) -> None:
    rotten = published.read_bytes()[:-4] + b"rots"
    published.unlink()
    published.write_bytes(rotten)
    assert refusal(DamagedWeightsError) == "torchvision's weights arrived damaged; try again."
    cached = tmp_path / "home" / "hub" / "checkpoints" / published.name
    cached.write_bytes(rotten)
    assert "is damaged: it is not torchvision's file; delete it and try again." in refusal(DamagedWeightsError)
