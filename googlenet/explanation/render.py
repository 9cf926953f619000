"""Draws an Explanation: one overlay for each stage, and the contact sheet with all of them.

Where there is evidence, the photograph keeps its colours under a tint of the colour map magma. Elsewhere it is dim and grey.
magma is perceptually uniform: its order is also clear to colour-blind readers and in grey print. The page's script uses the same
formula.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import html
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFont

from googlenet.explanation import LAYER_CAM, Explanation
from googlenet.explanation.statements import percent
from googlenet.model.architecture import BRANCHES, HEADS, STAGES, STAGES_BEFORE
from googlenet.pictures.frame import Box, enlarge
from googlenet.pictures.levels import tiles

__all__ = ["BLUES", "INK", "MAGMA", "PAPER", "SOFT", "SPOTLIGHT", "contained", "font", "overlay", "overlays", "page", "sheet"]

MAGMA: NDArray[np.float32] = np.array(
    [list(bytes.fromhex(colour)) for colour in json.loads(Path(__file__).with_name("magma.json").read_text("utf-8"))], np.float32
)
"""(256, 3) RGB in 0…255: the colour map by Smith and van der Walt, which they gave into the public domain (CC0)"""

BLUES: NDArray[np.float32] = np.stack(
    [np.interp(np.linspace(0, 1, 256), (0, 0.5, 1), channel) for channel in ((2, 20, 140), (6, 96, 215), (23, 205, 255))], axis=1
).astype(np.float32)
"""(256, 3) RGB in 0…255, for evidence against the class. Colour-blind readers can distinguish blue from magma's orange."""


@dataclass(frozen=True)
class Spotlight:
    """The constants of the overlay's formula, for `Photograph` and for the page's script (js/drawing.js)."""

    luminance: tuple[float, float, float] = (0.3, 0.59, 0.11)
    """weights of red, green and blue in the grey picture"""
    dim: float = 0.38
    """brightness of the grey picture where there is no evidence"""
    keep: float = 0.62
    """share of the picture's own colours where the evidence is strongest"""
    add: float = 0.5
    """share of magma's colour there"""
    tint: tuple[float, float] = (0.2, 0.7)
    """magma's start and range: evidence v has the colour at 0.2 + 0.7 v"""
    hatch_period: int = 8
    """pixels from one line of the hatch to the next"""
    hatch_width: float = 1.5
    hatch_light: int = 60
    """what a line of the hatch adds to a channel of 0…255"""


SPOTLIGHT = Spotlight()

TILE = 128 * SPOTLIGHT.hatch_period
"""Side in pixels of the tiles in which an overlay is drawn: a multiple of the hatch's period, so that its lines continue."""

PAPER, INK, SOFT, _ACCENT, BAR = "#faf8f4", "#1c1a17", "#6b655d", "#f0c3b0", "#e4dfd6"


def overlay(image: Image.Image, explanation: Explanation, stage: str, side: int | None = None) -> Image.Image:
    """Draw the map of a stage that the asked head sees over the picture, RGB. It is divided by its own maximum.

    The result is hatched where the crop left the picture out. `side`: its longer side in pixels at most; None keeps the size.
    """
    return overlays(image, explanation, [stage], side)[0]


def overlays(image: Image.Image, explanation: Explanation, stages: Sequence[str], side: int | None = None) -> list[Image.Image]:
    """`overlay` for several stages. They share the work that does not depend on the stage."""
    if side is not None and max(image.size) > side:
        image = contained(image, side, Image.Resampling.BOX)
    box = explanation.seen.moved(Box(0, 0, *explanation.size), Box(0, 0, *image.size))
    grids = [explanation.branch_grids[stage].sum(axis=0).clip(min=0) for stage in stages]
    drawn = [Image.new("RGB", image.size) for _ in stages]
    for tile in tiles(image.size, TILE):  # a tile at a time bounds the memory
        left, top = tile[:2]
        inside = Box(box.x0 - left, box.y0 - top, box.x1 - left, box.y1 - top)
        photograph = Photograph.of(image.crop(tile), inside)
        for grid, whole in zip(grids, drawn, strict=True):
            heat = enlarge(grid / max(float(grid.max()), 1e-12), photograph.grey.size, inside)
            whole.paste(photograph.under(heat), (left, top))
    return drawn


