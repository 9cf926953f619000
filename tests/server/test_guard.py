"""What a request meets before Gradio: limits of its size, closed routes, headers, answers to odd requests and a full disk."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from googlenet.ui.guard import ASKED, AT_ONCE, CLOSED, FILES, MEGABYTE, Guard

calls: list[str] = []
rendering: list[Request] = []
most: list[int] = []


class Fakes:
    """Stand-ins for what the Guard tells of events and uploads."""

    @contextmanager
    def reading(self, session: str) -> Iterator[None]:
        calls.append(f"reading {session}")
        yield

    @contextmanager
    def asking(self, session: str) -> Iterator[None]:
        calls.append(f"asking {session}")
        yield

    def unanswered(self, session: str) -> int:
        return ASKED if session == "greedy" else 0

    def bound(self) -> None:
        calls.append("bound")

    def wake(self) -> None:
        calls.append("wake")


async def everything(request: Request) -> Response:
    if request.headers.get("x-render"):
        rendering.append(request)
        most.append(len(rendering))
        await asyncio.sleep(0.01)
        rendering.remove(request)
    if failing := request.headers.get("x-fail"):
        raise {"odd": KeyError("999"), "full": OSError(errno.ENOSPC, "No space left on device")}[failing]
    if request.headers.get("x-query"):
        return PlainTextResponse(request.url.query)
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
    return PlainTextResponse(str(size))


guard = Middleware(Guard, mailboxes=Fakes(), uploads=Fakes())
routes = [Route("/{path:path}", everything, methods=["GET", "POST"])]
app = Starlette(routes=routes, middleware=[guard])


def send(path: str, body: bytes = b"", *, chunked: bool = False, method: str = "POST", **headers: str) -> httpx.Response:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 60_000):
            yield body[start : start + 60_000]

    async def run() -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://here"
        ) as client:
            return await client.request(method, path, content=chunks() if chunked else body, headers=named)

    return asyncio.run(run())


FORM = {"content_type": "multipart/form-data; boundary=b"}
UPLOAD, JOIN, MCP = "/gradio_api/upload", "/gradio_api/queue/join", "/gradio_api/mcp/"


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    ("path", "most"),
    [
        (UPLOAD, "25 MB"),
        (JOIN, "128 KB"),
        ("/gradio_api/call/classify", "128 KB"),
        (MCP, "28 MB"),
        ("/gradio_api/cancel", "1 MB"),
    ],
)
def test_a_body_has_a_limit_whether_its_length_is_announced_or_not(path: str, most: str, chunked: bool) -> None:
    number, unit = most.split()
    limit = int(number) * {"KB": 1024, "MB": MEGABYTE}[unit]
    assert send(path, bytes(limit), chunked=chunked, **FORM).text == str(limit)
    refused = send(path, bytes(limit + 1), chunked=chunked, **FORM)
    assert refused.status_code == 413
    assert refused.text == f"This request is larger than {most}."


@pytest.mark.parametrize("length", ["-1", "1e3", "9" * 5000, ""])
def test_a_length_that_is_no_number_is_refused(length: str) -> None:
    assert send("/", content_length=length).status_code == 400


def part(name: str) -> bytes:
    return f'--b\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\nx\r\n'.encode()


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_has_a_limit_of_files(chunked: bool) -> None:
    assert send(UPLOAD, part("a") * FILES + b"--b--\r\n", chunked=chunked, **FORM).status_code == 200
    assert send(UPLOAD, part("a") * 21_000, chunked=chunked, **FORM).status_code == 413


@pytest.mark.parametrize(
    "value", ["multipart/form-data", "multipart/form-data; boundary=", f"multipart/form-data; boundary={'b' * 5000}"]
)
def test_an_upload_without_a_usable_boundary_is_refused(value: str) -> None:
    assert send(UPLOAD, b"", content_type=value).status_code == 400


@pytest.mark.parametrize("value", ['multipart/form-data; boundary="b c"', "multipart/form-data; charset=utf-8; boundary=b"])
def test_boundaries_that_browsers_and_tools_send(value: str) -> None:
    assert send(UPLOAD, b"", content_type=value).status_code == 200


@pytest.mark.parametrize("path", CLOSED)
def test_routes_of_gradio_that_nothing_uses_are_closed(path: str) -> None:
    assert send(f"{path}predict").status_code == 404


def test_every_response_has_the_headers() -> None:
    for response in (send("/"), send("/", bytes(2 * MEGABYTE)), send(CLOSED[0])):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'self'" in response.headers["content-security-policy"]
        assert "frame-ancestors" not in response.headers["content-security-policy"]


def test_an_odd_request_is_the_askers_fault_and_other_failures_are_ours() -> None:
    assert send(JOIN, x_fail="odd").status_code == 400
    assert send("/gradio_api/file=/a.jpg", method="GET", x_fail="odd").status_code == 400
    assert send("/", x_fail="odd").status_code == 500


def test_a_full_disk_is_said() -> None:
    refused = send(UPLOAD, x_fail="full", **FORM)
    assert (refused.status_code, refused.text) == (507, "The server's disk is full; try again later.")


def test_uploads_wake_who_sweeps_and_events_bound_the_mailboxes() -> None:
    calls.clear()
    send(UPLOAD, **FORM)
    send(UPLOAD, bytes(26 * MEGABYTE), **FORM)
    send(JOIN)
    send("/gradio_api/call/explain")
    send("/gradio_api/cancel")  # each puts a message into a mailbox
    assert calls == ["wake", "wake", "bound", "bound", "bound"]


def test_gradio_does_not_learn_the_name_of_an_upload() -> None:
    """It keeps one for each `upload_id`, for ever."""
    assert send(UPLOAD + "?upload_id=a", x_query="1", **FORM).text == ""
    assert send("/gradio_api/info?all_endpoints=true", x_query="1").text == "all_endpoints=true"


@pytest.mark.parametrize("path", ["/gradio_api/queue/data?session_hash=me", "/gradio_api/call/classify/me"])
def test_who_reads_messages_is_known(path: str) -> None:
    calls.clear()
    send(path, method="GET")
    assert "reading me" in calls


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", [JOIN, "/gradio_api/run/predict", "/gradio_api/run/predict/"])
def test_a_session_with_many_unanswered_events_is_refused_before_gradio(path: str, chunked: bool) -> None:
    calls.clear()
    body = b'{"data": [], "session_hash": "me"}' + b" " * 100_000
    assert send(path, body, chunked=chunked).text == str(len(body))
    assert "asking me" in calls
    refused = send(path, body.replace(b'"me"', b'"greedy"'), chunked=chunked)
    assert (refused.status_code, refused.text) == (
        429,
        "8 of your questions are waiting already; ask again when one is answered.",
    )
    assert send("/gradio_api/call/explain", b'{"session_hash": "greedy"}').status_code == 429
    assert send("/gradio_api/cancel", b'{"session_hash": "greedy"}').status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        rb'{"session\u005fhash": "greedy"}',
        rb'{"session_hash": "gr\u0065edy"}',
        b'{"event_data": {"session_hash": "me"}, "session_hash": "greedy"}',
        b'{"session_hash": "me", "session_hash": "greedy"}',
        '{"session_hash": "greedy"}'.encode("utf-16"),
    ],
)
def test_a_session_is_the_one_that_gradio_reads(body: bytes) -> None:
    assert send(JOIN, body).status_code == 429


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"session_hash"', b'{"session_hash": 1}', b"[" * 100_000, b"\xff"])
def test_what_names_no_session_is_left_to_gradio(body: bytes) -> None:
    assert send(JOIN, body).status_code == 200


@pytest.mark.parametrize("path", [JOIN, "/gradio_api/run/predict", "/gradio_api/call/classify"])
def test_the_name_of_a_session_has_a_limit(path: str) -> None:
    """Gradio keeps the names of 2,000 sessions: of a megabyte each, they would fill the memory."""
    assert send(path, b'{"session_hash": "%s"}' % (b"x" * 100)).status_code == 200
    assert send(path, b'{"session_hash": "%s"}' % (b"x" * 101)).status_code == 400


@pytest.mark.parametrize(("path", "name"), [(UPLOAD, "UNFINISHED_UPLOADS"), (JOIN, "UNFINISHED_OTHERS")])
def test_bodies_that_do_not_end_have_a_limit_in_all(path: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand of them would take 25 GB of the disk, or the whole memory. The one that began first goes."""
    monkeypatch.setattr("googlenet.ui.guard." + name, 125_000)
    guarded = Starlette(routes=routes, middleware=[guard])

    async def half() -> AsyncIterator[bytes]:
        yield bytes(50_000)
        await asyncio.sleep(60)

    async def run() -> tuple[int, list[bool], int]:
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(guarded), base_url="http://here", headers=headers) as client:
            asked = []
            for _ in range(3):
                asked.append(asyncio.create_task(client.post(path, content=half())))
                await asyncio.sleep(0.05)
            given_up = await asyncio.wait_for(asked[0], 10)
            others = [task.done() for task in asked[1:]]
            asked[1].cancel()
            await asyncio.wait(asked[1:2])
            whole = await client.post(path, content=bytes(75_000))  # fits again
            asked[2].cancel()
            return given_up.status_code, others, whole.status_code

    assert asyncio.run(run()) == (503, [False, False], 200)


