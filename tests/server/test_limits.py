"""What a request must be to reach Gradio: its route, its size, whom it is meant for."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from googlenet.ui import limits
from googlenet.ui.limits import MEGABYTE, QUESTION, UNDOCUMENTED_ROUTES, Limits
from googlenet.ui.messages import ENDPOINTS
from googlenet.ui.server import own_names
from tests.server.conftest import FILE, Program, jpeg

UNUSED = """
    POST gradio_api/run/explain, POST gradio_api/run/predict, POST gradio_api/api/classify, GET gradio_api/deep_link,
    GET gradio_api/custom_component/x/client/component/%0Ay, GET gradio_api/file=https://example.org/a.jpg,
    GET gradio_api/proxy=https://example.org/a.jpg, GET gradio_api/file/etc/passwd, GET gradio_api/heartbeat/x,
    GET gradio_api/upload_progress?upload_id=x, POST gradio_api/process_recording, POST gradio_api/stream/x,
    GET gradio_api/queue/join, GET monitoring, PUT config, GET docs, GET openapi.json
"""


def test_a_route_that_nothing_uses_is_not_there(program: Program) -> None:
    for method, path in (each.split() for each in UNUSED.split(",")):
        answer = httpx.request(method, program.url + path, json={} if method == "POST" else None, trust_env=False)
        assert (answer.status_code, answer.text) == (404, "This page has no such route."), path


def test_an_upload_and_a_question_are_not_read_beyond_their_limit(program: Program) -> None:
    large = program.post("upload", data={"field": "x" * 30 * MEGABYTE}, files={"files": ("a.jpg", jpeg())})
    assert (large.status_code, large.text) == (413, "This request is larger than 25 MB.")
    for path in ("queue/join", "component_server/", "call/classify"):
        answer = program.post(path, content=(b"[" * 1000 for _ in range(100)))  # without Content-Length
        assert (answer.status_code, answer.text) == (413, "This request is larger than 16 KB.")
    assert program.post("mcp/", content=bytes(5 * MEGABYTE)).status_code == 413


@pytest.mark.parametrize("path", ["queue/join", "call/classify", "call/nothing", "cancel", "reset"])
def test_odd_requests_are_the_askers_fault(program: Program, path: str) -> None:
    plain: dict[str, Any] = {"data": [], "event_data": None, "fn_index": 0, "session_hash": "odd", "trigger_id": None}
    odd = [plain | {"data": "x"}, plain | {"session_hash": {"a": 1}}, plain | {"session_hash": "x" * 101}, {}, [], None, "text"]
    statuses = {program.post(path, json=body).status_code for body in odd}
    statuses |= {program.post(path, content=body).status_code for body in (b"", b"{", b"\xff\xfe", b"[" * 10_000)}
    assert all(status < 500 for status in statuses), statuses


@pytest.mark.parametrize("address", ["http://127.0.0.1/", "https://example.org/a.jpg", "/etc/passwd", "../../etc/passwd"])
def test_a_file_that_was_not_uploaded_here_is_neither_read_nor_fetched(program: Program, address: str) -> None:
    for name, path in (("data", "call/classify"), ("data", "queue/join")):
        answer = program.post(path, json={name: [{"path": address, "meta": FILE}], "session_hash": "x", "fn_index": 0})
        assert answer.status_code == 400
        assert "not a file that was uploaded here" in answer.text


@pytest.mark.parametrize("name", ["call/explain", "queue/join", "call/v2/explain"])
def test_a_call_that_lacks_a_value_or_whose_picture_is_no_file_hears_what_is_taken(program: Program, name: str) -> None:
    path = program.upload(jpeg()).json()[0]
    whole = {"path": path, "meta": FILE}
    before = program.log.read_text()
    bodies: list[dict[str, Any]]
    if "v2" in name:
        bodies = [{}, {"image": whole, "zzz": 3}, {"data": [whole]}, {"image": path}]
    else:
        rest = ["main", "", "", ""]
        odd = [[], ["x\n" * 5000], [whole], [path, *rest], [{"path": path}, *rest], [whole | {"meta": 5}, *rest], None]
        bodies = [{"data": values, "fn_index": 1, "session_hash": "x"} for values in odd]
    for body in bodies:
        answer = program.post(name, json=body)
        assert (answer.status_code, "/explain takes image, head, target" in answer.text) == (400, True), body
    assert program.log.read_text().count("Traceback") == before.count("Traceback")


def test_an_endpoint_that_is_not_there_is_404(program: Program) -> None:
    for path in ("call/clasify", "call/v2/clasify", "call/v2"):
        assert program.post(path, json={"data": []}).status_code == 404


def test_an_uploads_address_stands_for_its_path(program: Program) -> None:
    """Gradio's upload tool for MCP gives an address."""
    path = program.upload(jpeg(), "a b.jpg").json()[0]
    address = f"{program.url}gradio_api/file={quote(path)}"
    assert "event: complete" in program.call("classify", {"path": address, "url": address, "meta": FILE})
    for other in ("https://example.org/gradio_api/file=/etc/passwd", f"{program.url}gradio_api/file={program.pictures}/../x"):
        answer = program.post("call/classify", json={"data": [{"path": other, "meta": FILE}]})
        assert (answer.status_code, "not a file that was uploaded here" in answer.text) == (400, True)


