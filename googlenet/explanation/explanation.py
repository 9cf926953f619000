"""The data classes of a question and its answer: probabilities, maps, channels, and their JSON. NumPy alone, no torch."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from googlenet.explanation.verdict import Trust
from googlenet.model.architecture import BRANCHES, STAGES
from googlenet.pictures.frame import Box, enlarge, peak_of


class Cell(NamedTuple):
    """One cell of a stage's map."""

    stage: str
    row: int
    column: int


@dataclass(frozen=True)
class Question:
    """What an explanation explains: a head's logit of one class, or the lead of that logit over another class's.

    `Explainer.question` makes one from labels.
    """

    head: str = "main"
    """one of `googlenet.model.architecture.HEADS`"""
    target: int | None = None
    """class index; None for the head's own top class"""
    contrast: int | None = None
    """class index: explain y_target − y_contrast (Zhang et al., "Finer-CAM", 2025); None for the logit alone"""
    channels: bool = False
    """whether the answer names the strongest channels of each stage"""
    cell: Cell | None = None
    """with `channels`: this cell's stage ranks its channels by their part of the cell; None: by their part of the whole map"""


@dataclass(frozen=True)
class Provenance:
    """Where a model came from, so that a result can be repeated."""

    source: str
    """the SOURCE that the user named"""
    revision: str | None
    """the Hub commit (40 hex digits); None for a folder or file"""
    sha256: str
    """of the weights file, hex"""
    license: str | None
    """from the model card's header"""
    offline: bool
    """True where the Hub did not answer and the cached copy is used"""
    assumed: str | None = None
    """the normalisation (`half` or `imagenet`) that is assumed where the file does not state it"""


@dataclass(frozen=True)
class Prediction:
    """A class and its probability in one head."""

    index: int
    label: str
    probability: float


@dataclass(frozen=True)
class Stage:
    """One stage's summary."""

    name: str
    size: tuple[int, int]
    """(height, width) of the map in cells"""
    peak: tuple[float, float] | None
    """(x, y): the strongest cell's centre, in pixels of the picture; None without positive evidence"""
    share_of_evidence: float
    """0…1: the sum of the map's positive part, divided by the sum of its absolute values"""
    branches: dict[str, float]
    """branch → its share of the positive evidence, Σ ReLU(branch map) normalised over the four"""


@dataclass(frozen=True, eq=False)  # its arrays have no equality that is one truth value
class Channel:
    """One channel's part of a stage's evidence. Channel k's map is α_k A_k. The maps of all channels sum to the stage's map."""

    channel: int
    """index among the stage's channels"""
    branch: str
    """its branch, one of `googlenet.model.architecture.BRANCHES`"""
    share: float
    """−1…1: its share of the stage's evidence, or of the asked cell's. A share below 0 speaks against the class. The absolute
    shares of all channels of a stage sum to 1."""
    grid: NDArray[np.float32]
    """its signed map (H, W) on the stage's cells, in logit units"""
    peak: tuple[float, float]
    """(x, y): the centre of the cell with the largest absolute value, in pixels of the picture"""


