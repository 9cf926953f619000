"""The running program and visitors who misbehave: recipes that once went through, and what an honest visitor sees meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from googlenet.inference.device import cores
from googlenet.inference.worker import worker_count
from googlenet.ui.uploads import scan
from tests.helpers import PATIENCE, ROOT, is_running, until
from tests.server.conftest import Program, ask, join, jpeg, send, start


def test_pictures_lie_in_a_folder_that_others_cannot_read(program: Program) -> None:
    path = program.upload(jpeg()).json()[0]
    assert Path(path).is_relative_to(program.pictures)
    assert program.pictures.parent.stat().st_mode & 0o077 == 0


def all_unfinished(program: Program, names: set[str]) -> bool:
    """Whether all of these that are there are swept within minutes."""
    unfinished = {Path(entry.path).name for entry in scan(program.pictures) if entry.unfinished}
    return all(name in unfinished or not (program.pictures / name).exists() for name in names)


@pytest.mark.parametrize(("name", "field"), [("..", "files"), ("a.jpg", "other")])
def test_what_an_odd_upload_leaves_is_swept_within_minutes(program: Program, name: str, field: str) -> None:
    before = set(os.listdir(program.pictures))
    program.upload(jpeg(), name, field)
    assert all_unfinished(program, set(os.listdir(program.pictures)) - before)


def test_an_aborted_upload_is_swept_within_minutes(program: Program) -> None:
    host, port = program.url.split("/")[2].split(":")
    before = set(os.listdir(program.pictures))
    head = "POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    head += "Content-Length: 9999999\r\n\r\n"
    part = '--b\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
    with socket.create_connection((host, int(port))) as line:
        line.sendall((head + part).encode() + bytes(500_000))
        until(lambda: set(os.listdir(program.pictures)) - before)
        left = set(os.listdir(program.pictures)) - before
    assert all_unfinished(program, left)


def test_a_form_field_and_a_json_body_are_not_read_whole(program: Program) -> None:
    field = program.post("upload", data={"field": "x" * 30_000_000}, files={"files": ("a.jpg", jpeg())})
    assert field.status_code == 413
    assert program.post("queue/join", content=b"[" * 3_000_000, headers={"Content-Type": "application/json"}).status_code == 413


def odd_bodies() -> list[Any]:
    plain = {"data": [], "event_data": None, "fn_index": 0, "session_hash": "odd", "trigger_id": None}
    return [
        plain | {"fn_index": 999},
        plain | {"fn_index": -1},
        plain | {"fn_index": 2**70},
        plain | {"fn_index": "0"},
        plain | {"data": "x"},
        plain | {"event_data": [1]},
        plain | {"trigger_id": 10**30},
        plain | {"session_hash": None},
        plain | {"session_hash": {"a": 1}},
        {},
        [],
        None,
        "text",
    ]


@pytest.mark.parametrize(
    "path", ["queue/join", "call/classify", "call/nothing", "call/v2/explain", "run/classify", "run/predict", "cancel", "reset"]
)
def test_odd_requests_are_refused_and_break_nothing(program: Program, path: str) -> None:
    statuses = {program.post(path, json=body).status_code for body in odd_bodies()}
    statuses |= {program.post(path, content=text).status_code for text in (b"", b"{", b"\xff\xfe", b"[" * 100_000)}
    assert all(status < 500 for status in statuses), statuses


@pytest.mark.parametrize("path", ["queue/data?session_hash=nobody", "call/classify/nothing", "call/v2/classify/nothing"])
def test_a_stream_that_nobody_asked_for_ends_in_a_message_and_leaves_no_traceback(program: Program, path: str) -> None:
    answer = httpx.get(f"{program.url}gradio_api/{path}", timeout=PATIENCE)
    assert "404" in answer.text
    assert "Traceback" not in program.log.read_text()


@pytest.mark.parametrize("ranges", ["bytes=0-,1-,2-", "bytes=x-y", "bytes=5-1", "lines=1"])
def test_an_odd_range_is_the_askers_fault(program: Program, ranges: str) -> None:
    path = program.upload(jpeg()).json()[0]
    answer = httpx.get(f"{program.url}gradio_api/file={path}", headers={"Range": ranges}, timeout=PATIENCE)
    assert answer.status_code < 500
    assert "Traceback" not in program.log.read_text()


def test_the_api_goes_through_the_queue_alone(program: Program) -> None:
    path = program.upload(jpeg()).json()[0]
    asked = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}
    assert program.post("run/classify", json=asked).status_code == 404
    assert program.post("api/classify", json=asked).status_code == 404
    event = program.post("call/classify", json=asked).json()["event_id"]
    answer = httpx.get(f"{program.url}gradio_api/call/classify/{event}", timeout=PATIENCE)
    assert "event: complete" in answer.text


def test_a_plain_call_may_leave_out_the_last_parameters(program: Program) -> None:
    path = program.upload(jpeg()).json()[0]
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    for data, says in (([file], "event: complete"), ([file, "main", "lion", ""], "event: complete"), ([], "There is no picture")):
        event = program.post("call/explain", json={"data": data}).json()["event_id"]
        answer = httpx.get(f"{program.url}gradio_api/call/explain/{event}", timeout=PATIENCE).text
        assert says in answer, answer


def test_the_apis_odd_arguments_get_an_answer_or_a_sentence(program: Program) -> None:
    path = program.upload(jpeg()).json()[0]
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    for odd in (
        [file, ["main"], {"a": 1}, 2.5, "yes"],
        [file, "main", 10**30, None],
        [file, "no", "", ""],
    ):
        event = program.post("call/explain", json={"data": odd}).json()["event_id"]
        answer = httpx.get(f"{program.url}gradio_api/call/explain/{event}", timeout=PATIENCE).text
        assert "event: complete" in answer or '"error": "' in answer, (odd, answer)
    assert "Traceback" not in program.log.read_text()


def test_a_call_leaves_no_empty_file(program: Program) -> None:
    """Gradio's own preparation of a file left one for each call."""
    path, meta = program.upload(jpeg(77)).json()[0], {"_type": "gradio.FileData"}
    for name, kept in (("classify", 0), ("explain", 9)):
        before = {entry.path for entry in scan(program.pictures)}
        event = program.post(f"call/{name}", json={"data": [{"path": path, "meta": meta}]}).json()["event_id"]
        assert "event: complete" in httpx.get(f"{program.url}gradio_api/call/{name}/{event}", timeout=PATIENCE).text
        new = [entry for entry in scan(program.pictures) if entry.path not in before]
        assert len(new) == kept
        assert all(entry.size and not entry.unfinished for entry in new)


