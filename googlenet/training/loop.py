"""The training loop: all three heads together, auxiliary losses weighted 0.3 (section 5 of the paper)."""

from __future__ import annotations

import math
import os
import pickle
import signal
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from googlenet.errors import UserError
from googlenet.inference.device import half_precision
from googlenet.model.architecture import STAGES
from googlenet.model.network import GoogLeNet, HeadLogits
from googlenet.pictures.images import Preprocess
from googlenet.training.pictures import Material
from googlenet.training.recipe import Phase, Recipe
from googlenet.training.teachers import Teacher

__all__ = ["Run"]

_AUX_WEIGHT = 0.3
_LARGEST_GRADIENT = 5.0
PARTS = ("conv1", "conv2", "conv3", *(f"inception{stage}" for stage in STAGES))
_CHECKPOINT_EVERY = 120
"""Seconds between checkpoints."""
LOOK_EVERY = 50
"""Steps from one reading of the loss to the next: reading it makes the host wait for the GPU."""


def loss_of(heads: HeadLogits, target: Tensor, temperature: float = 1.0, log_prior: Tensor | None = None) -> Tensor:
    """Cross-entropy of the main head plus 0.3 times that of each auxiliary head. target: (N, classes) probabilities.

    The temperature divides the logits and multiplies the loss, so that gradients keep their size. `log_prior` (classes,) is added
    to the logits of each head (Menon et al., 2021): the logits without it become balanced.
    """
    logits = [head.float() if log_prior is None else head.float() + log_prior for head in heads if head is not None]
    losses = [temperature * F.cross_entropy(head / temperature, target) for head in logits]
    return losses[-1] + _AUX_WEIGHT * sum(losses[:-1])


def learning_rate_at(progress: float, warm_up: float) -> float:
    """The factor on the learning rate at a share 0…1 of the run: linear rise, then a cosine to 0."""
    if progress < warm_up:
        return progress / warm_up
    return 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))


