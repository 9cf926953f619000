"""The program in a process of its own, and a client that asks as the page's script does, so that it can misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from googlenet.inference.device import cores
from tests.helpers import PATIENCE, ROOT, free_port, is_running, random_image, until
from tests.hub.conftest import write_model


def jpeg(seed: int = 0) -> bytes:
    file = io.BytesIO()
    random_image(320, 240, seed).save(file, "JPEG")
    return file.getvalue()


def text(path: Path) -> str:
    """Of a file in /proc; nothing where its process or thread has ended."""
    with contextlib.suppress(OSError):
        return path.read_text("ascii")
    return ""


@dataclass(frozen=True)
class Program:
    process: subprocess.Popen[bytes]
    url: str
    temporary: Path
    """where it makes its folder"""
    log: Path
    component: int
    """the number of the component whose functions the script asks"""

    @property
    def pictures(self) -> Path:
        (root,) = self.temporary.glob("inside-googlenet-*")
        return root / "pictures"

    def client(self) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=None)
        return httpx.AsyncClient(base_url=f"{self.url}gradio_api/", timeout=PATIENCE, limits=limits, trust_env=False)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", timeout=PATIENCE, trust_env=False, **options)

    def post(self, path: str, **content: Any) -> httpx.Response:
        return httpx.post(f"{self.url}gradio_api/{path}", timeout=PATIENCE, trust_env=False, **content)

    def upload(self, data: bytes, name: str = "a.jpg", field: str = "files") -> httpx.Response:
        return self.post("upload", files={field: (name, data)})

    def body(self, function: str, question: object) -> dict[str, Any]:
        return {"data": question, "component_id": self.component, "fn_name": function, "session_hash": "gradio's"}

    def ask(self, function: str, **question: Any) -> Any:
        """The reply to one question."""
        answer = self.post("component_server/", json=self.body(function, {"n": 1, "session": "test", **question}))
        return answer.raise_for_status().json()

    async def ask_with(self, client: httpx.AsyncClient, function: str, **question: Any) -> Any:
        return (await client.post("component_server/", json=self.body(function, question))).raise_for_status().json()

    def workers(self) -> list[int]:
        """The processes that run its passes."""
        children = " ".join(text(path) for path in Path(f"/proc/{self.process.pid}/task").glob("*/children"))
        return [pid for pid in map(int, children.split()) if "inference.worker" in text(Path(f"/proc/{pid}/cmdline"))]

    def call(self, name: str, *values: Any) -> str:
        """The stream of an API call by plain HTTP."""
        event = self.post(f"call/{name}", json={"data": values}).raise_for_status().json()["event_id"]
        return self.get(f"gradio_api/call/{name}/{event}").text


def start(arguments: list[str], temporary: Path, host: str = "127.0.0.1", port: int = 0, **variables: str) -> Program:
    """`python app.py …`, up and running; on a free port where none is named."""
    port, log = port or free_port(), temporary / "log.txt"
    own = {"GRADIO_TEMP_DIR": str(temporary), "HF_HOME": str(temporary), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "app.py", "--port", str(port), *arguments]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | own | variables, stdout=out, stderr=subprocess.STDOUT)
    url = f"http://{host}:{port}/"
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            config = httpx.get(f"{url}config", timeout=PATIENCE, trust_env=False).json()
        except httpx.TransportError:
            time.sleep(0.2)
        else:
            component = next(each["id"] for each in config["components"] if "explain" in each["props"].get("server_fns", ()))
            return Program(process, url, temporary, log, component)
    process.kill()
    raise RuntimeError(f"app.py did not come up:\n{log.read_text('utf-8')[-2000:]}")


def stop(program: Program) -> None:
    program.process.terminate()
    program.process.wait(PATIENCE)


@pytest.fixture(scope="package")
def anyio_backend() -> str:
    """What runs the tests that are coroutines (`pytest.mark.anyio`)."""
    return "asyncio"


@pytest.fixture(scope="package")
def small(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The arguments for weights that start and answer quickly: three classes, no auxiliary heads."""
    write_model(folder := tmp_path_factory.mktemp("small"), ("a", "b", "c"))
    return ["--weights", str(folder), "--device", "cpu"]


SETTINGS = {
    "GRADIO_DEBUG": "1",
    "GRADIO_SERVER_NAME": "::",
    "OMP_NUM_THREADS": str(cores()),  # one pass at a time: a crowd's questions have to wait
    "http_proxy": "127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "https_proxy": "host:port",
    "ALL_PROXY": "socks5://ann:s3cret@127.0.0.1:9",
    "all_proxy": "socks://127.0.0.1:9",
    "no_proxy": "192.168.*,fd00::/8",
    "SSL_CERT_FILE": str(ROOT),
}
"""Every address of this machine, proxies that answer nothing, and what Gradio cannot use."""


@pytest.fixture(scope="package")
def program(small: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """With labels, a title and examples of its own. SIGTERM tells who waits, and leaves neither a process nor a file."""
    temporary = tmp_path_factory.mktemp("temporary")
    (examples := temporary / "pets").mkdir()
    for seed, name in enumerate(("lion.jpg", "cheetah.jpg")):
        (examples / name).write_bytes(jpeg(seed))
    (names := temporary / "names.txt").write_text("lion\ncougar\ncat\n")
    options = [*small, "--labels", str(names), "--title", "Our <pets>"]
    program = start(options, temporary, "[::1]", 0, GOOGLENET_EXAMPLES=str(examples), **SETTINGS)
    yield program
    workers = program.workers()
    try:
        replies, seconds = asyncio.run(end(program))
    finally:
        program.process.kill()
        program.process.wait(PATIENCE)
    refusals = [reply["refusal"] for reply in replies if "refusal" in reply]
    assert refusals
    assert all(refusal["kind"] == "restarting" and "restarting" in refusal["en"] for refusal in refusals)
    assert seconds < 10  # or whoever stops a container kills it
    assert program.process.returncode == 0
    until(lambda: not any(map(is_running, workers)))
    assert not list(temporary.glob("inside-googlenet-*"))
    assert "Traceback" not in (log := program.log.read_text()), log


async def end(program: Program) -> tuple[list[Any], float]:
    """The replies to nine visitors, some of whom wait when the program is ended, and the seconds until it has ended."""
    async with program.client() as client:
        nine = (program.ask_with(client, "trust", n=1, session=f"{i}", example="lion") for i in range(9))
        asked = [asyncio.ensure_future(question) for question in nine]
        while True:
            assert not all(question.done() for question in asked)
            told = [await program.ask_with(client, "progress", n=1, session=f"{i}") for i in range(9)]
            if any("place" in each for each in told):
                break
        program.process.send_signal(signal.SIGSTOP)
        program.process.terminate()
        program.process.send_signal(signal.SIGCONT)  # as a shell ends a job that Ctrl-Z stopped
        stopped = time.monotonic()
        replies = await asyncio.gather(*asked)
        await asyncio.to_thread(program.process.wait, PATIENCE)
        return replies, time.monotonic() - stopped


FILE = {"_type": "gradio.FileData"}
"""What marks a file in an API call."""
