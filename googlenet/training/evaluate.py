"""Measures a set of weights on labelled pictures: accuracy, calibration, statements, confused classes, mistakes."""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor
from tqdm import tqdm

from googlenet.batch.files import make_folder
from googlenet.checkpoints import load
from googlenet.checkpoints.checkpoint import CONFIG_FILE
from googlenet.checkpoints.config import ModelConfig, Records, dump_config, parse_config
from googlenet.checkpoints.folder import labels_of, replace_files
from googlenet.concurrency.threads import batched
from googlenet.errors import UserError, reason
from googlenet.explanation import Question, classes_of
from googlenet.explanation.render import INK, PAPER, SOFT, contained, font, overlay
from googlenet.explanation.statements import BINS, Speaker, bin_of
from googlenet.inference.device import pick_device
from googlenet.inference.explainer import Explainer
from googlenet.model.architecture import HEADS, STAGES
from googlenet.model.network import GoogLeNet
from googlenet.pictures.images import Preprocess
from googlenet.training.data import NAMED, ROWS, Rows, Split, check_outside, has_part, read_split, weights_classes
from googlenet.training.pictures import check_pictures, in_threads, opened
from googlenet.training.recipe import SPLIT

__all__ = [
    "Answers",
    "calibrate",
    "calibration_section",
    "evaluate",
    "markdown",
    "never_named",
    "predict",
    "prepare",
    "report",
    "statement_section",
    "table",
    "with_records",
]

_UNNAMED = labels_of(1)[0]
"""What the first class of weights without names is called."""
_BATCH = 64
_MOST_CLASSES = 100
"""Rows of the table of classes."""
_RIGHT = 0.9
"""The share of statements that shall be right."""
_THRESHOLDS = [percent / 100 for percent in range(50, 100)]
"""Those that are tried for statements, the lowest first: a lower one says more."""
_SHEET = "wrong.png"
_SHOWN = 48
"""The most pictures on the sheet of wrong ones."""
_CELL, _GAP, _TEXT, _COLUMNS = 150, 10, 44, 2

_FLAGGED = 0.1
"""Share of pictures of known classes for which the page may say that no class looks likely."""
ENOUGH = 100
"""The fewest pictures from which a temperature or a threshold is computed."""
TEMPERATURES = (1.0, 20.0)
"""The range that is searched for temperatures; `config.json` may state 0.01 to 100. None is below 1: it would make answers surer,
wrong ones, too, and a network that is often wrong should rather look too unsure."""
_FOLDS = 10
"""Parts of the cross-validation."""
_CLEAR = 1.96
"""How many standard errors above 0 a temperature's mean gain on held-out pictures must be: its 95 % interval is above 0."""
_SURE = 0.5
"""A wrong class with at least this probability counts as confidently wrong."""


class Answers(NamedTuple):
    """Every picture's logits by head, and the true labels."""

    logits: dict[str, Tensor]
    """head → (N, classes) float32, for the heads that the model has"""
    labels: Tensor
    """(N,) int64"""

    def rows(self, rows: Rows) -> Answers:
        """Those of every second picture."""
        return Answers({head: logits[ROWS[rows]] for head, logits in self.logits.items()}, self.labels[ROWS[rows]])

    def probabilities(self, config: ModelConfig) -> dict[str, Tensor]:
        """head → (N, classes), at the weights' temperatures."""
        temperatures = config.temperatures or {}
        return {head: (logits / temperatures.get(head, 1.0)).softmax(dim=1) for head, logits in self.logits.items()}


def prepare(split: Split, config: ModelConfig, rows: Rows = "all", *, workers: int, skip_broken: bool) -> Split:
    """Check the headers of all pictures, or of every second one, and make their labels the weights' indices.

    Raises UserError where the weights lack some of the classes, and where a file is no picture that may not be left out.
    """
    split = split.relabelled(weights_classes(config.labels)).subset(range(len(split.examples))[ROWS[rows]])
    return check_pictures(split, workers, skip_broken)[0]