class Run:
    """One training run with everything that a checkpoint holds.

    `identity` describes the run: kind ("settings", "classes", …) → value. A checkpoint with another value is refused.
    """

    def __init__(
        self,
        model: GoogLeNet,
        material: Material,
        preprocess: Preprocess,
        recipe: Recipe,
        teacher: Teacher | None,
        device: torch.device,
        path: Path,
        identity: dict[str, str],
    ) -> None:
        self.material, self.recipe, self.teacher, self.device = material, recipe, teacher, device
        self.temperature = recipe.teacher_temperature if teacher else 1.0
        self.path = path
        self.log_prior: Tensor | None = None
        """(classes,) added to the logits in the loss (`Recipe.prior_in_loss`)"""
        self.identity = {"settings": repr(asdict(recipe)), **identity}
        self.mean, self.std = (torch.tensor(v, device=device).view(3, 1, 1) for v in (preprocess.mean, preprocess.std))
        self.model = model.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.model.dropout.p, aux_dropout = recipe.dropout
        for head in filter(None, (model.aux1, model.aux2)):
            head.dropout.p = aux_dropout
        decayed = [p for p in model.parameters() if p.ndim > 1]
        plain = [p for p in model.parameters() if p.ndim == 1]
        groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self.optimizer = torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, nesterov=True)
        self.epochs = sum(phase.epochs for phase in recipe.schedule)
        self.steps = material.steps_per_epoch * self.epochs
        self.step = self.looked = 0
        """steps that are done, and those at the last look at the loss"""
        self.seconds = 0.0
        self.stopping = False

    @property
    def progress(self) -> float:
        """The share of the run that is done, 0…1."""
        if self.recipe.minutes is None:
            return self.step / self.steps
        return min(1.0, self.seconds / (60 * self.recipe.minutes))

    def phase(self) -> Phase:
        """The part of the schedule that the run is in."""
        left = self.progress * self.epochs
        for phase in self.recipe.schedule:
            left -= phase.epochs
            if left < -1e-9:
                return phase
        return self.recipe.schedule[-1]

    def train(self) -> None:
        """Train to the end of the schedule. On Ctrl-C or SIGTERM, finish the step, write a checkpoint and raise UserError."""
        phase: Phase | None = None
        saved = started = time.monotonic()
        before, self.looked = self.seconds, self.step
        loss = torch.zeros((), device=self.device)
        per_step = self.recipe.batch_size
        total = None if self.recipe.minutes else self.steps * per_step
        with _stop_on_signals(self), tqdm(total=total, initial=self.step * per_step, unit="img", mininterval=2) as bar:
            while self.progress < 1 and not self.stopping:
                if self.phase() != phase:
                    phase = self.phase()
                    self.freeze(phase.freeze)
                    bar.set_description(f"{phase.size} px")
                loss += self.learn(phase.size)
                bar.update(per_step)
                self.seconds = before + time.monotonic() - started
                late = time.monotonic() - saved > _CHECKPOINT_EVERY
                if self.step % LOOK_EVERY == 0 or late or self.stopping:
                    self.look(loss, bar)
                if late:
                    self.save()
                    saved = time.monotonic()
            self.look(loss, bar)
            self.save()
        if self.stopping:
            raise UserError("Stopped at step {step}; the same command with --resume goes on from there.", step=self.step)

    def look(self, loss: Tensor, bar: tqdm) -> None:
        """Show the mean loss since the last call and set the sum to 0. Raises UserError where the loss is not finite."""
        value = loss.item()
        loss.zero_()
        if not math.isfinite(value):
            raise UserError("The loss is no longer a number at step {step}; try a lower --learning-rate.", step=self.step)
        if self.step > self.looked:
            bar.set_postfix(loss=f"{value / (self.step - self.looked):.3f}", done=f"{self.progress:.1%}", refresh=False)
        self.looked = self.step

    def freeze(self, stage: str | None) -> None:
        """Freeze the layers up to and including this stage; train all others."""
        self.model.requires_grad_(True)
        for name in PARTS[: 0 if stage is None else PARTS.index(f"inception{stage}") + 1]:
            self.model.get_submodule(name).requires_grad_(False)

    def learn(self, size: int) -> Tensor:
        """One step of SGD on views of `size` pixels; the loss, still on the device. Nothing here waits for a GPU."""
        recipe = self.recipe
        torch.manual_seed(recipe.seed * 1_000_003 + self.step)  # a resumed run draws the same numbers as an uninterrupted one
        factor = learning_rate_at((self.progress if recipe.minutes else (self.step + 1) / self.steps), recipe.warm_up)
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.learning_rate * factor
        first, last = recipe.crops
        least_area = first + (last - first) * self.progress
        mixed = self.progress < 0.5 and torch.rand(()).item() < recipe.mixed
        views, target = self.material.batch(self.step, size, least_area, mixed, recipe, self.teacher)
        loss = loss_of(self.heads(views), target, self.temperature, self.log_prior)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), _LARGEST_GRADIENT)
        self.optimizer.step()
        self.step += 1
        return loss.detach()

    def heads(self, views: Tensor) -> HeadLogits:
        """Views (N, 3, S, S) in 0…1 → logits of all heads, in bfloat16 where that is faster."""
        normalised = ((views - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half_precision(self.device)):
            return self.model.heads(normalised)

    def save(self) -> None:
        """Write the checkpoint whole or not at all."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "identity": self.identity,
            "step": self.step,
            "seconds": self.seconds,
        }
        part = self.path.with_suffix(".part")
        try:
            with part.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self.path)
        except (OSError, RuntimeError) as error:
            part.unlink(missing_ok=True)
            raise UserError(
                "The checkpoint {path} cannot be written ({error}); free some disk space.", path=self.path, error=error
            ) from None

    def resume(self) -> None:
        """Go on from the checkpoint. Raises UserError where there is none, it is broken, or it belongs to another run."""
        if not self.path.is_file():
            raise UserError("There is no checkpoint at {path} to resume from; leave out --resume.", path=self.path)
        try:
            state = torch.load(self.path, map_location=self.device, weights_only=True)
            identity, step, seconds = dict(state["identity"]), int(state["step"]), float(state["seconds"])
        except (OSError, EOFError, RuntimeError, KeyError, TypeError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile):
            raise UserError(
                "The checkpoint {path} is damaged; start anew with --overwrite in place of --resume.", path=self.path
            ) from None
        other = [kind for kind, words in self.identity.items() if identity.get(kind) != words]
        if other:
            raise UserError(
                "{path} was made with other {kinds}; repeat those, or start anew with --overwrite in place of --resume.",
                path=self.path,
                kinds=" and ".join(other),
            )
        self.model.load_state_dict(state["model"], strict=True)
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = step, seconds


@contextmanager
def _stop_on_signals(run: Run) -> Iterator[None]:
    """On Ctrl-C or SIGTERM, let the step finish. A second signal ends the program as usual."""

    def stop(_number: int, _frame: object) -> None:
        run.stopping = True
        for number, handler in previous.items():
            signal.signal(number, handler)

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
