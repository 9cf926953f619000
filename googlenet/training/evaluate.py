"""Measures a set of weights: each head's accuracy and calibration, and the classes that are confused most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from googlenet.checkpoints.config import ModelConfig
from googlenet.concurrency.threads import batched
from googlenet.model.architecture import HEADS
from googlenet.model.network import GoogLeNet
from googlenet.pictures.images import Preprocess
from googlenet.training.calibration import SURE, calibration_error, confidently_wrong
from googlenet.training.classes import NAMED, weights_classes
from googlenet.training.data import Picture, Split
from googlenet.training.pictures import check_pictures, in_threads, opened

BATCH = 64
MOST_CLASSES = 100
"""Rows of the table of classes."""

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


def prepare(split: Split, config: ModelConfig, *, rows: Rows = "all", workers: int, skip_broken: bool) -> Split:
    """Prepare pictures for measuring a set of weights: check their headers, and make the labels the weights' indices.

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
    """Run every picture through the network in float32, and keep all logits.

    Args:
        model: any GoogLeNet; it is not changed.
        preprocess: of the weights.
        split: labels as the model's indices.
        device: where the network runs.
        workers: threads that decode.
    """
    batches = list(answers_of(model, preprocess, split.pictures, device, workers))
    return Answers({head: torch.cat([batch[head] for batch in batches]) for head in batches[0]}, torch.tensor(split.labels))


@torch.no_grad()
def answers_of(
    model: GoogLeNet, preprocess: Preprocess, pictures: Sequence[Picture], device: torch.device, workers: int
) -> Iterator[dict[str, Tensor]]:
    """The logits of all pictures, batch by batch: head → (N, classes) float32 on the CPU, for the heads that the model has."""
    network = model.for_inference().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def prepared(picture: Picture) -> Tensor:
        return preprocess(opened(picture))

    with tqdm(total=len(pictures), desc="evaluate", unit="img", mininterval=2) as bar:
        for batch in batched(in_threads(prepared, pictures, workers), BATCH):
            heads = network.heads(torch.cat(batch).to(device, memory_format=torch.channels_last))
            yield {head: logits.cpu() for head, logits in zip(HEADS, heads, strict=True) if logits is not None}
            bar.update(len(batch))


def accuracy(logits: Tensor, labels: Tensor, k: int) -> float:
    """Share of pictures whose label is among the k highest of logits (N, classes)."""
    return (logits.topk(min(k, logits.shape[1]), dim=1).indices == labels[:, None]).any(dim=1).double().mean().item()


def accuracy_among(logits: Tensor, labels: Tensor, classes: Iterable[int]) -> float:
    """Share of pictures whose label has the highest logit of these classes alone."""
    kept = torch.tensor(sorted(classes))
    return (kept[logits[:, kept].argmax(dim=1)] == labels).double().mean().item()


def confusions(answers: Answers, names: Sequence[str], count: int = 10) -> str:
    """The main head's most frequent mistakes as a Markdown table."""
    predicted = answers.logits["main"].argmax(dim=1)
    pairs = Counter(zip(answers.labels.tolist(), predicted.tolist(), strict=True))
    wrong = Counter({pair: n for pair, n in pairs.items() if pair[0] != pair[1]})
    rows = [f"| {names[true]} | {names[taken]} | {n:,} |" for (true, taken), n in wrong.most_common(count)]
    return "\n".join(["| true class | taken for | pictures |\n|---|---|---|", *rows])


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
    lines = [f"| {row.name} | {row.right} of {row.pictures} | {row.right / row.pictures:.0%} |" for row in rows]
    return "\n".join([f"| {title} | named right | share |\n|---|---|---|", *lines])


def never_named(answers: Answers, names: Sequence[str]) -> list[str]:
    """A sentence that names the classes of which no picture is named right; none where there is no such class."""
    never = [f"{row.name}: 0 of {row.pictures}" for row in by_class(answers, names) if not row.right]
    more = f"; and {len(never) - NAMED:,} more" if len(never) > NAMED else ""
    return [f"Classes without a right answer: {'; '.join(never[:NAMED])}{more}."] if never else []


@dataclass(frozen=True)
class HeadReport:
    """One head's measurements, as shares in 0…1."""

    top1: float
    top5: float
    top1_among: float
    """top-1 where only the classes of the pictures may be predicted"""
    confidently_wrong: float
    """wrong classes with a probability of `SURE` or more, at the stored temperature"""
    calibration_raw: float
    """expected calibration error at temperature 1"""
    calibration: float
    """expected calibration error at the stored temperature"""


def report(answers: Answers, temperatures: dict[str, float] | None) -> dict[str, HeadReport]:
    """head → what was measured. `temperatures`: as in `config.json`."""
    found = {}
    present = set(answers.labels.tolist())
    for head, logits in answers.logits.items():
        temperature = (temperatures or {}).get(head, 1.0)
        found[head] = HeadReport(
            accuracy(logits, answers.labels, 1),
            accuracy(logits, answers.labels, 5),
            accuracy_among(logits, answers.labels, present),
            confidently_wrong(logits, answers.labels, temperature),
            calibration_error(logits, answers.labels),
            calibration_error(logits, answers.labels, temperature),
        )
    return found


def table(reports: dict[str, HeadReport], answers: Answers) -> str:
    """The reports as a Markdown table, in per cent."""
    present, classes = len(answers.labels.unique()), answers.logits["main"].shape[1]
    among = f" top-1 among the pictures' {present:,} classes |" if present < classes else ""
    lines = [
        f"| head | top-1 | top-5 |{among} wrong with ≥ {SURE:.0%} | calibration error | before temperature |",
        "|---|---|---|---|---|---|" + ("---|" if among else ""),
    ]
    for head, r in reports.items():
        own = f" {r.top1_among:.2%} |" if among else ""
        calibration = f"{r.calibration:.2%} | {r.calibration_raw:.2%}"
        lines.append(f"| {head} | {r.top1:.2%} | {r.top5:.2%} |{own} {r.confidently_wrong:.2%} | {calibration} |")
    return "\n".join(lines)
