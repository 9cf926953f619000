"""The tabs Channels and Test: groups and tiles, a touched cell, a tile opened large, and how far a map can be trusted."""

from __future__ import annotations

import json
import re

from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import ASKED, Visit, asks, enlarge, go_dark, model_requests, pixels, settled, violations

TILES = "#tab-channels button.channel"
SPOKEN = re.compile(
    r"^−?[\d.]+\s% (1×1|3×3|5×5|pool) #\d+: (for|against) .+, "
    r"strongest \d+\s% from the left and \d+\s% from the top$"
)


def spoken(page: Page) -> list[str]:
    return list(page.locator(TILES).evaluate_all("tiles => tiles.map(tile => tile.ariaLabel)"))


def test_channels_of_a_stage_and_of_a_cell_and_one_of_them_large(visit: Visit) -> None:
    page = visit()
    sent = model_requests(page)
    assert sent == []  # nothing is asked for a tab that is closed
    page.get_by_role("tab", name="Channels").click()
    expect(page.locator(".group")).to_have_count(6)
    expect(page.locator(".group img")).to_have_count(18)
    shares = [float(text.rstrip("\u00a0%")) for text in page.locator(".group b").all_text_contents()]
    assert shares == sorted(shares, reverse=True)
    assert len({pixels(page, f".group canvas >> nth={i}") for i in range(6)}) == 6
    assert sent == ["groups"]  # single channels are one press deeper
    page.locator(".single summary").click()
    expect(page.locator(TILES)).to_have_count(8)
    expect(page.locator(f"{TILES} img")).to_have_count(8)  # from the atlas
    whole = spoken(page)
    assert all(SPOKEN.match(text) for text in whole), whole
    assert "for" in whole[0]
    assert "against" in whole[-1]

    page.locator(".big").press("Enter")  # touches the strongest cell
    expect(page.locator(".single-channels > p").first).to_contain_text("In the touched cell, row")
    expect(page.locator(f"{TILES} img").first).to_be_visible()
    assert spoken(page) != whole
    page.locator(".big").press("Escape")
    assert spoken(page) == whole

    page.locator(TILES).first.press("ArrowRight")
    second = page.locator(TILES).nth(1)
    expect(second).to_be_focused()
    second.press("Enter")
    large = page.get_by_role("dialog")
    expect(large).to_contain_text("Open a second picture")
    number = re.search(r"#(\d+):", whole[1])
    assert number
    expect(large.locator("canvas")).to_have_attribute("aria-label", re.compile(f"^Channel {number[1]} of"))
    large.press("Escape")
    expect(second).to_be_focused()

    page.locator('[data-example="lion"]').click()
    settled(page)
    expect(page.locator(f"{TILES} img")).to_have_count(8)
    page.locator(TILES).first.click()
    fired = large.locator(".row-of-last canvas")
    expect(fired).to_have_count(2)
    told = [str(each.get_attribute("aria-label")) for each in fired.all()]
    assert told[0].startswith("lion: ")
    assert sum("100\u00a0% of its strongest answer" in text for text in told) == 1
    large.get_by_role("button", name="Close").click()

    # The language can be switched, and stays.
    page.locator(".languages").click()
    expect(page.locator(".choose")).to_have_text("사진 선택")
    expect(page.locator("#target")).to_have_value("사자")
    page.locator(".single summary").click()
    expect(page.locator(TILES).first).to_have_attribute("aria-label", re.compile(r"^[\d.]+% .+ #\d+: ‘.+’ 쪽 지지"))
    expect(page.locator(f"{TILES} img")).to_have_count(8)


def test_a_map_is_tested_by_keyboard_in_korean(visit: Visit) -> None:
    page = visit("?example=lion&class=lion&weights=user%2Fthree", locale="ko-KR")  # which need a fifth of the work
    expect(page.locator(".chip")).to_contain_text("user/three")
    settled(page)
    enlarge(page, "5b")
    page.locator("[data-tab=evidence]").focus()
    last = page.locator("[data-tab=test]")
    for _ in range(8):
        if last.get_attribute("aria-selected") == "true":
            break
        page.keyboard.press("ArrowRight")
    page.locator("#tab-trust .plain").focus()
    held: list[Route] = []
    page.route(ASKED, lambda route: held.append(route))  # until the progress has been seen
    page.keyboard.press("Enter")
    expect(page.locator("#tab-trust progress")).to_be_visible()
    for route in held:
        route.continue_()
    page.unroute(ASKED)
    said = page.locator(".trust-say")
    expect(said).to_contain_text("가장 밝은 10분의 1을 가리면 main 헤드에서 ‘사자’ 클래스의 확률이")
    expect(said).to_be_focused()
    charts = page.locator("#tab-trust .chart")
    expect(charts).to_have_count(2)
    for chart in charts.all():
        own, random = (chart.locator(f"polyline.{name}").get_attribute("points") for name in ("own", "random"))
        assert own != random
        assert str(own).count(",") == str(random).count(",") == 21
        assert "무작위 순서" in str(chart.get_attribute("aria-label"))
    expect(page.locator("#tab-trust .key i.own, #tab-trust .key i.random")).to_have_count(2)
    maps = [pixels(page, f"#tab-trust figure canvas >> nth={i}") for i in range(2)]
    assert maps[0] != maps[1]
    expect(page.locator("#tab-trust figcaption").last).to_have_text("뒤쪽 가중치가 무작위일 때")
    enlarge(page, "3a")
    expect(page.locator("#tab-trust .plain")).to_be_visible()  # another stage is another test
    enlarge(page, "5b")
    expect(said).to_be_visible()  # and the first one is kept
    assert violations(page, "#tab-test") == []
    go_dark(page)
    assert violations(page, "#tab-test", runOnly=["color-contrast"]) == []


def test_a_new_test_of_a_map_takes_the_place_of_one_that_waits(visit: Visit) -> None:
    page = visit("?example=lion")
    settled(page)
    share: dict[str, float] = {}  # none while it waits

    def answer(route: Route) -> None:
        name = asks(route.request)
        if name == "progress":
            data = json.loads(route.request.post_data or "{}")["data"]
            route.fulfill(json={"n": data["n"], **(share or {"place": 2})})
        elif name != "trust":  # those are never answered
            route.continue_()

    page.route(ASKED, answer)
    page.locator("[data-tab=test]").click()
    meter, start = page.locator("#tab-trust progress"), page.locator("#tab-trust .plain", has_text="Test the map")

    def test(stage: str) -> None:
        enlarge(page, stage)
        start.click()
        expect(meter).to_be_visible()

    test("4c")
    test("4d")
    enlarge(page, "4c")
    expect(start).to_be_visible()  # it is given up
    enlarge(page, "4d")
    share["share"] = 0.25
    expect(page.locator("#tab-trust .meter")).to_contain_text("25")
    test("5a")
    enlarge(page, "4d")
    expect(meter).to_be_visible()  # it runs, and goes on
