"""The queue in front of whatever takes time: bounded, and fair between sessions.

Gradio's own queue is first in, first out: one visitor's sixty questions shut everyone else out. Here each piece of work is due
at a time. A session that uses more than its share of the machine has later times than the others. What is due first runs first.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import gradio as gr

from googlenet.errors import UserError

__all__ = ["Progress", "RestartingError", "Turns", "Visitor", "VisitorLeftError", "own_address"]

_SHARE = 1 / 8
"""The part of a queue's places that a session may use all the time without falling behind the others."""
_USUAL = 0.05
"""Seconds that a piece of work is expected to take where nothing better is known."""
REFUSAL_DELAY = 0.5
"""Seconds before a refusal is sent, so that a program that asks again at once does not keep the server busy with refusals."""
LOOK = 1.0
"""Seconds between two looks whether a visitor is still there."""
_SESSIONS = 4096
"""Sessions whose use is remembered, those that were used last."""


class BusyError(UserError):
    """There is no room in the queue, or none for this session."""


class RestartingError(UserError):
    """The program is being stopped."""

    def __init__(self) -> None:
        super().__init__("The server is restarting; ask again in a moment.")


class VisitorLeftError(Exception):
    """Ends work whose visitor has left."""


Progress = Callable[..., None]
"""Called by the work with the share that is done, 0…1. Raises VisitorLeftError where the visitor has left."""
Work = Callable[[Progress], Any]


@dataclass(frozen=True)
class Visitor:
    """Who asks, as far as a server can tell."""

    session: str
    """one opened page, or one call of the API"""
    address: str | None = None
    """None where it tells nobody apart (`own_address`)"""
    has_left: Callable[[], Awaitable[bool]] | None = None
    """None where nobody knows whether the connection is still open"""


@dataclass(eq=False)
class Ticket:
    """A piece of work on its way through the queue."""

    visitor: Visitor
    number: int | None
    """of the question in its session"""
    work: Work
    cost: float
    """seconds by which it makes the session's next work later"""
    due: float
    """when its turn is, on the monotonic clock"""
    result: asyncio.Future[Any]
    progress: float | None = None


