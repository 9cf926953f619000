"""What every HTTP request passes before Gradio sees it: limits of its size, routes that are closed, headers, odd requests."""

from __future__ import annotations

import errno
import logging
import re
from contextlib import nullcontext

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from googlenet.ui.mailboxes import Mailboxes
from googlenet.ui.uploads import UploadFolder

MEGABYTE = 1024 * 1024
API = "/gradio_api/"
UPLOAD = API + "upload"
LIMITS = ((UPLOAD, 25 * MEGABYTE), (API + "mcp", 28 * MEGABYTE), ("", MEGABYTE))
"""(a path's beginning, bytes that a request's body may have); MCP brings pictures as `data:` URLs of up to 20 MB"""
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
        "vibe-",
        "run-history",
        "run/",
        "api/",
    )
)
"""Routes of Gradio that nothing here uses; they write files, fetch addresses, or go around the queue."""

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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send)
        path = scope["path"]
        try:
            if path.startswith(CLOSED):
                raise HTTPException(404, "This page does not use that route.")
            exchange.check_headers()
            with self.mailboxes.reading(session) if (session := session_read(scope)) else nullcontext():
                if path.startswith((API + "queue/join", API + "call/")):
                    self.mailboxes.bound()
                await self.app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            pass
        except Exception as error:
            if exchange.started or (refusal := refuse(error, scope)) is None:
                raise
            await refusal(scope, receive, exchange.send)
        finally:
            if path.startswith(UPLOAD):
                self.uploads.wake()


def session_read(scope: Scope) -> str | None:
    """The session whose messages a request is for. An API call without one has its event's name."""
    if scope["method"] == "GET" and scope["path"] == API + "queue/data":
        return QueryParams(scope["query_string"]).get("session_hash")
    if scope["method"] == "GET" and scope["path"].startswith(API + "call/"):
        return str(scope["path"].rsplit("/", 1)[1])
    return None


class Exchange:
    """One request and its response, measured on their way."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.headers, self.inner_receive, self.inner_send = Headers(scope=scope), receive, send
        self.limit = next(limit for start, limit in LIMITS if scope["path"].startswith(start))
        self.started = False
        self.size = self.parts = 0
        self.delimiter, self.tail = b"", b""
        self.upload = scope["path"].startswith(UPLOAD) and scope["method"] == "POST"

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
            raise HTTPException(413, f"This request is larger than {self.limit // MEGABYTE} MB.")

    async def receive(self) -> Message:
        message = await self.inner_receive()
        if message["type"] == "http.request":
            body = message.get("body", b"")
            self.size += len(body)
            self.check(self.size)
            if self.upload:
                self.count_parts(body)
        return message

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
            headers = MutableHeaders(scope=message)
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Content-Security-Policy"] = POLICY
        await self.inner_send(message)


def refuse(error: Exception, scope: Scope) -> PlainTextResponse | None:
    """The response for what an odd request or a full disk raised; None for our own mistakes.

    Handlers run in the queue, so that what is raised while an API request is read is about the request.
    """
    if isinstance(error, HTTPException):
        return PlainTextResponse(error.detail, error.status_code)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        logger.error("The disk is full: %s", error)
        return PlainTextResponse("The server's disk is full; try again later.", 507)
    if scope["method"] == "POST" and scope["path"].startswith(API) and not isinstance(error, OSError):
        logger.warning("Refused an odd request to %s: %s", scope["path"], type(error).__name__)
        return PlainTextResponse("This is not a request that the page or its API sends.", 400)
    return None
