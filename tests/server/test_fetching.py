"""Pictures that an API call names by an address, from a server that misbehaves."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import gradio as gr
import pytest
import safehttpx

from googlenet.ui import fetching
from googlenet.ui.fetching import Fetching
from tests.server.conftest import jpeg


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
            return
        self.send_response(404 if self.path == "/missing.jpg" else 200)
        self.end_headers()
        if self.path == "/lion.jpg":
            self.wfile.write(jpeg())
        try:
            while self.path == "/endless.jpg":
                self.wfile.write(bytes(1 << 20))
            while self.path == "/slow.jpg":
                self.wfile.write(b"x")
                time.sleep(0.02)
        except OSError:  # the client has had enough
            pass

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server that passes for the public host `here`."""

    async def public(host: str) -> str:
        if host != "here":
            raise ValueError("not public")
        return "127.0.0.1"

    monkeypatch.setattr(safehttpx, "async_validate_url", public)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()


async def gradios(path: object) -> str:
    """Gradio's own function, which is not to see an address."""
    return f"seen: {path}"


def fetched(address: str) -> Path:
    return Path(str(asyncio.run(Fetching(gradios)(address))))


def test_what_is_no_address_is_gradios() -> None:
    assert asyncio.run(Fetching(gradios)("/tmp/lion.jpg")) == "seen: /tmp/lion.jpg"


@pytest.mark.parametrize("way", ["", "to//to//", "to/http://here:{port}/"])
def test_a_picture_is_fetched(port: int, way: str, tmp_path: Path) -> None:
    found = fetched(f"http://here:{port}/{way}lion.jpg".format(port=port))
    assert found.read_bytes() == jpeg()
    assert found.name == "lion.jpg"
    assert found.is_relative_to(tmp_path)


def test_more_than_20_megabytes_are_refused_while_they_come(port: int, tmp_path: Path) -> None:
    with pytest.raises(gr.Error, match=r"endless\.jpg is larger than 20 MB"):
        fetched(f"http://here:{port}/endless.jpg")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    "address",
    [
        "http://here:{port}/slow.jpg",
        "http://here:{port}/missing.jpg",
        "http://here:{port}/to/http://127.0.0.1:{port}/lion.jpg",
        "http://here:{port}/to/file:///etc/passwd",
        "http://here:{port}" + "/to/" * 9 + "/lion.jpg",
        "http://127.0.0.1:{port}/lion.jpg",
        "http://here:1/lion.jpg",
        "http://here:99999/",
        "https://",
        "http://[",
        "http://" + "a" * 100_000,
    ],
)
def test_what_cannot_be_had_is_one_sentence(port: int, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "SECONDS", 0.5)
    with pytest.raises(gr.Error, match=r"^'No picture can be fetched from http[^\n]{1,300}; send the picture itself\.'$"):
        fetched(address.format(port=port))
    assert not os.listdir(tmp_path)


def test_few_are_fetched_at_a_time_and_who_waits_has_the_same_limit(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "SECONDS", 0.5)

    async def run() -> list[object]:
        file = Fetching(gradios)
        slow = [file(f"http://here:{port}/slow.jpg") for _ in range(fetching.AT_ONCE)]
        return await asyncio.gather(*slow, file(f"http://here:{port}/lion.jpg"), return_exceptions=True)

    assert all(isinstance(answer, gr.Error) for answer in asyncio.run(run()))
