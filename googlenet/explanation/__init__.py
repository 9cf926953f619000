"""A question and its answer as data: probabilities, maps, channels, and their JSON. NumPy and Pillow alone, no torch."""

from __future__ import annotations

import html
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from googlenet.errors import PictureError
from googlenet.explanation.classes import Group
from googlenet.explanation.statements import Record, Statement
from googlenet.explanation.trust import Trust
from googlenet.model.architecture import BRANCHES, STAGES
from googlenet.pictures.frame import Box, enlarge, peak_of

if TYPE_CHECKING:  # it imports torch
    from googlenet.pictures.images import ImageSource

__all__ = [
    "GRAD_CAM",
    "LAYER_CAM",
    "METHODS",
    "Cell",
    "Channel",
    "Explanation",
    "Group",
    "Prediction",
    "Provenance",
    "Question",
    "Record",
    "Stage",
    "Statement",
    "classes_of",
    "likeliest",
]


METHODS = GRAD_CAM, LAYER_CAM = ("grad-cam", "layer-cam")
"""How a map is made of a stage's activation and its gradient (`googlenet.inference.gradcam`)."""


class Cell(NamedTuple):
    """One cell of a stage's map."""

    stage: str
    row: int
    column: int


@dataclass(frozen=True)
class Question:
    """What an explanation explains: a head's score of a class or group, or the lead of that score over another's.

    The score of a class is its logit. The score of a group is the logsumexp of its classes' logits. `Explainer.question` makes a
    question from names.
    """

    head: str = "main"
    """one of `googlenet.model.architecture.HEADS`"""
    target: int | Group | None = None
    """class index or group; None for the head's own top class"""
    contrast: int | Group | None = None
    """class index or group: explain y_target − y_contrast (Zhang et al., "Finer-CAM", 2025); None for the score alone"""
    channels: bool = False
    """whether the answer names the strongest channels of each stage"""
    cell: Cell | None = None
    """with `channels`: this cell's stage ranks its channels by their part of the cell; None: by their part of the whole map"""
    method: str = GRAD_CAM
    """one of `METHODS`"""


def classes_of(asked: int | Group | None) -> tuple[int, ...]:
    """The indices of the classes that a question's target or contrast names."""
    if asked is None:
        return ()
    return asked.indices if isinstance(asked, Group) else (asked,)


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
    """0…1: the sum of the map's positive part, divided by the sum of all evidence, for and against"""
    branches: dict[str, float]
    """branch → its share of the positive evidence, Σ ReLU(branch map) normalised over the four"""


@dataclass(frozen=True, eq=False)  # its arrays have no equality that is one truth value
class Channel:
    """One channel's part of a stage's evidence.

    Grad-CAM: channel k's map is α_k A_k, and the maps of all channels sum to the stage's map. LayerCAM: a channel has a part of
    the map, ReLU(∂y/∂A_k) ⊙ A_k, and a part of the evidence against. It may be strong in both and is then named twice.
    """

    channel: int
    """index among the stage's channels"""
    branch: str
    """its branch, one of `googlenet.model.architecture.BRANCHES`"""
    share: float
    """−1…1: its share of the stage's evidence, or of the asked cell's. A share below 0 speaks against the class. The absolute
    shares of all channels of a stage sum to 1."""
    grid: NDArray[np.float32] = field(repr=False)
    """its map (H, W) on the stage's cells, in logit units; signed for Grad-CAM; for LayerCAM of the share's sign"""
    peak: tuple[float, float]
    """(x, y): the centre of the cell with the largest absolute value, in pixels of the picture"""


