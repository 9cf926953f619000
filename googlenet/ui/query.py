"""A question as the browser sends it, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from googlenet.model.architecture import STAGES
from googlenet.pictures.frame import Box

MAX_SIDE = 100_000
"""Largest side in pixels, and so the largest position, that a browser may name."""


@dataclass(frozen=True)
class PageQuery:
    """A question as the browser sends it. Hostile: `from_browser` checks types and bounds, the Explainer heads and classes."""

    number: int = 0
    """counts up in one browser, so that it can tell a stale answer"""
    example: str | None = None
    path: str | None = None
    """of an upload, in Gradio's upload folder"""
    known: bool = False
    """whether the browser has this picture already"""
    head: str = "main"
    target: str | int | None = None
    contrast: str | int | None = None
    weights: str | None = None
    """a Hub repository; None for the weights that the program was started with"""
    original: tuple[int, int] | None = None
    """upright (width, height) in pixels of the picture that the browser reduced before sending it; None where it sent it whole"""
    stage: str | None = None
    """one of `googlenet.model.architecture.STAGES`"""
    cell: tuple[int, int] | None = None
    """(row, column) on the stage's own grid"""
    channel: int | None = None
    """index among the stage's channels, where one alone is asked about"""
    channels: bool = False
    """whether the explanation names the strongest channels of each stage; never sent by the page"""
    draw: bool = False
    """whether pictures of channels that are not there are to be drawn"""
    box: Box | None = None
    """a part to cover, in pixels of the original picture"""

    @classmethod
    def from_browser(cls, sent: object) -> PageQuery:
        """What does not have its field's type and bounds counts as not sent."""
        data = sent if isinstance(sent, Mapping) else {}

        def text(name: str) -> str | None:
            value = data.get(name)
            return value[:500].encode(errors="replace").decode() if isinstance(value, str) else None  # half a letter is none

        def klass(name: str) -> str | int | None:
            value = data.get(name)
            return value if is_whole(value) else text(name)

        def pair(name: str, least: int) -> tuple[int, int] | None:
            value = data.get(name)
            if isinstance(value, list) and len(value) == 2 and all(is_whole(v) and least <= v <= MAX_SIDE for v in value):
                return value[0], value[1]
            return None

        number, channel = data.get("n"), data.get("channel")
        return cls(
            number=number if is_whole(number) else 0,
            example=text("example"),
            path=text("upload"),
            known=data.get("known") is True,
            head=text("head") or "main",
            target=klass("target"),
            contrast=klass("contrast"),
            weights=text("weights"),
            original=pair("original", 1),
            stage=one_of(data.get("stage"), STAGES),
            cell=pair("cell", 0),
            channel=channel if is_whole(channel) and 0 <= channel <= MAX_SIDE else None,
            draw=data.get("draw") is True,
            box=box_of(data.get("box")),
        )


def is_whole(value: object) -> TypeGuard[int]:
    """A whole number that JavaScript holds exactly; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53


def one_of(value: object, choices: Sequence[str]) -> str | None:
    return value if isinstance(value, str) and value in choices else None


def box_of(value: object) -> Box | None:
    """[x0, y0, x1, y1] → a box that holds something; None for anything else."""
    if not isinstance(value, list) or len(value) != 4 or not all(is_position(v) for v in value):
        return None
    box = Box(*map(float, value))
    return box if box.x0 < box.x1 and box.y0 < box.y1 else None


def is_position(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_SIDE  # NaN is not
