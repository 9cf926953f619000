"""Assistants reach the endpoints over MCP, where a picture comes as a `data:` URL."""

from __future__ import annotations

import ast
import asyncio
import base64
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from PIL import Image

from tests.helpers import PATIENCE
from tests.server.conftest import Program, jpeg


def noise(megabytes: float) -> str:
    """A PNG of that many megabytes, a little more, as a URL that holds it."""
    side = int((megabytes * 1024**2 / 3) ** 0.5) + 1
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=0)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


@pytest.fixture
def call(program: Program) -> Callable[..., Any]:
    """`call(tool, **arguments)` → what the tool answers."""

    async def run(tool: str, arguments: dict[str, str]) -> Any:
        address = f"{program.url}gradio_api/mcp/"
        async with streamable_http_client(address) as (receive, send, _), ClientSession(receive, send) as session:
            await session.initialize()
            names = [each.name for each in (await session.list_tools()).tools]
            assert {name.rpartition("_")[2] for name in names} == {"channels", "classify", "explain", "report", "sheet", "trust"}
            return await session.call_tool(next(name for name in names if name.endswith(tool)), arguments)

    return lambda tool, **arguments: asyncio.run(asyncio.wait_for(run(tool, arguments), PATIENCE))


def test_a_picture_is_classified_and_explained(call: Callable[..., Any]) -> None:
    answer = call("classify", image=noise(2.5))
    assert not answer.isError, answer.content[0].text
    assert len(ast.literal_eval(answer.content[0].text)["main"]) == 3  # Gradio writes Python here
    answer = call("explain", image=noise(0.1), head="main", target="lion")
    assert not answer.isError, answer.content[0].text
    assert "'target': {'index': 0, 'label': 'lion'" in "".join(each.text for each in answer.content)


def test_an_assistant_gets_json_and_sees_the_overlays(call: Callable[..., Any]) -> None:
    asked = {"image": noise(0.1), "target": "lion", "method": "layer-cam"}
    answer = call("report", **asked)
    assert not answer.isError, answer.content[0].text
    explanation = json.loads(answer.content[0].text)
    assert explanation["question"]["target"] == {"index": 0, "label": "lion"}
    assert (explanation["question"]["contrast"], explanation["question"]["method"]) == (None, "layer-cam")
    assert len(explanation["stages"]) == 9
    answer = call("sheet", **asked)
    assert not answer.isError, answer.content[0].text
    with Image.open(io.BytesIO(base64.b64decode(answer.content[0].data))) as sheet:
        assert min(sheet.size) > 500


def test_an_address_is_not_fetched(call: Callable[..., Any]) -> None:
    answer = call("classify", image="http://127.0.0.1:9/a.jpg")
    assert answer.isError
    assert "400 Bad Request" in answer.content[0].text


def test_an_uploads_address_is_a_picture(program: Program, call: Callable[..., Any]) -> None:
    path = program.upload(jpeg()).json()[0]
    answer = call("classify", image=f"{program.url}gradio_api/file={path}")
    assert not answer.isError, answer.content[0].text


def post(program: Program, message: dict[str, Any]) -> Any:
    headers = {"Accept": "application/json, text/event-stream"}
    return program.post("mcp/", json={"jsonrpc": "2.0", **message}, headers=headers)


def test_no_text_of_the_askers_choice_fills_the_log(program: Program) -> None:
    before = program.log.stat().st_size
    long = "classify\n127.0.0.1 - sudo: root\x1b[31m" + "A" * 1_000_000
    post(program, {"id": 1, "method": "tools/call", "params": {"name": long, "arguments": {}}})
    post(program, {"id": 1, "method": "tools/call", "params": {"name": "classify", "arguments": {"image": long}}})
    post(program, {"id": 1, "method": "tools/call", "params": {"name": [long], "arguments": long}})
    post(program, {"id": 1, "method": long, "params": {}})
    post(program, {"id": long, "result": {}})
    assert program.log.stat().st_size < before + 50_000
    assert "\x1b" not in program.log.read_text()


def test_a_message_with_many_parts_is_refused(program: Program) -> None:
    for image in ([[]] * 10_000, {str(i): i for i in range(10_000)}):
        message = {"id": 1, "method": "tools/call", "params": {"name": "classify", "arguments": {"image": image}}}
        answer = post(program, message)
        assert (answer.status_code, answer.text) == (400, "This message is refused: it has more than 2,000 fields.")