_LEVELS = np.arange(256) / 255
_BRIGHTEST = SPOTLIGHT.keep + SPOTLIGHT.add
"""The formula's value for white at full evidence: above 1. Sums are divided by it and multiplied at the end, against clipping."""
_BRIGHTENED: list[int] = (np.arange(256) * _BRIGHTEST).round().clip(0, 255).astype(int).tolist()
_KEPT: list[int] = (np.arange(256) * SPOTLIGHT.keep / _BRIGHTEST).round().astype(int).tolist()
"""value of a channel of the picture → what is kept of it at full evidence"""
_LIGHT: list[int] = (_LEVELS * _LEVELS * (3 - 2 * _LEVELS) * 255).round().astype(int).tolist()
"""level of evidence → opacity of the lit picture, by smoothstep, which gives the light a soft edge"""
_ADDED = MAGMA[((SPOTLIGHT.tint[0] + SPOTLIGHT.tint[1] * _LEVELS) * 255).astype(int)] * (SPOTLIGHT.add / _BRIGHTEST)
_TINT = _ADDED.round().astype(np.uint8).tobytes()
"""level of evidence → RGB that is added to the picture"""


@dataclass(frozen=True)
class Photograph:
    """What all overlays of a picture share. Pillow with tables of 256 levels is faster here than NumPy."""

    grey: Image.Image
    """the picture without evidence: dim, grey, and hatched outside the crop"""
    kept: Image.Image
    """the picture at full evidence, without magma's tint"""

    @classmethod
    def of(cls, image: Image.Image, box: Box) -> Photograph:
        """From an RGB picture, of which the crop kept `box` in pixels."""
        red, green, blue = (weight * SPOTLIGHT.dim / _BRIGHTEST for weight in SPOTLIGHT.luminance)
        y, x = np.ogrid[: image.height, : image.width]
        unseen = (x + 0.5 < box.x0) | (x + 0.5 > box.x1) | (y + 0.5 < box.y0) | (y + 0.5 > box.y1)
        stripes = np.arange(image.width + image.height) % SPOTLIGHT.hatch_period < SPOTLIGHT.hatch_width
        lines = unseen & sliding_window_view(stripes, image.width)[: image.height]  # stripes[x + y]
        hatch = Image.fromarray(lines.astype(np.uint8) * np.uint8(round(SPOTLIGHT.hatch_light / _BRIGHTEST)))
        grey = ImageChops.add_modulo(image.convert("L", (red, green, blue, 0)), hatch)
        return cls(grey.convert("RGB"), image.point(_KEPT * 3))

    def under(self, heat: NDArray[np.float32]) -> Image.Image:
        """The overlay for evidence (height, width) in 0…1, which is 0 outside the crop."""
        level = Image.fromarray((heat * 255 + 0.5).astype(np.uint8))
        light = level.point(_LIGHT)
        level.putpalette(_TINT)
        lit = ImageChops.add_modulo(self.kept, level.convert("RGB"))  # the sum is never above 255, and this is faster than `add`
        return Image.composite(lit, self.grey, light).point(_BRIGHTENED * 3)


