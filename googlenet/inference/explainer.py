"""`Explainer`: pictures and questions in, Explanations out. The page, the command line and Python share it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from googlenet.checkpoints import LoadedModel, load
from googlenet.checkpoints.folder import trunk_sha256
from googlenet.checkpoints.source import Repository, parse_source
from googlenet.concurrency.threads import in_order, threads
from googlenet.errors import QuestionError, WeightsError
from googlenet.explanation import GRAD_CAM, LAYER_CAM, METHODS, Cell, Channel, Explanation, Group, Question, classes_of
from googlenet.explanation.classes import Labels
from googlenet.explanation.statements import Record, Speaker, bin_of
from googlenet.inference.device import half_precision, lanes, own_settings, pick_device
from googlenet.inference.engine import Engine, PictureResult
from googlenet.inference.gradcam import FOR, ChannelMaps
from googlenet.inference.passes import PassQueue
from googlenet.inference.worker import keep_workers
from googlenet.model.architecture import BRANCHES, HEADS, STAGES_BEFORE
from googlenet.model.network import GoogLeNet
from googlenet.pictures.frame import Box, peak_of
from googlenet.pictures.images import ImageSource, open_image

__all__ = ["Explainer"]


class Explainer:
    """A model that answers questions about pictures. Any number of threads may call it.

    Requests that wait at the same time share a pass through the network, each with its own question. On a CPU several passes run
    side by side: as many as the cores allow at torch's number of threads for each. A program with many threads gets most answers
    a second after `torch.set_num_threads(1)`.

    It can be pickled and copied; a copy has its own network, and runs on the CPU where there is no GPU. A process that is forked
    after torch has used several threads hangs in its first pass, as torch does: call `torch.set_num_threads(1)` in it first, or
    start processes with multiprocessing's method `spawn`.

    Args:
        loaded: what `googlenet.load` gives.
        device: `auto` (CUDA where there is a GPU, else the CPU), `cpu` or `cuda`.
        bfloat16: whether the convolutions run in bfloat16; by default for float32 weights on a CPU with instructions for it.

    Raises:
        UserError: `device` is `cuda`, and there is no GPU.

    Example:
        >>> import googlenet
        >>> explainer = googlenet.Explainer(googlenet.load("weights"), device="cpu")
        >>> explainer.labels[291], explainer.grid_sizes["5b"]
        ('lion', (7, 7))
    """

    @own_settings()
    def __init__(self, loaded: LoadedModel, device: str = "auto", *, bfloat16: bool | None = None) -> None:
        self.config = loaded.config
        self.provenance = loaded.provenance
        self.folder = loaded.folder
        """the folder of the weights on this disk"""
        self.trunk_sha256 = trunk_sha256(loaded.model)
        metrics = loaded.config.metrics
        self.speaker = Speaker(loaded.config.labels, metrics.statement_threshold if metrics else None)
        self.classes = Labels(loaded.config.labels, self.speaker.groups)
        self.model = loaded.model.for_inference()
        where = pick_device(device)
        if bfloat16 is None:
            bfloat16 = where.type == "cpu" and half_precision(where) and self.model.fc.weight.dtype == torch.float32
        if bfloat16:
            self.model.to_bfloat16()
        self.to(where)
        self.grid_sizes = self.engine.warm_up()
        """stage → (rows, columns) of its map"""

    @own_settings()
    def to(self, device: str | torch.device, *, graphs: bool | None = None) -> None:
        """Move the model to a device. Its precision stays the same.

        `graphs`: whether a GPU captures the pass, as for `Engine`.
        """
        self.device = torch.device(device)
        self.model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        twins = [self.model.twin() for _ in range(lanes(self.device) - 1)]
        engines = [Engine(model, self.config.preprocess.crop, graphs=graphs) for model in (self.model, *twins)]
        self.engine, self.passes = engines[0], PassQueue(engines)

    def __getstate__(self) -> dict[str, Any]:
        """All but the engines, with the network on the CPU."""
        kept = {name: value for name, value in vars(self).items() if name not in ("engine", "passes")}
        return kept | {"model": self.copied_model().cpu(), "device": self.device.type, "graphs": self.engine.graphs}

    @own_settings()
    def __setstate__(self, state: dict[str, Any]) -> None:
        graphs = state.pop("graphs")
        vars(self).update(state)
        self.model = copy.deepcopy(self.model)  # tensors that were made in inference mode cannot be used outside it
        self.to(pick_device("cpu" if state["device"] == "cpu" else "auto"), graphs=None if graphs else False)

    @classmethod
    def from_pretrained(
        cls, source: str = "weights", *, revision: str | None = None, device: str = "auto", bfloat16: bool | None = None
    ) -> Explainer:
        """Load weights and make an Explainer of them.

        Args:
            source: as `googlenet.load` takes it.
            revision: a branch, tag or commit of a repository on the Hub, in place of the source's.
            device, bfloat16: as for `Explainer`.

        Raises:
            WeightsError: the weights cannot be found, fetched or read.
            UserError: `device` is `cuda`, and there is no GPU.

        Example:
            >>> from googlenet import Explainer
            >>> len(Explainer.from_pretrained("weights", device="cpu").labels)
            1000
        """
        parsed = parse_source(source)
        if revision is not None:
            if not isinstance(parsed, Repository):
                raise WeightsError("{source} is not on the Hub and has no revisions; leave the revision out.", source=source)
            parsed = replace(parsed, revision=revision)
        return cls(load(parsed), device, bfloat16=bfloat16)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes' names, in the order of the logits."""
        return self.config.labels

    def preprocess(self, image: ImageSource) -> Tensor:
        """Resize, crop and normalise a picture as the weights require.

        Args:
            image: as for `explain`.

        Returns:
            Tensor: the network's input (1, 3, S, S) float32. S is `config.preprocess.crop`, in pixels.

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
        target: str | int | Group | None = None,
        contrast: str | int | Group | None = None,
        method: str = GRAD_CAM,
        channels: bool = False,
        cell: tuple[str, int, int] | None = None,
    ) -> Explanation:
        """Explain one picture.

        Args:
            image: a PIL image, a file's path, its bytes or the open file, or an array (`googlenet.pictures.images.open_image`).
            head: the classifier to explain: `main`, `aux2` or `aux1`.
            target: a class, by label or index, or a group of classes, by name ("dog", "a dog"); the head's top class by default.
            contrast: a class or group: explain the lead of the target's score over its score.
            method: `grad-cam` or `layer-cam`, which is sharper at early stages.
            channels: also name the strongest channels of each stage.
            cell: (stage, row, column): also name the strongest channels; in this stage those of this cell.

        Returns:
            Explanation: the probabilities of all heads, and the maps (Grad-CAM's are signed) of the stages that the head sees.

        Raises:
            PictureError: the picture cannot be read.
            QuestionError: these weights have no such head, class or group, the stage has no such cell, or the top class is the
                contrast.

        Source: Selvaraju et al., "Grad-CAM", 2017; Jiang et al., "LayerCAM", 2021; Zhang et al., "Finer-CAM", 2025, for the
        contrast.

        Example:
            >>> from PIL import Image
            >>> from googlenet import Explainer
            >>> image = Image.new("RGB", (320, 240))
            >>> explainer = Explainer.from_pretrained("weights", device="cpu")
            >>> explanation = explainer.explain(image, head="aux2", target="dog", contrast="cat", method="layer-cam")
            >>> len(explanation.question.target.indices), sorted(explanation.grids), explanation.maps["4c"].shape
            (118, ['3a', '3b', '4a', '4b', '4c', '4d'], (240, 320))
        """
        question = self.question(head, target, contrast, method=method, channels=channels, cell=cell)
        opened = open_image(image)
        (explanation,) = self.explain_prepared(self.prepare([opened]), [opened.size], [question])
        # an open file gives its bytes only once; an array or image may be used again
        kept = Path(image).resolve() if isinstance(image, str | Path) else image if isinstance(image, bytes) else opened
        return replace(explanation, picture=kept)

    def question(
        self,
        head: str = "main",
        target: str | int | Group | None = None,
        contrast: str | int | Group | None = None,
        *,
        method: str = GRAD_CAM,
        channels: bool = False,
        cell: tuple[str, int, int] | None = None,
    ) -> Question:
        """Make a question from names and check it, for `explain_batch` and `googlenet.examine`. The arguments are `explain`'s.

        Raises:
            QuestionError: these weights have no such head, class or group, the stage has no such cell, or a class is its own
                contrast.

        Example:
            >>> from googlenet import Explainer
            >>> question = Explainer.from_pretrained("weights", device="cpu").question("aux2", "lion", "a dog")
            >>> question.head, question.target, question.contrast.name
            ('aux2', 291, 'dog')
        """
        question = Question(
            head,
            None if target in (None, "") else self.find(target),
            None if contrast in (None, "") else self.find(contrast),
            channels or cell is not None,
            None if cell is None else Cell(*cell),
            method,
        )
        self.check(question)
        return question

    def check(self, question: Question) -> None:
        """Raises QuestionError for what these weights lack and for a class that is its own contrast, IndexError for an index."""
        head, cell = question.head, question.cell
        if head not in HEADS:
            raise QuestionError("There is no head {head}; choose main, aux2 or aux1.", head=repr(head))
        if head != "main" and not self.config.architecture.aux_heads:
            raise QuestionError(
                "The weights {source} have no trained {head} head; ask about the main head.",
                source=self.provenance.source,
                head=head,
            )
        if cell is not None:
            self.check_stage(head, cell.stage)
            height, width = self.grid_sizes[cell.stage]
            if not (0 <= cell.row < height and 0 <= cell.column < width):
                raise QuestionError(
                    "Stage {stage} has {height} rows and {width} columns of cells; there is none in row {row}, column {column}.",
                    height=height,
                    width=width,
                    **cell._asdict(),
                )
        if question.method not in METHODS:
            raise QuestionError("There is no method {method}; choose grad-cam or layer-cam.", method=repr(question.method))
        target, contrast = classes_of(question.target), classes_of(question.contrast)
        for index in (*target, *contrast):
            if not 0 <= index < len(self.labels):
                raise IndexError(f"class {index} of {len(self.labels)}")
        if target and set(target) == set(contrast):
            raise QuestionError(
                "The class and its contrast are both {label}; name two different classes, or no contrast.",
                label=question.target.name if isinstance(question.target, Group) else self.labels[target[0]],
            )

    @staticmethod
    def check_stage(head: str, stage: str) -> None:
        """Raises QuestionError for a stage that the head does not see."""
        stages = STAGES_BEFORE[head]
        if stage not in stages:
            raise QuestionError(
                "The {head} head sees no stage {stage}; choose one of {stages}.",
                head=head,
                stage=repr(stage),
                stages=", ".join(stages),
            )

    def find(self, name: str | int | Group) -> int | Group:
        """What a person names. Raises QuestionError where nothing or several classes have the name (`Labels.find`)."""
        return name if isinstance(name, Group) else self.classes.find(name)

    def explain_batch(self, images: Sequence[Image.Image], questions: Sequence[Question]) -> list[Explanation]:
        """Explain many pictures, in as few passes as possible. The next pass's pictures are prepared while the model runs.

        Args:
            images: RGB pictures, upright (`googlenet.pictures.images.open_image`).
            questions: one for each picture (`question`).

        Returns:
            list[Explanation]: in the order of the pictures.

        Raises:
            QuestionError: these weights have no such head or cell, or a top class is its contrast.

        Example:
            >>> from PIL import Image
            >>> from googlenet import Explainer
            >>> explainer = Explainer.from_pretrained("weights", device="cpu")
            >>> questions = [explainer.question(target="lion"), explainer.question("aux1")]
            >>> found = explainer.explain_batch([Image.new("RGB", (320, 240)), Image.new("RGB", (64, 64))], questions)
            >>> [explanation.question.head for explanation in found]
            ['main', 'aux1']
        """
        parts = self.passes.parts(len(images))
        explanations: list[Explanation] = []
        with threads(1) as pool:
            prepared = in_order(pool, lambda part: self.prepare(images[part]), parts, ahead=1)
            for part, x in zip(parts, prepared, strict=True):
                explanations += self.explain_prepared(x, [image.size for image in images[part]], questions[part])
        return explanations

    def explain_prepared(self, x: Tensor, sizes: Sequence[tuple[int, int]], questions: Sequence[Question]) -> list[Explanation]:
        """`explain_batch` for pictures that are prepared already, x (N, 3, S, S) float32, and had these sizes (width, height)."""
        explanations = []
        for outcome in self.outcomes(x, sizes, questions):
            if isinstance(outcome, QuestionError):
                raise outcome
            explanations.append(outcome)
        return explanations

    def outcomes(
        self, x: Tensor, sizes: Sequence[tuple[int, int]], questions: Sequence[Question]
    ) -> list[Explanation | QuestionError]:
        """As `explain_prepared`, with an error in the place of each picture whose top class is the contrast itself."""
        for question in questions:
            self.check(question)
        results = self.passes.run(x, questions)
        return [self._outcome(*each) for each in zip(results, sizes, questions, strict=True)]

    def _outcome(self, result: PictureResult, size: tuple[int, int], question: Question) -> Explanation | QuestionError:
        """The outcome of one picture of (width, height) pixels. A question without a class is about the head's top class."""
        config = self.config
        result = result.copy()  # else one picture would keep its whole batch in memory
        if question.target is None:
            question = replace(question, target=int(result["target"]))
            if classes_of(question.contrast) == classes_of(question.target):
                return QuestionError(
                    "The {head} head's top class is {label}, the contrast itself; name a target, or another contrast.",
                    head=question.head,
                    label=self.labels[classes_of(question.target)[0]],
                )
        temperatures = config.temperatures or {}
        probabilities = {head: _softmax(result.get(head), temperatures.get(head, 1.0)) for head in HEADS}
        stages = STAGES_BEFORE[question.head]
        layer_cam = question.method == LAYER_CAM
        seen = config.preprocess.seen(size)
        threshold = config.metrics.unlikely_below if config.metrics else None
        return Explanation(
            size=size,
            seen=seen,
            question=question,
            labels=config.labels,
            probabilities=probabilities,
            branch_grids={stage: result[stage] for stage in stages},
            weights=self.provenance,
            unlikely=threshold is not None and float(probabilities["main"].max()) < threshold,  # type: ignore[union-attr]
            channels={stage: self._channels(stage, result, seen) for stage in stages} if question.channels else None,
            against_grids={stage: result[f"{stage} against"] for stage in stages} if layer_cam else None,
            statements=self.speaker.statements(probabilities),
            record={head: None if p is None else self._record(head, float(p.max())) for head, p in probabilities.items()},
        )

    def _record(self, head: str, probability: float) -> Record | None:
        """How many answers with about this probability were right; None where it was not measured, or no answer had it."""
        metrics = self.config.metrics
        if metrics is None or metrics.records is None:
            return None
        measured, number = metrics.records[head], bin_of(probability)
        return Record(measured.right[number], measured.of[number]) if measured.of[number] else None

    def _channels(self, stage: str, result: PictureResult, seen: Box) -> tuple[Channel, ...]:
        """The strongest channels of a stage: first those for the class, then those against it."""
        ends = np.cumsum(self.model.stage(stage).splits)
        strongest = []
        parts = (result[f"{stage} {name}"] for name in ChannelMaps._fields)
        for place, (index, share, grid) in enumerate(zip(*parts, strict=True)):
            if share > 0 if place < FOR else share < 0:
                branch = BRANCHES[int(np.searchsorted(ends, index, side="right"))]
                strongest.append(Channel(int(index), branch, float(share), grid, peak_of(np.abs(grid), seen)))
        return tuple(strongest)

    def answer_in_workers(self) -> None:
        """For a server on a CPU: run the passes in worker processes while requests have to wait."""
        if self.device.type == "cpu":
            keep_workers(self.passes, self.copied_model, self.config.preprocess.crop)

    @own_settings()
    def copied_model(self) -> GoogLeNet:
        """A copy of the network for other work. It waits for a free engine, so that the copy has none of a pass's hooks."""
        with self.passes.engine() as engine:
            return copy.deepcopy(engine.model)

    @own_settings()
    def probabilities(self, x: Tensor) -> dict[str, NDArray[np.float32]]:
        """Classify prepared pictures x (N, 3, S, S) float32 without maps. Other threads' passes may run between the batches.

        Returns head → probabilities (N, classes) float32, for the heads that the weights have.
        """
        temperatures, batches = self.config.temperatures or {}, []
        for some in x.split(self.engine.largest):
            with self.passes.engine() as engine, torch.no_grad():
                logits = engine.model.heads(some.to(self.device, memory_format=torch.channels_last))
            batches.append(
                {
                    head: (values.float() / temperatures.get(head, 1.0)).softmax(dim=1).cpu().numpy()
                    for head, values in zip(HEADS, logits, strict=True)
                    if values is not None
                }
            )
        return {head: np.concatenate([batch[head] for batch in batches]) for head in batches[0]}


def _softmax(logits: NDArray[np.float32] | None, temperature: float) -> NDArray[np.float32] | None:
    """softmax(logits / temperature); None for a head that the weights lack."""
    if logits is None:
        return None
    powers = np.exp((logits - logits.max()) / np.float32(temperature))
    return powers / powers.sum()
