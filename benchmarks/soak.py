"""One honest visitor among many who misbehave: `python -m benchmarks.soak [--minutes 10] [--clients 32]`.

The others upload, ask, leave in the middle, break uploads off, send floods and huge bodies. Printed: the honest visitor's answers
(each compared with the one computed alone) and times, memory after the first tenth and at the end, files and bytes left.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np

from benchmarks.load import Server, Tally, ask_page, computed_alone, differs, photograph, upload
from googlenet.checkpoints.source import default_source
from googlenet.explainer import Explainer

PAUSE = 0.5
"""Seconds between the honest visitor's questions."""


async def honest(server: Server, alone: list[list[dict[str, object]]], end: float, tally: Tally) -> None:
    """Ask until the end, one question after the other, about pictures of its own."""
    async with server.client() as client:
        paths = [await upload(client, photograph(i)) for i in range(len(alone))]
        n = 0
        while time.monotonic() < end:
            picture = n % len(alone)
            expected = alone[picture][0]
            target = expected["question"]["target"]["index"]  # type: ignore[index]
            start = time.perf_counter()
            try:
                found = await ask_page(client, server, "honest", {"n": n, "upload": paths[picture], "target": target})
            except (httpx.HTTPError, KeyError, TypeError):
                tally.errors += 1
            else:
                tally.times.append(time.perf_counter() - start)
                tally.wrong += differs(found, expected)
            n += 1
            await asyncio.sleep(PAUSE)


async def asks(server: Server, client: httpx.AsyncClient, chance: random.Random) -> None:
    path = await upload(client, photograph(chance.randrange(1000)))
    await ask_page(client, server, f"{chance.random()}", {"n": 1, "upload": path})


async def leaves(server: Server, client: httpx.AsyncClient, chance: random.Random) -> None:
    """Ask and read nothing."""
    body = {"data": [], "fn_index": server.select, "session_hash": f"{chance.random()}", "trigger_id": None}
    await client.post("queue/join", json=body | {"event_data": {"n": 1, "example": "lion"}})


async def floods(server: Server, client: httpx.AsyncClient, chance: random.Random) -> None:
    """Sixty questions of one session at once."""
    body = {"data": [], "fn_index": server.select, "session_hash": f"{chance.random()}", "trigger_id": None}
    questions = (body | {"event_data": {"n": n, "example": "lion"}} for n in range(60))
    await asyncio.gather(*(client.post("queue/join", json=question) for question in questions))


async def breaks_off(server: Server, client: httpx.AsyncClient, chance: random.Random) -> None:
    """An upload that stops in the middle."""
    host, port = server.url.split("/")[2].split(":")
    head = "POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    part = '--b\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write((head + "Content-Length: 9999999\r\n\r\n" + part).encode() + bytes(chance.randrange(500_000)))
    with contextlib.suppress(OSError):
        await writer.drain()
    writer.close()


async def sends_too_much(server: Server, client: httpx.AsyncClient, chance: random.Random) -> None:
    await client.post("queue/join", content=b"[" * chance.randrange(1, 4_000_000))


async def sends_nonsense(server: Server, client: httpx.AsyncClient, chance: random.Random) -> None:
    path = await upload(client, chance.randbytes(chance.randrange(1, 200_000)))
    with contextlib.suppress(KeyError):  # the answer is an error
        await ask_page(client, server, f"{chance.random()}", {"n": 1, "upload": path})


HABITS = (asks, leaves, floods, breaks_off, sends_too_much, sends_nonsense)


async def misbehaves(server: Server, seed: int, end: float, done: dict[str, int]) -> None:
    chance = random.Random(seed)
    async with server.client() as client:
        while time.monotonic() < end:
            habit = chance.choice(HABITS)
            with contextlib.suppress(httpx.HTTPError, OSError, TypeError, KeyError):
                await habit(server, client, chance)
            done[habit.__name__] = done.get(habit.__name__, 0) + 1
            await asyncio.sleep(chance.random() * 2)


async def soak(
    server: Server, alone: list[list[dict[str, object]]], seconds: float, clients: int
) -> tuple[Tally, dict[str, int], float]:
    """The honest visitor's tally, what the others did, and the memory after a tenth of the time."""
    tally, done, end = Tally(), dict[str, int](), time.monotonic() + seconds
    others = [asyncio.create_task(misbehaves(server, seed, end, done)) for seed in range(clients)]
    me = asyncio.create_task(honest(server, alone, end, tally))
    await asyncio.sleep(seconds / 10)
    early = server.resident()
    await asyncio.gather(me, *others)
    return tally, done, early


def p95(tally: Tally) -> float:
    return float(np.percentile(tally.times or [0], 95)) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--weights", default=default_source())
    options = parser.parse_args()
    alone = computed_alone(Explainer.from_pretrained(options.weights, device="cpu"), 4, 1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        server = Server(options.weights)
        try:
            quiet, _, _ = asyncio.run(soak(server, alone, 10, 0))
            tally, done, early = asyncio.run(soak(server, alone, options.minutes * 60, options.clients))
            files = [path for path in Path(folder).rglob("*") if path.is_file()]
            size = sum(path.stat().st_size for path in files) / 2**20
            print(f"honest visitor: {len(tally.times)} answers, {tally.wrong} wrong, {tally.errors} errors")
            ratio = p95(tally) / p95(quiet)
            print(f"p95: {p95(quiet):.0f} ms alone, {p95(tally):.0f} ms among {options.clients} others, {ratio:.1f} times")
            print(f"the others: {', '.join(f'{name} {count}' for name, count in sorted(done.items()))}")
            print(f"memory: {early:.0f} MB after a tenth of the time, {server.resident():.0f} MB at the end")
            print(f"temporary folder: {len(files)} files, {size:.0f} MB")
        finally:
            server.close()
        print(f"left after the end: {sum(path.is_file() for path in Path(folder).rglob('*'))} files")


if __name__ == "__main__":
    main()