def test_what_is_no_uploaded_picture_gets_a_sentence(program: Program) -> None:
    path, meta = program.upload(jpeg()).json()[0], {"_type": "gradio.FileData"}
    odd: list[Any] = [{"path": "/etc/passwd", "meta": meta}, {"path": path}, path, [path], 5, {"path": 5, "meta": meta}]
    odd += [{"path": "http://127.0.0.1/", "meta": meta}, {"path": path + "\0", "meta": meta}, {"meta": meta}, {"path": None}]
    for image in odd:
        event = program.post("call/classify", json={"data": [image]}).json()["event_id"]
        answer = httpx.get(f"{program.url}gradio_api/call/classify/{event}", timeout=PATIENCE).text
        fetched = isinstance(image, dict) and "http" in str(image.get("path"))
        assert ("No picture can be fetched" if fetched else "not a file that was uploaded here") in answer, (image, answer)
    assert "Traceback" not in program.log.read_text()


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"example": "lion", "target": "9" * 4301}, "No class is called"),
        ({"example": "lion", "target": 2**53 - 1}, "No class is called"),
        ({"example": "lion", "target": "x" * 100_000}, "No class is called"),
        ({"example": "lion", "head": "aux1"}, "have no trained aux1 head"),
        ({"example": "nothing"}, "There is no example"),
        ({"example": "lion", "weights": "user/repo"}, "not loaded here"),
        ({}, "no longer here"),
    ],
)
def test_a_wrong_question_gets_a_sentence_in_two_languages(program: Program, question: dict[str, Any], said: str) -> None:
    async def run() -> Any:
        async with program.client() as client:
            return await ask(client, "wrong", program.event("select"), question | {"n": 3})

    answer = asyncio.run(run())
    assert answer["n"] == 3
    assert said in answer["error"]["en"]
    assert len(answer["error"]["ko"]) < 1000


