"""Groups of a stage's channels that speak for a class at the same places.

Olah et al., "The Building Blocks of Interpretability" (Distill, 2018), factorise a layer's activations. Here each channel's
evidence for the class is factorised, by the non-negative factorisation of Lee and Seung ("Algorithms for Non-negative Matrix
Factorization", 2001) that minimises the Kullback-Leibler divergence: its factors keep the sum of each cell, so that the groups'
maps sum to the evidence for the class, and the evidence against it remains as the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from googlenet.explanation import LAYER_CAM, Question
from googlenet.inference.explainer import Explainer
from googlenet.inference.gradcam import Asked, Parts, attributions

__all__ = ["ChannelGroup", "channel_groups"]

GROUPS = 6
_TINY = float(np.finfo(np.float32).tiny)
_STEPS = 200
"""Updates of the factors: at most 0.25 s on one core, at 3b."""


@dataclass(frozen=True, eq=False)  # its array has no equality that is one truth value
class ChannelGroup:
    """Channels that speak for the class at the same places."""

    share: float
    """0…1: of the stage's evidence. The groups' shares and that of `rest` sum to 1"""
    grid: NDArray[np.float32]
    """its map (H, W) on the stage's cells, not negative, in logit units"""
    channels: tuple[int, ...]
    """indices among the stage's channels: the three with the most evidence, of those that have more of it in this group than in
    any other"""


@dataclass(frozen=True, eq=False)  # its array has no equality that is one truth value
class ChannelGroups:
    """A stage's map, taken apart: the groups' maps and the rest sum to it."""

    groups: tuple[ChannelGroup, ...]
    """by their share, the largest first; none where no channel speaks for the class"""
    rest: NDArray[np.float32]
    """(H, W), not positive: the evidence against the class; 0 for LayerCAM, whose map holds none"""


def channel_groups(explainer: Explainer, image: Image.Image, question: Question, stage: str) -> ChannelGroups:
    """Find the groups of a stage's channels that speak for the question's class, in an RGB picture.

    Raises QuestionError where the head does not see the stage.
    """
    explainer.check_stage(question.head, stage)
    return grouped(_channel_maps(explainer, explainer.preprocess(image), question, stage))


def _channel_maps(explainer: Explainer, x: Tensor, question: Question, stage: str) -> NDArray[np.float32]:
    """All channels' parts (K, H, W) of a stage's map, for one prepared picture x (1, 3, S, S)."""
    asked, parts = Asked.of([question], len(explainer.labels)), Parts.of([question])
    with explainer.passes.engine() as engine:
        x = x.to(explainer.device, memory_format=torch.channels_last)
        _, activations, (gradient,) = attributions(engine.model, x, asked.to(x.device), parts, [stage])
    gradient = gradient.float()
    weight = gradient.clamp(min=0) if question.method == LAYER_CAM else gradient.mean(dim=(2, 3), keepdim=True)
    maps: NDArray[np.float32] = (weight * activations[stage].float())[0].cpu().numpy()
    return maps


def grouped(maps: NDArray[np.float32]) -> ChannelGroups:
    """Group channels by their signed maps (K, H, W)."""
    evidence = maps.clip(min=0).reshape(len(maps), -1)
    channels = np.flatnonzero(evidence.any(axis=1)).tolist()
    rest = maps.clip(max=0).sum(axis=0)
    if not channels:
        return ChannelGroups((), rest)
    by_channel, by_place = _factors(evidence[channels])
    amounts = by_channel * by_place.sum(axis=1)  # (channels, groups)
    home, whole = amounts.argmax(axis=1), float(np.abs(maps).sum())
    groups = [
        ChannelGroup(
            float(place.sum()) / whole,
            place.reshape(rest.shape),
            tuple(channels[each] for each in np.argsort(-amounts[:, number], kind="stable").tolist() if home[each] == number)[:3],
        )
        for number, place in enumerate(by_place)
    ]
    return ChannelGroups(tuple(sorted(groups, key=lambda group: -group.share)), rest)


def _factors(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Factorise values (K, M) ≥ 0 into (K, GROUPS), whose columns sum to 1, and (GROUPS, M), whose columns sum to the values'.

    The start is not random: a group begins with the channels of the place that the groups before it explain least.
    """
    unexplained, starts = values, []
    for _ in range(GROUPS):
        starts.append(int((unexplained**2).sum(axis=0).argmax()))
        direction = unexplained[:, starts[-1]] / max(float(np.linalg.norm(unexplained[:, starts[-1]])), _TINY)
        unexplained = unexplained - np.outer(direction, direction @ unexplained)
    left = values[:, starts] + values.mean(axis=1, keepdims=True) / 10  # a product with 0 would stay 0
    left /= left.sum(axis=0)
    right = np.repeat(values.sum(axis=0, keepdims=True) / GROUPS, GROUPS, axis=0)
    for _ in range(_STEPS):
        left *= (values / (left @ right).clip(min=_TINY)) @ right.T
        left /= left.sum(axis=0).clip(min=_TINY)
        right *= left.T @ (values / (left @ right).clip(min=_TINY))
    return left, right
