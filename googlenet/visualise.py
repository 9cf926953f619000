"""What a channel looks for, as a picture: one that makes the channel respond as much as it can.

Olah et al., "Feature Visualization", 2017. The picture is a sum of waves (its Fourier transform is what is learnt), so that
large and small structures grow at the same pace. Its three colours are those along which natural pictures vary, without
correlation. At each step it is moved, turned and scaled a little, so that only what survives this is learnt. What grows is the
channel's mean before its ReLU: after it, a channel that does not respond at the start would have no gradient.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from googlenet.errors import UserError
from googlenet.images import Preprocess
from googlenet.model import GoogLeNet
from googlenet.model.convolution import ConvReLU
from googlenet.model.network import FusedInception

SIDE = 128
"""Side in pixels of the picture that is learnt."""
TILE = 56
"""Side in pixels of the picture that is kept."""
STEPS = 96
RATE = 0.05
"""Learning rate of Adam on the waves' amplitudes."""
MARGIN = 8
"""Pixels by which a picture is moved at most, to either side of its middle."""
TURN, SCALE = 6.0, 0.06
"""Largest rotation in degrees, largest change of size."""
CONTRAST = 0.9
"""How far colours may leave the middle: 1 lets them reach black and white."""

COLOURS = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]])
"""RGB of the three directions along which natural pictures' colours vary (Lucid's constant, from ImageNet)."""

Progress = Callable[[float], None]


