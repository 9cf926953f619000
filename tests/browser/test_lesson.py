"""Where things stand on each screen, and what explains them: the lesson, the marks, the measured stages, the print."""

from __future__ import annotations

import io
import re

import pytest
from gradio.media import get_image
from PIL import Image
from playwright.sync_api import Page, expect

from googlenet.model.architecture import STAGES
from googlenet.ui.desk import qr
from tests.browser.conftest import SLOW, STAGE, Visit, settled, still, upload

PHONE = {"is_mobile": True, "has_touch": True, "device_scale_factor": 2}


def box(page: Page, selector: str) -> dict[str, float]:
    found = page.locator(selector).bounding_box()
    assert found is not None, selector
    return dict(found)


def own_picture(page: Page, name: str) -> None:
    upload(page, get_image(f"{name}.jpg"))
    expect(page.locator(".picture")).to_have_attribute("aria-label", re.compile(name))
    settled(page)


def test_overlays_show_what_the_network_looked_at_and_the_photograph_frames_it(visit: Visit) -> None:
    page = visit("?example=cheetah")  # a landscape
    assert box(page, ".picture")["width"] > 1.4 * box(page, ".picture")["height"]
    small = box(page, STAGE.format("4d") + " canvas")
    assert small["width"] == pytest.approx(small["height"], abs=1)
    big, shown = box(page, ".big"), box(page, ".big canvas[role=img]")
    assert [shown["width"], shown["height"]] == pytest.approx([big["width"], big["height"]], abs=1)  # no empty bands
    still(page)
    photo = Image.open(io.BytesIO(page.locator(".picture").screenshot())).convert("L").resize((60, 40))
    inside, outside = photo.getpixel((30, 8)), photo.getpixel((3, 8))
    assert outside - inside > 40  # type: ignore[operator]  # what was cropped away is pale


@pytest.mark.parametrize(("width", "height", "locale"), [(360, 640, "ko-KR"), (390, 844, "en-GB")])
def test_a_phone_shows_the_chosen_stage_without_scrolling(visit: Visit, width: int, height: int, locale: str) -> None:
    page = visit(viewport={"width": width, "height": height}, locale=locale, **PHONE)
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
    page.evaluate(
        """() => {
            document.querySelector(".notice").textContent = "…";
            document.querySelector(".notice").classList.remove("hint");
            document.querySelector(".page").classList.add("busy");
        }"""
    )
    for selector in (".strip", ".hero", ".say", ".cards"):
        expect(page.locator(selector)).to_have_css("opacity", "0.5")
    assert box(page, ".strip")["y"] == pytest.approx(strip["y"], abs=1)  # the word of waiting moves nothing
    page.reload()
    page.wait_for_selector(".row")
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


def test_a_tablet_shows_strip_stage_and_heads_on_the_first_screen(visit: Visit) -> None:
    page = visit(viewport={"width": 820, "height": 1180})
    for selector in (".strip", ".big", '.card[data-head="main"]', ".say", ".question"):
        place = box(page, selector)
        assert place["y"] + place["height"] <= 1180, selector
    strip, big, cards = box(page, ".strip"), box(page, ".big"), box(page, ".cards")
    assert 0 < big["y"] - strip["y"] - strip["height"] < 40
    assert cards["x"] > big["x"] + big["width"]
    heights = "n => { const filled = n.offsetHeight; n.replaceChildren(); return [filled, n.offsetHeight] }"
    filled, empty = page.locator(".rows >> nth=0").evaluate(heights)
    assert filled == empty  # the place of the first answer is kept


def test_the_left_column_stays_beside_the_tabs_and_ends_with_them(visit: Visit) -> None:
    page = visit(viewport={"width": 1440, "height": 1000})
    page.evaluate("window.scrollTo(0, 80)")
    page.wait_for_timeout(200)
    assert box(page, ".photo")["y"] >= 0
    page.locator(".teach summary").click()  # the lesson is not under it
    page.locator(".teach").evaluate("n => n.scrollIntoView()")
    stay, lesson = box(page, ".stay"), box(page, ".teach")
    assert stay["y"] + stay["height"] <= lesson["y"]


