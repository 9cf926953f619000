"""Fixtures that several test files share, and the markers that a folder gives to its tests."""

from pathlib import Path

import pytest

from tests.helpers import ROOT


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
