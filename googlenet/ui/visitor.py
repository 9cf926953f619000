"""Who asks, as far as a server can tell."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass

import gradio as gr


@dataclass(frozen=True)
class Visitor:
    """Who asks, as far as a server can tell."""

    session: str
    """one opened page, or one call of the API"""
    address: str | None = None
    """None where it tells nobody apart: this machine, or a proxy with a classroom behind it"""
    listens: bool = False
    """whether the question's own connection waits for its answer; else `FairQueue.is_read` tells"""


def visitor_of(request: gr.Request) -> Visitor:
    """Who asks. The address counts only where it is the visitor's own: not on this machine, through a proxy, or on a Space.

    uvicorn gives a visitor who comes through a proxy that it trusts ($FORWARDED_ALLOW_IPS) the port 0.
    """
    client = request.client
    shared = client is None or "SPACE_ID" in os.environ or client.port == 0 or ipaddress.ip_address(client.host).is_loopback
    return Visitor(request.session_hash or "", None if shared else client.host, listens=request.url.path.endswith("/run/predict"))
