"""What Gradio keeps for a session until its browser reads it, bounded.

Gradio's queue puts every message for a session into a mailbox and keeps the mailboxes of the last 2,000 sessions. Who asks and
never reads so fills the memory: a hundred contact sheets took 213 MB. Gradio has no bound and no public way to set one. This
file alone uses its private parts; `tests/server/test_mailboxes.py` fails when an update changes them.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import gradio as gr

SLEEP = 0.01
"""Seconds for which Gradio's queue sleeps before it looks for new events again. Its own 0.001 takes 4 % of a core for ever."""
BOUND_SECONDS = 0.2
"""How often the mailboxes are counted at most: with 2,000 sessions that takes milliseconds."""
MAX_SILENT, MAX_UNREAD = 600, 3000
"""Messages in the mailboxes that nobody reads, and in all. An answer is three of them and up to 300 KB: 60 and 300 MB at most."""


@contextmanager
def counted(session: str, counts: Counter[str]) -> Iterator[None]:
    """Count a session for as long as the block runs; one that is at 0 is not kept."""
    counts[session] += 1
    try:
        yield
    finally:
        counts -= Counter([session])


class Mailboxes:
    """The mailboxes of a page. Belongs to the server's event loop."""

    def __init__(self, demo: gr.Blocks) -> None:
        self.queue = demo._queue  # noqa: SLF001
        self.queue.sleep_when_free, self.queue.progress_update_sleep_when_free = SLEEP, 1.0  # nothing here has a gr.Progress
        self.asked: Counter[str] = Counter()
        """session → its events that are being answered on their own connection"""
        self.bounded = -math.inf
        """when they were counted last, in seconds of the monotonic clock"""
        self.readers: Counter[str] = Counter()
        """session → its open streams"""
        self.silent_since: dict[str, float] = {}
        """session → when it was first seen with unread messages and no reader, in seconds of the monotonic clock"""

    def reading(self, session: str) -> AbstractContextManager[None]:
        """While a browser reads a session's messages."""
        return counted(session, self.readers)

    def asking(self, session: str) -> AbstractContextManager[None]:
        """While a browser sends an event and, where it does so on the same connection, reads the answer."""
        return counted(session, self.asked)

    def unanswered(self, session: str) -> int:
        """How many events of a session are not answered, or their answers not read."""
        return self.asked[session] + len(self.queue.pending_event_ids_session.get(session, ()))

    def unread(self) -> dict[str, int]:
        """session → number of its unread messages."""
        return {session: box.qsize() for session, box in list(self.queue.pending_messages_per_session.items())}

    def are_idle(self) -> bool:
        """Whether nobody waits for a message."""
        return not self.asked and not self.queue.event_ids_to_events and not any(self.unread().values())

    def is_read(self, session: str) -> bool:
        """Whether a browser reads a session's messages now."""
        return session in self.readers

    def bound(self) -> None:
        """Drop the fullest mailboxes while all together hold too much: first those that nobody reads, for the longest time."""
        now = time.monotonic()
        if now - self.bounded < BOUND_SECONDS:
            return
        self.bounded, unread = now, self.unread()
        silent = {session: n for session, n in unread.items() if n and session not in self.readers}
        self.silent_since = {session: self.silent_since.get(session, now) for session in silent}
        self.drop_fullest(silent, MAX_SILENT)
        self.drop_fullest(self.unread(), MAX_UNREAD)
        for session in [s for s, events in self.queue.pending_event_ids_session.items() if not events and s not in unread]:
            del self.queue.pending_event_ids_session[session]  # Gradio forgets no session that ever asked

    def drop_fullest(self, unread: dict[str, int], limit: int) -> None:
        total, now = sum(unread.values()), time.monotonic()
        if total <= limit:
            return
        for session in sorted(unread, key=lambda s: (-unread[s], self.silent_since.get(s, now))):
            if total > limit:
                total -= unread[session]
                self.drop(session)

    def drop(self, session: str) -> None:
        """Forget a session; what is still made for it goes nowhere."""
        for event in self.queue.event_ids_to_events.values():
            if event.session_hash == session:
                event.alive = False
        del self.queue.pending_messages_per_session[session]
        self.queue.pending_event_ids_session.pop(session, None)