def test_marks_explain_terms_in_place(visit: Visit) -> None:
    page = visit("?example=astronaut")
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


def test_a_tab_says_whether_a_stage_beats_guessing_the_centre(visit: Visit) -> None:
    page = visit("?example=lion")
    page.locator("[data-tab=test]").click()
    said = page.locator(".trust-known")
    for stage, words in (("5b", "is better than"), ("4b", "is no better than")):
        page.locator(STAGE.format(stage)).click()
        expect(said).to_contain_text(words)
    other = visit("?weights=user/three")  # weights alone make a link
    other.locator("[data-tab=test]").click()
    expect(other.locator(".trust-known")).to_contain_text("nobody has measured")


def test_the_print_holds_the_answer_and_nothing_to_press(visit: Visit) -> None:
    page = visit("?example=cheetah", color_scheme="dark", viewport={"width": 718, "height": 1000})
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


def test_the_lesson_has_five_steps_that_drive_the_page(visit: Visit) -> None:
    page = visit("?example=cheetah")
    page.locator(".teach summary").click()
    seen = set()
    for stage in ("3a", "4d", "5b"):
        page.locator(STAGE.format(stage)).click()
        drawing = page.locator(".module svg")
        expect(drawing).to_have_attribute("aria-label", re.compile(f"stage {stage}: what comes from"))
        shares = drawing.locator(".figure").all_text_contents()[:4]
        assert shares == page.locator(".four .share").all_text_contents()
        heights = drawing.locator(".part").evaluate_all("all => all.map(n => +n.getAttribute('height') + 1)")
        assert sum(heights) == pytest.approx(184, abs=3)  # the stack is whole
        seen.add(tuple(shares))
    assert len(seen) == 3
    page.locator("[data-tab=test]").click()
    page.locator(STAGE.format("3a")).click()  # it follows under any tab
    expect(page.locator(".numbers")).to_contain_text("Stage 3a")
    page.locator("[data-tab=evidence]").click()
    steps = page.locator(".step")
    expect(steps).to_have_count(5)
    before = page.locator(".stage[aria-pressed=true]").get_attribute("data-stage") or ""
    steps.nth(1).click()
    after = STAGES[(STAGES.index(before) + 1) % len(STAGES)]
    expect(page.locator("#stage-title")).to_have_text(f"Stage {after}")
    expect(page.locator(".network svg")).to_have_attribute("aria-label", re.compile(f"at stage {after}"))
    expect(page.locator(".network text.here")).to_have_text(after)
    steps.nth(2).click()
    expect(page.locator(".cell-text")).to_contain_text("Row")
    steps.nth(3).click()
    expect(page.locator("#tab-cover tbody tr")).to_have_count(3)
    steps.nth(0).click()
    expect(page.locator(".page")).to_have_class(re.compile("playing"))
    steps.nth(4).click()
    expect(page.locator(".tips figure")).to_have_count(1)


def test_the_link_stands_as_a_qr_code_where_the_page_is_presented_and_printed(visit: Visit, url: str) -> None:
    page = visit("?example=lion", own=True)
    code = page.locator(".qr")
    expect(code.locator("img")).to_have_attribute("alt", "QR code of the link to this question", timeout=SLOW)
    expect(code).to_be_hidden()
    assert code.locator("img").get_attribute("src") == qr(f"{url}?example=lion&head=main&class=lion")
    page.emulate_media(media="print")
    expect(code).to_be_visible()
    page.emulate_media(media="screen")
    page.locator(".present").click()
    expect(code).to_be_visible()
    page.locator(".present").click()
    upload(page, get_image("tower.jpg"))
    settled(page)
    page.emulate_media(media="print")
    expect(code).to_be_hidden()  # a visitor's own picture has no link
