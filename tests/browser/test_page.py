"""What a visitor does, in the browser that a visitor has."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from gradio.media import get_image
from PIL import Image
from playwright.sync_api import Page, expect

from googlenet.model.architecture import STAGES
from tests.browser.conftest import (
    STAGE,
    Visit,
    ask_head,
    chosen,
    file,
    jpeg,
    look,
    model_requests,
    painted,
    pixels,
    settled,
    still,
    take,
    upload,
)
from tests.helpers import ROOT


def shown(page: Page) -> str:
    """The colour in the middle of the picture, as #rrggbb."""
    png = page.locator(".picture").evaluate("c => c.toDataURL()").split(",")[1]
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    red, green, blue = image.getpixel((image.width // 2, image.height // 2))  # type: ignore[misc]
    return "red" if red > 150 > green else "green" if green > 90 > red else "blue" if blue > 150 > red else "other"


def test_first_paint_is_an_explained_example_above_the_fold(visit: Visit) -> None:
    page = visit()
    for selector in (".picture", *(STAGE.format(s) + " canvas" for s in STAGES), ".card >> nth=2", ".say"):
        box = page.locator(selector).bounding_box()
        assert box is not None
        assert box["width"] > 50
        assert box["y"] + box["height"] <= 900, selector
    assert page.locator(".card .row").count() >= 15
    assert len(page.locator(".say").inner_text()) > 40
    assert len({pixels(page, STAGE.format(stage) + " canvas") for stage in STAGES}) == 9
    assert page.locator(".row[aria-current=true]").count() == 3
    right = round(100 * json.loads((ROOT / "weights/config.json").read_text("utf-8"))["metrics"]["top1"]["main"])
    line = "A neural network of 2014 that names what a photograph shows."
    expect(page.locator(".tagline")).to_have_text(f"{line} It was right on {right} of 100 test photographs.")
    for stage in STAGES:
        text = page.locator(STAGE.format(stage) + " canvas").get_attribute("aria-label") or ""
        place = r"strongest \d+\xa0% from the left and \d+\xa0% from the top"
        assert re.search(rf"Stage {stage}, main, evidence for {chosen(page)}: {place}", text)
    cell = page.locator(".stage[aria-pressed=true] .cell")
    still(page)
    ring = cell.evaluate("c => getComputedStyle(c).boxShadow")
    cell.hover()
    still(page)
    assert cell.evaluate("c => getComputedStyle(c).boxShadow") == ring


def test_a_probabilitys_bar_ends_before_its_percentage_and_cuts_no_first_letter(visit: Visit) -> None:
    measures = """rows => rows.map(row => {
        const range = document.createRange(), [bar, figure] = [row.querySelector("i"), row.querySelector("u")];
        const text = row.querySelector("span").firstChild;
        range.setStart(text, 0); range.setEnd(text, 1);
        const [end, letter] = [bar.getBoundingClientRect().right, range.getBoundingClientRect()];
        const cuts = end > letter.left + 1 && end < letter.right - 1;
        return [+bar.style.getPropertyValue("--share"), bar.offsetWidth, figure.getBoundingClientRect().left - end, cuts];
    })"""
    for example in ("cheetah", "lion"):
        page = visit(f"?example={example}")
        settled(page)
        shares, widths, gaps, cuts = zip(*sorted(page.locator(".row").evaluate_all(measures)), strict=True)
        assert len(shares) >= 15
        assert min(gaps) > 0
        assert list(widths) == sorted(widths)
        assert not any(cuts)
    assert max(widths) > 150  # the lion's


def test_upload_from_disk_with_a_frame_and_no_layout_shift(visit: Visit) -> None:
    page = visit()
    page.evaluate(
        "window.shift = 0; new PerformanceObserver(l => { for (const e of l.getEntries()) window.shift += e.value; })"
        ".observe({type: 'layout-shift'})"
    )
    before = page.locator(".say").text_content() or ""
    upload(page, get_image("tower.jpg"))
    expect(page.locator(".say")).not_to_have_text(before)
    settled(page)
    assert page.evaluate("window.shift") < 0.01
    assert page.locator(".picture").evaluate("c => c.height / c.width") == pytest.approx(600 / 377, abs=0.02)
    assert "?" not in page.url  # a visitor's own picture never goes into a link
    take(page, "link")
    expect(page.locator(".take-say")).to_contain_text("never your own picture")


BRING = """([base64, name, how]) => {
    const bytes = Uint8Array.from(atob(base64), c => c.charCodeAt(0)), data = new DataTransfer();
    data.items.add(new File([bytes], name, {type: "image/jpeg"}));
    document.body.dispatchEvent(how === "paste" ? new ClipboardEvent("paste", {clipboardData: data, bubbles: true})
        : new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
}"""


def test_paste_and_drop(visit: Visit) -> None:
    page = visit()
    for how, colour in (("paste", "red"), ("drop", "blue")):
        page.evaluate(BRING, [base64.b64encode(jpeg(colour)).decode(), f"{how}.jpg", how])
        expect(page.locator(".picture")).to_have_attribute("aria-label", re.compile(f"{how}.jpg"))
        settled(page)
        assert shown(page) == colour


def test_example_class_click_head_and_contrast_change_the_address(visit: Visit) -> None:
    page = visit()
    page.locator("[data-example=lion]").click()
    expect(page.locator(".picture")).to_have_attribute("aria-label", re.compile("lion"))
    settled(page)
    second = page.locator('.card[data-head="aux1"] .row >> nth=1')
    label = second.locator("span").inner_text()
    second.click()
    expect(page.locator("#target")).to_have_value(label)
    settled(page)
    expect(page).to_have_url(re.compile("example=lion"))
    ask_head(page, "aux2")
    expect(page.locator(STAGE.format("5a"))).to_be_disabled()
    expect(page.locator(".behind")).to_contain_text("Second guess (aux2) is given after stage 4d")
    settled(page)
    assert chosen(page) == label
    other = "orange"
    page.locator("#contrast").click()
    page.locator("#contrast").fill(other)
    page.keyboard.press("Enter")
    expect(page.locator(".say")).to_contain_text(f"{label} rather than {other}")
    settled(page)
    expect(page).to_have_url(re.compile("head=aux2.*contrast="))
    sentence = page.locator(".say").text_content() or ""
    again = visit(page.url.split("/", 3)[3])  # the link reopens the page with the same question
    expect(again.locator(".say")).to_have_text(sentence)
    assert again.locator("#contrast").input_value() == other


def test_looks_ask_python_nothing(visit: Visit) -> None:
    page = visit()
    sent = model_requests(page)
    big, seen = ".big canvas[role=img]", set()
    seen.add(pixels(page, big))
    page.locator(STAGE.format("5b")).click()
    expect(page.locator("#stage-title")).to_have_text("Stage 5b")
    seen.add(pixels(page, big))
    for act in (
        lambda: look(page, "cells").check(),
        lambda: look(page, "overlay").fill("0.3"),
    ):
        act()
        painted(page)
        seen.add(pixels(page, big))
    assert len(seen) == 4
    assert page.locator(".four canvas").count() == 4
    assert sent == []


def test_downloads_open(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    saved = {}
    for kind in ("json", "npz", "png"):
        with page.expect_download() as download:
            take(page, kind)
        saved[kind] = tmp_path / download.value.suggested_filename
        download.value.save_as(saved[kind])
    result = json.loads(saved["json"].read_text("utf-8"))
    assert [stage["name"] for stage in result["stages"]] == list(STAGES)
    assert result["question"]["target"]["label"] == chosen(page)
    with np.load(saved["npz"]) as maps:
        assert maps["question_head"] == "main"
        assert maps["question_target"] == result["question"]["target"]["index"]
        assert "question_contrast" not in maps
        for stage in STAGES:
            assert maps[f"{stage}_branches"].sum(axis=0) == pytest.approx(maps[stage], abs=1e-5)
        for stage in result["stages"]:
            assert list(maps[stage["name"]].shape) == stage["size"]
            x0, _, x1, _ = result["seen"]
            column = int(np.argmax(maps[stage["name"]])) % stage["size"][1]
            assert stage["peak"][0] == pytest.approx(x0 + (column + 0.5) / stage["size"][1] * (x1 - x0))
    with Image.open(saved["png"]) as sheet:
        assert sheet.format == "PNG"
        assert sheet.width > 1000


def test_camera_gives_one_picture_and_stops(visit: Visit) -> None:
    page = visit()
    page.evaluate("() => { navigator.mediaDevices.getUserMedia = async () => new MediaStream(); }")
    page.locator(".camera").click()
    page.locator(".shot").click()  # there is no picture yet
    painted(page)
    dialog = page.get_by_role("dialog", name="Camera")
    expect(dialog).to_be_visible()
    page.locator(".leave").click()
    page.evaluate(
        """() => { window.streams = []; navigator.mediaDevices.getUserMedia = async () => {
            await new Promise(r => setTimeout(r, 200));
            const c = document.createElement("canvas"); c.width = 320; c.height = 240;
            const pen = c.getContext("2d"); const draw = () => { pen.fillStyle = "red"; pen.fillRect(0, 0, 320, 240); };
            draw(); setInterval(draw, 50); window.streams.push(c.captureStream(20)); return window.streams.at(-1); }; }"""
    )
    off = "window.streams.flatMap(s => s.getTracks()).every(t => t.readyState === 'ended')"
    page.evaluate("() => { const b = document.querySelector('.camera'); b.click(); b.click(); }")
    expect(dialog).to_be_visible()
    page.locator(".leave").click()
    page.wait_for_function(off)
    page.locator(".camera").click()
    page.wait_for_function("document.querySelector('.shoot video').currentTime > 0")
    page.locator(".shot").click()
    expect(page.locator(".picture")).to_have_attribute("aria-label", re.compile("camera.jpg"))
    expect(page.locator(".mistake")).to_have_text("")
    settled(page)
    assert shown(page) == "red"
    page.wait_for_function(off)


def test_class_search_finds_kinds_and_keeps_what_was_chosen(visit: Visit) -> None:
    page = visit()
    before, field, options = chosen(page), page.locator("#target"), page.locator("#target-list li")
    field.click()
    expect(options.first).to_be_visible()
    assert f"{options.count():,} classes" in page.locator(".chip").inner_text()
    first = page.locator('.card[data-head="main"] .row >> nth=0 >> span').inner_text()
    assert options.first.locator("span").first.inner_text() == first  # the top ones first
    box = page.locator("#target-list").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] - 4, box["y"] + 30)  # the scrollbar
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 4, box["y"] + 120)
    page.mouse.up()
    expect(page.locator("#target-list")).to_be_visible()
    field.fill("zzzz")
    expect(options.first).to_contain_text("No class has this")
    page.keyboard.press("Escape")
    expect(field).to_have_value(before)
    field.fill("car")
    expect(options.first).to_contain_text("a car")  # the group
    cars = "sports car|convertible|jeep|limousine|minivan|cab|racer|ambulance|beach wagon"
    expect(options.nth(1).locator("span").first).to_have_text(re.compile(cars))
    for word in ("dog", "puppy"):
        field.fill(word)
        expect(options.first).to_contain_text("a dog")
        expect(options.filter(has_text="Labrador retriever")).to_have_count(1)
        expect(options.filter(has_text="standard poodle")).to_have_count(1)
    field.fill("golden retr")
    page.keyboard.press("Tab")  # takes the highlighted choice and goes on to the next field
    expect(field).to_have_value("golden retriever")
    contrast, others = page.locator("#contrast"), page.locator("#contrast-list li")
    expect(contrast).to_be_focused()
    settled(page)
    contrast.click()
    expect(others.filter(has_text=re.compile("^golden retriever"))).to_have_count(0)  # not its own contrast
    for key, at in (("End", -1), ("Home", 0)):
        page.keyboard.press(key)
        expect(others.nth(at)).to_have_class("at")
    page.keyboard.press("PageDown")
    expect(others.nth(8)).to_have_class("at")
    page.keyboard.press("Tab")
    settled(page)
    assert contrast.input_value()
    contrast.fill("")
    page.keyboard.press("Tab")  # an emptied field asks for no contrast
    expect(page.locator(".say")).not_to_contain_text("rather than")
    settled(page)
    assert contrast.input_value() == ""
    field.fill("orange")
    options.first.click()
    expect(field).to_have_value("orange")
    expect(page.locator(".say")).to_contain_text("orange")


