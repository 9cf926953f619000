"""The file that uses Gradio's private parts, since Gradio does not bound what a session leaves unread and has no public way."""

from __future__ import annotations

import asyncio

import gradio as gr
import pytest

from googlenet.ui import mailboxes
from googlenet.ui.mailboxes import Mailboxes


def test_gradio_still_has_the_parts_that_are_bounded() -> None:
    """Where this fails, an update of Gradio has changed its queue: see whether it bounds mailboxes by itself now."""
    assert all(isinstance(names, set) for names in gr.Blocks().temp_file_sets)
    queue = Mailboxes(gr.Blocks()).queue
    assert hasattr(queue.pending_messages_per_session, "items")
    assert isinstance(queue.pending_event_ids_session, dict)
    assert isinstance(queue.event_ids_to_events, dict)
    assert queue.sleep_when_free == mailboxes.SLEEP > gr.Blocks()._queue.sleep_when_free


@pytest.fixture
def boxes(monkeypatch: pytest.MonkeyPatch) -> Mailboxes:
    monkeypatch.setattr(mailboxes, "MAX_SILENT", 10)
    monkeypatch.setattr(mailboxes, "MAX_UNREAD", 50)
    monkeypatch.setattr(mailboxes, "BOUND_SECONDS", 0)
    return Mailboxes(gr.Blocks())


def fill(boxes: Mailboxes, **messages: int) -> None:
    for session, n in messages.items():
        boxes.queue.pending_messages_per_session[session] = box = asyncio.Queue()
        boxes.queue.pending_event_ids_session[session] = {"event"} if n else set()
        for _ in range(n):
            box.put_nowait(object())  # type: ignore[arg-type]


def test_the_fullest_of_those_that_nobody_reads_go_first(boxes: Mailboxes) -> None:
    fill(boxes, honest=3, greedy=50, idle=0, greedier=70, slow=6, reads=30)
    with boxes.reading("reads"):
        boxes.bound()
        assert boxes.unread() == {"honest": 3, "idle": 0, "slow": 6, "reads": 30}
    boxes.bound()
    assert boxes.unread() == {"honest": 3, "idle": 0, "slow": 6}


def test_of_those_that_are_alike_the_one_that_was_silent_longest_goes(boxes: Mailboxes) -> None:
    fill(boxes, newest=0, old=4, older=4)
    boxes.bound()
    fill(boxes, newest=4)
    boxes.bound()
    assert "newest" in boxes.unread()
    assert len(boxes.unread()) == 2


def test_who_holds_a_stream_open_and_does_not_read_is_bounded_too(boxes: Mailboxes) -> None:
    fill(boxes, honest=3, stuck=60)
    with boxes.reading("stuck"), boxes.reading("honest"):
        boxes.bound()
    assert boxes.unread() == {"honest": 3}
    assert not boxes.readers


def test_sessions_that_are_gone_are_forgotten(boxes: Mailboxes) -> None:
    fill(boxes, here=0, gone=0)
    del boxes.queue.pending_messages_per_session["gone"]
    boxes.bound()
    assert set(boxes.queue.pending_event_ids_session) == {"here"}


def test_mailboxes_are_counted_a_few_times_a_second(boxes: Mailboxes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailboxes, "BOUND_SECONDS", 60)
    boxes.bound()
    fill(boxes, greedy=50)
    boxes.bound()
    assert boxes.unread() == {"greedy": 50}


def test_what_a_session_has_asked_and_not_read_is_counted(boxes: Mailboxes) -> None:
    fill(boxes, me=2)
    with boxes.asking("me"), boxes.asking("me"):
        assert boxes.unanswered("me") == 3
        assert not boxes.are_idle()
    assert (boxes.unanswered("me"), boxes.unanswered("you")) == (1, 0)
