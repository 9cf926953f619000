"""GoogLeNet (Szegedy et al., "Going Deeper with Convolutions", 2014), in the order that data flows.

This file holds the whole network: the block, the Inception module, the auxiliary head, the network. `Architecture` says what
differs between the published GoogLeNets (the paper's with BatchNorm, torchvision's, Berkeley's of 2014).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from googlenet.model.architecture import PAPER, Architecture
from googlenet.model.convolution import ConvReLU

__all__ = ["FusedInception", "GoogLeNet", "HeadLogits"]


class HeadLogits(NamedTuple):
    """Logits (N, classes) of the three heads in order of depth; None for a head that the model lacks."""

    aux1: Tensor | None
    aux2: Tensor | None
    main: Tensor


class ConvBlock(nn.Module):
    """Convolution → normalisation → ReLU: (N, in, H, W) → (N, out, H', W')."""

    def __init__(self, architecture: Architecture, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        batch_norm = architecture.norm == "batch"
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=not batch_norm)
        self.bn: nn.Module = nn.BatchNorm2d(outputs, eps=1e-3) if batch_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Inception(nn.Module):
    """Four filter sizes side by side, concatenated along the channels (figure 2b).

    `widths` is a row of Table 1: 1×1, 3×3 reduce, 3×3, 5×5 reduce, 5×5, pool projection. The output has `splits` channels from
    the four branches, in the order of `BRANCHES`.
    """

    def __init__(self, architecture: Architecture, inputs: int, widths: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        one, reduce3, three, reduce5, five, pool = widths
        self.splits = (one, three, five, pool)
        self.branch1 = ConvBlock(architecture, inputs, one, 1)
        self.branch2 = nn.Sequential(ConvBlock(architecture, inputs, reduce3, 1), ConvBlock(architecture, reduce3, three, 3))
        self.branch3 = nn.Sequential(
            ConvBlock(architecture, inputs, reduce5, 1),
            ConvBlock(architecture, reduce5, five, architecture.branch3_kernel),
        )
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), ConvBlock(architecture, inputs, pool, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)), dim=1)


class FusedInception(nn.Module):
    """An Inception module of ConvReLUs, in which one kernel computes the three 1×1 convolutions that read the module's input."""

    def __init__(self, stage: Inception) -> None:
        super().__init__()
        self.splits = stage.splits
        self.three, self.five, self.branch4 = stage.branch2[1], stage.branch3[1], stage.branch4
        readers = [stage.get_submodule(name).parameters() for name in ("branch1", "branch2.0", "branch3.0")]
        weights, biases = zip(*readers, strict=True)
        self.widths = [len(bias) for bias in biases]
        together = nn.Conv2d(weights[0].shape[1], sum(self.widths), 1, device="meta")
        together.weight, together.bias = nn.Parameter(torch.cat(weights)), nn.Parameter(torch.cat(biases))
        self.reduce = ConvReLU(together)

    def forward(self, x: Tensor) -> Tensor:
        one, three, five = self.reduce(x).split(self.widths, dim=1)
        return torch.cat((one, self.three(three), self.five(five), self.branch4(x)), dim=1)


