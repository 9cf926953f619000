"""The queue in front of the model: whose turn it is, who is refused, and what happens to work whose visitor leaves."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import gradio as gr
import pytest
from starlette.requests import Request

from googlenet.ui import fairqueue
from googlenet.ui.fairqueue import FairQueue
from googlenet.ui.layout import build
from googlenet.ui.tickets import BusyError, RestartingError, Tell, VisitorLeftError, Waiting
from googlenet.ui.visitor import Visitor, visitor_of
from tests.helpers import explainer_of, random_model


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs an async test, for a minute at most."""

    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        asyncio.run(asyncio.wait_for(test(**fixtures), 60))

    return run


@pytest.fixture(autouse=True)
def as_on_an_idle_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A visitor hears at once, and a pause of a busy machine ends neither a session's turn nor its presence."""
    monkeypatch.setattr(fairqueue, "BEFORE_NEWS", 0.001)
    monkeypatch.setattr("googlenet.ui.pace.PACE", 1 / 60)
    monkeypatch.setattr("googlenet.ui.pace.CALM_SECONDS", 60.0)


class Gate:
    """Work that lasts until it is opened; notes in which order it begins."""

    def __init__(self) -> None:
        self.opened, self.begun, self.left = threading.Event(), list[str](), list[str]()

    def work(self, name: str) -> Callable[[Tell], None]:
        def run(tell: Tell) -> None:
            self.begun.append(name)
            assert self.opened.wait(30)
            try:
                tell(name)
            except VisitorLeftError:
                self.left.append(name)

        return run


async def result(queue: FairQueue, visitor: Visitor, work: Callable[[Tell], None], told: list[Any] | None = None) -> list[Any]:
    """What a visitor is told, in `told` as soon as it comes."""
    told = [] if told is None else told
    async for message in queue.run(visitor, work):
        told.append(message)
    return told


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


@in_loop
async def test_sessions_take_turns() -> None:
    queue, gate = FairQueue(running=1, per_session=4), Gate()
    asks = [asyncio.create_task(result(queue, Visitor("first"), gate.work("first 0")))]
    await until(lambda: gate.begun == ["first 0"])
    names, heard = ("first 1", "first 2", "first 3", "second", "third"), [list[Any]() for _ in range(5)]
    for name, told in zip(names, heard, strict=True):
        asks.append(asyncio.create_task(result(queue, Visitor(name.split()[0]), gate.work(name), told)))
    await until(lambda: queue.waiting == 5 and all(heard))
    gate.opened.set()
    answers = await asyncio.gather(*asks)
    assert gate.begun == ["first 0", "second", "third", "first 1", "first 2", "first 3"]
    assert answers[0] == ["first 0"]
    assert [told[0] for told in answers[1:]] == [Waiting(n) for n in (3, 4, 5, 1, 2)]
    assert [told[-1] for told in answers] == ["first 0", "first 1", "first 2", "first 3", "second", "third"]
    assert not queue.running
    assert not queue.waiting


@in_loop
async def test_a_session_holds_four_places_and_the_refusal_says_so() -> None:
    queue, gate = FairQueue(running=1), Gate()
    asks = [asyncio.create_task(result(queue, Visitor("greedy"), gate.work("greedy"))) for _ in range(5)]
    await until(lambda: queue.waiting == 4)
    with pytest.raises(BusyError, match="4 of your questions"):
        await result(queue, Visitor("greedy"), gate.work("greedy"))
    asks.append(asyncio.create_task(result(queue, Visitor("modest"), gate.work("modest"))))
    await until(lambda: queue.waiting == 5)
    gate.opened.set()
    await asyncio.gather(*asks)
    assert gate.begun.index("modest") == 1


async def two_floods(queue: FairQueue, gate: Gate) -> list[asyncio.Task[list[Any]]]:
    """Two sessions that ask three questions at once each."""
    names = [(session, f"{session} {i}") for session in ("a", "b") for i in range(3)]
    return [asyncio.create_task(result(queue, Visitor(session), gate.work(name))) for session, name in names]