def test_what_a_link_asks_wrongly_is_told_or_left_out(visit: Visit) -> None:
    page = visit("?example=lion&class=nonesuchthing")
    expect(page.locator(".mistake")).to_contain_text("nonesuchthing")
    assert page.locator(".card .row").count() >= 15
    page = visit("?example=lion&class=cougar&contrast=cougar")
    settled(page)
    assert chosen(page) == "cougar"
    assert page.locator("#contrast").input_value() == ""


def test_the_last_pictures_are_at_hand_and_a_second_one_moves_nothing(visit: Visit) -> None:
    page = visit()
    where = "() => ['.strip', '.question'].map(s => document.querySelector(s).getBoundingClientRect().top)"
    places = []
    for name in ("tower", "lion"):
        upload(page, get_image(f"{name}.jpg"))
        expect(page.locator(".picture")).to_have_attribute("aria-label", re.compile(name))
        settled(page)
        places.append(page.evaluate(where))
    assert places[0] == places[1]
    expect(page.locator(".recent button")).to_have_count(2)
    page.locator(".recent button >> nth=1").click()
    expect(page.locator(".picture")).to_have_attribute("aria-label", re.compile("tower"))


def test_present_fills_the_screen_and_obeys_keys(visit: Visit) -> None:
    page = visit("?example=lion", viewport={"width": 1920, "height": 1080})
    size = page.locator(".say").evaluate("n => parseFloat(getComputedStyle(n).fontSize)")
    page.locator(".present").click()
    expect(page.locator(".present")).to_have_text("Leave (Esc)")
    expect(page.locator(".question")).to_be_hidden()
    for selector in (".picture", ".tabs", ".about"):
        expect(page.locator(selector)).to_be_visible()
    still(page)
    boxes = {selector: page.locator(selector).bounding_box() for selector in (".strip", ".cards", ".big", ".slope")}
    for selector, box in boxes.items():
        assert box is not None
        assert box["y"] + box["height"] <= 1080, selector
        assert selector != ".big" or box["height"] > 500
    assert page.locator(".say").evaluate("n => parseFloat(getComputedStyle(n).fontSize)") > 1.2 * size
    page.keyboard.press("Home")
    expect(page.locator("#stage-title")).to_have_text("Stage 3a")
    page.keyboard.press("Space")
    expect(page.locator(".page")).to_have_class(re.compile("playing"))
    page.locator(".present").click()
    expect(page.locator(".present")).to_have_text("Present")


