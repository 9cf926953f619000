"""Measures a set of weights on labelled pictures: accuracy, calibration, statements, confused classes, mistakes."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from PIL import Image, ImageDraw, ImageOps
from torch import Tensor
from tqdm import tqdm

from googlenet.checkpoints.config import Metrics, ModelConfig, Records
from googlenet.concurrency.threads import batched
from googlenet.errors import UserError, reason
from googlenet.explanation import Question, classes_of
from googlenet.explanation.render import INK, PAPER, SOFT, font, overlay
from googlenet.explanation.statements import BINS, Speaker, bin_of
from googlenet.inference.explainer import Explainer
from googlenet.model.architecture import HEADS, STAGES
from googlenet.model.network import GoogLeNet
from googlenet.pictures.images import Preprocess
from googlenet.training.calibration import FLAGGED, SURE, calibration_error, confidences, confidently_wrong
from googlenet.training.data import NAMED, Picture, Split, weights_classes
from googlenet.training.pictures import check_pictures, in_threads, opened

BATCH = 64
MOST_CLASSES = 100
"""Rows of the table of classes."""
RIGHT = 0.9
"""The share of statements that shall be right."""
THRESHOLDS = [percent / 100 for percent in range(50, 100)]
"""Those that are tried for statements, the lowest first: a lower one says more."""
SHEET = "wrong.png"
SHOWN = 48
"""The most pictures on the sheet of wrong ones."""
CELL, GAP, TEXT, COLUMNS = 150, 10, 44, 2

Rows = Literal["all", "even", "odd"]


class Answers(NamedTuple):
    """Every picture's logits by head, and the true labels."""

    logits: dict[str, Tensor]
    """head → (N, classes) float32, for the heads that the model has"""
    labels: Tensor
    """(N,) int64"""

    def rows(self, rows: Literal["even", "odd"]) -> Answers:
        """Those of every second picture."""
        some = slice(("even", "odd").index(rows), None, 2)
        return Answers({head: logits[some] for head, logits in self.logits.items()}, self.labels[some])

    def probabilities(self, config: ModelConfig) -> dict[str, Tensor]:
        """head → (N, classes), at the weights' temperatures."""
        temperatures = config.temperatures or {}
        return {head: (logits / temperatures.get(head, 1.0)).softmax(dim=1) for head, logits in self.logits.items()}


def prepare(split: Split, config: ModelConfig, *, rows: Rows = "all", workers: int, skip_broken: bool) -> Split:
    """Check the headers of pictures, and make their labels the weights' indices.

    Args:
        split: what `read_split` gives. Its classes, by wnid or name, must be among the weights' classes.
        config: of the weights.
        rows: all pictures, or every second one, so that even rows can choose a value and odd rows report its result.
        workers: threads that read the headers.
        skip_broken: leave out files that are not pictures, instead of raising.

    Raises:
        UserError: the weights lack some of the classes, or some files are not pictures; the message names them.
    """
    split = split.relabelled(weights_classes(config.labels))
    if rows != "all":
        split = split.subset(range(("even", "odd").index(rows), len(split.pictures), 2))
    return check_pictures(split, workers, skip_broken)[0]


def predict(model: GoogLeNet, preprocess: Preprocess, split: Split, device: torch.device, workers: int) -> Answers:
    """Run every picture through the network in float32, and keep all logits. The split's labels are the model's indices."""
    batches = list(answers_of(model, preprocess, split.pictures, device, workers))
    return Answers({head: torch.cat([batch[head] for batch in batches]) for head in batches[0]}, torch.tensor(split.labels))


@torch.no_grad()
def answers_of(
    model: GoogLeNet, preprocess: Preprocess, pictures: Sequence[Picture], device: torch.device, workers: int
) -> Iterator[dict[str, Tensor]]:
    """The logits of all pictures, batch by batch: head → (N, classes) float32 on the CPU, for the heads that the model has."""
    network = model.for_inference().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    inputs = in_threads(lambda picture: preprocess(opened(picture)), pictures, workers)
    for batch in batched(tqdm(inputs, "evaluate", len(pictures), unit="img", mininterval=2), BATCH):
        heads = network.heads(torch.cat(batch).to(device, memory_format=torch.channels_last))
        yield {head: logits.cpu() for head, logits in zip(HEADS, heads, strict=True) if logits is not None}