@dataclass(frozen=True, eq=False)  # its arrays have no equality that is one truth value
class Explanation:
    """The answer to one question about one picture: the heads' probabilities, and where each stage found the evidence.

    For the asked head and class with logit y, and a stage with activation A of K channels on H×W cells, the signed map is
    Σ_k α_k A_k with α_k = 1/(H·W) Σ_ij ∂y/∂A_kij (Selvaraju et al., "Grad-CAM", 2017). `grids` holds it, `branch_grids` its four
    branches' parts, and `maps` its positive part, enlarged to the picture when it is read.

    Example:
        >>> from PIL import Image
        >>> from googlenet import Explainer
        >>> explanation = Explainer.from_pretrained("weights", device="cpu").explain(Image.new("RGB", (320, 240)), target="lion")
        >>> explanation.grids["5b"].shape, explanation.branch_grids["5b"].shape, explanation.maps["5b"].shape
        ((7, 7), (4, 7, 7), (240, 320))
        >>> list(explanation.belief), explanation.stages[8].name, len(explanation.heads["main"])
        (['aux1', 'aux2', 'main'], '5b', 5)
    """

    size: tuple[int, int]
    """(width, height) of the picture in pixels"""
    seen: Box
    """the part of the picture that the crop kept"""
    question: Question
    """with its target filled in"""
    labels: tuple[str, ...]
    """the classes' names, in the order of the logits"""
    probabilities: dict[str, NDArray[np.float32] | None]
    """head → softmax(logits / temperature) (classes,); None for a head that the weights lack"""
    branch_grids: dict[str, NDArray[np.float32]]
    """stage → (4, H, W) float32, signed, in logit units, in the order of `BRANCHES`, for the stages that the asked head sees"""
    weights: Provenance
    unlikely: bool
    """whether the main head's best probability is below the weights' threshold: no label looks likely"""
    channels: dict[str, tuple[Channel, ...]] | None = None
    """stage → up to five channels that speak most for the class, then up to three that speak most against it; None: not asked"""
    trust: dict[str, Trust] | None = None
    """stage → how far its map can be trusted on this picture (`googlenet.examine`); None: not tested"""

    @property
    def grids(self) -> dict[str, NDArray[np.float32]]:
        """stage → signed map (H, W) float32 on the stage's cells, in logit units: the sum of its branches."""
        return {stage: grid.sum(axis=0) for stage, grid in self.branch_grids.items()}

    @property
    def maps(self) -> Maps:
        """stage → Grad-CAM ≥ 0, (height, width) float32 in pixels of the picture, 0 outside `seen`.

        A map is computed at each look-up and not kept.
        """
        return Maps(self)

    @property
    def heads(self) -> dict[str, tuple[Prediction, ...] | None]:
        """head → its five most probable classes; None for a head that the weights lack."""
        return {head: None if p is None else self.top(p) for head, p in self.probabilities.items()}

    def top(self, probabilities: NDArray[np.float32]) -> tuple[Prediction, ...]:
        """The five most probable of (classes,) probabilities."""
        best = np.argsort(-probabilities, kind="stable")[:5]
        return tuple(Prediction(int(i), self.labels[i], float(probabilities[i])) for i in best)

    @property
    def belief(self) -> dict[str, float | None]:
        """head → the asked class's probability; None for a head that the weights lack."""
        target = self.question.target
        return {head: None if p is None else float(p[target]) for head, p in self.probabilities.items()}

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The summaries of the stages that the asked head sees, in order of depth."""
        return tuple(self.summary(name) for name in self.branch_grids)

    def summary(self, name: str) -> Stage:
        """The summary of one stage that the asked head sees."""
        branches = self.branch_grids[name]
        grid = branches.sum(axis=0)
        height, width = grid.shape
        peak = peak_of(grid, self.seen)
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
        """The JSON object of the command line and the API (README, "The result as JSON"). `image`: the picture's name."""
        question = self.question
        assert question.target is not None
        summaries = {stage.name: stage for stage in self.stages}
        channels = {} if self.channels is None else {"channels": channels_json(self.channels, question.cell)}
        trust = {} if self.trust is None else {"trust": {stage: found.to_json() for stage, found in self.trust.items()}}
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
            **channels,
            **trust,
        }

    def npz(self) -> bytes:
        """The arrays as a NumPy archive (`.npz`), for the stages that the asked head sees.

        seen: x0, y0, x1, y1 in pixels. size: width, height.
        <stage>: the signed map (H, W). <stage>_branches: its four parts (4, H, W) in the order of `BRANCHES`.
        question_head, question_target and, where one was asked, question_contrast: the classes as indices.
        <stage>_channels, <stage>_channel_maps: with channels, their indices and signed maps (channels, H, W).
        """
        arrays: dict[str, Any] = {"seen": np.array(self.seen), "size": np.array(self.size), **self.grids}
        arrays |= {f"{stage}_branches": grid for stage, grid in self.branch_grids.items()}
        asked = {"head": self.question.head, "target": self.question.target, "contrast": self.question.contrast}
        arrays |= {f"question_{name}": np.array(value) for name, value in asked.items() if value is not None}
        for stage, channels in (self.channels or {}).items():
            arrays[f"{stage}_channels"] = np.array([c.channel for c in channels], np.int64)
            arrays[f"{stage}_channel_maps"] = np.array([c.grid for c in channels], np.float32)
        file = io.BytesIO()
        np.savez(file, **arrays)
        return file.getvalue()


def stage_json(name: str, stage: Stage | None) -> dict[str, Any]:
    """A stage's JSON, null values for a stage that the asked head does not see."""
    if stage is None:
        return {"name": name, "size": None, "peak": None, "share_of_evidence": None, "branches": None}
    return {**vars(stage), "size": list(stage.size), "peak": stage.peak and list(stage.peak)}


def channels_json(channels: Mapping[str, tuple[Channel, ...]], cell: Cell | None) -> dict[str, Any]:
    """stage → its strongest channels for and against the class; `cell` is [row, column] of the asked cell, else null."""

    def some(stage: str, sign: int) -> list[dict[str, Any]]:
        return [
            {"channel": c.channel, "branch": c.branch, "share": c.share, "peak": list(c.peak)}
            for c in channels[stage]
            if c.share * sign > 0
        ]

    return {
        stage: {
            "cell": [cell.row, cell.column] if cell and cell.stage == stage else None,
            "for": some(stage, 1),
            "against": some(stage, -1),
        }
        for stage in channels
    }


class Maps(Mapping[str, NDArray[np.float32]]):
    """`Explanation.maps`. Each is enlarged when it is read: nine maps of a 12-megapixel picture would take 432 MB."""

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
