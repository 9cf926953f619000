"""One training run from start to finish: where it begins, the loop, and the Hub-format folder that it leaves."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from googlenet.architecture import PAPER
from googlenet.checkpoints import load
from googlenet.checkpoints.folder import write_folder
from googlenet.config import Metrics, ModelConfig
from googlenet.errors import UserError
from googlenet.images import Preprocess
from googlenet.model import GoogLeNet
from googlenet.training.card import earlier_runs, write_card
from googlenet.training.data import MEAN, STD, Split, Teacher, hold_out, read_split
from googlenet.training.evaluate import answer, fit_temperature, report, table, unlikely_below
from googlenet.training.loop import Recipe, Run


def train(
    data: Path,
    out: Path,
    recipe: Recipe,
    *,
    init: Path | None,
    teacher: Path | None,
    input_size: int | None,
    resume: bool,
    device: torch.device,
) -> None:
    """Train on `data/train/<class>/*`, measure on `data/val` (without one, on held-out training images), write `out`.

    Raises UserError in one sentence for whatever a person can mend; the folder then holds a checkpoint at most.
    """
    training, held_out = hold_out(read_split(data, "train"))
    measured = read_split(data, "val") if (data / "val").is_dir() else held_out
    if measured.names != training.names:
        raise UserError(f"{data / 'val'} and {data / 'train'} do not hold the same classes.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder {out} cannot be made: {error.strerror}.") from None
    torch.manual_seed(recipe.seed)
    model, preprocess = begin(init, training.names)
    answers = None if teacher is None else Teacher.read(teacher, training)
    run = Run(model, training, preprocess, recipe, answers, device, out)
    if resume:
        run.resume()
    run.train()
    size = input_size or recipe.schedule[-1].size
    config = ModelConfig(
        model.architecture, training.names, replace(preprocess, resize=size, crop=size), temperatures=None, metrics=None
    )
    runs = [*earlier_runs(init), describe(recipe, run, init, teacher, device)]
    publish(model, config, out, data, held_out, measured, runs, distilled=teacher is not None, device=device)
    run.path.unlink()


def begin(init: Path | None, names: tuple[str, ...]) -> tuple[GoogLeNet, Preprocess]:
    """A new network, or the given weights; the linear layers are made anew where the labels differ, heads where they lack."""
    if init is None:
        return GoogLeNet(PAPER, len(names)), Preprocess(64, 64, MEAN, STD)
    loaded = load(str(init))
    if loaded.config.architecture.aux_heads and loaded.config.labels == names:
        return loaded.model, loaded.config.preprocess
    model = GoogLeNet(replace(loaded.config.architecture, aux_heads=True), len(names))
    fresh, kept = model.state_dict(), loaded.model.state_dict()
    if loaded.config.labels != names:
        kept = {key: value for key, value in kept.items() if not key.startswith(("fc.", "aux1.fc2.", "aux2.fc2."))}
    model.load_state_dict({**fresh, **kept}, strict=True)
    return model, loaded.config.preprocess


def publish(
    model: GoogLeNet,
    config: ModelConfig,
    out: Path,
    data: Path,
    held_out: Split,
    measured: Split,
    runs: list[str],
    *,
    distilled: bool,
    device: torch.device,
) -> None:
    """Write the folder with the accuracy of what is written: the half-precision weights, read back."""
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        write_folder(model, config, Path(scratch), card="")
        stored = load(scratch).model
    calibration = answer(stored, config.preprocess, held_out, device)
    temperatures = {head: fit_temperature(logits, calibration.labels) for head, logits in calibration.logits.items()}
    answers = answer(stored, config.preprocess, measured, device)
    reports = report(answers, temperatures)
    kind = "held-out training images" if measured is held_out else "validation images"
    metrics = Metrics(
        dataset=f"{data.name}, {len(measured.paths):,} {kind}",
        top1={head: round(r.top1, 4) for head, r in reports.items()},
        top5={head: round(r.top5, 4) for head, r in reports.items()},
        unlikely_below=unlikely_below(calibration, temperatures["main"]),
    )
    config = replace(config, temperatures=temperatures, metrics=metrics)
    name = f"GoogLeNet, {len(config.labels)} classes of {data.name}"
    write_folder(model, config, out, card=write_card(name, config, reports, answers, runs, distilled))
    print(table(reports))


def describe(recipe: Recipe, run: Run, init: Path | None, teacher: Path | None, device: torch.device) -> str:
    """The run as one line of the model card."""
    labels = f"label smoothing {recipe.label_smoothing:g}"
    if teacher is not None:
        labels = f"labels mixed with {recipe.teacher_weight:.0%} of a teacher's answers (`--teacher`)"
    start = "from scratch" if init is None else f"from the weights before (`--init {init.name}`)"
    schedule = ",".join(map(str, recipe.schedule))
    main, aux = recipe.dropout
    return (
        f"- {start}: `--schedule {schedule}`; batches of {recipe.batch_size}, SGD with Nesterov momentum 0.9, learning rate "
        f"{recipe.learning_rate:g} (rising over {recipe.warm_up:.0%}, then a cosine to 0), weight decay {recipe.weight_decay:g}, "
        f"{labels}, mixup or CutMix of {recipe.mixed:.0%} of the batches in the first half, "
        f"crops of at least {recipe.crops[0]:g} of the area, at the end {recipe.crops[1]:g}, "
        f"dropout {main:g} and {aux:g}, seed {recipe.seed}; {run.seconds / 60:.0f} minutes on {device.type}"
    )
