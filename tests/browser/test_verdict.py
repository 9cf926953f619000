"""What the page says of an answer, and what a visitor can do who knows better."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import STAGE, Visit, file, jpeg, painted, pixels, settled, upload

TIPS = ".tips canvas"
SAYS = '.is-right [data-says="{}"]'


def tipped(page: Page) -> None:
    """Wait until the four pictures are drawn."""
    expect(page.locator(".tipping")).to_have_attribute("aria-busy", "false")
    painted(page)


def names(page: Page) -> list[str]:
    """The classes that may be right, of the row of buttons."""
    fixed = {"yes", "another", "none"}
    return [
        says for says in page.locator(".is-right button").evaluate_all("all => all.map(b => b.dataset.says)") if says not in fixed
    ]


def test_the_headline_names_the_answer_and_each_card_its_statement(visit: Visit) -> None:
    page = visit()
    best = page.locator('.card[data-head="main"] .row >> nth=0')
    expect(page.locator(".headline .asked")).to_have_text(best.locator("span").inner_text())
    expect(page.locator(".headline")).to_contain_text(best.locator("u").inner_text())
    assert page.locator(".by-heads").inner_text().count("→") == 2
    expect(page.locator(".statement")).to_have_count(3)
    said = page.locator('.card[data-head="main"] .statement [data-class]')
    before = pixels(page, ".big canvas[role=img]")
    said.click()
    settled(page)
    expect(said).to_have_attribute("aria-current", "true")
    assert "class=animal" in page.url  # its name without the article: a group as the question
    assert pixels(page, ".big canvas[role=img]") != before
    page.reload()
    expect(said).to_have_attribute("aria-current", "true")


def test_no_sentence_argues_for_a_guess_that_is_not_likely(visit: Visit) -> None:
    page = visit("?example=astronaut")
    expect(page.locator(".headline")).to_contain_text("does not recognise")
    for line in (".how-often", ".by-heads", ".say .place"):
        expect(page.locator(line)).to_be_hidden()
    expect(page.locator(SAYS.format("yes"))).to_have_count(0)


STOP_AT_3B = """() => new Promise(done => {
    const [title, play] = [document.querySelector("#stage-title"), document.querySelector(".play")];
    new MutationObserver((_, observer) => {
        if (title.textContent !== "Stage 3b") return;
        observer.disconnect();
        play.click();
        done();
    }).observe(title, {childList: true});
    play.click();
})"""


@pytest.mark.parametrize("how", ["stopped", "upload"])
def test_after_the_walk_the_stage_stands_that_finds_objects_best(visit: Visit, how: str) -> None:
    page = visit(own=True)
    stands = page.locator("#stage-title").inner_text()
    page.locator(STAGE.format("3a")).click()
    if how == "stopped":
        page.evaluate(STOP_AT_3B)
        settled(page)
    else:
        page.locator(".play").click()
        upload(page, file("grey.jpg", jpeg("grey")))
        expect(page.locator(".picture")).to_have_attribute("aria-label", re.compile("grey"))
    expect(page.locator(".page.playing")).to_have_count(0)
    expect(page.locator("#stage-title")).to_have_text(stands)


def test_a_wrong_example_opens_with_what_tipped_it(visit: Visit) -> None:
    page = visit("?example=portrait")
    tipped(page)
    expect(page.locator(SAYS.format("cheetah"))).to_have_attribute("aria-pressed", "true")
    expect(page.locator(TIPS)).to_have_count(4)
    pictures = [page.locator(TIPS).nth(i).evaluate("canvas => canvas.toDataURL()") for i in range(4)]
    assert len(set(pictures)) == 4
    own, rival = "lion", "cheetah"
    sentence = page.locator(".tip-say").inner_text()
    assert own in sentence
    assert rival in sentence
    expect(page.locator(".tally")).to_be_hidden()  # the visitor has said nothing
    page.locator(STAGE.format("5a")).click()
    tipped(page)
    expect(page.locator(".tip-say")).not_to_have_text(sentence)  # a result belongs to its stage
    page.locator(".tip >> nth=2").click()
    settled(page)
    expect(page.locator("#contrast")).to_have_value(rival)
    expect(page.locator(".tip >> nth=2")).to_have_attribute("aria-pressed", "true")
    page.locator(SAYS.format("yes")).click()
    expect(page.locator(".tipping")).to_be_hidden()


def test_any_class_can_be_the_right_one_and_the_ten_likeliest_come_first(visit: Visit) -> None:
    page = visit(own=True)
    second, *_ = names(page)
    page.locator(SAYS.format("another")).press("Enter")
    expect(page.locator("#truth")).to_be_focused()
    expect(page.locator("#truth-list li:has(span.soft:not(:empty))")).to_have_count(10)
    expect(page.locator("#truth-list li >> nth=1")).to_contain_text(second)
    page.keyboard.type("beagle")
    page.keyboard.press("Enter")
    expect(page.locator(SAYS.format("beagle"))).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#truth")).to_be_hidden()
    tipped(page)
    expect(page.locator(".tip-say")).to_contain_text("beagle")
    page.reload()
    expect(page.locator(SAYS.format("beagle"))).to_have_attribute("aria-pressed", "true")  # it stays in this tab
    other = page.context.new_page()
    other.goto(page.url)
    other.wait_for_selector(".row")
    expect(other.locator(".tally")).to_be_hidden()


def test_what_was_said_is_counted_and_can_be_saved(visit: Visit, tmp_path: Path) -> None:
    page = visit(own=True)
    page.locator(SAYS.format("yes")).click()
    expect(page.locator(".tally summary")).to_have_text("You judged 1: 1 right, 0 right in kind, 0 wrong")
    page.locator('[data-example="portrait"]').click()
    page.locator(SAYS.format("cheetah")).click()  # what it says is true of a cheetah, too
    expect(page.locator(".tally summary")).to_have_text("You judged 2: 1 right, 1 right in kind, 0 wrong")
    upload(page, file("=1+1.jpg", jpeg("grey")))
    expect(page.locator(".picture")).to_have_attribute("aria-label", re.compile(re.escape("=1+1")))
    page.locator(SAYS.format("none")).click()
    expect(page.locator(".none-fits")).to_be_visible()
    expect(page.locator(".tally summary")).to_contain_text("1 not among its classes")
    page.locator(".tally summary").click()
    expect(page.locator(".tally tbody tr")).to_have_count(3)
    with page.expect_download() as saving:
        page.locator(".tally button").click()
    saving.value.save_as(tmp_path / "table.csv")
    rows = list(csv.reader(io.StringIO((tmp_path / "table.csv").read_text("utf-8-sig"))))
    assert [row[-1] for row in rows[1:]] == ["right", "right in kind", "not among its classes"]
    assert rows[3][0].startswith("'=")  # a spreadsheet takes it for no formula


def test_names_and_numbers_stay_hidden_until_they_are_guessed(visit: Visit) -> None:
    page = visit(own=True)
    page.locator(".present").click()
    page.locator(".tools .predict").click()
    for part in (".headline", ".row >> nth=0", ".slope", ".is-right", ".role"):
        expect(page.locator(part)).to_be_hidden()
    label = page.locator(".big canvas[role=img]")
    assert "cheetah" not in str(label.get_attribute("aria-label"))
    page.locator(".reveal").click()
    expect(page.locator(".headline")).to_be_focused()
    expect(page.locator(".row >> nth=0")).to_be_visible()
    expect(label).to_have_attribute("aria-label", re.compile("cheetah"))
    page.locator(".present").click()
    page.locator('[data-example="lion"]').click()
    expect(page.locator(".guess")).to_be_visible()  # each new picture is a new guess


def test_korean_says_it_all(visit: Visit) -> None:
    page = visit("?example=portrait", locale="ko-KR")
    tipped(page)
    texts = page.locator(":is(.say, .verdict, .card)").evaluate_all("all => all.map(each => each.innerText)")
    latin = re.compile(r"(?<!\()\b[a-z]{4,}\b(?!\))")  # an English name stands in brackets alone
    for text in texts:
        assert not [word for word in latin.findall(re.sub(r"\([^)]*\)|main · ?|aux\d", "", text)) if word not in ("main",)], text
    assert " %" not in page.locator(".page").inner_text()  # a line never ends between a number and its sign
    assert page.locator(".page").inner_text().count("{") == 0
    assert page.evaluate("document.documentElement.lang") == "ko"
    upload(page, file("글.jpg", b"this is text"))
    expect(page.locator(".mistake")).to_contain_text("읽을 수 있는 사진이 아닙니다")
    page.locator(SAYS.format("another")).click()
    page.locator("#truth").fill("고양이")
    expect(page.locator("#truth-list")).to_contain_text("tabby")
