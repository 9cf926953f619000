"""Serve the page: `googlenet serve`, `python app.py`, and a Space."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import gc
import importlib.util
import inspect
import io
import os
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from googlenet.errors import UserError
from googlenet.ui.connections import allow_open_files, watch
from googlenet.ui.logs import bound_logs
from googlenet.ui.uploads import UploadFolder

if TYPE_CHECKING:
    from googlenet.ui.layout import Page
    from googlenet.ui.mailboxes import Mailboxes

FIRST_PORT, PORTS = 7860, 100
"""Where no port is named, the first free one of these."""
M_ARENA_MAX = -8
"""malloc.h"""
GOODBYE, QUIET = 3.5, 1.0
"""Seconds that the last messages have at most for their way to the browsers when the program ends, and for which none must be
left unread."""


def serve(source: str, device: str, host: str | None, port: int | None, share: bool) -> NoReturn:
    """Load the weights and serve the page until SIGTERM or Ctrl-C, which end the process.

    Args:
        source: the weights, as in `googlenet.load`.
        device: `auto`, `cpu` or `cuda`.
        host: name or address to listen on; by default $GRADIO_SERVER_NAME, else this machine alone.
        port: by default $GRADIO_SERVER_PORT, else the first free one from 7860.
        share: whether to ask for a public link.

    Raises:
        UserError: the weights cannot be loaded, or the page cannot be served there.
    """
    host = host or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    port = find_port(host, port)
    signal.signal(signal.SIGTERM, end)
    with UploadFolder() as uploads:
        set_environment(uploads.path)
        bound_arenas()
        allow_open_files()
        page = load_page(source, device)
        mailboxes = launch(page, uploads, host, port, share)
        status = 0
        try:
            while True:
                time.sleep(0.2)  # and look for signals: of a program that was stopped (Ctrl-Z), another thread may get them
        except SystemExit:
            pass
        except KeyboardInterrupt:
            status = 130
        say_goodbye(page, mailboxes)
    os._exit(status)  # a pass or a download may still run in a thread


def end(*_: object) -> NoReturn:
    """SIGTERM: unwind the main thread."""
    raise SystemExit


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
        if not is_free(host, port):
            raise UserError("Port {port} is taken or not allowed here; choose another with --port.", port=port)
        return port
    for port in range(FIRST_PORT, FIRST_PORT + PORTS):
        if is_free(host, port):
            return port
    raise UserError("No port from {first} to {last} is free; choose another with --port.", first=FIRST_PORT, last=port)


def is_free(host: str, port: int) -> bool:
    """Whether this program could listen there. Raises UserError for a host that is not this machine's."""
    try:
        places = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in places:
            with socket.socket(family, kind, protocol) as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tried.bind(address)
    except (socket.gaierror, UnicodeError):
        raise UserError("The host {host} is not known here; choose another with --host.", host=host) from None
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise UserError("The host {host} is not this machine; choose another with --host.", host=host) from None
        return False
    return True


def set_environment(pictures: Path) -> None:
    """What Gradio and the Hub's library read when they are imported or asked."""
    os.environ["GRADIO_TEMP_DIR"] = str(pictures)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # a start is reported to nobody
    os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "1"  # no statistics with pandas after each event
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(10**9)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def bound_arenas() -> None:
    """Let all threads share two heaps, where the C library is glibc. Each thread that runs a pass would keep its memory in one
    of its own: the program grew from 1 to 3 GB under 32 visitors."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX, 2)


def load_page(source: str, device: str) -> Page:
    """The page with its weights loaded. Raises UserError."""
    from googlenet.inference.explainer import Explainer

    if not os.environ.get("SPACES_ZERO_GPU"):
        with ThreadPoolExecutor(1) as beside:  # Gradio's import takes longer than the weights
            loading = beside.submit(Explainer.from_pretrained, source, device=device)
            from googlenet.ui.layout import build
        explainer = loading.result()
        explainer.answer_in_workers()
        return build(explainer, device)
    import spaces  # a Space that gets a GPU for the time of each call; app.py imports this first

    from googlenet.ui.layout import build

    explainer = Explainer.from_pretrained(source, device="cpu", bfloat16=False)  # the GPU's precision, whatever this CPU has
    page = build(explainer, "cpu", spaces.GPU)
    explainer.to("cuda", graphs=False)
    return page


def launch(page: Page, uploads: UploadFolder, host: str, port: int, share: bool) -> Mailboxes:
    """Start the server's threads and say where the page is. Raises UserError where the port is taken."""
    from starlette.middleware import Middleware

    from googlenet.ui.guard import Guard
    from googlenet.ui.layout import launch_options
    from googlenet.ui.mailboxes import Mailboxes

    gc.freeze()  # a collection would look through all that the libraries made, and stop every answer for 0.3 s
    mailboxes = Mailboxes(page.demo)
    for queue in page.queues:
        queue.is_read = mailboxes.is_read
    guard = Middleware(Guard, mailboxes=mailboxes, uploads=uploads)
    try:
        with contextlib.redirect_stdout(io.StringIO()) if share else contextlib.nullcontext():  # what follows says it shorter
            _, local, public = page.demo.launch(
                server_name=host,
                server_port=port,
                share=share,
                quiet=True,
                prevent_thread_lock=True,
                mcp_server=serves_mcp(),
                **launch_options(guard),
            )
    except OSError:
        raise UserError("Port {port} is taken or not allowed here; choose another with --port.", port=port) from None
    watch(page.demo.server)
    bound_logs()
    uploads.remembered = page.demo.temp_file_sets
    print(f"Inside GoogLeNet is at {local}", flush=True)
    if share:
        print(f"Public link: {public}" if public else f"No public link can be had now; the page stays at {local}", flush=True)
    return mailboxes


def serves_mcp() -> bool:
    """Whether assistants can call the endpoints. mcp refuses bodies over 4 MB unless told, and Gradio tells it nothing."""
    if importlib.util.find_spec("mcp") is None:
        return False
    from gradio.mcp import GradioMCPServer

    from googlenet.ui.guard import MCP_LIMIT

    manager = GradioMCPServer.StreamableHTTPSessionManager
    if "max_request_body_size" in inspect.signature(manager).parameters:  # older versions have no limit
        limited = functools.partial(manager, max_request_body_size=MCP_LIMIT)
        GradioMCPServer.StreamableHTTPSessionManager = staticmethod(limited)
    return True


def say_goodbye(page: Page, mailboxes: Mailboxes) -> None:
    """Tell who waits for an answer that the program restarts."""
    from gradio.tunneling import CURRENT_TUNNELS

    for queue in page.queues:
        queue.stop()
    now = begun = busy = time.monotonic()
    while now < min(busy + QUIET, begun + GOODBYE):
        time.sleep(0.05)
        now = time.monotonic()
        if not mailboxes.are_idle():
            busy = now
    for tunnel in CURRENT_TUNNELS:
        tunnel.kill()  # type: ignore[no-untyped-call]
    sys.stdout.flush()
