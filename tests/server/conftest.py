"""The program in a process of its own, and a client that speaks Gradio's protocol by hand, so that it can misbehave."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.helpers import PATIENCE, ROOT, free_port, random_image
from tests.hub.conftest import write_model


def jpeg(seed: int = 0) -> bytes:
    file = io.BytesIO()
    random_image(320, 240, seed).save(file, "JPEG")
    return file.getvalue()


@dataclass(frozen=True)
class Program:
    process: subprocess.Popen[str]
    url: str
    temporary: Path
    """where it makes its folder"""
    log: Path

    @property
    def pictures(self) -> Path:
        (root,) = self.temporary.glob("inside-googlenet-*")
        return root / "pictures"

    def client(self) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=None)
        return httpx.AsyncClient(base_url=f"{self.url}gradio_api/", timeout=PATIENCE, limits=limits)

    def post(self, path: str, **content: Any) -> httpx.Response:
        return httpx.post(f"{self.url}gradio_api/{path}", timeout=PATIENCE, **content)

    def upload(self, data: bytes, name: str = "a.jpg", field: str = "files") -> httpx.Response:
        return self.post("upload", files={field: (name, data)})

    def event(self, name: str) -> int:
        """The number of one of the page's events, such as `select`."""
        config = httpx.get(f"{self.url}config", timeout=PATIENCE).json()
        return next(d["id"] for d in config["dependencies"] if d["targets"] and d["targets"][0][1] == name)


def start(arguments: list[str], temporary: Path, **variables: str) -> Program:
    """`python app.py …` on a free port, up and running."""
    port = free_port()
    log = temporary / "log.txt"
    environment = os.environ | {"GRADIO_TEMP_DIR": str(temporary), "HF_HUB_OFFLINE": "1"} | variables
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "app.py", "--port", str(port), "--device", "cpu", *arguments],
            cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}/"
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            httpx.get(url, timeout=PATIENCE)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return Program(process, url, temporary, log)
    process.kill()
    raise RuntimeError(f"app.py did not come up:\n{log.read_text()[-2000:]}")


@pytest.fixture(scope="package")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights: three classes, no auxiliary heads, quick."""
    write_model(folder := tmp_path_factory.mktemp("small"))
    return folder


@pytest.fixture(scope="package")
def program(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    program = start(["--weights", str(small)], tmp_path_factory.mktemp("temporary"))
    yield program
    program.process.terminate()
    program.process.wait(PATIENCE)


async def send(client: httpx.AsyncClient, session: str, event: int, question: dict[str, Any]) -> httpx.Response:
    """Send an event that is answered on its own connection, as the page does."""
    body = {"data": [], "event_data": question, "fn_index": event, "session_hash": session, "trigger_id": None}
    return await client.post("run/predict", json=body)


async def ask(client: httpx.AsyncClient, session: str, event: int, question: dict[str, Any]) -> Any:
    """The answer to a question, asked again as long as it has to wait."""
    while True:
        message = (await send(client, session, event, question)).raise_for_status().json()["data"][0]
        if "waiting" not in message:
            return message


async def join(client: httpx.AsyncClient, session: str, event: int, question: dict[str, Any]) -> httpx.Response:
    """Send an event to Gradio's queue; `read` brings what comes of it."""
    body = {"data": [], "event_data": question, "fn_index": event, "session_hash": session, "trigger_id": None}
    return await client.post("queue/join", json=body)


async def read(client: httpx.AsyncClient, session: str) -> AsyncIterator[Any]:
    """What the events of a session bring to the page's component, until all are done."""
    async with client.stream("GET", "queue/data", params={"session_hash": session}) as stream:
        async for line in stream.aiter_lines():
            message = json.loads(line[5:]) if line.startswith("data:") else {"msg": None}
            if message["msg"] in ("process_generating", "process_completed"):
                yield message["output"]["data"][0]
            if message["msg"] == "close_stream":
                return
