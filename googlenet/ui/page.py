"""The page: one component that draws everything, and whose script asks the desk."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr
import huggingface_hub
import numpy as np
from numpy.typing import NDArray
from PIL import ImageOps
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from googlenet.checkpoints.source import KNOWN_SOURCES
from googlenet.explanation.render import BLUES, MAGMA, SPOTLIGHT
from googlenet.inference.explainer import Explainer
from googlenet.model.architecture import BRANCHES, HEADS, STAGES, STAGES_BEFORE
from googlenet.pictures.pixels import Picture
from googlenet.ui import sentences
from googlenet.ui.api import endpoints
from googlenet.ui.desk import Desk, Inquiry
from googlenet.ui.messages import REPLIES, PageQuery, Reply, data_url
from googlenet.ui.uploads import KEPT_SECONDS, TRUTHS, Pictures
from googlenet.ui.weights import ExplainerCache, described

__all__ = ["Preview", "build", "head", "theme"]

PAGE = Path(__file__).parent / "page"
CARD = Path(__file__).with_name("card.jpg")
"""What a link to the page shows where it is shared, 1200×630; the page draws it (`tests/browser/screenshots.py`)."""
_ON_LOAD = """
import(new URL(props.modules + "start.js", document.baseURI).href).then(({ start }) => start({ element, props, server }));
"""
_DESCRIPTION = (
    "Watch a decision form, stage by stage: what three classifiers say of a photograph, and where they find the evidence."
)


def build(
    explainer: Explainer, pictures: Pictures, device: str, title: str, examples: Mapping[str, Picture] | None
) -> tuple[gr.Blocks, Desk]:
    """The page. `pictures`: those that visitors upload; `examples`: as for the Desk."""
    desk = Desk(ExplainerCache(explainer, device), pictures, examples)
    first = PageQuery(example=next(iter(desk.examples)))
    truths = {} if examples else TRUTHS
    gr.set_static_paths([PAGE, CARD])
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(60, KEPT_SECONDS)) as demo:
        gr.HTML(
            {
                "n": first.n,
                "answer": Inquiry(desk, first, desk.examples[str(first.example)]).explain(),
                "weights": described(explainer, None),
            },
            html_template=(PAGE / "index.html").read_text("utf-8"),
            js_on_load=_ON_LOAD,
            apply_default_css=False,
            elem_id="walk",
            server_functions=_functions(desk),
            modules=_address(PAGE / "js") + "/",
            words=sentences.PAGE,
            shared={
                "heads": HEADS,
                "stages": STAGES,
                "branches": BRANCHES,
                "last_stage": {head: stages[-1] for head, stages in STAGES_BEFORE.items()},
                "spotlight": vars(SPOTLIGHT),
            },
            space=_space_page(),
            magma=_colours(MAGMA),
            blues=_colours(BLUES),
            title=title,
            examples=[
                {
                    "name": name,
                    "thumb": data_url(ImageOps.fit(picture.image, (112, 112)), 112),
                    "own": not examples,
                    "truth": truths.get(name),
                }
                for name, picture in desk.examples.items()
            ],
            sources=[vars(known) for known in KNOWN_SOURCES],
        )
        endpoints(desk)
    demo.queue(api_open=False, max_size=1000, default_concurrency_limit=None)  # the queues are ours: Gradio starts all at once
    return demo, desk


def _functions(desk: Desk) -> list[Callable[..., Any]]:
    """What the script calls as `server.NAME(question)`."""

    def function(name: str) -> Callable[..., Any]:
        async def answer(question: Any, request: gr.Request) -> Reply:
            return await desk.reply(name, question, request)

        answer.__name__ = name
        return answer

    return [function(name) for name in REPLIES]


def _address(path: Path) -> str:
    """Where a static file is served, relative to the page."""
    return f"gradio_api/file={quote(path.as_posix())}"


def head() -> str:
    """The page's style and modules. Gradio's script adds them, so that no crawler sees them (`Preview`)."""
    modules = [f'<link rel="modulepreload" href="{_address(path)}">' for path in sorted((PAGE / "js").glob("*.js"))]
    return "\n".join([*modules, "<style>", (PAGE / "page.css").read_text("utf-8"), "</style>"])


_CONFIG = b"<script>window.gradio_config"
"""How the largest part of Gradio's document begins. Where a later Gradio writes another, nothing is drawn before its script."""
_OPENING = """
.opening { position: absolute; padding: 0 2em; font: 14px/1.45 system-ui, sans-serif }
.opening b { font-size: 1.64em; font-weight: 600 }
body:has(.page) .opening { display: none }
"""


