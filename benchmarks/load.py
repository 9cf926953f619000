"""What a crowd gets, and what it costs: `python -m benchmarks.load [--clients 1,8,32,128] [--kinds page,classify,explain]`.

Every client brings its own picture and asks questions of its own. Each answer is compared with the one computed alone, in this
process. CPU is that of the server's processes; the engine's is of explanations in batches of 8 on one thread, measured here
first.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch
from PIL import Image

from googlenet.checkpoints.source import default_source
from googlenet.inference.explainer import Explainer

ROOT = Path(__file__).parent.parent
TOLERANCE = 0.03
"""How far a probability may be from the one computed alone: bfloat16 rounds otherwise in another batch."""


def photograph(number: int) -> bytes:
    """A picture of 500×375 pixels that no other client has, as JPEG."""
    noise = np.random.default_rng(number).integers(0, 256, (24, 32, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((500, 375), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


class Page:
    """A running page."""

    def __init__(self, url: str) -> None:
        """Raises httpx.TransportError while nothing answers there."""
        self.url = url
        config = httpx.get(f"{url}config", timeout=60).json()
        self.component = next(each["id"] for each in config["components"] if "explain" in each["props"].get("server_fns", ()))

    def question(self, session: str, question: dict[str, Any]) -> dict[str, Any]:
        """The body of a request in which the page's script asks for an answer."""
        asked = {**question, "session": session}
        return {"data": asked, "component_id": self.component, "fn_name": "explain", "session_hash": session[:100]}

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=f"{self.url}gradio_api/", timeout=600, limits=httpx.Limits(max_connections=None))


