"""Measures the time from choosing a photograph to all nine maps on the screen: `python -m benchmarks.page [--rounds 20]`.

It needs a Chromium and the extra `test`, as the browser tests do.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from googlenet.checkpoints.source import default_source
from googlenet.inference.explainer import Explainer
from googlenet.pictures.images import open_image
from googlenet.ui.desk import packed
from googlenet.ui.messages import PageQuery, data_url
from googlenet.ui.uploads import EXAMPLES, SIDE
from tests.browser.conftest import chromium, serve

SIZE = (1732, 1155)
"""2 megapixels"""

WATCH = """() => {
  const walk = document.querySelector('#walk [aria-busy]');
  const begin = () => { window.chosen = performance.now(); window.took = null; };
  document.querySelector('.file').addEventListener('change', begin, true);
  new MutationObserver(() => { if (walk.getAttribute('aria-busy') === 'false')
    requestAnimationFrame(() => setTimeout(() => { window.took ??= performance.now() - window.chosen; })); })
    .observe(walk, {attributeFilter: ['aria-busy']});
}"""
"""The task that ends the wait also draws the maps, so the next frame shows them. They then fade in."""


def photograph(number: int) -> bytes:
    """A JPEG of `SIZE`, different for each number."""
    file = io.BytesIO()
    Image.open(EXAMPLES["lion"]).convert("RGB").resize(SIZE).rotate(number / 4).save(file, "JPEG", quality=90)
    return file.getvalue()


def in_page(page: Page, rounds: int) -> tuple[list[float], list[int]]:
    """For each round: milliseconds from the choice of a file to the painted frame, and bytes that the browser received."""
    received: list[int] = []
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    network.on("Network.dataReceived", lambda event: received.append(event["dataLength"]))
    page.evaluate(WATCH)
    took, bytes_ = [], []
    for number in range(rounds + 1):
        received.clear()
        page.locator(".file").set_input_files({"name": f"{number}.jpg", "mimeType": "image/jpeg", "buffer": photograph(number)})
        page.wait_for_function("() => window.took")
        took.append(page.evaluate("() => window.took"))
        page.wait_for_timeout(500)
        bytes_.append(sum(received))
    return took[1:], bytes_[1:]  # the first warms up


SHIFT = """() => { window.shift = 0;
  new PerformanceObserver(l => { for (const e of l.getEntries()) window.shift += e.value; }).observe({type: 'layout-shift'}); }"""

PLAY = """() => new Promise(done => {
  const times = [], page = document.querySelector('.page');
  let last = performance.now();
  document.querySelector('.play').click();
  const tick = now => { times.push(now - last); last = now;
    page.classList.contains('playing') ? requestAnimationFrame(tick) : done(times.slice(1)); };
  requestAnimationFrame(tick);
})"""


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Milliseconds, and what the function returned."""
    started = time.perf_counter()
    result = function()
    return (time.perf_counter() - started) * 1000, result


def in_python(explainer: Explainer, number: int) -> tuple[float, float, float, int]:
    """Milliseconds to decode a photograph, to explain it and to pack the answer; bytes of the picture in the answer."""
    data = photograph(number)
    decode, image = timed(lambda: open_image(data))
    explain, explanation = timed(lambda: explainer.explain(image))
    ask = PageQuery(number, upload="photo.jpg")
    pack, message = timed(lambda: packed(explanation, explainer.config.trust, ask, data_url(image, SIDE)))
    return decode, explain, pack, len(message["picture"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        process, url = serve(Path(home) / "log.txt")
        try:
            page = chromium(playwright).new_page(viewport={"width": 1440, "height": 900})
            page.goto(url)
            page.wait_for_selector(".row")
            page.evaluate("() => new Promise(done => setTimeout(done, 4000))")  # the first example plays once
            page.evaluate(SHIFT)
            took, received = in_page(page, rounds)
            shift = page.evaluate("window.shift")
            frames = sorted(page.evaluate(PLAY))
        finally:
            process.terminate()
    explainer = Explainer.from_pretrained(default_source())
    parts = [in_python(explainer, number) for number in range(rounds + 1)][1:]
    decode, explain, pack = (statistics.median(part[i] for part in parts) for i in range(3))
    total, bytes_, picture = (statistics.median(x) for x in (took, received, [part[3] for part in parts]))
    print(f"{rounds} photographs of {SIZE[0]}×{SIZE[1]} pixels, medians\n")
    print("| part | ms |\n|---|---|")
    print(f"| from the choice of a file to all maps on the screen | {total:.0f} (slowest {max(took):.0f}) |")
    print(f"| of it: decoding the photograph | {decode:.0f} |")
    print(f"| of it: preparing it, network, Grad-CAM | {explain:.0f} |")
    print(f"| of it: packing maps and picture | {pack:.0f} |")
    print(f"| of it: upload, transport, drawing in the browser | {total - decode - explain - pack:.0f} |")
    late, slow = sum(frame > 25 for frame in frames) / len(frames), frames[int(len(frames) * 0.95)]
    print(
        f"\nPlay: {len(frames)} frames, median {statistics.median(frames):.1f} ms, 95th {slow:.1f} ms,",
        end=" ",
    )
    print(f"longest {frames[-1]:.0f} ms, {late:.1%} later than 25 ms. Layout shift of all rounds: {shift:.4f}.")
    print(f"\nSent to the browser: {bytes_ / 1000:.0f} KB, {picture / 1000:.0f} KB of it the picture.")


if __name__ == "__main__":
    main()
