"""One honest visitor among many who misbehave: `python -m benchmarks.soak [--minutes 10] [--clients 32]`.

The others upload, ask, hang up, break uploads off, send floods and huge bodies. They run in a process of their own, at the lowest
priority: on a real page they are other people's machines, and here they must not take the cores of the server that they attack.
Printed: the honest visitor's answers (each compared with the one computed alone) and times, memory after the first minute and at
the end, files and bytes left.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.load import Page, Server, Tally, ask_page, computed_alone, differs, photograph, upload
from googlenet.checkpoints.source import default_source
from googlenet.inference.explainer import Explainer

PAUSE = 0.5
"""Seconds between the honest visitor's questions."""
ALONE = 20
"""Seconds for which the honest visitor is measured alone."""


async def honest(page: Page, alone: list[list[dict[str, Any]]], end: float, tally: Tally) -> None:
    """Ask until the end, one question after the other, about pictures of its own."""
    async with page.client() as client:
        paths = [await upload(client, photograph(i)) for i in range(len(alone))]
        n = 0
        while time.monotonic() < end:
            picture = n % len(alone)
            expected = alone[picture][0]
            target = expected["question"]["target"]["index"]
            start = time.perf_counter()
            try:
                found = await ask_page(client, page, "honest", {"n": n, "upload": paths[picture], "target": target})
            except (httpx.HTTPError, KeyError, TypeError):
                tally.errors += 1
            else:
                tally.times.append(time.perf_counter() - start)
                tally.wrong += differs(found, expected)
            n += 1
            await asyncio.sleep(PAUSE)


async def asks(page: Page, client: httpx.AsyncClient, chance: random.Random) -> None:
    path = await upload(client, photograph(chance.randrange(1000)))
    await ask_page(client, page, f"{chance.random()}", {"n": 1, "upload": path})


async def hangs_up(page: Page, client: httpx.AsyncClient, chance: random.Random) -> None:
    with contextlib.suppress(httpx.TimeoutException):
        question = page.question(f"{chance.random()}", {"n": 1, "example": "lion"})
        await client.post("component_server/", json=question, timeout=chance.random() / 10)


async def never_reads(page: Page, client: httpx.AsyncClient, chance: random.Random) -> None:
    path = await upload(client, photograph(chance.randrange(1000)))
    await client.post("call/channels", json={"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}, "main", "", "", ""]})


async def floods(page: Page, client: httpx.AsyncClient, chance: random.Random) -> None:
    """Sixty questions of one session at once."""
    seed = chance.random()
    questions = (page.question(f"{seed}", {"n": n, "example": "lion"}) for n in range(60))
    await asyncio.gather(*(client.post("component_server/", json=question) for question in questions))


async def breaks_off(page: Page, client: httpx.AsyncClient, chance: random.Random) -> None:
    """An upload that stops in the middle."""
    host, port = page.url.split("/")[2].split(":")
    head = "POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    part = '--b\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write((head + "Content-Length: 9999999\r\n\r\n" + part).encode() + bytes(chance.randrange(500_000)))
    with contextlib.suppress(OSError):
        await writer.drain()
    writer.close()


async def sends_too_much(page: Page, client: httpx.AsyncClient, chance: random.Random) -> None:
    await client.post("component_server/", content=b"[" * chance.randrange(1, 4_000_000))


async def sends_nonsense(page: Page, client: httpx.AsyncClient, chance: random.Random) -> None:
    path = await upload(client, chance.randbytes(chance.randrange(1, 200_000)))
    with contextlib.suppress(KeyError):  # the answer is an error
        await ask_page(client, page, f"{chance.random()}", {"n": 1, "upload": path})


HABITS = (asks, hangs_up, never_reads, floods, breaks_off, sends_too_much, sends_nonsense)


async def misbehaves(page: Page, seed: int, end: float, done: Counter[str]) -> None:
    chance = random.Random(seed)
    async with page.client() as client:
        while time.monotonic() < end:
            habit = chance.choice(HABITS)
            with contextlib.suppress(httpx.HTTPError, OSError, TypeError, KeyError):
                await habit(page, client, chance)
            done[habit.__name__] += 1
            await asyncio.sleep(chance.random() * 2)


async def misbehave(page: Page, clients: int, seconds: float) -> None:
    """What the process of the others does; it prints how often each thing was done."""
    os.setsid()
    Path("/proc/self/autogroup").write_text("19", "ascii")  # Linux shares the cores between sessions, then within each
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # a core that runs this counts as free
    done, end = Counter[str](), time.monotonic() + seconds
    await asyncio.gather(*(misbehaves(page, seed, end, done) for seed in range(clients)))
    print(json.dumps(done))


async def measure(server: Server, alone: list[list[dict[str, Any]]], seconds: float) -> tuple[Tally, float]:
    """The honest visitor's tally, and the server's memory after the first minute, in megabytes."""
    tally = Tally()
    me = asyncio.create_task(honest(server, alone, time.monotonic() + seconds, tally))
    await asyncio.sleep(min(60, seconds))
    early = server.resident()
    await me
    return tally, early


def p95(tally: Tally) -> float:
    return float(np.percentile(tally.times or [0], 95)) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--weights", default=default_source())
    parser.add_argument("--misbehave", metavar="URL", help=argparse.SUPPRESS)  # the process of the others
    options = parser.parse_args()
    if options.misbehave:
        return asyncio.run(misbehave(Page(options.misbehave), options.clients, options.minutes * 60))
    alone = computed_alone(Explainer.from_pretrained(options.weights, device="cpu"), 4, 1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        server = Server(options.weights)
        try:
            asyncio.run(measure(server, alone, 5))  # the first questions wait for memory
            quiet, _ = asyncio.run(measure(server, alone, ALONE))
            command = [sys.executable, "-m", "benchmarks.soak", "--misbehave", server.url, "--clients", str(options.clients)]
            others = subprocess.Popen([*command, "--minutes", str(options.minutes)], stdout=subprocess.PIPE, text=True)
            cpu = server.cpu()
            tally, early = asyncio.run(measure(server, alone, options.minutes * 60))
            cpu = (server.cpu() - cpu) / (options.minutes * 60)
            done = json.loads(others.communicate()[0])
            files = [path for path in Path(folder).rglob("*") if path.is_file()]
            size = sum(path.stat().st_size for path in files) / 2**20
            print(f"honest visitor: {len(tally.times)} answers, {tally.wrong} wrong, {tally.errors} errors")
            ratio = p95(tally) / p95(quiet)
            print(f"p95: {p95(quiet):.0f} ms alone, {p95(tally):.0f} ms among {options.clients} others, {ratio:.1f} times")
            print(f"the others, in a process of the lowest priority: {', '.join(f'{k} {n}' for k, n in sorted(done.items()))}")
            print(f"the server meanwhile: {cpu:.2f} cores")
            print(f"memory: {early:.0f} MB after the first minute, {server.resident():.0f} MB at the end")
            print(f"temporary folder: {len(files)} files, {size:.0f} MB")
        finally:
            server.close()
        print(f"left after the end: {sum(path.is_file() for path in Path(folder).rglob('*'))} files")


if __name__ == "__main__":
    main()
