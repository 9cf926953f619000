"""Fixtures that several test files share, and the markers that a folder gives to its tests."""

import os
from pathlib import Path

import pytest

from googlenet.checkpoints import LoadedModel, save
from googlenet.inference.explainer import Explainer
from googlenet.pictures.images import Preprocess
from tests.helpers import ROOT, explainer_of, random_model

for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
    if os.environ.get(name, "").startswith("ko"):
        os.environ[name] = "C.UTF-8"  # the tests read English messages


@pytest.hookimpl(tryfirst=True)  # before xdist's own hook, which reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`pytest -m "not browser and not hub"` leaves out what starts servers. One process runs all tests that share a server."""
    for item in items:
        folder = item.path.parent
        if folder.name in ("browser", "hub"):
            item.add_marker(folder.name)
        item.add_marker(pytest.mark.xdist_group(str(folder if folder.name in ("browser", "server") else item.path)))


@pytest.fixture(scope="session")
def weights() -> Path:
    """The built-in weights."""
    return ROOT / "weights"


@pytest.fixture(scope="session")
def explainer() -> Explainer:
    """Of a network with random weights for ten things and pictures of 96 pixels."""
    return explainer_of(random_model())


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder of weights that are read in no time: ten things, pictures of 64 pixels."""
    model, folder = random_model(), tmp_path_factory.mktemp("tiny")
    explainer = explainer_of(model, Preprocess(64, 64, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
    save(LoadedModel(model, explainer.config, explainer.provenance), folder)
    return str(folder)
