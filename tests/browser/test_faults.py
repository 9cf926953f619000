"""What may go wrong around a visitor, and must lose nothing: the network, the server, files, other tabs, slips of the hand."""

from __future__ import annotations

import base64
import json
import re
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from gradio.media import get_image
from gradio_client import Client, handle_file
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import (
    ASKED,
    STAGE,
    Visit,
    ask_head,
    chosen,
    file,
    jpeg,
    look,
    model_requests,
    painted,
    serve,
    settled,
    take,
    upload,
)
from tests.browser.proxy import Proxy
from tests.helpers import free_port, until
from tests.hub.server import HubServer

PASTE = """([selector, base64, text]) => {
    const bytes = Uint8Array.from(atob(base64), c => c.charCodeAt(0)), data = new DataTransfer();
    data.items.add(new File([bytes], "image.png", {type: "image/png"}));
    if (text) data.setData("text/plain", text);
    document.querySelector(selector).dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true}));
}"""


def looking_at(page: Page, name: str) -> None:
    expect(page.locator(".picture")).to_have_attribute("aria-label", re.compile(name))
    settled(page)


def own_question(page: Page) -> None:
    """A picture of the visitor's own, asked about in a way that differs from every default."""
    upload(page, get_image("tower.jpg"))
    looking_at(page, "tower")
    ask_head(page, "aux2")
    expect(page.locator(".behind")).to_be_visible()
    settled(page)
    page.locator(STAGE.format("3b")).click()
    look(page, "overlay").fill("0.3")


def is_own_question(page: Page) -> None:
    looking_at(page, "tower")
    expect(page.locator(".card.asking")).to_have_attribute("data-head", "aux2")
    expect(page.locator("#stage-title")).to_have_text("Stage 3b")
    expect(page.locator(".looks .overlay")).to_have_value("0.3")


def test_a_reload_loses_nothing(visit: Visit) -> None:
    page = visit()
    own_question(page)
    page.reload()
    is_own_question(page)


def test_a_while_without_a_connection_loses_nothing(visit: Visit, url: str) -> None:
    proxy = Proxy(int(url.rsplit(":", 1)[1].strip("/")))
    page = visit(at=f"http://127.0.0.1:{proxy.port}/", own=True)
    own_question(page)
    proxy.cut()
    with page.expect_event("requestfailed"):
        page.locator('.card[data-head="aux2"] .row >> nth=3').click()
    expect(page.locator(".notice")).to_contain_text("You are offline")
    proxy.mend()
    settled(page)
    is_own_question(page)
    proxy.close()


def test_a_restart_loses_neither_the_question_nor_its_picture_nor_its_weights(
    visit: Visit, hub: HubServer, tmp_path: Path
) -> None:
    """The server gets a question while it ends, and another comes up at the same address."""
    port, variables = free_port(), {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "GRADIO_TEMP_DIR": str(tmp_path)}
    running, url = serve(tmp_path / "log.txt", port, **variables)
    try:
        page = visit(at=url, own=True)
        page.locator(".weights summary").click()
        page.locator("#repository").fill("user/heads")
        page.keyboard.press("Enter")
        expect(page.locator(".chip")).to_have_text("user/heads, 3 classes")
        settled(page)
        own_question(page)
        row = page.locator('.card[data-head="aux2"] .row >> nth=2')
        asked = row.locator("span").inner_text()
        running.send_signal(signal.SIGSTOP)
        with page.expect_request(ASKED):
            row.click()
        running.terminate()
        running.send_signal(signal.SIGCONT)  # it finds the signal and the question at once
        expect(page.locator(".notice")).to_have_text("The server is restarting; your question goes on by itself.")
        assert running.wait(30) == 0
        running, _ = serve(tmp_path / "log.txt", port, **variables)
        expect(page.locator(".chip")).to_have_text("user/heads, 3 classes")
        expect(page.locator(".notice")).to_contain_text("Now answered by user/heads")
        is_own_question(page)
        assert chosen(page) == asked
    finally:
        running.kill()
        running.wait()


def test_a_picture_that_the_server_has_swept_away_is_sent_again(visit: Visit, home: Path) -> None:
    page = visit()
    own_question(page)

    def sweep() -> None:
        for folder in (home / "uploads").glob("*/pictures/*"):
            shutil.rmtree(folder)

    sweep()
    page.locator('.card[data-head="aux2"] .row >> nth=1').click()
    settled(page)
    is_own_question(page)
    expect(page.locator(".mistake")).to_be_hidden()
    sweep()
    with page.expect_download() as download:  # drawn in the browser
        take(page, "png")
    with Image.open(download.value.path()) as sheet:
        assert sheet.width > 1000


