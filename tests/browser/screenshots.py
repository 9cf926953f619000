"""Pictures of the page's main states: `python -m tests.browser.screenshots FOLDER [URL]`, to be looked at.

Without a URL it starts `app.py` itself. `desktop.jpg` is the README's picture (`tests/browser/page.jpg`), `card.jpg` what links
to the page show (`googlenet/ui/card.jpg`); their comments hold the SHA-256 of the weights that they show.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gradio.media import get_image
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from tests.browser.conftest import chromium, look, take
from tests.server.conftest import start, stop

DESKTOP, PROJECTOR, LAPTOP, TABLET, PHONE, SMALL = (1440, 900), (1920, 1080), (1280, 720), (820, 1180), (390, 844), (360, 640)


def weights(page: Page) -> None:
    page.locator(".weights summary").click()


def lesson(page: Page) -> None:
    page.locator(".teach summary").click()
    page.evaluate("document.querySelector('.teach').scrollIntoView()")


def explained(page: Page) -> None:
    page.locator(".say .help").click()


def search(page: Page) -> None:
    page.locator("#target").click()


def cells(page: Page) -> None:
    page.locator('.stage[data-stage="5a"]').click()
    look(page, "cells").check()
    look(page, "overlay").fill("0.7")


def portrait(page: Page) -> None:
    page.locator(".file").set_input_files(get_image("tower.jpg"))
    expect(page.locator(".picture")).to_have_attribute("aria-label", re.compile("tower"))
    cells(page)


def mistake(page: Page) -> None:
    page.locator(".file").set_input_files({"name": "notes.jpg", "mimeType": "image/jpeg", "buffer": b"text"})  # type: ignore[arg-type]
    page.wait_for_selector(".mistake:not(:empty)")


def nothing(page: Page) -> None:
    pass


@dataclass(frozen=True)
class Shot:
    size: tuple[int, int] = DESKTOP
    query: str = ""
    act: Callable[[Page], None] = nothing
    options: dict[str, str] = field(default_factory=dict)
    """of Playwright's `new_context`"""


DARK, KOREAN, FORCED = {"color_scheme": "dark"}, {"locale": "ko-KR"}, {"forced_colors": "active"}
SHOTS = {
    "desktop": Shot(),
    "dark": Shot(options=DARK),
    "korean": Shot(options=KOREAN),
    "forced-colours": Shot(options=FORCED),
    "contrast": Shot(query="?example=lion&head=aux2&class=lion&contrast=cougar"),
    "portrait": Shot(act=portrait),
    "cat": Shot(query="?example=cat"),
    "landscape": Shot(query="?example=cheetah", options=DARK),
    "weights": Shot(act=weights),
    "lesson": Shot(act=lesson),
    "lesson-dark": Shot(act=lesson, options=DARK | KOREAN),
    "help": Shot(query="?example=astronaut", act=explained),
    "search": Shot(act=search),
    "mistake": Shot(act=mistake),
    "projector": Shot(PROJECTOR),
    "laptop": Shot(LAPTOP),
    "tablet": Shot(TABLET),
    "phone": Shot(PHONE),
    "phone-dark": Shot(PHONE, "?example=cheetah", options=DARK | KOREAN),
    "phone-small": Shot(SMALL),
    "phone-lesson": Shot(PHONE, act=lesson),
}


def shoot(folder: Path, url: str, only: list[str]) -> None:
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        for name, shot in SHOTS.items():
            if only and name not in only:
                continue
            width, height = shot.size
            options = {"locale": "en-GB", "color_scheme": "light", "device_scale_factor": 2 if width < 500 else 1} | shot.options
            context = browser.new_context(viewport={"width": width, "height": height}, **options)  # type: ignore[arg-type]
            context.add_init_script("localStorage.setItem('googlenet.played', 'true')")
            page = context.new_page()
            page.goto(url + shot.query)
            page.wait_for_selector(".row", timeout=60_000)
            shot.act(page)
            page.wait_for_timeout(1200)
            png = folder / f"{name}.png"
            page.screenshot(path=png, full_page=width < 500 and shot.size != SMALL)
            print(png)
            if name == "desktop":
                sha256 = re.findall(r'"sha256": ?"([0-9a-f]{64})"', page.request.get(url + "config").text())[0]
                with page.expect_download() as card:
                    take(page, "card")
                for name, source in (("desktop", png), ("card", card.value.path())):
                    picture = Image.open(source).convert("RGB")
                    picture.save(folder / f"{name}.jpg", quality=86, optimize=True, comment=sha256)
            context.close()
        browser.close()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    if len(sys.argv) > 2:
        shoot(folder, sys.argv[2], sys.argv[3:])
    else:
        with tempfile.TemporaryDirectory() as logs:
            program = start([], Path(logs))
            try:
                shoot(folder, program.url, [])
            finally:
                stop(program)