@pytest.mark.parametrize("path", ["/", "/config", "/theme.css"])
def test_pages_are_rendered_one_after_the_other(path: str) -> None:
    async def run() -> list[int]:
        transport = httpx.ASGITransport(Starlette(routes=routes, middleware=[guard]))  # in this event loop
        async with httpx.AsyncClient(transport=transport, base_url="http://here", headers={"x-render": "1"}) as client:
            return [response.status_code for response in await asyncio.gather(*(client.get(path) for _ in range(5)))]

    most.clear()
    assert asyncio.run(run()) == [200] * 5
    assert max(most) == (5 if path == "/theme.css" else AT_ONCE)


def test_who_does_not_read_a_page_keeps_nobody_waiting() -> None:
    """The turn ends where the response starts."""

    async def run() -> list[str]:
        started: list[str] = []

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def stuck(message: object) -> None:
            started.append("stuck")
            await asyncio.sleep(60)

        async def reads(message: object) -> None:
            started.append("reads")

        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
        guard = Guard(PlainTextResponse("page"), Fakes(), Fakes())  # type: ignore[arg-type]
        first = asyncio.create_task(guard(scope, receive, stuck))
        await asyncio.sleep(0.01)
        await asyncio.wait_for(guard(scope, receive, reads), 10)
        first.cancel()
        return started

    assert asyncio.run(run())[:2] == ["stuck", "reads"]
