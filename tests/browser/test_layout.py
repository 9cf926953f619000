"""Where things stand on each screen, on paper and under a finger, and the marks that explain them."""

from __future__ import annotations

import io
import re
from itertools import pairwise

import pytest
from gradio.media import get_image
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import (
    PHONE,
    STAGE,
    Visit,
    box,
    example,
    file,
    go_dark,
    looking_at,
    own_picture,
    painted,
    resize,
    still,
    tab,
    upload,
)


def test_strip_heads_and_enlarged_stage_are_seen_together(visit: Visit) -> None:
    page = visit("?example=cheetah&class=animal")  # a landscape, and a group
    expect(page.locator("#target")).to_have_value("an animal")
    for width, height in ((1280, 720), (1920, 1080), (2560, 1440), (1440, 900)):
        resize(page, width, height)
        painted(page)
        for selector in (".strip", ".cards", ".big", ".say", ".slope", ".play"):
            place = box(page, selector)
            assert place["y"] >= 0
            assert place["y"] + place["height"] <= height, (selector, height)
        parts = ("h2", ".walk", ".legend > :visible >> nth=0", ".legend i", ".looks")
        row = [box(page, f".caption {part}") for part in parts]
        assert all(left["x"] + left["width"] <= right["x"] or left == right for left, right in pairwise(row)), (width, height)
        right = box(page, ".right")
        assert right["x"] + right["width"] > 0.95 * width  # fluid up to a projector

    # Overlays show what the network looked at, and the photograph frames it.
    assert box(page, ".picture")["width"] > 1.4 * box(page, ".picture")["height"]
    small = box(page, STAGE.format("4d") + " canvas")
    assert small["width"] == pytest.approx(small["height"], abs=1)
    big, shown = box(page, ".big"), box(page, ".big canvas[role=img]")
    assert [shown["width"], shown["height"]] == pytest.approx([big["width"], big["height"]], abs=1)  # no empty bands
    still(page)
    photo = Image.open(io.BytesIO(page.locator(".picture").screenshot())).convert("L").resize((60, 40))
    inside, outside = photo.getpixel((30, 8)), photo.getpixel((3, 8))
    assert outside - inside > 40  # type: ignore[operator]  # what was cropped away is pale

    # The left column stays beside the tabs and ends with them.
    resize(page, 1440, 1000)
    page.evaluate("window.scrollTo(0, 80)")
    painted(page)
    assert box(page, ".photo")["y"] >= 0
    page.locator(".teach summary").click()  # the lesson is not under it
    page.locator(".teach").evaluate("n => n.scrollIntoView()")
    stay, lesson = box(page, ".stay"), box(page, ".teach")
    assert stay["y"] + stay["height"] <= lesson["y"]
    page.locator(".teach summary").click()
    page.evaluate("window.scrollTo(0, 0)")

    # Of a panorama, all show the part that was seen.
    out = io.BytesIO()
    Image.open(get_image("lion.jpg")).convert("RGB").resize((1600, 300)).save(out, "JPEG")
    upload(page, file("wide.jpg", out.getvalue()))
    looking_at(page, "wide")
    cell = box(page, STAGE.format("4c") + " canvas")
    assert cell["height"] == pytest.approx(cell["width"], rel=0.1)
    assert box(page, ".photo rect.crop >> nth=1")["width"] < 80  # on the photograph

    # A tablet has strip, stage and heads on the first screen.
    example(page, "cheetah")
    resize(page, 820, 1180)
    painted(page)
    for selector in (".strip", ".big", '.card[data-head="main"]', ".say", ".question"):
        place = box(page, selector)
        assert place["y"] + place["height"] <= 1180, selector
    strip, big, cards = box(page, ".strip"), box(page, ".big"), box(page, ".cards")
    assert 0 < big["y"] - strip["y"] - strip["height"] < 40
    assert cards["x"] > big["x"] + big["width"]
    heights = "n => { const filled = n.offsetHeight; n.replaceChildren(); return [filled, n.offsetHeight] }"
    filled, empty = page.locator(".rows >> nth=0").evaluate(heights)
    assert filled == empty  # the place of the first answer is kept


