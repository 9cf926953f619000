"""Measures what the heads say: how often their statements are right, how much they tell, how often answers this sure are right.

`googlenet.explanation.statements` has the rule. `measured` chooses its threshold and counts the records for `config.json`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from googlenet.checkpoints.config import Metrics, ModelConfig, Records
from googlenet.explanation import classes_of
from googlenet.explanation.statements import BINS, Speaker, bin_of
from googlenet.training.evaluate import Answers

RIGHT = 0.9
"""The share of statements that shall be right."""
THRESHOLDS = np.arange(50, 100) / 100
"""Those that are tried, the lowest first: a lower one says more."""


@dataclass(frozen=True)
class Said:
    """What one head says of many pictures."""

    right: float
    """share of its statements that hold for the true class; not a number where nothing is said"""
    bits: float
    """mean of log2(classes / the group's classes) over all pictures; 0 where nothing is said"""
    silent: float
    """share of the pictures of which nothing is said"""
    single: float
    """share of the pictures of which a single class is said"""


def probabilities(answers: Answers, config: ModelConfig) -> dict[str, NDArray[np.float32]]:
    """head → (N, classes)."""
    temperatures = config.temperatures or {}
    return {head: (logits / temperatures.get(head, 1.0)).softmax(dim=1).numpy() for head, logits in answers.logits.items()}


def said(speaker: Speaker, p: NDArray[np.float32], labels: NDArray[np.int64]) -> Said:
    """Measure one head's statements. p: (N, classes); labels: (N,), the true classes."""
    groups = [classes_of(choice and choice[0]) for choice in speaker.choose(p)]
    hits = [label in group for group, label in zip(groups, labels.tolist(), strict=True) if group]
    bits = [math.log2(p.shape[1] / len(group)) if group else 0.0 for group in groups]
    single = [len(group) == 1 for group in groups]
    return Said(
        float(np.mean(hits)) if hits else math.nan, float(np.mean(bits)), 1 - len(hits) / len(groups), float(np.mean(single))
    )


def choose_threshold(answers: Answers, config: ModelConfig) -> float | None:
    """The lowest of `THRESHOLDS` at which a share of `RIGHT` of every head's statements is right; None where there is none."""
    if not Speaker(config.labels).groups:
        return None
    heads, labels = probabilities(answers, config), answers.labels.numpy()
    for threshold in THRESHOLDS.tolist():
        speaker = Speaker(config.labels, threshold)
        if all(said(speaker, p, labels).right >= RIGHT for p in heads.values()):
            return float(threshold)
    return None


def records(answers: Answers, config: ModelConfig) -> dict[str, Records]:
    """head → how many answers were right, in five bins of the top class's probability."""
    counts = {}
    for head, p in probabilities(answers, config).items():
        bins = np.array([bin_of(best) for best in p.max(axis=1).tolist()])
        hits = p.argmax(axis=1) == answers.labels.numpy()
        right, of = (np.bincount(some, minlength=len(BINS) + 1).tolist() for some in (bins[hits], bins))
        counts[head] = Records(tuple(right), tuple(of))
    return counts


def measured(metrics: Metrics, config: ModelConfig, fit: Answers, exam: Answers) -> Metrics:
    """Metrics with the threshold that is chosen on some pictures, and the records of others. `config`: with its temperatures."""
    return replace(metrics, statement_threshold=choose_threshold(fit, config), records=records(exam, config))


def statement_section(answers: Answers, config: ModelConfig) -> str:
    """The tables of the statements and the records, in Markdown."""
    speaker = Speaker(config.labels, config.metrics.statement_threshold if config.metrics else None)
    lines = ["## How far to believe an answer"]
    if speaker.groups:
        lines += [
            f"A head says the most specific class or group whose probability reaches {speaker.threshold:.2f}. Bits: log2 of "
            f"{len(config.labels):,} classes over the group's classes.\n",
            "| head | statements right | mean bits | a single class is said | nothing is said |\n|---|---|---|---|---|",
        ]
        for head, p in probabilities(answers, config).items():
            s = said(speaker, p, answers.labels.numpy())
            lines.append(f"| {head} | {s.right:.1%} | {s.bits:.2f} | {s.single:.1%} | {s.silent:.1%} |")
    edges = [f"{edge:.0%}" for edge in BINS]
    columns = [f"below {edges[0]}", *(f"{a}–{b}" for a, b in pairwise(edges)), f"from {edges[-1]}"]
    lines += [
        "\nAnswers that were right, of all with such a probability of the top class:\n",
        f"| head | {' | '.join(columns)} |\n|---|---|---|---|---|---|",
    ]
    for head, counts in records(answers, config).items():
        lines.append(f"| {head} | {' | '.join(f'{r} of {n}' for r, n in zip(counts.right, counts.of, strict=True))} |")
    return "\n".join(lines)
