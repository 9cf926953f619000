"""Grad-CAM for all nine Inception stages and their four branches, in one forward and one backward pass, on Captum.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks", 2017. For head h, class c and stage s with activation
A (K×H×W): α_k is the mean over positions of ∂y_c/∂A_k, the map is Σ_k α_k A_k, signed and in logit units. A stage's output is
the concatenation of its four branches, so the sum over one branch's channels is that branch's part of the map, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
from captum.attr import LayerGradientXActivation
from torch import Tensor

from googlenet.explanation import Question
from googlenet.model.architecture import HEADS, STAGES, STAGES_BEFORE
from googlenet.model.network import GoogLeNet, HeadLogits

FOR, AGAINST = 5, 3
"""How many channels of a stage are named: with the most evidence for the class, and with the most against it."""


class ChannelMaps(NamedTuple):
    """The strongest channels of a stage for N images: `FOR` for the class, then `AGAINST` against it."""

    indices: Tensor
    """(N, FOR + AGAINST) int64, among the stage's channels"""
    shares: Tensor
    """(N, FOR + AGAINST) float32 in −1…1: shares of the evidence. A wrong sign: the stage has no more such channels"""
    maps: Tensor
    """(N, FOR + AGAINST, H, W) float32, signed, in logit units: α_k A_k"""


class GradCamResult(NamedTuple):
    """The results of one pass through the network for a batch of N images."""

    logits: HeadLogits
    """(N, classes) float32 of each head, detached"""
    targets: Tensor
    """(N,) int64: the asked classes; the head's top class where a question names none"""
    branch_maps: dict[str, Tensor]
    """stage → (N, 4, H, W) float32, signed, in logit units, in the order of `BRANCHES`, for the stages that the deepest asked
    head sees. A stage behind an image's own head is zero for that image."""
    channels: dict[str, ChannelMaps]
    """stage → its strongest channels; empty where no question asks for them"""


def grad_cam(model: GoogLeNet, x: Tensor, questions: Sequence[Question]) -> GradCamResult:
    """Answer one question for each image of a batch, in one forward and one backward pass for all.

    For head h, class c and stage s with activation A (K×H×W): α_k = 1/(H·W) Σ_ij ∂y_c/∂A_kij, map_ij = Σ_k α_k A_kij. With a
    contrast d, y_c − y_d stands for y_c.

    It does not work under `torch.inference_mode`. Only one call at a time may use a model, since hooks on a module see every
    input that runs through it. `googlenet.Explainer` ensures this.

    Args:
        model: the network. Its parameters should need no gradient (`model.for_inference()`): then the backward pass ends at
            stage 3a, where Captum asks for the first gradient.
        x: (N, 3, S, S) float, normalised as the weights ask, on the model's device.
        questions: one for each image; heads that the model has, classes below its number of classes.

    Returns:
        GradCamResult: logits, classes and signed maps, on the model's device.

    Source: Selvaraju et al., "Grad-CAM", 2017, equations 1 and 2, without the ReLU.

    Example:
        >>> import torch
        >>> from googlenet import GoogLeNet, Question
        >>> model = GoogLeNet(classes=10).for_inference()
        >>> result = grad_cam(model, torch.randn(2, 3, 96, 96), [Question("main", 3), Question("main", 4, contrast=5)])
        >>> result.branch_maps["4c"].shape
        torch.Size([2, 4, 6, 6])
    """
    heads = tuple(head for head in HEADS if any(q.head == head for q in questions))
    if model.aux1 is None and heads != ("main",):
        raise ValueError("This model has no auxiliary heads.")
    return one_pass(model, x, as_tensor(questions).to(x.device), heads, channels=any(q.channels for q in questions))


def as_tensor(questions: Sequence[Question]) -> Tensor:
    """Questions → (N, 6) int64: head in `HEADS`, target, contrast, and the cell's stage in `STAGES`, row, column; −1 for None."""
    rows = []
    for q in questions:
        cell = (-1, -1, -1) if q.cell is None else (STAGES.index(q.cell.stage), q.cell.row, q.cell.column)
        rows.append((HEADS.index(q.head), -1 if q.target is None else q.target, -1 if q.contrast is None else q.contrast, *cell))
    return torch.tensor(rows, dtype=torch.int64)


