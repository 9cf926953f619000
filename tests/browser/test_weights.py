"""A visitor chooses other weights, from a stand-in for the Hub: the choice is the visitor's own."""

from __future__ import annotations

import re

from playwright.sync_api import Page, Route, expect

from googlenet.checkpoints.source import KNOWN_SOURCES, parse_repository
from tests.browser.conftest import (
    ASKED,
    Visit,
    ask_head,
    asks,
    chosen,
    file,
    jpeg,
    looking_at,
    own_picture,
    saved_json,
    settled,
    tab,
    upload,
)
from tests.checkpoints.files import berkeley_pth
from tests.hub.server import HubServer
from tests.server.conftest import Program

OWN = "ImageNet, 1,000 classes"


def load(page: Page, source: str) -> None:
    if page.locator(".weights").get_attribute("open") is None:
        page.locator(".weights summary").click()
    page.locator("#repository").fill(source)
    page.keyboard.press("Enter")


def test_a_visitors_picture_and_weights_are_that_visitors_alone(visit: Visit) -> None:
    one, two = visit(), visit(own=True)
    for page, colour in ((one, "red"), (two, "blue")):
        upload(page, file(f"{colour}.jpg", jpeg(colour)))
    for page, colour in ((one, "red"), (two, "blue")):
        looking_at(page, f"{colour}.jpg")
        assert saved_json(page)["image"] == f"{colour}.jpg"
    one.locator("[data-example=lion]").click()
    looking_at(one, "lion")
    expect(one.locator(".role")).to_have_text("All three heads agree")
    load(one, "user/three")
    expect(one.locator(".chip")).to_have_text("user/three, 3 classes")
    expect(one.locator(".tagline")).to_have_text("A neural network of 2014 that names what a photograph shows.")
    expect(one.locator('.card[data-head="aux1"]')).to_contain_text("no trained aux1 head")
    expect(one.locator('.card[data-head="main"] .row')).to_have_count(3)
    expect(one.locator('.card[data-head="aux1"] .ask')).to_be_disabled()
    expect(one.locator(".role")).to_have_text("lion")  # what was said of it is true of the page's own weights
    expect(one.locator("[data-example=cat]")).to_have_attribute("aria-label", "cat")
    expect(one.locator(".third")).to_have_text("In these weights the branch named 5×5 has 3×3 filters.")
    one.locator(".weights summary").click()
    expect(one.locator(".facts")).to_contain_text("mit")
    assert re.search("[0-9a-f]{12}", one.locator(".facts").inner_text())
    two.locator("[data-example=lion]").click()
    looking_at(two, "lion")
    assert two.locator(".chip").inner_text() == OWN
    expect(two.locator(".third")).to_be_empty()
    assert two.locator('.card[data-head="aux1"] .row').count() >= 5
    expect(one).to_have_url(re.compile("weights=user%2Fthree"))