@torch.no_grad()
def predict(model: GoogLeNet, preprocess: Preprocess, split: Split, device: torch.device, workers: int) -> Answers:
    """Run every picture through the network in float32, and keep all logits. The split's labels are the model's indices."""
    network = model.for_inference().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    inputs = in_threads(lambda picture: preprocess(opened(picture)), split.pictures, workers)
    logits: dict[str, list[Tensor]] = defaultdict(list)
    for batch in batched(tqdm(inputs, "evaluate", len(split.examples), unit="img", mininterval=2), _BATCH):
        heads = network.heads(torch.cat(batch).to(device, memory_format=torch.channels_last))
        for head, its_logits in zip(HEADS, heads, strict=True):
            if its_logits is not None:
                logits[head].append(its_logits.cpu())
    return Answers({head: torch.cat(batches) for head, batches in logits.items()}, torch.tensor(split.labels))


def markdown(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table."""
    lines = [f"| {' | '.join(map(str, row))} |" for row in (columns, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(columns), *lines[1:]])


def _accuracy(logits: Tensor, labels: Tensor, k: int) -> float:
    """Share of pictures whose label is among the k highest of logits (N, classes)."""
    return (logits.topk(min(k, logits.shape[1]), dim=1).indices == labels[:, None]).any(dim=1).double().mean().item()


def calibration_error(p: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Expected calibration error, 0…1: mean distance of confidence from accuracy over equal-width bins (Guo et al., 2017)."""
    confidence, predicted = p.max(dim=1)
    gaps = confidence.double() - (predicted == labels).double()
    which = (confidence * bins).long().clamp(max=bins - 1)
    return (torch.zeros(bins, dtype=torch.float64).index_add(0, which, gaps).abs().sum() / len(labels)).item()


def _confidently_wrong(p: Tensor, labels: Tensor) -> float:
    """Share of pictures that get a wrong class with a probability of `_SURE` or more."""
    confidence, predicted = p.max(dim=1)
    return ((confidence >= _SURE) & (predicted != labels)).double().mean().item()


def confidences(logits: Tensor, labels: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """The highest probability (N,) for each picture as it is, and of a wrong class where the true class's logit is removed."""
    logits = logits / temperature
    unknown = logits.scatter(1, labels[:, None], -math.inf)
    return logits.softmax(dim=1).amax(dim=1), unknown.softmax(dim=1).amax(dim=1)


def report(answers: Answers, config: ModelConfig) -> dict[str, dict[str, float]]:
    """head → column of the table → share, 0…1. `config`: with the heads' temperatures."""
    reports, labels, p = {}, answers.labels, answers.probabilities(config)
    present, among = labels.unique(return_inverse=True)
    for head, logits in answers.logits.items():
        shares = {"top-1": _accuracy(logits, labels, 1), "top-5": _accuracy(logits, labels, 5)}
        if len(present) < logits.shape[1]:
            shares[f"top-1 among the pictures' {len(present):,} classes"] = _accuracy(logits[:, present], among, 1)
        shares[f"wrong with ≥ {_SURE:.0%}"] = _confidently_wrong(p[head], labels)
        shares["calibration error"] = calibration_error(p[head], labels)
        shares["before temperature"] = calibration_error(logits.softmax(dim=1), labels)
        reports[head] = shares
    return reports


def table(reports: dict[str, dict[str, float]]) -> str:
    """The reports as a Markdown table, in per cent."""
    rows = ([head, *(f"{share:.2%}" for share in shares.values())] for head, shares in reports.items())
    return markdown(["head", *reports["main"]], rows)


def confusions(answers: Answers, names: Sequence[str], count: int = 10) -> str:
    """The main head's most frequent mistakes as a Markdown table."""
    predicted = answers.logits["main"].argmax(dim=1)
    pairs = zip(answers.labels.tolist(), predicted.tolist(), strict=True)
    wrong = Counter(pair for pair in pairs if pair[0] != pair[1])
    rows = [(names[true], names[named], f"{n:,}") for (true, named), n in wrong.most_common(count)]
    return markdown(["true class", "taken for", "pictures"], rows)


def by_class(answers: Answers, names: Sequence[str]) -> list[tuple[str, int, int]]:
    """Each class that has pictures: its name, how many of them the main head names right, and how many there are."""
    hits = answers.labels[answers.logits["main"].argmax(dim=1) == answers.labels]
    right, pictures = (labels.bincount(minlength=len(names)).tolist() for labels in (hits, answers.labels))
    return [row for row in zip(names, right, pictures, strict=True) if row[2]]


def class_table(answers: Answers, names: Sequence[str]) -> str:
    """How often each class is named right, as a Markdown table; of very many classes those that do worst."""
    rows = by_class(answers, names)
    title = "class"
    if len(rows) > _MOST_CLASSES:
        title = f"the {_MOST_CLASSES} classes of {len(rows):,} that do worst"
        rows = sorted(rows, key=lambda row: row[1] / row[2])[:_MOST_CLASSES]
    cells = [(name, f"{right} of {pictures}", f"{right / pictures:.0%}") for name, right, pictures in rows]
    return markdown([title, "named right", "share"], cells)


def never_named(answers: Answers, names: Sequence[str]) -> list[str]:
    """A sentence that names the classes of which no picture is named right; none where there is no such class."""
    never = [f"{name}: 0 of {pictures}" for name, right, pictures in by_class(answers, names) if not right]
    more = f"; and {len(never) - NAMED:,} more" if len(never) > NAMED else ""
    return [f"Classes without a right answer: {'; '.join(never[:NAMED])}{more}."] if never else []


def choose_temperature(logits: Tensor, labels: Tensor) -> float:
    """The fitted temperature where it is clearly better than 1 on pictures that it was not fitted on, else 1.

    Cross-validation in `_FOLDS` parts: the temperature is fitted on the other parts. A picture's gain is how much this
    temperature raises the logarithm of its label's probability. The mean gain must be more than `_CLEAR` standard errors above 0.
    """
    if len(labels) < ENOUGH:
        return 1.0
    part = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0)) % _FOLDS
    gains = torch.empty(len(labels), dtype=torch.float64)
    for fold in range(_FOLDS):
        held_out = part == fold
        temperature = fit_temperature(logits[~held_out], labels[~held_out])
        ours, theirs = logits[held_out].double(), labels[held_out]
        gains[held_out] = _losses(ours, theirs, 1.0) - _losses(ours, theirs, temperature)
    clear = gains.mean() > _CLEAR * gains.std() / math.sqrt(len(gains))
    return fit_temperature(logits, labels) if clear else 1.0


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature in `TEMPERATURES` for which softmax(logits / temperature) gives the labels the highest likelihood.

    Source: Guo et al., "On Calibration of Modern Neural Networks", 2017.
    """
    low, high = map(math.log, TEMPERATURES)
    logits = logits.double()

    def loss(log_temperature: float) -> float:
        return _losses(logits, labels, math.exp(log_temperature)).mean().item()

    golden = (math.sqrt(5) - 1) / 2  # the loss is convex in 1 / temperature, so it has one minimum in this range
    while high - low > 1e-5:
        left, right = high - golden * (high - low), low + golden * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return math.exp((low + high) / 2)


def _losses(logits: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """−log of the label's probability (N,)."""
    return F.cross_entropy(logits / temperature, labels, reduction="none")