class Preview:
    """ASGI middleware: what a link to the page shows where it is shared (Open Graph), in place of what Gradio says of itself, and
    what the page shows until Gradio's script has come."""

    def __init__(self, app: ASGIApp, title: str) -> None:
        self.app, self.title = app, title

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/":
            return await self.app(scope, receive, send)
        start: Message = {}
        parts: list[bytes] = []

        async def collect(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                page = re.sub(rb'<meta\s+(property="og:|name="twitter:)[^>]*>', b"", b"".join(parts))
                page = page.replace(b"<head>", b"<head>" + _preview(self.title, address_of(scope)).encode(), 1)
                if style := re.search(rb'<link rel="stylesheet"[^>]*>', page):  # it stays the first one in the head
                    first = style[0] + _opening(self.title, Headers(scope=scope).get("accept-language", ""))
                    page = page.replace(style[0], b"").replace(_CONFIG, first + _CONFIG, 1)
                MutableHeaders(scope=start)["content-length"] = str(len(page))
                await send(start)
                await send({"type": "http.response.body", "body": page})

        await self.app(scope, receive, collect)


def address_of(scope: Scope) -> str:
    """The page's own address: what the operator says, else as it was asked for."""
    space, root = os.environ.get("SPACE_HOST"), os.environ.get("GRADIO_ROOT_PATH", "")
    if space:
        return f"https://{space}/"
    return root.rstrip("/") + "/" if root.startswith("http") else str(Request(scope).base_url)


def _preview(title: str, url: str) -> str:
    values = {"og:type": "website", "og:url": url, "og:title": title, "og:description": _DESCRIPTION}
    values |= {"og:image": url + _address(CARD), "og:image:width": "1200", "og:image:height": "630"}
    values |= {"twitter:card": "summary_large_image", "description": _DESCRIPTION}
    return "".join(
        f'<meta {"property" if ":" in name else "name"}="{name}" content="{escape(value)}">' for name, value in values.items()
    )


def _opening(title: str, languages: str) -> bytes:
    """The title and what this is, drawn before the scripts and the answer have come. `languages`: the header Accept-Language."""
    words = sentences.PAGE["ko" if languages.startswith("ko") else "en"]
    drawn = f"<p><b>{escape(title)}</b></p><p>{escape(words['tagline'])}</p>"
    return f'<div class="opening"><style>{_OPENING}</style>{drawn}</div>'.encode()


def theme() -> gr.themes.Base:
    """The palette of `page.css` for what Gradio draws itself, and fonts that need no download."""
    system = ("system-ui", "sans-serif")
    return gr.themes.Base(primary_hue="orange", neutral_hue="stone", font=system, font_mono=("ui-monospace", "monospace")).set(
        body_background_fill="#faf8f4", body_background_fill_dark="#151312"
    )


def _colours(table: NDArray[np.float32]) -> str:
    """A table of colours as bytes in base64."""
    return base64.b64encode(table.round().astype(np.uint8).tobytes()).decode()


def _space_page() -> str | None:
    """The page of the Space that this program runs in, which shows it in a frame; None anywhere else."""
    space = os.environ.get("SPACE_ID")
    return space and f"{huggingface_hub.constants.ENDPOINT}/spaces/{space}"
