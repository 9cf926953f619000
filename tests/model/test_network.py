"""The network against the paper's Table 1 and torchvision, without the tutorial port's known faults; what a cell can see."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from googlenet.model.architecture import BERKELEY, HEADS, Architecture, receptive_fields
from googlenet.model.convolution import ConvReLU
from googlenet.model.network import GoogLeNet
from tests.helpers import ARCHITECTURES, random_model

# The weights of the convolutions as Table 1's channel columns give them. The paper's own "params" column departs from its
# channels in places: it prints 2.7K for the first convolution (9,408 weights), 112K for the second (114,688), 159K for 3a
# (163,328), 380K for 3b (388,096), 364K for 4a (375,552), 437K for 4b (448,512), 463K for 4c (509,440), 580K for 4d
# (604,672), 840K for 4e (867,328), 1072K for 5a (1,042,432) and 1388K for 5b (1,442,816).
WEIGHTS = {
    "conv1": 9_408,
    "conv2+conv3": 114_688,
    "inception3a": 163_328,
    "inception3b": 388_096,
    "inception4a": 375_552,
    "inception4b": 448_512,
    "inception4c": 509_440,
    "inception4d": 604_672,
    "inception4e": 867_328,
    "inception5a": 1_042_432,
    "inception5b": 1_442_816,
    "fc": 1_024_000,
}

BRANCHES = {
    "3a": (64, 128, 32, 32),
    "3b": (128, 192, 96, 64),
    "4a": (192, 208, 48, 64),
    "4b": (160, 224, 64, 64),
    "4c": (128, 256, 64, 64),
    "4d": (112, 288, 64, 64),
    "4e": (256, 320, 128, 128),
    "5a": (256, 320, 128, 128),
    "5b": (384, 384, 128, 128),
}
SIDES = {"3": 28, "4": 14, "5": 7}


@pytest.fixture(scope="module")
def paper() -> GoogLeNet:
    return GoogLeNet().eval()


def test_weights_of_each_row(paper: GoogLeNet) -> None:
    weights = dict.fromkeys(WEIGHTS, 0)
    for row in WEIGHTS:
        for module in (module for name in row.split("+") for module in paper.get_submodule(name).modules()):
            weights[row] += module.weight.numel() if isinstance(module, nn.Conv2d | nn.Linear) else 0
    assert weights == WEIGHTS


def test_parameters_of_berkeleys_network() -> None:
    assert sum(p.numel() for p in GoogLeNet(BERKELEY, classes=1000).parameters()) == 13_378_280


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_shapes_at_224(name: str) -> None:
    stages = random_model(ARCHITECTURES[name]).stages(torch.zeros(1, 3, 224, 224))
    shapes = {stage: (sum(widths), SIDES[stage[0]], SIDES[stage[0]]) for stage, widths in BRANCHES.items()}
    assert {stage: tuple(x.shape[1:]) for stage, x in stages} == shapes


def test_branches_and_stem_at_224(paper: GoogLeNet) -> None:
    assert {stage: paper.stage(stage).splits for stage in BRANCHES} == BRANCHES
    shapes = {}
    for name in ("conv1", "conv2", "conv3"):
        paper.get_submodule(name).register_forward_hook(lambda _m, _i, out, n=name: shapes.update({n: tuple(out.shape[1:])}))
    paper(torch.zeros(1, 3, 224, 224))
    # the tutorial port's second convolution has stride 2 and no reduction: stage 4 would be 7×7
    assert shapes == {"conv1": (64, 112, 112), "conv2": (64, 56, 56), "conv3": (192, 56, 56)}


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("size", [64, 97, 320])
def test_heads_at_all_sizes(name: str, size: int) -> None:
    model = random_model(ARCHITECTURES[name])
    heads = [head for head in model.heads(torch.randn(1, 3, size, size)) if head is not None]
    assert len(heads) == (1 if name == "torchvision" else 3)
    assert all(head.shape == (1, 10) and bool(head.isfinite().all()) for head in heads)
    assert any(key.startswith("aux") for key in model.state_dict()) == (name != "torchvision")


def test_forward_gives_main_logits_in_eval_and_all_heads_in_training() -> None:
    model, x = random_model(), torch.randn(2, 3, 64, 64)
    assert torch.equal(model(x), model.heads(x).main)
    assert model.train()(x)._fields == HEADS


@pytest.mark.parametrize("name", ["paper", "berkeley"])
def test_gradients_reach_every_parameter(name: str) -> None:
    model = random_model(ARCHITECTURES[name]).train()
    sum(head.square().sum() for head in model(torch.randn(2, 3, 96, 96))).backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_parity_with_torchvision() -> None:
    theirs = torchvision.models.googlenet(weights=None, aux_logits=True, transform_input=False, init_weights=False)
    architecture = Architecture(branch3_kernel=3, maxpool4_kernel=2, aux_pool="adaptive")
    ours = random_model(architecture, classes=1000)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x = torch.randn(2, 3, 224, 224)
    theirs.train()  # torchvision gives its auxiliary logits in training mode alone
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d | nn.Dropout):
            module.eval()
    with torch.no_grad():
        reference, heads = theirs(x), ours.heads(x)
    scale = reference.logits.abs().max()
    assert (heads.main - reference.logits).abs().max() <= 1e-5 * scale
    assert (heads.aux2 - reference.aux_logits2).abs().max() <= 1e-5 * reference.aux_logits2.abs().max()
    assert (heads.aux1 - reference.aux_logits1).abs().max() <= 1e-5 * reference.aux_logits1.abs().max()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_inference_copy_computes_the_same(name: str) -> None:
    model, x = random_model(ARCHITECTURES[name]), torch.randn(2, 3, 128, 128)
    folded = model.for_inference()
    with torch.no_grad():
        for ours, reference in zip(folded.heads(x), model.heads(x), strict=True):
            if reference is not None:
                assert (ours - reference).abs().max() <= 1e-5 * reference.abs().max()
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert not any(p.requires_grad for p in folded.parameters())
    assert any(isinstance(m, nn.BatchNorm2d) for m in model.modules()) == (ARCHITECTURES[name].norm == "batch")


def test_a_twin_shares_the_weights_and_no_hooks() -> None:
    model, x = random_model().for_inference(), torch.randn(1, 3, 96, 96)
    model(x)  # so that the kernels' layouts are there
    twin = model.twin()
    assert torch.equal(twin(x), model(x))
    pairs = list(zip(model.parameters(), twin.parameters(), strict=True))
    assert pairs
    assert all(a is b for a, b in pairs)
    seen: list[object] = []
    with twin.stage("4c").register_forward_hook(lambda *_: seen.append(1)):
        model(x)
        assert not seen
        twin(x)
        assert seen
    convolutions = [[m for m in each.modules() if isinstance(m, ConvReLU)] for each in (model, twin)]
    assert all(a is not b and a.layouts is b.layouts for a, b in zip(*convolutions, strict=True))
    with torch.no_grad():
        model.fc.weight.zero_()
    assert torch.equal(twin(x), model(x))


CELLS = {"3a": (3, 14), "3b": (27, 0), "4a": (0, 7), "4b": (7, 13), "4d": (13, 0), "5a": (1, 6), "5b": (6, 0)}
"""stage → row and column of a cell whose square is not cut on all four sides, where there is one"""


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_cell_sees_the_pixels_that_its_gradients_reach_and_no_others(name: str) -> None:
    model = random_model(ARCHITECTURES[name]).requires_grad_(False)
    pictures = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0), requires_grad=True)
    activations, fields = dict(model.stages(pictures)), receptive_fields(ARCHITECTURES[name])
    for stage, cell in CELLS.items():
        score = activations[stage].flatten(2)[:, :, cell[0] * activations[stage].shape[3] + cell[1]].sum()
        (gradient,) = torch.autograd.grad(score, pictures, retain_graph=True)
        reached = gradient.ne(0).any(0).any(0)
        for at, pixels in zip(cell, (reached.any(1), reached.any(0)), strict=True):
            first = fields[stage].start + at * fields[stage].stride
            edges = pixels.nonzero().flatten()
            assert (edges[0], edges[-1] + 1) == (max(0, first), min(224, first + fields[stage].size)), (stage, cell)