def unlikely_below(logits: Tensor, labels: Tensor, temperature: float) -> float | None:
    """The threshold: where the highest probability is below it, the page says that no class looks likely.

    It is chosen so that a share of `_FLAGGED` of these pictures is below it. None where there are fewer than `ENOUGH` pictures.
    """
    known, _ = confidences(logits, labels, temperature)
    return known.quantile(_FLAGGED).item() if len(labels) >= ENOUGH else None


def calibrate(answers: Answers) -> tuple[dict[str, float], float | None]:
    """Choose the temperature of each head, and the main head's threshold `unlikely_below`."""
    temperatures = {head: choose_temperature(logits, answers.labels) for head, logits in answers.logits.items()}
    return temperatures, unlikely_below(answers.logits["main"], answers.labels, temperatures["main"])


def calibration_section(config: ModelConfig, answers: Answers) -> str:
    """Temperatures, and how the weights answer where a picture's class is unknown to them, in Markdown."""
    assert config.metrics is not None
    lines = ["## Calibration and unknown things"]
    if config.temperatures:
        values = ", ".join(f"{head} {t:.3f}" for head, t in config.temperatures.items())
        lines.append(
            f"Temperatures: {values}. A temperature is 1 where a fitted one is not clearly better on pictures that it was not "
            "fitted on."
        )
    threshold = config.metrics.unlikely_below
    if threshold is not None:
        known, unknown = confidences(answers.logits["main"], answers.labels, (config.temperatures or {}).get("main", 1.0))
        wrong, low, low_unknown = (of.double().mean() for of in (unknown >= _SURE, known < threshold, unknown < threshold))
        lines.append(
            f"Pictures with their true class's logit removed stand for unknown things: {wrong:.1%} of them still "
            f"get a wrong name with {_SURE:.0%} or more. Below a best probability of {threshold:.3f} the page says that none of "
            f"the classes looks likely: chosen so that {_FLAGGED:.0%} of pictures of known classes fall below; of the measured "
            f"pictures {low:.1%} of the known and {low_unknown:.1%} of the unknown do."
        )
    return "\n".join(lines)