@dataclass(frozen=True, eq=False, repr=False)  # its arrays have no equality that is one truth value
class Explanation:
    """The answer to one question about one picture: the heads' probabilities, and where each stage found the evidence.

    Grad-CAM's map (Selvaraju et al., 2017) is signed: a cell below 0 speaks against the class. LayerCAM's (Jiang et al., 2021) is
    never below 0, and the evidence against the class is a map of its own. `grids` holds the map, `branch_grids` the parts of its
    four branches, `against` the evidence against by either method, and `maps` the map's positive part, enlarged to the picture
    when it is read.

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
    """stage → (4, H, W) float32, in logit units, in the order of `BRANCHES`, for the stages that the asked head sees; signed for
    Grad-CAM, ≥ 0 for LayerCAM"""
    weights: Provenance
    unlikely: bool
    """whether the main head's best probability is below the weights' threshold: no label looks likely"""
    channels: dict[str, tuple[Channel, ...]] | None = None
    """stage → up to five channels that speak most for the class, then up to three that speak most against it; None: not asked"""
    trust: dict[str, Trust] | None = None
    """stage → how far its map can be trusted on this picture (`googlenet.examine`); None: not tested"""
    against_grids: dict[str, NDArray[np.float32]] | None = None
    """LayerCAM's evidence against the class: stage → (4, H, W) float32 ≥ 0, in logit units; None for Grad-CAM"""
    statements: dict[str, Statement | None] | None = None
    """head → the most specific thing that is probably true; None for a head that the weights lack or that is sure of nothing.
    None: the classes are not ImageNet's and have no groups"""
    record: dict[str, Record | None] = field(default_factory=dict)
    """head → how many answers as sure as this one were right; None where it was not measured"""
    picture: ImageSource | None = None
    """what `Explainer.explain` was given or a copy, for `show`, `overlay` and notebooks; of a file its whole path. None: only the
    network's input was given"""

    @property
    def grids(self) -> dict[str, NDArray[np.float32]]:
        """stage → map (H, W) float32 on the stage's cells, in logit units: the sum of its branches."""
        return {stage: grid.sum(axis=0) for stage, grid in self.branch_grids.items()}

    @property
    def against(self) -> dict[str, NDArray[np.float32]]:
        """stage → evidence against the class, ≥ 0, (H, W) float32 in logit units: for Grad-CAM the map's negative part."""
        if self.against_grids is None:
            return {stage: (-grid).clip(min=0) for stage, grid in self.grids.items()}
        return {stage: grid.sum(axis=0) for stage, grid in self.against_grids.items()}

    @property
    def maps(self) -> Maps:
        """stage → the map's positive part, (height, width) float32 in pixels of the picture, 0 outside `seen`. It is not kept."""
        return Maps(self)

    @property
    def heads(self) -> dict[str, tuple[Prediction, ...] | None]:
        """head → its five most probable classes; None for a head that the weights lack."""
        return {head: None if p is None else likeliest(p, self.labels) for head, p in self.probabilities.items()}

    @property
    def belief(self) -> dict[str, float | None]:
        """head → the asked class's or group's probability; None for a head that the weights lack."""
        target = list(classes_of(self.question.target))
        return {head: None if p is None else float(p[target].sum()) for head, p in self.probabilities.items()}

    def name_of(self, asked: int | Group) -> str:
        """A class's label, or a group's name."""
        return asked.name if isinstance(asked, Group) else self.labels[asked]

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
        pro = float(grid.clip(min=0).sum())
        mass = pro + float(self.against[name].sum())
        positive = branches.clip(min=0).sum(axis=(1, 2))
        shares = positive / positive.sum() if positive.sum() > 0 else positive
        return Stage(
            name,
            (height, width),
            peak if grid.max() > 0 else None,
            pro / mass if mass > 0 else 0.0,
            {branch: float(share) for branch, share in zip(BRANCHES, shares, strict=True)},
        )

    def to_json(self, image: str) -> dict[str, Any]:
        """The JSON object of the command line and the API (docs/cli.md, "The result as JSON"). `image`: the picture's name."""
        question = self.question
        assert question.target is not None
        summaries = {stage.name: stage for stage in self.stages}
        record = self.record.get(question.head)
        channels = {} if self.channels is None else {"channels": _channels_json(self.channels, question.cell)}
        trust = {} if self.trust is None else {"trust": {stage: found.to_json() for stage, found in self.trust.items()}}
        return {
            "image": image,
            "weights": {"source": self.weights.source, "revision": self.weights.revision, "sha256": self.weights.sha256},
            "heads": {head: None if top is None else [vars(p) for p in top] for head, top in self.heads.items()},
            "statements": _statements_json(self.statements),
            "record": None if record is None else record._asdict(),
            "question": {
                "head": question.head,
                "target": self.asked_json(question.target),
                "contrast": None if question.contrast is None else self.asked_json(question.contrast),
                "method": question.method,
            },
            "belief": self.belief,
            "seen": list(self.seen),
            "stages": [_stage_json(name, summaries.get(name)) for name in STAGES],
            **channels,
            **trust,
        }

    def asked_json(self, asked: int | Group) -> dict[str, Any]:
        """A class as {index, label}; a group as {index: null, label, classes}, with its number of classes."""
        if isinstance(asked, Group):
            return {"index": None, "label": asked.name, "classes": len(asked.indices)}
        return {"index": asked, "label": self.labels[asked]}

    def show(self) -> Image.Image:
        """The contact sheet (`googlenet.explanation.render.sheet`). Raises ValueError where the explanation has no picture."""
        from googlenet.explanation.render import sheet

        return sheet(self.photograph(), self)

    def overlay(self, stage: str, side: int | None = 512) -> Image.Image:
        """A stage's map over the photograph.

        Args:
            stage: a stage that the asked head sees.
            side: the longer side of the result in pixels at most; None keeps the photograph's size.

        Raises:
            PictureError: the photograph's file cannot be read any more.
            ValueError: the explanation has no picture.

        Example:
            >>> from PIL import Image
            >>> from googlenet import Explainer
            >>> explanation = Explainer.from_pretrained("weights", device="cpu").explain(Image.new("RGB", (1024, 768)))
            >>> explanation.overlay("4d").size
            (512, 384)
        """
        from googlenet.explanation.render import overlay

        return overlay(self.photograph(), self, stage, side)

    def photograph(self) -> Image.Image:
        """The picture that was explained, RGB. Raises PictureError where its file is gone or another, ValueError without one."""
        from googlenet.pictures.images import open_image

        if self.picture is None:
            raise ValueError("This explanation was made without its picture; draw it with googlenet.explanation.render.")
        photograph = open_image(self.picture)
        if photograph.size != self.size:
            raise PictureError("{name} was changed after it was explained; explain it again.", name=self.picture)
        return photograph

    def __repr__(self) -> str:
        question = self.question
        tops = [f"{head} {top[0].label} {top[0].probability:.0%}" for head, top in self.heads.items() if top]
        asked = "the top class" if question.target is None else self.name_of(question.target)
        lead = "" if question.contrast is None else f" rather than {self.name_of(question.contrast)}"
        return (
            f"<Explanation: {', '.join(tops)}; {question.method} of {asked}{lead} in {question.head}, "
            f"{len(self.branch_grids)} stages, {self.size[0]}×{self.size[1]} pixels>"
        )

    def _repr_html_(self) -> str:
        """For notebooks: without the photograph where its file is gone or another."""
        from googlenet.explanation.render import page

        try:
            return page(self)
        except PictureError as error:
            return f"{page(replace(self, picture=None))}<p>{html.escape(str(error))}</p>"

    def npz(self) -> bytes:
        """The arrays as a NumPy archive (`.npz`), for the stages that the asked head sees.

        seen: x0, y0, x1, y1 in pixels. size: width, height.
        <stage>: the map (H, W). <stage>_branches: its four parts (4, H, W) in the order of `BRANCHES`.
        <stage>_against: for LayerCAM, the four branches' evidence against the class (4, H, W).
        question_head, question_method, question_target and, where one was asked, question_contrast: a class as its index, a
        group as the indices of its classes.
        <stage>_channels, <stage>_channel_maps: with channels, their indices and signed maps (channels, H, W).
        """
        arrays: dict[str, Any] = {"seen": np.array(self.seen), "size": np.array(self.size), **self.grids}
        arrays |= {f"{stage}_branches": grid for stage, grid in self.branch_grids.items()}
        arrays |= {f"{stage}_against": grid for stage, grid in (self.against_grids or {}).items()}
        arrays |= {"question_head": np.array(self.question.head), "question_method": np.array(self.question.method)}
        for name, asked in (("target", self.question.target), ("contrast", self.question.contrast)):
            if asked is not None:
                arrays[f"question_{name}"] = np.array(asked.indices if isinstance(asked, Group) else asked)
        for stage, channels in (self.channels or {}).items():
            arrays[f"{stage}_channels"] = np.array([c.channel for c in channels], np.int64)
            arrays[f"{stage}_channel_maps"] = np.array([c.grid for c in channels], np.float32)
        file = io.BytesIO()
        np.savez(file, **arrays)
        return file.getvalue()