def test_what_cannot_be_had_is_said_new_weights_keep_what_they_know_and_the_newest_choice_wins(visit: Visit) -> None:
    question = "?example=lion&head=aux2&class=tiger&contrast=cougar"
    page = visit(f"{question}&weights=user%2Fnothing")  # such a link is answered by the page's own weights
    expect(page.locator("#target")).to_have_value("tiger")
    said = page.locator(".panel .load")
    expect(said).to_contain_text("There is no repository user/nothing on the Hub")
    settled(page)
    load(page, "/etc/passwd")
    expect(said).to_contain_text("/etc/passwd")
    load(page, "user/nothing")
    expect(said).to_contain_text("There is no repository user/nothing on the Hub")
    expect(page.locator(".panel progress")).to_be_hidden()
    assert page.locator(".chip").inner_text() == OWN
    for close in (lambda: page.keyboard.press("Escape"), lambda: page.locator("h1").click()):
        expect(page.locator(".weights .panel")).to_be_visible()
        close()
        expect(page.locator(".weights .panel")).to_be_hidden()
        page.locator(".weights summary").click()

    load(page, "user/nothing")
    load(page, "user/heads")  # chosen while the other one loads; the same classes at other indices
    expect(page.locator(".chip")).to_have_text("user/heads, 3 classes")
    expect(page.locator(".weights .panel")).to_be_hidden()  # the answer is not covered
    expect(page.locator(".notice")).to_contain_text("Now answered by user/heads, 3 classes.")
    settled(page)
    expect(page).to_have_url(re.compile("example=lion.*weights=user%2Fheads"))
    assert (chosen(page), page.locator("#contrast").input_value()) == ("tiger", "cougar")
    expect(page.locator(".card.asking")).to_have_attribute("data-head", "aux2")
    load(page, "user/three")  # no tiger, no auxiliary heads
    expect(page.locator(".chip")).to_have_text("user/three, 3 classes")
    settled(page)
    expect(page.locator(".card.asking")).to_have_attribute("data-head", "main")
    assert chosen(page) == page.locator('.card[data-head="main"] .row >> nth=0 >> span').inner_text()
    assert page.locator("#contrast").input_value() == ""
    page.locator(".weights summary").click()
    page.locator(".sources button").first.click()
    expect(page.locator(".notice")).to_contain_text("Now answered by this page’s own weights, 1,000 classes.")
    expect(page.locator(".chip")).to_have_text(OWN)
    expect(page.locator('.card[data-head="aux1"] .row').first).to_be_visible()


def test_back_and_the_last_pictures_ask_the_class_that_was_asked(visit: Visit, hub: HubServer) -> None:
    """The same class has other indices in other weights."""
    page = visit("?example=lion&class=lion")
    settled(page)

    def own() -> None:
        page.locator(".weights summary").click()
        page.locator(".sources button").first.click()
        expect(page.locator(".chip")).to_have_text(OWN)
        settled(page)

    def choose(source: str) -> None:
        load(page, source)
        expect(page.locator(".chip")).to_have_text(f"{source}, 3 classes")
        settled(page)

    def back(chip: str, target: str) -> None:
        page.go_back()
        expect(page.locator(".chip")).to_have_text(chip)
        expect(page.locator("#target")).to_have_value(target)
        settled(page)
        expect(page.locator(".mistake")).to_have_text("")

    choose("user/three")
    asked = chosen(page)
    back(OWN, "lion")
    page.go_forward()
    expect(page.locator(".chip")).to_have_text("user/three, 3 classes")
    settled(page)
    assert chosen(page) == asked
    own()
    back("user/three, 3 classes", asked)
    choose("user/heads")
    ask_head(page, "aux1")
    settled(page)
    choose("user/three")
    back("user/heads, 3 classes", "lion")
    expect(page.locator(".card.asking")).to_have_attribute("data-head", "aux1")

    own_picture(page, "tower")
    page.locator('.card[data-head="main"] .row', has_text="tiger").click()
    expect(page.locator("#target")).to_have_value("tiger")
    own()
    page.locator("[data-example=cat]").click()
    looking_at(page, "cat")
    page.locator(".recent button").first.click()
    looking_at(page, "tower")
    assert chosen(page) == "tiger"


