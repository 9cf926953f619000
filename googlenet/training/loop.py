"""The training loop: all three heads together, auxiliary losses weighted 0.3 (section 5 of the paper)."""

from __future__ import annotations

import math
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms import v2
from tqdm import tqdm

from googlenet.architecture import STAGES
from googlenet.device import half_precision
from googlenet.errors import UserError
from googlenet.images import Preprocess
from googlenet.model import GoogLeNet, HeadLogits
from googlenet.training.data import Images, Split, Teacher, augment, batches, normalise

AUX_WEIGHT = 0.3
PARTS = ("conv1", "conv2", "conv3", *(f"inception{stage}" for stage in STAGES))
MIXES = v2.RandomChoice([v2.MixUp(alpha=0.4), v2.CutMix()])
CHECKPOINT_EVERY = 300
"""Seconds between checkpoints."""


@dataclass(frozen=True)
class Phase:
    """A part of the schedule."""

    size: int
    """in pixels"""
    epochs: int
    freeze: str | None = None
    """Everything up to this stage keeps its weights (BatchNorm's statistics follow the pictures): an epoch at a larger size costs
    little more than half."""

    def __str__(self) -> str:
        return ":".join(map(str, (self.size, self.epochs, self.freeze) if self.freeze else (self.size, self.epochs)))


@dataclass(frozen=True)
class Recipe:
    """What a run is made of; written into the model card."""

    schedule: tuple[Phase, ...]
    batch_size: int = 128
    learning_rate: float = 0.1
    weight_decay: float = 5e-4
    """none on biases and BatchNorm"""
    crops: tuple[float, float] = (0.35, 0.65)
    """least share of the picture's area that a random crop keeps, in the first epoch and in the last, linear between: what a crop
    shows is enlarged, and the network has to end at the scale of use (Touvron et al., "Fixing the train-test resolution
    discrepancy", 2019)"""
    warm_up: float = 0.05
    """share of the steps in which the learning rate rises; then it falls to 0 by a cosine"""
    label_smoothing: float = 0.1
    """used without a teacher"""
    teacher_weight: float = 0.8
    """share of the teacher's answer in the target, the rest is the true label; used with a teacher"""
    mixed: float = 0.5
    """share of the batches in which pairs of images and their targets are mixed, by mixup (Zhang et al., 2018) or CutMix (Yun et
    al., 2019), in the first half of the steps: the last ones are for pictures as they are"""
    dropout: tuple[float, float] = (0.1, 0.3)
    """before the main head's and the auxiliary heads' last layer; the paper's 0.4 and 0.7 are for many more epochs"""
    seed: int = 0


def targets(labels: Tensor, rows: Tensor, classes: int, recipe: Recipe, teacher: Teacher | None) -> Tensor:
    """(N,) labels → (N, classes) probabilities to learn."""
    true = torch.nn.functional.one_hot(labels, classes).float()
    if teacher is None:
        return true * (1 - recipe.label_smoothing) + recipe.label_smoothing / classes
    return true * (1 - recipe.teacher_weight) + teacher.answers(rows, classes) * recipe.teacher_weight


def loss_of(heads: HeadLogits, target: Tensor) -> Tensor:
    """Cross-entropy of the main head plus 0.3 times that of each auxiliary head."""
    losses = [torch.nn.functional.cross_entropy(h.float(), target) for h in heads if h is not None]
    return losses[-1] + AUX_WEIGHT * sum(losses[:-1])


def learning_rate_at(step: int, total: int, warm_up: float) -> float:
    """The factor on the learning rate: linear rise, then a cosine to 0."""
    rise = max(1, round(warm_up * total))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))


