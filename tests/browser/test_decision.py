"""The decision as it forms: play, evidence against, the touched cell, covering, and the lesson."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Page, expect

from googlenet.model.architecture import PAPER, STAGES, receptive_fields
from googlenet.pictures.images import Preprocess
from tests.browser.conftest import (
    Visit,
    box,
    enlarge,
    example,
    file,
    jpeg,
    look,
    looking_at,
    model_requests,
    painted,
    pixels,
    reload,
    saved_json,
    settled,
    tab,
    upload,
)
from tests.helpers import ROOT, until

BIG = ".big canvas[role=img]"
CONFIG = json.loads((ROOT / "weights/config.json").read_text("utf-8"))
FOUND = CONFIG["trust"]["pointing"]["main"]
STANDS = f"Stage {max(FOUND, key=lambda stage: FOUND[stage]['share'])}"
"""What the title says of the stage that finds objects best."""
WATCH = """() => {
    window.walk = [];
    const title = document.querySelector("#stage-title"), count = selector => document.querySelectorAll(selector).length;
    let last = title.textContent, frames = 0;
    new MutationObserver(() => {
        if (last !== title.textContent) walk.push([title.textContent, count(".card.ahead"), count(".word.come"), frames]);
        last = title.textContent;
    }).observe(title, {childList: true});
    const tick = () => { frames++; requestAnimationFrame(tick); };
    requestAnimationFrame(tick);
}"""
"""Notes each stage that is enlarged anew, the cards and words that stand then, and how many frames have been drawn."""


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


def test_the_first_example_plays_once_by_itself_and_fills_the_heads_in_turn(visit: Visit) -> None:
    page = visit("", (640, 600), own=True, plays=True, reduced_motion="no-preference")
    playing, title = page.locator(".page.playing"), page.locator("#stage-title")
    expect(title).to_have_text("Stage 5b")  # the last one
    expect(playing).to_have_count(0)
    expect(title).to_have_text(STANDS)
    reload(page)
    page.evaluate(WATCH)
    page.wait_for_timeout(700)  # more than it waits before it plays
    assert page.evaluate("window.walk") == []
    whole = page.locator(".say").inner_text()
    page.locator(".play").click()
    expect(title).to_have_text("Stage 5b")
    expect(playing).to_have_count(0)
    *walk, (stands, *_) = page.evaluate("window.walk")
    titles, ahead, words, frames = zip(*walk, strict=True)
    assert titles == tuple(f"Stage {stage}" for stage in STAGES)
    assert stands == STANDS
    assert ahead == (3, 3, 2, 2, 2, 1, 1, 1, 0)  # a card fills when its branch is reached
    assert list(words) == sorted(set(words))  # the sentence grows at each stage
    assert page.locator(".ahead").count() == 0
    assert page.locator(".say").inner_text() == whole
    assert list(frames) == sorted(set(frames))  # each stage was seen

    # A hand ends it; where it ends without one, the stage stands that finds objects best.
    page.locator(".play").click()
    enlarge(page, "3b")
    expect(playing).to_have_count(0)
    page.wait_for_timeout(700)  # more than two steps
    expect(title).to_have_text("Stage 3b")
    page.evaluate(STOP_AT_3B)
    expect(playing).to_have_count(0)
    expect(title).to_have_text(STANDS)
    enlarge(page, "3a")
    page.locator(".play").click()
    upload(page, file("grey.jpg", jpeg("grey")))
    looking_at(page, "grey")
    expect(playing).to_have_count(0)
    expect(title).to_have_text(STANDS)


def test_reduced_motion_steps_without_motion(visit: Visit) -> None:
    page = visit(own=True, plays=True)
    page.evaluate(WATCH)
    page.wait_for_timeout(700)
    assert page.evaluate("window.walk") == []  # nothing moves by itself
    page.locator(".play").click()
    page.wait_for_function("() => window.walk.length > 1")
    assert page.evaluate("document.getAnimations().filter(a => a.playState === 'running').length") == 0


def blueness(page: Page) -> int:
    """How many pixels of the enlarged stage are clearly blue."""
    painted(page)
    count = """c => {
        const p = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
        return p.filter((red, i) => i % 4 === 0 && p[i + 2] > red + 40).length;
    }"""
    return int(page.locator(BIG).evaluate(count))


def test_evidence_against_a_touched_cell_and_a_covered_part_tell_their_numbers(page: Page) -> None:
    example(page, "lion")
    sent = model_requests(page)
    enlarge(page, "5a")
    look(page, "against").check()
    expect(page.locator(".legend .low")).to_have_text("against")
    assert blueness(page) > 200  # a hue of its own
    look(page, "against").uncheck()
    assert blueness(page) < 20
    shares = {s["name"]: s["share_of_evidence"] for s in saved_json(page)["stages"]}
    assert shares["5b"] == 1  # the lion speaks for itself
    seen = set()
    for stage, share in shares.items():
        enlarge(page, stage)
        expect(page.locator("#stage-title")).to_have_text(f"Stage {stage}")
        text = page.locator("#help-share").text_content() or ""
        told = [float(part) for part in re.findall(r"([\d.]+)\xa0% (?:speaks|against)", text)]
        assert told == pytest.approx([100 * share, 100 - 100 * share], abs=1.01), stage  # "over 99 %"
        seen.add(pixels(page, BIG))
    assert len(seen) == 9

    enlarge(page, "3a")
    place = box(page, BIG)
    page.mouse.click(place["x"] + place["width"] * 0.3, place["y"] + place["height"] * 0.6)
    cell = page.locator(".cell-text")
    expect(cell).to_contain_text("Row 17, column 9:")
    *terms, total = (float(v.replace("−", "-").replace(" ", "")) for v in re.findall(r"(?:− ?)?\d+\.\d+", cell.inner_text())[:5])
    assert sum(terms) == pytest.approx(total, abs=3 * 10 ** -len(str(total).split(".")[1]))
    frame, field = box(page, ".big .marks rect.field >> nth=1"), receptive_fields(PAPER)["3a"]
    pixel = place["width"] / Preprocess(**CONFIG["preprocess"]).crop  # of the network's input, on the screen
    assert [frame["width"], frame["height"]] == pytest.approx([field.size * pixel] * 2, abs=2)  # the stroke's width
    assert frame["x"] == pytest.approx(place["x"] + (field.start + 8 * field.stride) * pixel, abs=2)
    page.locator(".big").focus()
    page.keyboard.press("ArrowRight")
    expect(cell).to_contain_text("Row 17, column 10:")
    expect(page.locator(".announce")).to_contain_text("Row 17, column 10")
    enlarge(page, "5b")
    expect(cell).to_contain_text("Touch the picture")
    page.locator(".big").press("Enter")
    expect(cell).to_contain_text("It can see all")
    assert sent == []

    # A part is covered by a button, the keyboard and a drag. The tab tells what is known of the stage.
    tab(page, "test")
    for stage, known in (("4b", "is no better than"), ("5b", "is better than")):
        enlarge(page, stage)
        expect(page.locator(".trust-known")).to_contain_text(f"This stage {known} guessing the centre")
    rows, said = page.locator("#tab-cover tbody tr"), page.locator(".cover-say")
    for _ in range(2):  # the same question twice is answered twice
        page.locator("#tab-cover .plain").first.click()
        expect(rows).to_have_count(3)
        expect(page.locator("#tab-cover [role=status]")).to_have_class("cover-say")
    for row, head in zip(rows.all(), ("aux1", "aux2", "main"), strict=True):
        before = page.locator(f'.card[data-head="{head}"] .row[aria-current=true] u').inner_text()
        assert row.locator("td >> nth=0").inner_text() == before
    expect(said).to_contain_text("lion")
    assert page.locator(".big .marks rect.covered").count() == 2
    assert page.locator(".big .marks rect.other").count() > 2  # several random parts

    place = box(page, BIG)
    page.mouse.move(place["x"] + 100, place["y"] + 60)
    page.mouse.down()
    page.mouse.move(place["x"] + 180, place["y"] + 90, steps=4)
    page.mouse.move(place["x"] + 230, place["y"] + 210, steps=4)
    page.mouse.up()
    expect(rows).to_have_count(3)
    settled(page)
    covered = box(page, ".big .marks rect.covered >> nth=1")
    assert [covered["width"], covered["height"]] == pytest.approx([130, 150], abs=3)
    assert page.locator(".big .marks rect.own").count() == 0
    page.mouse.click(place["x"] + 50, place["y"] + 50)  # a tap still selects a cell
    expect(page.locator(".big .marks rect.own")).to_have_count(2)
    touched = page.get_by_role("button", name="Cover the touched cell")
    touched.press("Enter")
    until(lambda: rows.count() == 3 and box(page, ".big .marks rect.covered >> nth=1")["width"] < 100)
    expect(touched).to_be_focused()
    tab(page, "evidence")
    expect(page.locator(".cell-text")).to_contain_text("Row")
    assert page.locator(".big .marks rect.covered").count() == 0  # Cover's frames are Cover's alone


def test_the_lesson_has_five_steps_that_drive_the_page(page: Page) -> None:
    example(page, "cheetah")
    page.locator(".teach summary").click()
    seen = set()
    for stage in ("3a", "4d", "5b"):
        enlarge(page, stage)
        drawing = page.locator(".module svg")
        expect(drawing).to_have_attribute("aria-label", re.compile(f"stage {stage}: what comes from"))
        shares = drawing.locator(".figure").all_text_contents()[:4]
        assert shares == page.locator(".four .share").all_text_contents()
        heights = drawing.locator(".part").evaluate_all("all => all.map(n => +n.getAttribute('height') + 1)")
        assert sum(heights) == pytest.approx(184, abs=3)  # the stack is whole
        seen.add(tuple(shares))
    assert len(seen) == 3
    tab(page, "test")
    enlarge(page, "3a")  # it follows under any tab
    expect(page.locator(".numbers")).to_contain_text("Stage 3a")
    tab(page, "evidence")
    steps = page.locator(".step")
    expect(steps).to_have_count(5)
    before = page.locator(".stage[aria-pressed=true]").get_attribute("data-stage") or ""
    steps.nth(1).click()
    after = STAGES[(STAGES.index(before) + 1) % len(STAGES)]
    expect(page.locator("#stage-title")).to_have_text(f"Stage {after}")
    expect(page.locator(".network svg")).to_have_attribute("aria-label", re.compile(f"at stage {after}"))
    expect(page.locator(".network text.here")).to_have_text(after)
    steps.nth(2).click()
    expect(page.locator(".cell-text")).to_contain_text("Row")
    steps.nth(3).click()
    expect(page.locator("#tab-cover tbody tr")).to_have_count(3)
    steps.nth(0).click()
    expect(page.locator(".page")).to_have_class(re.compile("playing"))
    steps.nth(4).click()
    expect(page.locator(".tips figure")).to_have_count(1)
