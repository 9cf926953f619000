"""Serve the page: `googlenet serve`, `python app.py`, and a Space."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import importlib.util
import io
import ipaddress
import itertools
import os
import signal
import socket
import ssl
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

from httpx2 import URL, InvalidURL

from googlenet.errors import UserError
from googlenet.errors.korean import in_locale
from googlenet.ui.uploads import examples_in, kept_pictures

if TYPE_CHECKING:
    import gradio as gr

    from googlenet.ui.desk import Desk

__all__ = ["serve"]

_TITLE = "Inside GoogLeNet"
_FIRST_PORT, _PORTS = 7860, 100
"""Where no port is named, the first free one of these."""
_GOODBYE, _QUIET = 3.0, 0.5
"""Seconds at the end: those that the last replies may take, and those for their way to the browsers."""


def serve(
    source: str,
    device: str,
    host: str | None,
    port: int | None,
    share: bool,
    *,
    labels: str | None = None,
    title: str = _TITLE,
    examples: str | None = None,
) -> NoReturn:
    """Load the weights and serve the page until SIGTERM or Ctrl-C, which end the process. Raises UserError."""
    host = (host or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1").strip("[]")
    port = find_port(host, port)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # unwinds the main thread
    with kept_pictures() as pictures:
        _set_environment(pictures.folder, host)
        _bound_arenas()
        gc.disable()  # what the imports make stays: the collector would look through it again and again
        own = examples_in(Path(examples)) if examples else None
        from googlenet.checkpoints import load
        from googlenet.inference.explainer import Explainer

        with ThreadPoolExecutor(1) as beside:  # Gradio's import takes longer than the weights
            loading = beside.submit(lambda: Explainer(load(source, labels=labels), device))
            from googlenet.ui.page import build
        explainer = loading.result()
        explainer.answer_in_workers()
        demo, desk = build(explainer, pictures, device, title, own)
        _launch(demo, pictures.folder, host, port, share, title)
        status = 0
        try:
            while True:
                time.sleep(0.2)  # and look for signals: of a program that was stopped (Ctrl-Z), another thread may get them
        except SystemExit:
            pass
        except KeyboardInterrupt:
            status = 130
        _say_goodbye(desk)
    if share:  # Gradio closes its tunnel when the interpreter ends, which waits for a pass or a download
        ending = threading.Timer(1, os._exit, [status])
        ending.daemon = True
        ending.start()
        sys.exit(status)
    os._exit(status)


def find_port(host: str, port: int | None) -> int:
    """The port to listen on, tried. Raises UserError."""
    named = os.environ.get("GRADIO_SERVER_PORT")
    if port is None and named:
        if not named.isdecimal():
            raise UserError("GRADIO_SERVER_PORT is {value}, which is not a number; set it to a port, or unset it.", value=named)
        port = int(named[:9])
    if port is not None:
        if not 1 <= port <= 65535:
            raise UserError("There is no port {port}; choose one from 1 to 65535.", port=port)
        if not _is_free(host, port):
            raise UserError("Port {port} is taken or not allowed here; choose another with --port.", port=port)
        return port
    for port in range(_FIRST_PORT, _FIRST_PORT + _PORTS):
        if _is_free(host, port):
            return port
    raise UserError("No port from {first} to {last} is free; choose another with --port.", first=_FIRST_PORT, last=port)


def _is_free(host: str, port: int) -> bool:
    """Whether this program could listen there. Raises UserError for a host that is not this machine's."""
    try:
        places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in places:
            with socket.socket(family, kind, protocol) as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:  # as the server does: it takes no IPv4 address in IPv6's notation
                    tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                tried.bind(address)
    except (socket.gaierror, UnicodeError):
        raise UserError("The host {host} is not known here; choose another with --host.", host=host) from None
    except OSError as error:
        if error.errno in (errno.EADDRNOTAVAIL, errno.EINVAL):
            raise UserError("The host {host} is not this machine; choose another with --host.", host=host) from None
        return False
    return True


