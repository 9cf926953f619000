"""The last layers of the heads, in closed form: fitted before a run by ridge regression, balanced after it.

A head that learnt from pictures of unequal classes answers with a frequent class where it is in doubt. Its prior is the mean
probability that it gives each class on those pictures. Without the prior its logits are those of a head that learnt from equally
many pictures of each class: logit − τ log(prior + ε), a change of the last layer's bias alone.

Source: Menon et al., "Long-tail learning via logit adjustment", 2021.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from tqdm import tqdm

from googlenet.training.loop import Run
from googlenet.training.teachers import Teacher

__all__ = ["fit_last_layers", "has_prior", "put_prior_into_loss", "take_out_prior"]

_PENALTY = 30
"""The ridge penalty λ, as a multiple of the features' mean square. It matters where there are few views."""
_EPSILON = 1e-6
"""Added to each class's prior, so that a class which the pictures lack gets no infinite bias."""
_FITTED, _COUNTED = 16_384, 32_000
"""The most pictures for the ridge regression and for the prior of a run: those of its first epoch."""


@torch.no_grad()
def fit_last_layers(run: Run) -> None:
    """Set the weights of the last layers of all heads, so that training begins near the labels or the teacher's answers.

    With features X (N, 1025; the last is 1, for the bias) and the logarithms Y (N, classes) of the targets of training views,
    W = (XᵀX + λI)⁻¹ XᵀY.
    """
    model, size = run.model.eval(), run.recipe.schedule[0].size
    layers = list(model.last_layers().values())
    seen: dict[nn.Linear, Tensor] = {}
    hooks = [layer.register_forward_pre_hook(lambda module, inputs: seen.update({module: inputs[0]})) for layer in layers]
    squares = {layer: torch.zeros(1025, 1025, device=run.device) for layer in layers}
    products = {layer: torch.zeros(1025, run.material.classes, device=run.device) for layer in layers}
    batches = _first_epoch(run, _FITTED)
    for step in tqdm(range(batches), desc="ridge regression", mininterval=2):
        torch.manual_seed(run.recipe.seed * 1_000_003 + step)
        views, target = run.material.batch(step, size, run.recipe.crops[0], False, run.recipe, run.teacher)
        run.heads(views)
        logits = run.temperature * target.clamp(min=1e-8).log()
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
        mean_square = squares[layer].diagonal().mean() / (batches * run.recipe.batch_size)
        solved = torch.linalg.solve(squares[layer] + _PENALTY * mean_square * torch.eye(1025, device=run.device), products[layer])
        layer.weight.copy_(solved[:-1].T)
        layer.bias.copy_(solved[-1])
    model.train()


def has_prior(run: Run) -> bool:
    """Whether a run's heads are balanced at its end: after a distillation, and where labelled classes are unequal."""
    unequal = run.teacher is not None or any(data_set.unequal for data_set in run.material.data_sets)
    return run.recipe.balance > 0 and unequal and run.log_prior is None


@torch.no_grad()
def take_out_prior(run: Run) -> None:
    """Balance the heads at the end of a run, by their prior on its pictures in the shares in which the run draws them."""
    model, size = run.model.eval(), run.recipe.schedule[-1].size
    log_priors = _log_priors_of(lambda views: [logits for logits in run.heads(views) if logits is not None], run, size)
    for layer, log_prior in zip(model.last_layers().values(), log_priors, strict=True):
        layer.bias.sub_((run.recipe.balance * log_prior).to(layer.bias))


def put_prior_into_loss(run: Run, teacher: Teacher) -> None:
    """Let the loss compare logits + log(prior of the teacher) with the teacher's answers, so that the logits become balanced."""
    size = teacher.size_for(run.recipe.schedule[-1].size)
    (log_prior,) = _log_priors_of(lambda views: [teacher.answer(views)], run, size)
    run.log_prior = log_prior.float()


def _log_priors_of(heads: Callable[[Tensor], list[Tensor]], run: Run, size: int) -> Tensor:
    """The logarithms of the heads' priors on a run's pictures, of mean 0, so that the mean of a bias stays as it is.

    `heads`: views (N, 3, size, size) in 0…1 → logits (N, classes) of each. Returns (heads, classes) float64.
    """
    sums, count = torch.zeros((), dtype=torch.float64, device=run.device), 0
    for step in tqdm(range(_first_epoch(run, _COUNTED)), desc="prior", mininterval=2):
        for views in run.material.middle_views(step, size):
            sums = sums + torch.stack(heads(views)).double().softmax(dim=2).sum(dim=1)
            count += len(views)
    logs = (sums / count + _EPSILON).log()
    return logs - logs.mean(dim=1, keepdim=True)


def _first_epoch(run: Run, most: int) -> int:
    """The number of steps of the first epoch, for at most this many pictures."""
    return max(1, min(most // run.recipe.batch_size, run.material.steps_per_epoch))
