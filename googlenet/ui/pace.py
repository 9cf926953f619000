"""How each session asks. A calm one asks one question after the other, a hurried one several at once: a flood must not slow down
who asks as a person does."""

from __future__ import annotations

import math
import time
from collections import OrderedDict

PACE = 2.0
"""Pieces of work a second that a session may have before the others go first."""
CALM_SECONDS = 2.0
"""How long after its work a calm session counts as present."""
REST = 7.0
"""How long hurried sessions wait after a piece of work while a calm one is present, as a multiple of the time that it took."""


class Pace:
    """The sessions' pace. Belongs to the server's event loop."""

    def __init__(self) -> None:
        self.paid: OrderedDict[str, float] = OrderedDict()
        """session → until when its work so far takes at `PACE`, in seconds of the monotonic clock; who had work last is last"""
        self.last_calm = -math.inf
        """when a calm session had work last"""
        self.rests_until = -math.inf
        """when work of a hurried session may begin again while a calm one is present"""

    def ahead(self, session: str) -> float:
        """Seconds by which a session is ahead of its pace."""
        return max(0.0, self.paid.get(session, 0.0) - time.monotonic())

    def has_calm(self) -> bool:
        """Whether a calm session is present."""
        return time.monotonic() - self.last_calm < CALM_SECONDS

    def leaves_room(self) -> bool:
        """Whether hurried sessions wait now."""
        return self.has_calm() and time.monotonic() < self.rests_until

    def rest(self, took: float) -> float:
        """A piece of work of a hurried session took so many seconds. Returns how many they wait now."""
        self.rests_until = time.monotonic() + REST * took
        return REST * took

    def begin(self, session: str, hurried: bool) -> None:
        """Count a piece of work of a session."""
        now, ahead = time.monotonic(), self.ahead(session)
        if not hurried:
            self.last_calm = now
        self.paid[session] = now + ahead + 1 / PACE
        self.paid.move_to_end(session)
        while not self.ahead(oldest := next(iter(self.paid))):
            del self.paid[oldest]
