"""What the page says of an answer, and what a visitor can do who knows better."""

from __future__ import annotations

import csv
import io
import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import (
    ASKED,
    Visit,
    asks,
    enlarge,
    example,
    file,
    jpeg,
    looking_at,
    painted,
    pixels,
    saved,
    settled,
    upload,
)

TIPS = ".tips canvas"
SAYS = '.is-right [data-says="{}"]'


def tipped(page: Page) -> None:
    """Wait until the four pictures are drawn."""
    expect(page.locator(".tipping")).to_have_attribute("aria-busy", "false")
    painted(page)


def test_a_wrong_example_opens_with_what_tipped_it(page: Page) -> None:
    example(page, "portrait")
    tipped(page)
    expect(page.locator(SAYS.format("cheetah"))).to_have_attribute("aria-pressed", "true")
    expect(page.locator(TIPS)).to_have_count(4)
    assert len({pixels(page, f"{TIPS} >> nth={i}") for i in range(4)}) == 4
    own, rival = "lion", "cheetah"
    sentence = page.locator(".tip-say").inner_text()
    assert own in sentence
    assert rival in sentence
    expect(page.locator(".tally")).to_be_hidden()  # the visitor has said nothing
    enlarge(page, "5a")
    tipped(page)
    expect(page.locator(".tip-say")).not_to_have_text(sentence)  # a result belongs to its stage
    page.locator(".tip >> nth=2").click()
    settled(page)
    expect(page.locator("#contrast")).to_have_value(rival)
    expect(page.locator(".tip >> nth=2")).to_have_attribute("aria-pressed", "true")


def test_any_class_can_be_the_right_one_and_what_was_said_is_counted(page: Page) -> None:
    example(page, "cheetah")
    page.locator(SAYS.format("another")).press("Enter")
    expect(page.locator("#truth")).to_be_focused()
    expect(page.locator("#truth-list li:has(span.soft:not(:empty))")).to_have_count(10)
    second = page.locator('.card[data-head="main"] .row >> nth=1 >> span').inner_text()
    expect(page.locator("#truth-list li >> nth=1")).to_contain_text(second)
    page.keyboard.type("beagle")
    page.keyboard.press("Enter")
    expect(page.locator(SAYS.format("beagle"))).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#truth")).to_be_hidden()
    tipped(page)
    expect(page.locator(".tip-say")).to_contain_text("beagle")
    page.reload()
    expect(page.locator(SAYS.format("beagle"))).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("Object.keys(localStorage)") == ["googlenet.played"]  # it stays in this tab

    # What was said last of a picture counts, and the table can be saved.
    page.locator(SAYS.format("yes")).click()
    expect(page.locator(".tipping")).to_be_hidden()
    expect(page.locator(".tally summary")).to_have_text("Final answers: 1 right, 0 right in kind, 0 wrong")
    page.route(ASKED, lambda route: None if asks(route.request) == "tip" else route.continue_())  # nobody waits for this one
    page.locator('[data-example="portrait"]').click()
    page.locator(SAYS.format("cheetah")).click()  # what it says is true of a cheetah, too
    expect(page.locator(".tally summary")).to_have_text("Final answers: 1 right, 1 right in kind, 0 wrong")
    upload(page, file("=1+1.jpg", jpeg("grey")))
    looking_at(page, re.escape("=1+1"))
    page.locator(SAYS.format("none")).click()
    expect(page.locator(".none-fits")).to_be_visible()
    expect(page.locator(".tally summary")).to_contain_text("1 not among its classes")
    page.locator(".tally summary").click()
    expect(page.locator(".tally tbody tr")).to_have_count(3)
    with page.expect_download() as saving:
        page.locator(".tally button").click()
    rows = list(csv.reader(io.StringIO(saving.value.path().read_text("utf-8-sig"))))
    assert [row[-1] for row in rows[1:]] == ["right", "right in kind", "not among its classes"]
    assert rows[3][0].startswith("'=")  # a spreadsheet takes it for no formula


def test_korean_says_it_all(visit: Visit) -> None:
    page = visit("?example=portrait", locale="ko-KR")
    tipped(page)
    texts = page.locator(":is(.say, .verdict, .card)").evaluate_all("all => all.map(each => each.innerText)")
    latin = re.compile(r"(?<!\()\b[a-z]{4,}\b(?!\))")  # an English name stands in brackets alone
    for text in texts:
        assert not [word for word in latin.findall(re.sub(r"\([^)]*\)|main · ?|aux\d", "", text)) if word not in ("main",)], text
    page.locator("[data-tab=test]").click()
    expect(page.locator(".trust-known")).to_contain_text("한가운데라고 답하는 것보다")
    assert " %" not in page.locator(".page").inner_text()  # a line never ends between a number and its sign
    assert page.locator(".page").inner_text().count("{") == 0
    assert page.evaluate("document.documentElement.lang") == "ko"
    upload(page, file("글.jpg", b"this is text"))
    expect(page.locator(".mistake")).to_contain_text("읽을 수 있는 사진이 아닙니다")
    page.locator(SAYS.format("another")).click()
    page.locator("#truth").fill("고양이")
    expect(page.locator("#truth-list")).to_contain_text("tabby")
    page.keyboard.press("Escape")
    page.evaluate(
        """() => { window.texts = []; const write = CanvasRenderingContext2D.prototype.fillText;
        CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
            window.texts.push(text); return write.call(this, text, ...rest); }; }"""
    )
    saved(page, "card")  # is drawn in the visitor's language, too
    assert any(re.search("[가-힣]", text) for text in page.evaluate("window.texts"))
