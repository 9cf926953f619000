"""Initialises new last layers by ridge regression of the targets' logits on each layer's input features."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from tqdm import tqdm

from googlenet.training.loop import Run

PENALTY = 1e-3
"""The ridge penalty λ, as a multiple of the features' mean square."""
PICTURES = 16_384
"""The most views for the fit: those of the run's first epoch."""


@torch.no_grad()
def fit_last_layers(run: Run) -> None:
    """Set the weights of the last layers of all heads, so that training begins near the labels or the teacher's answers.

    In closed form: with features X (N, 1025; the last is 1, for the bias) and the logarithms Y (N, classes) of the targets of
    training views, W = (XᵀX + λI)⁻¹ XᵀY.
    """
    model, size = run.model.eval(), run.recipe.schedule[0].size
    layers = list(model.last_layers().values())
    seen: dict[nn.Linear, Tensor] = {}
    hooks = [layer.register_forward_pre_hook(lambda module, inputs: seen.update({module: inputs[0]})) for layer in layers]
    squares = {layer: torch.zeros(1025, 1025, device=run.device) for layer in layers}
    products = {layer: torch.zeros(1025, run.material.classes, device=run.device) for layer in layers}
    batches = max(1, min(PICTURES // run.recipe.batch_size, run.material.steps_per_epoch))
    for step in tqdm(range(batches), desc="ridge regression", mininterval=2):
        torch.manual_seed(run.recipe.seed * 1_000_003 + step)
        batch = run.material.batch(step, size, run.recipe.crops[0], False, run.recipe, run.teacher)
        run.heads(batch.views)
        logits = run.temperature * batch.target.clamp(min=1e-8).log()
        logits -= logits.mean(dim=1, keepdim=True)  # a constant does not change the softmax
        if run.log_prior is not None:
            logits -= run.log_prior
        for layer in layers:
            features = nn.functional.pad(seen[layer].float(), (0, 1), value=1.0)
            squares[layer] += features.T @ features
            products[layer] += features.T @ logits
    for hook in hooks:
        hook.remove()
    for layer in layers:
        penalty = PENALTY * squares[layer].diagonal().mean() * torch.eye(1025, device=run.device)
        solved = torch.linalg.solve(squares[layer] + penalty, products[layer])
        layer.weight.copy_(solved[:-1].T)
        layer.bias.copy_(solved[-1])
    model.train()
