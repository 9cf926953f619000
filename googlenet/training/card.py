"""The model card: what the weights are, how accurate they are, and how they were made."""

from __future__ import annotations

import shlex
from pathlib import Path

import torch
from huggingface_hub import EvalResult, ModelCardData

from googlenet.checkpoints.config import ModelConfig
from googlenet.training.check import RunInput
from googlenet.training.data import has_part, imagenet
from googlenet.training.evaluate import Answers, calibration_section, never_named, report, statement_section, table
from googlenet.training.last_layers import has_prior
from googlenet.training.loop import Run
from googlenet.training.recipe import SCRATCH, Options, Recipe

__all__ = ["write_card"]


def _name_of(path: str | Path) -> str:
    """The last part of a path: readers of a card do not have this machine's folders."""
    return Path(path).resolve().name


def _command_of(options: Options, recipe: Recipe) -> str:
    """The command that repeats a run."""
    init = options.init or SCRATCH
    values = {
        "--init": _name_of(init) if Path(init).exists() else init,
        "--teacher": options.teacher,
        "--shares": options.shares and ",".join(f"{share:g}" for share in options.shares),
        "--split": None if any(has_part(data, "val") for data in options.data) else f"{options.split:g}",
        "--schedule": ",".join(map(str, recipe.schedule)),
        "--minutes": recipe.minutes and f"{recipe.minutes:g}",
        "--batch-size": recipe.batch_size,
        "--learning-rate": f"{recipe.learning_rate:g}",
        "--weight-decay": f"{recipe.weight_decay:g}",
        "--seed": recipe.seed,
        "--input-size": options.input_size,
    }
    words: list[object] = ["googlenet", "train", *map(_name_of, options.data), "--out", "FOLDER"]
    words += [word for name, value in values.items() if value is not None for word in (name, value)]
    words += ["--no-balance"] * (not recipe.balance) + ["--skip-broken"] * options.skip_broken
    return shlex.join(map(str, words))


def _story_of(run: Run, run_input: RunInput, options: Options) -> str:
    """How a run went, in one paragraph."""
    recipe = run.recipe
    start = "from scratch" if run_input.start is None else f"from weights with SHA-256 {run_input.start.provenance.sha256}"
    sets = " and ".join(
        f"{data_set.count:,} pictures of {_name_of(path)}{'' if split.labelled else ' (no labels)'}"
        for data_set, split, path in zip(run.material.data_sets, run_input.splits, options.data, strict=True)
    )
    device = torch.cuda.get_device_name() if run.device.type == "cuda" else f"{torch.get_num_threads()} CPU threads"
    if run_input.teacher is not None:
        goal = (
            f"Each view's target was the answer of a teacher, `{options.teacher}` ({run_input.teacher.classes:,} classes), at "
            f"temperature {recipe.teacher_temperature:g}; the true class's logit was raised by {recipe.label_boost:g} where it "
            "was known. Where the teacher learnt from other pictures, the accuracies do not compare with those of networks that "
            "learnt from these alone."
        )
    else:
        goal = f"The targets were the labels, smoothed by {recipe.label_smoothing:g}."
    if any(data_set.drawn_labels is not None for data_set in run.material.data_sets):
        goal += " Labelled classes were drawn equally often."
    if run.log_prior is not None:
        goal += " The logarithm of the teacher's mean probabilities was added to the logits in the loss alone."
    if has_prior(run):
        goal += f" At the end the classes' frequencies were taken out of the last layers' biases (τ = {recipe.balance:g})."
    return (
        f"The run began {start} and learnt from {sets}: {run.step * recipe.batch_size:,} views in {run.step:,} steps and "
        f"{run.seconds / 60:.1f} minutes on {device}. {goal} SGD with Nesterov momentum 0.9 and random crops, flips, light and "
        f"mixtures of pictures (`googlenet/training/pictures.py`)."
    )


def write_card(config: ModelConfig, answers: Answers, run: Run, run_input: RunInput, options: Options) -> str:
    """The card with its YAML header. `config`: with metrics."""
    assert config.metrics is not None
    own = f"{len(run_input.classes):,} classes of {_name_of(options.data[0])}"
    title = "ImageNet's 1,000 classes" if run_input.classes == imagenet() else own
    dataset, reports = config.metrics.dataset, report(answers, config)
    data = ModelCardData(
        model_name=f"GoogLeNet, {title}",
        library_name="pytorch",
        pipeline_tag="image-classification",
        tags=["googlenet", "inception", "grad-cam"],
        metrics=["accuracy"],
        eval_results=[
            EvalResult("image-classification", dataset, dataset, "accuracy", shares["top-1"], metric_name=head)
            for head, shares in reports.items()
        ],
    )
    sections = [
        f"---\n{data.to_yaml()}\n---",
        f"# {data.model_name}",
        f"GoogLeNet (Szegedy et al., *Going Deeper with Convolutions*, 2014) with {len(reports)} trained heads and "
        f"{len(config.labels):,} classes, for pictures brought to {config.preprocess.crop} pixels a side. Made for *Inside "
        f"GoogLeNet*: `Explainer.from_pretrained(…)`.",
        f"## Accuracy\nMeasured on {dataset}.",
        table(reports),
        *never_named(answers, config.labels),
        calibration_section(config, answers),
        statement_section(answers, config),
        _LIMITS,
        f"## Training\n{_story_of(run, run_input, options)}\n\n```\n{_command_of(options, run.recipe)}\n```",
    ]
    return "\n\n".join(sections) + "\n"


_LIMITS = (
    "## Limits\nThe weights know the classes in `config.json` and nothing else: a picture of anything else gets a wrong name "
    "with some confidence. They have the biases of the pictures that they learnt from. Use them to study networks, not to decide "
    "anything about people or safety."
)
