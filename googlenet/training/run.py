"""One training run: the initial weights, the loop, and the folder that it writes."""

from __future__ import annotations

import hashlib
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from googlenet.checkpoints import LoadedModel, load
from googlenet.checkpoints.config import Metrics, ModelConfig
from googlenet.checkpoints.folder import write_folder
from googlenet.model.architecture import PAPER
from googlenet.model.network import GoogLeNet
from googlenet.pictures.images import Preprocess
from googlenet.training.card import write_card
from googlenet.training.check import CHECKPOINT_FILE, RunInput, check
from googlenet.training.data import ClassName, has_part
from googlenet.training.evaluate import Answers, calibrate, never_named, predict, report, table, with_records
from googlenet.training.last_layers import fit_last_layers, has_prior, put_prior_into_loss, take_out_prior
from googlenet.training.loop import Run
from googlenet.training.pictures import Batches, Material, read_pixels
from googlenet.training.recipe import Options, Recipe

__all__ = ["train"]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's mean and standard deviation, for RGB in 0…1."""


def train(options: Options, recipe: Recipe, device: torch.device) -> None:
    """Learn from data sets, measure, and write `options.out` in this program's layout.

    Raises:
        UserError: something is wrong with the input; all mistakes are named before the first step. At most a checkpoint is then
            in the folder.

    Example:
        >>> options = Options((Path("flowers"),), Path("out"), init="weights")  # doctest: +SKIP
        >>> train(options, Recipe((Phase(112, 3),)), torch.device("cpu"))  # doctest: +SKIP
    """
    run_input = check(options, recipe, device)
    print(run_input.exam, flush=True)
    torch.manual_seed(recipe.seed)
    model, preprocess, new_layers = begin(run_input.start, run_input.classes)
    material = _read_material(run_input, options, recipe, device)
    path = options.out / CHECKPOINT_FILE
    run = Run(model, material, preprocess, recipe, run_input.teacher, device, path, _identity(run_input))
    if recipe.prior_in_loss and run_input.teacher is not None:
        put_prior_into_loss(run, run_input.teacher)
    if options.resume:
        run.resume()
    elif run_input.start is not None and new_layers:  # features that have learnt nothing yet are no use to a regression
        fit_last_layers(run)
    run.train()
    if has_prior(run):
        take_out_prior(run)
    size = options.input_size or recipe.schedule[-1].size
    labels = tuple(row.name for row in run_input.classes)
    config = ModelConfig(model.architecture, labels, brought_to(preprocess, size), temperatures=None, metrics=None)
    answers = _publish(run, config, run_input, options)
    path.unlink()
    print("\n".join(never_named(answers, labels)))
    print(f"{options.out} holds the weights. Next:")
    split = [] if has_part(run_input.exam.data, "val") else ["--split", f"{options.split:g}"]
    print("  " + shlex.join(["googlenet", "evaluate", str(options.out), str(run_input.exam.data), *split]))
    print("  " + shlex.join(["googlenet", "serve", "--weights", str(options.out)]))


def begin(start: LoadedModel | None, classes: Sequence[ClassName]) -> tuple[GoogLeNet, Preprocess, bool]:
    """A new network, or the given weights, its preprocessing, and whether its last layers are new: where the labels differ."""
    names = tuple(row.name for row in classes)
    if start is None:
        return GoogLeNet(PAPER, len(names)), Preprocess(64, 64, MEAN, STD), True  # `brought_to` gives it its size
    same = start.config.labels == names
    model = GoogLeNet(replace(start.config.architecture, aux_heads=True), len(names))
    fresh, kept = model.state_dict(), start.model.state_dict()
    if not same:
        kept = {key: value for key, value in kept.items() if not key.startswith(("fc.", "aux1.fc2.", "aux2.fc2."))}
    model.load_state_dict({**fresh, **kept}, strict=True)
    return model, start.config.preprocess, not same


def brought_to(preprocess: Preprocess, size: int) -> Preprocess:
    """The same preprocessing with a crop of `size` pixels, which keeps the same share of a picture."""
    sides = preprocess.resize if isinstance(preprocess.resize, tuple) else (preprocess.resize,) * 2
    height, width = (round(side * size / preprocess.crop) for side in sides)
    return replace(preprocess, resize=(height, width) if isinstance(preprocess.resize, tuple) else height, crop=size)


def _read_material(run_input: RunInput, options: Options, recipe: Recipe, device: torch.device) -> Material:
    """Decode the data sets, with each set's number of pictures in a batch."""
    data_sets = []
    for number, (split, side) in enumerate(zip(run_input.splits, run_input.sides, strict=True)):
        decoded = read_pixels(split, side, device, options.workers, options.skip_broken, options.out)
        data_sets.append(Batches(*decoded, run_input.per_batch[number], (recipe.seed, number), recipe.balance > 0))
    return Material(data_sets, len(run_input.classes), device)


def _identity(run_input: RunInput) -> dict[str, str]:
    """What must be the same in a checkpoint and in the run that resumes from it, besides the settings."""

    data = repr(
        ([[(each.picture.name, each.label) for each in split.examples] for split in run_input.splits], run_input.per_batch)
    )
    return {
        "data": hashlib.sha256(data.encode()).hexdigest(),
        "classes": repr([tuple(row) for row in run_input.classes]),
        "start": run_input.start.provenance.sha256 if run_input.start else "from scratch",
        "teacher": run_input.teacher.name if run_input.teacher else "none",
    }


def _publish(run: Run, config: ModelConfig, run_input: RunInput, options: Options) -> Answers:
    """Measure the weights as they are written, in half precision, and write the folder."""
    exam, device = run_input.exam, run.device
    with tempfile.TemporaryDirectory(dir=options.out) as scratch:
        write_folder(run.model, config, Path(scratch), card="")
        stored = load(scratch).model
    answers = fitted = predict(stored, config.preprocess, exam.fit, device, options.workers)
    temperatures, threshold = calibrate(fitted)
    if exam.measure is not exam.fit:
        answers = predict(stored, config.preprocess, exam.measure, device, options.workers)
    config = replace(config, temperatures=temperatures)
    reports = report(answers, config)
    top1, top5 = ({head: round(shares[k], 4) for head, shares in reports.items()} for k in ("top-1", "top-5"))
    config = replace(config, metrics=Metrics(exam.title, top1, top5, threshold))
    config = with_records(config, fitted, answers)
    write_folder(run.model, config, options.out, write_card(config, answers, run, run_input, options))
    print(table(reports))
    return answers