class Run:
    """One training run with everything that a checkpoint holds."""

    def __init__(
        self,
        model: GoogLeNet,
        split: Split,
        preprocess: Preprocess,
        recipe: Recipe,
        teacher: Teacher | None,
        device: torch.device,
        out: Path,
    ) -> None:
        self.split, self.preprocess, self.recipe, self.teacher, self.device = split, preprocess, recipe, teacher, device
        self.path = out / "checkpoint.pt"
        self.model = model.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.model.dropout.p, aux_dropout = recipe.dropout
        for head in (model.aux1, model.aux2):
            if head is not None:
                head.dropout.p = aux_dropout
        decayed = [p for p in model.parameters() if p.ndim > 1]
        plain = [p for p in model.parameters() if p.ndim == 1]
        groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self.optimizer = torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, nesterov=True)
        self.phases = [phase for phase in recipe.schedule for _ in range(phase.epochs)]
        """of each epoch"""
        self.steps_per_epoch = len(split.paths) // recipe.batch_size
        if not self.steps_per_epoch:
            raise UserError(f"{len(split.paths)} training images make no batch of {recipe.batch_size}; use --batch-size.")
        self.steps = self.steps_per_epoch * len(self.phases)
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: learning_rate_at(step, self.steps, recipe.warm_up)
        )
        self.step = 0
        self.seconds = 0.0
        self.stopping = False

    def save(self) -> None:
        """Write the checkpoint whole or not at all."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "recipe": repr(asdict(self.recipe)),
            "step": self.step,
            "seconds": self.seconds,
        }
        part = self.path.with_suffix(".part")
        try:
            torch.save(state, part)
            os.replace(part, self.path)
        except (OSError, RuntimeError) as error:
            part.unlink(missing_ok=True)
            raise UserError(f"The checkpoint {self.path} cannot be written ({error}); free some disk space.") from None

    def resume(self) -> None:
        """Go on from the checkpoint. Raises UserError where there is none or it belongs to another recipe."""
        if not self.path.is_file():
            raise UserError(f"There is no checkpoint at {self.path} to resume from; start without --resume.")
        state = torch.load(self.path, map_location=self.device, weights_only=True)
        if state["recipe"] != repr(asdict(self.recipe)):
            raise UserError(f"{self.path} was made with other settings ({state['recipe']}); repeat those to resume.")
        self.model.load_state_dict(state["model"], strict=True)
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.step, self.seconds = state["step"], state["seconds"]

    def train(self) -> None:
        """Run to the end of the schedule. Ctrl-C finishes the step, leaves a checkpoint and raises UserError."""

        def stop(_number: int, _frame: object) -> None:
            # a flag, since an exception raised while the workers are being joined would be swallowed
            self.stopping = True
            signal.signal(signal.SIGINT, previous)

        previous = signal.signal(signal.SIGINT, stop)
        try:
            while self.step < self.steps:
                self.epoch(self.step // self.steps_per_epoch)
                self.save()
                if self.stopping:
                    raise UserError(f"Stopped at step {self.step}; the same command with --resume goes on from there.")
        finally:
            signal.signal(signal.SIGINT, previous)

    def freeze(self, stage: str | None) -> None:
        """Let everything learn but what lies before and in this stage."""
        self.model.requires_grad_(True)
        for name in PARTS[: 0 if stage is None else PARTS.index(f"inception{stage}") + 1]:
            self.model.get_submodule(name).requires_grad_(False)

    def epoch(self, epoch: int) -> None:
        recipe, phase = self.recipe, self.phases[epoch]
        self.freeze(phase.freeze)
        first, last = recipe.crops
        least_area = first + (last - first) * epoch / max(1, len(self.phases) - 1)
        seed = recipe.seed + epoch
        torch.manual_seed(seed + self.step)
        shuffled = torch.randperm(len(self.split.paths), generator=torch.Generator().manual_seed(seed)).tolist()
        done = self.step % self.steps_per_epoch * recipe.batch_size
        order = shuffled[done : self.steps_per_epoch * recipe.batch_size]
        images = Images(self.split, augment(phase.size, least_area))
        loader = batches(images, order, recipe.batch_size, self.device, seed + self.step)
        title = f"epoch {epoch + 1}/{len(self.phases)} at {phase.size} px"
        running_loss = running_accuracy = 0.0
        saved = time.monotonic()
        with tqdm(total=len(shuffled), initial=done, desc=title, unit="img", mininterval=2) as bar:
            for count, batch in enumerate(loader, 1):
                if isinstance(batch, UserError):
                    raise batch
                started = time.monotonic()
                loss, accuracy = self.learn(batch.images, batch.labels, batch.rows)
                self.seconds += time.monotonic() - started
                weight = max(0.02, 1 / count)  # a mean over the last fifty batches or so
                running_loss += weight * (loss - running_loss)
                running_accuracy += weight * (accuracy - running_accuracy)
                bar.set_postfix(loss=f"{running_loss:.3f}", accuracy=f"{running_accuracy:.1%}", refresh=False)
                bar.update(len(batch.labels))
                if self.stopping:
                    return
                if time.monotonic() - saved > CHECKPOINT_EVERY:
                    self.save()
                    saved = time.monotonic()

    def learn(self, images: Tensor, labels: Tensor, rows: Tensor) -> tuple[float, float]:
        """One step of SGD; the batch's loss and the main head's accuracy on it, low where images were mixed."""
        target = targets(labels, rows, len(self.split.names), self.recipe, self.teacher).to(self.device)
        x = normalise(images, self.preprocess, self.device)
        if 2 * self.step < self.steps and torch.rand(()) < self.recipe.mixed:
            x, target = MIXES(x, target)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half_precision(self.device)):
            heads = self.model(x)
        loss = loss_of(heads, target)
        if not math.isfinite(loss.item()):
            raise UserError(f"The loss is no longer a number at step {self.step}; try a lower --learning-rate.")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.scheduler.step()
        self.step += 1
        return loss.item(), (heads.main.argmax(1).cpu() == labels).float().mean().item()
