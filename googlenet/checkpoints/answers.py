"""The Hub's answers that are read whole into memory: listings and errors. Whoever answers in its place may send for ever."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from httpx2 import Response, SyncByteStream
from huggingface_hub.utils import get_session

MAX_ANSWER = 4 * 1024 * 1024
"""Bytes; the listing of a repository has about 300 for each file."""

is_listing = ContextVar("is_listing", default=False)


class Bounded(SyncByteStream):
    """The body of a response, of at most `MAX_ANSWER` bytes. Beyond them, reading it raises ValueError."""

    def __init__(self, stream: SyncByteStream) -> None:
        self.stream = stream

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for part in self.stream:
            size += len(part)
            if size > MAX_ANSWER:
                raise ValueError("the answer is too long")
            yield part

    def close(self) -> None:
        self.stream.close()


def bound(response: Response) -> None:
    """What the client calls before it reads a response. A compressed one could unpack to any size: none is asked for."""
    if isinstance(response.stream, SyncByteStream) and (is_listing.get() or response.status_code >= 400):
        response.stream = Bounded(response.stream)
        response.headers.pop("Content-Encoding", None)


@contextmanager
def bounded_answers(listing: bool = False) -> Iterator[None]:
    """While huggingface_hub asks the Hub in this thread: errors are bounded, and with `listing` every answer."""
    hooks = get_session().event_hooks["response"]
    if bound not in hooks:
        hooks.append(bound)
    token = is_listing.set(listing)
    try:
        yield
    finally:
        is_listing.reset(token)
