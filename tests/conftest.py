"""Fixtures that several test files share."""

from pathlib import Path

import pytest

from tests.helpers import ROOT


@pytest.fixture(scope="session")
def weights() -> Path:
    """The built-in weights."""
    return ROOT / "weights"