class StatementFigures(NamedTuple):
    """What one head says of many pictures (`googlenet.explanation.statements` has the rule)."""

    right: float
    """share of its statements that hold for the true class; not a number where nothing is said"""
    bits: float
    """mean of log2(classes / the group's classes) over all pictures; 0 where nothing is said"""
    single: float
    """share of the pictures of which a single class is said"""
    silent: float
    """share of the pictures of which nothing is said"""


def _said(speaker: Speaker, p: Tensor, labels: Tensor) -> StatementFigures:
    """Measure one head's statements. p: (N, classes); labels: (N,), the true classes."""
    groups = [classes_of(choice and choice[0]) for choice in speaker.choose(p.numpy())]
    hits = [label in group for group, label in zip(groups, labels.tolist(), strict=True) if group]
    bits = [math.log2(p.shape[1] / len(group)) if group else 0.0 for group in groups]
    single = sum(len(group) == 1 for group in groups) / len(groups)
    return StatementFigures(
        sum(hits) / len(hits) if hits else math.nan, sum(bits) / len(bits), single, 1 - len(hits) / len(groups)
    )


def _choose_threshold(answers: Answers, config: ModelConfig) -> float | None:
    """The lowest of `_THRESHOLDS` at which a share of `_RIGHT` of every head's statements is right; None where there is none."""
    heads = answers.probabilities(config).values()
    for threshold in _THRESHOLDS if Speaker(config.labels).groups else ():
        if all(_said(Speaker(config.labels, threshold), p, answers.labels).right >= _RIGHT for p in heads):
            return threshold
    return None


def _records(answers: Answers, config: ModelConfig) -> dict[str, Records]:
    """head → how many answers were right, in five bins of the top class's probability."""
    counts = {}
    for head, p in answers.probabilities(config).items():
        best, named = p.max(dim=1)
        bins = torch.tensor([bin_of(each) for each in best.tolist()])
        right, of = (some.bincount(minlength=len(BINS) + 1).tolist() for some in (bins[named == answers.labels], bins))
        counts[head] = Records(tuple(right), tuple(of))
    return counts


def with_records(config: ModelConfig, fit: Answers, exam: Answers) -> ModelConfig:
    """The configuration with the statements' threshold that is chosen on some pictures, and the records of others."""
    assert config.metrics is not None
    return replace(
        config,
        metrics=replace(config.metrics, statement_threshold=_choose_threshold(fit, config), records=_records(exam, config)),
    )


