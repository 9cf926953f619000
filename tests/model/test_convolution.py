"""The inference copy's convolution against torch's own, in both directions."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from googlenet.model.convolution import PACKED, ConvReLU

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 0.01}


def conv_relu(kernel: int, stride: int = 1) -> ConvReLU:
    torch.manual_seed(0)
    return ConvReLU(nn.Conv2d(24, 40, kernel, stride, padding=kernel // 2)).requires_grad_(False)


def off_by(ours: torch.Tensor, reference: torch.Tensor) -> float:
    return float((ours - reference).abs().max() / reference.abs().max())


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("dtype", sorted({torch.float64, *PACKED}, key=str))
def test_value_and_gradient_are_torchs(dtype: torch.dtype, kernel: int, stride: int, channels_last: bool) -> None:
    conv = conv_relu(kernel, stride).to(dtype)
    exact = copy.deepcopy(conv).double()
    for batch, side in ((1, 14), (1, 9), (3, 14), (2, 9)):  # weights are laid out for the first of a kind and used for both
        x = torch.randn(batch, 24, side, side, dtype=dtype)
        if channels_last:
            x = x.to(memory_format=torch.channels_last)
        x.requires_grad_()
        y = conv(x)
        assert (type(y.grad_fn).__name__ == "PackedBackward") == (dtype in PACKED and stride == 1)
        upstream = torch.randn_like(y)
        (gradient,) = torch.autograd.grad(y, x, upstream)
        reference_x = x.detach().double().requires_grad_()
        reference = F.relu(F.conv2d(reference_x, exact.weight, exact.bias, stride, kernel // 2))
        # what bfloat16 rounds to zero has no gradient: take the reference's where the value is positive in both
        (reference_gradient,) = torch.autograd.grad(reference, reference_x, upstream.double() * (y > 0))
        assert off_by(y.detach(), reference.detach()) <= TOLERANCE[dtype]
        assert off_by(gradient, reference_gradient) <= TOLERANCE[dtype]
    assert len(conv.layouts) == (4 if dtype in PACKED and stride == 1 else 0)


def test_weights_that_learn_get_their_gradient() -> None:
    conv = conv_relu(3).requires_grad_(True)
    conv(torch.randn(1, 24, 8, 8)).sum().backward()
    assert conv.weight.grad is not None
    assert conv.weight.grad.abs().max() > 0


def test_copies_and_pickles_work_after_use() -> None:
    conv, x = conv_relu(3), torch.randn(1, 24, 8, 8)
    y = conv(x)
    assert torch.equal(copy.deepcopy(conv)(x), y)
    assert torch.equal(pickle.loads(pickle.dumps(conv))(x), y)
