"""What every HTTP request passes before Gradio sees it: which routes there are, how large a body may be.

What a proxy in front stops by itself (slow requests, floods of connections) is not here: SECURITY.md has the lines for nginx.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import re
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from urllib.parse import unquote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from googlenet.checkpoints.config import refuse_many_fields
from googlenet.errors import Reason
from googlenet.ui.messages import ENDPOINTS, SESSION_CHARACTERS
from googlenet.ui.uploads import is_disk_full

__all__ = ["Limits"]

MEGABYTE = 1024 * 1024
QUESTION = 16 * 1024
"""Bytes of a question or a call. It is read whole before Gradio gets it."""
HELD = 128 * MEGABYTE
"""Bytes of all bodies in memory at a time. Those of uploads go to the disk."""
_OPEN = 1000
"""Requests that are answered at a time."""
_FILE = "/gradio_api/file="
"""What stands before the path in an upload's address."""


class Route(NamedTuple):
    methods: str
    path: str
    """a regular expression of the whole path"""
    limit: int = 0
    """bytes that a body may have"""


_CALL = rf"/gradio_api/call/(v2/)?({'|'.join(ENDPOINTS)})"

_ROUTES = (
    Route("GET HEAD", r"/(config/?|theme\.css|favicon\.ico|robots\.txt|manifest\.json|pwa_icon(/\d+)?)?"),
    Route("GET HEAD", r"/(static|assets)/.+"),
    Route("GET HEAD", r"/gradio_api/file=(?!https?:).+"),
    Route("GET", r"/gradio_api/(info/?|openapi\.json|app_id|startup-events|queue/data|theme\.css)"),
    Route("GET", _CALL + r"/\w+"),
    Route("POST", _CALL, QUESTION),
    Route("POST", r"/gradio_api/(component_server/|queue/join|cancel|reset)", QUESTION),
    Route("POST", r"/gradio_api/upload", 25 * MEGABYTE),
    Route("GET POST DELETE", r"/gradio_api/mcp(/.*)?", 4 * MEGABYTE),  # the most that the package `mcp` takes
)
"""What the page, gradio_client, plain HTTP calls and, where it is installed, MCP use. Everything else is 404."""

UNDOCUMENTED_ROUTES = (
    ("GET", "/config"),
    ("GET", "/assets/x.js"),
    ("GET", "/gradio_api/file=x"),
    ("POST", "/gradio_api/upload"),
    ("POST", "/gradio_api/queue/join"),
    ("POST", "/gradio_api/component_server/"),
)
"""Routes of Gradio that it does not document and the page needs. Where a later Gradio has others, every route is open."""

_POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline' 'unsafe-eval'"
)
"""Gradio's page holds scripts and styles and makes a component's script with `new Function`. Any site may frame the page, as
Spaces does."""


class Limits:
    """ASGI middleware in front of Gradio's routes."""

    def __init__(self, app: ASGIApp, uploads: Path, hosts: frozenset[str] | None = None) -> None:
        """`uploads`: their folder; `hosts`: this server's names, where it serves this machine alone, else None."""
        self.app, self.uploads, self.hosts = app, uploads, hosts
        self.open = self.held = 0
        self.listed: bool | None = None
        """whether `_ROUTES` are those of this Gradio; None before the first request"""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        exchange = Exchange(self, receive, send)
        self.open += 1
        try:
            if self.open > _OPEN:
                raise HTTPException(503, "The server is busy; ask again in a moment.")
            scope = await self.check(scope, exchange)
            await self.app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            pass
        except (HTTPException, OSError) as error:
            if is_disk_full(error):
                logging.error("The disk is full: %s", error)
                refusal = PlainTextResponse("The server's disk is full; try again later.", 507)
            elif isinstance(error, HTTPException):
                refusal = PlainTextResponse(error.detail, error.status_code)
            else:
                raise
            if exchange.started:
                raise
            await refusal(scope, receive, exchange.send)
        finally:
            self.open -= 1
            self.held -= exchange.held

    async def check(self, scope: Scope, exchange: Exchange) -> Scope:
        """The request as Gradio gets it. Raises HTTPException for one that it does not get."""
        path, headers = scope["path"], Headers(scope=scope)
        if self.listed is None:
            self.listed = _are_there(scope)
        route = next((r for r in _ROUTES if scope["method"] in r.methods.split() and re.fullmatch(r.path, path)), None)
        if route is None:
            if self.listed:
                raise HTTPException(404, "This page has no such route.")
            route = Route("", "", MEGABYTE)
        if {"cookie", "authorization"} & set(headers) and "origin" in headers and headers.get("sec-fetch-site") == "cross-site":
            raise HTTPException(403, "Another site's page may not use what a proxy in front of this one knows a visitor by.")
        for name, value in (("Host", headers.get("host", "")), ("Origin", headers.get("origin"))):
            if value is not None and not self.is_own(value):
                raise HTTPException(
                    403, f"This page serves its own machine alone, and its {name} is not {value[:100]!a}. See SECURITY.md."
                )
        exchange.limit = route.limit
        exchange.on_disk = path.endswith("/upload")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:15]) > route.limit:
            exchange.refuse_size()
        if route.limit == QUESTION:
            exchange.body = await Request(scope, exchange.receive).body()
            exchange.body = self.check_call(path, exchange.body)
        elif path.startswith("/gradio_api/mcp") and scope["method"] == "POST":
            exchange.body = await Request(scope, exchange.receive).body()
            try:
                refuse_many_fields(exchange.body)
            except Reason as why:
                raise HTTPException(400, f"This message is refused: {why}.") from None
        return {**scope, "query_string": b""} if exchange.on_disk else scope  # Gradio keeps for ever what an `upload_id` names

    def is_own(self, address: str) -> bool:
        """Whether a Host, or the host of an Origin, is this server. A foreign page may have given its own name this address."""
        if self.hosts is None:
            return True
        try:
            name = urlsplit(address if "://" in address else f"//{address}").hostname or ""
            return name in self.hosts or ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False

    def check_call(self, path: str, body: bytes) -> bytes:
        """The body as Gradio gets it. Raises HTTPException for a file that was not uploaded here: Gradio would fetch one."""
        try:
            call = json.loads(body or b"{}", object_hook=self.check_file)
            checked = json.dumps(call).encode()
        except (ValueError, RecursionError):
            raise HTTPException(400, "This is not JSON.") from None
        if isinstance(call, dict):
            session = call.get("session_hash")
            if isinstance(session, str) and len(session) > SESSION_CHARACTERS:  # Gradio keeps those of the last 2,000
                raise HTTPException(400, f"The name of a session has at most {SESSION_CHARACTERS} characters.")
            _check_values(path, call)
        return checked

    def check_file(self, part: dict[str, Any]) -> dict[str, Any]:
        """A part of a call. What Gradio takes for a file has `path` and `meta`. An address of an upload becomes its path."""
        path = part.get("path") if "meta" in part else None
        if not isinstance(path, str):
            return part
        if _FILE in path and path.startswith(("http://", "https://")):  # what Gradio's upload tool for MCP gives
            path = unquote(path.partition(_FILE)[2])
            part = {**part, "path": path, "url": None}
        if not Path(path.replace("\0", "")).resolve().is_relative_to(self.uploads):
            raise HTTPException(
                400, "The picture is not a file that was uploaded here; upload it first and send its path, as docs/api.md shows."
            )
        return part


