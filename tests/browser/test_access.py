"""The page for everyone: axe in every state, the keyboard alone, contrasts, and what a screen reader is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import (
    DESKTOP,
    PHONE,
    STAGE,
    Visit,
    ask_head,
    file,
    go_dark,
    looking_at,
    painted,
    resize,
    settled,
    tab,
    upload,
    violations,
)


def look_at_channels(page: Page) -> None:
    tab(page, "channels")
    page.locator(".single").evaluate("details => details.open = true")
    expect(page.locator("#tab-channels button.channel").first).to_be_visible()


def cover(page: Page) -> None:
    tab(page, "test")
    page.locator("#tab-cover .plain").click()
    expect(page.locator("#tab-cover tbody tr")).to_have_count(3)


def open_details(page: Page) -> None:
    for name in ("teach", "weights"):
        page.locator(f".{name} summary").click()


def search(page: Page) -> None:
    page.locator("#target").fill("dog")


def ask_wrongly(page: Page) -> None:
    page.keyboard.press("Escape")  # the list of classes
    ask_head(page, "aux1")
    settled(page)
    upload(page, file("logo.svg", b"<svg/>", "image/svg+xml"))


LINES = {
    "field": ("#target, #contrast, #repository, .camera, .menu > summary", "borderTopColor", None),
    "trunk": (".stage", "borderTopColor", "::after"),
    "branch": (".card", "borderLeftColor", "::before"),
    "bar": (".row:not([aria-current=true]) i", "borderBottomColor", None),
    "asked bar": (".row[aria-current=true] i", "borderBottomColor", None),
    "share": (".bar i", "backgroundColor", None),
    "dot": (".slope circle", "fill", None),
    "line": (".slope polyline", "stroke", None),
}
CONTRAST = """lines => {
    const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
    const linear = v => v <= 10.3 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4;
    const light = ([r, g, b]) => .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b) + .05;
    const behind = n => {
        const c = numbers(getComputedStyle(n).backgroundColor);
        return c.length < 4 || c[3] === 1 ? c : behind(n.parentElement);
    };
    const ratio = (a, b) => Math.max(light(a), light(b)) / Math.min(light(a), light(b));
    const least = ([selector, property, pseudo]) => Math.min(...[...document.querySelectorAll(selector)].map(n =>
        ratio(numbers(getComputedStyle(n, pseudo)[property]), behind(n.parentElement))));
    return Object.fromEntries(Object.entries(lines).map(([name, line]) => [name, least(line)]));
}"""
"""For each kind of line the least contrast with what is behind it."""


STATES: dict[Callable[[Page], object], str] = {
    painted: "#walk",
    look_at_channels: "#tab-channels",
    cover: "#tab-test",
    open_details: ".teach, .weights",
    search: ".question",
    ask_wrongly: ".left, .strip, .hero, .cards",
}
"""What is done one after the other on one page, and the parts of the page that it changes. Trust: see `test_tabs`."""


COLOURS = "color-contrast"


def test_axe_finds_nothing_and_edges_lines_bars_and_dots_stand_out(visit: Visit) -> None:
    """Of texts, axe asks for their contrast; of the others, WCAG 1.4.11 asks for 3:1."""
    page = visit("?example=lion")
    for act, parts in STATES.items():
        act(page)
        settled(page)
        assert violations(page, parts) == [], act.__name__
        go_dark(page, True)
        assert violations(page, parts, runOnly=[COLOURS]) == [], act.__name__
        go_dark(page, False)
    for dark in (False, True):
        go_dark(page, dark)
        contrasts = page.evaluate(CONTRAST, LINES)
        assert {name: ratio for name, ratio in contrasts.items() if not 3 <= ratio < 22} == {}, dark


def test_axe_finds_nothing_on_a_phone_in_korean(visit: Visit) -> None:
    page = visit("?example=lion", (360, 640), locale="ko-KR", **PHONE)
    for act, parts in STATES.items():
        act(page)
        settled(page)
        assert violations(page, parts, rules={COLOURS: {"enabled": False}}) == [], act.__name__


LOOK = """() => {
    const n = document.activeElement;
    const look = () => [n, n.nextElementSibling, n.querySelector('.cell')].filter(Boolean).map(getComputedStyle)
        .map(s => [s.outlineStyle, s.outlineWidth, s.outlineColor, s.boxShadow, s.clipPath]).join();
    const focused = look();
    n.blur();
    const not = look();
    n.focus({focusVisible: true});
    return focused !== not;
}"""
"""Whether what has the focus looks different without it."""


STOP = "() => { const n = document.activeElement; return n.closest('.page') && n.outerHTML.slice(0, 80); }"
"""How the page's element begins that has the focus."""
DOWN = """() => {
    const part = document.activeElement.closest('.page > :not(header, .skip)');
    return part && [part.classList[0], part.getBoundingClientRect().top + scrollY];
}"""
"""The part of the page that has the focus, and how far down it stands."""


