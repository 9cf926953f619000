"""The decision as it forms: play, crossings, evidence against, the touched cell, covering, and where all of it stands."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from gradio.media import get_image
from PIL import Image
from playwright.sync_api import Page, expect

from googlenet.model.architecture import PAPER, STAGES, receptive_fields
from googlenet.pictures.images import Preprocess
from tests.browser.conftest import STAGE, Visit, file, look, model_requests, painted, pixels, settled, still, take, upload
from tests.helpers import ROOT

BIG = ".big canvas[role=img]"
CONFIG = ROOT / "weights" / "config.json"
FOUND = json.loads(CONFIG.read_text("utf-8"))["trust"]["pointing"]["main"]
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


def test_strip_heads_and_enlarged_stage_are_seen_together(visit: Visit) -> None:
    page = visit(own=True)
    for width, height in ((1280, 720), (1440, 900), (1920, 1080), (2560, 1440)):
        page.set_viewport_size({"width": width, "height": height})
        painted(page)
        for selector in (".strip", ".cards", ".big", ".say", ".slope", ".play"):
            box = page.locator(selector).bounding_box()
            assert box is not None
            assert box["y"] >= 0
            assert box["y"] + box["height"] <= height, (selector, height)
        right = page.locator(".right").bounding_box()
        assert right is not None
        assert right["x"] + right["width"] > 0.95 * width  # fluid up to a projector


def test_the_first_example_plays_once_by_itself_and_fills_the_heads_in_turn(visit: Visit) -> None:
    page = visit(plays=True)
    playing = page.locator(".page.playing")
    expect(page.locator("#stage-title")).to_have_text("Stage 5b")  # the last one
    expect(playing).to_have_count(0)
    expect(page.locator("#stage-title")).to_have_text(STANDS)
    page.reload()
    page.wait_for_selector(".row")
    page.evaluate(WATCH)
    page.wait_for_timeout(700)  # more than it waits before it plays
    assert page.evaluate("window.walk") == []
    whole = page.locator(".say").inner_text()
    page.locator(".play").click()
    expect(page.locator("#stage-title")).to_have_text("Stage 5b")
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
    page.locator(".play").click()
    page.locator(STAGE.format("3b")).click()  # a hand ends it
    expect(playing).to_have_count(0)
    page.wait_for_timeout(700)  # more than two steps
    expect(page.locator("#stage-title")).to_have_text("Stage 3b")


def test_reduced_motion_steps_without_motion(visit: Visit) -> None:
    page = visit(plays=True, reduced_motion="reduce")
    page.evaluate(WATCH)
    page.wait_for_timeout(700)
    assert page.evaluate("window.walk") == []  # nothing moves by itself
    page.locator(".play").click()
    page.wait_for_function("() => window.walk.length > 1")
    assert page.evaluate("document.getAnimations().filter(a => a.playState === 'running').length") == 0


def test_the_slope_chart_shows_each_heads_favourite_and_the_asked_class(visit: Visit) -> None:
    page = visit()
    chart = page.locator(".slope")
    names = chart.locator("text:not(.head)").evaluate_all("all => all.map(n => n.firstChild.data)")
    for head in ("aux1", "aux2", "main"):
        row = page.locator(f'.card[data-head="{head}"] .row >> nth=0')
        label, share = row.locator("span").inner_text(), row.locator("u").inner_text()
        assert f"{label} {share}" in names
    assert chart.locator("polyline.asked").count() == 1
    assert 2 <= chart.locator("polyline").count() <= 6
    boxes = chart.locator("text:not(.head)").evaluate_all(
        "all => all.map(n => n.getBoundingClientRect()).map(b => [b.left, b.top, b.right, b.bottom])"
    )
    for i, (left, top, right, bottom) in enumerate(boxes):
        for other in boxes[:i]:
            assert not (left < other[2] and other[0] < right and top + 3 < other[3] and other[1] + 3 < bottom), names[i]


def blueness(page: Page) -> int:
    """How many pixels of the enlarged stage are clearly blue."""
    painted(page)
    count = """c => {
        const p = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
        return p.filter((red, i) => i % 4 === 0 && p[i + 2] > red + 40).length;
    }"""
    return int(page.locator(BIG).evaluate(count))


def test_evidence_against_has_a_hue_of_its_own_and_shares_that_sum_to_all(visit: Visit) -> None:
    page = visit("?example=lion")
    page.locator(STAGE.format("5a")).click()
    look(page, "against").check()
    expect(page.locator(".legend .low")).to_have_text("against")
    assert blueness(page) > 200
    look(page, "against").uncheck()
    assert blueness(page) < 20
    with page.expect_download() as download:
        take(page, "json")
    shares = {s["name"]: s["share_of_evidence"] for s in json.loads(Path(download.value.path()).read_text("utf-8"))["stages"]}
    assert shares["5b"] == 1  # the lion speaks for itself
    seen = set()
    for stage, share in shares.items():
        page.locator(STAGE.format(stage)).click()
        expect(page.locator("#stage-title")).to_have_text(f"Stage {stage}")
        text = page.locator("#help-share").text_content() or ""
        told = [float(part) for part in re.findall(r"([\d.]+)\xa0% (?:speaks|against)", text)]
        assert told == pytest.approx([100 * share, 100 - 100 * share], abs=1.01), stage  # "over 99 %"
        seen.add(pixels(page, BIG))
    assert len(seen) == 9


def test_a_touched_cell_tells_its_numbers_and_what_it_can_see(visit: Visit) -> None:
    page = visit("?example=lion")
    sent = model_requests(page)
    page.locator(STAGE.format("3a")).click()
    box = page.locator(BIG).bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.6)
    text = page.locator(".cell-text")
    expect(text).to_contain_text("Row 17, column 9:")
    *terms, total = (float(v.replace("−", "-").replace(" ", "")) for v in re.findall(r"(?:− ?)?\d+\.\d+", text.inner_text())[:5])
    assert sum(terms) == pytest.approx(total, abs=3 * 10 ** -len(str(total).split(".")[1]))
    frame = page.locator(".big .marks rect.field >> nth=1").bounding_box()
    assert frame is not None
    prepared, field = Preprocess(**json.loads(CONFIG.read_text("utf-8"))["preprocess"]), receptive_fields(PAPER)["3a"]
    pixel = box["width"] / prepared.crop  # of the network's input, on the screen
    assert [frame["width"], frame["height"]] == pytest.approx([field.size * pixel] * 2, abs=2)  # the stroke's width
    left = box["x"] + (field.start + 8 * field.stride) * pixel
    assert frame["x"] == pytest.approx(left, abs=2)
    page.locator(".big").focus()
    page.keyboard.press("ArrowRight")
    expect(text).to_contain_text("Row 17, column 10:")
    page.locator(STAGE.format("5b")).click()
    expect(text).to_contain_text("Touch the picture")
    page.locator(".big").press("Enter")
    expect(text).to_contain_text("It can see all")
    assert sent == []


def test_a_panorama_shows_the_part_that_was_seen(visit: Visit) -> None:
    page = visit()
    wide = Image.open(get_image("lion.jpg")).convert("RGB").resize((1600, 300))
    out = io.BytesIO()
    wide.save(out, "JPEG")
    upload(page, file("wide.jpg", out.getvalue()))
    expect(page.locator(".picture")).to_have_attribute("aria-label", re.compile("wide"))
    settled(page)
    cell = page.locator(STAGE.format("4c") + " canvas").bounding_box()
    assert cell is not None
    assert cell["height"] == pytest.approx(cell["width"], rel=0.1)
    frame = page.locator(".photo rect.crop >> nth=1").bounding_box()  # on the photograph
    assert frame is not None
    assert frame["width"] < 80


def test_sheet_and_card_are_drawn_in_the_visitors_language(visit: Visit) -> None:
    page = visit("?example=cat", locale="ko-KR")
    sizes = {}
    for kind in ("png", "card"):
        with page.expect_download() as download:
            take(page, kind)
        with Image.open(download.value.path()) as picture:
            sizes[kind] = picture.size
    assert sizes["card"] == (1200, 630)
    assert sizes["png"][0] > 1900


def test_the_language_can_be_switched_and_stays(visit: Visit) -> None:
    page = visit("?example=cat&class=tabby", own=True)
    page.locator(".languages").click()
    expect(page.locator(".choose")).to_have_text("사진 선택")
    expect(page.locator("#target")).to_have_value("태비 고양이")
    page.reload()
    expect(page.locator(".choose")).to_have_text("사진 선택")
    page.locator(".languages").click()
    expect(page.locator(".choose")).to_have_text("Choose a picture")


def test_covering_the_brightest_place_tells_what_it_did_to_each_head(visit: Visit) -> None:
    page = visit("?example=lion")
    page.locator("[data-tab=test]").click()
    page.locator("#tab-cover .plain").click()
    rows = page.locator("#tab-cover tbody tr")
    expect(rows).to_have_count(3)
    for row, head in zip(rows.all(), ("aux1", "aux2", "main"), strict=True):
        before = page.locator(f'.card[data-head="{head}"] .row[aria-current=true] u').inner_text()
        assert row.locator("td >> nth=0").inner_text() == before
    expect(page.locator(".cover-say")).to_contain_text("lion")
    assert page.locator(".big .marks rect.covered").count() == 2
    assert page.locator(".big .marks rect.other").count() > 2  # several random parts


def test_a_dragged_box_is_covered_and_a_tap_still_selects_a_cell(visit: Visit) -> None:
    page = visit("?example=lion")
    page.locator("[data-tab=test]").click()
    box = page.locator(BIG).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 100, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 180, box["y"] + 90, steps=4)
    page.mouse.move(box["x"] + 230, box["y"] + 210, steps=4)
    page.mouse.up()
    expect(page.locator("#tab-cover tbody tr")).to_have_count(3)
    covered = page.locator(".big .marks rect.covered >> nth=1").bounding_box()
    assert covered is not None
    assert [covered["width"], covered["height"]] == pytest.approx([130, 150], abs=3)
    assert page.locator(".big .marks rect.own").count() == 0
    page.mouse.click(box["x"] + 50, box["y"] + 50)
    expect(page.locator(".big .marks rect.own")).to_have_count(2)
    page.locator("[data-tab=evidence]").click()
    expect(page.locator(".cell-text")).to_contain_text("Row")
    assert page.locator(".big .marks rect.covered").count() == 0  # Cover's frames are Cover's alone


SHOWN = """() => [...document.querySelectorAll('.page :is(button, a, input, select, summary)')].filter(node => {
    const box = node.getBoundingClientRect();
    const shows = node.checkVisibility({opacityProperty: true, visibilityProperty: true}) && box.width > 2;
    return shows && !node.disabled && box.top + box.height / 2 < innerHeight;
}).length"""
"""How many controls the first screen shows."""


def test_the_first_screen_has_few_controls(visit: Visit) -> None:
    page = visit()
    still(page)  # what fades in counts
    assert page.evaluate(SHOWN) <= 35


def test_layercam_is_chosen_under_look_and_stays_for_the_next_picture(visit: Visit) -> None:
    page = visit("?example=lion")
    before = pixels(page, '.stage[data-stage="3b"] canvas')
    look(page, "method").select_option("layer-cam")
    expect(page).to_have_url(re.compile("method=layer-cam"))
    settled(page)
    assert pixels(page, '.stage[data-stage="3b"] canvas') != before
    page.locator("[data-example=cat]").click()
    expect(page).to_have_url(re.compile("example=cat.*method=layer-cam"))
    page.reload()
    page.wait_for_selector(".row")
    expect(page.locator(".looks .method")).to_have_value("layer-cam")
