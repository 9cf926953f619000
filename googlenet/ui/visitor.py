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
    """None where it tells nobody apart: this machine, or a proxy with a classroom behind it; of IPv6, the network's"""
    listens: bool = False
    """whether the question's own connection waits for its answer; else `FairQueue.is_read` tells"""


def visitor_of(request: gr.Request) -> Visitor:
    """Who asks. The address counts only where it is the visitor's own: not on this machine, through a proxy, or on a Space.

    uvicorn gives a visitor who comes through a proxy that it trusts ($FORWARDED_ALLOW_IPS) the port 0.
    """
    client = request.client
    address = None if client is None or client.port == 0 or "SPACE_ID" in os.environ else own_address(client.host)
    return Visitor(request.session_hash or "", address, listens=request.url.path.endswith("/run/predict"))


def own_address(host: str) -> str | None:
    """An address that is not this machine's; of IPv6, its network's, of which one visitor has all addresses. None otherwise."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # what a visitor wrote into a header, where a proxy passes it on
        return None
    address = getattr(address, "ipv4_mapped", None) or address  # where one socket takes both kinds
    if address.is_loopback:
        return None
    return str(ipaddress.ip_network((int(address), 64), strict=False).network_address) if address.version == 6 else str(address)
