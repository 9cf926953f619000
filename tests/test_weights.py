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
from googlenet.explanation import Explanation
from googlenet.ui import handlers
from tests.helpers import ROOT


@pytest.fixture(scope="module")
def explainer(weights: Path) -> Explainer:
    """In float32, so that its answers are the same on every processor."""
    return Explainer.from_pretrained(str(weights), device="cpu", bfloat16=False)


def test_labels_are_imagenets(explainer: Explainer) -> None:
    assert explainer.labels == tuple(each.name for each in imagenet_classes())
    assert [explainer.find_class(name) for name in ("Cardigan", "cardigan")] == [264, 474]


def test_each_example_shows_what_its_caption_says(explainer: Explainer) -> None:
    cheetah, lion, cat, astronaut = (explainer.explain(path) for path in handlers.EXAMPLES.values())

    def first(explanation: Explanation) -> list[str]:
        return [top[0].label for top in explanation.heads.values() if top]

    assert first(lion) == ["lion"] * 3
    assert len(set(first(cheetah))) > 1
    assert first(cheetah)[-1] == "cheetah"
    top = cat.heads["main"]
    assert top is not None
    assert {top[0].label, top[1].label} == {"Egyptian cat", "tabby"}
    assert top[1].probability > 0.2
    assert astronaut.unlikely


def test_readme_gives_each_class_its_index(explainer: Explainer) -> None:
    shown = re.findall(r'"index": (\d+), "label": "([^"]+)"', (ROOT / "README.md").read_text("utf-8"))
    assert shown
    assert all(explainer.labels[int(index)] == label for index, label in shown)


def test_what_is_made_from_the_weights_names_their_sha256(weights: Path) -> None:
    sha256 = hashlib.sha256((weights / WEIGHTS_FILE).read_bytes()).hexdigest()
    assert f"SHA-256 {sha256}" in (weights / CARD_FILE).read_text("utf-8")
    for made in ("tests/browser/page.jpg", "googlenet/ui/card.jpg"):  # `python -m tests.browser.screenshots` makes them again
        with Image.open(ROOT / made) as picture:
            assert picture.info.get("comment", b"").decode() == sha256
