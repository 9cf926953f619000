"""Grad-CAM and LayerCAM for all nine Inception stages and their four branches, in one forward and one backward pass, on Captum.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks", 2017. For head h, score y and stage s with activation
A (K×H×W): α_k is the mean over positions of ∂y/∂A_k, the map is Σ_k α_k A_k, signed and in logit units. A stage's output is
the concatenation of its four branches, so the sum over one branch's channels is that branch's part of the map, exactly.

Jiang et al., "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization", 2021. The map is Σ_k ReLU(∂y/∂A_k) ⊙ A_k.
The evidence against is a map of its own, Σ_k ReLU(−∂y/∂A_k) ⊙ A_k: in one cell some channels speak for the class and others
against it. Both are sums over channels, so branches and channels are exact parts of them, too.

The score y is a class's logit, or the logsumexp of a group's logits: the logit of "one of these classes". With a contrast, the
contrast's score is subtracted from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from googlenet.explanation import LAYER_CAM, METHODS, Question, classes_of
from googlenet.inference.attribution import LayerGradientXActivation
from googlenet.inference.device import own_settings
from googlenet.model.architecture import HEADS, STAGES, STAGES_BEFORE
from googlenet.model.network import GoogLeNet, HeadLogits

__all__ = ["FOR", "Asked", "ChannelMaps", "GradCamResult", "Parts", "attributions", "grad_cam", "one_pass"]

FOR, AGAINST = 5, 3
"""How many channels of a stage are named: with the most evidence for the class, and with the most against it."""


class ChannelMaps(NamedTuple):
    """The strongest channels of a stage for N images: `FOR` for the class, then `AGAINST` against it."""

    indices: Tensor
    """(N, FOR + AGAINST) int64, among the stage's channels"""
    shares: Tensor
    """(N, FOR + AGAINST) float32 in −1…1: shares of the evidence. A wrong sign: the stage has no more such channels"""
    maps: Tensor
    """(N, FOR + AGAINST, H, W) float32, signed, in logit units: α_k A_k; of LayerCAM the channel's part of the map, or of the
    evidence against, times −1"""


class GradCamResult(NamedTuple):
    """The results of one pass through the network for a batch of N images."""

    logits: HeadLogits
    """(N, classes) float32 of each head, detached"""
    targets: Tensor
    """(N,) int64: the asked classes; a group's most probable class; the head's top class where a question names none"""
    branch_maps: dict[str, Tensor]
    """stage → (N, 4, H, W) float32, in logit units, in the order of `BRANCHES`, for the stages that the deepest asked head sees:
    signed for Grad-CAM, ≥ 0 for LayerCAM. A stage behind an image's own head is zero for that image."""
    against: dict[str, Tensor]
    """stage → (N, 4, H, W) float32 ≥ 0: LayerCAM's evidence against the class, 0 for Grad-CAM; empty where no question asks for
    LayerCAM"""
    channels: dict[str, ChannelMaps]
    """stage → its strongest channels; empty where no question asks for them"""


class Asked(NamedTuple):
    """Questions as tensors, which a CUDA graph can read at fixed addresses."""

    numbers: Tensor
    """(N, 5) int64: head in `HEADS`, method in `METHODS`, and the cell's stage in `STAGES`, row, column; −1 for None"""
    classes: Tensor
    """(N, 2, classes) bool: the target's classes and the contrast's. None for the head's top class, or for no contrast"""

    @classmethod
    def of(cls, questions: Sequence[Question], classes: int) -> Asked:
        """Questions about so many classes → tensors on the CPU."""
        numbers = []
        masks = np.zeros((len(questions), 2, classes), np.bool_)
        for mask, q in zip(masks, questions, strict=True):
            cell = (-1, -1, -1) if q.cell is None else (STAGES.index(q.cell.stage), q.cell.row, q.cell.column)
            numbers.append((HEADS.index(q.head), METHODS.index(q.method), *cell))
            for own, asked in zip(mask, (q.target, q.contrast), strict=True):
                own[list(classes_of(asked))] = True
        return cls(torch.tensor(numbers, dtype=torch.int64).reshape(-1, 5), torch.from_numpy(masks))

    def to(self, device: torch.device) -> Asked:
        """The same on another device."""
        return Asked(self.numbers.to(device), self.classes.to(device))


class Parts(NamedTuple):
    """What a pass computes besides the logits and the main maps. Each part costs its share of the pass."""

    heads: tuple[str, ...]
    """the heads that the questions name, in order of depth"""
    channels: bool
    """whether to find the strongest channels"""
    layer_cam: bool
    """whether a question asks for LayerCAM"""

    @classmethod
    def of(cls, questions: Sequence[Question]) -> Parts:
        """Those that these questions need."""
        heads = tuple(head for head in HEADS if any(q.head == head for q in questions))
        return cls(heads, any(q.channels for q in questions), any(q.method == LAYER_CAM for q in questions))


