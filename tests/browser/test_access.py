"""The page for everyone: axe in every state, the keyboard alone, contrasts, and what a screen reader is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import (
    PHONE,
    STAGE,
    Visit,
    ask_head,
    file,
    looking_at,
    new_context,
    painted,
    settled,
    still,
    tab,
    upload,
)

AXE = Axe()


def found(page: Page, dark: bool, **options: object) -> list[object]:
    """What axe finds in light or dark, where nothing moves any more."""
    page.evaluate("dark => document.body.classList.toggle('dark', dark)", dark)  # as Gradio does it
    still(page)
    options |= {"resultTypes": ["violations"], "preload": False}
    violations = AXE.run(page, context="#walk", options=options).response["violations"]
    return [(each["id"], [node["html"][:120] for node in each["nodes"]][:3]) for each in violations]


def trust(page: Page) -> None:
    tab(page, "test")
    page.locator("#tab-trust .plain").click()
    expect(page.locator("#tab-trust .trust-say")).to_be_visible()


def channels(page: Page) -> None:
    tab(page, "channels")
    page.locator(".single").evaluate("details => details.open = true")
    expect(page.locator("#tab-channels button.channel").first).to_be_visible()


def cover(page: Page) -> None:
    tab(page, "test")
    page.locator("#tab-cover .plain").click()
    expect(page.locator("#tab-cover tbody tr")).to_have_count(3)


def experiments(page: Page) -> None:
    trust(page)
    cover(page)


def earlier_head(page: Page) -> None:
    page.keyboard.press("Escape")  # the list of classes
    ask_head(page, "aux1")
    settled(page)
    upload(page, file("logo.svg", b"<svg/>", "image/svg+xml"))


def open_details(page: Page, name: str) -> None:
    page.locator(f".{name} summary").click()


STATES: dict[str, Callable[[Page], object]] = {
    "opened": painted,
    "channels": channels,
    "test": experiments,
    "lesson and weights": lambda page: [open_details(page, name) for name in ("teach", "weights")],
    "search": lambda page: page.locator("#target").fill("dog"),
    "an earlier head and a mistake": earlier_head,
}
"""Each follows the one before on one page; the last one's trust and channels are kept, so that a width waits for them once."""
SIZES: dict[str, dict[str, object]] = {
    "desktop": {"color_scheme": "light"},
    "korean phone": {"locale": "ko-KR", **PHONE, "viewport": {"width": 360, "height": 640}},
}


@pytest.fixture(scope="module", params=SIZES)
def walked(request: pytest.FixtureRequest, browser: Browser, url: str) -> Iterator[Page]:
    """One page, which the states go through in turn."""
    with new_context(browser, **SIZES[request.param]) as context:
        page = context.new_page()
        page.goto(url + "?example=lion")
        page.wait_for_selector(".row")
        settled(page)
        yield page


@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing(walked: Page, state: str) -> None:
    desktop = (walked.viewport_size or {})["width"] > 1000
    if state == "test" and not desktop:
        cover(walked)  # what trust says has no form of its own on a phone, and takes seconds
    else:
        STATES[state](walked)
    settled(walked)
    assert found(walked, dark=True) == []
    if desktop:  # a phone has the same colours
        assert found(walked, dark=False, runOnly=["color-contrast"]) == []


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


DOWN = """() => {
    const part = document.activeElement.closest('.page > :not(header, .skip)');
    return part && [part.classList[0], part.getBoundingClientRect().top + scrollY];
}"""
"""The part of the page that has the focus, and how far down it stands."""


@pytest.mark.parametrize("width", [1440, 720, 390], ids=["desktop", "200 %", "phone"])
def test_each_of_few_tab_stops_shows_its_focus_and_they_go_down_the_screen(visit: Visit, width: int) -> None:
    page = visit("?example=lion", viewport={"width": width, "height": 900 * width // 1440})
    stops: list[str] = []
    parts: list[tuple[str, float]] = []
    while len(stops) < 60:
        page.keyboard.press("Tab")
        stop = page.evaluate("() => { const n = document.activeElement; return n.closest('.page') && n.outerHTML.slice(0, 80); }")
        if not stop:
            break  # after the page's end comes Gradio's footer
        assert page.evaluate(LOOK), f"{stop} does not show its focus"
        stops.append(stop)
        part = page.evaluate(DOWN)
        if part and (not parts or parts[-1][0] != part[0]):
            parts.append((part[0], part[1]))
    assert 'class="skip"' in stops[0]
    assert 15 < len(stops) < 25, stops
    marks = page.locator(".help").evaluate_all("marks => marks.filter(mark => mark.checkVisibility()).length")
    assert sum('class="help"' in stop for stop in stops) == marks > 2
    if width < 1000:
        assert len(parts) > 6
        assert [top for _, top in parts] == sorted(top for _, top in parts), parts


def test_the_keyboard_alone_reaches_a_download(visit: Visit) -> None:
    page = visit(own=True)

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


def test_edges_lines_bars_and_dots_stand_out(visit: Visit) -> None:
    """At least 3:1, as WCAG 1.4.11 asks; texts are axe's."""
    page = visit(own=True)
    cover(page)
    page.locator(".weights summary").click()
    for dark in (False, True):
        page.evaluate("dark => document.body.classList.toggle('dark', dark)", dark)
        still(page)
        contrasts = page.evaluate(CONTRAST, LINES)
        assert {name: ratio for name, ratio in contrasts.items() if not 3 <= ratio < 22} == {}, dark
