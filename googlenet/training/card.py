"""The model card: what the weights are, how they measure, how they were made."""

from __future__ import annotations

import os
import shlex
from typing import NamedTuple

import torch
from huggingface_hub import EvalResult, ModelCardData

from googlenet.config import ModelConfig
from googlenet.training.check import Checked, Options
from googlenet.training.evaluate import FLAGGED, SURE, Answers, HeadReport, confidences, confusions, table
from googlenet.training.loop import Run


class Made(NamedTuple):
    """How the weights were made, as the card tells it."""

    data: str
    """the name of the data set that gave the classes"""
    command: str
    """repeats the run, with names in place of this machine's paths"""
    story: str
    """one paragraph"""
    distilled: bool

    @classmethod
    def of(cls, run: Run, checked: Checked, options: Options) -> Made:
        recipe = run.recipe
        words = ["googlenet", "train", *(path.name for path in options.data), "--out", "FOLDER"]
        if checked.start is not None:
            words += ["--init", os.path.basename(checked.start.provenance.source.rstrip("/"))]
        if options.teacher:
            words += ["--teacher", options.teacher]
        if options.shares:
            words += ["--shares", ",".join(f"{share:g}" for share in options.shares)]
        words += ["--schedule", ",".join(map(str, recipe.schedule))]
        if recipe.minutes:
            words += ["--minutes", f"{recipe.minutes:g}"]
        words += ["--batch-size", str(recipe.batch_size), "--learning-rate", f"{recipe.learning_rate:g}"]
        words += ["--weight-decay", f"{recipe.weight_decay:g}"]
        if options.input_size:
            words += ["--input-size", str(options.input_size)]
        words += ["--seed", str(recipe.seed)]
        seen = run.step * recipe.batch_size
        sets = " and ".join(
            f"{len(split.pictures):,} pictures of {path.name}{'' if split.labelled else ' (no labels)'}"
            for split, path in zip(checked.splits, options.data, strict=True)
        )
        start = "from scratch" if checked.start is None else f"from weights with SHA-256 {checked.start.provenance.sha256}"
        if checked.teacher is not None:
            goal = (
                f"Each view's target was the answer of a teacher, `{options.teacher}` ({checked.teacher.classes:,} classes), at "
                f"temperature {recipe.teacher_temperature:g}; the true class's logit was raised by {recipe.label_boost:g} where "
                "it was known."
            )
        else:
            goal = f"The targets were the labels, smoothed by {recipe.label_smoothing:g}."
        device = torch.cuda.get_device_name() if run.device.type == "cuda" else f"{torch.get_num_threads()} CPU threads"
        story = (
            f"The run began {start} and learnt from {sets}: {seen:,} views in {run.step:,} steps and {run.seconds / 60:.0f} "
            f"minutes on {device}. {goal} SGD with Nesterov momentum 0.9; the learning rate rose over {recipe.warm_up:.0%} of "
            f"the run, then fell to 0 by a cosine. Random crops of at least {recipe.crops[0]:g} of the area, at the end "
            f"{recipe.crops[1]:g}; flips and light; mixup or CutMix of {recipe.mixed:.0%} of the batches in the first half; "
            f"dropout {recipe.dropout[0]:g} (main head) and {recipe.dropout[1]:g}."
        )
        return cls(options.data[0].name, shlex.join(words), story, options.teacher is not None)


def write_card(config: ModelConfig, reports: dict[str, HeadReport], answers: Answers, made: Made) -> str:
    """The card with its YAML header.

    Args:
        config: as it is written beside the weights, with metrics.
        reports: head → what was measured.
        answers: what the reports were made from.
        made: how the weights were made.
    """
    assert config.metrics is not None
    name = f"GoogLeNet, {len(config.labels):,} classes of {made.data}"
    data = ModelCardData(
        model_name=name,
        license="apache-2.0",
        library_name="pytorch",
        pipeline_tag="image-classification",
        tags=["googlenet", "inception", "grad-cam"],
        metrics=["accuracy"],
        eval_results=[
            EvalResult(
                "image-classification", config.metrics.dataset, config.metrics.dataset, "accuracy", r.top1, metric_name=head
            )
            for head, r in reports.items()
        ],
    )
    size = config.preprocess.crop
    sections = [
        f"---\n{data.to_yaml()}\n---",
        f"# {name}",
        f"GoogLeNet (Szegedy et al., *Going Deeper with Convolutions*, 2014) with {len(reports)} trained heads and "
        f"{len(config.labels):,} classes, for pictures brought to {size}×{size} pixels. For use with the program *Inside "
        f"GoogLeNet*: `Explainer.from_pretrained(…)`.",
        f"## Accuracy\nMeasured on {config.metrics.dataset}, as `googlenet evaluate FOLDER DATA` prints it.",
        table(reports, answers),
        calibration_section(config, answers),
        confusion_section(config, answers),
        LIMITS,
        f"## Training\n{made.story}\n\n```\n{made.command}\n```",
    ]
    if made.distilled:
        sections.append(DISTILLED)
    return "\n\n".join(sections) + "\n"


DISTILLED = (
    "The network learnt from a teacher's answers. If the teacher was trained on other pictures than these, the accuracies do not "
    "compare with those of networks that learnt from these pictures alone."
)

LIMITS = (
    "## What these weights are not fit for\nThey know the classes listed in `config.json` and nothing else: a picture of "
    "anything else gets a wrong name with some confidence. They learnt from web photographs with the biases of their "
    "collection; use them to study networks, not to decide anything about people or safety."
)


def calibration_section(config: ModelConfig, answers: Answers) -> str:
    """Temperatures, and how the weights meet things that they do not know."""
    assert config.metrics is not None
    lines = ["## Calibration and unknown things"]
    if config.temperatures:
        values = ", ".join(f"{head} {t:.3f}" for head, t in config.temperatures.items())
        lines.append(f"Temperatures, fitted on other pictures than the measured ones: {values}.")
    threshold = config.metrics.unlikely_below
    if threshold is not None:
        known, unknown = confidences(answers, (config.temperatures or {}).get("main", 1.0))
        wrong, low, low_unknown = ((unknown >= SURE), (known < threshold), (unknown < threshold))
        lines.append(
            f"Pictures with their true class's logit removed stand for unknown things: {wrong.double().mean():.1%} of them still "
            f"get a wrong name with {SURE:.0%} or more. Below a best probability of {threshold:.3f} the page says that none of "
            f"the classes looks likely: chosen so that {FLAGGED:.0%} of pictures of known classes fall below; of the measured "
            f"pictures {low.double().mean():.1%} of the known and {low_unknown.double().mean():.1%} of the unknown do."
        )
    return "\n".join(lines)


def confusion_section(config: ModelConfig, answers: Answers) -> str:
    """The pairs of classes that the main head confuses most."""
    rows = "\n".join(f"| {true} | {found} | {count} |" for true, found, count in confusions(answers, config.labels))
    return f"## Most confused pairs (main head)\n| true class | taken for | pictures |\n|---|---|---|\n{rows}"