@in_loop
async def test_while_calm_sessions_are_there_hurried_ones_have_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of one session after another leaves a place free for who asks as a person does."""
    queue, gate = FairQueue(running=4), Gate()
    asks = await two_floods(queue, gate)  # the first question of each is calm
    await until(lambda: len(gate.begun) == 3 and queue.waiting == 3)
    assert sorted(gate.begun) == ["a 0", "a 1", "b 0"]
    asks.append(asyncio.create_task(result(queue, Visitor("calm"), gate.work("calm"))))
    await until(lambda: len(gate.begun) == 4)
    assert gate.begun[3] == "calm"
    monkeypatch.setattr("googlenet.ui.pace.CALM_SECONDS", -1.0)
    gate.opened.set()
    await asyncio.gather(*asks)
    assert sorted(gate.begun[4:]) == ["a 2", "b 1", "b 2"]


@in_loop
async def test_hurried_sessions_among_themselves_have_all_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("googlenet.ui.pace.CALM_SECONDS", -1.0)
    queue, gate = FairQueue(running=4), Gate()
    asks = await two_floods(queue, gate)
    await until(lambda: len(gate.begun) == 4)
    gate.opened.set()
    await asyncio.gather(*asks)


@in_loop
async def test_who_asks_one_after_the_other_is_not_held_back() -> None:
    """However fast; else engines would be free while people wait."""
    queue, gate = FairQueue(running=4), Gate()
    gate.opened.set()
    for i in range(20):
        await result(queue, Visitor("one"), gate.work(f"{i}"))
        assert not queue.pace.leaves_room()
    assert queue.pace.ahead("one") > 1


@in_loop
async def test_a_session_has_half_as_many_running_as_it_may_have_waiting() -> None:
    queue, gate = FairQueue(running=8), Gate()
    asks = [asyncio.create_task(result(queue, Visitor("greedy"), gate.work(f"greedy {i}"))) for i in range(6)]
    await until(lambda: len(gate.begun) == 2)
    asks.append(asyncio.create_task(result(queue, Visitor("modest"), gate.work("modest"))))
    await until(lambda: gate.begun[2:] == ["modest"])
    gate.opened.set()
    await asyncio.gather(*asks)
    assert len(gate.begun) == 7


@in_loop
async def test_questions_whose_answers_nobody_reads_have_their_turn_last_and_one_by_one() -> None:
    queue, gate = FairQueue(running=4), Gate()
    queue.is_read = lambda session: session.startswith("reads")
    asks = [asyncio.create_task(result(queue, Visitor(f"left {i}"), gate.work(f"left {i}"))) for i in range(6)]
    await until(lambda: gate.begun == ["left 0"] and queue.waiting == 5)
    asks += [asyncio.create_task(result(queue, Visitor(f"reads {i}"), gate.work(f"reads {i}"))) for i in range(2)]
    asks.append(asyncio.create_task(result(queue, Visitor("waits", listens=True), gate.work("waits"))))
    await until(lambda: len(gate.begun) == 4)
    assert sorted(gate.begun[1:]) == ["reads 0", "reads 1", "waits"]
    gate.opened.set()
    await asyncio.gather(*asks)
    assert gate.begun[4:] == [f"left {i}" for i in range(1, 6)]


@in_loop
@pytest.mark.parametrize("address", [None, "203.0.113.7"])
async def test_questions_whose_answers_nobody_reads_give_their_places_to_others(address: str | None) -> None:
    """A thousand sessions that ask and leave fill the queue; a person is served all the same."""
    queue, gate = FairQueue(running=2, waiting=8), Gate()
    queue.is_read = lambda session: session.startswith("reads")
    asks = [asyncio.create_task(result(queue, Visitor(f"left {i}", address), gate.work("left"))) for i in range(12)]
    most = 8 if address is None else 4
    await until(lambda: queue.waiting == most and sum(task.done() for task in asks) == 12 - 1 - most)
    asks += [asyncio.create_task(result(queue, Visitor(f"reads {i}", address), gate.work("reads"))) for i in range(3)]
    asks.append(asyncio.create_task(result(queue, Visitor("waits", address, listens=True), gate.work("waits"))))
    await until(lambda: sum(task.done() for task in asks) == 12 - 1 - most + 3)  # the fourth took a free place
    gate.opened.set()
    told = await asyncio.gather(*asks, return_exceptions=True)
    assert [messages[-1] for messages in told[12:] if isinstance(messages, list)] == ["reads"] * 3 + ["waits"]
    assert all(isinstance(each, list | BusyError) for each in told)
    queue.most_waiting = 0
    with pytest.raises(BusyError):  # with nobody unread to send away
        await result(queue, Visitor("reads late"), gate.work("late"))
    assert not queue.waiting
    assert not queue.running


@in_loop
async def test_who_begins_to_read_soon_after_asking_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser opens the stream of its messages when it knows that its event was taken."""
    monkeypatch.setattr(fairqueue, "BEFORE_NEWS", 0.1)
    queue, gate, reading = FairQueue(running=1, waiting=2), Gate(), set[str]()
    queue.is_read = lambda session: session in reading
    asks = [asyncio.create_task(result(queue, Visitor(f"left {i}"), gate.work("left"))) for i in range(3)]
    await until(lambda: queue.waiting == 2)
    person = asyncio.create_task(result(queue, Visitor("person"), gate.work("person")))
    await asyncio.sleep(0.05)
    reading.add("person")
    await until(lambda: any(task.done() for task in asks))
    gate.opened.set()
    assert (await person)[-1] == "person"
    await asyncio.gather(*asks, return_exceptions=True)