def statement_section(answers: Answers, config: ModelConfig) -> str:
    """How often the heads' statements are right, how much they tell, and how often answers this sure are right, in Markdown."""
    speaker = Speaker(config.labels, config.metrics.statement_threshold if config.metrics else None)
    lines = ["## How far to believe an answer"]
    if speaker.groups:
        heads = {head: _said(speaker, p, answers.labels) for head, p in answers.probabilities(config).items()}
        rows = [(head, f"{s.right:.1%}", f"{s.bits:.2f}", f"{s.single:.1%}", f"{s.silent:.1%}") for head, s in heads.items()]
        lines += [
            f"A head says the most specific class or group whose probability reaches {speaker.threshold:.2f}. Bits: log2 of "
            f"{len(config.labels):,} classes over the group's classes.\n",
            markdown(["head", "statements right", "mean bits", "a single class is said", "nothing is said"], rows),
        ]
    edges = [f"{edge:.0%}" for edge in BINS]
    columns = [f"below {edges[0]}", *(f"{a}–{b}" for a, b in pairwise(edges)), f"from {edges[-1]}"]
    counts = ((head, zip(each.right, each.of, strict=True)) for head, each in _records(answers, config).items())
    lines.append("\nAnswers that were right, of all with such a probability of the top class:\n")
    lines.append(markdown(["head", *columns], ([head, *(f"{right} of {n}" for right, n in each)] for head, each in counts)))
    return "\n".join(lines)


def _write_predictions(file: Path, split: Split, answers: Answers, config: ModelConfig) -> None:
    """Write a table with a row for each picture: its file, its class, the five most probable classes and their probabilities."""
    p, classes = answers.probabilities(config)["main"].topk(min(5, len(config.labels)), dim=1)
    with _writing(file), file.open("w", encoding="utf-8", errors="surrogateescape", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["file", "class", *(f"{what}{k + 1}" for k in range(p.shape[1]) for what in ("top", "probability"))])
        for picture, label, *best in zip(split.pictures, split.labels, classes.tolist(), p.tolist(), strict=True):
            cells = [cell for c, q in zip(*best, strict=True) for cell in (config.labels[c], f"{q:.6f}")]
            rows.writerow([picture, config.labels[label], *cells])


def surest_mistakes(answers: Answers, config: ModelConfig) -> list[tuple[int, int, float, float]]:
    """The pictures that are named wrong, surest first: (row, class it is taken for, its probability, the true class's)."""
    p = answers.probabilities(config)["main"]
    best, named = p.max(dim=1)
    own = p.gather(1, answers.labels[:, None])[:, 0]
    mistakes = zip(range(len(p)), named.tolist(), best.tolist(), own.tolist(), strict=True)
    wrong = [row for row, label in zip(mistakes, answers.labels.tolist(), strict=True) if row[1] != label]
    return sorted(wrong, key=lambda row: -row[2])


