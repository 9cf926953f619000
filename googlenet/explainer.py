"""Pictures and questions in, Explanations out: the one object that the page, the command line and Python share."""

from __future__ import annotations

import difflib
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from googlenet.architecture import HEADS, STAGES_BEFORE
from googlenet.checkpoints import LoadedModel, load
from googlenet.config import ModelConfig
from googlenet.device import half_precision, pick_device
from googlenet.errors import QuestionError
from googlenet.explanation import Explanation, Question
from googlenet.gradcam import GradCamResult, grad_cam
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
        """Load a SOURCE (`googlenet.load`). Raises UserError in one sentence for whatever keeps it from loading."""
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
        """A checked question. Raises QuestionError for an unknown head or class, or a head that the weights lack."""
        if head not in HEADS:
            raise QuestionError("There is no head {head}; choose main, aux2 or aux1.", head=repr(head))
        if head != "main" and not self.config.architecture.aux_heads:
            raise QuestionError(
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
