"""A stranger's nonsense leaves a bounded number of lines in the log."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import time

import pytest

from googlenet.ui.logs import PER_MINUTE, Bounded
from tests.helpers import ROOT
from tests.server.conftest import Program


def test_a_minute_has_a_bounded_number_of_lines_and_the_next_says_how_many_were_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    bounded, now = Bounded(), 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)

    def written(name: str, level: int, count: int) -> list[str]:
        records = [logging.LogRecord(name, level, "here.py", 1, "Odd: %s", (i,), None) for i in range(count)]
        return [record.getMessage() for record in records if bounded.filter(record)]

    assert written("guard", logging.WARNING, PER_MINUTE + 5) == [f"Odd: {i}" for i in range(PER_MINUTE)]
    assert written("guard", logging.ERROR, 1) == ["Odd: 0"]  # a flood hides no graver message, and none of another part
    assert written("uvicorn", logging.WARNING, 1) == ["Odd: 0"]
    now += 60
    assert written("guard", logging.WARNING, 2) == ["Odd: 0 (5 others like it were left out before)", "Odd: 1"]


def test_the_lines_of_the_hubs_library_are_bounded_and_come_once() -> None:
    code = (
        "import logging, huggingface_hub.file_download; from googlenet.ui.logs import bound_logs; bound_logs()\n"
        "for i in range(100): logging.getLogger('huggingface_hub.file_download').warning('Odd: %d', i)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == [f"WARNING:huggingface_hub.file_download:Odd: {i}" for i in range(PER_MINUTE)]


def test_nonsense_fills_no_log(program: Program) -> None:
    """uvicorn has a line for each request that it cannot read, and the guard one for each odd request."""
    host, port = program.url.split("/")[2].split(":")
    before = time.monotonic()
    for _ in range(10 * PER_MINUTE):
        with socket.create_connection((host, int(port))) as line:
            line.sendall(b"nonsense\r\n\r\n")
            line.recv(100)
    for _ in range(2 * PER_MINUTE):
        program.post("cancel%0AERROR: forged" + "x" * 1000, content=b"{")
        program.post("queue/join", json={"data": [], "fn_index": 999, "session_hash": "odd"})
    minutes = 2 + int((time.monotonic() - before) / 60)
    lines = program.log.read_text().splitlines()
    assert "Invalid HTTP request" in " ".join(lines)
    assert sum("Invalid HTTP request" in line for line in lines) <= minutes * PER_MINUTE
    assert sum("odd request" in line for line in lines) <= minutes * PER_MINUTE
    assert not [line for line in lines if line.startswith("ERROR: forged") or len(line) > 500]