def _write_wrong(folder: Path, split: Split, answers: Answers, explainer: Explainer) -> None:
    """Draw `wrong.png`: the pictures that are named wrong, with the last stage's maps of the named class and of the true one."""
    mistakes, labels = surest_mistakes(answers, explainer.config), explainer.labels
    shown = mistakes[:_SHOWN]
    across, down = 3 * (_CELL + _GAP) + 2 * _GAP, _CELL + _TEXT + _GAP
    sheet = Image.new("RGB", (2 * _GAP + _COLUMNS * across, 50 + -(-len(shown) // _COLUMNS) * down), PAPER)
    draw = ImageDraw.Draw(sheet)
    title = f"{len(mistakes):,} of {len(answers.labels):,} pictures are named wrong; the surest {len(shown):,}"
    draw.text((2 * _GAP, 14), f"{title}. Maps of stage {STAGES[-1]}: the named class, the true class.", SOFT, font(14))
    for place, (row, named, p, own) in enumerate(shown):
        left, top = 2 * _GAP + place % _COLUMNS * across, 50 + place // _COLUMNS * down
        picture = opened(split.pictures[row])
        questions = [Question("main", target) for target in (named, split.labels[row])]
        small = contained(picture, _CELL)
        maps = [overlay(small, each, STAGES[-1]) for each in explainer.explain_batch([picture] * 2, questions)]
        said = f"{labels[named][:24]} {p:.0%}, not {labels[split.labels[row]][:24]} {own:.0%}"
        name = split.pictures[row].name[-64:]
        draw.text((left, top), said, INK, font(14, said))
        draw.text((left, top + 20), name, SOFT, font(11, name))
        for column, image in enumerate((small, *maps)):
            sheet.paste(image, (left + column * (_CELL + _GAP), top + _TEXT - 6))
    with _writing(folder / _SHEET):
        sheet.save(folder / _SHEET)


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    """Raise a UserError where the block cannot write the file."""
    try:
        yield
    except OSError as error:
        raise UserError("{path} cannot be written: {error}.", path=file, error=reason(error)) from None


def evaluate(options: argparse.Namespace) -> None:
    """Measure weights and print the tables. `options`: of the command line (`googlenet.training.commands`)."""
    loaded = load(options.weights)
    if options.write and not options.maps and (loaded.config.metrics is None or options.rows != "all"):
        raise UserError("--write needs weights whose config.json has metrics, and all rows.")
    if options.maps and (options.predictions or options.wrong):
        raise UserError("--maps measures the maps alone; leave out --predictions and --wrong, or run it by itself.")
    if options.wrong:
        check_outside(options.wrong, options.data)
    split = read_split(options.data, "val", options.split)
    if _UNNAMED in loaded.config.labels and all(each.name != _UNNAMED for each in split.classes):
        raise UserError(
            "The weights {weights} have no names of classes; give them those of the data with googlenet import --labels.",
            weights=options.weights,
        )
    if options.predictions:
        make_folder(options.predictions.parent)
    if options.wrong:
        make_folder(options.wrong)
    split = prepare(split, loaded.config, options.rows, workers=options.workers, skip_broken=options.skip_broken)
    if options.maps:
        from googlenet.training.maps import measure_all

        data = options.data.resolve()
        dataset = data.name if data.is_dir() else data.parent.name
        trust = measure_all(Explainer(loaded, options.device), split, options.sample, dataset)
        if options.write:
            _write_config(replace(loaded.config, trust=trust), options.weights)
        print(json.dumps({"trust": asdict(trust)}))
        return
    device, config = pick_device(options.device), loaded.config
    answers = predict(loaded.model, config.preprocess, split, device, options.workers)
    shown = answers
    if options.write and config.metrics:
        shown = answers.rows("odd")
        config = with_records(config, answers.rows("even"), shown)
        _write_config(config, options.weights)
    whole = has_part(options.data, "val") or options.data.is_file() or options.split == 1
    whose = "" if whole else f" that `train --split {options.split or SPLIT:g}` holds out; --split 1: all"
    print(f"{len(shown.labels):,} pictures of {len(shown.labels.unique()):,} of {len(config.labels):,} classes{whose}\n")
    print(table(report(shown, config)))
    print(f"\n{class_table(shown, config.labels)}\n\n{confusions(shown, config.labels)}")
    if config.metrics:
        print("\n" + calibration_section(config, shown))
    print("\n" + statement_section(shown, config))
    if options.predictions:
        _write_predictions(options.predictions, split, answers, config)
    if options.wrong:
        _write_wrong(options.wrong, split, answers, Explainer(replace(loaded, config=config), options.device))
    if options.rows == "even":
        temperatures, threshold = calibrate(answers)
        print("\n" + json.dumps({"temperatures": temperatures, "unlikely_below": threshold}))


def _write_config(config: ModelConfig, folder: str) -> None:
    """Replace a folder's config.json. Raises UserError where WEIGHTS is no folder or cannot be written."""
    text = dump_config(config).encode()
    parse_config(text, folder)  # never write what cannot be read
    try:
        (Path(folder) / CONFIG_FILE).stat()  # it is replaced, not made
        replace_files(Path(folder), {CONFIG_FILE: text})
    except OSError as error:
        raise UserError("The folder {folder} cannot be written: {error}.", folder=folder, error=reason(error)) from None