def test_the_enlarged_stage_is_saved_and_copied_as_it_is_shown_and_a_link_is_told(visit: Visit) -> None:
    page = visit("?example=cheetah", permissions=["clipboard-read", "clipboard-write"])
    colours = set()
    for stage in ("3a", "4e"):
        page.locator(STAGE.format(stage)).click()
        with page.expect_download() as download:
            take(page, "stage")
        assert download.value.suggested_filename.endswith(f"-{stage}.png")
        with Image.open(download.value.path()) as picture:
            assert picture.size == pytest.approx((1080, 1080), abs=5)  # as square as what was seen
            colours.add(picture.convert("RGB").resize((8, 8)).tobytes())
    assert len(colours) == 2
    told = page.locator(".take-say")
    take(page, "copy")
    expect(told).to_have_text("Stage 4e copied as a picture")
    size = page.evaluate(
        "async () => { const [item] = await navigator.clipboard.read();"
        " const picture = await createImageBitmap(await item.getType('image/png')); return [picture.width, picture.height]; }"
    )
    assert size == pytest.approx([1080, 1080], abs=5)
    page.evaluate("() => { navigator.clipboard.write = () => Promise.reject(new Error('refused')); }")
    take(page, "copy")
    expect(told).to_contain_text("save the stage as PNG")
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")  # as on plain http
    take(page, "link")
    expect(told).to_contain_text("example=cheetah")


def test_two_visitors_never_see_each_others_picture(visit: Visit) -> None:
    one, two = visit(), visit(own=True)
    upload(one, file("one.jpg", jpeg("red")))
    upload(two, file("two.jpg", jpeg("blue")))
    for page, name, colour in ((one, "one.jpg", "red"), (two, "two.jpg", "blue")):
        expect(page.locator(".picture")).to_have_attribute("aria-label", re.compile(name))
        settled(page)
        assert shown(page) == colour
        with page.expect_download() as download:
            take(page, "json")
        assert json.loads(Path(download.value.path()).read_text("utf-8"))["image"] == name


def test_of_many_questions_the_newest_is_painted_and_few_are_run(visit: Visit) -> None:
    page = visit()
    sent = model_requests(page)
    page.evaluate("() => { for (const name of ['lion', 'cheetah', 'lion', 'cheetah', 'lion']) "
                  "document.querySelector(`[data-example=${name}]`).click(); }")  # fmt: skip
    expect(page.locator(".picture")).to_have_attribute("aria-label", re.compile("lion"))
    settled(page)
    page.wait_for_timeout(300)
    assert "lion" in (page.locator(".picture").get_attribute("aria-label") or "")
    assert len(sent) <= 2  # one runs, one waits