def test_a_file_that_cannot_be_taken_leaves_the_page_at_work(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "huge.tif").write_bytes(b"II*\0" + bytes(21 * 2**20))
    page = visit()
    sent = model_requests(page)
    before = page.locator(".say").inner_text()
    upload(page, file("notes.jpg", b"this is text, not a picture"))
    expect(page.locator(".mistake")).to_have_text(
        "notes.jpg is not a picture that can be read; use JPEG, PNG, WebP, GIF, BMP or TIFF."
    )
    settled(page)
    assert page.locator(".say").inner_text() == before
    assert page.locator(".toast-wrap *").count() == 0
    sent.clear()
    upload(page, file("logo.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"))
    expect(page.locator(".mistake")).to_contain_text("logo.svg is a drawing (SVG)")
    assert sent == []
    upload(page, str(tmp_path / "huge.tif"))
    expect(page.locator(".mistake")).to_contain_text("huge.tif is larger than 20 MB")
    settled(page)
    page.route("**/upload", lambda route: route.fulfill(status=507, body="The server's disk is full; try again later."))
    upload(page, file("late.gif", b"GIF89a", "image/gif"))
    expect(page.locator(".mistake")).to_contain_text("The server’s disk is full; try late.gif again later.")
    settled(page)
    page.locator("[data-example=lion]").click()
    looking_at(page, "lion")


def test_a_silent_server_is_told_and_can_be_left(visit: Visit) -> None:
    page = visit(own=True)
    before = page.locator(".say").inner_text()
    page.route(ASKED, lambda route: None)  # never answered
    page.clock.install()
    page.locator("[data-example=lion]").click()
    page.clock.fast_forward(8100)
    expect(page.locator(".notice")).to_have_text("No answer yet; still waiting.")
    page.locator(".stop").click()
    settled(page)
    page.clock.resume()
    assert page.locator(".say").inner_text() == before
    page.unroute(ASKED)
    page.locator("[data-example=lion]").click()
    looking_at(page, "lion")


def test_a_lost_connection_is_told_at_once(visit: Visit) -> None:
    page = visit(own=True)
    page.route(ASKED, lambda route: None)
    page.clock.install()
    page.clock.pause_at(time.time() + 1)  # after eight seconds without an answer it would be told in any case
    page.locator("[data-example=lion]").evaluate("example => example.click()")
    page.context.set_offline(True)
    expect(page.locator(".notice")).to_contain_text("You are offline")
    page.clock.resume()
    page.unroute(ASKED)
    page.context.set_offline(False)
    looking_at(page, "lion")


def test_the_first_answer_being_an_error_is_told_once(visit: Visit, url: str) -> None:
    """Served with an error in place of the first answer, the page says it and answers the next question."""

    def broken(route: object) -> None:
        answer = route.fetch()  # type: ignore[attr-defined]
        body = answer.text().replace('"answer":{', '"refusal":{"en":"Broken.","ko":"고장."},"was":{')
        route.fulfill(response=answer, body=body)  # type: ignore[attr-defined]

    page = visit("?example=cheetah")
    page.route(re.compile(re.escape(url) + r"(config)?$"), broken)
    page.goto(url)
    expect(page.locator(".mistake")).to_have_text("Broken.")
    page.locator("[data-example=lion]").click()
    looking_at(page, "lion")


def test_an_example_keeps_the_head_and_a_card_asks_its_own(visit: Visit) -> None:
    page = visit()
    row = page.locator('.card[data-head="aux2"] .row >> nth=1')
    label = row.locator("span").inner_text()
    row.click()
    expect(page.locator("#target")).to_have_value(label)
    settled(page)
    expect(page.locator(".card.asking")).to_have_attribute("data-head", "aux2")
    page.locator("[data-example=lion]").click()
    looking_at(page, "lion")
    expect(page.locator(".card.asking")).to_have_attribute("data-head", "aux2")


def test_the_address_keeps_the_rest_and_back_goes_to_the_question_before(visit: Visit) -> None:
    page = visit("?__theme=dark")
    first = page.locator(".say").inner_text()
    page.locator("[data-example=lion]").click()
    looking_at(page, "lion")
    expect(page).to_have_url(re.compile("__theme=dark.*example=lion"))
    page.go_back()
    looking_at(page, "cheetah")
    assert page.locator(".say").inner_text() == first
    expect(page).to_have_url(re.compile(r"\?__theme=dark$"))
    page.go_forward()
    looking_at(page, "lion")


