"""Connections that do nothing: closed in time, and the first to go when there are too many.

uvicorn waits for ever for a request that does not come and for a response that nobody takes, and at the operating system's limit
of open files it accepts nobody any more: a thousand silent connections shut everyone out.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import uvicorn

MAX_CONNECTIONS = 1000
"""Beyond them, each new connection ends an older one."""
FILES = 4 * MAX_CONNECTIONS
"""Open files that the program asks the operating system for: an upload takes two."""
HEAD_SECONDS, BODY_SECONDS, READ_SECONDS = 20.0, 300.0, 30.0
"""How long a client may take for a request's head and for its body, and may take nothing of a response that waits for it."""
IDLE_SECONDS = 15
"""How long a connection is kept for the next request. httpx, and so gradio_client, uses one again for 5 s; with uvicorn's own 5 s
the server hung up on every thirtieth request that came at that moment."""
LOOK_SECONDS = 5.0
"""How often a connection is looked at."""


class Watched(asyncio.Protocol):
    """What one of uvicorn's protocols gets in front of it: one object a connection, on the server's event loop."""

    connections: set[Any]
    cycle: Any
    """the request that is answered, or was answered last"""
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.awaited, self.since = self.awaits(), self.loop.time()
        self.next_look = self.loop.call_later(LOOK_SECONDS, self.look)
        if len(self.connections) > MAX_CONNECTIONS:
            others = (other for other in self.connections if other is not self)
            oldest = min(others, key=lambda other: (other.awaits() is None, other.since))
            self.connections.discard(oldest)
            oldest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.next_look.cancel()
        super().connection_lost(exc)

    def awaits(self) -> tuple[float, object, int] | None:
        """What the client is to do: (seconds that it may take, and two values that change when it has done something); None where
        the server has the turn."""
        if waiting := self.transport.get_write_buffer_size():
            return READ_SECONDS, self.cycle, waiting
        if self.cycle is None or self.cycle.response_complete:
            return HEAD_SECONDS, self.cycle, 0
        return (BODY_SECONDS, self.cycle, 0) if self.cycle.more_body else None

    def look(self) -> None:
        awaited = self.awaits()
        if awaited is None or awaited != self.awaited:
            self.awaited, self.since = awaited, self.loop.time()
        elif self.loop.time() - self.since > awaited[0]:
            self.transport.abort()
            return
        self.next_look = self.loop.call_later(LOOK_SECONDS, self.look)


def watch(server: uvicorn.Server) -> None:
    """Watch the connections that a server accepts from now on."""
    config = server.config
    config.timeout_keep_alive = IDLE_SECONDS
    config.http_protocol_class = type("WatchedProtocol", (Watched, config.http_protocol_class), {})


def allow_open_files() -> None:
    """Raise the operating system's limit of open files where it is lower; macOS starts programs with 256."""
    if sys.platform == "win32":  # no limit that matters
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < FILES:
        most = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
        with contextlib.suppress(ValueError, OSError):  # a sandbox that forbids it
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
