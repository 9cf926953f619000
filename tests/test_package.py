"""The package as others meet it: its public names, its metadata and its wheel."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

import googlenet
from googlenet.errors import EXTRAS
from tests.helpers import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


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


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"])


def test_a_space_installs_what_the_package_asks_for(project: dict[str, Any]) -> None:
    lines = (ROOT / "requirements.txt").read_text("utf-8").split("\n")
    extras = project["optional-dependencies"]
    assert sorted(filter(None, lines)) == sorted([*project["dependencies"], *extras["app"], *extras["onnx"]])
    header = (ROOT / "README.md").read_text("utf-8").split("---\n")[1]
    version = re.search(r"^sdk_version: (\d+\.\d+)", header, re.M)
    assert version
    assert f"gradio>={version[1]}" in extras["app"][0]


def test_every_extra_that_an_error_names_exists(project: dict[str, Any]) -> None:
    assert set(EXTRAS.values()) <= set(project["optional-dependencies"])
