"""The one queue in front of the model: fair between sessions, bounded for a session, for an address, and in all.

Gradio's own queue is first in, first out: one visitor's sixty questions shut everyone else out. Here the sessions take turns,
calm ones before hurried ones. A visitor soon hears a question's number in the queue. Work whose visitor has left ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncGenerator, Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from googlenet.ui.pace import Pace
from googlenet.ui.tickets import DONE, BusyError, RestartingError, Ticket, VisitorLeftError, Waiting, Work
from googlenet.ui.visitor import Visitor

PATIENCE = 10
"""Seconds for which a waiting question keeps its place while the browser does not ask again."""

BEFORE_NEWS = 0.5
"""Seconds before a visitor hears of a place in the queue or of a refusal. Most waits are shorter. And while a flood's refusals
are held back, the guard in front of Gradio refuses the rest of the flood at a tenth of the cost."""


class FairQueue:
    """Runs `running` pieces of work at a time, each in a thread; the rest wait, and the sessions take turns.

    Everything but `Tell` and `stop` belongs to the server's event loop.
    """

    def __init__(self, running: int, waiting: int = 256, per_session: int = 4) -> None:
        """
        Args:
            running: how many pieces of work run at a time.
            waiting: how many may wait, in all; those of one address may be half of them.
            per_session: how many of one session may wait; half as many run at a time.
        """
        self.is_read: Callable[[str], bool] = lambda session: True
        """whether somebody reads a session's messages; those of others have their turn last, and one of them runs at a time"""
        self.limit, self.most_waiting, self.per_session = running, waiting, per_session
        self.running: set[Ticket] = set()
        self.sessions: OrderedDict[str, deque[Ticket]] = OrderedDict()
        """session → its waiting tickets; the first session has the next turn"""
        self.pace = Pace()
        self.addresses: Counter[str | None] = Counter()
        """address → number of its waiting tickets"""
        self.held: dict[tuple[str, Hashable], AsyncGenerator[Any]] = {}
        """(session, question) → what `next` goes on with when it is called again"""
        self.dropping: set[asyncio.Task[None]] = set()
        self.closed = False
        self.loop: asyncio.AbstractEventLoop | None = None
        self.threads = ThreadPoolExecutor(running, thread_name_prefix="work")

    async def run(self, visitor: Visitor, work: Work) -> AsyncGenerator[Any]:
        """Do a piece of work in its turn.

        Args:
            visitor: for whom.
            work: called in a thread with a function that sends a message to the visitor.

        Yields:
            `Waiting` as soon as the work has to wait and whenever its number has changed; then the work's messages.

        Raises:
            BusyError: there is no room in the queue.
            RestartingError: `close` was called, before or during the work.
            Exception: whatever the work raises.
        """
        try:
            ticket = self.join(visitor, work)
        except BusyError:  # a place may come free, and a browser that has just asked may begin to read
            await asyncio.sleep(BEFORE_NEWS)
            ticket = self.join(visitor, work)
        patience, number = BEFORE_NEWS, 0
        try:
            while True:
                event = await within(patience if ticket.waits else None, ticket.events.get())
                if event is DONE:
                    return
                if isinstance(event, BaseException):
                    raise event
                if event is not None:
                    yield event
                elif ticket.waits and number != (number := self.number(ticket)):
                    patience = min(5, 1 + number / 20)
                    yield Waiting(number)
        finally:
            self.leave(ticket)

    async def next(self, visitor: Visitor, question: Hashable, work: Work) -> Any:
        """`run` for work of one message, for a browser that gets one message an event and asks again after a `Waiting`.

        Args:
            visitor: for whom.
            question: which one it is in this visitor's session.
            work: as in `run`; only the first call's is done.

        Returns:
            `Waiting`, which holds the place for `PATIENCE` seconds, or the message.
        """
        key = visitor.session, question
        told = self.held.pop(key, None) or self.run(visitor, work)
        message = await anext(told)
        if isinstance(message, Waiting):
            self.held[key] = told
            asyncio.get_running_loop().call_later(PATIENCE, self.drop, key, told)
        else:
            await told.aclose()
        return message

    def drop(self, key: tuple[str, Hashable], told: AsyncGenerator[Any]) -> None:
        """Nobody asked again in time."""
        if self.held.get(key) is told:
            task = asyncio.ensure_future(self.held.pop(key).aclose())
            self.dropping.add(task)  # the loop itself keeps no task alive
            task.add_done_callback(self.dropping.discard)

    @property
    def waiting(self) -> int:
        return self.addresses.total()

    def join(self, visitor: Visitor, work: Work) -> Ticket:
        """A ticket at the end of its session's part of the queue. Raises BusyError and RestartingError."""
        if self.closed:
            raise RestartingError
        self.loop = asyncio.get_running_loop()
        own = len(self.sessions.get(visitor.session, ()))
        if own >= self.per_session:
            raise BusyError("{own} of your questions are waiting already; ask again when one is answered.", own=own)
        ticket = Ticket(visitor, work)
        if self.is_full(visitor) and self.is_heard(ticket):
            self.end_unread(visitor)
        if self.is_full(visitor):
            raise self.busy()
        self.sessions.setdefault(visitor.session, deque()).append(ticket)
        self.addresses[visitor.address] += 1
        self.admit()
        return ticket

    def is_full(self, visitor: Visitor) -> bool:
        """Whether there is no place for one more question of a visitor's."""
        near = 0 if visitor.address is None else self.addresses[visitor.address]
        return self.waiting >= self.most_waiting or near >= self.most_waiting // 2

    def busy(self) -> BusyError:
        return BusyError(
            "The server is busy, you would be number {number} in the queue; ask again in a moment.", number=self.waiting + 1
        )

    def end_unread(self, visitor: Visitor) -> None:
        """Refuse, in a visitor's favour, a question that waits and whose answer nobody reads; one of the same address first."""
        unread = [tickets[0] for tickets in self.sessions.values() if not self.is_heard(tickets[0])]
        near = [ticket for ticket in unread if ticket.visitor.address == visitor.address]
        for ticket in (near or unread if self.waiting >= self.most_waiting else near)[:1]:
            self.remove(ticket)
            ticket.waits = False
            ticket.events.put_nowait(self.busy())

    def admit(self) -> None:
        """Let run whose turn it is."""
        while len(self.running) < self.limit and (session := self.next_session()) is not None:
            ticket = self.sessions[session][0]
            ticket.hurried = self.is_hurried(session)
            self.remove(ticket)
            if session in self.sessions:
                self.sessions.move_to_end(session)
            self.start(ticket)

    def next_session(self) -> str | None:
        """The session that has the next turn; None where each that waits has enough running.

        While a calm session is present, all hurried ones have one place for an eighth of the time, so that the calm one finds an
        engine free.
        """
        runs = Counter(ticket.visitor.session for ticket in self.running)
        unread = any(not self.is_heard(ticket) for ticket in self.running)
        may = [session for session in self.sessions if runs[session] < max(1, self.per_session // 2)]
        if self.pace.leaves_room() or (self.pace.has_calm() and any(ticket.hurried for ticket in self.running)):
            may = [session for session in may if not self.is_hurried(session)]
        heard = min((s for s in may if self.is_heard(self.sessions[s][0])), key=self.pace.ahead, default=None)
        return heard if heard is not None or unread else next(iter(may), None)

    def is_hurried(self, session: str) -> bool:
        """Whether a waiting session asks several questions at once."""
        return len(self.sessions[session]) > 1 or any(ticket.visitor.session == session for ticket in self.running)

    def is_heard(self, ticket: Ticket) -> bool:
        return ticket.visitor.listens or self.is_read(ticket.visitor.session)

    def remove(self, ticket: Ticket) -> None:
        """Take a waiting ticket out of the queue."""
        session, address = ticket.visitor.session, ticket.visitor.address
        self.sessions[session].remove(ticket)
        if not self.sessions[session]:
            del self.sessions[session]
        self.addresses -= Counter([address])  # forgets what reaches 0

    def number(self, ticket: Ticket) -> int:
        """How many are admitted until this waiting ticket is, itself included."""
        session = ticket.visitor.session
        rounds = self.sessions[session].index(ticket)
        number, earlier = rounds + 1, True
        for other in sorted(self.sessions, key=self.pace.ahead):
            if other == session:
                earlier = False
            else:
                number += min(len(self.sessions[other]), rounds + earlier)
        return number

    def start(self, ticket: Ticket) -> None:
        """Begin the work, in a thread."""
        loop, ticket.waits = asyncio.get_running_loop(), False
        self.running.add(ticket)
        self.pace.begin(ticket.visitor.session, ticket.hurried)
        ticket.begun = time.monotonic()
        ticket.events.put_nowait(None)

        def tell(message: Any) -> None:
            if ticket.left:
                raise VisitorLeftError
            loop.call_soon_threadsafe(ticket.events.put_nowait, message)

        def ended(job: Future[None]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the program ends
                loop.call_soon_threadsafe(self.finish, ticket, job.exception() or DONE)

        self.threads.submit(ticket.context.run, ticket.work, tell).add_done_callback(ended)

    def finish(self, ticket: Ticket, last: object) -> None:
        """The work has ended, and another may begin."""
        ticket.events.put_nowait(last)
        self.running.discard(ticket)
        if ticket.hurried and self.loop:
            self.loop.call_later(self.pace.rest(time.monotonic() - ticket.begun), self.admit)
        self.admit()

    def leave(self, ticket: Ticket) -> None:
        """Nobody listens any more. Work that runs keeps its place until it ends, at its next message."""
        ticket.left = True
        if ticket.waits:
            self.remove(ticket)

    def stop(self) -> None:
        """`close`, for any thread."""
        self.closed = True
        if self.loop:
            self.loop.call_soon_threadsafe(self.close)

    def close(self) -> None:
        """Admit nobody any more; whoever waits or runs gets RestartingError."""
        self.closed = True
        for ticket in [*self.running, *(ticket for tickets in self.sessions.values() for ticket in tickets)]:
            ticket.events.put_nowait(RestartingError())


async def within(seconds: float | None, coming: Any) -> Any:
    """The result of an awaitable; None after so many seconds without."""
    with contextlib.suppress(asyncio.TimeoutError):
        return await asyncio.wait_for(coming, seconds)
    return None