def visualise(
    model: GoogLeNet,
    preprocess: Preprocess,
    stage: str,
    channels: Sequence[int],
    *,
    steps: int = STEPS,
    seed: int = 0,
    progress: Progress = lambda share: None,
) -> NDArray[np.uint8]:
    """Make the pictures that channels of one stage respond to most, all in one batch.

    Args:
        model: as `GoogLeNet.for_inference` gives it, on the device to use. Nobody else may use it meanwhile.
        preprocess: how the weights want their pictures normalised.
        stage: one of `googlenet.architecture.STAGES`.
        channels: indices among the stage's channels.
        steps: of optimisation.
        seed: of the first picture and of its movements.
        progress: called with the part that is done, 0…1.

    Returns:
        (N, TILE, TILE, 3) RGB.

    Source: Olah et al., "Feature Visualization", 2017.

    Example:
        >>> from googlenet import GoogLeNet
        >>> from googlenet.images import Preprocess
        >>> model = GoogLeNet(classes=10).for_inference()
        >>> preprocess = Preprocess(224, 224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        >>> visualise(model, preprocess, "3a", [0, 5], steps=2).shape
        (2, 56, 56, 3)
    """
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (preprocess.mean, preprocess.std))
    waves = (torch.randn(len(channels), 3, SIDE, SIDE // 2 + 1, 2, generator=generator) * 0.01).to(device).requires_grad_()
    optimizer = torch.optim.Adam([waves], lr=RATE)
    for step in range(steps):
        x = (moved(picture(waves), generator) - mean) / std
        response = before_relu(model, x.to(memory_format=torch.channels_last), stage, channels)
        optimizer.zero_grad()
        (-response.sum()).backward()
        optimizer.step()
        progress((step + 1) / steps)
    with torch.no_grad():
        small = F.interpolate(picture(waves), (TILE, TILE), mode="area")
    return (small * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def picture(waves: Tensor) -> Tensor:
    """Amplitudes (N, 3, S, S // 2 + 1, 2) → RGB (N, 3, S, S) in 0…1."""
    side = waves.shape[2]
    rows, columns = torch.fft.fftfreq(side, device=waves.device), torch.fft.rfftfreq(side, device=waves.device)
    frequency = (rows[:, None] ** 2 + columns**2).sqrt().clamp(min=1 / side)
    spectrum = torch.view_as_complex(waves) / frequency * math.sqrt(side)
    colours = COLOURS.to(waves.device) / COLOURS.norm(dim=0).max()
    values = torch.einsum("nchw,kc->nkhw", torch.fft.irfft2(spectrum, s=(side, side), norm="ortho") / 4, colours)
    return 0.5 + CONTRAST * (values.sigmoid() - 0.5)


def moved(x: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures (N, 3, S, S), each moved, turned and scaled a little in its own way; what comes in at the edges is mirrored."""
    n, side = len(x), x.shape[-1]
    turn, size, across, down = (torch.rand(4, n, generator=generator) * 2 - 1).to(x.device)
    angle, scale = turn * math.radians(TURN), 1 + size * SCALE
    shift = 2 * MARGIN / side
    rows = torch.stack((angle.cos() / scale, -angle.sin() / scale, across * shift), 1)
    more = torch.stack((angle.sin() / scale, angle.cos() / scale, down * shift), 1)
    grid = F.affine_grid(torch.stack((rows, more), 1), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)


def before_relu(model: GoogLeNet, x: Tensor, stage: str, channels: Sequence[int]) -> Tensor:
    """Each picture's response (N,) in its own channel of a stage: the mean over cells of what the ReLU would cut at 0."""
    module = model.stage(stage)
    assert isinstance(module, FusedInception)
    last: list[ConvReLU] = [module.reduce, module.three, module.five, module.branch4[1]]  # type: ignore[list-item]
    # each branch's last convolution, whose ReLU is left out below
    inputs: dict[nn.Module, Tensor] = {}
    hooks = [conv.register_forward_pre_hook(lambda conv, given: inputs.update({conv: given[0]})) for conv in last]
    try:
        next(name for name, _ in model.stages(x) if name == stage)
    finally:
        for hook in hooks:
            hook.remove()
    starts = np.cumsum((0, *module.splits))
    responses = []
    for i, channel in enumerate(channels):
        branch = int(np.searchsorted(starts, channel, side="right")) - 1
        conv, row = last[branch], channel - int(starts[branch])
        assert conv.bias is not None
        some = slice(row, row + 1)
        response = F.conv2d(inputs[conv][i : i + 1], conv.weight[some], conv.bias[some], padding=conv.border)
        responses.append(response.float().mean())
    return torch.stack(responses)


COLUMNS = 32
"""Tiles in a row of an atlas' sheet."""
INDEX = "index.json"


def write_atlas(
    model: GoogLeNet,
    preprocess: Preprocess,
    sha256: str,
    folder: Path,
    stages: Sequence[str],
    *,
    batch: int = 16,
    steps: int = STEPS,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Write the pictures of all channels of some stages: `<stage>.webp`, `COLUMNS` tiles a row, and `index.json`.

    A run that was interrupted goes on where it stopped: `<stage>.part.npy` holds the tiles that are done.

    Args:
        model: as `GoogLeNet.for_inference` gives it.
        preprocess: how the weights want their pictures normalised.
        sha256: of the weights; `index.json` names it.
        folder: of the atlas. One of other weights is refused.
        stages: which to make.
        batch: channels at a time.
        steps: of optimisation.
        progress: called with the number of tiles that are done anew.

    Raises:
        UserError: the folder holds the atlas of other weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index = read_index(folder) or {"sha256": sha256, "tile": TILE, "columns": COLUMNS, "channels": {}}
    if index["sha256"] != sha256:
        raise UserError("{folder} holds the channels of other weights; choose another folder.", folder=folder)
    (folder / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    for stage in stages:
        if stage in index["channels"]:
            continue
        count, part = sum(model.stage(stage).splits), folder / f"{stage}.part.npy"
        tiles = np.load(part) if part.exists() else np.zeros((0, TILE, TILE, 3), np.uint8)
        while len(tiles) < count:
            channels = range(len(tiles), min(len(tiles) + batch, count))
            tiles = np.concatenate((tiles, visualise(model, preprocess, stage, channels, steps=steps)))
            np.save(part, tiles)
            progress(len(channels))
        rows = -(-count // COLUMNS)
        tiles = np.concatenate((tiles, np.zeros((rows * COLUMNS - count, TILE, TILE, 3), np.uint8)))
        sheet = tiles.reshape(rows, COLUMNS, TILE, TILE, 3).swapaxes(1, 2).reshape(rows * TILE, COLUMNS * TILE, 3)
        Image.fromarray(sheet).save(folder / f"{stage}.webp", quality=60)
        index["channels"][stage] = count
        (folder / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
        part.unlink()


def read_index(folder: Path) -> dict[str, Any] | None:
    """An atlas' `index.json`: {sha256, tile, columns, channels: stage → number}; None where there is none."""
    path = folder / INDEX
    if not path.is_file():
        return None
    index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return index
