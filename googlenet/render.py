"""An Explanation → pictures: one overlay a stage, and the contact sheet that shows all of it.

The photograph goes dim and grey where there is no evidence and keeps its colours, under magma's tint, where there is. magma is
perceptually uniform and keeps its order for colour-blind readers and in grey print. The page draws by the same formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFont, ImageOps

from googlenet.architecture import BRANCHES, HEADS, STAGES, STAGES_BEFORE
from googlenet.explanation import Explanation, Prediction
from googlenet.frame import Box, enlarge
from googlenet.pictures.levels import tiles

MAGMA: NDArray[np.float32] = matplotlib.colormaps["magma"](np.linspace(0, 1, 256))[:, :3].astype(np.float32) * 255
"""(256, 3) RGB in 0…255"""

BLUES: NDArray[np.float32] = np.stack(
    [np.interp(np.linspace(0, 1, 256), (0, 0.5, 1), channel) for channel in ((2, 20, 140), (6, 96, 215), (23, 205, 255))], axis=1
).astype(np.float32)
"""(256, 3) RGB in 0…255, for evidence against: blue beside magma's orange is told apart by colour-blind readers too."""


@dataclass(frozen=True)
class Spotlight:
    """The numbers of the overlay's formula; `Photograph` and the page's script (js/drawing.js) use the same ones."""

    luminance: tuple[float, float, float] = (0.3, 0.59, 0.11)
    """weights of red, green and blue in the grey picture"""
    dim: float = 0.38
    """brightness of the grey picture where there is no evidence"""
    keep: float = 0.62
    """part of the picture's own colours where the evidence is strongest"""
    add: float = 0.5
    """part of magma's colour there"""
    tint: tuple[float, float] = (0.2, 0.7)
    """magma's start and range: evidence v has the colour at 0.2 + 0.7 v"""
    hatch_period: int = 8
    """pixels from one line of the hatch to the next"""
    hatch_width: float = 1.5
    hatch_light: int = 60
    """what a line of the hatch adds, of 255"""


SPOTLIGHT = Spotlight()

TILE = 128 * SPOTLIGHT.hatch_period
"""Side in pixels of the pieces in which an overlay is drawn: the hatch goes on from one to the next."""

PAPER, INK, SOFT, ACCENT, BAR = "#faf8f4", "#1c1a17", "#6b655d", "#f0c3b0", "#e4dfd6"


def overlay(image: Image.Image, explanation: Explanation, stage: str, side: int | None = None) -> Image.Image:
    """The picture under a stage's Grad-CAM, divided by the map's own maximum; hatched where the crop did not look.

    `side` bounds the longer side in pixels; None keeps the picture's size.
    """
    return overlays(image, explanation, [stage], side)[0]


def overlays(image: Image.Image, explanation: Explanation, stages: Sequence[str], side: int | None = None) -> list[Image.Image]:
    """`overlay` for several stages, which share what does not depend on the stage."""
    if side is not None and max(image.size) > side:
        scale = side / max(image.size)
        image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.BOX)
    across, down = image.width / explanation.size[0], image.height / explanation.size[1]
    seen = explanation.seen
    box = Box(seen.x0 * across, seen.y0 * down, seen.x1 * across, seen.y1 * down)
    grids = [explanation.branch_grids[stage].sum(axis=0).clip(min=0) for stage in stages]
    drawn = [Image.new("RGB", image.size) for _ in stages]
    for tile in tiles(image.size, TILE):  # which bounds the memory
        left, top = tile[:2]
        inside = Box(box.x0 - left, box.y0 - top, box.x1 - left, box.y1 - top)
        photograph = Photograph.of(image.crop(tile), inside)
        for grid, whole in zip(grids, drawn, strict=True):
            heat = enlarge(grid / max(float(grid.max()), 1e-12), photograph.grey.size, inside)
            whole.paste(photograph.under(heat), (left, top))
    return drawn


LEVELS = np.arange(256) / 255
BRIGHTEST = SPOTLIGHT.keep + SPOTLIGHT.add
"""White in full light is brighter than white. What is added up is so much darker, so that nothing is cut off before the end."""
BRIGHTENED: list[int] = (np.arange(256) * BRIGHTEST).round().clip(0, 255).astype(int).tolist()
KEPT: list[int] = (np.arange(256) * SPOTLIGHT.keep / BRIGHTEST).round().astype(int).tolist()
"""a channel of the picture → what is kept of it in full light"""
LIGHT: list[int] = (LEVELS * LEVELS * (3 - 2 * LEVELS) * 255).round().astype(int).tolist()
"""level of heat → how much is seen of the lit picture, by smoothstep: the edge of the light is soft"""
ADDED = MAGMA[((SPOTLIGHT.tint[0] + SPOTLIGHT.tint[1] * LEVELS) * 255).astype(int)] * (SPOTLIGHT.add / BRIGHTEST)
TINT = ADDED.round().astype(np.uint8).tobytes()
"""level of heat → RGB that is added in full light"""


