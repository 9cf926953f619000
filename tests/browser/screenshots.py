"""Pictures of the page's main states: `python -m tests.browser.screenshots FOLDER [URL]`, to be looked at.

Without a URL it starts `app.py` itself. `desktop.jpg` is the README's picture (`tests/browser/page.jpg`), `card.jpg` what links
to the page show (`googlenet/ui/card.jpg`); their comments hold the SHA-256 of the weights that they show.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from gradio.media import get_image
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from tests.browser.conftest import chromium, serve

DESKTOP, PHONE, NARROW = (1440, 900), (390, 844), (360, 740)


def weights(page: Page) -> None:
    page.locator(".weights summary").click()


def lesson(page: Page) -> None:
    page.locator(".teach summary").click()
    page.locator(".teach").scroll_into_view_if_needed()


def search(page: Page) -> None:
    page.locator("#target").click()


def cells(page: Page) -> None:
    page.locator('.stage[data-stage="5a"]').click()
    page.locator(".looks .cells").check()
    page.locator(".looks .threshold").fill("0.3")


def portrait(page: Page) -> None:
    page.locator(".file").set_input_files(get_image("tower.jpg"))
    expect(page.locator(".picture")).to_have_attribute("aria-label", re.compile("tower"))
    cells(page)


def mistake(page: Page) -> None:
    page.locator(".file").set_input_files({"name": "notes.jpg", "mimeType": "image/jpeg", "buffer": b"text"})  # type: ignore[arg-type]
    page.wait_for_selector(".mistake:not(:empty)")


def nothing(page: Page) -> None:
    pass


Shot = tuple[str, tuple[int, int], str, str, str, Callable[[Page], None]]
SHOTS: list[Shot] = [
    ("desktop", DESKTOP, "light", "en-GB", "", nothing),
    ("dark", DESKTOP, "dark", "en-GB", "", nothing),
    ("korean", DESKTOP, "light", "ko-KR", "", nothing),
    ("contrast", DESKTOP, "light", "en-GB", "?example=lion&head=aux2&class=lion&contrast=cougar", nothing),
    ("portrait", DESKTOP, "light", "en-GB", "", portrait),
    ("landscape", DESKTOP, "dark", "en-GB", "?example=cheetah", nothing),
    ("weights", DESKTOP, "light", "en-GB", "", weights),
    ("lesson", DESKTOP, "light", "en-GB", "", lesson),
    ("search", DESKTOP, "light", "en-GB", "", search),
    ("mistake", DESKTOP, "light", "en-GB", "", mistake),
    ("phone", PHONE, "light", "en-GB", "", nothing),
    ("phone-dark", NARROW, "dark", "ko-KR", "?example=cheetah", nothing),
]


def shoot(folder: Path, url: str, only: list[str]) -> None:
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        for name, (width, height), scheme, locale, query, act in SHOTS:
            if only and name not in only:
                continue
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=scheme,
                locale=locale,
                device_scale_factor=2 if width < 500 else 1,
            )  # type: ignore[arg-type]
            context.add_init_script("localStorage.setItem('googlenet.played', 'true')")
            page = context.new_page()
            page.goto(url + query)
            page.wait_for_selector(".row", timeout=60_000)
            act(page)
            page.wait_for_timeout(1200)
            png = folder / f"{name}.png"
            page.screenshot(path=png, full_page=width < 500)
            print(png)
            if name == "desktop":
                sha256 = re.findall(r'"sha256": ?"([0-9a-f]{64})"', page.request.get(url + "config").text())[0]
                with page.expect_download() as card:
                    page.locator("[data-take=card]").click()
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
            process, url = serve(Path(logs) / "log.txt")
            try:
                shoot(folder, url, [])
            finally:
                process.terminate()