def one_pass(model: GoogLeNet, x: Tensor, questions: Tensor, heads: tuple[str, ...], *, channels: bool) -> GradCamResult:
    """`grad_cam` with its questions as a tensor, without synchronisation with the device, so that a CUDA graph can capture it.

    Args:
        model: as for `grad_cam`.
        x: as for `grad_cam`.
        questions: (N, 6) int64 on the model's device (`as_tensor`).
        heads: all heads that the questions name, in order of depth. Each costs its part of the backward pass.
        channels: whether to find the strongest channels.
    """
    head, target, contrast, *cell = questions.unbind(1)
    seen: dict[str, Tensor] = {}
    activations: dict[str, Tensor] = {}

    def score(x: Tensor) -> Tensor:
        """The asked quantity of each image, (N,)."""
        logits = forward(model, x, heads, activations)
        present = {name: value for name, value in zip(HEADS, logits, strict=True) if value is not None}
        seen.update({name: value.detach().float() for name, value in present.items()})
        place = head - len(HEADS) + len(present)  # a model without auxiliary heads has only the main one
        own = torch.stack(list(present.values()))[place, torch.arange(len(x), device=x.device)]  # (N, classes)
        targets = torch.where(target < 0, own.argmax(dim=1), target)
        seen["targets"] = targets
        y, rival = (own.gather(1, index[:, None]).squeeze(1) for index in (targets, contrast.clamp(min=0)))
        return y - rival * (contrast >= 0)

    stages = STAGES_BEFORE[heads[-1]]
    layers = [model.stage(stage) for stage in stages]
    gradients = LayerGradientXActivation(score, layers, multiply_by_inputs=False).attribute(x)
    maps, strongest = {}, {}
    for stage, gradient in zip(stages, gradients, strict=True):
        height, width = gradient.shape[2:]
        alpha = gradient.mean(dim=(2, 3), dtype=torch.float32)  # (N, K)
        cells = activations[stage].flatten(2).transpose(1, 2).float()  # (N, H·W, K): a view where x is float32 and channels last
        maps[stage] = branch_maps(cells, alpha, model.stage(stage).splits).unflatten(2, (height, width))
        if channels:
            position = torch.where(cell[0] == STAGES.index(stage), cell[1] * width + cell[2], -1)
            found = strongest_channels(cells, alpha, position)
            strongest[stage] = found._replace(maps=found.maps.unflatten(2, (height, width)))
    return GradCamResult(HeadLogits(seen.get("aux1"), seen.get("aux2"), seen["main"]), seen["targets"], maps, strongest)


def forward(model: GoogLeNet, x: Tensor, heads: Sequence[str], activations: dict[str, Tensor]) -> HeadLogits:
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


def branch_maps(cells: Tensor, alpha: Tensor, splits: tuple[int, ...]) -> Tensor:
    """Activation (N, H·W, K) and α (N, K) → the four branches' signed maps (N, 4, H·W) float32. Their sum is the stage's map.

    It is one matrix product over the channels: a branch's weights are zero outside its own channels.
    """
    return (alpha[:, None] * channels_of(splits, alpha.device)) @ cells.transpose(1, 2)


@cache
def channels_of(splits: tuple[int, ...], device: torch.device) -> Tensor:
    """(4, K): 1 where a channel belongs to a branch."""
    branch = torch.repeat_interleave(torch.arange(4), torch.tensor(splits))
    return torch.nn.functional.one_hot(branch, 4).T.float().contiguous().to(device)


def strongest_channels(cells: Tensor, alpha: Tensor, position: Tensor) -> ChannelMaps:
    """Find the channels with the largest and the smallest sum in the stage's map.

    Args:
        cells: the activation (N, H·W, K).
        alpha: (N, K).
        position: (N,) int64: rank by this cell; by the sum over all cells where it is −1.

    Returns:
        ChannelMaps: with maps (N, FOR + AGAINST, H·W).
    """
    images = torch.arange(len(cells), device=cells.device)
    inside = cells[images, position.clamp(min=0)]  # (N, K)
    parts = alpha * torch.where(position[:, None] < 0, cells.sum(dim=1), inside)
    most, least = parts.topk(FOR, dim=1), parts.topk(AGAINST, dim=1, largest=False)
    indices = torch.cat((most.indices, least.indices), dim=1)
    shares = torch.cat((most.values, least.values), dim=1) / parts.abs().sum(dim=1, keepdim=True).clamp(min=1e-30)
    own = cells.gather(2, indices[:, None].expand(-1, cells.shape[1], -1))  # (N, H·W, FOR + AGAINST)
    return ChannelMaps(indices, shares, (own * alpha.gather(1, indices)[:, None]).transpose(1, 2))