class Server(Page):
    """`python app.py` in a process of its own."""

    def __init__(self, weights: str) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        command = [sys.executable, "app.py", "--port", str(port), "--device", "cpu", "--weights", weights]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        while self.process.poll() is None:
            try:
                super().__init__(f"http://127.0.0.1:{port}/")
            except httpx.TransportError:
                time.sleep(0.1)
            else:
                return
        raise RuntimeError("app.py ended")

    def processes(self) -> list[int]:
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/children")  # each has those that it started
        return [self.process.pid, *(int(child) for thread in threads for child in thread.read_text("ascii").split())]

    def cpu(self) -> float:
        """CPU seconds so far."""
        ticks = 0
        for pid in self.processes():
            fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def resident(self) -> float:
        """Megabytes."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) for pid in self.processes())
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)


async def upload(client: httpx.AsyncClient, data: bytes) -> str:
    response = await client.post("upload", files={"files": ("photo.jpg", data)})
    response.raise_for_status()
    return str(response.json()[0])


async def ask_page(client: httpx.AsyncClient, page: Page, session: str, question: dict[str, Any]) -> dict[str, Any]:
    """The JSON of the answer that the page gets."""
    reply = (await client.post("component_server/", json=page.question(session, question))).raise_for_status().json()
    return dict(reply["answer"]["result"])


async def ask_api(client: httpx.AsyncClient, name: str, path: str, target: int) -> dict[str, Any]:
    """The JSON of `/explain`, or the heads of `/classify`."""
    data: list[Any] = [{"path": path, "meta": {"_type": "gradio.FileData"}}]
    data += ["main", str(target), "", "grad-cam"] if name == "explain" else []
    event = (await client.post(f"call/{name}", json={"data": data})).raise_for_status().json()["event_id"]
    text = (await client.get(f"call/{name}/{event}")).text
    answer: dict[str, Any] = json.loads(text.rpartition("event: complete")[2].strip().removeprefix("data: "))[0]
    return answer


@dataclass
class Tally:
    times: list[float] = field(default_factory=list)
    """seconds"""
    wrong: int = 0
    errors: int = 0


def differs(found: dict[str, Any], alone: dict[str, Any]) -> bool:
    """Whether an answer is another than the one computed alone. `/classify` gives the heads alone."""
    heads = found.get("heads", found)
    for head, predictions in alone["heads"].items():
        sent = {each["index"]: each["probability"] for each in heads[head] or []}
        own = {each["index"]: each["probability"] for each in predictions or []}
        if any(abs(sent[index] - own[index]) > TOLERANCE for index in sent.keys() & own.keys()) or not sent.keys() & own.keys():
            return bool(own)
    return "heads" in found and found["question"]["target"] != alone["question"]["target"]


async def one_client(
    server: Server, client: httpx.AsyncClient, kind: str, number: int, alone: list[dict[str, Any]], tally: Tally
) -> None:
    path = await upload(client, photograph(number))
    for n, expected in enumerate(alone):
        target, start = expected["question"]["target"]["index"], time.perf_counter()
        try:
            if kind == "page":
                question = {"n": n, "upload": path, "target": target, "known": n > 0}
                found = await ask_page(client, server, f"{kind} {number}", question)
            else:
                found = await ask_api(client, kind, path, target)
        except (httpx.HTTPError, KeyError, TypeError, json.JSONDecodeError) as error:
            print(f"{kind}, client {number}: {error!r}", file=sys.stderr)
            tally.errors += 1
        else:
            tally.times.append(time.perf_counter() - start)
            tally.wrong += differs(found, expected)


async def crowd(server: Server, kind: str, answers: list[list[dict[str, Any]]]) -> tuple[Tally, float]:
    """One client for each list of answers computed alone; the tally, and the seconds that all took."""
    tally, start = Tally(), time.perf_counter()
    async with server.client() as client:
        await asyncio.gather(*(one_client(server, client, kind, i, alone, tally) for i, alone in enumerate(answers)))
    return tally, time.perf_counter() - start


async def start_workers(server: Server) -> None:
    """Be a crowd until the server has its workers, which start when questions first wait."""
    async with server.client() as client:
        for _ in range(20):
            asked = (ask_page(client, server, f"first {i}", {"n": 1, "example": "lion"}) for i in range(8))
            await asyncio.gather(*asked)
            await asyncio.sleep(0.5)


def computed_alone(explainer: Explainer, clients: int, questions: int) -> list[list[dict[str, Any]]]:
    """client → question → the JSON of its answer."""
    count = len(explainer.labels)
    return [
        [explainer.explain(photograph(i), target=(7 * i + 3 * n) % count).to_json("photo.jpg") for n in range(questions)]
        for i in range(clients)
    ]


def engine_cpu(explainer: Explainer, rounds: int = 10) -> float:
    """CPU seconds for an explanation in batches of 8, pictures decoded."""
    images = [Image.open(io.BytesIO(photograph(i))).convert("RGB") for i in range(8)]
    questions = [explainer.question(target=i % len(explainer.labels)) for i in range(8)]
    explainer.explain_batch(images, questions)
    start = time.process_time()
    for _ in range(rounds):
        explainer.explain_batch(images, questions)
    return (time.process_time() - start) / (8 * rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", default="1,8,32,128")
    parser.add_argument("--kinds", default="page,classify,explain")
    parser.add_argument("--answers", type=int, default=128, help="how many each line has at least; default: %(default)s")
    parser.add_argument("--weights", default=default_source())
    options = parser.parse_args()
    counts = [int(count) for count in options.clients.split(",")]
    torch.set_num_threads(1)  # as the server's passes have
    explainer = Explainer.from_pretrained(options.weights, device="cpu")
    engine = engine_cpu(explainer)
    print(f"engine: {engine * 1000:.1f} ms of CPU for an explanation in batches of 8\n")
    print(
        "| kind | clients | answers | wrong | errors | answers/s | p50 | p95 | p99 ms | CPU ms | × engine | MB before | after |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    server = Server(options.weights)
    try:
        if max(counts) > 1:
            asyncio.run(start_workers(server))
        for count in counts:
            answers = computed_alone(explainer, count, max(1, -(-options.answers // count)))
            for kind in options.kinds.split(","):
                cpu, before = server.cpu(), server.resident()
                tally, seconds = asyncio.run(crowd(server, kind, answers))
                cost = (server.cpu() - cpu) / max(1, len(tally.times))
                p50, p95, p99 = np.percentile(tally.times or [0], [50, 95, 99]) * 1000
                done = len(tally.times)
                print(
                    f"| {kind} | {count} | {done} | {tally.wrong} | {tally.errors} | {done / seconds:.1f} "
                    f"| {p50:.0f} | {p95:.0f} | {p99:.0f} | {cost * 1000:.0f} | {cost / engine:.2f} "
                    f"| {before:.0f} | {server.resident():.0f} |",
                    flush=True,
                )
    finally:
        server.close()


if __name__ == "__main__":
    main()
