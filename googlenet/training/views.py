"""Augmentation of training pictures: random crops, flips, light, and mixtures of two pictures.

All functions work on whole batches on the training device. Random numbers come from torch's global generator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

STRETCH = 4 / 3
"""A crop's aspect ratio differs from the picture's by at most this factor."""
LIGHT = 0.3
"""The largest change of brightness, contrast and saturation, as factors around 1."""


def draw_crops(aspects: Tensor, least_area: float) -> Tensor:
    """Random crops, from `least_area` to the whole of each picture; half of them, at random, are flipped.

    Args:
        aspects: (N,) float32, width / height of each picture.
        least_area: share of the picture's area, 0…1.

    Returns:
        (N, 2, 3) float32: for `F.affine_grid`, from the view's coordinates to the squeezed picture's, both -1…1.
    """
    count, device = len(aspects), aspects.device
    area = least_area + (1 - least_area) * torch.rand(count, device=device)
    ratio = torch.exp((2 * torch.rand(count, device=device) - 1) * math.log(STRETCH))
    width = (area * ratio / aspects).sqrt().clamp(max=1)
    height = (area / ratio * aspects).sqrt().clamp(max=1)
    flip = torch.where(torch.rand(count, device=device) < 0.5, -1.0, 1.0)
    x, y = ((2 * torch.rand(count, device=device) - 1) * (1 - side) for side in (width, height))
    return crops_of(width * flip, height, x, y)


def middle_squares(aspects: Tensor) -> Tensor:
    """The middle square of each picture, as `draw_crops` gives crops. aspects: (N,) float32, width / height."""
    zero = torch.zeros_like(aspects)
    return crops_of((1 / aspects).clamp(max=1), aspects.clamp(max=1), zero, zero)


def crops_of(width: Tensor, height: Tensor, x: Tensor, y: Tensor) -> Tensor:
    zero = torch.zeros_like(x)
    return torch.stack([torch.stack([width, zero, x], 1), torch.stack([zero, height, y], 1)], 1)


def take(pixels: Tensor, crops: Tensor, size: int) -> Tensor:
    """The crops of pictures (N, side, side, 3) uint8 as (N, 3, size, size) float32 in 0…1."""
    images = pixels.permute(0, 3, 1, 2).float().div_(255)
    if images.shape[-1] >= 2 * size:
        images = F.avg_pool2d(images, images.shape[-1] // size)  # without this, bilinear sampling would skip pixels
    grid = F.affine_grid(crops, [len(crops), 3, size, size], align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def relight(views: Tensor) -> Tensor:
    """Random brightness, contrast and saturation for each of (N, 3, S, S) views in 0…1."""
    brightness, contrast, saturation = (
        1 + LIGHT * (2 * torch.rand(len(views), 1, 1, 1, device=views.device) - 1) for _ in range(3)
    )
    grey = views.mean(dim=1, keepdim=True)
    views = grey + (views - grey) * saturation
    middle = grey.mean(dim=(2, 3), keepdim=True)
    return ((middle + (views - middle) * contrast) * brightness).clamp(0, 1)


@dataclass(frozen=True)
class Mix:
    """How the pictures of one batch are mixed in pairs. The same mix applies to views of any size and to their labels."""

    partner: Tensor
    """(N,) int64: each picture's partner in the batch"""
    share: float
    """the partner's share, 0…1"""
    box: tuple[float, float, float, float] | None
    """top, left, bottom, right in 0…1: what is cut out of the partner (CutMix); None blends the whole pictures (mixup)"""

    @classmethod
    def draw(cls, count: int, device: torch.device) -> Mix:
        """Mixup (Zhang et al., 2018) or CutMix (Yun et al., 2019), with equal chances."""
        partner = torch.arange(count, device=device).roll(1)
        share = torch.distributions.Beta(0.4, 0.4).sample().item()  # on the CPU, so that nothing waits for the device
        if torch.rand(()) < 0.5:
            return cls(partner, share, None)
        half = math.sqrt(share) / 2
        y, x = torch.rand(2).tolist()
        box = (max(0.0, y - half), max(0.0, x - half), min(1.0, y + half), min(1.0, x + half))
        return cls(partner, (box[2] - box[0]) * (box[3] - box[1]), box)

    def views(self, views: Tensor) -> Tensor:
        """Mix (N, 3, S, S) views."""
        if self.box is None:
            return torch.lerp(views, views[self.partner], self.share)
        top, left, bottom, right = (round(edge * views.shape[-1]) for edge in self.box)
        mixed = views.clone()
        mixed[:, :, top:bottom, left:right] = views[self.partner, :, top:bottom, left:right]
        return mixed

    def labels(self, labels: Tensor) -> Tensor:
        """Mix (N, classes) target probabilities."""
        return torch.lerp(labels, labels[self.partner], self.share)
