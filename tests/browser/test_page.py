"""What a visitor does, in the browser that a visitor has."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from googlenet.model.architecture import STAGES
from googlenet.ui.desk import qr
from tests.browser.conftest import (
    STAGE,
    Visit,
    ask_head,
    box,
    chosen,
    enlarge,
    example,
    framed,
    jpeg,
    look,
    looking_at,
    model_requests,
    own_picture,
    painted,
    pixels,
    resize,
    saved,
    saved_json,
    settled,
    still,
    take,
)
from tests.helpers import ROOT

BIG = ".big canvas[role=img]"
CONTROLS = """() => [...document.querySelectorAll('.page :is(button, a, input, select, summary)')].filter(node => {
    const box = node.getBoundingClientRect();
    const shows = node.checkVisibility({opacityProperty: true, visibilityProperty: true}) && box.width > 2;
    return shows && !node.disabled && box.top + box.height / 2 < innerHeight;
}).length"""
"""How many controls the first screen shows."""


def shown(page: Page) -> str:
    """The colour in the middle of the picture, as #rrggbb."""
    png = page.locator(".picture").evaluate("c => c.toDataURL()").split(",")[1]
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    red, green, blue = image.getpixel((image.width // 2, image.height // 2))  # type: ignore[misc]
    return "red" if red > 150 > green else "green" if green > 90 > red else "blue" if blue > 150 > red else "other"


def test_first_paint_is_an_explained_example_above_the_fold(page: Page) -> None:
    for selector in (".picture", *(STAGE.format(s) + " canvas" for s in STAGES), ".card >> nth=2", ".say"):
        place = box(page, selector)
        assert place["width"] > 50
        assert place["y"] + place["height"] <= 900, selector
    assert page.evaluate(CONTROLS) <= 35
    assert page.locator(".card .row").count() >= 15
    assert page.locator(".row[aria-current=true]").count() == 3
    assert len({pixels(page, STAGE.format(stage) + " canvas") for stage in STAGES}) == 9
    right = round(100 * json.loads((ROOT / "weights/config.json").read_text("utf-8"))["metrics"]["top1"]["main"])
    line = "A neural network of 2014 that names what a photograph shows."
    expect(page.locator(".tagline")).to_have_text(f"{line} It was right on {right} of 100 test photographs.")
    for stage in STAGES:
        text = page.locator(STAGE.format(stage) + " canvas").get_attribute("aria-label") or ""
        place_of_it = r"strongest \d+\xa0% from the left and \d+\xa0% from the top"
        assert re.search(rf"Stage {stage}, main, evidence for {chosen(page)}: {place_of_it}", text)

    # The headline names the answer, and the chart over the heads what each of them believes.
    best = page.locator('.card[data-head="main"] .row >> nth=0')
    expect(page.locator(".headline .asked")).to_have_text(best.locator("span").inner_text())
    expect(page.locator(".headline")).to_contain_text(best.locator("u").inner_text())
    assert page.locator(".by-heads").inner_text().count("→") == 2
    chart = page.locator(".slope")
    names = chart.locator("text:not(.head)").evaluate_all("all => all.map(n => n.firstChild.data)")
    for head in ("aux1", "aux2", "main"):
        row = page.locator(f'.card[data-head="{head}"] .row >> nth=0')
        assert f"{row.locator('span').inner_text()} {row.locator('u').inner_text()}" in names
    assert chart.locator("polyline.asked").count() == 1
    assert 2 <= chart.locator("polyline").count() <= 6
    boxes = chart.locator("text:not(.head)").evaluate_all(
        "all => all.map(n => n.getBoundingClientRect()).map(b => [b.left, b.top, b.right, b.bottom])"
    )
    for i, (left, top, right, bottom) in enumerate(boxes):  # no name is written over another
        for other in boxes[:i]:
            assert not (left < other[2] and other[0] < right and top + 3 < other[3] and other[1] + 3 < bottom), names[i]

    # The chosen stage keeps its mark under the pointer.
    cell = page.locator(".stage[aria-pressed=true] .cell")
    ring = cell.evaluate("c => getComputedStyle(c).boxShadow")
    cell.hover()
    still(page)
    assert cell.evaluate("c => getComputedStyle(c).boxShadow") == ring

    # The statement under a head is a group of classes, which can be asked about.
    expect(page.locator(".statement")).to_have_count(3)
    said = page.locator('.card[data-head="main"] .statement [data-class]')
    before = pixels(page, BIG)
    said.click()
    settled(page)
    expect(said).to_have_attribute("aria-current", "true")
    assert "class=animal" in page.url  # its name without the article
    assert pixels(page, BIG) != before


BARS = """rows => rows.map(row => {
    const range = document.createRange(), [bar, figure] = [row.querySelector("i"), row.querySelector("u")];
    const text = row.querySelector("span").firstChild;
    range.setStart(text, 0); range.setEnd(text, 1);
    const [end, letter] = [bar.getBoundingClientRect().right, range.getBoundingClientRect()];
    const cuts = end > letter.left + 1 && end < letter.right - 1;
    return [+bar.style.getPropertyValue("--share"), bar.offsetWidth, figure.getBoundingClientRect().left - end, cuts];
})"""


def test_a_question_stands_in_the_address_and_a_link_asks_it_again(visit: Visit) -> None:
    page = visit("?__theme=dark")
    first = page.locator(".say").inner_text()
    for name in ("cheetah", "lion"):
        example(page, name)
        # A probability's bar ends before its percentage and cuts no first letter.
        shares, widths, gaps, cuts = zip(*sorted(page.locator(".row").evaluate_all(BARS)), strict=True)
        assert len(shares) >= 15
        assert min(gaps) > 0
        assert list(widths) == sorted(widths)
        assert not any(cuts)
    assert max(widths) > 150  # the lion's
    expect(page).to_have_url(re.compile("__theme=dark.*example=lion"))  # what others put there stays
    page.go_back()
    looking_at(page, "cheetah")
    assert page.locator(".say").inner_text() == first
    page.go_forward()
    looking_at(page, "lion")

    second = page.locator('.card[data-head="aux1"] .row >> nth=1')
    label = second.locator("span").inner_text()
    second.click()
    expect(page.locator("#target")).to_have_value(label)
    settled(page)
    expect(page.locator(".card.asking")).to_have_attribute("data-head", "aux1")  # a card asks its own head
    ask_head(page, "aux2")
    expect(page.locator(STAGE.format("5a"))).to_be_disabled()
    expect(page.locator(".behind")).to_contain_text("Second guess (aux2) is given after stage 4d")
    settled(page)
    assert chosen(page) == label
    page.locator("#contrast").click()
    page.locator("#contrast").fill("orange")
    page.keyboard.press("Enter")
    expect(page.locator(".say")).to_contain_text(f"{label} rather than orange")
    settled(page)
    expect(page).to_have_url(re.compile("example=lion.*head=aux2.*contrast="))
    sentence = page.locator(".say").text_content() or ""

    # The chart reaches from 0 to 100 % and shows the class that it is rather than.
    assert page.locator(".slope text.level").all_text_contents() == ["0\u00a0%", "50\u00a0%", "100\u00a0%"]
    expect(page.locator(".slope polyline.rather")).to_have_count(1)
    parts = (("circle.asked >> nth=1", "cy"), ("line.level >> nth=2", "y1"), ("line.level >> nth=0", "y1"))
    y, high, low = (float(page.locator(f".slope {part}").get_attribute(name) or 0) for part, name in parts)
    share = page.locator('.card[data-head="aux2"] .row[aria-current=true] u').inner_text()
    assert (low - y) / (low - high) == pytest.approx(float(share.split("\u00a0")[0]) / 100, abs=0.006)

    again = visit(page.url.split("/", 3)[3])
    expect(again.locator(".say")).to_have_text(sentence)
    assert again.locator("#contrast").input_value() == "orange"
    example(again, "cat")
    expect(again.locator(".card.asking")).to_have_attribute("data-head", "aux2")  # an example keeps the head


def test_own_pictures_are_at_hand_and_move_nothing(page: Page) -> None:
    page.evaluate(
        "window.shift = 0; new PerformanceObserver(l => { for (const e of l.getEntries()) window.shift += e.value; })"
        ".observe({type: 'layout-shift'})"
    )
    own_picture(page, "tower")
    assert page.evaluate("window.shift") < 0.01
    assert page.locator(".picture").evaluate("c => c.height / c.width") == pytest.approx(600 / 377, abs=0.02)
    assert "?" not in page.url  # a visitor's own picture never goes into a link
    take(page, "link")
    expect(page.locator(".take-say")).to_contain_text("never your own picture")
    page.keyboard.press("Escape")
    where = "() => ['.strip', '.question'].map(s => document.querySelector(s).getBoundingClientRect().top)"
    places = page.evaluate(where)
    second = page.locator('.card[data-head="main"] .row >> nth=1 >> span').inner_text()
    page.locator('.card[data-head="main"] .row >> nth=1').click()
    expect(page.locator("#target")).to_have_value(second)
    own_picture(page, "lion")
    assert page.evaluate(where) == places

    # Back walks through the pictures and their questions.
    page.go_back()
    looking_at(page, "tower")
    expect(page.locator("#target")).to_have_value(second)
    page.go_back()
    expect(page.locator("#target")).not_to_have_value(second)
    settled(page)
    page.go_forward()
    expect(page.locator("#target")).to_have_value(second)
    page.go_forward()
    looking_at(page, "lion")
    page.locator(".recent button >> nth=1").click()
    looking_at(page, "tower")


BRING = """([how, file, text, selector]) => {
    const data = new DataTransfer();
    if (file) data.items.add(new File([Uint8Array.from(atob(file), c => c.charCodeAt(0))], `${how}.jpg`, {type: "image/jpeg"}));
    if (text) data.setData(how === "paste" ? "text/plain" : "text/uri-list", text);
    document.querySelector(selector).dispatchEvent(how === "paste"
        ? new ClipboardEvent("paste", {clipboardData: data, bubbles: true})
        : new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
}"""
"""Paste or drop a file and a text, each of which may be missing."""


def test_paste_drop_and_camera(page: Page) -> None:
    own_picture(page, "tower")
    red, blue = (base64.b64encode(jpeg(colour)).decode() for colour in ("red", "blue"))
    page.locator("#target").focus()
    page.evaluate(BRING, ["paste", red, "lion", "#target"])  # a cell of a spreadsheet comes as text and as a picture of it
    painted(page)
    expect(page.locator(".page")).not_to_have_class(re.compile("busy"))
    assert "tower" in (page.locator(".picture").get_attribute("aria-label") or "")
    # A picture alone is a picture, wherever the cursor stands.
    for how, picture, at, colour in (("paste", red, "#target", "red"), ("drop", blue, "body", "blue")):
        page.evaluate(BRING, [how, picture, "", at])
        looking_at(page, f"{how}.jpg")
        assert shown(page) == colour
    for how in ("paste", "drop"):
        page.evaluate("document.querySelector('.mistake').textContent = ''")
        page.evaluate(BRING, [how, "", "https://example.org/cat.jpg", "body"])
        expect(page.locator(".mistake")).to_contain_text("A link cannot be opened here")

    page.evaluate(
        """() => { const data = new DataTransfer();
            for (const name of ["a.jpg", "b.jpg"]) data.items.add(new File(["x"], name, {type: "image/jpeg"}));
            document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true})); }"""
    )
    expect(page.locator(".mistake")).to_have_text("Bring one picture at a time.")
    settled(page)
    assert shown(page) == "blue"

    # The camera gives one picture and stops.
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


def test_downloads_open_and_the_stage_and_a_link_are_copied(visit: Visit, url: str) -> None:
    page = visit("?example=lion&class=cougar&contrast=cougar")
    expect(page.locator("#target")).to_have_value("cougar")
    settled(page)
    result = saved_json(page)
    assert [stage["name"] for stage in result["stages"]] == list(STAGES)
    assert result["question"]["target"]["label"] == "cougar"
    assert result["question"]["contrast"] is None  # a link cannot ask for a class rather than itself
    for _ in range(2):  # the same question twice is answered twice
        file = saved(page, "npz")
    assert file.suggested_filename == "lion-cougar-maps.npz"  # the class stands in the file's name
    with np.load(file.path()) as maps:
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
    page.evaluate(
        """() => { window.texts = []; const write = CanvasRenderingContext2D.prototype.fillText;
        CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
            window.texts.push([text, this.measureText(text).width]); return write.call(this, text, x, y); }; }"""
    )
    file = saved(page, "png")
    assert file.suggested_filename == "lion-cougar-sheet.png"
    with Image.open(file.path()) as sheet:
        assert sheet.format == "PNG"
        assert sheet.width > 1900
    texts = page.evaluate("window.texts")
    shares = [width for text, width in texts if re.match("[1-5]×[1-5] .*%", text) or text.startswith("pool ")]
    assert len(shares) >= 9
    assert max(shares) <= 176  # a stage's width
    with Image.open(saved(page, "card").path()) as card:
        assert card.size == (1200, 630)

    # The enlarged stage is saved as it is shown.
    colours = set()
    for stage in ("3a", "4e"):
        enlarge(page, stage)
        file = saved(page, "stage")
        assert file.suggested_filename.endswith(f"-{stage}.png")
        with Image.open(file.path()) as picture:
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
    expect(told).to_contain_text("example=lion")

    # In a frame, as in a Space, the link is the outer page's.
    frame = framed(page, f"{url}theme.css", f"{url}?example=cheetah")
    page.frames[1].evaluate("navigator.clipboard.writeText = text => { window.top.link = text; return Promise.resolve(); }")
    take(frame, "link")
    page.wait_for_function("() => window.link")
    assert page.evaluate("window.link").startswith(f"{url}theme.css?example=cheetah")


def test_class_search_finds_kinds_and_keeps_what_was_chosen(page: Page) -> None:
    example(page, "cheetah")
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


def test_present_fills_the_screen_obeys_keys_and_shows_the_link(page: Page, url: str) -> None:
    resize(page, 1920, 1080)
    example(page, "lion")
    code, present = page.locator(".qr"), page.locator(".present")
    expect(code.locator("img")).to_have_attribute("alt", "QR code of the link to this question")
    expect(code.locator("img")).to_have_attribute("src", qr(f"{url}?example=lion&head=main&class=lion"))
    expect(code).to_be_hidden()
    page.emulate_media(media="print")
    expect(code).to_be_visible()
    page.emulate_media(media="screen")
    size = page.locator(".say").evaluate("n => parseFloat(getComputedStyle(n).fontSize)")
    present.click()
    expect(present).to_have_text("Leave (Esc)")
    expect(page.locator(".question")).to_be_hidden()
    for selector in (".picture", ".tabs", ".about", ".qr"):
        expect(page.locator(selector)).to_be_visible()
    still(page)
    for selector in (".strip", ".cards", ".big", ".slope"):
        place = box(page, selector)
        assert place["y"] + place["height"] <= 1080, selector
    assert box(page, ".big")["height"] > 500
    assert page.locator(".say").evaluate("n => parseFloat(getComputedStyle(n).fontSize)") > 1.2 * size
    page.keyboard.press("Home")
    expect(page.locator("#stage-title")).to_have_text("Stage 3a")
    page.keyboard.press("Space")
    expect(page.locator(".page")).to_have_class(re.compile("playing"))

    present.click()
    expect(present).to_have_text("Present")
    own_picture(page, "tower")
    page.emulate_media(media="print")
    expect(code).to_be_hidden()  # a visitor's own picture has no link
    page.emulate_media(media="screen")

    # Names and numbers stay hidden until they are guessed.
    example(page, "cheetah")
    present.click()
    page.locator(".tools .predict").click()
    for part in (".headline", ".row >> nth=0", ".slope", ".is-right", ".role"):
        expect(page.locator(part)).to_be_hidden()
    label = page.locator(BIG)
    assert "cheetah" not in str(label.get_attribute("aria-label"))
    page.locator(".reveal").click()
    expect(page.locator(".headline")).to_be_focused()
    expect(page.locator(".row >> nth=0")).to_be_visible()
    expect(label).to_have_attribute("aria-label", re.compile("cheetah"))
    present.click()
    page.locator("[data-example=lion]").click()
    looking_at(page, re.escape("?"))
    settled(page)
    expect(page.locator(".guess")).to_be_visible()  # each new picture is a new guess
    assert page.url.endswith("?example=lion&head=main")
    page.locator(".reveal").click()
    assert page.url.endswith("?example=lion&head=main&class=lion")
    page.locator(".teach summary").click()
    page.locator(".teach .predict").click()  # the same switch
    expect(page.locator(".headline")).to_be_visible()


def test_looks_ask_python_nothing_and_of_many_questions_few_are_run(page: Page) -> None:
    example(page, "lion")
    sent = model_requests(page)
    seen = {pixels(page, BIG)}
    enlarge(page, "3b")
    expect(page.locator("#stage-title")).to_have_text("Stage 3b")
    seen.add(pixels(page, BIG))
    for act in (lambda: look(page, "cells").check(), lambda: look(page, "overlay").fill("0.3")):
        act()
        painted(page)
        seen.add(pixels(page, BIG))
    assert len(seen) == 4
    assert page.locator(".four canvas").count() == 4
    assert sent == []

    look(page, "method").select_option("layer-cam")
    expect(page.locator(".looks .against")).to_be_disabled()  # its maps hold none
    expect(page).to_have_url(re.compile("method=layer-cam"))
    settled(page)
    assert pixels(page, BIG) not in seen
    page.keyboard.press("Escape")
    sent.clear()
    page.evaluate("() => { for (const name of ['cat', 'cheetah', 'cat', 'cheetah', 'cat']) "
                  "document.querySelector(`[data-example=${name}]`).click(); }")  # fmt: skip
    looking_at(page, "cat")
    page.wait_for_timeout(300)
    looking_at(page, "cat")  # the newest, which stays
    assert len(sent) <= 2  # one runs, one waits
    expect(page).to_have_url(re.compile("example=cat.*method=layer-cam"))  # the method stays for the next picture