@dataclass(frozen=True)
class Photograph:
    """What a picture gives to each of its overlays. Pillow and tables of 256 levels draw several times as fast as NumPy."""

    grey: Image.Image
    """without evidence: dim, and hatched outside the crop"""
    kept: Image.Image
    """in full light, without magma's tint"""

    @classmethod
    def of(cls, image: Image.Image, box: Box) -> Photograph:
        """An RGB picture of which the crop kept `box`."""
        red, green, blue = (weight * SPOTLIGHT.dim / BRIGHTEST for weight in SPOTLIGHT.luminance)
        y, x = np.ogrid[: image.height, : image.width]
        unseen = (x + 0.5 < box.x0) | (x + 0.5 > box.x1) | (y + 0.5 < box.y0) | (y + 0.5 > box.y1)
        stripes = np.arange(image.width + image.height) % SPOTLIGHT.hatch_period < SPOTLIGHT.hatch_width
        lines = unseen & sliding_window_view(stripes, image.width)[: image.height]  # stripes[x + y]
        hatch = Image.fromarray(lines.astype(np.uint8) * np.uint8(round(SPOTLIGHT.hatch_light / BRIGHTEST)))
        grey = ImageChops.add_modulo(image.convert("L", (red, green, blue, 0)), hatch)
        return cls(grey.convert("RGB"), image.point(KEPT * 3))

    def under(self, heat: NDArray[np.float32]) -> Image.Image:
        """The picture under heat (height, width) in 0…1, which is 0 outside the crop."""
        level = Image.fromarray((heat * 255 + 0.5).astype(np.uint8))
        light = level.point(LIGHT)
        level.putpalette(TINT)
        lit = ImageChops.add_modulo(self.kept, level.convert("RGB"))  # never above 255, and ten times as fast as `add`
        return Image.composite(lit, self.grey, light).point(BRIGHTENED * 3)


def sheet(image: Image.Image, explanation: Explanation) -> Image.Image:
    """The contact sheet: the picture, nine stages in three acts over the heads that they lead to, filter shares under each."""
    cell, gap, margin = 176, 12, 40
    act = 3 * cell + 2 * gap
    width = 2 * margin + cell * 2 + 3 * (act + 2 * gap)
    canvas = Image.new("RGB", (width, 648), PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((margin, 28), "Inside GoogLeNet", INK, font(28))
    draw.text((margin, 68), describe(explanation), SOFT, font(16))
    top = 112
    canvas.paste(ImageOps.contain(image, (cell * 2, cell * 2)), (margin, top))
    left = margin + cell * 2 + 2 * gap
    for head in HEADS:
        before = HEADS.index(head) * 3
        for column, stage in enumerate(STAGES[before : before + 3]):
            x = left + column * (cell + gap)
            if stage in explanation.branch_grids:
                draw_stage(canvas, image, explanation, stage, (x, top), cell)
            else:
                draw.rectangle((x, top, x + cell, top + cell), BAR)
                draw.text((x + 10, top + cell // 2 - 8), f"{stage}: behind {explanation.question.head}", SOFT, font(14))
        draw_head(draw, explanation, head, (left, top + cell + 90), act)
        left += act + 2 * gap
    note = "Each overlay is divided by its own maximum. Hatched: cropped away, not seen."
    draw.text((margin, 612), f"{note}  {weights_of(explanation)}", SOFT, font(14))
    return canvas


def describe(explanation: Explanation) -> str:
    question = explanation.question
    assert question.target is not None
    asked = f"Evidence of the {question.head} head for {explanation.labels[question.target]}"
    return asked if question.contrast is None else f"{asked} rather than {explanation.labels[question.contrast]}"


def weights_of(explanation: Explanation) -> str:
    weights = explanation.weights
    revision = f"@{weights.revision[:12]}" if weights.revision else ""
    return f"Weights: {weights.source}{revision}, SHA-256 {weights.sha256[:12]}"


def draw_stage(
    canvas: Image.Image, image: Image.Image, explanation: Explanation, stage: str, at: tuple[int, int], cell: int
) -> None:
    draw, (x, y) = ImageDraw.Draw(canvas), at
    picture = overlay(image, explanation, stage, cell)
    canvas.paste(picture, (x + (cell - picture.width) // 2, y + (cell - picture.height) // 2))
    summary = explanation.summary(stage)
    draw.text((x, y + cell + 6), f"{stage}  {summary.size[0]} x {summary.size[1]}", INK, font(14))
    shares = "  ".join(f"{branch} {percent(summary.branches[branch])}" for branch in BRANCHES)
    draw.text((x, y + cell + 26), shares, SOFT, font(11))


def draw_head(draw: ImageDraw.ImageDraw, explanation: Explanation, head: str, at: tuple[int, int], width: int) -> None:
    x, y = at
    draw.text((x, y), f"{head}", INK, font(18))
    draw.text((x + 70, y + 3), f"after {STAGES_BEFORE[head][-1]}", SOFT, font(14))
    predictions = explanation.heads[head]
    if predictions is None:
        draw.text((x, y + 32), "These weights have no trained head here.", SOFT, font(14))
        return
    target, belief = explanation.question.target, explanation.belief[head]
    assert target is not None
    assert belief is not None
    if all(prediction.index != target for prediction in predictions):
        predictions = (*predictions, Prediction(target, explanation.labels[target], belief))
    for row, prediction in enumerate(predictions):
        asked = prediction.index == target
        line = y + 32 + row * 28
        draw.rounded_rectangle((x, line, x + max(6, width * prediction.probability), line + 24), 4, ACCENT if asked else BAR)
        draw.text((x + 8, line + 4), prediction.label, INK, font(14))
        draw.text((x + width - 8, line + 4), percent(prediction.probability), INK, font(14), anchor="ra")


def percent(p: float) -> str:
    """A share that rounding does not make untrue: never "100 %" or "0 %"."""
    if p >= 0.995:
        return "> 99 %"
    if p < 0.001:
        return "< 0.1 %"
    return f"{p * 100:.0f} %" if p >= 0.0995 else f"{p * 100:.1f} %"


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
