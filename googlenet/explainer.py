"""Pictures and questions in, Explanations out: the one object that the page, the command line and Python share."""

from __future__ import annotations

import difflib
import io
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from googlenet.device import half_precision, pick_device
from googlenet.errors import UserError
from googlenet.gradcam import Answer, Question, grad_cam
from googlenet.hub import LoadedModel, ModelConfig, Provenance, load
from googlenet.images import Box, ImageSource, open_image
from googlenet.model import BRANCHES, HEADS, STAGES, STAGES_BEFORE

BATCH = 8
"""Images that one pass takes at most: enough to serve a crowd in few passes, few enough that nobody waits long for the others."""


@dataclass(frozen=True)
class Prediction:
    index: int
    label: str
    probability: float


@dataclass(frozen=True)
class Stage:
    """One stage's summary. `peak` is the strongest cell's centre in the picture's frame, None without positive evidence."""

    name: str
    size: tuple[int, int]
    """(height, width) of the map in cells"""
    peak: tuple[float, float] | None
    share_of_evidence: float
    """0…1: the part of the signed map's absolute mass that speaks for the class"""
    branches: dict[str, float]
    """branch → its share of the positive evidence, Σ ReLU(branch map) normalised over the four"""


@dataclass(frozen=True)
class Explanation:
    """One answer: what the heads believe and where each stage found the evidence. Keeps the native grids alone (about 70 KB)."""

    size: tuple[int, int]
    """(width, height) of the picture in pixels"""
    seen: Box
    """the part of the picture that the crop kept"""
    question: Question
    """with its target filled in"""
    labels: tuple[str, ...]
    probabilities: dict[str, NDArray[np.float32] | None]
    """head → softmax(logits / temperature) (classes,); None for a head that the weights lack"""
    branch_grids: dict[str, NDArray[np.float32]]
    """stage → (4, H, W), signed, in logit units, the branches in the order of `BRANCHES`; the stages seen by the asked head"""
    weights: Provenance
    unlikely: bool
    """whether the main head's best probability is so low that none of the labels looks likely"""

    @property
    def grids(self) -> dict[str, NDArray[np.float32]]:
        """stage → signed map (H, W) on its own cells: the sum of its branches."""
        return {stage: grid.sum(axis=0) for stage, grid in self.branch_grids.items()}

    @property
    def maps(self) -> Maps:
        """stage → Grad-CAM ≥ 0 (height, width) float32 in the picture's frame, 0 outside `seen`; enlarged at each look-up."""
        return Maps(self)

    @property
    def heads(self) -> dict[str, tuple[Prediction, ...] | None]:
        """head → its five most probable classes."""
        return {head: None if p is None else self.top(p) for head, p in self.probabilities.items()}

    def top(self, probabilities: NDArray[np.float32]) -> tuple[Prediction, ...]:
        best = np.argsort(-probabilities, kind="stable")[:5]
        return tuple(Prediction(int(i), self.labels[i], float(probabilities[i])) for i in best)

    @property
    def belief(self) -> dict[str, float | None]:
        """head → the probability that it gives to the asked class."""
        target = self.question.target
        return {head: None if p is None else float(p[target]) for head, p in self.probabilities.items()}

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Summaries of the stages that the asked head sees."""
        return tuple(self.summary(name) for name in self.branch_grids)

    def summary(self, name: str) -> Stage:
        branches = self.branch_grids[name]
        grid = branches.sum(axis=0)
        height, width = grid.shape
        row, column = divmod(int(grid.argmax()), width)
        box = self.seen
        peak = (
            box.x0 + (column + 0.5) / width * (box.x1 - box.x0),
            box.y0 + (row + 0.5) / height * (box.y1 - box.y0),
        )
        mass = float(np.abs(grid).sum())
        positive = branches.clip(min=0).sum(axis=(1, 2))
        shares = positive / positive.sum() if positive.sum() > 0 else positive
        return Stage(
            name,
            (height, width),
            peak if grid.max() > 0 else None,
            float(grid.clip(min=0).sum()) / mass if mass > 0 else 0.0,
            {branch: float(share) for branch, share in zip(BRANCHES, shares, strict=True)},
        )

    def to_json(self, image: str) -> dict[str, Any]:
        """The JSON object of the command line and the API (README, "The result as JSON")."""
        question = self.question
        assert question.target is not None
        summaries = {stage.name: stage for stage in self.stages}
        return {
            "image": image,
            "weights": {"source": self.weights.source, "revision": self.weights.revision, "sha256": self.weights.sha256},
            "heads": {head: None if top is None else [vars(p) for p in top] for head, top in self.heads.items()},
            "question": {
                "head": question.head,
                "target": {"index": question.target, "label": self.labels[question.target]},
                "contrast": None
                if question.contrast is None
                else {"index": question.contrast, "label": self.labels[question.contrast]},
            },
            "belief": self.belief,
            "seen": list(self.seen),
            "stages": [stage_json(name, summaries.get(name)) for name in STAGES],
        }

    def npz(self) -> bytes:
        """A NumPy archive: each seen stage's signed map on its own grid, the `seen` box and the picture's `size` (w, h)."""
        file = io.BytesIO()
        np.savez(file, seen=np.array(self.seen), size=np.array(self.size), **self.grids)  # type: ignore[arg-type]
        return file.getvalue()


def stage_json(name: str, stage: Stage | None) -> dict[str, Any]:
    if stage is None:
        return {"name": name, "size": None, "peak": None, "share_of_evidence": None, "branches": None}
    return {**vars(stage), "size": list(stage.size), "peak": stage.peak and list(stage.peak)}


class Maps(Mapping[str, NDArray[np.float32]]):
    """The maps in the picture's frame, enlarged when asked for and not kept: nine of a 12-megapixel picture are 432 MB."""

    def __init__(self, explanation: Explanation) -> None:
        self.explanation = explanation
        self.grids = explanation.grids

    def __getitem__(self, stage: str) -> NDArray[np.float32]:
        (width, height), box = self.explanation.size, self.explanation.seen
        return enlarge(self.grids[stage].clip(min=0), (width, height), box)

    def __iter__(self) -> Iterator[str]:
        return iter(self.grids)

    def __len__(self) -> int:
        return len(self.grids)


