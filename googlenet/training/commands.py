"""The command line of `googlenet train` and `googlenet evaluate`."""

from __future__ import annotations

import argparse
import os
from dataclasses import fields
from pathlib import Path

from googlenet.training.recipe import SCRATCH, SPLIT, Options, Recipe, parse_schedule

__all__ = ["add_arguments"]


def add_arguments(train: argparse.ArgumentParser, evaluate: argparse.ArgumentParser) -> None:
    """Add the arguments of both commands, and the functions that run them."""
    add = train.add_argument
    add("data", nargs="+", type=Path, metavar="DATA", help="folder with <class>/, or train/<class>/ and val/<class>/")
    add("--out", type=Path, required=True, metavar="FOLDER", help="where the weights are written")
    add(
        "--init",
        default="weights",
        metavar="SOURCE",
        help=f"weights to start from; the last layers are new for new labels; {SCRATCH}: none; default: the built-in weights",
    )
    add("--teacher", metavar="MODULE:FUNCTION", help="a network to learn from, without labels too")
    add("--shares", type=_numbers, metavar="A,B,…", help="of each DATA in a batch; default: by number of pictures")
    add(
        "--schedule",
        default=",".join(map(str, Recipe.schedule)),
        metavar="SIZE:EPOCHS[:STAGE],…",
        help="input sizes and their epochs; layers up to STAGE (3a … 5b) stay frozen; default: %(default)s",
    )
    add("--minutes", type=float, metavar="N", help="how long to learn; the schedule's epochs are then shares of this time")
    add("--input-size", type=int, metavar="PIXELS", help="the trained network's input; default: the schedule's last size")
    for name, default, metavar, what in (
        ("batch-size", Recipe.batch_size, "N", "pictures in a step"),
        ("learning-rate", Recipe.learning_rate, "X", "the highest of the run"),
        ("weight-decay", Recipe.weight_decay, "X", "of all but biases and BatchNorm"),
        ("seed", Recipe.seed, "N", "of all random numbers"),
        ("split", SPLIT, "SHARE", "of each class, held out where there is no val/"),
    ):
        add(f"--{name}", type=type(default), default=default, metavar=metavar, help=f"{what}; default: %(default)s")
    add(
        "--no-balance",
        dest="balance",
        action="store_const",
        const=0.0,
        default=Recipe.balance,
        help="draw classes as often as they have pictures, and leave their frequencies in the heads",
    )
    add("--resume", action="store_true", help="go on from FOLDER's checkpoint")
    add("--overwrite", action="store_true", help="replace the weights or the checkpoint in FOLDER")
    train.set_defaults(run=_run_train)

    add = evaluate.add_argument
    add("weights", metavar="WEIGHTS", help="a folder or any other SOURCE")
    add("data", type=Path, metavar="DATA", help="folder with val/<class>/ or <class>/, or .npz; any of the weights' classes")
    add(
        "--split",
        type=_share,
        metavar="SHARE",
        help=f"of each class, that `train --split` holds out without val/; 1: all; default: {SPLIT} of a folder, all of an .npz",
    )
    add("--predictions", type=Path, metavar="FILE.csv", help="also write each picture's five best classes")
    add("--wrong", type=Path, metavar="FOLDER", help="also draw the pictures that are named wrong, surest first")
    add(
        "--rows",
        default="all",
        choices=("all", "even", "odd"),
        help="which pictures: even to choose temperatures and a threshold, odd to report; default: all",
    )
    add("--maps", action="store_true", help="measure the maps instead, on pictures whose object has a box")
    add("--sample", type=_count, default=1200, metavar="N", help="pictures for --maps; default: %(default)s")
    add(
        "--write",
        action="store_true",
        help="write into WEIGHTS' config.json: the statements' threshold, chosen on even rows, and the record of the odd rows; "
        "with --maps, how well the maps find objects",
    )
    evaluate.set_defaults(run=_run_evaluate)

    for command in (train, evaluate):
        command.add_argument(
            "--workers",
            type=_count,
            default=os.cpu_count() or 1,
            metavar="N",
            help="threads that decode, 0 for none; default: one a core",
        )
        command.add_argument("--skip-broken", action="store_true", help="leave out pictures that cannot be read")


def _count(text: str) -> int:
    """Parse a whole number from 0 on."""
    if not (text.isascii() and text.isdecimal() and len(text) < 6):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def _share(text: str) -> float:
    """Parse a number above 0, up to 1."""
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0 and up to 1")
    return value


def _numbers(text: str) -> tuple[float, ...]:
    """Parse numbers that are separated by commas."""
    return tuple(float(part) for part in text.split(","))


def _run_train(options: argparse.Namespace) -> int:
    from googlenet.inference.device import pick_device
    from googlenet.training.run import train

    options.data, options.schedule = tuple(options.data), parse_schedule(options.schedule)
    options.init = None if options.init == SCRATCH else options.init
    given = vars(options)
    recipe = Recipe(**{field.name: given[field.name] for field in fields(Recipe) if field.name in given})
    train(Options(**{field.name: given[field.name] for field in fields(Options)}), recipe, pick_device(options.device))
    return 0


def _run_evaluate(options: argparse.Namespace) -> int:
    from googlenet.training.evaluate import evaluate

    evaluate(options)
    return 0