@in_loop
async def test_an_address_holds_half_of_the_queue_and_a_refusal_names_the_number() -> None:
    queue, gate = FairQueue(running=1, waiting=8), Gate()
    asks = [asyncio.create_task(result(queue, Visitor(f"a{i}", "203.0.113.7"), gate.work("a"))) for i in range(5)]
    await until(lambda: queue.waiting == 4)
    with pytest.raises(BusyError, match="number 5 in the queue"):
        await result(queue, Visitor("a5", "203.0.113.7"), gate.work("a"))
    asks += [asyncio.create_task(result(queue, Visitor(f"b{i}", f"203.0.113.{i}"), gate.work("b"))) for i in range(10, 14)]
    await until(lambda: queue.waiting == 8)
    with pytest.raises(BusyError, match="number 9 in the queue"):
        await result(queue, Visitor("c", "203.0.113.99"), gate.work("c"))
    gate.opened.set()
    await asyncio.gather(*asks)


@in_loop
async def test_thirty_sessions_of_one_proxy_all_get_answers() -> None:
    queue, gate = FairQueue(running=2, waiting=32), Gate()
    asks = [asyncio.create_task(result(queue, Visitor(f"pupil {i}"), gate.work(f"{i}"))) for i in range(30)]
    gate.opened.set()
    assert [told[-1] for told in await asyncio.gather(*asks)] == [str(i) for i in range(30)]


@in_loop
async def test_who_leaves_while_waiting_gives_the_place_back() -> None:
    queue, gate = FairQueue(running=1), Gate()
    first = asyncio.create_task(result(queue, Visitor("first"), gate.work("first")))
    await until(lambda: gate.begun == ["first"])
    leaving = asyncio.create_task(result(queue, Visitor("leaving"), gate.work("leaving")))
    staying = asyncio.create_task(result(queue, Visitor("staying"), gate.work("staying")))
    await until(lambda: queue.waiting == 2)
    leaving.cancel()
    await until(lambda: queue.waiting == 1)
    gate.opened.set()
    assert (await staying)[-1] == "staying"
    assert await first == ["first"]
    assert gate.begun == ["first", "staying"]


@in_loop
async def test_work_whose_visitor_left_ends_at_its_next_message_and_keeps_its_place_until_then() -> None:
    queue, gate = FairQueue(running=1), Gate()
    leaving = asyncio.create_task(result(queue, Visitor("leaving"), gate.work("leaving")))
    await until(lambda: gate.begun == ["leaving"])
    leaving.cancel()
    staying = asyncio.create_task(result(queue, Visitor("staying"), gate.work("staying")))
    await until(lambda: queue.waiting == 1)
    gate.opened.set()
    assert (await staying)[-1] == "staying"
    assert gate.left == ["leaving"]


@in_loop
async def test_a_browser_that_asks_again_keeps_its_place_and_gets_one_message() -> None:
    queue, gate = FairQueue(running=1), Gate()
    first = asyncio.create_task(result(queue, Visitor("first"), gate.work("first")))
    await until(lambda: gate.begun == ["first"])
    second = Visitor("second")
    assert await queue.next(second, 7, gate.work("second")) == Waiting(1)
    third = asyncio.create_task(result(queue, Visitor("third"), gate.work("third")))
    await until(lambda: queue.waiting == 2)
    again = asyncio.create_task(queue.next(second, 7, gate.work("not this")))
    await asyncio.sleep(0.05)
    gate.opened.set()
    assert await again == "second"
    await asyncio.gather(first, third)
    assert gate.begun == ["first", "second", "third"]
    assert not queue.held


