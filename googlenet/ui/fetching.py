"""A picture that an API call names by its address: fetched from a public host, within limits.

Gradio reads what an address answers whole into memory, however much it is and however long it takes.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import gradio as gr
import httpx
import safehttpx
from gradio.utils import get_upload_folder
from gradio_client.utils import is_http_url_like, strip_invalid_filename_characters

from googlenet.errors import UserError
from googlenet.pictures.pixels import MAX_BYTES
from googlenet.ui.uploads import is_disk_full

SECONDS = 20.0
"""How long an address may take, its turn included."""
AT_ONCE, REDIRECTS = 4, 5


class Fetching:
    """What a file input calls to have a caller's file in the upload folder: Gradio's function, but addresses go to `fetch`."""

    def __init__(self, gradios: Callable[[str | Path | None], Awaitable[str | None]]) -> None:
        self.gradios, self.turns = gradios, asyncio.Semaphore(AT_ONCE)

    async def __call__(self, url_or_file_path: str | Path | None) -> str | None:
        """Raises gr.Error for an address."""
        if not is_http_url_like(url_or_file_path):
            return await self.gradios(url_or_file_path)
        address = str(url_or_file_path)
        try:
            return await asyncio.wait_for(self.fetch_in_turn(address), SECONDS)
        except UserError as error:
            said = error
        except Exception:  # besides httpx.HTTPError its libraries let out others, such as OverflowError for a port
            said = UserError("No picture can be fetched from {address}; send the picture itself.", address=address)
        raise gr.Error(str(said), print_exception=False)

    async def fetch_in_turn(self, address: str) -> str:
        async with self.turns:
            return await fetch(address)


async def fetch(address: str) -> str:
    """What an address of a public host answers, as a file in the upload folder.

    Raises UserError for more than 20 MB and a full disk, and other exceptions where there is nothing to fetch.
    """
    for _ in range(1 + REDIRECTS):
        url = httpx.URL(address)
        transport = safehttpx.AsyncSecureTransport(await safehttpx.async_validate_url(url.host))
        plain = {"Accept-Encoding": "identity"}
        async with httpx.AsyncClient(transport=transport) as client, client.stream("GET", address, headers=plain) as response:
            if not response.has_redirect_location:
                response.raise_for_status()
                name = strip_invalid_filename_characters(Path(url.path).name) or "picture"
                return save(name, await read(response, name))
            address = str(url.join(response.headers["Location"]))
    raise ValueError("too many redirects")


async def read(response: httpx.Response, name: str) -> bytes:
    data = bytearray()
    async for part in response.aiter_raw():
        data += part
        if len(data) > MAX_BYTES:
            raise UserError("{name} is larger than 20 MB; save it smaller and try again.", name=name)
    return bytes(data)


def save(name: str, data: bytes) -> str:
    try:
        path = Path(tempfile.mkdtemp(dir=get_upload_folder()), name)
        path.write_bytes(data)
    except OSError as error:
        if is_disk_full(error):
            raise UserError("The server's disk is full; try again later.") from None
        raise
    return str(path)