@own_settings()
def grad_cam(model: GoogLeNet, x: Tensor, questions: Sequence[Question]) -> GradCamResult:
    """Answer one question for each image of a batch, in one forward and one backward pass for all.

    Only one call at a time may use a model, since hooks on a module see every input that runs through it. `googlenet.Explainer`
    ensures this.

    Args:
        model: the network. Its parameters should need no gradient (`model.for_inference()`): then the backward pass ends at
            stage 3a, where Captum asks for the first gradient.
        x: (N, 3, S, S) float, normalised as the weights ask, on the model's device.
        questions: one for each image; heads that the model has, classes below its number of classes.

    Returns:
        GradCamResult: logits, classes and maps (Grad-CAM's are signed), on the model's device.

    Source: Selvaraju et al., "Grad-CAM", 2017, equations 1 and 2, without the ReLU; Jiang et al., "LayerCAM", 2021, equations 5
    and 6.

    Example:
        >>> import torch
        >>> from googlenet import GoogLeNet, Question
        >>> model = GoogLeNet(classes=10).for_inference()
        >>> result = grad_cam(model, torch.randn(2, 3, 96, 96), [Question("main", 3), Question("main", 4, contrast=5)])
        >>> result.branch_maps["4c"].shape
        torch.Size([2, 4, 6, 6])
    """
    parts = Parts.of(questions)
    if model.aux1 is None and parts.heads != ("main",):
        raise ValueError("This model has no auxiliary heads.")
    return one_pass(model, x, Asked.of(questions, model.fc.out_features).to(x.device), parts)


def one_pass(model: GoogLeNet, x: Tensor, asked: Asked, parts: Parts) -> GradCamResult:
    """`grad_cam` with its questions as tensors, without synchronisation with the device, so that a CUDA graph can capture it.

    `parts`: at least those that the questions need.
    """
    _, method, *cell = asked.numbers.unbind(1)
    layer_cam = method == METHODS.index(LAYER_CAM)
    stages = STAGES_BEFORE[parts.heads[-1]]
    outputs, activations, gradients = attributions(model, x, asked, parts, stages)
    maps, against, strongest = {}, {}, {}
    for stage, gradient in zip(stages, gradients, strict=True):
        size = gradient.shape[2:]
        splits = model.stage(stage).splits
        cells = _cells_of(activations[stage])
        alpha = gradient.mean(dim=(2, 3), dtype=torch.float32)  # (N, K)
        maps[stage] = _branch_maps(cells, alpha, splits).unflatten(2, size)
        evidence = None
        if parts.layer_cam:
            evidence = Evidence.of(cells, _cells_of(gradient), layer_cam)
            pro, contra = (_branch_sums(part, splits).unflatten(2, size) for part in (evidence.pro, evidence.contra))
            chosen = layer_cam[:, None, None, None]
            maps[stage], against[stage] = torch.where(chosen, pro, maps[stage]), contra * chosen
        if parts.channels:
            position = torch.where(cell[0] == STAGES.index(stage), cell[1] * size[1] + cell[2], -1)
            found = _strongest_channels(cells, alpha, position, evidence)
            strongest[stage] = found._replace(maps=found.maps.unflatten(2, size))
    logits = HeadLogits(outputs.get("aux1"), outputs.get("aux2"), outputs["main"])
    return GradCamResult(logits, outputs["targets"], maps, against, strongest)


def attributions(
    model: GoogLeNet, x: Tensor, asked: Asked, parts: Parts, stages: Sequence[str]
) -> tuple[dict[str, Tensor], dict[str, Tensor], tuple[Tensor, ...]]:
    """One forward and one backward pass: the heads' logits and `targets`, the activation and the gradient of each stage."""
    x = x.clone() if x.is_inference() else x  # Captum asks it for a gradient
    head = asked.numbers[:, 0]
    outputs: dict[str, Tensor] = {}
    activations: dict[str, Tensor] = {}

    def score(x: Tensor) -> Tensor:
        """The asked quantity of each image, (N,)."""
        logits = _forward(model, x, parts.heads, activations)
        present = {name: value for name, value in zip(HEADS, logits, strict=True) if value is not None}
        outputs.update({name: value.detach().float() for name, value in present.items()})
        place = head - len(HEADS) + len(present)  # a model without auxiliary heads has only the main one
        own = torch.stack(list(present.values()))[place, torch.arange(len(x), device=x.device)]  # (N, classes)
        target, contrast = asked.classes.unbind(1)
        outputs["targets"] = _among(own.detach(), target).argmax(dim=1)
        target = target.scatter(1, outputs["targets"][:, None], True)
        lead = _among(own, contrast).logsumexp(dim=1) * contrast.any(dim=1)
        return _among(own, target).logsumexp(dim=1) - lead

    layers = [model.stage(stage) for stage in stages]
    gradients = LayerGradientXActivation(score, layers, multiply_by_inputs=False).attribute(x)
    return outputs, activations, gradients


