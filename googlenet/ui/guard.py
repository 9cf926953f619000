"""What every HTTP request passes before Gradio sees it: limits of its size, routes that are closed, headers, odd requests."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from contextlib import AbstractContextManager, AsyncExitStack, nullcontext

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from googlenet.errors import printable
from googlenet.ui.mailboxes import Mailboxes
from googlenet.ui.uploads import UploadFolder, is_disk_full

MEGABYTE = 1024 * 1024
API = "/gradio_api/"
UPLOAD, FILE = API + "upload", API + "file="
MCP_LIMIT = 28 * MEGABYTE
"""MCP brings pictures of up to 20 MB as `data:` URLs."""
EVENTS, CALL = (API + "queue/join", API + "run/predict"), API + "call/"
"""Where the page sends its events and gradio_client its calls, with their session, and where calls by plain HTTP go."""
LIMITS = (
    (UPLOAD, 25 * MEGABYTE),
    (API + "mcp", MCP_LIMIT),
    *((path, MEGABYTE // 8) for path in (*EVENTS, CALL)),  # a thousand may wait, each three times in memory
    ("", MEGABYTE),
)
"""(a path's beginning, bytes that a request's body may have)"""
UNFINISHED_UPLOADS, UNFINISHED_OTHERS = 1024 * MEGABYTE, 128 * MEGABYTE
"""Bytes of all bodies that are being received at a time: those of uploads go to the disk, others stay in memory."""
SESSION_CHARACTERS = 100
"""How long a session's name may be. Gradio keeps those of the last 2,000 sessions."""
ASKED = 8
"""How many events of one session may be unanswered; our queue refuses what is beyond six of them. A flood ends here, at a tenth
of what Gradio would spend on refusing it."""
FILES = 20
"""How many files and fields one upload may bring. The page and gradio_client bring one."""
BOUNDARY = re.compile(r'\bboundary=(?:"([^"]{1,70})"|([^\s;,"]{1,70}))(?:$|[\s;])', re.IGNORECASE)
"""RFC 2046 allows 70 characters."""
CLOSED = tuple(
    API + name
    for name in (
        "component_server",
        "process_recording",
        "deep_link",
        "stream/",
        "proxy=",
        "file=http",
        "file/",
        "upload_progress",
        "dev/",
        "vibe-",
        "run-history",
        "api/",
    )
)
"""Routes of Gradio that nothing here uses; they write files, fetch addresses, send for ever, or go around the queue."""

RENDERED = ("/", "/config")
"""What Gradio makes anew for each request, in 5 ms of one core."""
AT_ONCE = 1
"""How many of these are made at a time, so that a flood of them leaves the cores to questions."""

POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline' 'unsafe-eval'"
)
"""Gradio's page holds scripts and styles and makes the page's own script with `new Function`. Any site may frame the page, as
Spaces does."""

logger = logging.getLogger(__name__)


