"""The built-in weights, and that whatever was made from them names the file that it was made from."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from PIL import Image

from googlenet.checkpoints.checkpoint import CARD_FILE, CONFIG_FILE, WEIGHTS_FILE
from googlenet.checkpoints.config import parse_config
from googlenet.explanation import Explanation
from googlenet.explanation.classes import imagenet_classes
from googlenet.inference.explainer import Explainer
from googlenet.model.architecture import HEADS, STAGES_BEFORE
from googlenet.probes.atlas import read_index
from googlenet.ui import uploads
from googlenet.ui.weights import known_trust
from tests.helpers import ROOT


@pytest.fixture(scope="module")
def explainer(weights: Path) -> Explainer:
    """In float32, so that its answers are the same on every processor."""
    return Explainer.from_pretrained(str(weights), device="cpu", bfloat16=False)


def test_labels_are_imagenets(explainer: Explainer) -> None:
    assert explainer.labels == tuple(each.name for each in imagenet_classes())
    assert [explainer.find(name) for name in ("Cardigan", "cardigan")] == [264, 474]


def test_each_example_shows_what_its_caption_says(explainer: Explainer) -> None:
    cheetah, portrait, lion, cat, astronaut = (explainer.explain(path) for path in uploads.EXAMPLES.values())

    def first(explanation: Explanation) -> list[str]:
        return [top[0].label for top in explanation.heads.values() if top]

    assert first(lion) == ["lion"] * 3
    assert len(set(first(cheetah))) > 1
    assert first(cheetah)[-1] == "cheetah"
    top = cat.heads["main"]
    assert top is not None
    assert [each.label for each in top[:2]] == ["tiger cat", "tabby"]
    assert top[1].probability > 0.2
    assert astronaut.unlikely
    wrong = portrait.heads["main"]
    assert wrong is not None
    assert wrong[0].label == "lion"  # the picture shows a cheetah
    assert wrong[0].probability > 0.5
    assert uploads.TRUTHS["portrait"] in explainer.labels


def test_the_documents_give_each_class_its_index(explainer: Explainer) -> None:
    shown = re.findall(r'"index": (\d+), "label": "([^"]+)"', (ROOT / "docs/cli.md").read_text("utf-8"))
    assert shown
    assert all(explainer.labels[int(index)] == label for index, label in shown)


def test_what_is_made_from_the_weights_names_their_sha256(explainer: Explainer, weights: Path) -> None:
    sha256 = hashlib.sha256((weights / WEIGHTS_FILE).read_bytes()).hexdigest()
    card = (weights / CARD_FILE).read_text("utf-8")
    assert f"SHA-256 {sha256}" in card
    assert f"`{sha256[:12]}…`" in section((ROOT / "docs/trust.md").read_text("utf-8"), MAPS)
    trust = parse_config((weights / CONFIG_FILE).read_bytes(), "weights").trust
    assert trust is not None
    assert trust.sha256 == sha256
    assert read_index(weights / "channels").trunk == explainer.trunk_sha256
    for made in ("tests/browser/page.jpg", "googlenet/ui/card.jpg"):  # `python -m tests.browser.screenshots` makes them again
        with Image.open(ROOT / made) as picture:
            assert picture.info.get("comment", b"").decode() == sha256


MAPS = "How far the maps can be trusted"


def section(card: str, title: str) -> str:
    return card.partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_the_page_says_of_every_map_what_was_measured(explainer: Explainer, weights: Path) -> None:
    trust = explainer.config.trust
    assert trust is not None
    said = known_trust(explainer)["grad-cam"]
    figure = r"(−?\d+\.\d)"
    row = rf"^\| (\w+) \| (\w\w) \| {figure} \([^)]+\) \| {figure} \({figure}…{figure}\) \|"
    rows = re.findall(row, section((ROOT / "docs/trust.md").read_text("utf-8"), MAPS).partition("### LayerCAM")[0], re.MULTILINE)
    assert [(head, stage) for head, stage, *_ in rows] == [(head, stage) for head in HEADS for stage in STAGES_BEFORE[head]]
    for head, stage, *figures in rows:
        share, gain, low, high = (float(text.replace("−", "-")) for text in figures)
        english, korean = said[head][stage]["en"], said[head][stage]["ko"]
        verdict = ("is better than", "낫습니다") if low > 0 else ("is worse than", "못합니다") if high < 0 else NO_BETTER
        assert verdict[0] in english, (head, stage)
        assert verdict[1] in korean, (head, stage)
        shown = re.search(rf"cell of {stage} for (?:the main head|{head}) lies on the object in (\d+) %", english)
        assert shown
        assert int(shown[1]) == pytest.approx(share, abs=0.56)  # both are rounded
        sign = -1 if high < 0 else 1
        for text in (english, korean):
            told = [float(number.replace("−", "-")) for number in re.findall(figure, text)[-3:]]
            assert told == pytest.approx([sign * gain, *sorted((sign * low, sign * high))], abs=0.11), text


NO_BETTER = ("is no better than", "낫다고 할 수 없습니다")
