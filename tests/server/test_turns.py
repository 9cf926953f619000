"""The queue: who has the next turn, who is refused, what ends with its visitor."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from googlenet.ui import turns
from googlenet.ui.turns import BusyError, Progress, RestartingError, Turns, Visitor, VisitorLeftError, own_address

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "REFUSAL_DELAY", 0.0)
    monkeypatch.setattr(turns, "LOOK", 0.01)


class Stage:
    """Work that runs until it is let go, and the order in which it began."""

    def __init__(self, queue: Turns) -> None:
        self.queue, self.begun, self.go = queue, list[str](), threading.Event()
        self.asked: list[asyncio.Task[Any]] = []

    async def ask(self, name: str, session: str | None = None, address: str | None = None, **options: Any) -> asyncio.Task[Any]:
        def work(tell: Progress) -> str:
            self.begun.append(name)
            self.go.wait(10)
            return name

        self.asked.append(asyncio.ensure_future(self.queue.run(Visitor(session or name, address), work, **options)))
        await settle()
        return self.asked[-1]

    async def end(self) -> list[str]:
        """Let all work end that was not refused, and tell in which order it began."""
        self.go.set()
        await asyncio.gather(*self.asked, return_exceptions=True)
        return self.begun


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0.001)


async def test_work_is_done_and_its_error_raised() -> None:
    def wrong(tell: Progress) -> None:
        raise KeyError("a")

    queue = Turns(1)
    assert await queue.run(Visitor("a"), lambda tell: 5) == 5
    with pytest.raises(KeyError):
        await queue.run(Visitor("a"), wrong)
    assert not queue.running


async def test_one_sessions_many_questions_come_after_anothers_one() -> None:
    stage = Stage(Turns(1))
    await stage.ask("first")
    for i in range(4):
        await stage.ask(f"flood {i}", "flood")
    await stage.ask("honest")
    await stage.ask("other")
    assert [stage.queue.place(ticket) for ticket in stage.queue.waiting] == [1, 4, 5, 6, 2, 3]
    assert await stage.end() == ["first", "flood 0", "honest", "other", "flood 1", "flood 2", "flood 3"]


async def test_a_session_pays_for_the_time_that_its_work_took(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that takes two seconds to decode counts as forty others."""
    clock = [100.0]
    monkeypatch.setattr(turns, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    stage = Stage(Turns(1))
    await stage.ask("slow", "slow")
    clock[0] += 2
    await stage.end()
    stage.go.clear()
    await stage.ask("running")
    await stage.ask("slow again", "slow")
    for i in range(30):
        await stage.ask(f"{i}")
    assert (await stage.end())[-1] == "slow again"


async def test_what_will_take_long_waits_for_what_will_not() -> None:
    stage = Stage(Turns(1))
    await stage.ask("running")
    await stage.ask("large", seconds=2.0)
    await stage.ask("small", seconds=0.01)
    assert await stage.end() == ["running", "small", "large"]


async def test_a_session_has_so_many_places_and_half_of_them_run() -> None:
    stage = Stage(Turns(8, per_session=4))
    for i in range(6):
        await stage.ask(f"{i}", "one")
    assert stage.begun == ["0", "1"]
    with pytest.raises(BusyError, match="Questions of yours that wait already: 4;"):
        await (await stage.ask("more", "one"))
    assert len(await stage.end()) == 6


async def test_in_a_full_queue_the_one_that_is_due_last_is_refused() -> None:
    stage = Stage(Turns(1, waiting=4))
    await stage.ask("running")
    for i in range(4):
        await stage.ask(f"flood {i}", "flood")
    await stage.ask("honest")
    with pytest.raises(BusyError, match="you would be number 5 in the queue"):
        await stage.asked[4]
    assert await stage.end() == ["running", "flood 0", "honest", "flood 1", "flood 2"]


async def test_one_address_has_half_of_the_queue() -> None:
    stage = Stage(Turns(1, waiting=4))
    await stage.ask("running")
    for i in range(3):
        await stage.ask(f"near {i}", address="192.0.2.1")
    with pytest.raises(BusyError):
        await stage.asked[3]
    await stage.ask("far", address="192.0.2.2")
    await stage.ask("nowhere")
    assert await stage.end() == ["running", "near 0", "near 1", "far", "nowhere"]


async def test_who_leaves_gives_the_place_up() -> None:
    stage, gone = Stage(Turns(1)), asyncio.Event()

    async def has_left() -> bool:
        return gone.is_set()

    await stage.ask("running")
    leaving = asyncio.ensure_future(stage.queue.run(Visitor("leaving", has_left=has_left), lambda tell: None))
    stopping = await stage.ask("stopping", number=7)
    gone.set()
    ticket = stage.queue.find("stopping", 7)
    assert ticket is not None
    stage.queue.leave(ticket)
    for task in (leaving, stopping):
        with pytest.raises(VisitorLeftError):
            await task
    assert not stage.queue.waiting
    assert await stage.end() == ["running"]


async def test_work_that_tells_of_its_progress_ends_with_its_visitor() -> None:
    queue, ended = Turns(1), threading.Event()

    def work(tell: Progress) -> None:
        try:
            while True:
                tell(0.5, "file")
        finally:
            ended.set()

    task = asyncio.ensure_future(queue.run(Visitor("a"), work, 3))
    while (ticket := queue.find("a", 3)) is None or ticket.progress is None:
        await asyncio.sleep(0.001)
    assert ticket.progress == 0.5
    task.cancel()
    await asyncio.to_thread(ended.wait, 10)
    assert ended.is_set()
    assert await queue.run(Visitor("b"), lambda tell: 1) == 1


async def test_at_the_end_all_hear_that_the_program_restarts() -> None:
    stage = Stage(Turns(1))
    await stage.ask("running")
    await stage.ask("waiting")
    await asyncio.to_thread(stage.queue.close)
    await stage.ask("late")
    for task in stage.asked:
        with pytest.raises(RestartingError):
            await task
    stage.go.set()


@pytest.mark.parametrize(
    ("host", "port", "address"),
    [
        ("192.0.2.7", 4000, "192.0.2.7"),
        ("::ffff:192.0.2.7", 4000, "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", 4000, "2001:db8:1:2::"),
        ("127.0.0.1", 4000, None),
        ("::1", 4000, None),
        ("::ffff:127.0.0.1", 4000, None),
        ("192.0.2.7", 0, None),
        ("unknown", 4000, None),
    ],
)
def test_an_address_counts_where_it_tells_visitors_apart(host: str, port: int, address: str | None) -> None:
    assert own_address(SimpleNamespace(client=SimpleNamespace(host=host, port=port))) == address  # type: ignore[arg-type]
    assert own_address(SimpleNamespace(client=None)) is None  # type: ignore[arg-type]
