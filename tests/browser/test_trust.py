"""The tab Trust: what is known of a stage's map, and its test on the picture."""

from __future__ import annotations

import re

from playwright.sync_api import Route, expect

from tests.browser.conftest import ASKED, STAGE, Visit, pixels


def test_a_map_is_tested_by_keyboard_in_korean_and_what_is_known_is_said_in_english_too(visit: Visit) -> None:
    page = visit("?example=lion", locale="ko-KR")
    page.locator(STAGE.format("5b")).click()
    page.locator("[data-tab=evidence]").focus()
    tab = page.locator("[data-tab=test]")
    for _ in range(8):
        if tab.get_attribute("aria-selected") == "true":
            break
        page.keyboard.press("ArrowRight")
    expect(page.locator(".trust-known")).to_contain_text("한가운데를 찍는 것보다")
    page.locator("#tab-trust .plain").focus()
    held: list[Route] = []
    page.route(ASKED, lambda route: held.append(route))  # until the progress has been seen
    page.keyboard.press("Enter")
    expect(page.locator("#tab-trust progress")).to_be_visible()
    for route in held:
        route.continue_()
    page.unroute(ASKED)
    said = page.locator(".trust-say")
    expect(said).to_contain_text("가장 밝은 10분의 1을 가리면 main에서 ‘사자’ 클래스의 확률이")
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
    expect(page.locator("#tab-trust figcaption").last).to_have_text("가중치가 무작위일 때")
    page.locator(STAGE.format("3a")).click()
    expect(page.locator("#tab-trust .plain")).to_be_visible()  # another stage is another test
    page.locator(STAGE.format("5b")).click()
    expect(said).to_be_visible()  # and the first one is kept
    page.locator(".languages").click()
    expect(page.locator(".trust-known")).to_contain_text(
        re.compile("This stage is (better|worse|no better) than guessing the centre")
    )
