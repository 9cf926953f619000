"""What may go wrong around a visitor, and must lose nothing: the network, the server, files, other tabs, slips of the hand."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gradio.media import get_image
from gradio_client import Client, handle_file
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.browser.conftest import (
    ASKED,
    Visit,
    ask_head,
    chosen,
    enlarge,
    example,
    file,
    framed,
    look,
    looking_at,
    model_requests,
    own_picture,
    saved,
    saved_json,
    settled,
    start_beside,
    upload,
    visits,
)
from tests.helpers import PATIENCE, until
from tests.hub.server import HubServer
from tests.server.conftest import Program


def own_question(page: Page) -> None:
    """A picture of the visitor's own, asked about in a way that differs from every default."""
    own_picture(page, "tower")
    ask_head(page, "aux2")
    expect(page.locator(".behind")).to_be_visible()
    settled(page)
    enlarge(page, "3b")
    look(page, "overlay").fill("0.3")
    page.keyboard.press("Escape")


def is_own_question(page: Page) -> None:
    looking_at(page, "tower")
    expect(page.locator(".card.asking")).to_have_attribute("data-head", "aux2")
    expect(page.locator("#stage-title")).to_have_text("Stage 3b")
    expect(page.locator(".looks .overlay")).to_have_value("0.3")


KEPT = (
    "async () => new Promise(done => { const o = indexedDB.open('googlenet', 1); o.onsuccess = () => {"
    " const r = o.result.transaction('pictures').objectStore('pictures').getAllKeys();"
    " r.onsuccess = () => done(r.result.length); }; })"
)
"""How many pictures the browser keeps."""


def test_an_own_picture_and_its_question_are_lost_by_nothing_but_the_closing_of_the_tab(
    visit: Visit, program: Program, url: str
) -> None:
    page = visit(own=True)
    example(page, "cat")  # its question stands in the address, from which an own picture takes it
    own_picture(page, "tower")
    page.reload()
    looking_at(page, "tower")
    own_question(page)
    page.reload()
    is_own_question(page)

    # No connection to the server, while the browser believes that it has one.
    page.route(ASKED, lambda route: route.abort("connectionrefused"))
    page.locator('.card[data-head="aux2"] .row >> nth=3').click()
    expect(page.locator(".notice")).to_contain_text("No connection")
    page.unroute(ASKED)
    settled(page)
    is_own_question(page)

    def sweep() -> None:
        for folder in program.pictures.iterdir():
            shutil.rmtree(folder)

    # A picture that the server has swept away is sent again.
    sweep()
    page.locator('.card[data-head="aux2"] .row >> nth=1').click()
    settled(page)
    is_own_question(page)
    expect(page.locator(".mistake")).to_be_hidden()
    sweep()
    with Image.open(saved(page, "png").path()) as sheet:  # drawn in the browser
        assert sheet.width > 1000

    until(lambda: page.evaluate(KEPT) == 1)  # wait_for_function takes a promise for true
    other = page.context.new_page()
    page.close()
    other.goto(url)
    other.wait_for_selector(".row")
    until(lambda: other.evaluate(KEPT) == 0)


def test_a_restart_loses_neither_the_question_nor_its_picture_nor_its_weights(
    browser: Browser, contexts: Callable[..., BrowserContext], hub: HubServer, tmp_path: Path
) -> None:
    """The server refuses a question since it ends (`tests/server/conftest.py` sees that), and another comes up at its address."""
    with start_beside(hub, tmp_path) as program, visits(browser, contexts, program.url) as visit:
        page = visit()
        page.locator(".weights summary").click()
        page.locator("#repository").fill("user/heads")
        page.keyboard.press("Enter")
        expect(page.locator(".chip")).to_have_text("user/heads, 3 classes")
        settled(page)
        own_question(page)
        row = page.locator('.card[data-head="aux2"] .row >> nth=2')
        asked = row.locator("span").inner_text()
        page.route(ASKED, lambda route: route.fulfill(json={"refusal": {"kind": "restarting", "en": "", "ko": ""}}))
        row.click()
        expect(page.locator(".notice")).to_have_text("The server is restarting; your question goes on by itself.")
        program.process.terminate()
        assert program.process.wait(PATIENCE) == 0, program.log.read_text("utf-8")[-2000:]
        with start_beside(hub, tmp_path, int(program.url.rstrip("/").rsplit(":", 1)[1])):
            page.unroute(ASKED)
            expect(page.locator(".chip")).to_have_text("user/heads, 3 classes")
            expect(page.locator(".notice")).to_contain_text("Now answered by user/heads")
            is_own_question(page)
            assert chosen(page) == asked


def test_what_cannot_be_taken_is_told_and_leaves_the_page_at_work(page: Page, tmp_path: Path) -> None:
    (tmp_path / "huge.tif").write_bytes(b"II*\0" + bytes(21 * 2**20))
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
    held: list[Route] = []
    page.route("**/upload", lambda route: held.append(route))
    upload(page, file("late.gif", b"GIF89a", "image/gif"))
    expect(page.locator(".languages")).to_be_disabled()  # which loads the page again, without the picture
    until(lambda: bool(page.evaluate("1") and held))
    held[0].fulfill(status=507, body="The server's disk is full; try again later.")
    expect(page.locator(".mistake")).to_contain_text("The server’s disk is full; try late.gif again later.")
    settled(page)
    expect(page.locator(".languages")).to_be_enabled()
    page.unroute("**/upload")
    example(page, "lion")


