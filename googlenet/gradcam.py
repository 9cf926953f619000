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

from googlenet.architecture import HEADS, STAGES_BEFORE
from googlenet.explanation import Question
from googlenet.model import GoogLeNet, HeadLogits


class GradCamResult(NamedTuple):
    """What one pass through the network tells about a batch of N images."""

    logits: HeadLogits
    """(N, classes) float32 of each head, detached"""
    targets: Tensor
    """(N,) int64: the classes asked about, the head's top class where none was named"""
    branch_maps: dict[str, Tensor]
    """stage → (N, 4, H, W) float32, signed, in logit units, the branches in the order of `BRANCHES`; the stages that the
    deepest asked head sees. A stage behind an image's own head is zero for that image."""


def grad_cam(model: GoogLeNet, x: Tensor, questions: Sequence[Question]) -> GradCamResult:
    """Answer one question for each image of the batch x (N, 3, S, S): one forward and one backward pass for all.

    The parameters of `model` should need no gradient (`model.for_inference()`): then the backward pass ends at stage 3a, where
    Captum asks for the first gradient. Not for use under `torch.inference_mode`. Hooks on a shared module see whatever
    runs through it, so that only one call at a time may use a model; `googlenet.explainer.Explainer` sees to that.
    """
    asked = [head for head in HEADS if any(q.head == head for q in questions)]
    stages = STAGES_BEFORE[asked[-1]]
    images = torch.arange(len(questions), device=x.device)
    head_of = torch.tensor([asked.index(q.head) for q in questions], device=x.device)
    seen: dict[str, Tensor] = {}
    activations: dict[str, Tensor] = {}

    def score(x: Tensor) -> Tensor:
        """The asked quantity of each image, (N,)."""
        logits = forward(model, x, asked, activations)
        seen.update({head: value.detach().float() for head, value in zip(HEADS, logits, strict=True) if value is not None})
        stacked = torch.stack([logits[HEADS.index(head)] for head in asked])  # type: ignore[misc]
        own = stacked[head_of, images]  # (N, classes): each image's asked head
        top = own.argmax(dim=1).tolist()
        targets = torch.tensor([t if q.target is None else q.target for q, t in zip(questions, top, strict=True)])
        seen["targets"] = targets
        y = own[images, targets.to(x.device)]
        if any(q.contrast is not None for q in questions):
            rival = torch.tensor([q.contrast or 0 for q in questions], device=x.device)
            against = torch.tensor([q.contrast is not None for q in questions], device=x.device)
            y = y - own[images, rival] * against
        return y

    layers = [model.stage(s) for s in stages]
    gradients = LayerGradientXActivation(score, layers, multiply_by_inputs=False).attribute(x)
    maps = {
        stage: branch_maps(activations[stage], gradient, model.stage(stage).splits)
        for stage, gradient in zip(stages, gradients, strict=True)
    }
    return GradCamResult(HeadLogits(seen.get("aux1"), seen.get("aux2"), seen["main"]), seen["targets"], maps)


def forward(model: GoogLeNet, x: Tensor, asked: Sequence[str], activations: dict[str, Tensor]) -> HeadLogits:
    """All heads' logits; `activations` is filled with each stage's output.

    A head that nobody asks about records no graph, since its backward pass would give zeros.
    """
    aux1 = aux2 = None
    for name, stage in model.stages(x):
        activations[name] = stage.detach()
        if name == "4a" and model.aux1 is not None:
            with torch.set_grad_enabled("aux1" in asked):
                aux1 = model.aux1(stage)
        if name == "4d" and model.aux2 is not None:
            with torch.set_grad_enabled("aux2" in asked):
                aux2 = model.aux2(stage)
    return HeadLogits(aux1, aux2, model.classify(stage))


def branch_maps(activation: Tensor, gradient: Tensor, splits: tuple[int, ...]) -> Tensor:
    """Activation and gradient (N, K, H, W) → the four branches' signed maps (N, 4, H, W) float32; their sum is the stage's.

    One product of matrices over the channels, each branch's weights zero outside its own channels.
    """
    n, channels, height, width = activation.shape
    alpha = gradient.mean(dim=(2, 3), dtype=torch.float32)  # (N, K)
    cells = activation.float().permute(0, 2, 3, 1).reshape(n, height * width, channels)  # no copy when channels last
    maps = cells @ (alpha[:, :, None] * channels_of(splits).to(alpha))  # (N, H·W, 4)
    return maps.transpose(1, 2).reshape(n, 4, height, width)


@cache
def channels_of(splits: tuple[int, ...]) -> Tensor:
    """(K, 4): 1 where a channel belongs to a branch."""
    return torch.nn.functional.one_hot(torch.repeat_interleave(torch.arange(4), torch.tensor(splits)), 4).float()