def enlarge(grid: NDArray[np.floating], size: tuple[int, int], box: Box) -> NDArray[np.float32]:
    """A grid (h, w) that covers `box` → (height, width), bilinear between the cells' centres, 0 outside the box."""
    rows = interpolation(size[1], box.y0, box.y1, grid.shape[0])
    columns = interpolation(size[0], box.x0, box.x1, grid.shape[1])
    return np.asarray(rows @ grid @ columns.T, dtype=np.float32)


def interpolation(pixels: int, start: float, end: float, cells: int) -> NDArray[np.float32]:
    """The matrix (pixels, cells) of linear interpolation along one axis; rows of pixels outside start…end are zero."""
    centre = np.arange(pixels) + 0.5
    at = ((centre - start) / (end - start) * cells - 0.5).clip(0, cells - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, cells - 1)
    inside = (centre >= start) & (centre <= end)
    matrix = np.zeros((pixels, cells), np.float32)
    np.add.at(matrix, (np.arange(pixels), low), (1 - (at - low)) * inside)
    np.add.at(matrix, (np.arange(pixels), high), (at - low) * inside)
    return matrix


@dataclass
class Request:
    """One picture's place in the queue."""

    x: Tensor
    question: Question
    size: tuple[int, int]
    answer: Future[Explanation]