def markdown(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table."""
    lines = [f"| {' | '.join(map(str, row))} |" for row in (columns, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(columns), *lines[1:]])


class HeadReport(NamedTuple):
    """One head's measurements, as shares in 0…1."""

    top1: float
    top5: float
    top1_among: float
    """top-1 where only the classes of the pictures may be predicted"""
    confidently_wrong: float
    """wrong classes with a probability of `SURE` or more, at the stored temperature"""
    calibration: float
    """expected calibration error at the stored temperature"""
    calibration_raw: float
    """expected calibration error at temperature 1"""


def accuracy(logits: Tensor, labels: Tensor, k: int) -> float:
    """Share of pictures whose label is among the k highest of logits (N, classes)."""
    return (logits.topk(min(k, logits.shape[1]), dim=1).indices == labels[:, None]).any(dim=1).double().mean().item()


def accuracy_among(logits: Tensor, labels: Tensor, classes: Iterable[int]) -> float:
    """Share of pictures whose label has the highest logit of these classes alone."""
    kept = torch.tensor(sorted(classes))
    return (kept[logits[:, kept].argmax(dim=1)] == labels).double().mean().item()


def report(answers: Answers, temperatures: dict[str, float] | None) -> dict[str, HeadReport]:
    """head → what was measured. `temperatures`: as in `config.json`."""
    reports, labels = {}, answers.labels
    for head, logits in answers.logits.items():
        temperature = (temperatures or {}).get(head, 1.0)
        reports[head] = HeadReport(
            accuracy(logits, labels, 1),
            accuracy(logits, labels, 5),
            accuracy_among(logits, labels, set(labels.tolist())),
            confidently_wrong(logits, labels, temperature),
            calibration_error(logits, labels, temperature),
            calibration_error(logits, labels),
        )
    return reports


def table(reports: dict[str, HeadReport], answers: Answers) -> str:
    """The reports as a Markdown table, in per cent."""
    present, classes = len(answers.labels.unique()), answers.logits["main"].shape[1]
    columns = ["top-1", "top-5", f"top-1 among the pictures' {present:,} classes", f"wrong with ≥ {SURE:.0%}"]
    columns += ["calibration error", "before temperature"]
    kept = [i for i in range(len(columns)) if i != 2 or present < classes]
    rows = [[head, *(f"{shares[i]:.2%}" for i in kept)] for head, shares in reports.items()]
    return markdown(["head", *(columns[i] for i in kept)], rows)


def confusions(answers: Answers, names: Sequence[str], count: int = 10) -> str:
    """The main head's most frequent mistakes as a Markdown table."""
    predicted = answers.logits["main"].argmax(dim=1)
    pairs = zip(answers.labels.tolist(), predicted.tolist(), strict=True)
    wrong = Counter(pair for pair in pairs if pair[0] != pair[1])
    rows = [(names[true], names[named], f"{n:,}") for (true, named), n in wrong.most_common(count)]
    return markdown(["true class", "taken for", "pictures"], rows)


class ClassReport(NamedTuple):
    """The main head's right answers for one class."""

    name: str
    right: int
    pictures: int


def by_class(answers: Answers, names: Sequence[str]) -> list[ClassReport]:
    """The classes that have pictures, in their order."""
    hits = answers.labels[answers.logits["main"].argmax(dim=1) == answers.labels]
    right, pictures = (labels.bincount(minlength=len(names)).tolist() for labels in (hits, answers.labels))
    return [ClassReport(*row) for row in zip(names, right, pictures, strict=True) if row[2]]


def class_table(answers: Answers, names: Sequence[str]) -> str:
    """How often each class is named right, as a Markdown table; of very many classes those that do worst."""
    rows = by_class(answers, names)
    title = "class"
    if len(rows) > MOST_CLASSES:
        title = f"the {MOST_CLASSES} classes of {len(rows):,} that do worst"
        rows = sorted(rows, key=lambda row: row.right / row.pictures)[:MOST_CLASSES]
    cells = [(row.name, f"{row.right} of {row.pictures}", f"{row.right / row.pictures:.0%}") for row in rows]
    return markdown([title, "named right", "share"], cells)


def never_named(answers: Answers, names: Sequence[str]) -> list[str]:
    """A sentence that names the classes of which no picture is named right; none where there is no such class."""
    never = [f"{row.name}: 0 of {row.pictures}" for row in by_class(answers, names) if not row.right]
    more = f"; and {len(never) - NAMED:,} more" if len(never) > NAMED else ""
    return [f"Classes without a right answer: {'; '.join(never[:NAMED])}{more}."] if never else []


def calibration_section(config: ModelConfig, answers: Answers) -> str:
    """Temperatures, and how the weights answer where a picture's class is unknown to them, in Markdown."""
    assert config.metrics is not None
    lines = ["## Calibration and unknown things"]
    if config.temperatures:
        values = ", ".join(f"{head} {t:.3f}" for head, t in config.temperatures.items())
        lines.append(
            f"Temperatures, chosen on other pictures than the measured ones: {values}. A temperature is 1 where a fitted one is "
            "not clearly better on pictures that it was not fitted on."
        )
    threshold = config.metrics.unlikely_below
    if threshold is not None:
        known, unknown = confidences(answers.logits["main"], answers.labels, (config.temperatures or {}).get("main", 1.0))
        wrong, low, low_unknown = ((unknown >= SURE), (known < threshold), (unknown < threshold))
        lines.append(
            f"Pictures with their true class's logit removed stand for unknown things: {wrong.double().mean():.1%} of them still "
            f"get a wrong name with {SURE:.0%} or more. Below a best probability of {threshold:.3f} the page says that none of "
            f"the classes looks likely: chosen so that {FLAGGED:.0%} of pictures of known classes fall below; of the measured "
            f"pictures {low.double().mean():.1%} of the known and {low_unknown.double().mean():.1%} of the unknown do."
        )
    return "\n".join(lines)


class Said(NamedTuple):
    """What one head says of many pictures (`googlenet.explanation.statements` has the rule)."""

    right: float
    """share of its statements that hold for the true class; not a number where nothing is said"""
    bits: float
    """mean of log2(classes / the group's classes) over all pictures; 0 where nothing is said"""
    single: float
    """share of the pictures of which a single class is said"""
    silent: float
    """share of the pictures of which nothing is said"""


def said(speaker: Speaker, p: Tensor, labels: Tensor) -> Said:
    """Measure one head's statements. p: (N, classes); labels: (N,), the true classes."""
    groups = [classes_of(choice and choice[0]) for choice in speaker.choose(p.numpy())]
    hits = [label in group for group, label in zip(groups, labels.tolist(), strict=True) if group]
    bits = [math.log2(p.shape[1] / len(group)) if group else 0.0 for group in groups]
    single = sum(len(group) == 1 for group in groups) / len(groups)
    return Said(sum(hits) / len(hits) if hits else math.nan, sum(bits) / len(bits), single, 1 - len(hits) / len(groups))


def choose_threshold(answers: Answers, config: ModelConfig) -> float | None:
    """The lowest of `THRESHOLDS` at which a share of `RIGHT` of every head's statements is right; None where there is none."""
    if not Speaker(config.labels).groups:
        return None
    heads = answers.probabilities(config).values()
    for threshold in THRESHOLDS:
        if all(said(Speaker(config.labels, threshold), p, answers.labels).right >= RIGHT for p in heads):
            return threshold
    return None


def records(answers: Answers, config: ModelConfig) -> dict[str, Records]:
    """head → how many answers were right, in five bins of the top class's probability."""
    counts = {}
    for head, p in answers.probabilities(config).items():
        best, named = p.max(dim=1)
        bins = torch.tensor([bin_of(each) for each in best.tolist()])
        right, of = (some.bincount(minlength=len(BINS) + 1).tolist() for some in (bins[named == answers.labels], bins))
        counts[head] = Records(tuple(right), tuple(of))
    return counts


def measured(metrics: Metrics, config: ModelConfig, fit: Answers, exam: Answers) -> Metrics:
    """Metrics with the threshold that is chosen on some pictures, and the records of others. `config`: with its temperatures."""
    return replace(metrics, statement_threshold=choose_threshold(fit, config), records=records(exam, config))


def statement_section(answers: Answers, config: ModelConfig) -> str:
    """How often the heads' statements are right, how much they tell, and how often answers this sure are right, in Markdown."""
    speaker = Speaker(config.labels, config.metrics.statement_threshold if config.metrics else None)
    lines = ["## How far to believe an answer"]
    if speaker.groups:
        rows = []
        for head, p in answers.probabilities(config).items():
            s = said(speaker, p, answers.labels)
            rows.append((head, f"{s.right:.1%}", f"{s.bits:.2f}", f"{s.single:.1%}", f"{s.silent:.1%}"))
        lines += [
            f"A head says the most specific class or group whose probability reaches {speaker.threshold:.2f}. Bits: log2 of "
            f"{len(config.labels):,} classes over the group's classes.\n",
            markdown(["head", "statements right", "mean bits", "a single class is said", "nothing is said"], rows),
        ]
    edges = [f"{edge:.0%}" for edge in BINS]
    columns = [f"below {edges[0]}", *(f"{a}–{b}" for a, b in pairwise(edges)), f"from {edges[-1]}"]
    counts = records(answers, config).items()
    lines += [
        "\nAnswers that were right, of all with such a probability of the top class:\n",
        markdown(
            ["head", *columns],
            ([head, *(f"{r} of {n}" for r, n in zip(each.right, each.of, strict=True))] for head, each in counts),
        ),
    ]
    return "\n".join(lines)


def write_predictions(file: Path, split: Split, answers: Answers, config: ModelConfig) -> None:
    """Write a CSV table with a row for each picture: its file, its class, the five most probable classes and their probabilities.

    Raises UserError where the file cannot be written.
    """
    p, classes = answers.probabilities(config)["main"].topk(min(5, len(config.labels)), dim=1)
    try:
        with file.open("w", encoding="utf-8", errors="surrogateescape", newline="") as out:
            rows = csv.writer(out)
            rows.writerow(["file", "class", *(f"{what}{k + 1}" for k in range(p.shape[1]) for what in ("top", "probability"))])
            for picture, label, *best in zip(split.pictures, split.labels, classes.tolist(), p.tolist(), strict=True):
                cells = [cell for c, q in zip(*best, strict=True) for cell in (config.labels[c], f"{q:.6f}")]
                rows.writerow([picture, config.labels[label], *cells])
    except OSError as error:
        raise UserError("{path} cannot be written: {error}.", path=file, error=reason(error)) from None


def surest_mistakes(answers: Answers, config: ModelConfig) -> list[tuple[int, int, float, float]]:
    """The pictures that are named wrong, surest first: (row, class it is taken for, its probability, the true class's)."""
    p = answers.probabilities(config)["main"]
    best, named = p.max(dim=1)
    own = p.gather(1, answers.labels[:, None])[:, 0]
    mistakes = zip(range(len(p)), named.tolist(), best.tolist(), own.tolist(), strict=True)
    wrong = [row for row, label in zip(mistakes, answers.labels.tolist(), strict=True) if row[1] != label]
    return sorted(wrong, key=lambda row: -row[2])


def write_wrong(folder: Path, split: Split, answers: Answers, explainer: Explainer) -> None:
    """Draw `wrong.png`: the pictures that are named wrong, surest first, each with the last stage's maps of the class that it is
    taken for and of its own class. Raises UserError where the file cannot be written.
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