def test_one_visitors_hundred_questions_keep_nobody_waiting(program: Program) -> None:
    """Of one session, a few run or wait, and the rest is refused at once; who comes then is served in turn."""
    select = program.event("select")

    async def run() -> tuple[list[httpx.Response], Any]:
        async with program.client() as client:
            asked = (send(client, "greedy", select, {"n": i, "example": "lion"}) for i in range(100))
            greedy = asyncio.gather(*asked)
            await asyncio.sleep(0.05)
            honest = await ask(client, "honest", select, {"n": 1, "example": "cheetah"})
            return await greedy, honest

    responses, honest = asyncio.run(run())
    assert honest["answer"]["result"]["image"] == "cheetah"
    refused = [response for response in responses if response.status_code == 429]
    assert refused
    assert "questions are waiting already" in refused[0].text
    told = [response.json()["data"][0] for response in responses if response not in refused]
    assert all("answer" in message or "waiting" in message or message["busy"] for message in told)


def test_a_session_that_reads_no_answers_is_refused_more_of_them(program: Program) -> None:
    select = program.event("select")

    async def run() -> list[int]:
        async with program.client() as client:
            return [(await join(client, "silent", select, {"n": i, "example": "lion"})).status_code for i in range(12)]

    assert asyncio.run(run()) == [200] * 8 + [429] * 4


def test_thirty_visitors_at_once_each_get_their_own_answer(program: Program) -> None:
    """A classroom behind one address."""
    select = program.event("select")
    paths = [program.upload(jpeg(i), f"{i}.jpg").json()[0] for i in range(30)]

    async def run() -> list[Any]:
        async with program.client() as client:
            asked = [ask(client, f"pupil {i}", select, {"n": i, "upload": path}) for i, path in enumerate(paths)]
            return await asyncio.gather(*asked)

    for i, answer in enumerate(asyncio.run(run())):
        assert answer["n"] == i
        assert answer["answer"]["result"]["image"] == f"{i}.jpg"


def test_a_question_that_must_wait_hears_its_number_at_once(program: Program) -> None:
    select = program.event("select")

    async def first(client: httpx.AsyncClient, i: int) -> Any:
        return (await send(client, f"crowd {i}", select, {"n": i, "example": "lion"})).json()["data"][0]

    async def run(crowd: int) -> list[Any]:
        async with program.client() as client:
            return await asyncio.gather(*(first(client, i) for i in range(crowd)))

    crowd, numbers = 60, list[int]()
    while not numbers and crowd < 4000:  # a faster machine needs a larger one
        numbers = [answer["waiting"] for answer in asyncio.run(run(crowd)) if "waiting" in answer]
        crowd *= 2
    assert numbers
    assert all(number >= 1 for number in numbers)


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

    async def run() -> Any:
        async with small_disk.client() as client:
            return await ask(client, "full", small_disk.event("select"), {"n": 1, "upload": path})

    assert "answer" in asyncio.run(run())
    while True:  # to the last byte
        try:
            with (small_disk.pictures / "else").open("ab") as file:
                file.write(bytes(4096))
        except OSError:
            break
    asked = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}, "main", "", ""]}
    event = small_disk.post("call/explain", json=asked).json()["event_id"]
    answer = httpx.get(f"{small_disk.url}gradio_api/call/explain/{event}", timeout=PATIENCE)
    assert "The server's disk is full; try again later." in answer.text


def test_sigterm_tells_who_waits_and_leaves_nothing(small: Path, tmp_path: Path) -> None:
    program = start(["--weights", str(small)], tmp_path)
    select = program.event("select")
    program.upload(jpeg())

    async def one(client: httpx.AsyncClient, i: int, waits: asyncio.Event) -> Any:
        while True:
            message = (await send(client, f"{i}", select, {"n": i, "example": "lion"})).json()["data"][0]
            if "waiting" in message:
                waits.set()
            elif message.get("restarting"):
                return message

    async def run() -> tuple[list[Any], float]:
        waits, asked = asyncio.Event(), list[asyncio.Task[Any]]()
        async with program.client() as client:
            while not waits.is_set():  # a faster machine needs a larger crowd
                assert not any(task.done() for task in asked)
                asked += [asyncio.create_task(one(client, len(asked) + i, waits)) for i in range(120)]
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(waits.wait(), 5)
            program.process.send_signal(signal.SIGSTOP)
            program.process.terminate()
            program.process.send_signal(signal.SIGCONT)  # as a shell ends a job that Ctrl-Z stopped
            stopped = time.monotonic()
            answers = await asyncio.gather(*asked, return_exceptions=True)
            await asyncio.to_thread(program.process.wait, PATIENCE)
            return answers, time.monotonic() - stopped

    answers, seconds = asyncio.run(run())
    restarting = [answer for answer in answers if isinstance(answer, dict) and answer.get("restarting")]
    assert restarting, [str(answer)[:80] for answer in answers]
    assert "restarting" in restarting[0]["error"]["en"]
    assert seconds < 10  # or whoever stops a container kills it
    assert program.process.returncode == 0
    assert not list(tmp_path.glob("inside-googlenet-*"))
    assert "Traceback" not in (log := program.log.read_text()), log


