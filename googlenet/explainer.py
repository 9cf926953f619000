"""Pictures and questions in, Explanations out: the one object that the page, the command line and Python share."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from googlenet.architecture import BRANCHES, HEADS, STAGES_BEFORE
from googlenet.checkpoints import LoadedModel, load
from googlenet.config import ModelConfig
from googlenet.device import half_precision, pick_device
from googlenet.engine import Engine, PictureResult
from googlenet.errors import QuestionError
from googlenet.explanation import Box, Cell, Channel, Explanation, Question, peak_of
from googlenet.gradcam import FOR, ChannelMaps
from googlenet.images import ImageSource, open_image
from googlenet.labels import Labels

T = TypeVar("T")


@dataclass
class Request:
    """Pictures that wait for a pass: at most as many as one pass takes."""

    x: Tensor
    """(N, 3, S, S)"""
    questions: Sequence[Question]
    results: Future[list[PictureResult]]


class Explainer:
    """A model that answers questions about pictures, from any number of threads.

    The thread that gets the lock runs the queued requests in one pass, as many as one pass takes, each with its own question. No
    thread waits for a batch to fill.

    Args:
        loaded: what `googlenet.load` gives.
        device: `auto` (CUDA where there is a GPU, else the CPU), `cpu` or `cuda`.
        bfloat16: whether the convolutions run in it; by default for float32 weights on a CPU with instructions for it.

    Raises:
        UserError: CUDA is asked for, and there is no GPU.
    """

    def __init__(self, loaded: LoadedModel, device: str = "auto", *, bfloat16: bool | None = None) -> None:
        self.config: ModelConfig = loaded.config
        self.provenance = loaded.provenance
        self.classes = Labels(loaded.config.labels)
        self.model = loaded.model.for_inference()
        where = pick_device(device)
        if bfloat16 is None:
            bfloat16 = where.type == "cpu" and half_precision(where) and self.model.fc.weight.dtype == torch.float32
        if bfloat16:
            self.model.to_bfloat16()
        self.queue: deque[Request] = deque()
        self.model_free = threading.Lock()
        self.to(where)
        self.grid_sizes = self.engine.warm_up()
        """stage → (rows, columns) of its map"""

    def to(self, device: str | torch.device, *, graphs: bool | None = None) -> None:
        """Move the model to a device. Its precision stays as chosen. `graphs`: whether a GPU captures the pass (`Engine`); False
        on a Space with ZeroGPU, where each call runs in a process of its own and would have to capture anew."""
        self.device = torch.device(device)
        self.model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.engine = Engine(self.model, self.config.preprocess.crop, graphs=graphs)

    @classmethod
    def from_pretrained(
        cls, source: str = "weights", *, revision: str | None = None, device: str = "auto", bfloat16: bool | None = None
    ) -> Explainer:
        """Load weights and make an Explainer of them.

        Args:
            source: a folder, a file, `user/repo[@revision][:file]`, or `weights` for the built-in weights.
            revision: a branch, tag or commit of a repository on the Hub.
            device: `auto` (CUDA where there is a GPU, else the CPU), `cpu` or `cuda`.
            bfloat16: whether the convolutions run in it; by default for float32 weights on a CPU with instructions for it.

        Raises:
            WeightsError: the weights cannot be found, fetched or read.
            UserError: CUDA is asked for, and there is no GPU.

        Example:
            >>> from googlenet import Explainer
            >>> len(Explainer.from_pretrained("weights", device="cpu").labels)
            1000
        """
        return cls(load(f"{source}@{revision}" if revision else source), device, bfloat16=bfloat16)

    @property
    def labels(self) -> tuple[str, ...]:
        return self.config.labels

    @property
    def waiting(self) -> int:
        """How many requests wait for a pass."""
        return len(self.queue)

    def preprocess(self, image: ImageSource) -> Tensor:
        """Prepare a picture as the weights ask.

        Args:
            image: a PIL image, the path of a file, or a file's bytes.

        Returns:
            Tensor: the network's input (1, 3, S, S) float32, S the weights' size of use.

        Raises:
            PictureError: the picture cannot be read.

        Example:
            >>> from PIL import Image
            >>> from googlenet import Explainer
            >>> Explainer.from_pretrained("weights", device="cpu").preprocess(Image.new("RGB", (320, 240))).shape
            torch.Size([1, 3, 224, 224])
        """
        return self.config.preprocess(open_image(image))

    def prepare(self, images: Sequence[Image.Image]) -> Tensor:
        """RGB pictures → the network's input (N, 3, S, S) float32."""
        return torch.cat([self.config.preprocess(image) for image in images])

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
        image = open_image(image)
        return self.explain_prepared(self.prepare([image]), [image.size], [question])[0]

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

    def check_stage(self, head: str, stage: str) -> None:
        """Raises QuestionError for a stage that the head does not see."""
        if stage not in STAGES_BEFORE[head]:
            raise QuestionError(
                "The {head} head sees no stage {stage}; choose one of {stages}.",
                head=head,
                stage=repr(stage),
                stages=", ".join(STAGES_BEFORE[head]),
            )

    def check_cell(self, head: str, cell: Cell) -> None:
        """Raises QuestionError for a stage that the head does not see, or a cell that the stage does not have."""
        self.check_stage(head, cell.stage)
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

    def find_class(self, name: str | int) -> int:
        """A label or an index → index. Raises QuestionError for none or several (`googlenet.labels`)."""
        return self.classes.find(name)

    def explain_batch(self, images: Sequence[Image.Image], questions: Sequence[Question]) -> list[Explanation]:
        """Explain many pictures, in as few passes as possible. The next are prepared while the model runs.

        Args:
            images: RGB pictures, upright (`googlenet.images.open_image`).
            questions: one for each picture (`question`).

        Returns:
            list[Explanation]: in the order of the pictures.

        Raises:
            QuestionError: these weights do not have a question's head or cell.

        Example:
            >>> from PIL import Image
            >>> from googlenet import Explainer
            >>> explainer = Explainer.from_pretrained("weights", device="cpu")
            >>> images = [Image.new("RGB", (320, 240)), Image.new("RGB", (64, 64))]
            >>> questions = [explainer.question(target="lion"), explainer.question("aux1")]
            >>> [explanation.question.head for explanation in explainer.explain_batch(images, questions)]
            ['main', 'aux1']
        """
        parts = self.parts(len(images))
        explanations: list[Explanation] = []
        with ThreadPoolExecutor(1) as ahead:
            tasks = (ahead.submit(self.prepare, images[part]) for part in parts)
            for part, x in zip(parts, one_ahead(tasks), strict=True):
                explanations += self.explain_prepared(x, [image.size for image in images[part]], questions[part])
        return explanations

    def parts(self, n: int) -> list[slice]:
        """n pictures in parts of as many as one pass takes."""
        step = self.engine.largest
        return [slice(start, start + step) for start in range(0, n, step)]

    def explain_prepared(self, x: Tensor, sizes: Sequence[tuple[int, int]], questions: Sequence[Question]) -> list[Explanation]:
        """Explain pictures that are prepared already (`preprocess`).

        Args:
            x: (N, 3, S, S) float32.
            sizes: (width, height) in pixels of each picture before its preparation.
            questions: one for each picture.
        """
        results = self.run(x, questions)
        return [self.explanation(*each) for each in zip(results, sizes, questions, strict=True)]

    def run(self, x: Tensor, questions: Sequence[Question]) -> list[PictureResult]:
        """The passes' own numbers for prepared pictures x (N, 3, S, S), through the queue that all threads share."""
        for question in questions:
            self.check(question)
        requests = [Request(x[part], questions[part], Future()) for part in self.parts(len(x))]
        self.queue.extend(requests)
        for request in requests:
            while not request.results.done():
                with self.model_free:  # its holder runs what waits, so that this request may be done by now
                    if not request.results.done():
                        self.run_waiting()
        return [result for request in requests for result in request.results.result()]

    def run_waiting(self) -> None:
        """One pass over the next requests in the queue. The caller holds `model_free`."""
        batch = [self.queue.popleft()]
        pictures = len(batch[0].questions)
        while self.queue and pictures + len(self.queue[0].questions) <= self.engine.largest:
            batch.append(self.queue.popleft())
            pictures += len(batch[-1].questions)
        try:
            x = batch[0].x if len(batch) == 1 else torch.cat([request.x for request in batch])
            results = iter(self.engine(x, [question for request in batch for question in request.questions]))
            for request in batch:
                request.results.set_result(list(islice(results, len(request.questions))))
        except BaseException as error:
            for request in batch:
                if not request.results.done():
                    request.results.set_exception(error)
            if not isinstance(error, Exception):
                raise

    def probabilities(self, x: Tensor) -> dict[str, NDArray[np.float32]]:
        """Prepared pictures x (N, 3, S, S) → by head, of those that the weights have, probabilities (N, classes); no maps.

        Others may ask between batches.
        """
        temperatures, found = self.config.temperatures or {}, []
        for some in x.split(self.engine.largest):
            with self.model_free, torch.no_grad():
                logits = self.model.heads(some.to(self.device, memory_format=torch.channels_last))
            found.append(
                {
                    head: (values.float() / temperatures.get(head, 1.0)).softmax(dim=1).cpu().numpy()
                    for head, values in zip(HEADS, logits, strict=True)
                    if values is not None
                }
            )
        return {head: np.concatenate([batch[head] for batch in found]) for head in found[0]}

    def explanation(self, result: PictureResult, size: tuple[int, int], question: Question) -> Explanation:
        """One picture's numbers in their frame."""
        result = result.copy()  # else one picture would keep its whole batch in memory
        question = replace(question, target=int(result["target"]))
        temperatures = self.config.temperatures or {}
        probabilities = {head: softmax(result.get(head), temperatures.get(head, 1.0)) for head in HEADS}
        stages = STAGES_BEFORE[question.head]
        seen = self.config.preprocess.seen(size)
        threshold = self.config.metrics.unlikely_below if self.config.metrics else None
        return Explanation(
            size=size,
            seen=seen,
            question=question,
            labels=self.labels,
            probabilities=probabilities,
            branch_grids={stage: result[stage] for stage in stages},
            weights=self.provenance,
            unlikely=threshold is not None and float(probabilities["main"].max()) < threshold,  # type: ignore[union-attr]
            channels={stage: self.channels(stage, result, seen) for stage in stages} if question.channels else None,
        )

    def channels(self, stage: str, result: PictureResult, seen: Box) -> tuple[Channel, ...]:
        """The strongest channels of a stage, for the class and then against it."""
        ends = np.cumsum(self.model.stage(stage).splits)
        found = []
        parts = (result[f"{stage} {name}"] for name in ChannelMaps._fields)
        for place, (index, share, grid) in enumerate(zip(*parts, strict=True)):
            if share > 0 if place < FOR else share < 0:
                branch = BRANCHES[int(np.searchsorted(ends, index, side="right"))]
                found.append(Channel(int(index), branch, float(share), grid, peak_of(np.abs(grid), seen)))
        return tuple(found)


def one_ahead(tasks: Iterator[Future[T]]) -> Iterator[T]:
    """The tasks' results in order. Each task is started while the result before it is in use."""
    coming = next(tasks, None)
    while coming is not None:
        now, coming = coming, next(tasks, None)
        yield now.result()


def softmax(logits: NDArray[np.float32] | None, temperature: float) -> NDArray[np.float32] | None:
    """softmax(logits / temperature); None for a head that the weights lack."""
    if logits is None:
        return None
    powers = np.exp((logits - logits.max()) / np.float32(temperature))
    return powers / powers.sum()
