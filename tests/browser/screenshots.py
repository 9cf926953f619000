"""Pictures of the page's main states: `python -m tests.browser.screenshots FOLDER [URL]`, to be looked at.

Without a URL it starts `app.py` itself. `desktop.jpg` is the README's picture (`tests/browser/page.jpg`), `card.jpg` what links
to the page show (`googlenet/ui/card.jpg`); their comments hold the SHA-256 of the weights that they show.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import DESKTOP, chromium, enlarge, look, new_context, resize, saved, settled
from tests.server.conftest import start, stop

LAPTOP, PROJECTOR, TABLET, PHONE, SMALL = (1280, 720), (1920, 1080), (820, 1180), (390, 844), (360, 640)
DARK, KOREAN, FORCED = {"color_scheme": "dark"}, {"locale": "ko-KR"}, {"forced_colors": "active"}


def lesson(page: Page) -> None:
    page.locator(".teach summary").click()
    page.evaluate("document.querySelector('.teach').scrollIntoView()")


def cells(page: Page) -> None:
    enlarge(page, "5a")
    look(page, "cells").check()
    look(page, "overlay").fill("0.7")


class Shot(NamedTuple):
    size: tuple[int, int] = DESKTOP
    query: str = ""
    act: Callable[[Page], None] = settled
    options: Mapping[str, Any] = MappingProxyType({})
    """of Playwright's `new_context`"""


SHOTS = {
    "desktop": Shot(),
    "forced-colours": Shot(options=FORCED),
    "contrast": Shot(query="?example=lion&head=aux2&class=lion&contrast=cougar"),
    "cells": Shot(act=cells, options=DARK),
    "wrong": Shot(query="?example=portrait"),
    "lesson": Shot(act=lesson),
    "search": Shot(act=lambda page: page.locator("#target").click(), options=KOREAN),
    "projector": Shot(PROJECTOR),
    "laptop": Shot(LAPTOP),
    "tablet": Shot(TABLET),
    "phone": Shot(PHONE),
    "phone-small": Shot(SMALL, "?example=cheetah", options=DARK | KOREAN),
    "phone-lesson": Shot(PHONE, act=lesson),
}


def shoot(folder: Path, url: str) -> None:
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        for name, (size, query, act, options) in SHOTS.items():
            phone = size[0] < 500
            with new_context(browser, device_scale_factor=2 if phone else 1, **options) as context:
                page = context.new_page()
                resize(page, *size)
                page.goto(url + query)
                page.wait_for_selector(".row")
                act(page)
                page.wait_for_timeout(1200)
                png = folder / f"{name}.png"
                page.screenshot(path=png, full_page=phone and size != SMALL)
                print(png)
                if name == "desktop":
                    sha256 = re.findall(r'"sha256": ?"([0-9a-f]{64})"', page.request.get(url + "config").text())[0]
                    for made, source in (("desktop", png), ("card", saved(page, "card").path())):
                        picture = Image.open(source).convert("RGB")
                        picture.save(folder / f"{made}.jpg", quality=86, optimize=True, comment=sha256)
        browser.close()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    if len(sys.argv) > 2:
        shoot(folder, sys.argv[2])
    else:
        with tempfile.TemporaryDirectory() as logs:
            program = start([], Path(logs))
            shoot(folder, program.url)
            stop(program)
