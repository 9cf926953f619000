"""The running program: environments, visitors who misbehave, and what an honest visitor sees meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from googlenet.errors import UserError
from googlenet.inference.worker import worker_count
from googlenet.ui.server import find_port, is_host, is_usable
from tests.helpers import PATIENCE, ROOT, until
from tests.server.conftest import FILE, Program, jpeg, text


def test_the_page_comes_up_behind_proxies_with_labels_a_title_and_examples(program: Program) -> None:
    answer = program.ask("explain", example="lion")["answer"]["result"]
    assert {each["label"] for each in answer["heads"]["main"]} == {"lion", "cougar", "cat"}
    until(lambda: "Inside GoogLeNet is at http" in program.log.read_text())
    log = program.log.read_text()
    assert "Traceback" not in log
    assert "s3cret" not in log
    for name in ("https_proxy", "ALL_PROXY", "all_proxy", "SSL_CERT_FILE"):
        assert f"{name} has a value that this program cannot use; it goes on without." in log
    assert "no_proxy holds fd00::/8, which this program cannot use; it goes on without." in log
    (props,) = [each["props"] for each in program.get("config").json()["components"] if each["id"] == program.component]
    assert [each["name"] for each in props["props"]["examples"]] == ["cheetah", "lion"]


def test_a_crawler_and_a_page_that_still_loads_show_the_title(program: Program) -> None:
    tags = re.findall(r'<meta\s+(?:property|name)="((?:og|twitter):[^"]+)"\s+content="([^"]*)"', program.get("").text)
    assert dict(tags)["og:title"] == "Our &lt;pets&gt;"
    assert "photograph" in dict(tags)["og:description"]
    assert len(dict(tags)) == len(tags)
    korean = program.get("", headers={"Accept-Language": "ko-KR,ko;q=0.9"}).text
    opening, rest = korean.split("gradio_config", 1)  # what is drawn before the long rest has come
    assert "<b>Our &lt;pets&gt;</b>" in opening
    assert "신경망" in opening
    assert opening.index('rel="stylesheet"') < opening.index("<b>")
    assert 'rel="stylesheet"' not in rest
    assert program.get(dict(tags)["og:image"].removeprefix(program.url)).headers["content-type"] == "image/jpeg"


def test_an_aborted_upload_lies_where_it_is_swept_within_minutes(program: Program) -> None:
    url = httpx.URL(program.url)
    before = set(os.listdir(program.pictures))
    head = f"POST /gradio_api/upload HTTP/1.1\r\nHost: {url.host}\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    head += "Content-Length: 9999999\r\n\r\n"
    part = '--b\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
    with socket.create_connection((url.host, url.port or 80)) as line:
        line.sendall((head + part).encode() + bytes(500_000))
        until(lambda: set(os.listdir(program.pictures)) - before)
    assert all((program.pictures / name).is_file() for name in set(os.listdir(program.pictures)) - before)


def test_odd_questions_and_calls_break_nothing(program: Program) -> None:
    path = program.upload(jpeg()).json()[0]
    file = {"path": path, "meta": FILE}
    for odd in (None, [], "text", 5, {"n": {}, "session": 3, "cell": "x", "box": [1]}):
        assert "refusal" in program.post("component_server/", json=program.body("explain", odd)).json()
    odd_values = ([["main"], {"a": 1}, 2.5, 3], ["main", 10**30, None, []], ["no", "", "", ""])
    for values in (*([file, *each] for each in odd_values), [None, "main", "", "", ""]):
        answer = program.call("explain", *values)
        assert "event: complete" in answer or '"error": "' in answer, (values, answer)
    assert "Traceback" not in program.log.read_text()


def test_a_call_leaves_no_empty_file(program: Program) -> None:
    path = program.upload(jpeg(77)).json()[0]
    for name, values, kept in (("classify", [], 0), ("explain", ["main", "", "", "grad-cam"], 9)):
        before = set(program.pictures.rglob("*"))
        assert "event: complete" in program.call(name, {"path": path, "meta": FILE}, *values)
        new = [path for path in set(program.pictures.rglob("*")) - before if path.is_file()]
        assert len(new) == kept
        assert all(path.stat().st_size for path in new)


def test_trust_tests_the_map_of_one_stage(program: Program) -> None:
    path = program.upload(jpeg()).json()[0]
    stream = program.call("trust", {"path": path, "meta": FILE}, "main", "lion", "", "4a", "layer-cam")
    (result,) = json.loads(stream.rpartition("data: ")[2])
    question = result["question"]
    assert (question["head"], question["target"]["label"], question["method"]) == ("main", "lion", "layer-cam")
    assert list(result["trust"]) == ["4a"]
    assert "lion" in result["trust"]["4a"]["sentence"]["en"]


@pytest.mark.anyio
async def test_one_visitors_many_questions_keep_nobody_waiting(program: Program) -> None:
    """Of one session, a few run or wait, and the rest is refused; who comes then is served, each with an own answer."""
    paths = [program.upload(jpeg(i), f"{i}.jpg").json()[0] for i in range(8)]
    async with program.client() as client:
        asked = (program.ask_with(client, "explain", n=i, session="greedy", example="lion") for i in range(20))
        greedy = asyncio.gather(*asked)
        await asyncio.sleep(0.05)
        each = (program.ask_with(client, "explain", n=i, session=f"{i}", upload=path) for i, path in enumerate(paths))
        honest = await asyncio.gather(*each)
        refusals = [reply["refusal"] for reply in await greedy if "refusal" in reply]
    assert [(reply["n"], reply["answer"]["result"]["image"]) for reply in honest] == [(i, f"{i}.jpg") for i in range(8)]
    assert refusals
    assert all(refusal["kind"] == "" and "Questions of yours that wait already" in refusal["en"] for refusal in refusals)


@pytest.mark.anyio
async def test_small_files_that_decode_slowly_keep_nobody_waiting(program: Program) -> None:
    file = io.BytesIO()
    Image.new("LA", (7000, 5000), (128, 128)).save(file, "PNG")
    slow = [program.upload(file.getvalue(), f"{i}.png").json()[0] for i in range(8)]
    honest = [program.upload(jpeg(90 + i), f"{i}.jpg").json()[0] for i in range(2)]
    async with program.client() as client:
        each = (program.ask_with(client, "explain", n=1, session=f"s{i}", upload=path) for i, path in enumerate(slow))
        asked = [asyncio.ensure_future(question) for question in each]
        await asyncio.sleep(0.5)
        for i, path in enumerate(honest):
            assert "answer" in await program.ask_with(client, "explain", n=1, session=f"h{i}", upload=path)
            assert sum(question.done() for question in asked) < 4
        assert all("answer" in reply for reply in await asyncio.gather(*asked))


@pytest.mark.anyio
async def test_a_waiting_question_tells_its_place_and_can_be_given_up(program: Program) -> None:
    """Trust takes long and is asked one at a time: the others wait. One gives up, another hangs up."""
    async with program.client() as client:
        first = asyncio.ensure_future(program.ask_with(client, "trust", n=1, session="first", example="lion"))
        while "share" not in (told := await program.ask_with(client, "progress", n=1, session="first")):
            assert not first.done()
        assert 0 <= told["share"] <= 1
        second = asyncio.ensure_future(program.ask_with(client, "trust", n=2, session="second", example="lion"))
        place: dict[str, Any] = {}
        while "place" not in place and not first.done():
            place = await program.ask_with(client, "progress", n=2, session="second")
        if not first.done():
            assert place == {"n": 2, "place": 1}
            await program.ask_with(client, "leave", n=2, session="second")
            assert await second == {"n": 2}
        with contextlib.suppress(httpx.TimeoutException):
            body = program.body("trust", {"n": 3, "session": "third", "example": "lion"})
            await client.post("component_server/", json=body, timeout=0.3)
        end = time.monotonic() + PATIENCE
        while "place" in await program.ask_with(client, "progress", n=3, session="third"):
            assert time.monotonic() < end
            await asyncio.sleep(0.1)
        assert "trust" in await first
        await second


@pytest.fixture
def small_disk(program: Program) -> Iterator[Program]:
    """The program with two megabytes for pictures."""
    command = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", str(program.pictures)]
    mounted = subprocess.run(command, capture_output=True, text=True) if shutil.which("mount") else None
    if mounted is None or mounted.returncode:
        pytest.skip(f"mounting a disk is not allowed here: {mounted.stderr.strip() if mounted else 'no mount'}")
    yield program
    subprocess.run(["umount", "--lazy", str(program.pictures)], check=True)


def test_a_full_disk_is_said_and_what_needs_none_goes_on(small_disk: Program) -> None:
    path = small_disk.upload(jpeg()).json()[0]
    (small_disk.pictures / "else").write_bytes(bytes(1024**2))
    refused = small_disk.upload(bytes(3 * 1024**2))
    assert (refused.status_code, refused.text) == (507, "The server's disk is full; try again later.")
    assert "answer" in small_disk.ask("explain", upload=path)
    with contextlib.suppress(OSError), (small_disk.pictures / "else").open("ab", buffering=0) as file:
        while True:  # to the last byte
            file.write(bytes(4096))
    answer = small_disk.call("explain", {"path": path, "meta": FILE}, "main", "", "", "")
    assert "The server's disk is full; try again later." in answer


@pytest.mark.parametrize(
    ("host", "port", "variable", "sentence"),
    [
        ("127.0.0.1", 99999, "", "There is no port 99999; choose one from 1 to 65535."),
        ("127.0.0.1", None, "abc", "GRADIO_SERVER_PORT is abc, which is not a number; set it to a port, or unset it."),
        ("127.0.0.1", None, "9" * 30, "There is no port 999999999; choose one from 1 to 65535."),
        ("192.0.2.1", 20_000, "", "The host 192.0.2.1 is not this machine; choose another with --host."),
        ("::ffff:127.0.0.1", 20_000, "", "The host ::ffff:127.0.0.1 is not this machine; choose another with --host."),
        ("no.such.host.invalid", 20_000, "", "The host no.such.host.invalid is not known here; choose another with --host."),
    ],
)
def test_a_wrong_port_or_host_is_one_sentence(
    host: str, port: int | None, variable: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_SERVER_PORT", variable)
    with pytest.raises(UserError, match=f"^{re.escape(sentence)}$"):
        find_port(host, port)


def test_a_taken_port_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"^Port {port} is taken or not allowed here; choose another with --port.$"):
            find_port("127.0.0.1", port)


CLIENT_SETTINGS = [
    *(("SSL_CERT_FILE", value) for value in ("/nowhere/ca.pem", str(ROOT), __file__)),
    *(("https_proxy", value) for value in ("host:port", "ftp://a", "socks5://a", "1.2.3.4:9", "http://ann:s3cret@a")),
    *(
        ("no_proxy", value)
        for value in ("fd00::/8", "[::1]", "::1", "::1/128", "host:*", "a:80", "ü.de", "192.168.*", "*.x", "*")
    ),
]


@pytest.mark.parametrize(("name", "value"), CLIENT_SETTINGS)
def test_a_variable_is_kept_where_gradios_client_can_be_made_with_it(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in [other for other in os.environ if "PROXY" in other.upper() or other.startswith("SSL_")]:
        monkeypatch.delenv(other)
    monkeypatch.setenv(name, value)
    try:
        httpx.Client().close()
    except (OSError, ImportError, ValueError, httpx.InvalidURL):
        taken = False
    else:
        taken = True
    assert (is_host(value) if name == "no_proxy" else is_usable(name, value)) is taken


def has_answered(worker: int) -> bool:
    """Whether a process has written the results of passes: more bytes than the lists of libraries that its imports ask for."""
    written = dict(line.split(": ") for line in text(Path(f"/proc/{worker}/io")).splitlines()).get("wchar", "0")
    return int(written) > 300_000


@pytest.mark.anyio
async def test_a_crowd_gets_workers_and_nobody_notices_when_one_is_killed(program: Program) -> None:
    async def crowd() -> dict[str, Any]:
        async with program.client() as client:
            names = [(name, f"{name} {i}") for i in range(12) for name in ("lion", "cheetah")]
            asked = (program.ask_with(client, "explain", n=1, session=session, example=name) for name, session in names)
            results = [reply["answer"]["result"] for reply in await asyncio.gather(*asked)]
        return {result["image"]: result["heads"]["main"][0]["index"] for result in results}

    alone = await crowd()
    latest = time.monotonic() + PATIENCE
    while not any(map(has_answered, program.workers())):
        assert await crowd() == alone
        assert time.monotonic() < latest
        await asyncio.sleep(0.3)  # for the workers, which start
    started = program.workers()
    assert len(started) == worker_count()
    os.kill(started[0], signal.SIGKILL)
    assert await crowd() == alone
