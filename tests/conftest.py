"""Fixtures that several test files share, and the markers that a folder gives to its tests."""

import os
from pathlib import Path

import pytest

from tests.helpers import ROOT

for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
    if os.environ.get(name, "").startswith("ko"):
        os.environ[name] = "C.UTF-8"  # the tests read English messages


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`pytest -m "not browser and not hub"` leaves out what starts servers."""
    for item in items:
        folder = item.path.parent.name
        if folder in ("browser", "hub"):
            item.add_marker(folder)


@pytest.fixture(scope="session")
def weights() -> Path:
    """The built-in weights."""
    return ROOT / "weights"
