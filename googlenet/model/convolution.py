"""Convolution and ReLU of the inference copy as one kernel in each direction. The weights are laid out once.

At each call, forward and backward, torch lays a convolution's weights out anew for oneDNN, and its ReLU reads and writes the
output again. The fused kernels here avoid both. On a GPU cuDNN has a fused kernel. `python -m benchmarks.explain` measures what
this gains (rows "plain convolutions"). torch's own compiler uses these operators, and not all of them are public. So each process
compares them with `F.conv2d` before their first use. Plain convolutions run where an operator is missing or differs.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ["ConvReLU", "fuses"]


class ConvReLU(nn.Conv2d):
    """relu(conv(x)): (N, in, H, W) → (N, out, H', W').

    Requires an odd kernel with padding = kernel // 2, a bias, and, for the fused kernels, stride 1 and frozen weights.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        channels = conv.in_channels, conv.out_channels
        super().__init__(*channels, conv.kernel_size, conv.stride, conv.padding, device="meta")  # type: ignore[arg-type]
        assert conv.bias is not None
        self.weight, self.bias = conv.weight, conv.bias
        self.border = [side // 2 for side in self.kernel_size]
        self.layouts = Layouts()

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == (1, 1) and not self.weight.requires_grad and fuses(x.device, x.dtype):
            return Fused.apply(x, self)
        return F.relu(super().forward(x), inplace=True)

    def convolve(self, x: Tensor, backward: bool) -> Tensor:
        """relu(conv(x)). Backward: the gradient of the input, a convolution with kernels rotated by 180°, no bias and no ReLU."""
        layout = self.layout(x, backward)
        if x.device.type == "cuda":
            if backward:
                return F.conv2d(x, layout, padding=self.border)
            return torch.cudnn_convolution_relu(x, layout, self.bias, [1, 1], self.border, [1, 1], 1)
        bias, then = (None, "none") if backward else (self.bias, "relu")
        return onednn("_convolution_pointwise")(x, layout, bias, self.border, [1, 1], [1, 1], 1, then, [], "")

    def layout(self, x: Tensor, backward: bool) -> Tensor:
        """The weights in the layout that the kernel for x needs. It is made at first use, and again after the weights change."""
        laid_out, key = self.layouts.of(self.weight), (backward, len(x) == 1)
        found = laid_out.get(key)
        if found is None:
            found = self.weight.flip(2, 3).transpose(0, 1).contiguous() if backward else self.weight
            if x.device.type == "cuda":
                found = found.contiguous(memory_format=torch.channels_last)
            else:
                shape = list(x.shape)
                found = onednn("_reorder_convolution_weight")(found, self.border, [1, 1], [1, 1], 1, shape)
            laid_out[key] = found
        return found


class Layouts:
    """A convolution's weights in its kernels' layouts. Networks that share the weights (`GoogLeNet.twin`) share the layouts."""

    def __init__(self) -> None:
        self.tensors: dict[tuple[bool, bool], Tensor] = {}
        """(backward?, one picture?) → laid out weights. The best layout for one picture is slow for a batch."""
        self.source: tuple[Tensor, int] | None = None
        """the weights that `tensors` were made from, and their version"""

    def of(self, weight: Tensor) -> dict[tuple[bool, bool], Tensor]:
        """The layouts of these weights so far; empty where the weights have changed."""
        version = weight._version  # noqa: SLF001 (torch has no public name for it)
        if self.source is None or self.source[0].data_ptr() != weight.data_ptr() or self.source[1] != version:
            self.tensors = {}
            self.source = weight.detach(), version  # keeps the memory, so that no other weights get the same address
        return self.tensors

    def __reduce__(self) -> tuple[type[Layouts], tuple[()]]:
        return Layouts, ()  # a copy or pickle lays out its own weights


class Fused(torch.autograd.Function):
    """ConvReLU at stride 1. Only its input has a gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, conv: ConvReLU) -> Tensor:
        y = conv.convolve(x, backward=False)
        ctx.conv = conv
        ctx.save_for_backward(y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (y,) = ctx.saved_tensors
        return ctx.conv.convolve(torch.ops.aten.threshold_backward(gradient, y, 0), backward=True), None


def onednn(name: str) -> Any:
    """One of torch's private operators on oneDNN. Raises AttributeError where this version of torch lacks it."""
    return getattr(torch.ops.mkldnn, name)


@cache
def fuses(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the fused kernels exist on the device and equal `F.conv2d` and ReLU, forward and backward."""
    if dtype not in (torch.float32, torch.bfloat16):
        return False
    generator = torch.Generator().manual_seed(0)  # torch's own generator stays as it is

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device, dtype)

    plain = nn.Conv2d(16, 24, 3, padding=1, device="meta")
    plain.weight = nn.Parameter(random(24, 16, 3, 3), requires_grad=False)
    plain.bias = nn.Parameter(random(24), requires_grad=False)
    x, upstream = random(2, 16, 8, 8), random(2, 24, 8, 8)
    conv = ConvReLU(plain)
    try:
        found = conv.convolve(x, backward=False), conv.convolve(upstream, backward=True)
    except (AttributeError, RuntimeError, TypeError):  # missing, not for this device, or with other arguments
        return False
    wanted = F.relu(plain(x)), F.conv_transpose2d(upstream, plain.weight, padding=1)
    tolerance = 1e-4 if dtype == torch.float32 and device.type == "cpu" else 0.02  # a GPU's TF32 has 10 bits of mantissa
    return all(float((a - b).abs().max()) <= tolerance * float(b.abs().max()) for a, b in zip(found, wanted, strict=True))
