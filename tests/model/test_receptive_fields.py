"""What a cell can see, against the pixels that its activations' gradients reach."""

from __future__ import annotations

import pytest
import torch

from googlenet.model.architecture import receptive_fields
from tests.helpers import ARCHITECTURES, random_model

SIDE = 224
CELLS = {"3a": (3, 14), "3b": (27, 0), "4a": (0, 7), "4b": (7, 13), "4d": (13, 0), "5a": (1, 6), "5b": (6, 0)}
"""stage → row and column of a cell whose square is not cut on all four sides, where there is one"""


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_cell_sees_the_pixels_that_its_gradients_reach_and_no_others(name: str) -> None:
    model = random_model(ARCHITECTURES[name]).requires_grad_(False)
    pictures = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0), requires_grad=True)
    activations, fields = dict(model.stages(pictures)), receptive_fields(ARCHITECTURES[name])
    for stage, cell in CELLS.items():
        score = activations[stage].flatten(2)[:, :, cell[0] * activations[stage].shape[3] + cell[1]].sum()
        (gradient,) = torch.autograd.grad(score, pictures, retain_graph=True)
        reached = gradient.ne(0).any(0).any(0)
        for at, pixels in zip(cell, (reached.any(1), reached.any(0)), strict=True):
            first = fields[stage].start + at * fields[stage].stride
            edges = pixels.nonzero().flatten()
            assert (edges[0], edges[-1] + 1) == (max(0, first), min(SIDE, first + fields[stage].size)), (stage, cell)
