"""An answer about one picture as numbers: what the heads believe and where each stage found the evidence. NumPy alone."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from googlenet.architecture import BRANCHES, STAGES
from googlenet.frame import Box, enlarge, peak_of
from googlenet.verdict import Trust


class Cell(NamedTuple):
    """One cell of a stage's map."""

    stage: str
    row: int
    column: int


@dataclass(frozen=True)
class Question:
    """What an explanation explains: a head's logit of one class, or its lead over another class."""

    head: str = "main"
    """one of `googlenet.architecture.HEADS`"""
    target: int | None = None
    """class index; None for the head's own top class"""
    contrast: int | None = None
    """class index: explain y_target − y_contrast (the counterfactual as one question; Zhang et al., Finer-CAM, 2025)"""
    channels: bool = False
    """whether the strongest channels of each stage are wanted too"""
    cell: Cell | None = None
    """with `channels`: the stage of this cell ranks its channels by the cell alone; None ranks all stages by whole maps"""


@dataclass(frozen=True)
class Provenance:
    """Where a loaded model came from, so that a result can be repeated."""

    source: str
    """as asked for"""
    revision: str | None
    """the Hub commit (40 hex digits); None for a folder or file"""
    sha256: str
    """of the weights file, hex"""
    license: str | None
    """from the model card's header"""
    offline: bool
    """True where the Hub could not be asked and the cached copy is used"""
    assumed: str | None = None
    """the normalisation that is assumed (`half` or `imagenet`) where the file does not say it"""


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
class Channel:
    """One channel's part of a stage's evidence. Every channel's map is α_k A_k; all channels of a stage sum to its map."""

    channel: int
    """index among the stage's channels"""
    branch: str
    """the branch that it belongs to, one of `googlenet.architecture.BRANCHES`"""
    share: float
    """−1…1: its part of the stage's evidence, or of the asked cell's; below 0 where it speaks against. The absolute shares of all
    channels sum to 1."""
    grid: NDArray[np.float32]
    """its signed map (H, W) on the stage's cells, in logit units"""
    peak: tuple[float, float]
    """the centre of its strongest cell in the picture's frame"""


@dataclass(frozen=True)
class Explanation:
    """One answer: what the heads believe and where each stage found the evidence. Keeps the native grids alone (about 70 KB).

    For the asked head and class with logit y, and a stage with activation A of K channels on H×W cells, the signed map is
    Σ_k α_k A_k with α_k = 1/(H·W) Σ_ij ∂y/∂A_kij (Selvaraju et al., "Grad-CAM", 2017). `grids` holds it, `branch_grids` its four
    parts, and `maps` its positive part, enlarged to the picture.

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
    probabilities: dict[str, NDArray[np.float32] | None]
    """head → softmax(logits / temperature) (classes,); None for a head that the weights lack"""
    branch_grids: dict[str, NDArray[np.float32]]
    """stage → (4, H, W), signed, in logit units, the branches in the order of `BRANCHES`; the stages seen by the asked head"""
    weights: Provenance
    unlikely: bool
    """whether the main head's best probability is so low that none of the labels looks likely"""
    channels: dict[str, tuple[Channel, ...]] | None = None
    """stage → up to five channels that speak most for the class, then up to three most against; None where not asked for"""
    trust: dict[str, Trust] | None = None
    """stage → how far its map can be trusted on this picture; None where it was not tested (`googlenet.trust.examine`)"""

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
        """The JSON object of the command line and the API (README, "The result as JSON")."""
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
        """A NumPy archive: each seen stage's signed map on its own grid, the `seen` box and the picture's `size` (w, h).

        Also `<stage>_branches`, the four branches' maps (4, H, W) that sum to it, in the order of `BRANCHES`, and
        `question_head`, `question_target` and, where one was asked, `question_contrast` (class indices).

        With channels also `<stage>_channels`, their indices, and `<stage>_channel_maps`, their signed maps (channels, H, W).
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
    if stage is None:
        return {"name": name, "size": None, "peak": None, "share_of_evidence": None, "branches": None}
    return {**vars(stage), "size": list(stage.size), "peak": stage.peak and list(stage.peak)}


def channels_json(channels: Mapping[str, tuple[Channel, ...]], cell: Cell | None) -> dict[str, Any]:
    """stage → its strongest channels for and against the class; `cell` is [row, column] where the stage was asked about one."""

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
