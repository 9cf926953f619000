"""Measuring a set of weights: accuracy of each head, calibration, confusions, and when none of the labels looks likely."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.transforms import v2
from tqdm import tqdm

from googlenet.architecture import HEADS
from googlenet.errors import UserError
from googlenet.images import Preprocess
from googlenet.model import GoogLeNet
from googlenet.training.data import Images, Split, batches

BATCH = 64
FLAGGED = 0.1
"""Share of pictures of known classes for which the page may say that none of its classes looks likely."""


class Answers(NamedTuple):
    """Every image's logits by head, and the true labels."""

    logits: dict[str, Tensor]
    """head → (N, classes) float32, for the heads that the model has"""
    labels: Tensor
    """(N,) int64"""


def answer(model: GoogLeNet, preprocess: Preprocess, split: Split, device: torch.device) -> Answers:
    """Run every image of the split, prepared as the weights ask, through the network in float32."""
    network = model.for_inference().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = Images(split, v2.Lambda(lambda image: preprocess(image)[0]))
    found: dict[str, list[Tensor]] = {head: [] for head in HEADS}
    labels = []
    with tqdm(total=len(images), desc="evaluate", unit="img") as bar, torch.no_grad():
        for batch in batches(images, list(range(len(images))), BATCH, device, seed=0):
            if isinstance(batch, UserError):
                raise batch
            heads = network.heads(batch.images.to(device, memory_format=torch.channels_last))
            for head, logits in zip(HEADS, heads, strict=True):
                if logits is not None:
                    found[head].append(logits.cpu())
            labels.append(batch.labels)
            bar.update(len(batch.labels))
    return Answers({head: torch.cat(parts) for head, parts in found.items() if parts}, torch.cat(labels))


def accuracy(logits: Tensor, labels: Tensor, k: int) -> float:
    """Share of images whose label is among the k highest of logits (N, classes)."""
    return (logits.topk(min(k, logits.shape[1]), dim=1).indices == labels[:, None]).any(dim=1).double().mean().item()


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


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature that makes softmax(logits / temperature) most likely for the labels (Guo et al., 2017)."""
    log_temperature = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.LBFGS([log_temperature], max_iter=50, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(logits / log_temperature.exp(), labels)
        loss.backward()
        return loss

    optimizer.step(closure)
    return math.exp(log_temperature.item())


def confidences(answers: Answers, temperature: float) -> tuple[Tensor, Tensor]:
    """The main head's best probability (N,) for each picture as it is, and as if its class were unknown.

    For the second the true class's logit is removed: what is left is how sure the network is of a name that must be wrong.
    """
    logits = answers.logits["main"] / temperature
    unknown = logits.scatter(1, answers.labels[:, None], -math.inf)
    return logits.softmax(dim=1).amax(dim=1), unknown.softmax(dim=1).amax(dim=1)


def unlikely_below(answers: Answers, temperature: float) -> float:
    """The best probability below which the page says that none of its classes looks likely: `FLAGGED` of known pictures are."""
    known, _ = confidences(answers, temperature)
    return known.quantile(FLAGGED).item()


def confusions(answers: Answers, names: tuple[str, ...], count: int = 10) -> list[tuple[str, str, int]]:
    """The main head's most frequent mistakes: (true class, predicted class, images)."""
    predicted = answers.logits["main"].argmax(dim=1)
    pairs = Counter(zip(answers.labels.tolist(), predicted.tolist(), strict=True))
    wrong = Counter({pair: n for pair, n in pairs.items() if pair[0] != pair[1]})
    return [(names[true], names[found], n) for (true, found), n in wrong.most_common(count)]


@dataclass(frozen=True)
class HeadReport:
    """Shares in 0…1."""

    top1: float
    top5: float
    calibration_raw: float
    """expected calibration error at temperature 1"""
    calibration: float
    """expected calibration error at the temperature shipped"""


def report(answers: Answers, temperatures: dict[str, float]) -> dict[str, HeadReport]:
    """head → what was measured."""
    return {
        head: HeadReport(
            accuracy(logits, answers.labels, 1),
            accuracy(logits, answers.labels, 5),
            calibration_error(logits, answers.labels),
            calibration_error(logits, answers.labels, temperatures.get(head, 1.0)),
        )
        for head, logits in answers.logits.items()
    }


def table(reports: dict[str, HeadReport]) -> str:
    """The reports as a Markdown table, in per cent."""
    lines = ["| head | top-1 | top-5 | calibration error | before temperature |", "|---|---|---|---|---|"]
    for head, r in reports.items():
        lines.append(f"| {head} | {r.top1:.2%} | {r.top5:.2%} | {r.calibration:.2%} | {r.calibration_raw:.2%} |")
    return "\n".join(lines)
