"""Overlays and the contact sheet: where the light falls, what is hatched, how large they are."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageColor

from googlenet.errors import PictureError
from googlenet.explanation import Explanation, Group
from googlenet.explanation.render import (
    BAR,
    MAGMA,
    SPOTLIGHT,
    Photograph,
    describe,
    font,
    overlay,
    page,
    percent,
    rows_of,
    sheet,
    system_font,
)
from googlenet.inference.explainer import Explainer
from googlenet.model.architecture import HEADS, STAGES
from googlenet.pictures.frame import Box, enlarge
from tests.helpers import ROOT, random_image


def with_light_at(explanation: Explanation, row: int, column: int) -> Explanation:
    """The explanation with all its evidence in one cell of a 3×3 map of stage 5b."""
    grid = np.zeros((4, 3, 3), np.float32)
    grid[0, row, column] = 2.0
    return Explanation(**{**vars(explanation), "branch_grids": {"5b": grid}})


def saturation(image: Image.Image) -> np.ndarray:
    pixels = np.asarray(image, dtype=int)
    return pixels.max(2) - pixels.min(2)


def test_the_light_falls_on_the_evidence_and_the_rest_is_dim_and_grey(explainer: Explainer) -> None:
    image = Image.new("RGB", (90, 90), (40, 160, 220))
    explanation = explainer.explain(image)
    drawn = overlay(image, with_light_at(explanation, 0, 2), "5b")
    assert drawn.size == (90, 90)
    assert saturation(drawn)[5:25, 65:85].min() > 20
    assert saturation(drawn)[40:, :40].max() == 0
    assert np.asarray(drawn)[40:, :40].mean() < 80
    against = Explanation(**{**vars(explanation), "branch_grids": {"5b": -np.ones((4, 3, 3), np.float32)}})
    assert saturation(overlay(image, against, "5b")).max() == 0


def test_what_the_crop_left_out_is_hatched(explainer: Explainer) -> None:
    image = Image.new("RGB", (200, 100), "white")
    drawn = np.asarray(overlay(image, with_light_at(explainer.explain(image), 1, 1), "5b"), dtype=int)
    outside, seen = drawn[:, :48, 0], drawn[:, 52:100, 0]
    assert len(np.unique(outside)) == 2  # the dimmed white and the hatching over it
    assert (outside == outside.max()).mean() == pytest.approx(2 / 8, abs=0.02)  # two of eight pixels, diagonally
    assert seen[:, :20].max() < outside.max()


def test_magma_is_matplotlibs_and_ordered_in_grey() -> None:
    wanted = matplotlib.colormaps["magma"](np.linspace(0, 1, 256))[:, :3] * 255
    assert np.abs(MAGMA - wanted).max() <= 0.5
    assert (np.diff(MAGMA @ np.array([0.3, 0.59, 0.11])) > -0.5).all()


def test_the_pages_script_draws_the_same_light() -> None:
    """`light` of drawing.js on a random picture and map, beside the overlay of Pillow's tables of 256 levels."""
    code = (ROOT / "googlenet/ui/page/js/drawing.js").read_text("utf-8")
    functions = [re.search(rf"^function {name}\(.*?^}}$", code, re.M | re.S) for name in ("axis", "light")]
    image, grid = random_image(60, 40), np.random.default_rng(0).random((3, 4), np.float32)
    pixels = np.dstack((np.asarray(image), np.full((40, 60), 255))).ravel().tolist()
    known = {"SPOTLIGHT": vars(SPOTLIGHT), "magma": MAGMA.ravel().tolist(), "blues": [], "p": pixels}
    script = "\n".join(f"const {name} = {json.dumps(value)};" for name, value in known.items())
    script += "const looks = () => ({ strength: 1, hidden: 0, smooth: true, against: false });\n"
    script += "\n".join(found[0] for found in functions if found)
    script += f"""
    const image = {{ width: 60, height: 40, data: new Uint8ClampedArray(p.length) }};
    light(image, p, {{ w: 4, h: 3 }}, Float32Array.from({grid.ravel().tolist()}), {grid.max()});
    console.log(JSON.stringify([...image.data]));"""
    answer = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True, encoding="utf-8").stdout
    drawn = np.array(json.loads(answer)).reshape(40, 60, 4)[..., :3]
    box = Box(0, 0, 60, 40)
    ours = Photograph.of(image, box).under(enlarge(grid / grid.max(), image.size, box))
    assert np.abs(drawn - np.asarray(ours, int)).max() <= 4


