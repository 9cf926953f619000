"""Calibration: the temperatures of the heads, and the probability below which no label looks likely."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

FLAGGED = 0.1
"""Share of pictures of known classes for which the page may say that no class looks likely."""
ENOUGH = 100
"""The fewest pictures from which a temperature or a threshold is computed."""
TEMPERATURES = (1.0, 20.0)
"""The range that is searched for temperatures; `config.json` may state 0.01 to 100. None is below 1: it would make answers surer,
wrong ones, too, and a network that is often wrong should rather look too unsure."""
FOLDS = 10
"""Parts of the cross-validation."""
CLEAR = 1.96
"""How many standard errors above 0 a temperature's mean gain on held-out pictures must be: its 95 % interval is above 0."""
SURE = 0.5
"""A wrong class with at least this probability counts as confidently wrong."""


def calibration_error(logits: Tensor, labels: Tensor, temperature: float = 1.0, bins: int = 15) -> float:
    """Expected calibration error, 0…1: mean distance of confidence from accuracy over equal-width bins (Guo et al., 2017)."""
    confidence, predicted = (logits / temperature).softmax(dim=1).max(dim=1)
    right = (predicted == labels).double()
    which = (confidence * bins).long().clamp(max=bins - 1)
    error = 0.0
    for b in which.unique():
        inside = which == b
        error += (confidence[inside].double().mean() - right[inside].mean()).abs().item() * inside.double().mean().item()
    return error


def choose_temperature(logits: Tensor, labels: Tensor) -> float:
    """The fitted temperature where it is clearly better than 1 on pictures that it was not fitted on, else 1.

    Cross-validation in `FOLDS` parts: the temperature is fitted on the other parts. A picture's gain is how much this temperature
    raises the logarithm of its label's probability. The mean gain must be more than `CLEAR` standard errors above 0.

    Args:
        logits: (N, classes) float32.
        labels: (N,) int64.

    Returns:
        The temperature, within `TEMPERATURES`; 1 where there are fewer than `ENOUGH` pictures.
    """
    if len(labels) < ENOUGH:
        return 1.0
    part = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0)) % FOLDS
    gains = torch.empty(len(labels), dtype=torch.float64)
    for fold in range(FOLDS):
        held_out = part == fold
        temperature = fit_temperature(logits[~held_out], labels[~held_out])
        ours, theirs = logits[held_out].double(), labels[held_out]
        gains[held_out] = losses(ours, theirs, 1.0) - losses(ours, theirs, temperature)
    clear = gains.mean() > CLEAR * gains.std() / math.sqrt(len(gains))
    return fit_temperature(logits, labels) if clear else 1.0


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature in `TEMPERATURES` for which softmax(logits / temperature) gives the labels the highest likelihood.

    Source: Guo et al., "On Calibration of Modern Neural Networks", 2017.
    """
    low, high = map(math.log, TEMPERATURES)
    logits = logits.double()

    def loss(log_temperature: float) -> float:
        return losses(logits, labels, math.exp(log_temperature)).mean().item()

    golden = (math.sqrt(5) - 1) / 2  # the loss is convex in 1 / temperature, so it has one minimum in this range
    while high - low > 1e-5:
        left, right = high - golden * (high - low), low + golden * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return math.exp((low + high) / 2)


def losses(logits: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """−log of the label's probability (N,)."""
    return F.cross_entropy(logits / temperature, labels, reduction="none")


def confidently_wrong(logits: Tensor, labels: Tensor, temperature: float) -> float:
    """Share of pictures that get a wrong class with a probability of `SURE` or more."""
    confidence, predicted = (logits / temperature).softmax(dim=1).max(dim=1)
    return ((confidence >= SURE) & (predicted != labels)).double().mean().item()


def confidences(logits: Tensor, labels: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """The highest probability (N,) for each picture as it is, and as if its class were unknown.

    For the second, the true class's logit is removed. The class that then has the highest probability must be wrong.
    """
    logits = logits / temperature
    unknown = logits.scatter(1, labels[:, None], -math.inf)
    return logits.softmax(dim=1).amax(dim=1), unknown.softmax(dim=1).amax(dim=1)


def unlikely_below(logits: Tensor, labels: Tensor, temperature: float) -> float | None:
    """The threshold: where the highest probability is below it, the page says that no class looks likely.

    It is chosen so that a share of `FLAGGED` of these pictures is below it. None where there are fewer than `ENOUGH` pictures.
    """
    if len(labels) < ENOUGH:
        return None
    known, _ = confidences(logits, labels, temperature)
    return known.quantile(FLAGGED).item()
