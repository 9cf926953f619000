"""Connections whose client does nothing, and too many of them, in front of a real uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from googlenet.ui import connections

Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Open = Callable[[bytes], Awaitable[Line]]
LARGE = 20_000_000
"""Bytes that no buffer of the operating system holds."""
STEP = LARGE // 30


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEAD_SECONDS", "BODY_SECONDS", "READ_SECONDS"):
        monkeypatch.setattr(connections, name, 0.3)
    monkeypatch.setattr(connections, "LOOK_SECONDS", 0.05)


async def reads(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def large(request: Request) -> Response:
    return Response(bytes(LARGE))


async def works(request: Request) -> Response:
    await asyncio.sleep(0.6)
    return PlainTextResponse("done")


async def held(request: Request) -> Response:
    """Answers when the test says so."""
    request.app.state.begun.set()
    await request.app.state.ends.wait()
    return PlainTextResponse("done")


@asynccontextmanager
async def served(**events: asyncio.Event) -> AsyncIterator[Open]:
    """A server; a function that opens a connection to it and sends something."""
    methods = ["GET", "POST"]
    app = Starlette(routes=[Route(f"/{f.__name__}", f, methods=methods) for f in (reads, large, works, held)])
    for name, event in events.items():
        setattr(app.state, name, event)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        running = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:
            await asyncio.sleep(0.01)
        connections.watch(server)
        lines: list[Line] = []

        async def opened(data: bytes) -> Line:
            lines.append(await asyncio.open_connection(*listening.getsockname(), limit=STEP))
            lines[-1][1].write(data)
            return lines[-1]

        yield opened
        for _, writer in lines:
            writer.transport.abort()
        server.should_exit = True
        await running


def request(path: str, more: str = "", method: str = "GET") -> bytes:
    return f"{method} /{path} HTTP/1.1\r\nHost: here\r\n{more}\r\n".encode()


async def rest(line: Line) -> bytes:
    """What comes until the server closes the connection."""
    read = b""
    with contextlib.suppress(ConnectionError):
        while part := await asyncio.wait_for(line[0].read(1 << 16), 20):
            read += part
    return read


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /reads HTTP/1.1\r\nHost: he", request("reads", "Content-Length: 9\r\n", "POST") + b"1234", request("reads")],
    ids=["nothing", "half a head", "half a body", "a request and no other"],
)
def test_a_client_that_sends_nothing_more_is_left(sent: bytes) -> None:
    async def run() -> bytes:
        async with served() as opened:
            return await rest(await opened(sent))

    assert (b"200 OK" in asyncio.run(run())) == sent.endswith(b"\r\n\r\n")


def test_a_client_that_sends_a_byte_now_and_then_is_left() -> None:
    async def run() -> bytes:
        async with served() as opened:
            line = await opened(request("reads", "Content-Length: 10000\r\n", "POST"))

            async def drip() -> None:
                while True:
                    line[1].write(b"x")
                    await asyncio.sleep(0.02)

            dripping = asyncio.create_task(drip())
            read = await rest(line)
            dripping.cancel()
            return read

    assert asyncio.run(run()) == b""


def test_a_client_that_does_not_read_is_left_and_one_that_reads_slowly_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "READ_SECONDS", 1.0)  # a busy machine may pause for a part of it

    async def run() -> tuple[int, int]:
        async with served() as opened:
            stuck, slow = await opened(request("large")), await opened(request("large", "Connection: close\r\n"))
            read = 0
            for _ in range(24):
                await asyncio.sleep(0.05)
                read += len(await slow[0].read(STEP))
            left, more = await asyncio.gather(rest(stuck), rest(slow))
            return len(left), read + len(more)

    stuck, slow = asyncio.run(run())
    assert stuck < LARGE < slow


def test_a_client_that_waits_for_an_answer_stays() -> None:
    async def run() -> bytes:
        async with served() as opened:
            return await rest(await opened(request("works", "Connection: close\r\n")))

    assert asyncio.run(run()).endswith(b"done")


def test_a_client_that_uses_a_connection_again_after_five_seconds_finds_it_open() -> None:
    """httpx, and so gradio_client, does."""
    config = uvicorn.Config(Starlette(), log_level="critical")
    config.load()
    connections.watch(uvicorn.Server(config))
    assert 5 < config.timeout_keep_alive < 20


def test_beyond_the_limit_the_client_that_did_nothing_for_longest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 3)
    monkeypatch.setattr(connections, "HEAD_SECONDS", 60.0)

    async def run() -> tuple[list[bytes], bytes]:
        begun, ends = asyncio.Event(), asyncio.Event()
        async with served(begun=begun, ends=ends) as opened:
            working = await opened(request("held", "Connection: close\r\n"))
            await begun.wait()
            silent = [await opened(b"") for _ in range(6)]
            ended = [await rest(line) for line in silent[:4]]
            ends.set()
            return ended, await rest(working)

    ended, worked = asyncio.run(run())
    assert ended == [b""] * 4
    assert worked.endswith(b"done")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_low_limit_of_open_files_is_raised() -> None:
    code = "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (256, r.getrlimit(r.RLIMIT_NOFILE)[1]))\n"
    code += "from googlenet.ui.connections import FILES, allow_open_files; allow_open_files()\n"
    code += "soft, hard = r.getrlimit(r.RLIMIT_NOFILE); assert soft == (FILES if hard < 0 else min(FILES, hard)), (soft, hard)"
    subprocess.run([sys.executable, "-c", code], check=True)