def _check_values(path: str, call: dict[str, Any]) -> None:
    """Raises HTTPException for a call that Gradio would answer with no sentence, and with a traceback in the log."""
    number = call.get("fn_index") if path.endswith("/queue/join") else None
    name = list(ENDPOINTS)[number] if isinstance(number, int) and 0 <= number < len(ENDPOINTS) else path.rpartition("/")[2]
    if not (takes := ENDPOINTS.get(name)):
        return
    if "/v2/" in path:
        fits, picture = call.keys() <= set(takes), call.get("image", 0)
    else:
        values = data if isinstance(data := call.get("data"), list) else []
        fits = len(values) >= len(takes)
        picture = values[0] if fits else 0
    if not fits or not _is_file(picture):
        raise HTTPException(
            400,
            f"/{name} takes {', '.join(takes)}: in data all of them in this order, in call/v2 by name; "
            'the picture is {"path": "…", "meta": {"_type": "gradio.FileData"}}, as docs/api.md shows.',
        )


class Exchange:
    """One request and its response, measured on their way."""

    def __init__(self, limits: Limits, receive: Receive, send: Send) -> None:
        self.limits, self.inner_receive, self.inner_send = limits, receive, send
        self.limit = self.size = self.held = 0
        self.on_disk = self.started = False
        self.body: bytes | None = None
        """what was read to be checked, until `receive` gives it again"""

    async def receive(self) -> Message:
        if self.body is not None:
            body, self.body = self.body, None
            return {"type": "http.request", "body": body}
        message = await self.inner_receive()
        length = len(message.get("body", b""))
        self.size += length
        if self.size > self.limit:
            self.refuse_size()
        if not self.on_disk:
            self.held += length
            self.limits.held += length
            if self.limits.held > HELD:
                raise HTTPException(503, "The server receives too much at once; send this again in a moment.")
        return message

    def refuse_size(self) -> NoReturn:
        most = f"{self.limit // MEGABYTE} MB" if self.limit >= MEGABYTE else f"{self.limit // 1024} KB"
        raise HTTPException(413, f"This request is larger than {most}.")

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Content-Security-Policy"] = _POLICY
        await self.inner_send(message)


def _is_file(value: object) -> bool:
    """Whether a value is what Gradio takes for a file, or for none."""
    meta = value.get("meta") if isinstance(value, dict) and isinstance(value.get("path"), str) else None
    return value is None or (isinstance(meta, dict) and meta.get("_type") == "gradio.FileData")


def _are_there(scope: Scope) -> bool:
    """Whether the app that a request is for has the routes in `UNDOCUMENTED_ROUTES`."""
    for method, path in UNDOCUMENTED_ROUTES:
        asked = {"type": "http", "method": method, "path": path, "headers": []}
        if not any(route.matches(asked)[0] == Match.FULL for route in scope["app"].routes):
            logging.warning("This Gradio has no route %s: the list of routes does not fit it, and every route is open.", path)
            return False
    return True