class Turns:
    """Runs `running` pieces of work at a time, each in a thread; the rest wait. Belongs to the server's event loop."""

    def __init__(self, running: int, waiting: int = 256, per_session: int = 4) -> None:
        """`waiting`: how many may wait in all, half of them of one address; `per_session`: of one session, half of it may run."""
        self.places, self.most_waiting, self.per_session = running, waiting, per_session
        self.waiting: list[Ticket] = []
        self.running: set[Ticket] = set()
        self.due_from: OrderedDict[str, float] = OrderedDict()
        """session → when its next work is due at the earliest, on the monotonic clock"""
        self.closed = False
        self.threads = ThreadPoolExecutor(running, thread_name_prefix="work")

    async def run(self, visitor: Visitor, work: Work, number: int | None = None, seconds: float = _USUAL) -> Any:
        """Do a piece of work in its turn, in a thread. `number`: of the question in its session; `seconds`: that it will take.

        Raises BusyError, RestartingError, VisitorLeftError, and whatever the work raises.
        """
        ticket = self.join(visitor, work, number, seconds)
        try:
            while not (await asyncio.wait([ticket.result], timeout=LOOK))[0]:
                if visitor.has_left and await visitor.has_left():
                    raise VisitorLeftError
            return ticket.result.result()
        except BusyError:
            await asyncio.sleep(REFUSAL_DELAY)
            raise
        finally:
            self.leave(ticket)

    def join(self, visitor: Visitor, work: Work, number: int | None, seconds: float) -> Ticket:
        """A ticket, which has the error already where it cannot wait."""
        cost = self.cost(seconds)
        due = max(time.monotonic(), self.due_from.get(visitor.session, 0.0)) + cost
        ticket = Ticket(visitor, number, work, cost, due, asyncio.get_running_loop().create_future())
        if self.closed:
            _fail(ticket, RestartingError())
        elif (own := sum(each.visitor.session == visitor.session for each in self.waiting)) >= self.per_session:
            _fail(ticket, BusyError("Questions of yours that wait already: {own}; ask again when one is answered.", own=own))
        else:
            self.due_from[visitor.session] = due
            self.waiting.append(ticket)
            self.refuse_one()
            self.admit()
        return ticket

    def refuse_one(self) -> None:
        """Where too many wait in all, or of one address, refuse the one of them that is due last."""
        newest = self.waiting[-1].visitor.address
        near = [] if newest is None else [each for each in self.waiting if each.visitor.address == newest]
        group = self.waiting if len(self.waiting) > self.most_waiting else near if len(near) > self.most_waiting // 2 else []
        if group:
            last = max(group, key=lambda each: each.due)
            place = len(self.waiting)
            _fail(
                last,
                BusyError("The server is busy, you would be number {place} in the queue; ask again in a moment.", place=place),
            )
            self.leave(last)

    def admit(self) -> None:
        """Let run whose turn it is. A session with half of `per_session` running lets the others go first."""
        while len(self.running) < self.places:
            busy = [ticket.visitor.session for ticket in self.running]
            may = [each for each in self.waiting if busy.count(each.visitor.session) < max(1, self.per_session // 2)]
            if not may:
                return
            ticket = min(may, key=lambda each: each.due)
            self.waiting.remove(ticket)
            self.running.add(ticket)
            self.start(ticket)

    def start(self, ticket: Ticket) -> None:
        begun = time.monotonic()

        def tell(share: float = 0.0, *_: object) -> None:
            if ticket.result.done():  # with an error: nobody waits any more
                raise VisitorLeftError
            ticket.progress = share

        def finish(done: asyncio.Future[Any]) -> None:
            """The work has ended, and another may begin. The session pays for the time that it took."""
            self.running.discard(ticket)
            self.pay(ticket, self.cost(time.monotonic() - begun) - ticket.cost)
            if error := done.exception():
                _fail(ticket, error)
            elif not ticket.result.done():
                ticket.result.set_result(done.result())
            self.admit()

        asyncio.get_running_loop().run_in_executor(self.threads, ticket.work, tell).add_done_callback(finish)

    def cost(self, seconds: float) -> float:
        return seconds / self.places / _SHARE

    def pay(self, ticket: Ticket, seconds: float) -> None:
        """Make the session's next work later."""
        session = ticket.visitor.session
        self.due_from[session] = self.due_from.get(session, 0.0) + seconds
        self.due_from.move_to_end(session)
        while len(self.due_from) > _SESSIONS:
            self.due_from.popitem(last=False)

    def leave(self, ticket: Ticket) -> None:
        """The visitor wants no answer any more. Work that runs keeps its place until it ends or tells of its progress."""
        if ticket in self.waiting:
            self.waiting.remove(ticket)
            self.pay(ticket, -ticket.cost)
        _fail(ticket, VisitorLeftError())

    def find(self, session: str, number: int) -> Ticket | None:
        """A question that waits or runs."""
        both = (*self.waiting, *self.running)
        return next((each for each in both if (each.visitor.session, each.number) == (session, number)), None)

    def place(self, ticket: Ticket) -> int:
        """The place of one that waits, counted from 1."""
        return sum(each.due <= ticket.due for each in self.waiting)

    def close(self) -> None:
        """Admit nobody any more; whoever waits or runs gets RestartingError. For any thread."""
        self.closed = True
        for ticket in (*self.waiting, *self.running):
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                ticket.result.get_loop().call_soon_threadsafe(_fail, ticket, RestartingError())


def _fail(ticket: Ticket, error: BaseException) -> None:
    """Let a ticket's visitor have an error, unless there is a result already."""
    if not ticket.result.done():
        ticket.result.set_exception(error)
        ticket.result.exception()  # marks it as seen: its visitor may have left


def own_address(request: gr.Request) -> str | None:
    """The visitor's own address; of IPv6, the first of its network's, of which one visitor has all.

    None where it tells nobody apart: on this machine, behind a proxy with a classroom behind it, on a Space.
    """
    client = request.client
    if client is None or client.port == 0 or "SPACE_ID" in os.environ:  # 0 comes through a proxy ($FORWARDED_ALLOW_IPS)
        return None
    try:
        address = ipaddress.ip_address(client.host)
    except ValueError:  # what a visitor wrote into a header, where a proxy passes it on
        return None
    address = getattr(address, "ipv4_mapped", None) or address  # where one socket takes both kinds
    if address.is_loopback:
        return None
    return str(ipaddress.ip_network((int(address), 64), strict=False)[0]) if address.version == 6 else str(address)
