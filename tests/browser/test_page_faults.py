"""Faults that were found by people who used the page, one test each."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio.media import get_image
from playwright.sync_api import Browser, BrowserType, Page, Route, expect

from tests.browser.conftest import ASKED, Visit, settled, take, upload

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
ZOOMED = {"viewport": {"width": 720, "height": 450}}
"""A desktop of 1440×900 at 200 %."""


def tab(page: Page, name: str) -> None:
    page.locator(f"[data-tab={name}]").click()


def own(page: Page, name: str) -> None:
    upload(page, get_image(f"{name}.jpg"))
    expect(page.locator(".picture")).to_have_attribute("aria-label", re.compile(name))
    settled(page)


def test_the_same_question_twice_is_answered_twice(visit: Visit) -> None:
    page = visit("?example=lion")
    tab(page, "test")
    names = set()
    for _ in range(2):
        with page.expect_download() as download:
            take(page, "npz")
        names.add(download.value.suggested_filename)
        page.locator("#tab-cover .plain").first.click()
        expect(page.locator("#tab-cover [role=status]")).to_have_class("cover-say")
    assert names == {"lion-lion-maps.npz"}  # the class stands in the file's name


@contextlib.contextmanager
def persistent(kind: BrowserType, folder: Path) -> Iterator[Page]:
    """A browser with a profile of its own."""
    args = ["--disable-features=LocalNetworkAccessChecks", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    context = kind.launch_persistent_context(folder, executable_path=shutil.which("chromium"), args=args, locale="en-GB")
    yield context.new_page()
    context.close()


REFUSED = """for (const name of ["localStorage", "sessionStorage", "indexedDB"])
    Object.defineProperty(window, name, {get() { throw new DOMException("denied", "SecurityError"); }});"""


def test_where_the_browser_keeps_nothing_the_page_works_and_the_language_is_in_the_address(
    browser: Browser, url: str, tmp_path: Path
) -> None:
    """The page in a frame of another site, where reading the storage throws, as in a Space in a private window."""
    with persistent(browser.browser_type, tmp_path) as page:
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.add_init_script(REFUSED)
        frame_of = f'<iframe src="{url}?example=lion" width=1300 height=800></iframe>'
        page.route("http://outer.test/", lambda route: route.fulfill(body=frame_of, content_type="text/html"))
        page.goto("http://outer.test/")
        frame = page.frame_locator("iframe")
        expect(frame.locator(".row").first).to_be_visible()
        refused = "() => { try { return !localStorage; } catch { return true; } }"
        assert page.frames[1].evaluate(refused)
        frame.locator(".languages").click()
        expect(frame.locator(".choose")).to_have_text("사진 선택")
        assert "language=ko" in page.frames[1].url
        frame.locator("[data-example=cat]").click()
        expect(frame.locator(".picture")).to_have_attribute("aria-label", re.compile("cat"))
        assert wrong == []


def test_a_finger_covers_a_part_and_reads_what_to_do_beside_the_picture(visit: Visit) -> None:
    page = visit("?example=lion", **PHONE)
    tab(page, "test")
    hint, big = page.locator(".near"), page.locator(".big")
    expect(hint).to_contain_text("Drag a box")
    below, box = hint.bounding_box(), big.bounding_box()
    assert below
    assert box
    assert below["y"] - box["y"] - box["height"] < 60
    big.scroll_into_view_if_needed()
    box = big.bounding_box()
    assert box
    finger = page.context.new_cdp_session(page)
    at = (box["x"] + 80, box["y"] + 60)
    for kind, way in (("Start", 0), ("Move", 40), ("Move", 120)):
        points = [{"x": at[0] + way, "y": at[1] + way}]
        finger.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(page.locator("#tab-cover .cover-say")).to_be_attached()
    expect(hint).to_contain_text("lion")


def test_the_chart_reaches_from_0_to_100_per_cent_and_shows_the_class_it_is_rather_than(visit: Visit) -> None:
    page = visit("?example=cheetah&head=aux1&contrast=orange")
    settled(page)
    levels = page.locator(".slope text.level").all_text_contents()
    assert levels == ["0\u00a0%", "50\u00a0%", "100\u00a0%"]
    expect(page.locator(".slope polyline.rather")).to_have_count(1)
    circle, top, bottom = (
        page.locator(f".slope {s}") for s in ("circle.asked >> nth=0", "line.level >> nth=2", "line.level >> nth=0")
    )
    y, high, low = (float(n.get_attribute(a) or 0) for n, a in ((circle, "cy"), (top, "y1"), (bottom, "y1")))
    share = page.locator('.card[data-head="aux1"] .row[aria-current=true] u').inner_text()
    assert (low - y) / (low - high) == pytest.approx(float(share.split("\u00a0")[0]) / 100, abs=0.006)


@pytest.mark.parametrize("size", [PHONE, ZOOMED], ids=["phone", "200 %"])
def test_the_tab_key_goes_down_the_screen(visit: Visit, size: dict[str, object]) -> None:
    page = visit("?example=lion", **size)
    rows: list[tuple[str, float]] = []
    part = (
        "() => { const part = document.activeElement.closest('.page > :not(header, .skip)');"
        " return part && [part.classList[0], part.getBoundingClientRect().top + scrollY]; }"
    )
    while not rows or page.evaluate("document.activeElement.closest('.page')"):  # after the page's end comes Gradio's footer
        page.keyboard.press("Tab")
        found = page.evaluate(part)
        if found and (not rows or rows[-1][0] != found[0]):
            rows.append((found[0], found[1]))
    tops = [top for _, top in rows]
    assert len(rows) > 6
    assert tops == sorted(tops), rows


def test_a_touched_cell_is_announced_and_covered_by_keyboard(visit: Visit) -> None:
    page = visit("?example=lion")
    page.locator(".big").press("ArrowUp")
    expect(page.locator(".announce")).to_contain_text("Row")
    tab(page, "test")
    page.get_by_role("button", name="Cover the touched cell").press("Enter")
    expect(page.locator(".cover-say")).to_be_visible()
    expect(page.get_by_role("button", name="Cover the touched cell")).to_be_focused()


def test_back_walks_through_own_pictures_and_their_questions(visit: Visit) -> None:
    page = visit()
    own(page, "tower")
    page.locator('.card[data-head="main"] .row >> nth=1').click()
    second = page.locator('.card[data-head="main"] .row >> nth=1 >> span').inner_text()
    expect(page.locator("#target")).to_have_value(second)
    own(page, "lion")
    page.go_back()
    expect(page.locator(".picture")).to_have_attribute("aria-label", re.compile("tower"))
    expect(page.locator("#target")).to_have_value(second)
    settled(page)
    page.go_back()
    expect(page.locator("#target")).not_to_have_value(second)
    settled(page)
    page.go_forward()
    expect(page.locator("#target")).to_have_value(second)


def test_a_load_is_told_and_left_where_its_button_is(visit: Visit) -> None:
    page = visit("?example=astronaut")
    settled(page)
    held: list[Route] = []
    page.route(
        ASKED, lambda route: held.append(route) if '"weights"' in (route.request.post_data or "")[-200:] else route.continue_()
    )
    page.locator(".suggest").click()
    beside = page.locator(".say .load")
    expect(beside.locator("progress")).to_be_visible()
    beside.get_by_role("button", name="Cancel").click()
    expect(beside).to_be_empty()
    refusal = {"en": "It cannot be had.", "ko": "없습니다.", "kind": ""}
    page.unroute(ASKED)

    def refuse(route: Route) -> None:
        sent = json.loads(route.request.post_data or "{}")
        if sent["fn_name"] == "weights":
            route.fulfill(json={"n": sent["data"]["n"], "refusal": refusal})
        else:
            route.continue_()

    page.route(ASKED, refuse)
    page.locator(".suggest").click()
    expect(beside).to_have_text("It cannot be had.")


LINK = """how => {
    const data = new DataTransfer();
    data.setData(how === "paste" ? "text/plain" : "text/uri-list", "https://example.org/cat.jpg");
    document.body.dispatchEvent(how === "paste" ? new ClipboardEvent("paste", {clipboardData: data, bubbles: true})
        : new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
}"""


def test_a_pasted_or_dropped_link_gets_a_sentence(visit: Visit) -> None:
    for how in ("paste", "drop"):
        page = visit()
        page.evaluate(LINK, how)
        expect(page.locator(".mistake")).to_contain_text("A link cannot be opened here")


def test_nothing_on_the_sheet_runs_into_its_neighbour(visit: Visit) -> None:
    page = visit("?example=lion")
    settled(page)
    page.evaluate(
        """() => { window.texts = []; const write = CanvasRenderingContext2D.prototype.fillText;
        CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
            window.texts.push([text, this.measureText(text).width, y]); return write.call(this, text, x, y); }; }"""
    )
    with page.expect_download() as download:
        take(page, "png")
    assert download.value.suggested_filename == "lion-lion-sheet.png"
    shares = [
        width for text, width, _ in page.evaluate("window.texts") if re.match("[1-5]×[1-5] .*%", text) or text.startswith("pool ")
    ]
    assert len(shares) >= 9
    assert max(shares) <= 176  # a stage's width
