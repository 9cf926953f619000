"""The program's log, bounded: a stranger who sends nonsense must not fill the disk with lines about it."""

from __future__ import annotations

import logging
import time
from collections import Counter

PER_MINUTE = 30
"""Records of one logger and level that are written in a minute."""


class Bounded(logging.Filter):
    """Lets through the first `PER_MINUTE` records of each logger and level in a minute, and says how many others there were."""

    def __init__(self) -> None:
        super().__init__()
        self.minute = 0
        self.seen: Counter[tuple[str, int]] = Counter()
        """(logger, level) → its records in this minute"""
        self.unsaid: Counter[tuple[str, int]] = Counter()
        """(logger, level) → its records since then that were left out"""

    def filter(self, record: logging.LogRecord) -> bool:
        minute, kind = int(time.monotonic() / 60), (record.name, record.levelno)
        if minute != self.minute:
            self.minute = minute
            self.seen.clear()
        self.seen[kind] += 1
        if self.seen[kind] > PER_MINUTE:
            self.unsaid[kind] += 1
            return False
        if left_out := self.unsaid.pop(kind, 0):
            record.msg, record.args = f"{record.getMessage()} ({left_out} others like it were left out before)", ()
        return True


def bound_logs() -> None:
    """Bound what is written from now on: by the root's handlers, which this sets up, and by uvicorn's own."""
    logging.basicConfig()
    logging.getLogger("huggingface_hub").handlers.clear()  # its own, which nothing bounds: the root's get its records, too
    bounded = Bounded()
    for name in ("", "uvicorn"):
        for handler in logging.getLogger(name).handlers:
            handler.addFilter(bounded)
