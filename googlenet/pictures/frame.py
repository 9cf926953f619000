"""Boxes in pixels of the picture, and grids of cells that cover a box. NumPy alone, no torch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Box", "enlarge", "enlarge_to_input", "peak_of"]


class Box(NamedTuple):
    """A rectangle in pixels of the upright picture: x to the right, y down, the far edges exclusive."""

    x0: float
    y0: float
    x1: float
    y1: float

    def moved(self, source: Box, target: Box) -> Box:
        """The part of `target` that this is of `source`: a box in another frame of the same picture."""
        across = (target.x1 - target.x0) / (source.x1 - source.x0)
        down = (target.y1 - target.y0) / (source.y1 - source.y0)
        x, y = target.x0 - source.x0 * across, target.y0 - source.y0 * down
        return Box(self.x0 * across + x, self.y0 * down + y, self.x1 * across + x, self.y1 * down + y)


def peak_of(grid: NDArray[np.floating], box: Box) -> tuple[float, float]:
    """(x, y): the centre of the cell with the highest value of a grid (H, W) that covers the box, in pixels of the picture."""
    height, width = grid.shape
    row, column = divmod(int(grid.argmax()), width)
    return (
        box.x0 + (column + 0.5) / width * (box.x1 - box.x0),
        box.y0 + (row + 0.5) / height * (box.y1 - box.y0),
    )


def enlarge(grid: NDArray[np.floating], size: tuple[int, int], box: Box) -> NDArray[np.float32]:
    """A grid (h, w) that covers a box of a picture of (width, height) pixels → (height, width) float32, 0 outside the box.

    It is bilinear between the cells' centres.
    """
    rows = _interpolation(size[1], box.y0, box.y1, grid.shape[0])
    columns = _interpolation(size[0], box.x0, box.x1, grid.shape[1])
    return np.asarray(rows @ grid @ columns.T, dtype=np.float32)


def enlarge_to_input(grid: NDArray[np.floating], side: int) -> NDArray[np.float32]:
    """A map on its own cells, enlarged to the network's input (side, side)."""
    return enlarge(grid, (side, side), Box(0, 0, side, side))


def _interpolation(pixels: int, start: float, end: float, cells: int) -> NDArray[np.float32]:
    """The matrix (pixels, cells) of linear interpolation along one axis; rows of pixels outside start…end are zero."""
    centre = np.arange(pixels) + 0.5
    at = ((centre - start) / (end - start) * cells - 0.5).clip(0, cells - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, cells - 1)
    inside = (centre >= start) & (centre <= end)
    matrix = np.zeros((pixels, cells), np.float32)
    row = np.arange(pixels)
    matrix[row, low] = (1 - (at - low)) * inside
    matrix[row, high] += (at - low) * inside  # added, since low equals high at the edge
    return matrix
