"""The inference copy's convolution against torch's own, in both directions."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from googlenet.model import convolution
from googlenet.model.convolution import ConvReLU, fuses

CPU = torch.device("cpu")
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 0.02}
"""That of bfloat16 is `fuses`' own: a CPU without instructions for it rounds more often."""


def conv_relu(kernel: int, stride: int = 1) -> ConvReLU:
    torch.manual_seed(0)
    return ConvReLU(nn.Conv2d(24, 40, kernel, stride, padding=kernel // 2)).requires_grad_(False)


def off_by(ours: torch.Tensor, reference: torch.Tensor) -> float:
    return float((ours - reference).abs().max() / reference.abs().max())


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (5, 1), (3, 2)])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_value_and_gradient_are_torchs(dtype: torch.dtype, kernel: int, stride: int, channels_last: bool) -> None:
    conv = conv_relu(kernel, stride).to(dtype)
    exact = copy.deepcopy(conv).double()
    for batch, side in ((1, 14), (1, 9), (3, 14), (2, 9)):  # weights are laid out for the first of a kind and used for both
        x = torch.randn(batch, 24, side, side, dtype=dtype)
        if channels_last:
            x = x.to(memory_format=torch.channels_last)
        x.requires_grad_()
        y = conv(x)
        assert (type(y.grad_fn).__name__ == "FusedBackward") == (fuses(CPU, dtype) and stride == 1)
        upstream = torch.randn_like(y)
        (gradient,) = torch.autograd.grad(y, x, upstream)
        reference_x = x.detach().double().requires_grad_()
        reference = F.relu(F.conv2d(reference_x, exact.weight, exact.bias, stride, kernel // 2))
        # what bfloat16 rounds to zero has no gradient: take the reference's where the value is positive in both
        (reference_gradient,) = torch.autograd.grad(reference, reference_x, upstream.double() * (y > 0))
        assert off_by(y.detach(), reference.detach()) <= TOLERANCE[dtype]
        assert off_by(gradient, reference_gradient) <= TOLERANCE[dtype]
    assert len(conv.layouts.tensors) == (4 if fuses(CPU, dtype) and stride == 1 else 0)


def test_this_torch_has_the_operators() -> None:
    """Without them everything works, but slower. A new torch that lost them should be noticed here."""
    assert fuses(CPU, torch.float32)
    assert not fuses(CPU, torch.float64)


@pytest.mark.parametrize("fault", ["missing", "different"])
def test_plain_convolutions_where_an_operator_is_missing_or_differs(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    true = convolution.onednn

    def faulty(name: str) -> object:
        if fault == "missing":
            raise AttributeError(name)
        return (lambda *arguments: true(name)(*arguments) * 1.01) if name == "_convolution_pointwise" else true(name)

    conv, x = conv_relu(3), torch.randn(1, 24, 8, 8)
    fuses.cache_clear()
    monkeypatch.setattr(convolution, "onednn", faulty)
    try:
        assert not fuses(CPU, torch.float32)
        assert torch.equal(conv(x), F.relu(F.conv2d(x, conv.weight, conv.bias, padding=1)))
    finally:
        fuses.cache_clear()


def test_weights_that_change_are_laid_out_anew() -> None:
    """Loading, changing in place, and a way there and back through another precision."""

    def right() -> bool:
        x = torch.randn(1, 24, 8, 8, requires_grad=True)
        reference = F.relu(F.conv2d(x, conv.weight, conv.bias, padding=1))
        pairs = [(conv(x), reference), *zip(*(torch.autograd.grad(y.sum(), x) for y in (conv(x), reference)), strict=True)]
        return all(off_by(a.detach(), b.detach()) <= 1e-5 for a, b in pairs)

    conv = conv_relu(3)
    assert right()
    conv.load_state_dict({name: torch.randn_like(value) for name, value in conv.state_dict().items()})
    assert right()
    nn.init.normal_(conv.weight)
    assert right()
    conv.bfloat16().float()
    assert right()
    conv.weight = nn.Parameter(torch.randn_like(conv.weight), requires_grad=False)
    assert right()


def test_copies_and_pickles_work_after_use_and_weights_may_learn() -> None:
    conv, x = conv_relu(3), torch.randn(1, 24, 8, 8)
    y = conv(x)
    assert torch.equal(copy.deepcopy(conv)(x), y)
    assert torch.equal(pickle.loads(pickle.dumps(conv))(x), y)
    conv.requires_grad_(True)
    conv(x).sum().backward()
    assert conv.weight.grad is not None
    assert conv.weight.grad.abs().max() > 0