class LocalResponseNorm(nn.LocalResponseNorm):
    """torch's layer, also for bfloat16, which torch's average pool does not support on the CPU."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float() if x.dtype == torch.bfloat16 else x).to(x.dtype)


class InceptionAux(nn.Module):
    """Auxiliary classifier (section 5): (N, inputs, H, W) → logits (N, classes)."""

    def __init__(self, architecture: Architecture, inputs: int, classes: int) -> None:
        super().__init__()
        self.paper_pool = architecture.aux_pool == "5x5/3"
        self.conv = ConvBlock(architecture, inputs, 128, 1)
        self.fc1 = nn.Linear(2048, 1024)
        self.dropout = nn.Dropout(0.7)
        self.fc2 = nn.Linear(1024, classes)

    def forward(self, x: Tensor) -> Tensor:
        if self.paper_pool and x.shape[-2:] == (14, 14):
            x = F.avg_pool2d(x, 5, stride=3)
        else:
            x = F.adaptive_avg_pool2d(x, 4)
        x = self.conv(x)  # (N, 128, 4, 4)
        x = F.relu(self.fc1(x.flatten(1)))  # (N, 1024)
        return self.fc2(self.dropout(x).to(self.fc2.weight.dtype))


class GoogLeNet(nn.Module):
    """GoogLeNet, the network of Table 1.

    In eval mode `model(x)` gives the main head's logits; in training mode it gives all three heads' (`HeadLogits`).
    `model.heads(x)` gives all three in any mode. `googlenet.load` and `googlenet.save` read and write weights.

    Args:
        architecture: which of the published GoogLeNets; the paper's with BatchNorm by default.
        classes: the number of classes.
        dropout: its probability before the main head's linear layer. The auxiliary heads have the paper's 0.7.

    Shape:
        Input: RGB (N, 3, S, S) float, normalised as the weights ask, S from 64 up; 224 in the paper.
        Output: logits (N, classes) float.

    Source: Szegedy et al., "Going Deeper with Convolutions", 2014.

    Example:
        >>> import torch
        >>> from googlenet import GoogLeNet
        >>> model = GoogLeNet(classes=10).eval()
        >>> x = torch.randn(1, 3, 224, 224)
        >>> model(x).shape
        torch.Size([1, 10])
        >>> [(name, tuple(stage.shape)) for name, stage in model.stages(x)][-1]
        ('5b', (1, 1024, 7, 7))
    """

    def __init__(self, architecture: Architecture = PAPER, classes: int = 1000, dropout: float = 0.4) -> None:
        super().__init__()
        self.architecture = architecture

        def block(inputs: int, outputs: int, kernel: int, stride: int = 1) -> ConvBlock:
            return ConvBlock(architecture, inputs, outputs, kernel, stride)

        def inception(inputs: int, *widths: int) -> Inception:
            one, reduce3, three, reduce5, five, pool = widths
            return Inception(architecture, inputs, (one, reduce3, three, reduce5, five, pool))

        self.conv1 = block(3, 64, 7, stride=2)
        self.conv2 = block(64, 64, 1)
        self.conv3 = block(64, 192, 3)
        self.inception3a = inception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = inception(256, 128, 128, 192, 32, 96, 64)
        self.inception4a = inception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = inception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = inception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = inception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = inception(528, 256, 160, 320, 32, 128, 128)
        self.inception5a = inception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = inception(832, 384, 192, 384, 48, 128, 128)
        self.aux1 = InceptionAux(architecture, 512, classes) if architecture.aux_heads else None
        self.aux2 = InceptionAux(architecture, 528, classes) if architecture.aux_heads else None
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(1024, classes)

        self.lrn: nn.Module = nn.Identity()
        if architecture.norm == "local_response":
            self.lrn = LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and not module.weight.is_meta:  # kaiming_normal_ on meta imports torch's compiler
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def stages(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield the nine stages' names and outputs in order of depth. Sizes in the comments are for a 224×224 input."""
        x = self.conv1(x.to(next(self.parameters()).dtype))  # (N, 64, 112, 112)
        x = self.lrn(_pool(x))  # (N, 64, 56, 56)
        x = self.conv3(self.conv2(x))  # (N, 192, 56, 56)
        x = _pool(self.lrn(x))  # (N, 192, 28, 28)
        x = self.inception3a(x)
        yield "3a", x  # (N, 256, 28, 28)
        x = self.inception3b(x)
        yield "3b", x  # (N, 480, 28, 28)
        x = self.inception4a(_pool(x))
        yield "4a", x  # (N, 512, 14, 14)
        x = self.inception4b(x)
        yield "4b", x  # (N, 512, 14, 14)
        x = self.inception4c(x)
        yield "4c", x  # (N, 512, 14, 14)
        x = self.inception4d(x)
        yield "4d", x  # (N, 528, 14, 14)
        x = self.inception4e(x)
        yield "4e", x  # (N, 832, 14, 14)
        x = self.inception5a(_pool(x, self.architecture.maxpool4_kernel))
        yield "5a", x  # (N, 832, 7, 7)
        x = self.inception5b(x)
        yield "5b", x  # (N, 1024, 7, 7)

    def classify(self, x: Tensor) -> Tensor:
        """The main head on 5b's output (N, 1024, H, W): global average, dropout, linear (section 5)."""
        return self.fc(self.dropout(x.mean(dim=(2, 3))).to(self.fc.weight.dtype))

    def heads(self, x: Tensor) -> HeadLogits:
        """Logits of all three heads, in any mode. x: (N, 3, S, S) as for `forward`."""
        aux1 = aux2 = None
        for name, stage in self.stages(x):
            if name == "4a" and self.aux1 is not None:
                aux1 = self.aux1(stage)
            if name == "4d" and self.aux2 is not None:
                aux2 = self.aux2(stage)
        return HeadLogits(aux1, aux2, self.classify(stage))

    def forward(self, x: Tensor) -> Tensor | HeadLogits:
        """(N, 3, S, S) → the main head's logits (N, classes); in training mode those of all three heads."""
        if self.training:
            return self.heads(x)
        *_, (_, stage) = self.stages(x)
        return self.classify(stage)

    def stage(self, name: str) -> Inception | FusedInception:
        """The Inception module of a stage by its name in `STAGES`."""
        return self.get_submodule(f"inception{name}")  # type: ignore[return-value]

    def last_layers(self) -> dict[str, nn.Linear]:
        """Head → the linear layer that gives its logits."""
        aux = {name: head.fc2 for name, head in (("aux1", self.aux1), ("aux2", self.aux2)) if head is not None}
        return {**aux, "main": self.fc}

    def for_inference(self) -> GoogLeNet:
        """A copy for inference: eval mode, BatchNorm folded, kernels fused, no parameter needs a gradient."""
        copied = copy.deepcopy(self).eval()
        for name, module in list(copied.named_modules()):
            if isinstance(module, ConvBlock):
                folded = fuse_conv_bn_eval(module.conv, module.bn) if isinstance(module.bn, nn.BatchNorm2d) else module.conv
                copied.set_submodule(name, ConvReLU(folded))
        for name, module in list(copied.named_modules()):
            if isinstance(module, Inception):
                copied.set_submodule(name, FusedInception(module))
        return copied.requires_grad_(False)

    def twin(self) -> GoogLeNet:
        """A network with its own modules, and thus hooks, that shares this one's weights: both can run at the same time.

        Call it while no pass has hooks on this network.
        """
        layouts = (module.layouts for module in self.modules() if isinstance(module, ConvReLU))
        shared = (*self.parameters(), *self.buffers(), *layouts)
        return copy.deepcopy(self, {id(each): each for each in shared})

    def to_bfloat16(self) -> GoogLeNet:
        """Convert the parameters to bfloat16, in place, except the three last linear layers, so that no logit is rounded."""
        last = self.last_layers().values()
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and module not in last:
                module.bfloat16()
        return self


def _pool(x: Tensor, kernel: int = 3) -> Tensor:
    """The max-pool between groups of layers: stride 2, no padding, the size rounded up (112 → 56 → 28 → 14 → 7)."""
    return F.max_pool2d(x, kernel, stride=2, ceil_mode=True)
