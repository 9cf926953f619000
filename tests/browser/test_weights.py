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


def test_the_weights_panel_closes_by_escape_and_by_a_click_outside(visit: Visit) -> None:
    page = visit()
    for close in (lambda: page.keyboard.press("Escape"), lambda: page.locator("h1").click()):
        page.locator(".weights summary").click()
        expect(page.locator(".panel")).to_be_visible()
        close()
        expect(page.locator(".panel")).to_be_hidden()


def test_a_load_is_confirmed_keeps_the_question_and_the_newest_choice_wins(visit: Visit) -> None:
    page = visit("?example=lion&head=aux2&class=tiger")
    expect(page.locator("#target")).to_have_value("tiger")
    load(page, "user/nothing")
    load(page, "user/three")  # chosen while the other one loads
    expect(page.locator(".chip")).to_have_text("user/three, 3 classes")
    expect(page.locator(".panel")).to_be_hidden()  # the answer is not covered
    expect(page.locator(".notice")).to_contain_text("Now answered by user/three, 3 classes.")
    assert "example=lion" in page.url
    page.locator(".weights summary").click()
    page.locator(".sources button").first.click()
    expect(page.locator(".chip")).to_have_text("ImageNet, 1,000 classes")


def test_weights_alone_make_a_link(visit: Visit) -> None:
    page = visit("?weights=user%2Fthree")
    expect(page.locator(".chip")).to_have_text("user/three, 3 classes")


def test_a_link_to_weights_that_cannot_be_had_is_answered_by_the_pages_own_and_told(visit: Visit) -> None:
    page = visit("?example=lion&class=tiger&weights=user%2Fnothing")
    expect(page.locator("#target")).to_have_value("tiger")
    expect(page.locator(".weights-say")).to_contain_text("There is no repository user/nothing on the Hub")


def test_where_no_class_looks_likely_berkeleys_network_is_one_click_away(visit: Visit) -> None:
    page = visit("?example=astronaut")
    expect(page.locator(".say")).to_contain_text("None of the 1000 classes looks likely here")
    page.locator(".suggest").click()
    expect(page.locator(".weights-say")).to_contain_text("mediasynthesismuseum/deepdream-googlenet")  # not on this stand-in
    expect(page.locator(".chip")).to_have_text("ImageNet, 1,000 classes")  # the page keeps its weights
