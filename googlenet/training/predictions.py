"""What the main head says of each picture: a table of all pictures, and a sheet of those that it names wrong."""

from __future__ import annotations

import csv
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageOps

from googlenet.checkpoints.config import ModelConfig
from googlenet.errors import UserError, reason
from googlenet.explanation import Question
from googlenet.explanation.render import INK, PAPER, SOFT, font, overlay
from googlenet.inference.explainer import Explainer
from googlenet.model.architecture import STAGES
from googlenet.training.data import Split
from googlenet.training.evaluate import Answers
from googlenet.training.pictures import opened
from googlenet.training.statements import probabilities

SHEET = "wrong.png"
SHOWN = 48
"""The most pictures on the sheet of wrong ones."""
CELL, GAP, TEXT, COLUMNS = 150, 10, 44, 2


def write_predictions(file: Path, split: Split, answers: Answers, config: ModelConfig) -> None:
    """Write a CSV table with a row for each picture: its file, its class, the five most probable classes and their probabilities.

    Args:
        file: to write, in UTF-8.
        split: the pictures, labels as indices of the weights' classes.
        answers: to these pictures.
        config: of the weights.

    Raises:
        UserError: the file cannot be written.
    """
    p, classes = torch.from_numpy(probabilities(answers, config)["main"]).topk(min(5, len(config.labels)), dim=1)
    try:
        with file.open("w", encoding="utf-8", errors="surrogateescape", newline="") as out:
            table = csv.writer(out)
            table.writerow(["file", "class", *(f"{what}{k + 1}" for k in range(p.shape[1]) for what in ("top", "probability"))])
            for picture, label, its_p, its_classes in zip(
                split.pictures, split.labels, p.tolist(), classes.tolist(), strict=True
            ):
                told = [each for c, q in zip(its_classes, its_p, strict=True) for each in (config.labels[c], f"{q:.6f}")]
                table.writerow([picture, config.labels[label], *told])
    except OSError as error:
        raise UserError("{path} cannot be written: {error}.", path=file, error=reason(error)) from None


def surest_mistakes(answers: Answers, config: ModelConfig) -> list[tuple[int, int, float, float]]:
    """The pictures that are named wrong, surest first: (row, class it is taken for, its probability, the true class's)."""
    p = torch.from_numpy(probabilities(answers, config)["main"])
    best, taken_for = p.max(dim=1)
    own = p.gather(1, answers.labels[:, None])[:, 0]
    wrong = (taken_for != answers.labels).nonzero()[:, 0]
    order = wrong[best[wrong].argsort(descending=True, stable=True)]
    return list(zip(*(each[order].tolist() for each in (torch.arange(len(p)), taken_for, best, own)), strict=True))


def write_wrong(folder: Path, split: Split, answers: Answers, explainer: Explainer) -> None:
    """Draw `wrong.png`: the pictures that are named wrong, surest first, each with the last stage's maps of the class that it is
    taken for and of its own class.

    Raises:
        UserError: the file cannot be written.
    """
    mistakes, labels = surest_mistakes(answers, explainer.config), explainer.labels
    shown = mistakes[:SHOWN]
    across, down = 3 * (CELL + GAP) + 2 * GAP, CELL + TEXT + GAP
    sheet = Image.new("RGB", (2 * GAP + COLUMNS * across, 50 + -(-len(shown) // COLUMNS) * down), PAPER)
    draw = ImageDraw.Draw(sheet)
    title = f"{len(mistakes):,} of {len(answers.labels):,} pictures are named wrong; the surest {len(shown):,}"
    draw.text((2 * GAP, 14), f"{title}. Maps of stage {STAGES[-1]}: the named class, the true class.", SOFT, font(14))
    for place, (row, named, p, own) in enumerate(shown):
        left, top = 2 * GAP + place % COLUMNS * across, 50 + place // COLUMNS * down
        picture = opened(split.pictures[row])
        questions = [Question("main", target) for target in (named, split.labels[row])]
        maps = [overlay(picture, each, STAGES[-1], CELL) for each in explainer.explain_batch([picture] * 2, questions)]
        true = labels[split.labels[row]]
        draw.text((left, top), f"{labels[named][:24]} {p:.0%}, not {true[:24]} {own:.0%}", INK, font(14))
        draw.text((left, top + 20), split.pictures[row].name[-64:], SOFT, font(11))
        for column, image in enumerate((ImageOps.contain(picture, (CELL, CELL)), *maps)):
            sheet.paste(image, (left + column * (CELL + GAP), top + TEXT - 6))
    try:
        sheet.save(folder / SHEET)
    except OSError as error:
        raise UserError("{path} cannot be written: {error}.", path=folder / SHEET, error=reason(error)) from None
