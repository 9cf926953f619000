"""What a link to the page shows where it is shared: title, description and a picture of 1200×630 (Open Graph)."""

from __future__ import annotations

import html
import re
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import FileResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CARD = Path(__file__).with_name("card.jpg")
"""The picture, drawn by the page itself (`tests/browser/screenshots.py`)."""

TITLE = "Inside GoogLeNet"
DESCRIPTION = (
    "Watch a decision form, stage by stage: what three classifiers say of a photograph, and where they find the evidence."
)
GRADIOS = re.compile(rb'<meta\s+(?:property|name)="(?:og|twitter):[^>]*>\s*')


class LinkPreview:
    """Puts this program's tags into the page in place of Gradio's own, and serves the picture at /card.jpg."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in ("/", "/card.jpg"):
            await self.app(scope, receive, send)
        elif scope["path"] == "/card.jpg":
            await FileResponse(CARD, headers={"Cache-Control": "public, max-age=86400"})(scope, receive, send)
        else:
            await self.app(scope, receive, Rewriter(send, tags(scope)))


def tags(scope: Scope) -> bytes:
    """The tags, with absolute addresses, as a proxy in front of the server says that visitors see them."""
    headers = Headers(scope=scope)
    protocol = headers.get("x-forwarded-proto", scope["scheme"]).split(",")[0].strip()
    host = headers.get("x-forwarded-host", headers.get("host", "localhost")).split(",")[0].strip()
    url = html.escape(f"{protocol}://{host}{scope.get('root_path', '')}/", quote=True)
    card = f"{url}card.jpg"
    values = {"og:type": "website", "og:url": url, "og:title": TITLE, "og:description": DESCRIPTION, "og:image": card}
    values |= {"og:image:width": "1200", "og:image:height": "630", "twitter:card": "summary_large_image"}
    lines = [f'<meta property="{name}" content="{value}" />' for name, value in values.items()]
    return "\n".join([*lines, f'<meta name="description" content="{DESCRIPTION}" />\n']).encode()


class Rewriter:
    """Collects an HTML response, replaces its tags and sends it on; passes any other response through."""

    def __init__(self, send: Send, tags: bytes) -> None:
        self.send, self.tags = send, tags
        self.start: Message | None = None
        self.body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and b"text/html" in dict(message["headers"]).get(b"content-type", b""):
            self.start = message
        elif self.start is None:
            await self.send(message)
        else:
            self.body += message.get("body", b"")
            if not message.get("more_body"):
                await self.finish(self.start)

    async def finish(self, start: Message) -> None:
        body = GRADIOS.sub(b"", self.body).replace(b"</head>", self.tags + b"</head>", 1)
        MutableHeaders(scope=start)["content-length"] = str(len(body))
        await self.send(start)
        await self.send({"type": "http.response.body", "body": body})
