"""What the page's script and Python say to each other: one question as the script sends it, and a typed reply for each function.

`REPLIES` is the table of the functions' names. The script calls each as `server.NAME(question)`.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import AfterValidator, Field, PlainValidator, Strict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from googlenet.explanation import GRAD_CAM, METHODS
from googlenet.model.architecture import STAGES
from googlenet.pictures.frame import Box

__all__ = [
    "ENDPOINTS",
    "REPLIES",
    "SESSION_CHARACTERS",
    "Answer",
    "Channels",
    "Covered",
    "Firing",
    "Groups",
    "PageQuery",
    "Reply",
    "Tipped",
    "data_url",
    "packed_grid",
    "packed_map",
]

Texts = dict[str, str]
"""A text in each language, by `sentences.LANGUAGES`."""

_MAX_SIDE = 100_000
"""Largest side in pixels, and so the largest position, that a browser may name."""
SESSION_CHARACTERS = 100


def _within_bounds(text: str) -> str:
    """The first 500 characters. A lone surrogate, which JavaScript may send, becomes '?'."""
    return text[:500].encode(errors="replace").decode()


Text = Annotated[str, Strict(), AfterValidator(_within_bounds)]
Whole = Annotated[int, Strict(), Field(gt=-(2**53), lt=2**53)]
"""A whole number that JavaScript holds exactly; True and False are none."""
Place = Annotated[Whole, Field(ge=0, le=_MAX_SIDE)]
Side = Annotated[Whole, Field(ge=1, le=_MAX_SIDE)]
Position = Annotated[float, Strict(), Field(ge=0, le=_MAX_SIDE)]
Edges = TypeAdapter(tuple[Position, Position, Position, Position])


def _box_of(sent: object) -> Box:
    box = Box(*Edges.validate_python(sent))
    if box.x0 >= box.x1 or box.y0 >= box.y1:
        raise ValueError("the box holds nothing")
    return box


@dataclass(frozen=True)
class PageQuery:
    """A question as the browser sends it, hostile. What does not have its field's type and bounds counts as not sent.

    The Explainer checks heads and classes.
    """

    n: Whole = 0
    """counts up in one tab; the reply carries it"""
    session: Annotated[Text, AfterValidator(lambda name: name[:SESSION_CHARACTERS])] = ""
    """a random name that the tab has chosen"""
    example: Text | None = None
    upload: Text | None = None
    """a path in Gradio's upload folder"""
    known: Annotated[bool, Strict()] = False
    """whether the browser has this picture already"""
    head: Annotated[Text, Field(min_length=1)] = "main"
    target: Whole | Text | None = None
    """a class or, by its name, a group"""
    contrast: Whole | Text | None = None
    method: Literal[METHODS] = GRAD_CAM  # type: ignore[valid-type]
    truth: Whole | Text | None = None
    """what the visitor says is right"""
    weights: Text | None = None
    """a Hub repository; None for the weights that the program was started with"""
    original: tuple[Side, Side] | None = None
    """upright (width, height) in pixels of the picture that the browser reduced before sending it; None where it sent it whole"""
    stage: Literal[STAGES] | None = None  # type: ignore[valid-type]
    cell: tuple[Place, Place] | None = None
    """(row, column) on the stage's own grid"""
    link: Text | None = None
    """to the page, to be drawn as a QR code"""
    channel: Place | None = None
    """index among the stage's channels, where one alone is asked about"""
    box: Annotated[Box, PlainValidator(_box_of)] | None = None
    """a part to cover, in pixels of the original picture"""

    @classmethod
    def from_browser(cls, sent: object) -> PageQuery:
        check, fields = TypeAdapter(cls).validate_python, sent if isinstance(sent, dict) else {}
        try:
            return check(fields)
        except ValidationError as error:
            wrong = {each["loc"][0] for each in error.errors()}
            return check({name: value for name, value in fields.items() if name not in wrong})


class Grid(TypedDict):
    """Maps of one stage on their own cells, signed."""

    shape: tuple[int, ...]
    """four branches, rows, columns"""
    factor: float
    """brings the numbers back to values"""
    data: str
    """int16, little-endian, in base64"""


