"""Assistants reach the endpoints over MCP, where a picture comes as a `data:` URL."""

from __future__ import annotations

import ast
import asyncio
import base64
import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.helpers import PATIENCE
from tests.server.conftest import Program

pytest.importorskip("mcp", reason="Gradio's extra `mcp` is not installed")

from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client


def noise(megabytes: float) -> bytes:
    """A PNG of that many megabytes, a little more."""
    side = int((megabytes * 1024**2 / 3) ** 0.5) + 1
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=0)
    return file.getvalue()


def classify(program: Program, picture: bytes) -> Any:
    """What the tool answers."""

    async def run() -> Any:
        address = f"{program.url}gradio_api/mcp/"
        async with streamable_http_client(address) as (receive, send, _), ClientSession(receive, send) as session:
            await session.initialize()
            (name,) = [tool.name for tool in (await session.list_tools()).tools if tool.name.endswith("classify")]
            return await session.call_tool(name, {"image": "data:image/png;base64," + base64.b64encode(picture).decode()})

    return asyncio.run(asyncio.wait_for(run(), PATIENCE))


def test_a_picture_of_five_megabytes_is_classified(program: Program) -> None:
    answer = classify(program, noise(5))
    assert not answer.isError, answer.content[0].text
    assert len(ast.literal_eval(answer.content[0].text)["main"]) == 3  # Gradio writes Python here


def test_a_picture_over_the_limit_gets_a_sentence(program: Program) -> None:
    answer = classify(program, noise(20))
    assert answer.isError
    assert "exceeds the maximum file size of 20971520 bytes" in answer.content[0].text  # Gradio's sentence


def test_a_request_over_the_limit_gets_a_sentence(program: Program, tmp_path: Path) -> None:
    refused = httpx.post(f"{program.url}gradio_api/mcp/", content=bytes(29 * 1024**2), timeout=PATIENCE)
    assert (refused.status_code, refused.text) == (413, "This request is larger than 28 MB.")
