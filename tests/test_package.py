"""The package as others meet it: its public names, its metadata and its wheel."""

from __future__ import annotations

import subprocess
import sys

import pytest

import googlenet
from tests.helpers import ROOT


def test_every_public_name_can_be_imported() -> None:
    for name in googlenet.__all__:
        assert getattr(googlenet, name) is not None
        assert name in dir(googlenet)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        googlenet.Nothing  # noqa: B018


def test_the_package_itself_imports_no_torch() -> None:
    code = "import sys, googlenet, googlenet.errors, googlenet.explanation; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"