def sheet(image: Image.Image, explanation: Explanation) -> Image.Image:
    """Draw the contact sheet: the picture, the nine stages' overlays and branch shares, the three heads' predictions."""
    cell, gap, margin = 176, 12, 40
    act = 3 * cell + 2 * gap
    width = 2 * margin + cell * 2 + 3 * (act + 2 * gap)
    canvas = Image.new("RGB", (width, 648), PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((margin, 28), "Inside GoogLeNet", INK, font(28))
    asked = describe(explanation)
    draw.text((margin, 68), asked, SOFT, font(16, asked))
    top = 112
    canvas.paste(contained(image, cell * 2), (margin, top))
    if max(image.size) < cell:
        image = contained(image, cell)
    left = margin + cell * 2 + 2 * gap
    for head in HEADS:
        before = HEADS.index(head) * 3
        for column, stage in enumerate(STAGES[before : before + 3]):
            x = left + column * (cell + gap)
            if stage in explanation.branch_grids:
                _draw_stage(canvas, image, explanation, stage, (x, top), cell)
            else:
                draw.rectangle((x, top, x + cell, top + cell), BAR)
                draw.text((x + 10, top + cell // 2 - 8), f"{stage}: behind {explanation.question.head}", SOFT, font(14))
        _draw_head(draw, explanation, head, (left, top + cell + 90), act)
        left += act + 2 * gap
    note = "Each overlay is divided by its own maximum. Hatched: cropped away, not seen."
    draw.text((margin, 612), f"{note}  {_weights_of(explanation)}", SOFT, font(14))
    return canvas


def describe(explanation: Explanation) -> str:
    """The question in words."""
    question = explanation.question
    assert question.target is not None
    asked = f"Evidence of the {question.head} head for {explanation.name_of(question.target)}"
    if question.contrast is not None:
        asked += f" rather than {explanation.name_of(question.contrast)}"
    return f"{asked}, by LayerCAM" if question.method == LAYER_CAM else asked


def _weights_of(explanation: Explanation) -> str:
    """The weights in words: source, commit and SHA-256."""
    weights = explanation.weights
    revision = f"@{weights.revision[:12]}" if weights.revision else ""
    return f"Weights: {weights.source}{revision}, SHA-256 {weights.sha256[:12]}"


def _draw_stage(
    canvas: Image.Image, image: Image.Image, explanation: Explanation, stage: str, at: tuple[int, int], cell: int
) -> None:
    draw, (x, y) = ImageDraw.Draw(canvas), at
    picture = overlay(image, explanation, stage, cell)
    canvas.paste(picture, (x + (cell - picture.width) // 2, y + (cell - picture.height) // 2))
    summary = explanation.summary(stage)
    draw.text((x, y + cell + 6), f"{stage}  {summary.size[0]} x {summary.size[1]}", INK, font(14))
    shares = [f"{branch} {percent(summary.branches[branch])}" for branch in BRANCHES]
    for line in (0, 1):
        draw.text((x, y + cell + 26 + 15 * line), "   ".join(shares[2 * line : 2 * line + 2]), SOFT, font(12))


def _draw_head(draw: ImageDraw.ImageDraw, explanation: Explanation, head: str, at: tuple[int, int], width: int) -> None:
    x, y = at
    draw.text((x, y), f"{head}", INK, font(18))
    draw.text((x + 70, y + 3), f"after {STAGES_BEFORE[head][-1]}", SOFT, font(14))
    if explanation.probabilities[head] is None:
        draw.text((x, y + 32), "These weights have no trained head here.", SOFT, font(14))
        return
    for row, (label, probability, asked) in enumerate(rows_of(explanation, head)):
        line = y + 32 + row * 28
        draw.rounded_rectangle((x, line, x + max(6, width * probability), line + 24), 4, _ACCENT if asked else BAR)
        draw.text((x + 8, line + 4), label, INK, font(14, label))
        draw.text((x + width - 8, line + 4), percent(probability), INK, font(14), anchor="ra")


def rows_of(explanation: Explanation, head: str) -> list[tuple[str, float, bool]]:
    """A head's five best classes and the asked class or group: (name, probability, whether it is the asked one)."""
    target, belief = explanation.question.target, explanation.belief[head]
    assert target is not None
    assert belief is not None
    rows = [(p.label, p.probability, p.index == target) for p in explanation.heads[head] or ()]
    return rows if any(asked for *_, asked in rows) else [*rows, (explanation.name_of(target), belief, True)]


def page(explanation: Explanation) -> str:
    """HTML for a notebook: the photograph, the overlays of the stages that the asked head sees, and the heads; at most 300 KB.

    Without the photograph: the heads alone.
    """
    pictures = []
    if explanation.picture is not None:
        photograph = contained(explanation.photograph(), 320)
        drawn = overlays(photograph, explanation, list(explanation.branch_grids), 160)
        pictures = [("photograph", photograph), *zip(explanation.branch_grids, drawn, strict=True)]
    figures = [
        f'<figure {_BESIDE}><img alt="{n}" src="{_data_url(p)}"><figcaption>{n}</figcaption></figure>' for n, p in pictures
    ]
    tables = [
        f"<table {_BESIDE}><caption>{head}</caption>{''.join(map(_table_row, rows_of(explanation, head)))}</table>"
        for head, p in explanation.probabilities.items()
        if p is not None
    ]
    return f"<p>{html.escape(describe(explanation))}</p>{''.join(figures)}<br>{''.join(tables)}"


_BESIDE = 'style="display: inline-table; margin: 4px"'


def _table_row(row: tuple[str, float, bool]) -> str:
    label, probability, asked = row
    name, share = html.escape(label[:80]), html.escape(percent(probability))
    return f"<tr><th>{name}</th><th>{share}</th></tr>" if asked else f"<tr><td>{name}</td><td>{share}</td></tr>"


def _data_url(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def contained(image: Image.Image, side: int, resample: Image.Resampling = Image.Resampling.BICUBIC) -> Image.Image:
    """A picture with a longer side of `side` pixels, the shorter one at least 1."""
    scale = side / max(image.size)
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), resample)


_FONTS = ("NotoSansCJK-Regular.ttc", "malgun.ttf", "AppleSDGothicNeo.ttc", "NanumGothic.ttf")
"""Fonts with Korean letters, of Linux, Windows, macOS and Linux again."""
_LAST_LATIN = "\u024f"


@functools.cache
def system_font(size: int) -> ImageFont.FreeTypeFont | None:
    for name in _FONTS:
        with contextlib.suppress(OSError):
            return ImageFont.truetype(name, size)
    return None


def font(size: int, text: str = "") -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, which has Latin letters alone; for a text with others, one of the system's that has Korean ones."""
    other = system_font(size) if max(text, default="") > _LAST_LATIN else None
    return other or ImageFont.load_default(size)
