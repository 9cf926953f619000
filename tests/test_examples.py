"""What the documentation shows is run: the notebook, and the examples in docstrings."""

from __future__ import annotations

import doctest
import importlib
import re

import nbformat
import pytest
from nbclient import NotebookClient

from tests.helpers import ROOT

MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "googlenet").rglob("*.py")
    if re.search(r">>> (?!.*SKIP)", path.read_text("utf-8"))
)


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0
    assert result.failed == 0


def test_the_notebook_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(ROOT / "examples" / "lion_or_cougar.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs for cell in code), "store the notebook without outputs: they age with the weights"
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(ROOT)}}).execute()
    printed = "".join(output.get("text", "") for cell in code for output in cell.outputs)
    assert "main lion" in printed
    assert "5b:  7 x  7 cells" in printed
    pictures = [output for cell in code for output in cell.outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 4  # the photograph, the contact sheet, the branches, the contrast