class Guard:
    """ASGI middleware in front of Gradio's routes."""

    def __init__(self, app: ASGIApp, mailboxes: Mailboxes, uploads: UploadFolder) -> None:
        self.app, self.mailboxes, self.uploads = app, mailboxes, uploads
        self.rendering = asyncio.Semaphore(AT_ONCE)
        self.uploading, self.others = Unfinished(UNFINISHED_UPLOADS), Unfinished(UNFINISHED_OTHERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        if is_upload := path.startswith(UPLOAD):
            scope = {**scope, "query_string": b""}  # Gradio keeps for ever what an `upload_id` names
        exchange = Exchange(scope, receive, send, self.uploading if is_upload else self.others)
        try:
            if path.startswith(CLOSED):
                raise HTTPException(404, "This page does not use that route.")
            exchange.check_headers()
            if path in RENDERED:
                await exchange.until_start.enter_async_context(self.rendering)
            with self.place_of(scope, await exchange.session_asking()):
                await self.app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            pass
        except Exception as error:
            if exchange.started and isinstance(error.__cause__, HTTPException):  # a stream whose session Gradio does not know
                await exchange.send({"type": "http.response.body"})
            elif exchange.started or (refusal := refuse(error, scope)) is None:
                raise
            else:
                await refusal(scope, receive, exchange.send)
        finally:
            exchange.unfinished.end(exchange)
            await exchange.until_start.aclose()
            if is_upload:
                self.uploads.wake()

    def place_of(self, scope: Scope, asking: str | None) -> AbstractContextManager[None]:
        """What lasts as long as a request: a session's reading of its messages, or its asking. Raises HTTPException."""
        path = scope["path"]
        if asking is not None and self.mailboxes.unanswered(asking) >= ASKED:
            raise HTTPException(429, f"{ASKED} of your questions are waiting already; ask again when one is answered.")
        if path.startswith((*EVENTS, CALL, API + "cancel")):
            self.mailboxes.bound()
        if asking is not None:
            return self.mailboxes.asking(asking)
        return self.mailboxes.reading(session) if (session := session_read(scope)) else nullcontext()


def session_read(scope: Scope) -> str | None:
    """The session whose messages a request is for. An API call without one has its event's name."""
    if scope["method"] == "GET" and scope["path"] == API + "queue/data":
        return QueryParams(scope["query_string"]).get("session_hash")
    if scope["method"] == "GET" and scope["path"].startswith(CALL):
        return str(scope["path"].rsplit("/", 1)[1])
    return None


def session_named(body: bytes) -> str | None:
    """The session that an event's body names, as Gradio reads it. Raises HTTPException for a name that is too long."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None  # Gradio refuses it, too
    session = found.get("session_hash") if isinstance(found, dict) else None
    if not isinstance(session, str):
        return None
    if len(session) > SESSION_CHARACTERS:
        raise HTTPException(400, f"The name of a session has at most {SESSION_CHARACTERS} characters.")
    return session


class Unfinished:
    """The bodies that are being received, at most so many bytes in all. Belongs to the server's event loop."""

    def __init__(self, limit: int) -> None:
        self.limit, self.total = limit, 0
        self.exchanges: dict[Exchange, int] = {}
        """those whose bodies have begun and not ended, in this order → bytes received"""

    def add(self, exchange: Exchange, size: int) -> None:
        """More has arrived. Beyond the limit, the body that began first is given up: a person's takes seconds."""
        self.exchanges[exchange] = self.exchanges.get(exchange, 0) + size
        self.total += size
        while self.total > self.limit:
            first = next(iter(self.exchanges))
            first.give_up()
            self.end(first)

    def end(self, exchange: Exchange) -> None:
        self.total -= self.exchanges.pop(exchange, 0)


class Exchange:
    """One request and its response, measured on their way."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, unfinished: Unfinished) -> None:
        self.unfinished, self.given_up, self.finished = unfinished, False, False
        self.waits: asyncio.Task[object] | None = None
        """what waits for the next part of the body"""
        self.headers, self.inner_receive, self.inner_send = Headers(scope=scope), receive, send
        self.limit = next(limit for start, limit in LIMITS if scope["path"].startswith(start))
        self.started = False
        self.until_start = AsyncExitStack()
        """what ends when the response starts: how fast it is read is the client's affair"""
        self.size = self.parts = 0
        self.delimiter, self.tail = b"", b""
        self.upload = scope["path"].startswith(UPLOAD) and scope["method"] == "POST"
        self.event = scope["method"] == "POST" and (scope["path"].rstrip("/") in EVENTS or scope["path"].startswith(CALL))
        self.read: list[Message] = []
        """what `session_asking` has read already, last message first"""

    def check_headers(self) -> None:
        """Raises HTTPException for a body that is announced as too large, or an upload whose parts could not be told apart."""
        length = self.headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 15:
            raise HTTPException(400, "Content-Length is not a number.")
        self.check(int(length))
        if self.upload:
            found = BOUNDARY.search(self.headers.get("content-type", ""))
            if not found:
                raise HTTPException(400, "An upload needs a multipart boundary of at most 70 characters.")
            self.delimiter = b"--" + (found[1] or found[2]).encode("latin-1")

    def check(self, size: int) -> None:
        if size > self.limit:
            most = f"{self.limit // MEGABYTE} MB" if self.limit >= MEGABYTE else f"{self.limit // 1024} KB"
            raise HTTPException(413, f"This request is larger than {most}.")

    async def session_asking(self) -> str | None:
        """The session that sends an event; None where none is named. Reads the body, which `receive` gives again.

        Raises HTTPException for a name that is too long.
        """
        if not self.event:
            return None
        messages = [await self.receive()]
        while messages[-1].get("more_body"):
            messages.append(await self.receive())
        self.read = messages[::-1]
        return session_named(b"".join(message.get("body", b"") for message in messages))

    async def receive(self) -> Message:
        if self.read:
            return self.read.pop()
        message = await (self.inner_receive() if self.finished else self.next_part())
        if message["type"] == "http.request":
            body = message.get("body", b"")
            self.size += len(body)
            self.check(self.size)
            self.finished = not message.get("more_body")
            if self.finished:
                self.unfinished.end(self)
            else:
                self.unfinished.add(self, len(body))
            if self.upload:
                self.count_parts(body)
        return message

    async def next_part(self) -> Message:
        """What comes next of an unfinished body. Raises HTTPException where it is given up."""
        self.waits = asyncio.current_task()
        try:
            if not self.given_up:
                return await self.inner_receive()
        except asyncio.CancelledError:
            if not self.given_up:
                raise
        finally:
            self.waits = None
        raise HTTPException(503, "The server receives too much at once; send this again in a moment.")

    def give_up(self) -> None:
        """Receive no more of the body, wherever the request's task waits for it."""
        self.given_up = True
        if self.waits is not None:
            self.waits.cancel()

    def count_parts(self, body: bytes) -> None:
        seen = self.tail + body
        self.parts += seen.count(self.delimiter)
        keep = len(self.delimiter) - 1
        self.tail = seen[max(0, len(seen) - keep) :]
        if self.parts > FILES + 1:  # one ends the last part
            raise HTTPException(413, f"Upload at most {FILES} files at a time.")

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            await self.until_start.aclose()
            headers = MutableHeaders(scope=message)
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Content-Security-Policy"] = POLICY
        await self.inner_send(message)


def refuse(error: Exception, scope: Scope) -> PlainTextResponse | None:
    """The response for what an odd request or a full disk raised; None for our own mistakes.

    Handlers run in the queue, so that what is raised while an API request is read is about the request; of a file's, about its
    Range.
    """
    if isinstance(error, HTTPException):
        return PlainTextResponse(error.detail, error.status_code)
    if is_disk_full(error):
        logger.error("The disk is full: %s", error)
        return PlainTextResponse("The server's disk is full; try again later.", 507)
    asks = scope["method"] == "POST" and scope["path"].startswith(API)
    if (asks or scope["path"].startswith(FILE)) and not isinstance(error, OSError):
        logger.warning("Refused an odd request to %s: %s", printable(scope["path"]), type(error).__name__)
        return PlainTextResponse("This is not a request that the page or its API sends.", 400)
    return None