def test_a_links_unknown_class_silence_and_a_lost_connection_are_told(visit: Visit) -> None:
    page = visit("?example=lion&class=nonesuchthing", own=True)
    expect(page.locator(".mistake")).to_contain_text("nonesuchthing")
    before = page.locator(".say").inner_text()
    page.route(ASKED, lambda route: None)  # never answered
    page.clock.install()
    page.locator("[data-example=lion]").click()
    page.clock.fast_forward(8100)
    expect(page.locator(".notice")).to_have_text("No answer yet; still waiting.")
    page.locator(".stop").click()  # it can be left
    settled(page)
    assert page.locator(".say").inner_text() == before

    page.clock.pause_at(time.time() + 20)  # after eight seconds without an answer it would be told in any case
    page.locator("[data-example=lion]").evaluate("example => example.click()")
    page.context.set_offline(True)
    expect(page.locator(".notice")).to_contain_text("No connection")
    page.clock.resume()
    page.unroute(ASKED)
    page.context.set_offline(False)
    looking_at(page, "lion")


def test_the_first_answer_being_an_error_is_told_once(contexts: Callable[..., BrowserContext], url: str) -> None:
    """Served with an error in place of the first answer, the page says it and answers the next question."""

    def broken(route: Route) -> None:
        answer = route.fetch()
        body = answer.text().replace('"answer":{', '"refusal":{"en":"Broken.","ko":"고장."},"was":{')
        route.fulfill(response=answer, body=body)

    page = contexts().new_page()
    page.route(re.compile(re.escape(url) + r"(config)?$"), broken)
    page.goto(url)
    expect(page.locator(".mistake")).to_have_text("Broken.")
    example(page, "cat")
    page.close()


def photograph() -> Image.Image:
    """7 megapixels of a cheetah, with the noise that makes its file as large as a camera's. In each of the nine maps, the
    strongest cell leads the next by 5 % or more: where two are alike, noise decides between them."""
    cheetah = Image.open(get_image("cheetah.jpg")).convert("RGB").resize((3000, 2250), Image.Resampling.BICUBIC)
    noise = np.random.default_rng(0).integers(-10, 11, (2250, 3000, 1), np.int8)
    return Image.fromarray((np.asarray(cheetah).astype(np.int16) + noise).clip(0, 255).astype(np.uint8))


def test_a_large_photograph_goes_small_and_keeps_its_own_pixels(page: Page, url: str, tmp_path: Path) -> None:
    path, tag = tmp_path / "large.jpg", Image.Exif()
    tag[0x0112] = 6  # the camera was turned
    photograph().transpose(Image.Transpose.ROTATE_90).save(path, quality=93, exif=tag)
    assert path.stat().st_size > 2 * 2**20  # a smaller file goes as it is
    sent: list[int] = []
    page.on("request", lambda r: sent.append(len(r.post_data_buffer or b"")) if "/upload" in r.url else None)
    upload(page, str(path))
    looking_at(page, "large.jpg")
    assert max(sent) < 1_000_000
    expect(page.locator(".take-say")).to_contain_text("reduced to 1,600 pixels")
    own = saved_json(page)
    client = Client(url, verbose=False, download_files=str(tmp_path))
    other, _ = client.predict(handle_file(path), head="main", target=own["question"]["target"]["label"], api_name="/explain")
    client.close()
    assert own["seen"] == pytest.approx(other["seen"], abs=4)
    assert own["belief"] == pytest.approx(other["belief"], abs=0.02)
    for mine, theirs in zip(own["stages"], other["stages"], strict=True):
        assert mine["peak"] == pytest.approx(theirs["peak"], abs=30), mine["name"]  # pixels: 1 % of the longer side


REFUSED = """for (const name of ["localStorage", "sessionStorage", "indexedDB"])
    Object.defineProperty(window, name, {get() { throw new DOMException("denied", "SecurityError"); }});"""


def test_where_the_browser_keeps_nothing_the_page_works_and_the_language_is_in_the_address(
    browser: Browser, hub: HubServer, url: str
) -> None:
    """The page in a frame of another site, where reading the storage throws, as in a Space in a private window."""
    with browser.new_context(locale="en-GB") as context:
        page = context.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.add_init_script(REFUSED)
        frame = framed(page, hub.url.replace("127.0.0.1", "localhost"), f"{url}?example=lion")  # to a browser, another site
        refused = "() => { try { return !localStorage; } catch { return true; } }"
        assert page.frames[1].evaluate(refused)
        frame.locator(".languages").click()
        expect(frame.locator(".choose")).to_have_text("사진 선택")
        assert "language=ko" in page.frames[1].url
        frame.locator("[data-example=cat]").click()
        expect(frame.locator(".picture")).to_have_attribute("aria-label", re.compile("cat"))
        assert wrong == []
