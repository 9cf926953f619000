"""The model card: what the weights are, how they were made, how they measure."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from googlenet.checkpoints.checkpoint import CARD_FILE
from googlenet.config import ModelConfig
from googlenet.training.evaluate import FLAGGED, Answers, HeadReport, confidences, confusions, table

RUNS = "## Training runs"


def earlier_runs(folder: Path | None) -> list[str]:
    """The lines under `RUNS` in the card of the weights that a run began from."""
    if folder is None or not (folder / CARD_FILE).is_file():
        return []
    _, _, after = (folder / CARD_FILE).read_text(encoding="utf-8").partition(RUNS)
    return [line for line in after.partition("\n## ")[0].splitlines() if line.startswith("- ")]


def write_card(
    name: str, config: ModelConfig, reports: dict[str, HeadReport], answers: Answers, runs: list[str], distilled: bool
) -> str:
    """The card with its YAML header. `answers` are the measured ones; `runs` one line for each training run, oldest first."""
    assert config.metrics is not None
    data = ModelCardData(
        model_name=name,
        license="apache-2.0",
        library_name="pytorch",
        pipeline_tag="image-classification",
        tags=["googlenet", "inception", "grad-cam", "pytorch_model_hub_mixin"],
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
        f"GoogLeNet (Szegedy et al., *Going Deeper with Convolutions*, 2014) with BatchNorm and both auxiliary heads, "
        f"{len(config.labels)} classes, for pictures brought to {size}×{size} pixels. For use with the program *Inside "
        f"GoogLeNet*: `Explainer.from_pretrained(…)`.",
        f"## Accuracy\nMeasured on {config.metrics.dataset}, as `python -m googlenet evaluate FOLDER DATA` prints it from this "
        f"folder.",
        table(reports),
    ]
    if distilled:
        sections.append(DISTILLED)
    sections += [calibration_section(config, answers), confusion_section(config, answers), LIMITS]
    sections.append(RUNS + "\n" + "\n".join(runs))
    return "\n\n".join(sections) + "\n"


DISTILLED = (
    "**Caution:** the training labels were mixed with a teacher's answers (see the runs below), so these accuracies do not "
    "compare with those of networks that learnt from these images alone."
)

LIMITS = (
    "## What these weights are not fit for\nThey know the classes listed in `config.json` and nothing else: a picture of "
    "anything else gets a wrong name with some confidence. They learnt from web photographs with the biases of their "
    "collection; use them to study networks, not to decide anything about people or safety."
)


def calibration_section(config: ModelConfig, answers: Answers) -> str:
    assert config.metrics is not None
    lines = ["## Calibration and unknown things"]
    if config.temperatures:
        values = ", ".join(f"{head} {t:.3f}" for head, t in config.temperatures.items())
        lines.append(f"Temperatures, fitted on training images held out for it: {values}.")
    threshold = config.metrics.unlikely_below
    if threshold is not None:
        known, unknown = confidences(answers, (config.temperatures or {}).get("main", 1.0))
        wrong = (unknown >= 0.5).double().mean()
        lines.append(
            f"Pictures with their true class's logit removed stand for unknown things: {wrong:.1%} of them still get a wrong "
            f"name with 50 % or more. Below a best probability of {threshold:.3f} the page says that none of the classes looks "
            f"likely: chosen so that {FLAGGED:.0%} of the held-out pictures of known classes fall below; of the measured "
            f"pictures {(known < threshold).double().mean():.1%} of the known and "
            f"{(unknown < threshold).double().mean():.1%} of the "
            f"unknown do."
        )
    return "\n".join(lines)


def confusion_section(config: ModelConfig, answers: Answers) -> str:
    rows = "\n".join(f"| {true} | {found} | {count} |" for true, found, count in confusions(answers, config.labels))
    return f"## Most confused pairs (main head)\n| true class | taken for | images |\n|---|---|---|\n{rows}"