def _set_environment(pictures: Path, host: str) -> None:
    """What Gradio and the Hub's library read when they are imported or asked. They ask this server without a proxy."""
    os.environ["GRADIO_TEMP_DIR"] = str(pictures)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # a start is reported to nobody
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    for name in ("GRADIO_DEBUG", "GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT", "GRADIO_SHARE"):
        os.environ.pop(name, None)  # those that `serve` has read, and those with which `_launch` would do other than it is told
    for name, value in list(os.environ.items()):
        if value and not is_usable(name, value):
            del os.environ[name]  # the value is not said: a proxy's may hold a password
            _say(UserError("{name} has a value that this program cannot use; it goes on without.", name=name))
    named = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    direct = [*filter(None, map(str.strip, named.split(","))), "localhost", "127.0.0.1", "::1", host]
    for wrong in itertools.filterfalse(is_host, direct):
        _say(UserError("no_proxy holds {host}, which this program cannot use; it goes on without.", host=wrong))
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(filter(is_host, direct))


def _say(problem: UserError) -> None:
    print(in_locale(problem), file=sys.stderr)


def is_usable(name: str, value: str) -> bool:
    """Whether Gradio's HTTP client, made at its import, takes a variable's value; True for what it does not read."""
    try:
        if name == "SSL_CERT_FILE":
            ssl.create_default_context(cafile=value)
        elif name.lower() in ("http_proxy", "https_proxy", "all_proxy"):
            url = URL(value if "://" in value else f"http://{value}")
            return url.scheme in ("http", "https") and bool(url.host)
    except (OSError, InvalidURL):
        return False
    return name != "SSL_CERT_DIR" or any(map(os.path.isdir, value.split(os.pathsep)))


def is_host(entry: str) -> bool:
    """Whether Gradio's HTTP client, which makes an address of each entry of no_proxy, can make one of this."""
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(entry)
        return True
    try:
        URL(f"all://*{entry}")
    except InvalidURL:
        return False
    return True


def _bound_arenas() -> None:
    """Let all threads share two heaps, where the C library is glibc. Each thread that runs a pass would keep its memory in one
    of its own: the program grew from 1 to 3 GB under 32 visitors."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL("libc.so.6").mallopt(-8, 2)  # M_ARENA_MAX of malloc.h


def _launch(demo: gr.Blocks, uploads: Path, host: str, port: int, share: bool, title: str) -> None:
    """Start the server's threads and say where the page is. Raises UserError where the port is taken."""
    from starlette.middleware import Middleware
    from starlette.middleware.gzip import GZipMiddleware

    from googlenet.ui.limits import Limits
    from googlenet.ui.page import Preview, head, theme

    gc.freeze()  # a collection would look through all that the libraries made, and stop every answer meanwhile
    gc.enable()
    middleware = [
        Middleware(Limits, uploads=uploads, hosts=None if share else own_names(host)),
        Middleware(GZipMiddleware, compresslevel=5),
        Middleware(Preview, title=title),
    ]
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # what follows says it shorter
            _, local, public = demo.launch(
                server_name=f"[{host}]" if ":" in host else host,
                server_port=port,
                share=share,
                quiet=True,
                prevent_thread_lock=True,
                theme=theme(),
                head=head(),
                footer_links=["api"],
                run_history=False,
                enable_monitoring=False,
                max_file_size="20mb",
                app_kwargs={"middleware": middleware},
                state_session_capacity=50,  # what Gradio keeps of a session nothing here reads
                ssr_mode=False,
                pwa=False,
                mcp_server=importlib.util.find_spec("mcp") is not None,
            )
    except OSError:
        raise UserError("Port {port} is taken or not allowed here; choose another with --port.", port=port) from None
    print(f"Inside GoogLeNet is at {local}", flush=True)
    if share:
        print(f"Public link: {public}" if public else f"No public link can be had now; the page stays at {local}", flush=True)


def own_names(host: str) -> frozenset[str] | None:
    """The names of a server that listens on this machine alone; None for one that others reach."""
    if not all(ipaddress.ip_address(address[0]).is_loopback for *_, address in socket.getaddrinfo(host, None)):
        return None
    public = urlsplit(os.environ.get("GRADIO_ROOT_PATH", "")).hostname  # of the proxy in front
    return frozenset({"localhost", host.lower(), *([public] if public else [])})


def _say_goodbye(desk: Desk) -> None:
    """Tell who waits for an answer that the program restarts."""
    desk.close()
    latest = time.monotonic() + _GOODBYE
    while desk.open and time.monotonic() < latest:
        time.sleep(0.05)
    time.sleep(_QUIET)
    sys.stdout.flush()
