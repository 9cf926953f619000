"""Overlays and the contact sheet: where the light falls, what is hatched, how large they are."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from googlenet.explanation import Explanation
from googlenet.explanation.render import MAGMA, overlay, percent, sheet
from googlenet.inference.explainer import Explainer
from tests.helpers import explainer_of, random_image, random_model


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    return explainer_of(random_model())


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
    drawn = overlay(image, with_light_at(explainer.explain(image), 0, 2), "5b")
    assert drawn.size == (90, 90)
    assert saturation(drawn)[5:25, 65:85].min() > 20
    assert saturation(drawn)[40:, :40].max() == 0
    assert np.asarray(drawn)[40:, :40].mean() < 80


def test_what_the_crop_left_out_is_hatched(explainer: Explainer) -> None:
    image = Image.new("RGB", (200, 100), "white")
    drawn = np.asarray(overlay(image, with_light_at(explainer.explain(image), 1, 1), "5b"), dtype=int)
    outside, seen = drawn[:, :48, 0], drawn[:, 52:100, 0]
    assert len(np.unique(outside)) == 2  # the dimmed white and the hatching over it
    assert (outside == outside.max()).mean() == pytest.approx(2 / 8, abs=0.02)  # two of eight pixels, diagonally
    assert seen[:, :20].max() < outside.max()


def test_a_map_without_positive_evidence_lights_nothing(explainer: Explainer) -> None:
    image = Image.new("RGB", (90, 90), (40, 160, 220))
    explanation = explainer.explain(image)
    dark = Explanation(**{**vars(explanation), "branch_grids": {"5b": -np.ones((4, 3, 3), np.float32)}})
    assert saturation(overlay(image, dark, "5b")).max() == 0


def test_the_pieces_of_an_overlay_fit(explainer: Explainer, monkeypatch: pytest.MonkeyPatch) -> None:
    image = random_image(300, 200)
    explanation = explainer.explain(image)
    whole = overlay(image, explanation, "3b")
    monkeypatch.setattr("googlenet.explanation.render.TILE", 64)
    pieces = np.asarray(overlay(image, explanation, "3b"), dtype=int)
    assert np.abs(pieces - np.asarray(whole, dtype=int)).max() <= 1  # rounding


def test_the_side_is_bounded(explainer: Explainer) -> None:
    image = random_image(800, 300)
    explanation = explainer.explain(image)
    assert overlay(image, explanation, "4c").size == (800, 300)
    assert overlay(image, explanation, "4c", side=160).size == (160, 60)


def test_magma_is_perceptually_uniform_enough_to_be_ordered_in_grey() -> None:
    luminance = MAGMA @ np.array([0.3, 0.59, 0.11], np.float32)
    assert (np.diff(luminance) > -0.5).all()
    assert luminance[-1] - luminance[0] > 200


@pytest.mark.parametrize("head", ["main", "aux1"])
def test_the_sheet_shows_all(explainer: Explainer, head: str) -> None:
    image = random_image(300, 500)
    drawn = sheet(image, explainer.explain(image, head=head, contrast=3))
    assert drawn.size[0] > 2000
    assert len(np.unique(np.asarray(drawn).reshape(-1, 3), axis=0)) > 1000


def test_a_share_is_never_rounded_into_untruth() -> None:
    assert [percent(p) for p in (1, 0.994, 0.5, 0.0994, 0.0004, 0)] == ["> 99 %", "99 %", "50 %", "9.9 %", "< 0.1 %", "< 0.1 %"]