def _among(logits: Tensor, classes: Tensor) -> Tensor:
    """Logits (N, classes), −∞ outside each row's classes (N, classes) bool; all of them where a row names none."""
    return logits.masked_fill(~classes & classes.any(dim=1, keepdim=True), -torch.inf)


def _cells_of(values: Tensor) -> Tensor:
    """(N, K, H, W) → (N, H·W, K) float32: a view where it is float32 and channels last."""
    return values.flatten(2).transpose(1, 2).float()


def _forward(model: GoogLeNet, x: Tensor, heads: Sequence[str], activations: dict[str, Tensor]) -> HeadLogits:
    """All heads' logits. Adds each stage's output to `activations`.

    A head that is not in `heads` gets no autograd graph: its gradients would be zeros.
    """
    aux1 = aux2 = None
    for name, stage in model.stages(x):
        activations[name] = stage.detach()
        if name == "4a" and model.aux1 is not None:
            with torch.set_grad_enabled("aux1" in heads):
                aux1 = model.aux1(stage)
        if name == "4d" and model.aux2 is not None:
            with torch.set_grad_enabled("aux2" in heads):
                aux2 = model.aux2(stage)
    with torch.set_grad_enabled("main" in heads):
        return HeadLogits(aux1, aux2, model.classify(stage))


def _branch_maps(cells: Tensor, alpha: Tensor, splits: tuple[int, ...]) -> Tensor:
    """Activation (N, H·W, K) and α (N, K) → the four branches' signed maps (N, 4, H·W) float32. Their sum is the stage's map.

    It is one matrix product over the channels: a branch's weights are zero outside its own channels.
    """
    return (alpha[:, None] * _channels_of(splits, alpha.device)) @ cells.transpose(1, 2)


def _branch_sums(parts: Tensor, splits: tuple[int, ...]) -> Tensor:
    """Parts (N, H·W, K) of a map → the sums over each branch's channels (N, 4, H·W) float32."""
    return _channels_of(splits, parts.device) @ parts.transpose(1, 2)


@cache
def _channels_of(splits: tuple[int, ...], device: torch.device) -> Tensor:
    """(4, K): 1 where a channel belongs to a branch."""
    branch = torch.repeat_interleave(torch.arange(4), torch.tensor(splits))
    return torch.nn.functional.one_hot(branch, 4).T.float().contiguous().to(device)


class Evidence(NamedTuple):
    """Every channel's part of LayerCAM's two maps for one stage, (N, H·W, K) float32 ≥ 0."""

    pro: Tensor
    """ReLU(∂y/∂A_k) ⊙ A_k"""
    contra: Tensor
    """ReLU(−∂y/∂A_k) ⊙ A_k"""
    asked: Tensor
    """(N,) bool: which images' questions ask for LayerCAM"""

    @classmethod
    def of(cls, cells: Tensor, gradient: Tensor, asked: Tensor) -> Evidence:
        """From activation and gradient, (N, H·W, K) each."""
        return cls(gradient.clamp(min=0) * cells, (-gradient).clamp(min=0) * cells, asked)


def _strongest_channels(cells: Tensor, alpha: Tensor, position: Tensor, evidence: Evidence | None) -> ChannelMaps:
    """Find the channels that speak most for the class, and those that speak most against it.

    Grad-CAM ranks them by the largest and the smallest sum in the stage's map, LayerCAM by their sums in its two maps. `cells`
    (N, H·W, K) is the activation, `position` (N,) int64 the cell to rank by, −1 for the sum over all.
    """
    images = torch.arange(len(cells), device=cells.device)

    def sums(values: Tensor) -> Tensor:
        """(N, H·W, K) → (N, K): in the asked cell, or over all."""
        return torch.where(position[:, None] < 0, values.sum(dim=1), values[images, position.clamp(min=0)])

    high = low = alpha * sums(cells)
    total = high.abs().sum(dim=1, keepdim=True)
    if evidence is not None:
        layer_cam, pro, contra = evidence.asked[:, None], sums(evidence.pro), sums(evidence.contra)
        high, low = torch.where(layer_cam, pro, high), torch.where(layer_cam, -contra, low)
        total = torch.where(layer_cam, (pro + contra).sum(dim=1, keepdim=True), total)
    most, least = high.topk(FOR, dim=1), low.topk(AGAINST, dim=1, largest=False)
    indices = torch.cat((most.indices, least.indices), dim=1)
    shares = torch.cat((most.values, least.values), dim=1) / total.clamp(min=1e-30)

    def own(values: Tensor, channels: Tensor) -> Tensor:
        """(N, H·W, K) → (N, H·W, channels)."""
        return values.gather(2, channels[:, None].expand(-1, values.shape[1], -1))

    maps = own(cells, indices) * alpha.gather(1, indices)[:, None]
    if evidence is not None:
        signed = torch.cat((own(evidence.pro, most.indices), -own(evidence.contra, least.indices)), dim=2)
        maps = torch.where(evidence.asked[:, None, None], signed, maps)
    return ChannelMaps(indices, shares, maps.transpose(1, 2))