def run(arguments: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    command, environment = [sys.executable, "app.py", *arguments], os.environ | variables
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE)


@pytest.mark.parametrize(
    ("arguments", "variables", "sentence"),
    [
        (["--port", "99999"], {}, "There is no port 99999; choose one from 1 to 65535."),
        (["--port", "-1"], {}, "There is no port -1; choose one from 1 to 65535."),
        ([], {"GRADIO_SERVER_PORT": "abc"}, "GRADIO_SERVER_PORT is abc, which is not a number; set it to a port, or unset it."),
        ([], {"GRADIO_SERVER_PORT": "9" * 30}, "There is no port 999999999; choose one from 1 to 65535."),
        (["--host", "192.0.2.1"], {}, "The host 192.0.2.1 is not this machine; choose another with --host."),
        (["--host", "no.such.host.invalid"], {}, "The host no.such.host.invalid is not known here; choose another with --host."),
    ],
)
def test_a_wrong_port_or_host_is_one_sentence(arguments: list[str], variables: dict[str, str], sentence: str) -> None:
    done = run(arguments, **variables)
    assert done.stderr == f"googlenet: {sentence}\n"
    assert done.returncode == 1


def test_a_taken_port_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(["--port", str(port)])
    assert done.stderr == f"googlenet: Port {port} is taken or not allowed here; choose another with --port.\n"


def has_answered(worker: int) -> bool:
    """Whether a process has written the results of passes: more bytes than the lists of libraries that its imports ask for."""
    written = dict(line.split(": ") for line in text(Path(f"/proc/{worker}/io")).splitlines()).get("wchar", "0")
    return int(written) > 300_000


def text(path: Path) -> str:
    """Of a file in /proc; nothing where its process or thread has ended."""
    with contextlib.suppress(OSError):
        return path.read_text("ascii")
    return ""


def test_a_crowd_gets_workers_and_they_end_with_the_program(small: Path, tmp_path: Path) -> None:
    """Passes run in other processes once questions wait. No visitor notices when one is killed, and SIGTERM leaves none."""
    program = start(["--weights", str(small)], tmp_path, OMP_NUM_THREADS=str(cores()))  # one pass at a time: 24 have to wait

    def workers() -> list[int]:
        children = " ".join(text(path) for path in Path(f"/proc/{program.process.pid}/task").glob("*/children"))
        return [pid for pid in map(int, children.split()) if "inference.worker" in text(Path(f"/proc/{pid}/cmdline"))]

    async def crowd() -> dict[str, Any]:
        async with program.client() as client:
            asked = (ask(client, f"{name} {i}", select, {"n": 1, "example": name}) for i in range(12) for name in ("lion", "cat"))
            results = [message["answer"]["result"] for message in await asyncio.gather(*asked)]
        return {result["image"]: result["heads"]["main"][0]["index"] for result in results}

    try:
        select = program.event("select")
        assert not workers()
        alone = asyncio.run(crowd())
        end = time.monotonic() + PATIENCE
        while not any(map(has_answered, workers())):
            assert asyncio.run(crowd()) == alone
            assert time.monotonic() < end
            time.sleep(0.3)  # for the workers, which start
        started = workers()
        assert len(started) == worker_count()
        os.kill(started[0], signal.SIGKILL)
        assert asyncio.run(crowd()) == alone
    finally:
        program.process.terminate()
        assert program.process.wait(PATIENCE) == 0
    until(lambda: not any(map(is_running, started)))
    assert "Traceback" not in program.log.read_text()
