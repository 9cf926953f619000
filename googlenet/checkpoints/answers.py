"""The connection to the Hub: what this machine's settings do to it, and how much of an answer is read.

Listings and errors are read whole into memory. Whoever answers in the Hub's place may send for ever.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from ssl import SSLCertVerificationError
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

from httpx2 import HTTPError, InvalidURL, Response, SyncByteStream, UnsupportedProtocol
from huggingface_hub import constants
from huggingface_hub.utils import get_session

from googlenet.errors import Reason

MAX_ANSWER = 4 * 1024 * 1024
"""Bytes; the listing of a repository has about 300 for each file."""

PROXIES = ("http_proxy", "https_proxy", "all_proxy")

is_listing = ContextVar("is_listing", default=False)


class HubAwayError(Exception):
    """The Hub gives no usable answer: there is no network, offline mode or a wrong variable is set, or the Hub has an error."""

    def __init__(self, why: Reason) -> None:
        super().__init__(str(why))
        self.why = why


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
    """While huggingface_hub asks the Hub in this thread: errors are bounded, and with `listing` every answer.

    Raises HubAwayError where this machine's settings allow no client: of a proxy or of certificates.
    """
    try:
        hooks = get_session().event_hooks["response"]
    except OSError:
        raise HubAwayError(Reason("the certificates in SSL_CERT_FILE cannot be read")) from None
    except (ImportError, InvalidURL, ValueError):
        raise HubAwayError(Reason("the proxy in {variables} cannot be used", variables=proxies())) from None
    if bound not in hooks:
        hooks.append(bound)
    token = is_listing.set(listing)
    try:
        yield
    finally:
        is_listing.reset(token)


def proxies() -> str:
    """The names of those environment variables that are set and name a proxy."""
    return ", ".join(sorted(name for name, value in os.environ.items() if value and name.lower() in PROXIES))


def settings_reason(error: BaseException | None) -> Reason | None:
    """Why a request failed, where this machine's settings are the cause; else None."""
    causes: list[BaseException] = []
    while error and error not in causes:
        causes.append(error)
        error = error.__cause__ or error.__context__
    if any(isinstance(cause, UnicodeEncodeError) for cause in causes):
        return Reason("HF_TOKEN holds a character that no token has")
    if any(isinstance(cause, UnsupportedProtocol) for cause in causes):
        return Reason("HF_ENDPOINT does not begin with https://")
    if any(isinstance(cause, SSLCertVerificationError) for cause in causes):
        return Reason("the certificate of {address} is not trusted here: SSL_CERT_FILE names those that are", address=host())
    if proxies() and any(isinstance(cause, HTTPError) for cause in causes) and not proxy_bypass(host()):
        return Reason("the Hub cannot be reached through the proxy in {variables}", variables=proxies())
    return None


def host() -> str:
    """The Hub's, or that of $HF_ENDPOINT."""
    return urlsplit(constants.ENDPOINT).hostname or ""
