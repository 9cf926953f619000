"""Convolution and ReLU of the inference copy: on a CPU one oneDNN kernel in each direction, its weights laid out once.

torch lays a convolution's weights out anew for oneDNN at each call, forward and backward, and its ReLU goes over the output once
more: together about a twelfth of one picture's explanation. The operators used here are those of torch's own compiler; they are
private to torch, so that tests keep them equal to `F.conv2d` in both directions.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

PACKED: set[torch.dtype] = set()
"""The precisions in which this processor's oneDNN convolves."""
if torch.backends.mkldnn.is_available():
    PACKED |= {torch.float32} | ({torch.bfloat16} if torch.ops.mkldnn._is_mkldnn_bf16_supported() else set())  # noqa: SLF001


class ConvReLU(nn.Conv2d):
    """relu(conv(x)): (N, in, H, W) → (N, out, H', W').

    Made from a convolution of an odd kernel that keeps the size but for its stride, has a bias, and learns no more.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        channels = conv.in_channels, conv.out_channels
        super().__init__(*channels, conv.kernel_size, conv.stride, conv.padding, device="meta")  # type: ignore[arg-type]
        assert conv.bias is not None
        self.weight, self.bias = conv.weight, conv.bias
        self.layouts: dict[tuple[bool, torch.dtype, bool], Tensor] = {}
        """(backward?, precision, one picture?) → weights as oneDNN wants them: what suits one picture slows a batch"""

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type == "cpu" and x.dtype in PACKED and self.stride == (1, 1) and not self.weight.requires_grad:
            return Packed.apply(x, self)
        return F.relu(super().forward(x), inplace=True)

    def convolve(self, x: Tensor, backward: bool) -> Tensor:
        """The convolution with its bias and ReLU or, for the gradient of its input, the one with the kernels turned by 180°."""
        padding = list(self.padding)
        key = backward, x.dtype, len(x) == 1
        layout = self.layouts.get(key)
        if layout is None:
            weight = self.weight.flip(2, 3).transpose(0, 1).contiguous() if backward else self.weight
            layout = torch.ops.mkldnn._reorder_convolution_weight(weight, padding, [1, 1], [1, 1], 1, list(x.shape))  # noqa: SLF001
            self.layouts[key] = layout
        bias, then = (None, "none") if backward else (self.bias, "relu")
        return torch.ops.mkldnn._convolution_pointwise(x, layout, bias, padding, [1, 1], [1, 1], 1, then, [], "")  # noqa: SLF001

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "layouts": {}}  # opaque to copies and pickles


class Packed(torch.autograd.Function):
    """ConvReLU at stride 1 with a gradient for its input alone."""

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
