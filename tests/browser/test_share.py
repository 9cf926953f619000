"""The enlarged stage as a picture: saved, and copied."""

from __future__ import annotations

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.conftest import STAGE, Visit, take


def test_the_stage_alone_is_saved_as_it_is_shown(visit: Visit) -> None:
    page = visit("?example=cheetah")
    colours = set()
    for stage in ("3a", "5b"):
        page.locator(STAGE.format(stage)).click()
        with page.expect_download() as download:
            take(page, "stage")
        assert download.value.suggested_filename.endswith(f"-{stage}.png")
        with Image.open(download.value.path()) as picture:
            assert picture.size == pytest.approx((1080, 1080), abs=5)  # as square as what was seen
            colours.add(picture.convert("RGB").resize((8, 8)).tobytes())
    assert len(colours) == 2


def test_the_stage_alone_is_copied_as_a_picture(visit: Visit) -> None:
    page = visit("?example=cheetah", permissions=["clipboard-read", "clipboard-write"])
    take(page, "copy")
    expect(page.locator(".take-say")).to_have_text("Stage 4e copied as a picture")
    size = page.evaluate(
        "async () => { const [item] = await navigator.clipboard.read();"
        " const picture = await createImageBitmap(await item.getType('image/png')); return [picture.width, picture.height]; }"
    )
    assert size == pytest.approx([1080, 1080], abs=5)
    page.evaluate("() => { navigator.clipboard.write = () => Promise.reject(new Error('refused')); }")
    take(page, "copy")
    expect(page.locator(".take-say")).to_contain_text("save the stage as PNG")
