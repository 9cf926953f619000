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


def test_a_probabilitys_bar_ends_before_its_percentage(visit: Visit) -> None:
    page = visit("?example=lion")
    ends = page.locator(".row").evaluate_all(
        "rows => rows.map(row => [row.querySelector('i'), row.querySelector('u')].map(n => n.getBoundingClientRect()))"
        ".map(([bar, figure]) => [bar.width, figure.left - bar.right])"
    )
    assert max(width for width, _ in ends) > 150  # the lion's
    assert min(gap for _, gap in ends) > 0


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


def test_camera_gives_a_picture_and_stops(visit: Visit) -> None:
    page = visit()
    page.evaluate(
        """() => { navigator.mediaDevices.getUserMedia = async () => {
            const c = document.createElement("canvas"); c.width = 320; c.height = 240;
            const pen = c.getContext("2d"); const draw = () => { pen.fillStyle = "red"; pen.fillRect(0, 0, 320, 240); };
            draw(); setInterval(draw, 50); return window.stream = c.captureStream(20); }; }"""
    )
    page.locator(".camera").click()
    page.wait_for_function("document.querySelector('.shoot video').videoWidth === 320")
    page.wait_for_function("document.querySelector('.shoot video').currentTime > 0")
    page.locator(".shot").click()
    expect(page.locator(".picture")).to_have_attribute("aria-label", re.compile("camera.jpg"))
    settled(page)
    assert shown(page) == "red"
    page.wait_for_function("window.stream.getTracks().every(track => track.readyState === 'ended')")


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


def test_class_search(visit: Visit) -> None:
    page = visit()
    before = chosen(page)
    page.locator("#target").click()
    options = page.locator("#target-list li")
    expect(options.first).to_be_visible()
    assert f"{options.count():,} classes" in page.locator(".chip").inner_text()
    first = page.locator('.card[data-head="main"] .row >> nth=0 >> span').inner_text()
    assert options.first.locator("span").first.inner_text() == first  # the top ones first
    page.locator("#target").fill("zzzz")
    expect(options.first).to_contain_text("No class has this")
    page.keyboard.press("Escape")
    expect(page.locator("#target")).to_have_value(before)
    page.locator("#target").fill("orange")
    expect(options.first).to_contain_text("orange")
    options.first.click()
    expect(page.locator("#target")).to_have_value("orange")
    expect(page.locator(".say")).to_contain_text("orange")
    settled(page)


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


def test_korean(visit: Visit) -> None:
    page = visit(locale="ko-KR")
    expect(page.locator(".choose")).to_have_text("사진 선택")
    expect(page.locator(".say")).to_contain_text("근거")
    assert " %" not in page.locator(".page").inner_text()  # a line never ends between a number and its sign
    assert page.evaluate("document.documentElement.lang") == "ko"
    upload(page, file("글.jpg", b"this is text"))
    expect(page.locator(".mistake")).to_contain_text("읽을 수 있는 사진이 아닙니다")
    assert page.locator(".page").inner_text().count("{") == 0


@pytest.mark.parametrize("width", [360, 390])
def test_phone_has_no_sideways_scroll(visit: Visit, width: int) -> None:
    page = visit(viewport={"width": width, "height": 780}, device_scale_factor=2, is_mobile=True, has_touch=True)
    upload(page, get_image("tower.jpg"))
    expect(page.locator(".picture")).to_have_attribute("aria-label", re.compile("tower"))
    still(page)
    for canvas in page.locator(".cell canvas, .big canvas, .photo canvas").all():  # a portrait stands whole in its square
        inner, outer = (
            canvas.bounding_box(),
            canvas.locator(
                "xpath=ancestor::*[self::span or contains(@class, 'photo') or contains(@class, 'big')][1]"
            ).bounding_box(),
        )
        assert inner is not None
        assert outer is not None
        assert inner["height"] <= outer["height"] + 1
        assert outer["height"] == pytest.approx(outer["width"], abs=1)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator(".weights summary").click()
    page.locator(".teach summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    strip = page.locator(".strip")
    first, big = strip.bounding_box(), page.locator(".big").bounding_box()
    assert first is not None
    assert big is not None
    assert first["y"] < 500
    assert 0 < big["y"] - first["y"] - first["height"] < 40  # a tap is answered where the finger is
    page.locator(STAGE.format("5b")).click()
    page.wait_for_function("() => document.querySelector('.strip').scrollLeft > 300")
    expect(page.locator("#stage-title")).to_have_text("Stage 5b")


def test_a_text_file_named_jpg_gets_one_sentence_and_changes_nothing(visit: Visit) -> None:
    page = visit()
    before = page.locator(".say").inner_text()
    upload(page, file("notes.jpg", b"this is text, not a picture"))
    expect(page.locator(".mistake")).to_have_text(
        "notes.jpg is not a picture that can be read; use JPEG, PNG, WebP, GIF, BMP or TIFF."
    )
    settled(page)
    assert page.locator(".say").inner_text() == before
    assert page.locator(".toast-wrap *").count() == 0


def test_an_unknown_class_in_a_link_is_told_and_the_page_still_opens(visit: Visit) -> None:
    page = visit("?example=lion&class=nonesuchthing")
    expect(page.locator(".mistake")).to_contain_text("nonesuchthing")
    assert page.locator(".card .row").count() >= 15


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
