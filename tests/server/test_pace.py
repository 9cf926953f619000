"""How fast a session asks, and whether calm ones are present."""

from __future__ import annotations

import pytest

from googlenet.ui.pace import Pace


def test_a_session_is_ahead_of_its_pace_beyond_two_pieces_of_work_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    pace = Pace()

    def at(now: float) -> None:
        monkeypatch.setattr("time.monotonic", lambda: now)

    for now in (100.0, 100.5, 101.0):
        at(now)
        assert not pace.ahead("person")
        pace.begin("person", hurried=False)
    for _ in range(3):
        pace.begin("flood", hurried=True)
    assert pace.ahead("flood") == pytest.approx(1.5)
    assert pace.ahead("nobody") == 0
    assert pace.has_calm()
    at(103.1)
    assert not pace.has_calm()
    pace.begin("flood", hurried=True)
    assert not pace.has_calm()
    assert set(pace.paid) == {"flood"}  # who has been calm since is forgotten
