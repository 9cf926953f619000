"""The page as a visitor meets it: `app.py` in a process of its own, real Chromium in front of it."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from gradio.media import get_image
from PIL import Image
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Download,
    FloatRect,
    FrameLocator,
    Locator,
    Page,
    Playwright,
    Request,
    expect,
    sync_playwright,
)

from tests.hub.conftest import write_model
from tests.hub.server import HubServer
from tests.server.conftest import Program, start, stop

SLOW = 60_000
"""Milliseconds to wait for what takes a second on an idle machine: a busy one may be far slower."""
expect.set_options(timeout=SLOW)


def executable() -> str | None:
    """The browser without a window where there is one, which needs half of the work for a page; else the whole one, else
    Playwright's own."""
    return shutil.which("chromium-headless-shell") or shutil.which("chromium")


SANDBOX = ["--no-sandbox"] if os.geteuid() == 0 else []


def chromium(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path=executable(), args=SANDBOX)


@contextlib.contextmanager
def start_beside(hub: HubServer, temporary: Path, port: int = 0) -> Iterator[Program]:
    """The program, which takes weights from this Hub. It goes with the block at the latest."""
    program = start([], temporary, port=port, HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="0")
    try:
        yield program
    finally:
        stop(program)


@pytest.fixture(scope="package")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    """A stand-in for the Hub: three repositories have the same files and no auxiliary heads, `user/heads` has both."""
    with HubServer() as hub:
        three = write_model(tmp_path_factory.mktemp("three"))
        for name in ("three", "again", "once"):
            hub.model(f"user/{name}", three)
        hub.model("user/heads", write_model(tmp_path_factory.mktemp("heads"), ("cougar", "tiger", "lion"), aux_heads=True))
        yield hub
        hub.shutdown()