def test_an_overlay_is_drawn_in_pieces_that_fit_and_its_side_is_bounded(
    explainer: Explainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = random_image(300, 200)
    explanation = explainer.explain(image)
    whole = overlay(image, explanation, "3b")
    assert whole.size == (300, 200)
    assert overlay(image, explanation, "3b", side=150).size == (150, 100)
    monkeypatch.setattr("googlenet.explanation.render.TILE", 64)
    pieces = np.asarray(overlay(image, explanation, "3b"), dtype=int)
    assert np.abs(pieces - np.asarray(whole, dtype=int)).max() <= 1  # rounding


@pytest.mark.parametrize("head", ["main", "aux1"])
def test_the_sheet_shows_each_overlay_or_that_there_is_none(explainer: Explainer, head: str) -> None:
    image = random_image(300, 300)
    explanation = explainer.explain(image, head=head, contrast=3)
    drawn = sheet(image, explanation)
    assert drawn.size == (2160, 648)
    for number, stage in enumerate(STAGES):
        left = 40 + 352 + 24 + number // 3 * (552 + 24) + number % 3 * 188
        shown = np.asarray(drawn.crop((left, 112, left + 176, 112 + 176)))
        if stage in explanation.grids:
            assert np.array_equal(shown, np.asarray(overlay(image, explanation, stage, 176)))
        else:
            assert tuple(shown[0, 0]) == ImageColor.getrgb(BAR)


@pytest.mark.parametrize("size", [(3000, 1), (1, 3000), (64, 64)])
def test_a_thin_or_small_picture_has_a_sheet_and_a_page(explainer: Explainer, size: tuple[int, int]) -> None:
    explanation = explainer.explain(image := Image.new("RGB", size, "red"))
    assert sheet(image, explanation).height > 600
    assert "photograph" in page(explanation)


def test_korean_letters_are_drawn() -> None:
    if system_font(14) is None:
        pytest.skip("this machine has no Korean font")
    letters = [bytes(font(14, text).getmask(text)) for text in ("가나", "다라")]
    assert letters[0] != letters[1]  # boxes would be alike


def test_the_question_in_words(explainer: Explainer) -> None:
    image = random_image(60, 60)
    assert describe(explainer.explain(image, target=1)) == "Evidence of the main head for thing 1"
    pair = Group("pair", "a", "한 쌍", (1, 2), None)
    found = explainer.explain(image, head="aux1", target=pair, contrast=3, method="layer-cam")
    assert describe(found) == "Evidence of the aux1 head for pair rather than thing 3, by LayerCAM"
    assert rows_of(found, "main")[-1] == ("pair", pytest.approx(float(found.probabilities["main"][[1, 2]].sum())), True)


def test_a_notebook_shows_photograph_overlays_and_heads(explainer: Explainer, tmp_path: Path) -> None:
    """From every kind of source, within 300 KB, and without the photograph, too."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8))  # noise: JPEG at its largest
    image.save(tmp_path / "a.png")
    explanation = explainer.explain(image)
    html = explanation._repr_html_()
    assert len(html) < 300_000
    assert (html.count("<img"), html.count("<table"), html.count("<th>")) == (10, 3, 2 * 3)
    assert explanation.overlay("4d").size == (512, 384)
    assert explanation.overlay("4d", side=None).size == image.size == (800, 600)  # it is not reduced in place
    assert explanation.show().size == (2160, 648)
    with (tmp_path / "a.png").open("rb") as file:
        for source in (tmp_path / "a.png", (tmp_path / "a.png").read_bytes(), np.asarray(image), file):
            assert explainer.explain(source).overlay("3a").size == (512, 384)
    (bare,) = explainer.explain_batch([image], [explainer.question()])
    assert bare._repr_html_().count("<img") == 0
    with pytest.raises(ValueError, match="without its picture"):
        bare.show()


def test_the_photograph_is_the_one_that_was_explained(
    explainer: Explainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An array or image may be used again, the folder changed, and the file deleted or replaced."""
    image, path = random_image(100, 80), tmp_path / "a.png"
    image.save(path)
    array = np.array(image)
    of_array, of_image = explainer.explain(array), explainer.explain(image)
    array[:] = 0
    image.paste("black", (0, 0, 100, 80))
    monkeypatch.chdir(tmp_path)
    of_path = explainer.explain("a.png")
    monkeypatch.chdir("/")
    for explanation in (of_array, of_image):
        assert np.array_equal(explanation.photograph(), of_path.photograph())
    random_image(80, 80).save(path)
    with pytest.raises(PictureError, match=r"a\.png was changed"):
        of_path.overlay("5b")
    path.unlink()
    with pytest.raises(PictureError, match="it does not exist"):
        of_path.show()
    html = of_path._repr_html_()
    assert (html.count("<img"), html.count("<table")) == (0, 3)
    assert "it does not exist" in html


def test_labels_are_text_in_html(explainer: Explainer) -> None:
    explanation = explainer.explain(random_image(60, 60))
    hostile = Explanation(**{**vars(explanation), "labels": ("<script>",) * 10})
    assert "<script>" not in hostile._repr_html_()
    assert "&lt;script&gt;" in hostile._repr_html_()


def test_a_repr_is_short(explainer: Explainer) -> None:
    explanation = explainer.explain(random_image(120, 90), target=1, channels=True)
    tops = ", ".join(f"{head} {explanation.heads[head][0].label} {explanation.heads[head][0].probability:.0%}" for head in HEADS)
    assert repr(explanation) == f"<Explanation: {tops}; grad-cam of thing 1 in main, 9 stages, 120×90 pixels>"
    assert len(repr(explanation.channels)) < 20_000


def test_a_share_is_never_rounded_into_untruth() -> None:
    assert [percent(p) for p in (1, 0.994, 0.5, 0.0994, 0.0004, 0)] == ["> 99 %", "99 %", "50 %", "9.9 %", "< 0.1 %", "< 0.1 %"]
