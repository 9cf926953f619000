"""What the queue in front of the model holds: pieces of work, for whom they are, and what ends them."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from googlenet.errors import UserError
from googlenet.ui.visitor import Visitor

Tell = Callable[[Any], None]
"""Sends a message to the visitor, from the work's thread. Raises VisitorLeftError where nobody listens any more."""

Work = Callable[[Tell], None]


class BusyError(UserError):
    """There is no room in the queue, or none for this visitor."""


class RestartingError(UserError):
    """The program is being stopped."""

    def __init__(self) -> None:
        super().__init__("The server is restarting; ask again in a moment.")


class VisitorLeftError(Exception):
    """Ends work whose visitor has left."""


@dataclass(frozen=True)
class Waiting:
    """Work is not admitted yet."""

    number: int
    """how many are admitted until this one is, itself included"""


DONE = object()


@dataclass(eq=False)
class Ticket:
    """One piece of work on its way through the queue."""

    visitor: Visitor
    work: Work
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    """of the visitor's request, which ZeroGPU looks for"""
    events: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    """None when it is admitted, the work's messages, the error that ended it or DONE"""
    waits: bool = True
    left: bool = False
    """whether nobody listens any more"""
    hurried: bool = False
    """whether its session was when it was admitted (`FairQueue.is_hurried`)"""
    begun: float = 0.0
    """when it was admitted, in seconds of the monotonic clock"""