@pytest.fixture(scope="package")
def program(hub: HubServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The page's server."""
    with start_beside(hub, tmp_path_factory.mktemp("home")) as program:
        yield program
        assert program.process.poll() is None, program.log.read_text("utf-8")[-2000:]


@pytest.fixture(scope="package")
def url(program: Program) -> str:
    """The page."""
    return program.url


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        yield browser
        browser.close()


FRESH = """
if (!sessionStorage.getItem('visited')) { localStorage.clear(); sessionStorage.setItem('visited', 'true') }
"""
"""Each tab is a visitor of its own: the language that the one before chose is forgotten."""
PLAYED = "localStorage.setItem('googlenet.played', 'true')"
CLIPBOARD = ["clipboard-read", "clipboard-write"]
USUAL = {"locale": "en-GB", "reduced_motion": "reduce", "permissions": CLIPBOARD}
"""Motion is drawn in software, which takes time: it is for the tests that test it."""
DESKTOP = (1440, 900)
PHONE = {"is_mobile": True, "has_touch": True, "device_scale_factor": 2}


@contextlib.contextmanager
def new_context(browser: Browser, plays: bool = False, **options: object) -> Iterator[BrowserContext]:
    context = browser.new_context(**USUAL | options)  # type: ignore[arg-type]
    context.set_default_timeout(SLOW)
    context.add_init_script(FRESH if plays else FRESH + PLAYED)
    yield context
    context.close()


@pytest.fixture(scope="package")
def contexts(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """`contexts(**options of new_context)`: one browser for all visitors who want the same. It has the page's files at hand from
    the second visit on."""
    with contextlib.ExitStack() as opened:
        yield functools.cache(lambda **options: opened.enter_context(new_context(browser, **options)))


Visit = Callable[..., Page]


@contextlib.contextmanager
def visits(browser: Browser, contexts: Callable[..., BrowserContext], url: str) -> Iterator[Visit]:
    wrong: list[str] = []
    with contextlib.ExitStack() as opened:

        def visit(path: str = "", size: tuple[int, int] = DESKTOP, own: bool = False, **options: Any) -> Page:
            context = opened.enter_context(new_context(browser, **options)) if own else contexts(**options)
            page = context.new_page()
            opened.callback(page.close)
            page.on("pageerror", lambda error: wrong.append(f"script error: {error}"))
            page.on("request", lambda r: None if r.url.startswith((url, "data:", "blob:")) else wrong.append(f"asked {r.url}"))
            resize(page, *size)
            page.goto(url + path)
            page.wait_for_selector(".row")
            return page

        yield visit
    assert not wrong


@pytest.fixture
def visit(browser: Browser, contexts: Callable[..., BrowserContext], url: str) -> Iterator[Visit]:
    """`visit(path, size, **options of new_context)` → a page whose first answer is painted; `own` gives it a context of its own.
    A script error or an outside request fails."""
    with visits(browser, contexts, url) as visit:
        yield visit


@pytest.fixture(scope="module")
def page(browser: Browser, contexts: Callable[..., BrowserContext], url: str) -> Iterator[Page]:
    """One page for the tests of a file that follow each other on it: to open one takes seconds."""
    with visits(browser, contexts, url) as visit:
        yield visit()


def resize(page: Page, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})


def reload(page: Page) -> None:
    page.reload()
    page.wait_for_selector(".row")


def framed(page: Page, outer: str, inner: str) -> FrameLocator:
    """The page in a frame of another page."""
    page.goto(outer)
    page.evaluate("inner => { document.body.innerHTML = `<iframe src='${inner}' width=1300 height=800></iframe>`; }", inner)
    frame = page.frame_locator("iframe")
    expect(frame.locator(".row").first).to_be_visible()
    return frame


def painted(page: Page) -> None:
    """Wait until what was asked of the page's own script is on the screen."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def still(page: Page) -> None:
    """Wait until nothing moves any more."""
    painted(page)
    page.wait_for_function("() => document.getAnimations().every(each => each.playState !== 'running')")


def go_dark(page: Page, dark: bool = True) -> None:
    page.evaluate("dark => document.body.classList.toggle('dark', dark)", dark)  # as Gradio does it
    still(page)


AXE = Axe().axe_script
RUN_AXE = """([parts, options]) => axe.run(parts, {resultTypes: ["violations"], preload: false, ...options})
    .then(found => found.violations.map(each => [each.id, ...each.nodes.map(node => node.html.slice(0, 120))]))"""


def violations(page: Page, parts: str, **options: object) -> list[list[str]]:
    """What axe finds in parts of the page, with these options of `axe.run`."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    return list(page.evaluate(RUN_AXE, [parts, options]))


ASKED = "**/component_server/"
"""Where the page's script asks Python."""


def asks(request: Request) -> str:
    """The function of Python that a request of the page's script asks; "" for any other request."""
    return str(json.loads(request.post_data or "{}")["fn_name"]) if "/component_server/" in request.url else ""


def model_requests(page: Page) -> list[str]:
    """A list that grows with each question that the page asks Python from now on."""
    sent: list[str] = []
    others = {"", "progress", "leave", "qr"}
    page.on("request", lambda request: sent.append(name) if (name := asks(request)) not in others else None)
    return sent


def pixels(page: Page, canvas: str) -> str:
    """What a canvas shows, as a PNG in text."""
    return str(page.locator(canvas).evaluate("canvas => canvas.toDataURL()"))


STAGE = '.stage[data-stage="{}"]'


def file(name: str, content: bytes, mime: str = "image/jpeg") -> dict[str, object]:
    return {"name": name, "mimeType": mime, "buffer": content}


def jpeg(colour: str, size: tuple[int, int] = (320, 200)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "JPEG")
    return out.getvalue()


def settled(page: Page) -> None:
    expect(page.locator('#walk [aria-busy="true"]')).to_have_count(0)
    expect(page.locator(".page")).not_to_have_class(re.compile("busy"))


def looking_at(page: Page, name: str) -> None:
    """Wait until the page shows this picture and its answer."""
    expect(page.locator(".picture")).to_have_attribute("aria-label", re.compile(name))
    settled(page)


def upload(page: Page, *files: object) -> None:
    page.locator(".file").set_input_files(*files)  # type: ignore[arg-type]


def own_picture(page: Page, name: str) -> None:
    upload(page, get_image(f"{name}.jpg"))
    looking_at(page, name)


def example(page: Page, name: str) -> None:
    page.locator(f"[data-example={name}]").click()
    looking_at(page, name)


def enlarge(page: Page, stage: str) -> None:
    page.locator(f'.stage[data-stage="{stage}"]').click()


def tab(page: Page, name: str) -> None:
    page.locator(f"[data-tab={name}]").click()


def box(page: Page, selector: str) -> FloatRect:
    """Where an element is on the screen."""
    place = page.locator(selector).bounding_box()
    assert place is not None, selector
    return place


def chosen(page: Page) -> str:
    return page.locator("#target").input_value()


def ask_head(page: Page, head: str) -> None:
    page.locator(f'.card[data-head="{head}"] .ask').click()


def opened(page: Page | FrameLocator, menu: str) -> None:
    """Open a menu, unless it is open."""
    if page.locator(f"{menu}[open]").count() == 0:
        page.locator(f"{menu} > summary").click()


def look(page: Page, name: str) -> Locator:
    """A control of the menu View."""
    opened(page, ".looks")
    return page.locator(f".looks .{name}")


def take(page: Page | FrameLocator, kind: str) -> None:
    """What the menu "Save and share" holds."""
    opened(page, ".take details")
    page.locator(f"[data-take={kind}]").click()


def saved(page: Page, kind: str) -> Download:
    """A file of that menu."""
    with page.expect_download() as download:
        take(page, kind)
    return download.value


def saved_json(page: Page) -> dict[str, Any]:
    return dict(json.loads(saved(page, "json").path().read_text("utf-8")))