class Answer(TypedDict):
    result: dict[str, Any]
    """the Explanation's JSON"""
    size: tuple[int, int]
    """(width, height) in pixels of the whole picture"""
    grids: dict[str, Grid]
    by_depth: list[dict[str, Any]]
    likeliest: list[dict[str, Any]]
    """the asked head's ten most probable classes"""
    unlikely: bool
    words: dict[str, dict[str, Any]]
    """language → `sentences.Words`"""
    standing: str
    """the stage that stands enlarged after the walk"""
    picture: str | None
    """what the browser draws on, as a `data:` URL; None where it has it already"""


class Covered(TypedDict):
    """What covering a part has shown. Boxes are in pixels of the whole picture; a head has its probability of the asked class."""

    controls: Sequence[Sequence[float]]
    """random parts of the same size"""
    before: dict[str, float]
    after: dict[str, float]
    control_after: dict[str, float]
    """the median of the random parts; no heads where there is no room for them"""
    say: Texts


class Tipped(TypedDict):
    """What tipped an answer (`googlenet.probes.cover.tipping`)."""

    maps: Sequence[Grid]
    """what spoke for the answered class, for the truth, for the first rather than the second"""
    scale: float
    """the value by which the three are divided"""
    box: Sequence[float] | None
    """the part that was covered"""
    say: Texts
    why: dict[str, str | None]
    """why the answer may be wrong, as far as the numbers support it"""


Channels = TypedDict("Channels", {"missing": int, "for": list[dict[str, Any]], "against": list[dict[str, Any]]})
"""The strongest channels of a stage; `missing`: how many have no picture yet, which `draw` would draw."""


class Groups(TypedDict):
    """A stage's evidence in groups of channels (`googlenet.probes.channel_groups`)."""

    missing: int
    """how many of the channels have no picture yet, which `draw` would draw"""
    groups: list[dict[str, Any]]
    """share, grid, and channels: number and picture"""
    rest: float
    """0…1: share of the evidence against"""


class Firing(TypedDict):
    """Where one channel responds in a picture."""

    grid: Grid
    most: float


Reply = dict[str, Any]
"""`n`, the number of the question, and one field more: that of the function in `REPLIES`, or `refusal` (desk.py)."""
REPLIES = {
    "explain": "answer",
    "maps": "npz",  # a NumPy archive in base64
    "cover": "cover",
    "tip": "tip",
    "channels": "channels",
    "groups": "groups",
    "draw": "channels",
    "firing": "firing",
    "trust": "trust",
    "weights": "weights",
    "qr": "qr",  # an SVG in a `data:` URL
    "progress": "",  # of a question that is still open: its `place` in the queue, or the `share` of the work that is done
    "leave": "",  # gives such a question up
}
"""function → the reply's field"""

_ASKED = ("image", "head", "target", "contrast", "method")
ENDPOINTS = {
    "classify": ("image",),
    "explain": _ASKED,
    "report": _ASKED,
    "sheet": _ASKED,
    "channels": _ASKED,
    "trust": ("image", "head", "target", "contrast", "stage", "method"),
}
"""endpoint of the API → what it takes, in the order in which the page's configuration numbers them"""


def packed_grid(grid: NDArray[np.floating]) -> Grid:
    """(4, rows, columns) float32 → what the script draws."""
    peak = float(np.abs(grid).max()) or 1.0
    numbers = np.round(grid / peak * 32767).astype("<i2")
    return {"shape": grid.shape, "factor": peak / 32767, "data": base64.b64encode(numbers.tobytes()).decode()}


def packed_map(grid: NDArray[np.floating]) -> Grid:
    """One map (rows, columns) in the place of the first of four branches: the script draws the sum of four."""
    return packed_grid(np.stack((grid, *[np.zeros_like(grid)] * 3)))


def data_url(image: Image.Image, side: int) -> str:
    """A JPEG of limited side, as a URL that holds the picture itself."""
    scale = min(1.0, side / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    image = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=1.5)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
