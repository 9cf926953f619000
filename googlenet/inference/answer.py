"""Makes an Explanation of a pass's results for one picture: probabilities, places in the picture, channels by branch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from googlenet.checkpoints.config import ModelConfig
from googlenet.explanation import LAYER_CAM, Channel, Explanation, Provenance, Question
from googlenet.explanation.statements import Record, Speaker, bin_of
from googlenet.inference.engine import PictureResult
from googlenet.inference.gradcam import FOR, ChannelMaps
from googlenet.model.architecture import BRANCHES, HEADS, STAGES_BEFORE
from googlenet.model.network import GoogLeNet
from googlenet.pictures.frame import Box, peak_of


def explanation_of(
    result: PictureResult,
    size: tuple[int, int],
    question: Question,
    model: GoogLeNet,
    config: ModelConfig,
    provenance: Provenance,
    speaker: Speaker,
) -> Explanation:
    """The Explanation of one picture of (width, height) pixels; where the question names no class, of the head's top class."""
    result = result.copy()  # else one picture would keep its whole batch in memory
    if question.target is None:
        question = replace(question, target=int(result["target"]))
    temperatures = config.temperatures or {}
    probabilities = {head: softmax(result.get(head), temperatures.get(head, 1.0)) for head in HEADS}
    stages = STAGES_BEFORE[question.head]
    layer_cam = question.method == LAYER_CAM
    seen = config.preprocess.seen(size)
    threshold = config.metrics.unlikely_below if config.metrics else None
    return Explanation(
        size=size,
        seen=seen,
        question=question,
        labels=config.labels,
        probabilities=probabilities,
        branch_grids={stage: result[stage] for stage in stages},
        weights=provenance,
        unlikely=threshold is not None and float(probabilities["main"].max()) < threshold,  # type: ignore[union-attr]
        channels={stage: channels(stage, result, seen, model) for stage in stages} if question.channels else None,
        against_grids={stage: result[f"{stage} against"] for stage in stages} if layer_cam else None,
        statements=speaker.statements(probabilities),
        record={head: None if p is None else record(head, float(p.max()), config) for head, p in probabilities.items()},
    )


def record(head: str, probability: float, config: ModelConfig) -> Record | None:
    """How many answers with about this probability were right; None where it was not measured, or no answer had it."""
    if config.metrics is None or config.metrics.records is None:
        return None
    measured, number = config.metrics.records[head], bin_of(probability)
    return Record(measured.right[number], measured.of[number]) if measured.of[number] else None


def channels(stage: str, result: PictureResult, seen: Box, model: GoogLeNet) -> tuple[Channel, ...]:
    """The strongest channels of a stage: first those for the class, then those against it."""
    ends = np.cumsum(model.stage(stage).splits)
    strongest = []
    parts = (result[f"{stage} {name}"] for name in ChannelMaps._fields)
    for place, (index, share, grid) in enumerate(zip(*parts, strict=True)):
        if share > 0 if place < FOR else share < 0:
            branch = BRANCHES[int(np.searchsorted(ends, index, side="right"))]
            strongest.append(Channel(int(index), branch, float(share), grid, peak_of(np.abs(grid), seen)))
    return tuple(strongest)


def softmax(logits: NDArray[np.float32] | None, temperature: float) -> NDArray[np.float32] | None:
    """softmax(logits / temperature); None for a head that the weights lack."""
    if logits is None:
        return None
    powers = np.exp((logits - logits.max()) / np.float32(temperature))
    return powers / powers.sum()
