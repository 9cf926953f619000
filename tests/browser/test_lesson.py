"""Where things stand on each screen, and what explains them: the lesson, the marks, the measured stages, the print."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image
from playwright.sync_api import Page

from tests.browser.conftest import ROOT, STAGE, Visit

PHONE = {"is_mobile": True, "has_touch": True, "device_scale_factor": 2}


def box(page: Page, selector: str) -> dict[str, float]:
    found = page.locator(selector).bounding_box()
    assert found is not None, selector
    return dict(found)


def test_overlays_show_what_the_network_looked_at_and_the_photograph_frames_it(visit: Visit) -> None:
    page = visit("?example=cheetah")  # a landscape
    assert box(page, ".picture")["width"] > 1.4 * box(page, ".picture")["height"]
    small = box(page, STAGE.format("4d") + " canvas")
    assert small["width"] == pytest.approx(small["height"], abs=1)
    big, shown = box(page, ".big"), box(page, ".big canvas[role=img]")
    assert [shown["width"], shown["height"]] == pytest.approx([big["width"], big["height"]], abs=1)  # no empty bands
    photo = Image.open(io.BytesIO(page.locator(".picture").screenshot())).convert("L").resize((60, 40))
    inside, outside = photo.getpixel((30, 8)), photo.getpixel((3, 8))
    assert outside - inside > 40  # type: ignore[operator]  # what was cropped away is pale


def test_the_page_opens_at_a_stage_that_finds_objects_better_than_the_centre_does(visit: Visit) -> None:
    trust = json.loads((ROOT / "weights/config.json").read_text("utf-8"))["trust"]
    stage = visit().locator(".stage[aria-pressed=true]").get_attribute("data-stage")
    assert trust["pointing"]["main"][stage]["low"] > 0.05


@pytest.mark.parametrize(("width", "height"), [(360, 640), (390, 844)])
def test_a_phone_shows_the_chosen_stage_without_scrolling(visit: Visit, width: int, height: int) -> None:
    page = visit(viewport={"width": width, "height": height}, **PHONE)
    strip, big, chosen = (box(page, s) for s in (".strip", ".big", ".stage[aria-pressed=true]"))
    assert strip["y"] < 250
    assert big["y"] + 0.85 * big["height"] < height
    assert 0 <= chosen["x"] <= width - chosen["width"]  # its act was brought into view
    chip = page.locator(".chip")
    assert chip.inner_text() == "ImageNet"
    assert chip.evaluate("n => n.scrollWidth <= n.clientWidth")


def test_a_tablet_shows_strip_stage_and_heads_on_the_first_screen(visit: Visit) -> None:
    page = visit(viewport={"width": 820, "height": 1180})
    for selector in (".strip", ".big", '.card[data-head="main"]', ".say", ".question"):
        place = box(page, selector)
        assert place["y"] + place["height"] <= 1180, selector
    strip, big, cards = box(page, ".strip"), box(page, ".big"), box(page, ".cards")
    assert 0 < big["y"] - strip["y"] - strip["height"] < 40
    assert cards["x"] > big["x"] + big["width"]


def test_the_left_column_stays_beside_the_tabs(visit: Visit) -> None:
    page = visit()
    page.evaluate("window.scrollTo(0, 120)")
    page.wait_for_timeout(200)
    assert box(page, ".photo")["y"] >= 0
