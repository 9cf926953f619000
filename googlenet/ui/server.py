"""Serve the page: `googlenet serve`, `python app.py`, and a Space."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before Gradio is imported: a start is reported to nobody
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

try:
    import spaces  # on a Space; app.py imports it before anything touches CUDA
except ImportError:
    spaces = None

import gradio as gr

from googlenet.errors import UserError
from googlenet.explainer import Explainer
from googlenet.ui.layout import build, launch_options

ZERO_GPU = spaces is not None and bool(os.environ.get("SPACES_ZERO_GPU"))
"""Whether this is a Space that gets a GPU for the time of each call."""


def serve(source: str, device: str, host: str | None, port: int | None, share: bool) -> None:
    """Load the weights and serve the page until interrupted. Raises UserError."""
    launch(page(source, device), host, port, share)


def page(source: str, device: str) -> gr.Blocks:
    """The page with its weights loaded. Raises UserError."""
    if not ZERO_GPU:
        return build(Explainer.from_pretrained(source, device=device), device)
    explainer = Explainer.from_pretrained(source, device="cpu", bfloat16=False)  # the GPU's precision, whatever this CPU has
    demo = build(explainer, "cpu", spaces.GPU)
    explainer.to("cuda", graphs=False)
    return demo


def launch(demo: gr.Blocks, host: str | None, port: int | None, share: bool) -> None:
    """Serve until interrupted. Raises UserError where the port is taken."""
    try:
        with contextlib.redirect_stdout(io.StringIO()) if share else contextlib.nullcontext():  # what follows says it shorter
            _, local, public = demo.launch(
                server_name=host,
                server_port=port,
                share=share,
                quiet=True,
                prevent_thread_lock=True,
                mcp_server=importlib.util.find_spec("mcp") is not None,
                **launch_options(),
            )
    except OSError:
        wanted = port or os.environ.get("GRADIO_SERVER_PORT")
        if wanted is None:
            raise
        raise UserError("Port {port} is taken or not allowed here; choose another with --port.", port=wanted) from None
    print(f"Inside GoogLeNet is at {local}", flush=True)
    if share:
        print(f"Public link: {public}" if public else f"No public link can be had now; the page stays at {local}", flush=True)
    demo.block_thread()
