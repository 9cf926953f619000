"""How fast each session asks. Calm sessions go first, so that a flood does not slow down who asks as a person does."""

from __future__ import annotations

import math
import time
from collections import OrderedDict

PACE = 2.0
"""Pieces of work a second that a session may have and stay calm. One that has had more is hurried."""
CALM_SECONDS = 2.0
"""How long after its work a calm session counts as present."""


class Pace:
    """The sessions' pace. Belongs to the server's event loop."""

    def __init__(self) -> None:
        self.paid: OrderedDict[str, float] = OrderedDict()
        """session → until when its work so far takes at `PACE`, in seconds of the monotonic clock; who had work last is last"""
        self.last_calm = -math.inf
        """when a calm session had work last"""

    def ahead(self, session: str) -> float:
        """Seconds by which a session is ahead of its pace; 0 for a calm one."""
        return max(0.0, self.paid.get(session, 0.0) - time.monotonic())

    def has_calm(self) -> bool:
        """Whether a calm session is present."""
        return time.monotonic() - self.last_calm < CALM_SECONDS

    def begin(self, session: str) -> bool:
        """Count a piece of work of a session. Returns whether the session is hurried."""
        now, ahead = time.monotonic(), self.ahead(session)
        if not ahead:
            self.last_calm = now
        self.paid[session] = now + ahead + 1 / PACE
        self.paid.move_to_end(session)
        while not self.ahead(oldest := next(iter(self.paid))):
            del self.paid[oldest]
        return ahead > 0