@in_loop
async def test_a_browser_that_does_not_ask_again_loses_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fairqueue, "PATIENCE", 0.05)
    queue, gate = FairQueue(running=1), Gate()
    first = asyncio.create_task(result(queue, Visitor("first"), gate.work("first")))
    await until(lambda: gate.begun == ["first"])
    assert await queue.next(Visitor("second"), 7, gate.work("second")) == Waiting(1)
    await until(lambda: queue.waiting == 0)
    gate.opened.set()
    await first
    assert gate.begun == ["first"]
    assert not queue.held


@in_loop
async def test_an_error_of_the_work_reaches_who_asked_and_frees_the_place() -> None:
    queue = FairQueue(running=1)

    def fails(tell: Tell) -> None:
        tell("begun")
        raise ZeroDivisionError

    told = queue.run(Visitor("a"), fails)
    assert await anext(told) == "begun"
    with pytest.raises(ZeroDivisionError):
        await anext(told)
    assert await result(queue, Visitor("a"), lambda tell: tell("fine")) == ["fine"]


@in_loop
async def test_closing_ends_what_runs_and_what_waits() -> None:
    queue, gate = FairQueue(running=1), Gate()
    asks = [asyncio.create_task(result(queue, Visitor(name), gate.work(name))) for name in ("runs", "waits")]
    await until(lambda: queue.waiting == 1 and gate.begun == ["runs"])
    queue.close()
    for ask in asks:
        with pytest.raises(RestartingError, match="restarting"):
            await ask
    with pytest.raises(RestartingError):
        await result(queue, Visitor("late"), gate.work("late"))
    gate.opened.set()


@in_loop
async def test_who_has_nothing_running_has_the_turn_before_who_has() -> None:
    queue, gates = FairQueue(running=2), [Gate(), Gate()]
    asks = [asyncio.create_task(result(queue, Visitor("greedy", listens=True), gates[0].work("greedy 0")))]
    asks.append(asyncio.create_task(result(queue, Visitor("other", listens=True), gates[1].work("other"))))
    await until(lambda: len(queue.running) == 2)
    asks.append(asyncio.create_task(result(queue, Visitor("greedy", listens=True), gates[0].work("greedy 1"))))
    asks.append(asyncio.create_task(result(queue, Visitor("modest", listens=True), gates[0].work("modest"))))
    await until(lambda: queue.waiting == 2)
    gates[1].opened.set()
    await until(lambda: len(gates[0].begun) == 2)
    assert gates[0].begun == ["greedy 0", "modest"]
    gates[0].opened.set()
    await asyncio.gather(*asks)


@pytest.mark.parametrize(
    ("client", "space", "address"),
    [
        (("203.0.113.5", 40000), False, "203.0.113.5"),
        (("2001:db8::5", 40000), False, "2001:db8::"),
        (("2001:db8::ffff:5%3", 40000), False, "2001:db8::"),  # one household has all addresses of a network
        (("2001:db8:0:1::5", 40000), False, "2001:db8:0:1::"),
        (("::ffff:203.0.113.5", 40000), False, "203.0.113.5"),
        (("::ffff:127.0.0.1", 40000), False, None),
        (("203.0.113.5", 0), False, None),  # named by a proxy in front
        (("127.0.0.1", 40000), False, None),  # a share link, too, comes from here
        (("::1", 40000), False, None),
        (("nobody", 40000), False, None),  # uvicorn takes over whatever a proxy of this machine passes on
        (("", 40000), False, None),
        (("203.0.113.5", 40000), True, None),
        (None, False, None),
    ],
)
def test_an_address_counts_only_where_it_is_one_visitors(
    client: tuple[str, int] | None, space: bool, address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    if space:
        monkeypatch.setenv("SPACE_ID", "user/space")
    scope = {"type": "http", "method": "POST", "path": "/gradio_api/run/predict", "headers": [], "query_string": b""}
    request = gr.Request(Request({**scope, "server": ("here", 80), "client": client}), session_hash="me")
    assert visitor_of(request) == Visitor("me", address, listens=True)


def test_what_takes_seconds_runs_one_at_a_time_and_has_a_queue_of_its_own() -> None:
    questions, *others = build(explainer_of(random_model()), "cpu").queues
    assert questions.limit > 1
    assert [queue.limit for queue in others] == [1, 1, 1]
    assert all(queue.most_waiting == 16 and queue.per_session <= 2 for queue in others)