@pytest.mark.parametrize(("width", "height", "locale"), [(360, 640, "ko-KR"), (390, 844, "en-GB")])
def test_a_phone_shows_the_stage_without_scrolling_and_obeys_a_finger(visit: Visit, width: int, height: int, locale: str) -> None:
    page = visit("", (width, height), locale=locale, **PHONE)
    strip, big, chosen = (box(page, s) for s in (".strip", ".big", ".stage[aria-pressed=true]"))
    assert strip["y"] < 250
    assert big["y"] + 0.85 * big["height"] < height
    assert 0 <= chosen["x"] <= width - chosen["width"]  # its act was brought into view
    chip = page.locator(".chip")
    assert chip.inner_text() == "ImageNet"
    assert chip.evaluate("n => n.scrollWidth <= n.clientWidth")
    question, verdict = box(page, ".question"), box(page, ".verdict")
    assert 0 < question["y"] - verdict["y"] - verdict["height"] < 40
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    right = page.locator(".slope text").evaluate_all("all => Math.max(...all.map(n => n.getBoundingClientRect().right))")
    assert right <= width
    page.locator(".looks summary").click()
    for mark in page.locator(".looks .help").all():
        mark.click()
        told = box(page, f"#{mark.get_attribute('popovertarget')}")
        assert 0 < told["x"] < width - told["width"]
        page.keyboard.press("Escape")
    page.locator(".looks summary").click()
    page.evaluate("scrollTo(0, 0)")
    waiting = """busy => {
        document.querySelector(".notice").textContent = busy ? "…" : "";
        document.querySelector(".notice").classList.toggle("hint", !busy);
        document.querySelector(".page").classList.toggle("busy", busy);
    }"""
    page.evaluate(waiting, True)
    for selector in (".strip", ".hero", ".say", ".cards"):
        expect(page.locator(selector)).to_have_css("opacity", "0.5")
    assert box(page, ".strip")["y"] == pytest.approx(strip["y"], abs=1)  # the word of waiting moves nothing
    page.evaluate(waiting, False)
    own_picture(page, "tower")
    still(page)
    for canvas in page.locator(".cell canvas, .big canvas, .photo canvas").all():  # a portrait stands whole in its square
        square = "xpath=ancestor::*[self::span or contains(@class, 'photo') or contains(@class, 'big')][1]"
        inner, outer = canvas.bounding_box(), canvas.locator(square).bounding_box()
        assert inner is not None
        assert outer is not None
        assert inner["height"] <= outer["height"] + 1
        assert outer["height"] == pytest.approx(outer["width"], abs=1)
    below = [box(page, part)["y"] for part in (".strip", ".verdict")]
    own_picture(page, "cheetah")
    assert [box(page, part)["y"] for part in (".strip", ".verdict")] == below  # a second picture moves nothing
    page.locator(".weights summary").click()
    page.locator(".teach summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    strip, big = box(page, ".strip"), box(page, ".big")
    assert 0 < big["y"] - strip["y"] - strip["height"] < 40  # a tap is answered where the finger is
    page.locator(".stage:enabled").last.click()
    page.wait_for_function("() => document.querySelector('.strip').scrollLeft > 300")

    # A finger covers a part and reads what to do beside the picture.
    tab(page, "test")
    hint = page.locator(".near")
    expect(hint).not_to_be_empty()
    what_to_do = hint.inner_text()
    near, big = box(page, ".near"), box(page, ".big")
    assert near["y"] - big["y"] - big["height"] < 60
    page.locator(".big").scroll_into_view_if_needed()
    big = box(page, ".big")
    finger = page.context.new_cdp_session(page)
    for kind, way in (("Start", 0), ("Move", 40), ("Move", 120)):
        points = [{"x": big["x"] + 80 + way, "y": big["y"] + 60 + way}]
        finger.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(hint).to_have_text(page.locator("#tab-cover .cover-say").inner_text())
    assert hint.inner_text() != what_to_do


def test_marks_explain_terms_in_place(page: Page) -> None:
    example(page, "astronaut")
    tabs = {f"#tab-{name}": f"[data-tab={name}]" for name in ("evidence", "test")}
    parts = {".looks": ".looks summary", ".say": ".headline", **tabs}
    for part, press in parts.items():
        page.locator(press).click()
        marks = page.locator(f"{part} .help").all()
        assert marks
        for mark in marks:  # Escape closes what a mark opened, and not the menu around it
            text = page.locator(f"#{mark.get_attribute('popovertarget')}")
            mark.click()
            expect(text).to_be_visible()
            place = text.bounding_box()
            assert place is not None
            assert 0 <= place["x"] <= 1440 - place["width"]
            assert re.search(r"What does “.+” mean\?", mark.get_attribute("aria-label") or "")
            page.keyboard.press("Escape")
            expect(text).to_be_hidden()


def test_the_print_holds_the_answer_and_nothing_to_press(page: Page) -> None:
    example(page, "cheetah")
    tab(page, "evidence")
    resize(page, 718, 1000)
    go_dark(page)
    for paper in ("A4", "Letter"):
        for landscape in (False, True):
            pdf = page.pdf(format=paper, landscape=landscape)
            assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 1, (paper, landscape)
    page.emulate_media(media="print", color_scheme="dark")
    for selector in (".picture", ".say", ".strip", ".big", ".cards", ".slope"):
        expect(page.locator(selector)).to_be_visible()
    for selector in (".choose", ".take", ".looks", ".tabs", ".help >> nth=0", ".play"):
        expect(page.locator(selector)).to_be_hidden()
    expect(page.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
    assert page.evaluate("document.documentElement.scrollWidth") <= 718
    big, cards, slope = box(page, ".big"), box(page, ".cards"), box(page, ".slope")
    assert big["width"] == pytest.approx(big["height"], abs=1)
    assert cards["y"] + cards["height"] <= big["y"]
    assert slope["x"] > big["x"] + big["width"]
    assert slope["height"] > 0.9 * big["height"]
    width, height = page.locator(".picture").evaluate("n => [n.clientWidth / n.width, n.clientHeight / n.height]")
    assert width == pytest.approx(height, rel=0.02)  # the photograph keeps its shape
    around = "n => { for (; n; n = n.parentElement) if (getComputedStyle(n).display !== 'block') return n.outerHTML; return '' }"
    assert page.locator("#walk").evaluate(around) == ""  # else the end of the last page is cut off