def test_the_configuration_numbers_the_endpoints_in_their_order(program: Program) -> None:
    found = {each["id"]: (each["api_name"], len(each["inputs"])) for each in program.get("config").json()["dependencies"]}
    assert found == {number: (name, len(takes)) for number, (name, takes) in enumerate(ENDPOINTS.items())}


def test_a_server_of_this_machine_alone_knows_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    assert own_names("::1") == {"localhost", "::1"}
    assert own_names("::") is None
    monkeypatch.setenv("GRADIO_ROOT_PATH", "https://example.org/net")
    assert own_names("127.0.0.1") == {"localhost", "127.0.0.1", "example.org"}


async def read(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


async def mistake(request: Request) -> PlainTextResponse:
    raise KeyError("ours")


def client(tmp_path: Path, routes: list[Route], **options: Any) -> httpx.AsyncClient:
    app = Starlette(routes=routes, middleware=[Middleware(Limits, uploads=tmp_path, **options)])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://test")


ALL = [Route(path.replace("x.js", "{x}").replace("=x", "={x}"), read, methods=[method]) for method, path in UNDOCUMENTED_ROUTES]


@pytest.mark.anyio
async def test_our_own_mistake_is_500(tmp_path: Path) -> None:
    async with client(tmp_path, [*ALL, Route("/", mistake)]) as http:
        assert (await http.get("/")).status_code == 500


@pytest.mark.anyio
async def test_a_foreign_pages_request_that_a_proxy_knows_by_a_cookie_is_refused(tmp_path: Path) -> None:
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    sent = (foreign, foreign | {"Cookie": "a=b"}, {"Cookie": "a=b"}, foreign | {"Authorization": "Basic x"})
    async with client(tmp_path, ALL) as http:
        assert [(await http.get("/config", headers=headers)).status_code for headers in sent] == [200, 403, 200, 403]


@pytest.mark.anyio
async def test_bodies_in_memory_have_a_limit_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HELD", QUESTION // 2)
    bodies = [b'"' + b"x" * size + b'"' for size in (QUESTION // 2, QUESTION // 3, QUESTION // 3)]
    async with client(tmp_path, ALL) as http:
        statuses = [(await http.post("/gradio_api/queue/join", content=body)).status_code for body in bodies]
    assert statuses == [503, 200, 200]


@pytest.mark.anyio
async def test_where_gradio_has_other_routes_all_are_open_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with client(tmp_path, [*ALL[1:], Route("/new", read)]) as http:
        assert [(await http.get(path)).status_code for path in ("/new", "/none")] == [200, 404]
    assert "every route is open" in caplog.text


@pytest.mark.anyio
async def test_a_foreign_page_gets_nothing_of_a_server_of_this_machine_alone(tmp_path: Path) -> None:
    async with client(tmp_path, ALL, hosts=frozenset({"localhost"})) as http:
        for host, origin, status in (
            ("evil.example", None, 403),
            ("]", None, 403),
            ("localhost", "http://evil.example", 403),
            ("localhost", "null", 403),
            ("localhost:1", None, 200),
            ("127.0.0.1", "http://127.0.0.1:2", 200),
            ("[::1]:80", None, 200),
        ):
            answer = await http.get("/config", headers={"Host": host} | ({"Origin": origin} if origin else {}))
            assert answer.status_code == status
            assert "access-control-allow-origin" not in answer.headers
            assert "default-src 'self'" in answer.headers["content-security-policy"]
