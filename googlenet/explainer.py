"""Pictures and questions in, Explanations out: the one object that the page, the command line and Python share."""

from __future__ import annotations

import difflib
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from googlenet.architecture import BRANCHES, HEADS, STAGES_BEFORE
from googlenet.checkpoints import LoadedModel, load
from googlenet.config import ModelConfig
from googlenet.device import half_precision, pick_device
from googlenet.errors import QuestionError
from googlenet.explanation import Box, Cell, Channel, Explanation, Question, peak_of
from googlenet.gradcam import FOR, ChannelMaps, GradCamResult, grad_cam
from googlenet.images import ImageSource, open_image

BATCH = 8
"""Images that one pass takes at most: enough to serve a crowd in few passes, few enough that nobody waits long for the others."""


@dataclass
class Request:
    """One picture's place in the queue."""

    x: Tensor
    question: Question
    size: tuple[int, int]
    answer: Future[Explanation]


class Explainer:
    """A model that answers questions about pictures, from any number of threads.

    The thread that gets the lock runs up to `BATCH` queued requests in one pass, each with its own question. No thread waits for
    a batch to fill.
    """

    def __init__(self, loaded: LoadedModel, device: str = "auto", *, bfloat16: bool | None = None) -> None:
        """`bfloat16`: whether the convolutions run in it; by default on a CPU that has instructions for it, else in float32."""
        self.config: ModelConfig = loaded.config
        self.provenance = loaded.provenance
        self.device = pick_device(device)
        self.model = loaded.model.for_inference().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if bfloat16 or (bfloat16 is None and self.device.type == "cpu" and half_precision(self.device)):
            self.model.to_bfloat16()
        self.passes = 0
        """forward passes so far"""
        self.waiting: deque[Request] = deque()
        self.model_free = threading.Lock()
        crop = self.config.preprocess.crop
        first = self.run(torch.zeros(1, 3, crop, crop), [Question()])  # the first pass is slow: warm up
        self.grid_sizes = {stage: (maps.shape[2], maps.shape[3]) for stage, maps in first.branch_maps.items()}
        """stage → (rows, columns) of its map"""

    @classmethod
    def from_pretrained(
        cls, source: str = "weights", *, revision: str | None = None, device: str = "auto", bfloat16: bool | None = None
    ) -> Explainer:
        """Load a SOURCE (`googlenet.load`). Raises UserError in one sentence for whatever keeps it from loading."""
        return cls(load(f"{source}@{revision}" if revision else source), device, bfloat16=bfloat16)

    @property
    def labels(self) -> tuple[str, ...]:
        return self.config.labels

    def preprocess(self, image: ImageSource) -> Tensor:
        """A picture (PIL image, path or bytes) → the network's input (1, 3, S, S) float32. Raises PictureError."""
        return self.config.preprocess(open_image(image))

    def explain(
        self,
        image: ImageSource,
        *,
        head: str = "main",
        target: str | int | None = None,
        contrast: str | int | None = None,
        channels: bool = False,
        cell: tuple[str, int, int] | None = None,
    ) -> Explanation:
        """Explain one picture.

        Args:
            image: a PIL image, the path of a file, or a file's bytes.
            head: the classifier to explain: `main`, `aux2` or `aux1`.
            target: a class, by label or index; the head's top class by default.
            contrast: a class, by label or index: explain the lead of the target over it.
            channels: whether to name the strongest channels of each stage.
            cell: (stage, row, column): name the strongest channels of that stage in this one cell.

        Returns:
            Explanation: probabilities of all heads, and the signed maps of the stages that the head sees.

        Raises:
            PictureError: the picture cannot be read.
            QuestionError: these weights have no such head or class, or the stage no such cell.

        Source: Selvaraju et al., "Grad-CAM", 2017; Zhang et al., "Finer-CAM", 2025, for the contrast.

        Example:
            >>> from googlenet import Explainer
            >>> explainer = Explainer.from_pretrained("weights", device="cpu")
            >>> from PIL import Image
            >>> explanation = explainer.explain(Image.new("RGB", (320, 240)), head="aux2", target=3)
            >>> explanation.question.target, sorted(explanation.grids)
            (3, ['3a', '3b', '4a', '4b', '4c', '4d'])
            >>> explanation.maps["4c"].shape
            (240, 320)
        """
        question = self.question(head, target, contrast, channels=channels, cell=cell)
        return self.explain_batch([open_image(image)], [question])[0]

    def question(
        self,
        head: str = "main",
        target: str | int | None = None,
        contrast: str | int | None = None,
        *,
        channels: bool = False,
        cell: tuple[str, int, int] | None = None,
    ) -> Question:
        """A checked question. Raises QuestionError for a head, class or cell that these weights do not have."""
        question = Question(
            head,
            None if target in (None, "") else self.find_class(target),
            None if contrast in (None, "") else self.find_class(contrast),
            channels or cell is not None,
            None if cell is None else Cell(*cell),
        )
        self.check(question)
        return question

    def check(self, question: Question) -> None:
        """Raises QuestionError for a head or cell that these weights do not have, IndexError for a class that they do not."""
        if question.head not in HEADS:
            raise QuestionError("There is no head {head}; choose main, aux2 or aux1.", head=repr(question.head))
        if question.head != "main" and not self.config.architecture.aux_heads:
            raise QuestionError(
                "The weights {source} have no trained {head} head; ask about the main head.",
                source=self.provenance.source,
                head=question.head,
            )
        if question.cell is not None:
            self.check_cell(question.head, question.cell)
        for index in (question.target, question.contrast):
            if index is not None and not 0 <= index < len(self.labels):
                raise IndexError(f"class {index} of {len(self.labels)}")

    def check_cell(self, head: str, cell: Cell) -> None:
        """Raises QuestionError for a stage that the head does not see, or a cell that the stage does not have."""
        if cell.stage not in STAGES_BEFORE[head]:
            raise QuestionError(
                "The {head} head sees no stage {stage}; choose one of {stages}.",
                head=head,
                stage=repr(cell.stage),
                stages=", ".join(STAGES_BEFORE[head]),
            )
        height, width = self.grid_sizes[cell.stage]
        if not (0 <= cell.row < height and 0 <= cell.column < width):
            raise QuestionError(
                "Stage {stage} has {height} rows and {width} columns of cells; there is none in row {row}, column {column}.",
                stage=cell.stage,
                height=height,
                width=width,
                row=cell.row,
                column=cell.column,
            )

    def find_class(self, name: str | int | None) -> int:
        """A label or an index → index. Raises QuestionError for none or several.

        Case matters only between labels that differ by nothing else: "Cardigan" (a dog) and "cardigan" are two classes.
        """
        stripped = str(name).strip()
        text = stripped.casefold()
        found = [i for i, label in enumerate(self.labels) if label.casefold() == text]
        found = [i for i in found if self.labels[i] == stripped] or found
        if len(found) == 1:
            return found[0]
        if found:
            raise QuestionError(
                "Several classes are called {name}; ask by index: {indices}.", name=name, indices=", ".join(map(str, found))
            )
        if text.isdecimal() and int(text) < len(self.labels):
            return int(text)
        near = difflib.get_close_matches(text, [label.casefold() for label in self.labels], n=3, cutoff=0.5)
        if near:
            raise QuestionError("No class is called {name}; did you mean {near}?", name=repr(name), near=", ".join(near))
        raise QuestionError(
            "No class is called {name}; use one of the {count} labels or an index from 0 to {last}.",
            name=repr(name),
            count=len(self.labels),
            last=len(self.labels) - 1,
        )

    def explain_batch(self, images: Sequence[Image.Image], questions: Sequence[Question]) -> list[Explanation]:
        """One question for each RGB picture, in as few passes as possible."""
        for question in questions:
            self.check(question)
        requests = [
            Request(self.config.preprocess(image), question, image.size, Future())
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

    def run(self, x: Tensor, questions: Sequence[Question]) -> GradCamResult:
        """One pass over the prepared pictures x (N, 3, S, S)."""
        self.passes += 1
        return grad_cam(self.model, x.to(self.device, memory_format=torch.channels_last), questions)

    def explanations(self, batch: list[Request], answer: GradCamResult) -> list[Explanation]:
        """One pass's tensors, taken apart by picture."""
        temperatures = self.config.temperatures or {}
        probabilities = {
            head: None if logits is None else (logits / temperatures.get(head, 1.0)).softmax(dim=1).cpu().numpy()
            for head, logits in zip(HEADS, answer.logits, strict=True)
        }
        grids = {stage: maps.cpu().numpy() for stage, maps in answer.branch_maps.items()}
        channels = {stage: ChannelMaps(*(t.cpu() for t in found)) for stage, found in answer.channels.items()}
        threshold = self.config.metrics.unlikely_below if self.config.metrics else None
        explanations = []
        for i, request in enumerate(batch):
            own = {head: None if p is None else p[i] for head, p in probabilities.items()}
            question = replace(request.question, target=int(answer.targets[i]))
            seen = self.config.preprocess.seen(request.size)
            seen_stages = STAGES_BEFORE[question.head]
            explanations.append(
                Explanation(
                    size=request.size,
                    seen=seen,
                    question=question,
                    labels=self.labels,
                    probabilities=own,
                    branch_grids={stage: grids[stage][i] for stage in seen_stages},
                    weights=self.provenance,
                    unlikely=threshold is not None and float(own["main"].max()) < threshold,  # type: ignore[union-attr]
                    channels={s: self.channels(s, channels[s], i, seen) for s in seen_stages} if question.channels else None,
                )
            )
        return explanations

    def channels(self, stage: str, found: ChannelMaps, i: int, seen: Box) -> tuple[Channel, ...]:
        """The strongest channels of a stage for the i-th picture of a pass."""
        ends = np.cumsum(self.model.stage(stage).splits)
        named = []
        for place, (index, share, grid) in enumerate(zip(*(values[i].numpy() for values in found), strict=True)):
            if share > 0 if place < FOR else share < 0:
                branch = BRANCHES[int(np.searchsorted(ends, index, side="right"))]
                named.append(Channel(int(index), branch, float(share), grid, peak_of(np.abs(grid), seen)))
        return tuple(named)