def test_what_a_visitor_leaves_or_cannot_have_keeps_the_weights_of_what_is_painted(visit: Visit) -> None:
    page = visit("?example=lion&class=zebra&weights=user%2Fthree")
    expect(page.locator(".mistake")).to_contain_text("No class is called 'zebra'")
    expect(page.locator(".chip")).to_have_text(OWN)  # they gave the answer that is painted
    assert page.locator('.card[data-head="aux1"] .row').count() >= 5
    assert "weights" not in page.url

    page.route(ASKED, lambda route: None if asks(route.request) == "explain" else route.continue_())
    page.clock.install()
    load(page, "user/three")
    expect(page.locator(".chip")).to_have_text("user/three, 3 classes")
    page.clock.fast_forward(8100)
    page.locator(".stop").click()
    expect(page.locator(".chip")).to_have_text(OWN)
    page.unroute(ASKED)
    page.locator("[data-example=cat]").click()
    looking_at(page, "cat")
    expect(page.locator(".notice")).not_to_contain_text("Now answered")

    # Weights that Back needs: out of date where something else is asked meanwhile, and then not to be had.
    load(page, "user/three")
    expect(page.locator(".chip")).to_have_text("user/three, 3 classes")
    settled(page)
    page.locator('.card[data-head="main"] .row >> nth=2').click()
    settled(page)
    page.locator(".weights summary").click()
    page.locator(".sources button").first.click()
    expect(page.locator(".chip")).to_have_text(OWN)
    settled(page)
    held: list[Route] = []
    page.route(ASKED, lambda route: held.append(route) if asks(route.request) == "weights" else route.continue_())
    page.go_back()
    expect(page.locator(".notice")).to_contain_text("user/three")
    expect(page.locator(".languages")).to_be_disabled()  # which loads the page again
    page.locator("[data-example=lion]").click()
    looking_at(page, "lion")
    held[0].continue_()
    expect(page.locator(".languages")).to_be_enabled()
    page.unroute(ASKED)
    gone = {"refusal": {"en": "They are gone.", "ko": ""}}
    page.route(ASKED, lambda route: route.fulfill(json=gone) if asks(route.request) == "weights" else route.continue_())
    page.go_back()
    expect(page.locator(".panel .load")).to_have_text("They are gone.")
    looking_at(page, "cat")
    expect(page.locator(".mistake")).to_have_text("")
    expect(page.locator(".chip")).to_have_text(OWN)
    assert "weights" not in page.url


def test_weights_that_are_dropped_and_gone_from_the_hub_give_way_to_the_pages_own(
    visit: Visit, hub: HubServer, program: Program
) -> None:
    """The server keeps the last two that visitors chose. Dropped weights are loaded again: see the restart in test_faults."""
    page = visit("?weights=user%2Fthree")  # weights alone make a link
    expect(page.locator(".chip")).to_have_text("user/three, 3 classes")
    expect(page.locator('.card[data-head="main"] .row')).to_have_count(3)
    settled(page)
    tab(page, "test")
    expect(page.locator(".trust-known")).to_contain_text("nobody has measured")
    own_picture(page, "tower")
    for name in ("again", "once"):
        assert "weights" in program.ask("weights", weights=f"user/{name}")
    gone = hub.repos.pop("user/three")
    page.locator('.card[data-head="main"] .row >> nth=2').click()
    expect(page.locator(".notice")).to_contain_text("There is no repository user/three on the Hub")
    expect(page.locator(".notice")).to_contain_text("Now answered by this page’s own weights, 1,000 classes.")
    looking_at(page, "tower")
    hub.repos["user/three"] = gone


def test_where_no_class_looks_likely_berkeleys_network_is_one_click_away(visit: Visit, hub: HubServer) -> None:
    berkeley = parse_repository(KNOWN_SOURCES[0].source)
    hub.model(berkeley.id, {str(berkeley.file): berkeley_pth(main=False)})
    page = visit("?example=astronaut")
    expect(page.locator(".headline")).to_contain_text("does not recognise")
    for line in (".how-often", ".by-heads", ".say .place"):  # no sentence argues for a guess that is not likely
        expect(page.locator(line)).to_be_hidden()
    expect(page.locator('.is-right [data-says="yes"]')).to_have_count(0)

    # The load is told, and left, where its button is.
    before = page.locator(".say").inner_text()
    page.route(ASKED, lambda route: None if asks(route.request) == "weights" else route.continue_())
    page.locator(".suggest").click()
    beside = page.locator(".say .load")
    expect(beside.locator("progress")).to_be_visible()
    beside.get_by_role("button", name="Cancel").click()
    expect(beside).to_be_empty()
    page.unroute(ASKED)
    page.locator(".suggest").click()
    refusal = "bvlc_googlenet.pth lacks the main head's classifier (loss3/classifier); give a file that holds the whole network."
    expect(page.locator(".panel .load")).to_have_text(refusal)
    expect(beside).to_have_text(refusal)
    settled(page)
    assert page.locator(".chip").inner_text() == OWN  # the page keeps its weights
    assert page.locator(".say").inner_text().startswith(before)  # then the reason
