"""A visitor chooses other weights, from a stand-in for the Hub: the choice is the visitor's own."""

from __future__ import annotations

import re

from gradio.media import get_image
from playwright.sync_api import Page, expect

from googlenet.checkpoints.source import KNOWN_SOURCES, parse_repository
from tests.browser.conftest import Visit, chosen, settled, upload
from tests.checkpoints.files import berkeley_pth
from tests.hub.server import HubServer


def load(page: Page, source: str) -> None:
    if page.locator(".weights").get_attribute("open") is None:
        page.locator(".weights summary").click()
    page.locator("#repository").fill(source)
    page.keyboard.press("Enter")


def test_a_visitors_weights_are_that_visitors_alone(visit: Visit) -> None:
    one, two = visit(), visit(own=True)
    before = two.locator(".chip").inner_text()
    load(one, "user/three")
    expect(one.locator(".chip")).to_have_text("user/three, 3 classes")
    expect(one.locator(".tagline")).to_have_text("A neural network of 2014 that names what a photograph shows.")
    expect(one.locator('.card[data-head="aux1"]')).to_contain_text("no trained aux1 head")
    expect(one.locator('.card[data-head="main"] .row')).to_have_count(3)
    expect(one.locator('.card[data-head="aux1"] .ask')).to_be_disabled()
    one.locator(".weights summary").click()
    expect(one.locator(".facts")).to_contain_text("mit")
    assert re.search("[0-9a-f]{12}", one.locator(".facts").inner_text())
    expect(one).to_have_url(re.compile("weights=user%2Fthree"))
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
    expect(page.locator(".panel .load")).to_contain_text("There is no repository user/nothing on the Hub")
    expect(page.locator(".panel progress")).to_be_hidden()
    load(page, "/etc/passwd")
    expect(page.locator(".panel .load")).to_contain_text("/etc/passwd")
    assert page.locator(".chip").inner_text() == before


def test_the_weights_panel_closes_by_escape_and_by_a_click_outside(visit: Visit) -> None:
    page = visit()
    for close in (lambda: page.keyboard.press("Escape"), lambda: page.locator("h1").click()):
        page.locator(".weights summary").click()
        expect(page.locator(".weights .panel")).to_be_visible()
        close()
        expect(page.locator(".weights .panel")).to_be_hidden()


def test_a_load_is_confirmed_keeps_the_question_and_the_newest_choice_wins(visit: Visit) -> None:
    page = visit("?example=lion&head=aux2&class=tiger")
    expect(page.locator("#target")).to_have_value("tiger")
    load(page, "user/nothing")
    load(page, "user/three")  # chosen while the other one loads
    expect(page.locator(".chip")).to_have_text("user/three, 3 classes")
    expect(page.locator(".weights .panel")).to_be_hidden()  # the answer is not covered
    expect(page.locator(".notice")).to_contain_text("Now answered by user/three, 3 classes.")
    expect(page).to_have_url(re.compile("example=lion.*weights=user%2Fthree"))
    page.locator(".weights summary").click()
    page.locator(".sources button").first.click()
    expect(page.locator(".chip")).to_have_text("ImageNet, 1,000 classes")


def test_new_weights_keep_the_class_the_contrast_and_the_head_that_they_know(visit: Visit) -> None:
    page = visit("?example=lion&head=aux2&class=tiger&contrast=cougar")
    settled(page)
    load(page, "user/heads")  # the same classes at other indices
    expect(page.locator(".chip")).to_have_text("user/heads, 3 classes")
    settled(page)
    assert (chosen(page), page.locator("#contrast").input_value()) == ("tiger", "cougar")
    expect(page.locator(".card.asking")).to_have_attribute("data-head", "aux2")
    load(page, "user/three")  # no tiger, no auxiliary heads
    expect(page.locator(".chip")).to_have_text("user/three, 3 classes")
    settled(page)
    expect(page.locator(".card.asking")).to_have_attribute("data-head", "main")
    own = chosen(page)
    assert own == page.locator('.card[data-head="main"] .row >> nth=0 >> span').inner_text()
    assert page.locator("#contrast").input_value() == ""
    page.locator(".weights summary").click()
    page.locator(".sources button").first.click()
    expect(page.locator(".notice")).to_contain_text("Now answered by this page’s own weights, 1,000 classes.")


def test_weights_that_the_server_has_dropped_are_loaded_again(visit: Visit, hub: HubServer) -> None:
    """It keeps the last two that visitors chose."""
    page, others = visit(), visit(own=True)
    load(page, "user/three")
    expect(page.locator(".chip")).to_have_text("user/three, 3 classes")
    settled(page)
    upload(page, get_image("tower.jpg"))
    expect(page.locator(".picture")).to_have_attribute("aria-label", re.compile("tower"))
    settled(page)

    def choose_others() -> None:
        for name in ("again", "once"):
            load(others, f"user/{name}")
            expect(others.locator(".chip")).to_have_text(f"user/{name}, 3 classes")

    choose_others()
    row = page.locator('.card[data-head="main"] .row >> nth=2')
    asked = row.locator("span").inner_text()
    row.click()
    expect(page.locator(".notice")).to_contain_text("Now answered by user/three, 3 classes.")
    settled(page)
    assert chosen(page) == asked
    assert page.locator(".chip").inner_text() == "user/three, 3 classes"
    assert "tower" in (page.locator(".picture").get_attribute("aria-label") or "")

    choose_others()
    gone = hub.repos.pop("user/three")
    page.locator('.card[data-head="main"] .row >> nth=0').click()
    expect(page.locator(".notice")).to_contain_text("There is no repository user/three on the Hub")
    expect(page.locator(".notice")).to_contain_text("Now answered by this page’s own weights, 1,000 classes.")
    assert "tower" in (page.locator(".picture").get_attribute("aria-label") or "")
    hub.repos["user/three"] = gone


def test_a_link_to_weights_that_cannot_be_had_is_answered_by_the_pages_own_and_told(visit: Visit) -> None:
    page = visit("?example=lion&class=tiger&weights=user%2Fnothing")
    expect(page.locator("#target")).to_have_value("tiger")
    expect(page.locator(".panel .load")).to_contain_text("There is no repository user/nothing on the Hub")


def test_where_no_class_looks_likely_berkeleys_network_is_one_click_away(visit: Visit, hub: HubServer) -> None:
    berkeley = parse_repository(KNOWN_SOURCES[0].source)
    hub.model(berkeley.id, {str(berkeley.file): berkeley_pth(main=False)})
    page = visit("?example=astronaut")
    expect(page.locator(".say")).to_contain_text("The network does not recognise this")
    before = page.locator(".say").inner_text()
    page.locator(".suggest").click()
    expect(page.locator(".panel .load")).to_have_text(
        "bvlc_googlenet.pth lacks the main head's classifier (loss3/classifier); give a file that holds the whole network."
    )
    settled(page)
    assert page.locator(".chip").inner_text() == "ImageNet, 1,000 classes"  # the page keeps its weights
    assert page.locator(".say").inner_text().startswith(before)  # then the reason
