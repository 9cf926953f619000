"""The built-in weights, and that whatever was made from them names the file that it was made from."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from PIL import Image

from googlenet.checkpoints.checkpoint import CARD_FILE, WEIGHTS_FILE
from googlenet.classes import imagenet_classes
from googlenet.explainer import Explainer
from googlenet.ui import handlers
from tests.helpers import ROOT


@pytest.fixture(scope="module")
def explainer(weights: Path) -> Explainer:
    """In float32, so that its answers are the same on every processor."""
    return Explainer.from_pretrained(str(weights), device="cpu", bfloat16=False)


def test_labels_are_imagenets(explainer: Explainer) -> None:
    assert explainer.labels == tuple(each.name for each in imagenet_classes())
    assert [explainer.find_class(name) for name in ("Cardigan", "cardigan")] == [264, 474]


def test_examples_are_named_right_by_the_name_that_the_page_gives_them(explainer: Explainer) -> None:
    for name, path in handlers.EXAMPLES.items():
        main = explainer.explain(path).heads["main"]
        assert main is not None
        assert main[0].label == name


def test_readme_gives_each_class_its_index(explainer: Explainer) -> None:
    shown = re.findall(r'"index": (\d+), "label": "([^"]+)"', (ROOT / "README.md").read_text("utf-8"))
    assert shown
    assert all(explainer.labels[int(index)] == label for index, label in shown)


def test_what_is_made_from_the_weights_names_their_sha256(weights: Path) -> None:
    sha256 = hashlib.sha256((weights / WEIGHTS_FILE).read_bytes()).hexdigest()
    assert f"SHA-256 {sha256}" in (weights / CARD_FILE).read_text("utf-8")
    with Image.open(ROOT / "tests/browser/page.jpg") as picture:  # `python -m tests.browser.screenshots` makes it again
        assert picture.info.get("comment", b"").decode() == sha256
