"""A visitor chooses other weights, from a stand-in for the Hub: the choice is the visitor's own."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit


def load(page: Page, source: str) -> None:
    if page.locator(".weights").get_attribute("open") is None:
        page.locator(".weights summary").click()
    page.locator("#repository").fill(source)
    page.keyboard.press("Enter")


def test_a_visitors_weights_are_that_visitors_alone(visit: Visit) -> None:
    one, two = visit(), visit()
    before = two.locator(".chip").inner_text()
    load(one, "user/three")
    expect(one.locator(".chip")).to_have_text("user/three, 3 classes")
    expect(one.locator('.card[data-head="aux1"]')).to_contain_text("no trained aux1 head")
    expect(one.locator('.card[data-head="main"] .row')).to_have_count(3)
    expect(one.locator('.seg input[value="aux1"]')).to_be_disabled()
    one.locator(".weights summary").click()
    expect(one.locator(".facts")).to_contain_text("mit")
    assert re.search("[0-9a-f]{12}", one.locator(".facts").inner_text())
    assert "weights=user%2Fthree" in one.url
    two.locator("[data-example=lion]").click()
    expect(two.locator(".picture")).to_have_attribute("aria-label", re.compile("lion"))
    assert two.locator(".chip").inner_text() == before
    assert two.locator('.card[data-head="aux1"] .row').count() >= 5
    again = visit(one.url.split("/", 3)[3])  # the link brings the weights along
    expect(again.locator(".chip")).to_have_text("user/three, 3 classes")
    expect(again.locator('.card[data-head="main"] .row')).to_have_count(3)
    one.locator(".sources button").first.click()
    expect(one.locator(".chip")).to_have_text(before)
    expect(one.locator('.card[data-head="aux1"] .row').first).to_be_visible()


def test_what_cannot_be_had_is_said_and_changes_nothing(visit: Visit) -> None:
    page = visit()
    before = page.locator(".chip").inner_text()
    load(page, "user/nothing")
    expect(page.locator(".weights-say")).to_contain_text("There is no repository user/nothing on the Hub")
    expect(page.locator(".weights progress")).to_be_hidden()
    load(page, "/etc/passwd")
    expect(page.locator(".weights-say")).to_contain_text("/etc/passwd")
    assert page.locator(".chip").inner_text() == before