def test_each_of_few_tab_stops_shows_its_focus_and_they_go_down_the_screen(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    for width in (1440, 720, 390):  # a desktop, the same at 200 %, a phone
        resize(page, width, 900 * width // 1440)
        painted(page)
        stops: list[str] = []
        parts: list[tuple[str, float]] = []
        page.locator(".skip").focus()
        while len(stops) < 60:
            stop = page.evaluate(STOP)
            if not stop:
                break  # after the page's end comes Gradio's footer
            assert page.evaluate(LOOK), f"{stop} does not show its focus"
            stops.append(stop)
            part = page.evaluate(DOWN)
            if part and (not parts or parts[-1][0] != part[0]):
                parts.append((part[0], part[1]))
            page.keyboard.press("Tab")
        assert 15 < len(stops) < 25, stops
        marks = page.locator(".help").evaluate_all("marks => marks.filter(mark => mark.checkVisibility()).length")
        assert sum('class="help"' in stop for stop in stops) == marks > 2
        if width < 1000:
            assert len(parts) > 6
            assert [top for _, top in parts] == sorted(top for _, top in parts), parts


def test_the_keyboard_alone_reaches_a_download(page: Page) -> None:
    resize(page, *DESKTOP)
    page.locator(".skip").focus()

    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                return
        raise AssertionError(f"{selector} cannot be reached with the Tab key")

    tab_to("[data-example=cheetah]")
    for _ in ("portrait", "lion"):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    looking_at(page, "lion")
    tab_to(".card[data-head=aux2] .ask")
    page.keyboard.press("Enter")
    expect(page.locator(STAGE.format("5b"))).to_be_disabled()
    settled(page)
    tab_to("#target")
    page.keyboard.type("tige")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.locator("#target")).to_have_value("tiger")
    settled(page)
    assert page.locator('.stage[tabindex="0"]').count() == 1
    tab_to(".stage[aria-pressed=true]")
    page.keyboard.press("End")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#stage-title")).to_have_text("Stage 3b")
    expect(page.locator(".announce")).to_contain_text("Stage 3b")
    tab_to(".big")
    page.keyboard.press("Enter")
    expect(page.locator(".cell-text")).to_contain_text("Row")
    tab_to(".looks summary")
    page.keyboard.press("Enter")
    tab_to(".looks .overlay")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".looks .overlay")).to_have_attribute("aria-valuetext", "99\xa0%")
    page.keyboard.press("Escape")
    tab_to(".take summary")
    page.keyboard.press("Enter")
    tab_to(".take button")
    for _ in range(8):
        if page.evaluate("document.activeElement.dataset.take") == "json":
            break
        page.keyboard.press("ArrowRight")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    told = json.loads(Path(download.value.path()).read_text("utf-8"))
    assert (told["question"]["head"], told["question"]["target"]["label"]) == ("aux2", "tiger")
    tab_to(".teach summary")
    page.keyboard.press("Enter")
    expect(page.locator(".numbers")).to_be_visible()
