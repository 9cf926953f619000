"""The page as a visitor meets it: `app.py` in a process of its own, real Chromium in front of it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, FrameLocator, Locator, Page, Request, expect, sync_playwright

from tests.helpers import ROOT, free_port
from tests.hub.conftest import write_model
from tests.hub.server import HubServer

SLOW = 60_000
"""Milliseconds to wait for what takes a second on an idle machine: a busy one may be far slower."""
expect.set_options(timeout=SLOW)


def serve(log: Path, port: int | None = None, **environment: str) -> tuple[subprocess.Popen[bytes], str]:
    """Start `python app.py` and wait until its page answers."""
    port = port or free_port()
    command = [sys.executable, "app.py", "--port", str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, env=os.environ | environment)
    url = f"http://127.0.0.1:{port}/"
    for _ in range(240):
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return process, url
        except OSError:
            time.sleep(0.5)
    process.kill()
    raise RuntimeError(f"app.py did not come up:\n{log.read_text('utf-8')[-2000:]}")


def chromium(playwright: object) -> Browser:
    """The system's Chromium where there is one, else Playwright's own."""
    return playwright.chromium.launch(  # type: ignore[attr-defined]
        executable_path=shutil.which("chromium"), args=["--no-sandbox"] if os.geteuid() == 0 else []
    )


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
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the page's server keeps what it has: `uploads`, and the Hub's files."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="package")
def url(hub: HubServer, home: Path) -> Iterator[str]:
    """The page."""
    process, url = serve(home / "log.txt", HF_ENDPOINT=hub.url, HF_HOME=str(home), GRADIO_TEMP_DIR=str(home / "uploads"))
    yield url
    process.terminate()
    process.wait(30)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def desk(browser: Browser) -> Iterator[BrowserContext]:
    """One browser for all visitors who want nothing special: it has the page's files at hand from the second visit on."""
    with new_context(browser) as context:
        yield context


FRESH = """
if (!sessionStorage.getItem('visited')) { localStorage.clear(); sessionStorage.setItem('visited', 'true') }
"""
"""Each tab is a visitor of its own: the language that the one before chose is forgotten."""
PLAYED = "localStorage.setItem('googlenet.played', 'true')"


@contextlib.contextmanager
def new_context(browser: Browser, plays: bool = False, **options: object) -> Iterator[BrowserContext]:
    context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, "locale": "en-GB", **options})  # type: ignore[arg-type]
    context.set_default_timeout(SLOW)
    context.add_init_script(FRESH if plays else FRESH + PLAYED)
    yield context
    context.close()


Visit = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser, desk: BrowserContext, url: str) -> Iterator[Visit]:
    """`visit(path, **options of new_context)` → a page whose first answer is painted. Options, such as `own=True`, get a context
    of their own. A script error or an outside request fails."""
    wrong: list[str] = []
    with contextlib.ExitStack() as opened:

        def visit(path: str = "", at: str = url, own: bool = False, **options: object) -> Page:
            context = opened.enter_context(new_context(browser, **options)) if own or options else desk  # type: ignore[arg-type]
            page = context.new_page()
            opened.callback(page.close)
            page.on("pageerror", lambda error: wrong.append(f"script error: {error}"))
            page.on("request", lambda r: None if r.url.startswith((at, "data:", "blob:")) else wrong.append(f"asked {r.url}"))
            page.goto(at + path)
            page.wait_for_selector(".row")
            return page

        yield visit
    assert not wrong


def painted(page: Page) -> None:
    """Wait until what was asked of the page's own script is on the screen."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def still(page: Page) -> None:
    """Wait until nothing moves any more."""
    painted(page)
    page.wait_for_function("() => document.getAnimations().every(each => each.playState !== 'running')")


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


def upload(page: Page, *files: object) -> None:
    page.locator(".file").set_input_files(*files)  # type: ignore[arg-type]


def chosen(page: Page) -> str:
    return page.locator("#target").input_value()


def ask_head(page: Page, head: str) -> None:
    page.locator(f'.card[data-head="{head}"] .ask').click()


def opened(page: Page | FrameLocator, menu: str) -> None:
    """Open a menu, unless it is open."""
    if page.locator(f"{menu}[open]").count() == 0:
        page.locator(f"{menu} > summary").click()


def look(page: Page, name: str) -> Locator:
    """A control of the menu Look."""
    opened(page, ".looks")
    return page.locator(f".looks .{name}")


def take(page: Page | FrameLocator, kind: str) -> None:
    """What the menu "Save and share" holds."""
    opened(page, ".take details")
    page.locator(f"[data-take={kind}]").click()
