"""The tab Channels in a browser: tiles, a touched cell, a tile opened large, and both languages."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit, model_requests, pixels, settled

TILES = "#tab-channels button.channel"
SPOKEN = re.compile(
    r"^−?[\d.]+\s% (1×1|3×3|5×5|pool) #\d+: (for|against) .+, "
    r"strongest \d+\s% from the left and \d+\s% from the top$"
)


def spoken(page: Page) -> list[str]:
    return list(page.locator(TILES).evaluate_all("tiles => tiles.map(tile => tile.ariaLabel)"))


def test_channels_of_a_stage_and_of_a_cell_and_one_of_them_large(visit: Visit) -> None:
    page = visit()
    sent = model_requests(page)
    assert sent == []  # nothing is asked for a tab that is closed
    page.get_by_role("tab", name="Channels").click()
    expect(page.locator(".group")).to_have_count(6)
    expect(page.locator(".group img")).to_have_count(18)
    shares = [float(text.rstrip("\u00a0%")) for text in page.locator(".group b").all_text_contents()]
    assert shares == sorted(shares, reverse=True)
    assert len({pixels(page, f".group canvas >> nth={i}") for i in range(6)}) == 6
    assert sent == ["groups"]  # single channels are one press deeper
    page.locator(".single summary").click()
    expect(page.locator(TILES)).to_have_count(8)
    expect(page.locator(f"{TILES} img")).to_have_count(8)  # from the atlas
    whole = spoken(page)
    assert all(SPOKEN.match(text) for text in whole), whole
    assert "for" in whole[0]
    assert "against" in whole[-1]

    page.locator(".big").press("Enter")  # touches the strongest cell
    expect(page.locator(".single-channels > p").first).to_contain_text("In the touched cell, row")
    expect(page.locator(f"{TILES} img").first).to_be_visible()
    assert spoken(page) != whole
    page.locator(".big").press("Escape")
    assert spoken(page) == whole

    page.locator(TILES).first.press("ArrowRight")
    second = page.locator(TILES).nth(1)
    expect(second).to_be_focused()
    second.press("Enter")
    large = page.get_by_role("dialog")
    expect(large).to_contain_text("Open a second picture")
    number = re.search(r"#(\d+):", whole[1])
    assert number
    expect(large.locator("canvas")).to_have_attribute("aria-label", re.compile(f"^Channel {number[1]} of"))
    large.press("Escape")
    expect(second).to_be_focused()

    page.locator('[data-example="lion"]').click()
    settled(page)
    expect(page.locator(f"{TILES} img")).to_have_count(8)
    page.locator(TILES).first.click()
    fired = large.locator(".row-of-last canvas")
    expect(fired).to_have_count(2)
    told = [str(each.get_attribute("aria-label")) for each in fired.all()]
    assert told[0].startswith("lion: ")
    assert sum("100\u00a0% of its strongest answer" in text for text in told) == 1
    large.get_by_role("button", name="Close").click()

    page.locator(".languages").click()
    page.locator(".single summary").click()
    expect(page.locator(TILES).first).to_have_attribute("aria-label", re.compile(r"^[\d.]+% .+ #\d+: ‘.+’ 클래스 지지"))
    expect(page.locator(f"{TILES} img")).to_have_count(8)
