"""Balance: the class frequencies of the training pictures, taken out of the heads.

A head that learnt from pictures of unequal classes answers with a frequent class where it is in doubt. Its prior is the mean
probability that it gives each class on those pictures. Without the prior its logits are those of a head that learnt from equally
many pictures of each class: logit − τ log(prior + ε), a change of the last layer's bias alone.

Source: Menon et al., "Long-tail learning via logit adjustment", 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor
from tqdm import tqdm

from googlenet.model.architecture import HEADS
from googlenet.model.network import GoogLeNet
from googlenet.training import views
from googlenet.training.loop import Run

EPSILON = 1e-6
"""Added to each class's prior, so that a class which the pictures lack gets no infinite bias."""
PICTURES = 32_000
"""The most pictures for the prior of a run: those of its first epoch."""


def prior(batches: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean probability of each class, by head.

    Args:
        batches: head → logits (N, classes), one mapping for each batch; `googlenet.training.evaluate.answers_of` gives them.

    Returns:
        head → (classes,) float64, on the logits' device.

    Example:
        >>> prior([{"main": torch.tensor([[0.0, 0.0]])}, {"main": torch.tensor([[50.0, 0.0]])}])["main"].tolist()
        [0.75, 0.25]
    """
    sums: dict[str, Tensor] = {}
    count = 0
    for batch in batches:
        count += len(next(iter(batch.values())))
        for head, logits in batch.items():
            sums[head] = sums.get(head, 0) + logits.double().softmax(dim=1).sum(dim=0)
    return {head: total / count for head, total in sums.items()}


@torch.no_grad()
def balance(model: GoogLeNet, priors: Mapping[str, Tensor], tau: float = 1.0, epsilon: float = EPSILON) -> None:
    """Take the prior out of the last layers' biases, in place. Each head's mean bias stays as it is.

    Args:
        model: any GoogLeNet. Nothing but the biases of its last layers changes.
        priors: head → (classes,) mean probabilities (`prior`), for each of the model's heads.
        tau: how much of the prior is taken out; 1: all of it.
        epsilon: added to the prior.

    Example:
        >>> model = GoogLeNet(classes=2)
        >>> before = model.fc.bias.clone()
        >>> balance(model, dict.fromkeys(HEADS, torch.tensor([0.9, 0.1])))
        >>> round((model.fc.bias - before).diff().item(), 3)
        2.197
    """
    for head, layer in model.last_layers().items():
        shift = tau * (priors[head] + epsilon).log()
        layer.bias.sub_((shift - shift.mean()).to(layer.bias))


def has_prior(run: Run) -> bool:
    """Whether a run's heads are balanced at its end: after a distillation, and where labelled classes are unequal."""
    unequal = run.teacher is not None or any(source.unequal for source in run.material.sources)
    return run.recipe.balance > 0 and unequal and run.log_prior is None


def take_out_prior(run: Run) -> None:
    """Balance the heads at the end of a run, by their prior on its pictures in the shares in which the run draws them."""
    run.model.eval()
    balance(run.model, prior(student_answers(run)), run.recipe.balance)


@torch.no_grad()
def student_answers(run: Run) -> Iterator[dict[str, Tensor]]:
    for shown in middle_views(run):
        yield {head: logits.float() for head, logits in zip(HEADS, run.heads(shown), strict=True) if logits is not None}


def put_prior_into_loss(run: Run) -> None:
    """Let the loss compare logits + log(prior of the teacher) with the teacher's answers, so that the logits become balanced."""
    teacher = run.teacher
    assert teacher is not None
    frequencies = prior({"teacher": teacher.answer(shown)} for shown in middle_views(run, teacher.size_for))["teacher"]
    log_prior = (frequencies + EPSILON).log()
    run.log_prior = (log_prior - log_prior.mean()).float()


def middle_views(run: Run, size_for: Callable[[int], int] = lambda size: size) -> Iterator[Tensor]:
    """The middle squares (N, 3, S, S) of a run's pictures, in 0…1, in the shares in which the run draws them.

    `size_for`: the student's size in pixels → S.
    """
    size = size_for(run.recipe.schedule[-1].size)
    steps = min(PICTURES // run.recipe.batch_size, run.material.steps_per_epoch)
    for step in tqdm(range(max(1, steps)), desc="prior", mininterval=2):
        for source in run.material.sources:
            pixels, aspects, _ = source.batch(step, run.device)
            yield views.take(pixels, views.middle_squares(aspects), size)