def likeliest(probabilities: NDArray[np.float32], labels: Sequence[str], count: int = 5) -> tuple[Prediction, ...]:
    """The most probable of the classes, by their probabilities (classes,) and names."""
    best = np.argsort(-probabilities, kind="stable")[:count]
    return tuple(Prediction(int(i), labels[i], float(probabilities[i])) for i in best)


def _statements_json(statements: Mapping[str, Statement | None] | None) -> dict[str, Any] | None:
    """head → {name, probability, classes}, or null."""
    if statements is None:
        return None
    return {
        head: None if said is None else {"name": said.name, "probability": said.probability, "classes": len(said.indices)}
        for head, said in statements.items()
    }


def _stage_json(name: str, stage: Stage | None) -> dict[str, Any]:
    """A stage's JSON, null values for a stage that the asked head does not see."""
    if stage is None:
        return {"name": name, "size": None, "peak": None, "share_of_evidence": None, "branches": None}
    return {**vars(stage), "size": list(stage.size), "peak": stage.peak and list(stage.peak)}


def _channels_json(channels: Mapping[str, tuple[Channel, ...]], cell: Cell | None) -> dict[str, Any]:
    """stage → its strongest channels for and against the class; `cell` is [row, column] of the asked cell, else null."""

    result = {}
    for stage, found in channels.items():
        rows = [(c.share, {"channel": c.channel, "branch": c.branch, "share": c.share, "peak": list(c.peak)}) for c in found]
        result[stage] = {
            "cell": [cell.row, cell.column] if cell and cell.stage == stage else None,
            "for": [row for share, row in rows if share > 0],
            "against": [row for share, row in rows if share < 0],
        }
    return result


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
