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

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import chromium, look, take
from tests.server.conftest import start, stop

DESKTOP, PROJECTOR, LAPTOP, TABLET, PHONE, SMALL = (1440, 900), (1920, 1080), (1280, 720), (820, 1180), (390, 844), (360, 640)


def lesson(page: Page) -> None:
    page.locator(".teach summary").click()
    page.evaluate("document.querySelector('.teach').scrollIntoView()")


def search(page: Page) -> None:
    page.locator("#target").click()


def cells(page: Page) -> None:
    page.locator('.stage[data-stage="5a"]').click()
    look(page, "cells").check()
    look(page, "overlay").fill("0.7")


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
    "forced-colours": Shot(options=FORCED),
    "contrast": Shot(query="?example=lion&head=aux2&class=lion&contrast=cougar"),
    "cells": Shot(act=cells, options=DARK),
    "wrong": Shot(query="?example=portrait"),
    "lesson": Shot(act=lesson),
    "search": Shot(act=search, options=KOREAN),
    "projector": Shot(PROJECTOR),
    "laptop": Shot(LAPTOP),
    "tablet": Shot(TABLET),
    "phone": Shot(PHONE),
    "phone-small": Shot(SMALL, "?example=cheetah", options=DARK | KOREAN),
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