def test_in_a_frame_the_link_is_the_outer_pages(visit: Visit, url: str) -> None:
    page = visit(own=True)
    page.goto(url + "theme.css")
    page.evaluate(
        f"() => {{ document.body.innerHTML = '<iframe src=\"{url}?example=cheetah\" width=1300 height=800></iframe>'; }}"
    )
    frame = page.frame_locator("iframe")
    expect(frame.locator(".row").first).to_be_visible()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("navigator.clipboard.writeText = text => { window.link = text; return Promise.resolve(); }")
    inner = page.frames[1]
    inner.evaluate("navigator.clipboard.writeText = text => { window.top.link = text; return Promise.resolve(); }")
    take(frame, "link")
    page.wait_for_function("() => window.link")
    assert page.evaluate("window.link").startswith(f"{url}theme.css?example=cheetah")


def photograph() -> Image.Image:
    """12 megapixels of a cheetah, with the noise that makes its file as large as a camera's. In each of the nine maps, the
    strongest cell leads the next by 5 % or more: where two are alike, noise decides between them."""
    cheetah = Image.open(get_image("cheetah.jpg")).convert("RGB").resize((4000, 3000), Image.Resampling.BICUBIC)
    noise = np.random.default_rng(0).integers(-10, 11, (3000, 4000, 1), np.int8)
    return Image.fromarray((np.asarray(cheetah).astype(np.int16) + noise).clip(0, 255).astype(np.uint8))


def test_a_large_photograph_goes_small_and_keeps_its_own_pixels(visit: Visit, url: str, tmp_path: Path) -> None:
    path, tag = tmp_path / "large.jpg", Image.Exif()
    tag[0x0112] = 6  # the camera was turned
    photograph().transpose(Image.Transpose.ROTATE_90).save(path, quality=93, exif=tag)
    assert path.stat().st_size > 3_000_000
    page, sent = visit(), []
    page.on("request", lambda r: sent.append(len(r.post_data_buffer or b"")) if "/upload" in r.url else None)
    upload(page, str(path))
    looking_at(page, "large.jpg")
    assert max(sent) < 1_000_000
    expect(page.locator(".take-say")).to_contain_text("reduced to 1,600 pixels")
    with page.expect_download() as download:
        take(page, "json")
    own = json.loads(Path(download.value.path()).read_text("utf-8"))
    client = Client(url, verbose=False, download_files=str(tmp_path))
    other, _ = client.predict(handle_file(path), head="main", target=own["question"]["target"]["label"], api_name="/explain")
    client.close()
    assert own["seen"] == pytest.approx(other["seen"], abs=4)
    assert own["belief"] == pytest.approx(other["belief"], abs=0.02)
    for mine, theirs in zip(own["stages"], other["stages"], strict=True):
        assert mine["peak"] == pytest.approx(theirs["peak"], abs=40), mine["name"]  # pixels: 1 % of the longer side


def test_text_wins_over_its_bitmap_in_a_field(visit: Visit) -> None:
    """A cell pasted from a spreadsheet comes as text and as a picture of it."""
    page = visit()
    picture = base64.b64encode(jpeg("red")).decode()
    page.locator("#target").focus()
    page.evaluate(PASTE, ["#target", picture, "lion"])
    painted(page)
    expect(page.locator(".page")).not_to_have_class(re.compile("busy"))
    assert "cheetah" in (page.locator(".picture").get_attribute("aria-label") or "")
    page.evaluate(PASTE, ["#target", picture, ""])  # a picture alone is a picture, wherever the cursor stands
    looking_at(page, "image.jpg|image.png")


def test_the_tab_forgets_its_picture_when_it_is_closed(visit: Visit, url: str) -> None:
    page = visit(own=True)
    own_question(page)
    count = (
        "async () => new Promise(done => { const o = indexedDB.open('googlenet', 1); o.onsuccess = () => {"
        " const r = o.result.transaction('pictures').objectStore('pictures').getAllKeys();"
        " r.onsuccess = () => done(r.result.length); }; })"
    )
    until(lambda: page.evaluate(count) == 1)  # wait_for_function takes a promise for true
    other = page.context.new_page()
    page.close()
    other.goto(url)
    other.wait_for_selector(".row")
    until(lambda: other.evaluate(count) == 0)