class Explainer:
    """A model that answers questions about pictures, from any number of threads.

    Whoever finds the model free takes along what waits: requests of many threads become one batch, each with its own question,
    and nobody waits for a batch to fill.
    """

    def __init__(self, loaded: LoadedModel, device: str = "auto", *, bfloat16: bool | None = None) -> None:
        """`bfloat16`: whether the convolutions run in it; by default on a CPU that has instructions for it, else in float32."""
        self.config: ModelConfig = loaded.config
        self.provenance = loaded.provenance
        self.device = pick_device(device)
        self.model = loaded.model.for_inference().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if bfloat16 or (bfloat16 is None and self.device.type == "cpu" and half_precision(self.device)):
            self.model.to_bfloat16()
        self.preprocess = loaded.config.preprocess
        self.passes = 0
        """forward passes so far"""
        self.waiting: deque[Request] = deque()
        self.model_free = threading.Lock()
        crop = self.preprocess.crop
        self.run(torch.zeros(1, 3, crop, crop), [Question()])  # the first pass is slow: warm up

    @classmethod
    def from_pretrained(
        cls, source: str = "weights", *, revision: str | None = None, device: str = "auto", bfloat16: bool | None = None
    ) -> Explainer:
        """Load a SOURCE (`googlenet.hub.load`). Raises UserError in one sentence for whatever keeps it from loading."""
        return cls(load(f"{source}@{revision}" if revision else source), device, bfloat16=bfloat16)

    @property
    def labels(self) -> tuple[str, ...]:
        return self.config.labels

    def explain(
        self,
        image: ImageSource,
        *,
        head: str = "main",
        target: str | int | None = None,
        contrast: str | int | None = None,
    ) -> Explanation:
        """Explain one picture (PIL image, path or bytes). Classes by label or index; the default is the head's top class."""
        return self.explain_batch([open_image(image)], [self.question(head, target, contrast)])[0]

    def question(self, head: str = "main", target: str | int | None = None, contrast: str | int | None = None) -> Question:
        """A checked question. Raises UserError for an unknown head or class, or a head that the weights lack."""
        if head not in HEADS:
            raise UserError("There is no head {head}; choose main, aux2 or aux1.", head=repr(head))
        if head != "main" and not self.config.architecture.aux_heads:
            raise UserError(
                "The weights {source} have no trained {head} head; ask about the main head.",
                source=self.provenance.source,
                head=head,
            )
        return Question(
            head,
            None if target in (None, "") else self.find_class(target),
            None if contrast in (None, "") else self.find_class(contrast),
        )

    def find_class(self, name: str | int | None) -> int:
        """A label (upper and lower case alike) or an index → index. Raises UserError for none or several."""
        text = str(name).strip().casefold()
        found = [i for i, label in enumerate(self.labels) if label.casefold() == text]
        if len(found) == 1:
            return found[0]
        if found:
            raise UserError(
                "Several classes are called {name}; ask by index: {indices}.", name=name, indices=", ".join(map(str, found))
            )
        if text.isdecimal() and int(text) < len(self.labels):
            return int(text)
        near = difflib.get_close_matches(text, [label.casefold() for label in self.labels], n=3, cutoff=0.5)
        if near:
            raise UserError("No class is called {name}; did you mean {near}?", name=repr(name), near=", ".join(near))
        raise UserError(
            "No class is called {name}; use one of the {count} labels or an index from 0 to {last}.",
            name=repr(name),
            count=len(self.labels),
            last=len(self.labels) - 1,
        )

    def explain_batch(self, images: Sequence[Image.Image], questions: Sequence[Question]) -> list[Explanation]:
        """One question for each RGB picture, in as few passes as possible."""
        requests = [
            Request(self.preprocess(image), question, image.size, Future())
            for image, question in zip(images, questions, strict=True)
        ]
        self.waiting.extend(requests)
        for request in requests:
            while not request.answer.done():
                with self.model_free:  # whoever holds it answers what waits, so that this request may be done by now
                    if not request.answer.done():
                        self.answer_waiting()
        return [request.answer.result() for request in requests]

    def answer_waiting(self) -> None:
        """One pass over the next requests in the queue. The caller holds `model_free`."""
        batch = [self.waiting.popleft() for _ in range(min(BATCH, len(self.waiting)))]
        try:
            answer = self.run(torch.cat([request.x for request in batch]), [request.question for request in batch])
            for request, explanation in zip(batch, self.explanations(batch, answer), strict=True):
                request.answer.set_result(explanation)
        except BaseException as error:
            for request in batch:
                if not request.answer.done():
                    request.answer.set_exception(error)
            if not isinstance(error, Exception):
                raise

    def run(self, x: Tensor, questions: Sequence[Question]) -> Answer:
        """One pass over the prepared pictures x (N, 3, S, S)."""
        self.passes += 1
        return grad_cam(self.model, x.to(self.device, memory_format=torch.channels_last), questions)

    def explanations(self, batch: list[Request], answer: Answer) -> list[Explanation]:
        """One pass's tensors, taken apart by picture."""
        temperatures = self.config.temperatures or {}
        probabilities = {
            head: None if logits is None else (logits / temperatures.get(head, 1.0)).softmax(dim=1).cpu().numpy()
            for head, logits in zip(HEADS, answer.logits, strict=True)
        }
        grids = {stage: maps.cpu().numpy() for stage, maps in answer.branch_maps.items()}
        threshold = self.config.metrics.unlikely_below if self.config.metrics else None
        explanations = []
        for i, request in enumerate(batch):
            own = {head: None if p is None else p[i] for head, p in probabilities.items()}
            question = Question(request.question.head, int(answer.targets[i]), request.question.contrast)
            seen_stages = STAGES_BEFORE[question.head]
            explanations.append(
                Explanation(
                    size=request.size,
                    seen=self.preprocess.seen(request.size),
                    question=question,
                    labels=self.labels,
                    probabilities=own,
                    branch_grids={stage: grids[stage][i] for stage in seen_stages},
                    weights=self.provenance,
                    unlikely=threshold is not None and float(own["main"].max()) < threshold,  # type: ignore[union-attr]
                )
            )
        return explanations
