"""Draws what a channel looks for: a picture that is optimised to make the channel respond as much as possible.

The method is that of Olah et al., "Feature Visualization", 2017. The picture's Fourier coefficients are optimised, so that large
and small structures grow at the same pace. Its three colour axes are those of natural pictures, which are uncorrelated. At each
step the picture is moved, turned and scaled: only structures that survive this grow. The objective is the channel's mean before
its ReLU, since a channel that does not respond at the start has no gradient after it.

Unlike in the article, the contrast is fixed: each step's picture is normalised to the contrast of a photograph. No picture then
saturates or stays grey, and few steps suffice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from googlenet.concurrency.threads import Progress
from googlenet.model.convolution import ConvReLU
from googlenet.model.network import FusedInception, GoogLeNet
from googlenet.pictures.images import Preprocess

__all__ = ["TILE", "visualise"]

_SIDE, TILE = 112, 56
"""Side in pixels of the picture that is optimised, and of the one that is kept."""
_STEPS = 40
_RATE = 0.02
"""The largest learning rate of Adam on the Fourier coefficients. The rate rises over `_WARM_UP` steps, then falls to 0."""
_WARM_UP = 8
_MARGIN = 12
"""The largest shift of a picture in pixels, in each direction."""
_TURN, _SCALE = 12.0, 0.15
"""Largest rotation in degrees, largest change of size."""
_CONTRAST = 1.1
"""Standard deviation of the brightness before the sigmoid, which makes the contrast that of a photograph."""
_FALL = 1.25
"""A coefficient's scale falls with this power of its frequency. Photographs have about 1; a larger power makes less noise."""
_COLOURFUL = 0.65
"""The largest standard deviation of the two colour axes, as a share of that of the brightness."""

_COLOURS = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]])
"""RGB of the three uncorrelated colour axes of natural pictures, brightness first (a constant of the library Lucid)."""


def visualise(
    model: GoogLeNet,
    preprocess: Preprocess,
    stage: str,
    channels: Sequence[int],
    *,
    steps: int = _STEPS,
    progress: Progress = lambda share: None,
) -> NDArray[np.uint8]:
    """Make the pictures that channels of one stage respond to most, all in one batch.

    Args:
        model: as `GoogLeNet.for_inference` gives it, on the device to use. No other thread may use it at the same time.
        preprocess: how the weights want their pictures normalised.
        channels: indices among the stage's channels.
        steps: of the optimisation.

    Returns:
        (N, TILE, TILE, 3) uint8, RGB; the same at each call.
    """
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(0)
    mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (preprocess.mean, preprocess.std))
    waves = (torch.randn(len(channels), 3, _SIDE, _SIDE // 2 + 1, 2, generator=generator) * 0.01).to(device).requires_grad_()
    optimizer = torch.optim.Adam([waves], lr=_RATE)
    asked = responding(model, stage, channels)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = _RATE * min(1, (step + 1) / _WARM_UP) * (1 - step / steps)
        x = (moved(picture(waves), generator) - mean) / std
        response = asked(x.to(memory_format=torch.channels_last))
        optimizer.zero_grad()
        (-response.sum()).backward()
        optimizer.step()
        progress((step + 1) / steps)
    with torch.no_grad():
        small = F.interpolate(picture(waves), (TILE, TILE), mode="area")
    return (small * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def picture(waves: Tensor) -> Tensor:
    """Fourier coefficients (N, 3, S, S // 2 + 1, 2) → RGB (N, 3, S, S) in 0…1, with a photograph's contrast."""
    side = waves.shape[2]
    rows, columns = torch.fft.fftfreq(side, device=waves.device), torch.fft.rfftfreq(side, device=waves.device)
    frequency = (rows[:, None] ** 2 + columns**2).sqrt().clamp(min=1 / side)
    values = torch.fft.irfft2(torch.view_as_complex(waves) / frequency**_FALL, s=(side, side), norm="ortho")
    values = values - values.mean(dim=(2, 3), keepdim=True)
    spread = values.std(dim=(2, 3), keepdim=True)
    bright, most = spread[:, :1], torch.tensor([1.0, _COLOURFUL, _COLOURFUL], device=waves.device)[:, None, None]
    values = _CONTRAST * most * values / spread.maximum(bright)
    colours = _COLOURS.to(waves.device) / _COLOURS[:, 0].square().mean().sqrt()
    return torch.einsum("nchw,kc->nkhw", values, colours).sigmoid()


def moved(x: Tensor, generator: torch.Generator) -> Tensor:
    """Move, turn and scale each of (N, 3, S, S) pictures at random. The edges are mirrored."""
    n, side = len(x), x.shape[-1]
    turn, size, across, down = (torch.rand(4, n, generator=generator) * 2 - 1).to(x.device)
    angle, scale = turn * math.radians(_TURN), 1 + size * _SCALE
    shift = 2 * _MARGIN / side
    rows = torch.stack((angle.cos() / scale, -angle.sin() / scale, across * shift), 1)
    more = torch.stack((angle.sin() / scale, angle.cos() / scale, down * shift), 1)
    grid = F.affine_grid(torch.stack((rows, more), 1), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)


def responding(model: GoogLeNet, stage: str, channels: Sequence[int]) -> Callable[[Tensor], Tensor]:
    """A function from N normalised pictures (N, 3, S, S) to responses (N,): of picture i, that of channel i of `channels`.

    A response is the mean over cells before the ReLU. Later stages are not computed.
    """
    copied = model.twin()
    module = copied.stage(stage)
    assert isinstance(module, FusedInception)
    copied.set_submodule(f"inception{stage}", Responses(module, channels))
    return lambda x: next(response for name, response in copied.stages(x) if name == stage)


class Responses(nn.Module):
    """Replaces a stage's module: (N, K, H, W) → (N,), the mean of channel i before its ReLU, for picture i."""

    def __init__(self, module: FusedInception, channels: Sequence[int]) -> None:
        super().__init__()
        self.module, self.channels = module, torch.tensor(channels)

    def forward(self, x: Tensor) -> Tensor:
        module = self.module
        pool, projection = module.branch4
        one, three, five = _linear(module.reduce, x).split(module.widths, dim=1)
        branches = one, _linear(module.three, three.relu()), _linear(module.five, five.relu()), _linear(projection, pool(x))
        means = torch.cat([branch.mean(dim=(2, 3), dtype=torch.float32) for branch in branches], dim=1)
        return means[torch.arange(len(x)), self.channels]


def _linear(conv: nn.Module, x: Tensor) -> Tensor:
    """A ConvReLU without its ReLU."""
    assert isinstance(conv, ConvReLU)
    return nn.Conv2d.forward(conv, x)
