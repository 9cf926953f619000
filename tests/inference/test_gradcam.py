"""The engine against Captum one layer at a time, torchcam and grad-cam, for all three configurations of the network.

The network is piecewise linear: where two cells of a max-pool tie, or a ReLU's input is zero, to within rounding, two ways of
computing the same convolution may take different sides, and the gradient jumps. In float32 that happens about once in two
pictures when the kernels differ (BatchNorm folded or not, another batch size), so that comparisons across kernels
are made in float64, where it does not; those that run the same kernels are made in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam, LayerGradientXActivation
from torch import Tensor, nn

from googlenet.explanation import LAYER_CAM, Cell, Group, Question, classes_of
from googlenet.inference.gradcam import AGAINST, FOR, Asked, Parts, grad_cam, one_pass
from googlenet.model.architecture import HEADS, STAGES, STAGES_BEFORE
from googlenet.model.network import GoogLeNet
from googlenet.probes.trust import rank_correlation
from tests.helpers import ARCHITECTURES, random_model

CLASSES = 10
PETS, WILD = Group("pet", "a", "애완동물", (1, 4, 7), None), Group("wild animal", "a", "야생동물", (0, 4, 8, 9), None)
"""Two groups that share a class."""


class Head(nn.Module):
    """One head of a model, as the reference packages want it: images → logits."""

    def __init__(self, model: GoogLeNet, head: str) -> None:
        super().__init__()
        self.model, self.head = model, head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return getattr(self.model.heads(x), self.head)


class ByHand(nn.Module):
    """A network to follow on paper: nine stages that hand on their input, of 8 channels on 2×2 cells, and a main head of 2
    classes on each channel's average. The branches have 1, 1, 1 and 5 channels; the last four channels stay zero."""

    aux1 = aux2 = None

    def __init__(self) -> None:
        super().__init__()
        self.inceptions = nn.ModuleDict({name: nn.Identity() for name in STAGES})
        for module in self.inceptions.values():
            module.splits = (1, 1, 1, 5)
        self.fc = nn.Linear(8, 2)
        self.fc.weight.data = torch.tensor([[4.0, 0, -8, 0, 0, 0, 0, 0], [0, 0, 0, 12, 0, 0, 0, 0]])
        self.fc.bias.data = torch.tensor([1.0, 100])

    def stages(self, x: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        for name, module in self.inceptions.items():
            x = module(x)
            yield name, x

    def stage(self, name: str) -> nn.Module:
        return self.inceptions[name]

    def classify(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x.mean(dim=(2, 3)))


def test_an_example_worked_out_by_hand() -> None:
    x = torch.tensor([[[[1.0, 0], [0, 3]], [[9, 9], [9, 9]], [[0, 2], [0, 0]], [[0, 0], [1, 0]], *[[[0, 0], [0, 0]]] * 4]])
    model = ByHand().requires_grad_(False)
    # The first four channels' averages are 1, 9, 0.5 and 0.25. So the logits are 4·1 − 8·0.5 + 1 = 1 and 12·0.25 + 100 = 103.
    result = grad_cam(model, x, [Question(target=0, channels=True)])
    assert result.logits.main.tolist() == [[1, 103]]
    # A cell counts for a quarter of its channel's average: α = (4, 0, −8, 0, …) / 4 = (1, 0, −2, 0, …). A branch's map is
    # α_k A_k.
    by_hand = [[[1.0, 0], [0, 3]], [[0, 0], [0, 0]], [[0, -4], [0, 0]], [[0, 0], [0, 0]]]
    assert result.branch_maps["5b"].tolist() == [by_hand]
    # The stage's map is their sum, [[1, −4], [0, 3]]; it sums to 0, which is the logit without its bias 1.
    assert result.branch_maps["5b"].sum(1).tolist() == [[[1, -4], [0, 3]]]
    # Channel 0 speaks for the class with 1 + 3 = 4, channel 2 against it with −4: half of the evidence each.
    channels = result.channels["5b"]
    assert (channels.indices[0, 0], channels.shares[0, 0]) == (0, 0.5)
    assert (channels.indices[0, FOR], channels.shares[0, FOR]) == (2, -0.5)
    assert channels.maps[0, FOR].tolist() == [[0, -4], [0, 0]]
    # Class 0 rather than class 1: (0, 0, 0, 12) / 4 goes from α, so that the pool branch has −3 where channel 3 has 1.
    contrast = grad_cam(model, x, [Question(target=0, contrast=1)]).branch_maps["5b"]
    assert contrast.tolist() == [[*by_hand[:3], [[0, 0], [-3, 0]]]]
    # LayerCAM: the gradient is 1 and −2 in every cell of channels 0 and 2, so that the map is channel 0, and channel 2 twice is
    # the evidence against. Of all evidence 4 + 4, each has half.
    layer_cam = grad_cam(model, x, [Question(target=0, channels=True, method=LAYER_CAM)])
    assert layer_cam.branch_maps["5b"].tolist() == [[by_hand[0], *[[[0, 0], [0, 0]]] * 3]]
    assert layer_cam.against["5b"].tolist() == [[[[0, 0], [0, 0]], [[0, 0], [0, 0]], [[0, 4], [0, 0]], [[0, 0], [0, 0]]]]
    channels = layer_cam.channels["5b"]
    assert (channels.indices[0, 0], channels.shares[0, 0]) == (0, 0.5)
    assert (channels.indices[0, FOR], channels.shares[0, FOR]) == (2, -0.5)
    assert channels.maps[0, FOR].tolist() == [[0, -4], [0, 0]]
    # Both classes as a group: y = log(e¹ + e¹⁰³), and almost all of its gradient is class 1's.
    both = grad_cam(model, x, [Question(target=Group("thing", "a", "사물", (0, 1), None))])
    assert both.targets.tolist() == [1]
    assert both.branch_maps["5b"].sum(1)[0].numpy() == pytest.approx(np.array([[0, 0], [3, 0]]))
    # The head's top class is 1: its map is 3 where channel 3 has 1.
    top = grad_cam(model, x, [Question()])
    assert top.targets.tolist() == [1]
    assert top.branch_maps["5b"].sum(1).tolist() == [[[0, 0], [3, 0]]]


def captum_maps(model: GoogLeNet, x: torch.Tensor, head: str, target: int | list[int]) -> dict[str, torch.Tensor]:
    """Nine (or fewer) calls of Captum's LayerGradCam on the network as it was trained, BatchNorm and all."""
    wrapped = Head(model, head)
    return {
        stage: LayerGradCam(wrapped, model.stage(stage)).attribute(x, target=target)[:, 0].detach()
        for stage in STAGES_BEFORE[head]
    }


def close(ours: torch.Tensor, reference: torch.Tensor) -> bool:
    return bool((ours - reference).abs().max() <= 1e-5 * max(1.0, float(reference.abs().max())))


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("folded", [False, True])
def test_equals_captum_one_layer_at_a_time(name: str, folded: bool) -> None:
    model = random_model(ARCHITECTURES[name], CLASSES).to(torch.float64 if folded else torch.float32)
    x = torch.randn(2, 3, 64, 64, dtype=model.fc.weight.dtype)
    engine = model.for_inference() if folded else model
    for head in HEADS if model.aux1 is not None else ("main",):
        answer = grad_cam(engine, x, [Question(head, 0), Question(head, 7)])
        reference = captum_maps(model, x, head, [0, 7])
        assert list(answer.branch_maps) == list(STAGES_BEFORE[head])
        for stage, maps in answer.branch_maps.items():
            assert close(maps.sum(1), reference[stage]), (head, stage)
            assert reference[stage].abs().amax(dim=(1, 2)).min() > 0


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("bfloat16", [False, True])
def test_equals_captum_on_the_inference_copy(name: str, bfloat16: bool) -> None:
    """The kernels that are used, in the precisions that are used. Captum averages and sums in bfloat16, this program does not."""
    engine = random_model(ARCHITECTURES[name], CLASSES).for_inference().to(memory_format=torch.channels_last)
    if bfloat16:
        engine.to_bfloat16()
    x = torch.randn(2, 3, 64, 64).to(memory_format=torch.channels_last)
    answer = grad_cam(engine, x, [Question("main", 7)] * 2)
    for stage, reference in captum_maps(engine, x, "main", 7).items():
        difference = (answer.branch_maps[stage].sum(1) - reference).abs().max()
        assert difference <= (0.02 if bfloat16 else 1e-5) * reference.abs().max(), stage


@pytest.fixture(scope="module")
def in_double() -> tuple[GoogLeNet, Tensor, dict[str, Tensor]]:
    """A model, a picture (1, 3, 64, 64), and stage → the main head's maps (CLASSES, H, W) of every class, in float64."""
    model = random_model(classes=CLASSES).double()
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    questions = [Question("main", c) for c in range(CLASSES)]
    found = grad_cam(model.for_inference(), x.repeat(CLASSES, 1, 1, 1), questions).branch_maps
    return model, x, {stage: maps.sum(1) for stage, maps in found.items()}


@pytest.mark.reference
@pytest.mark.parametrize("stage", STAGES)
def test_equals_torchcam_and_grad_cam(stage: str, in_double: tuple[GoogLeNet, Tensor, dict[str, Tensor]]) -> None:
    """After their own normalisation: ReLU, then min–max to 0…1, on the native grid."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    from torchcam.methods import GradCAM as TorchCAM

    model, x, all_maps = in_double
    maps = all_maps[stage]
    target = int(maps.amax(dim=(1, 2)).argmax())  # a class that has positive evidence here
    ours = maps[target].clip(min=0)
    ours = (ours - ours.min()) / (ours.max() - ours.min())
    wrapped = Head(model, "main").eval()
    with TorchCAM(wrapped, target_layer=f"model.inception{stage}") as method:
        theirs = method(target, wrapped(x))[0][0]
    assert (ours - theirs).abs().max() <= 1e-3
    with GradCAM(wrapped, [model.stage(stage)]) as method:
        reference = method(x, [ClassifierOutputTarget(target)])[0]  # enlarged to the input's size
    enlarged = torch.nn.functional.interpolate(ours[None, None], (64, 64), mode="bilinear", align_corners=False)[0, 0]
    enlarged = (enlarged - enlarged.min()) / (enlarged.max() - enlarged.min())  # it normalises once more after enlarging
    assert np.abs(enlarged.numpy() - reference).max() <= 1e-3


@pytest.mark.reference
@pytest.mark.parametrize("stage", STAGES)
def test_layer_cam_equals_torchcams_and_grad_cams(stage: str, in_double: tuple[GoogLeNet, Tensor, dict[str, Tensor]]) -> None:
    """torchcam scales by tanh after its normalisation by default, and grad-cam's is that of the other test."""
    from pytorch_grad_cam import LayerCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    from torchcam.methods import LayerCAM as TorchCAM

    model, x, _ = in_double
    ours = grad_cam(model.for_inference(), x, [Question("main", 3, method=LAYER_CAM)]).branch_maps[stage].sum(1)[0]
    assert ours.min() >= 0
    ours = (ours - ours.min()) / (ours.max() - ours.min())
    wrapped = Head(model, "main").eval()
    with TorchCAM(wrapped, target_layer=f"model.inception{stage}") as method:
        theirs = method(3, wrapped(x))[0][0]
    assert (ours - theirs).abs().max() <= 1e-3
    with LayerCAM(wrapped, [model.stage(stage)]) as method:
        reference = method(x, [ClassifierOutputTarget(3)])[0]
    enlarged = torch.nn.functional.interpolate(ours[None, None], (64, 64), mode="bilinear", align_corners=False)[0, 0]
    enlarged = (enlarged - enlarged.min()) / (enlarged.max() - enlarged.min())
    assert np.abs(enlarged.numpy() - reference).max() <= 1e-3


def gradients_by_hand(
    model: GoogLeNet, x: Tensor, head: str, target: tuple[int, ...], contrast: tuple[int, ...] = ()
) -> dict[str, tuple[Tensor, Tensor]]:
    """stage → gradient and activation (K, H, W) by Captum, a layer at a time, on the network as it was trained."""

    def score(x: Tensor) -> Tensor:
        y = getattr(model.heads(x), head)
        own = y[:, list(target)].exp().sum(1).log()
        return own - y[:, list(contrast)].exp().sum(1).log() if contrast else own

    outputs = dict(model.stages(x))
    found = {}
    for stage in STAGES_BEFORE[head]:
        gradient = LayerGradientXActivation(score, model.stage(stage), multiply_by_inputs=False).attribute(x)
        found[stage] = gradient[0].detach(), outputs[stage][0].detach()
    return found


@pytest.mark.parametrize("head", HEADS)
def test_groups_and_layer_cam_equal_captum_by_hand(head: str) -> None:
    """Maps, evidence against, branches and channels of a group rather than a class, of a class rather than a group, and so on."""
    model = random_model(classes=CLASSES).double()
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    asked = [(PETS, None), (PETS, 2), (2, WILD), (PETS, WILD), (3, None)]
    questions = [Question(head, t, c, channels=True, method=m) for t, c in asked for m in ("grad-cam", LAYER_CAM)]
    result = grad_cam(model.for_inference(), x.repeat(len(questions), 1, 1, 1), questions)
    by_hand = {pair: gradients_by_hand(model, x, head, *map(classes_of, pair)) for pair in asked}
    for i, q in enumerate(questions):
        for stage, (gradient, activation) in by_hand[q.target, q.contrast].items():
            if q.method == LAYER_CAM:
                pro, contra = gradient.clamp(min=0) * activation, (-gradient).clamp(min=0) * activation
            else:
                pro, contra = gradient.mean((1, 2), keepdim=True) * activation, torch.zeros_like(activation)
            for parts, maps in ((pro, result.branch_maps), (contra, result.against)):
                branches = torch.stack([part.sum(0) for part in parts.split(model.stage(stage).splits)])
                assert close(maps[stage][i], branches), (q, stage)
            check_channels([values[i] for values in result.channels[stage]], pro, contra, q.method == LAYER_CAM)


def check_channels(found: list[Tensor], pro: Tensor, contra: Tensor, layer_cam: bool) -> None:
    """The channels that the pass names against all channels' parts (K, H, W)."""
    indices, shares, maps = found
    high = pro.sum((1, 2))
    low = -contra.sum((1, 2)) if layer_cam else high
    total = (high - low).sum() if layer_cam else high.abs().sum()
    signed = torch.cat((pro[indices[:FOR]], (-contra if layer_cam else pro)[indices[FOR:]]))
    assert indices.tolist() == [*high.argsort(descending=True)[:FOR].tolist(), *low.argsort()[:AGAINST].tolist()]
    assert shares.numpy() == pytest.approx((signed.sum((1, 2)) / total).numpy(), rel=1e-4)
    assert close(maps, signed)


def test_a_group_of_one_is_its_class() -> None:
    model = random_model(classes=CLASSES).for_inference()
    x = torch.randn(1, 3, 64, 64)
    one, alone = (grad_cam(model, x, [Question("main", t)]) for t in (Group("thing", "a", "사물", (3,), None), 3))
    assert one.targets.tolist() == [3]
    assert all(torch.equal(one.branch_maps[stage], alone.branch_maps[stage]) for stage in STAGES)


def test_layer_cam_costs_no_second_pass() -> None:
    model = random_model(classes=CLASSES).for_inference()
    calls: list[str] = []
    model.conv1.register_forward_hook(lambda *_: calls.append("forward"))
    grad_cam(model, torch.randn(2, 3, 64, 64), [Question("main", 1), Question("aux1", PETS, method=LAYER_CAM)])
    assert calls == ["forward"]


def test_each_image_has_its_own_question() -> None:
    """A batch that mixes heads, classes and contrasts gives what each question gives alone."""
    model = random_model(classes=CLASSES).double()
    fast = model.for_inference()
    questions = [
        Question("main", 1),
        Question("aux1", 2),
        Question("aux2", 3, contrast=4),
        Question("main", 5, contrast=6),
        Question("aux1"),
        Question("main"),
        Question("main", PETS, contrast=WILD, method=LAYER_CAM),
        Question("aux2", WILD, contrast=2),
        Question("aux1", 3, contrast=PETS, method=LAYER_CAM),
    ]
    x = torch.randn(len(questions), 3, 64, 64, dtype=torch.float64)
    together = grad_cam(fast, x, questions)
    for i, question in enumerate(questions):
        alone = grad_cam(fast, x[i : i + 1], [question])
        assert together.targets[i] == alone.targets[0]
        for stage, maps in alone.branch_maps.items():
            assert close(together.branch_maps[stage][i], maps[0])
            if alone.against:
                assert close(together.against[stage][i], alone.against[stage][0])
            else:
                assert together.against[stage][i].abs().max() == 0
        for stage in set(STAGES) - set(STAGES_BEFORE[question.head]):
            assert together.branch_maps[stage][i].abs().max() == 0


def test_the_default_target_is_the_heads_top_class() -> None:
    model = random_model(classes=CLASSES).double().for_inference()
    x = torch.randn(3, 3, 64, 64, dtype=torch.float64)
    for head, logits in zip(HEADS, model.heads(x), strict=True):
        assert grad_cam(model, x, [Question(head)] * 3).targets.tolist() == logits.argmax(1).tolist()


def test_contrast_is_the_difference_of_two_maps() -> None:
    model = random_model(classes=CLASSES).double().for_inference()
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    a, b, both = (grad_cam(model, x, [q]).branch_maps for q in (Question("main", 1), Question("main", 2), Question("main", 1, 2)))
    assert all(close(both[stage], a[stage] - b[stage]) for stage in STAGES)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_branches_are_the_map_of_their_own_channels(name: str) -> None:
    """Each branch's map from its definition, on gradients taken by plain autograd."""
    model = random_model(ARCHITECTURES[name], CLASSES).double()
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    ours = grad_cam(model.for_inference(), x, [Question("main", 2)]).branch_maps
    for stage, maps in channel_parts(model, x, 2).items():
        parts = [part.sum(0) for part in maps.split(model.stage(stage).splits)]
        assert close(ours[stage][0], torch.stack(parts))


def channel_parts(model: GoogLeNet, x: torch.Tensor, target: int) -> dict[str, torch.Tensor]:
    """stage → (K, H, W): every channel's map α_k A_k for one image, by plain autograd."""
    outputs = dict(model.stages(x))
    y = model.classify(outputs["5b"])[0, target]
    gradients = torch.autograd.grad(y, list(outputs.values()))
    return {s: (g.mean((2, 3), keepdim=True) * outputs[s])[0].detach() for s, g in zip(STAGES, gradients, strict=True)}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_all_channels_of_a_stage_sum_to_its_map(name: str) -> None:
    """And the strongest of them, for and against, are what the pass returns, with their shares and their own maps."""
    model = random_model(ARCHITECTURES[name], CLASSES).double()
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    result = grad_cam(model.for_inference(), x, [Question(target=2, channels=True)])
    for stage, parts in channel_parts(model, x, 2).items():
        assert close(parts.sum(0), result.branch_maps[stage].sum(1)[0])
        sums = parts.sum((1, 2))
        order = sums.argsort(descending=True)
        indices, shares, maps = (values[0] for values in result.channels[stage])
        assert indices.tolist() == [*order[:FOR].tolist(), *order.flip(0)[:AGAINST].tolist()]
        assert shares.numpy() == pytest.approx((sums[indices] / sums.abs().sum()).numpy(), rel=1e-4)
        assert close(maps, parts[indices])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_channels_and_bias_sum_to_the_logit_at_5b_of_the_main_head(name: str) -> None:
    model = random_model(ARCHITECTURES[name], CLASSES).double()
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        model.fc.bias.uniform_(-1, 1)
    parts = channel_parts(model, x, 4)["5b"]
    logits = model(x)[0].detach()
    bias = model.fc.bias.detach()
    assert parts.sum() + bias[4] == pytest.approx(logits[4].item(), rel=1e-9)
    maps = grad_cam(model.for_inference(), x, [Question(target=4)]).branch_maps["5b"]
    assert maps.sum().item() + bias[4].item() == pytest.approx(logits[4].item(), rel=1e-4)
    lead = grad_cam(model.for_inference(), x, [Question(target=4, contrast=5)]).branch_maps["5b"].sum().item()
    assert lead + (bias[4] - bias[5]).item() == pytest.approx((logits[4] - logits[5]).item(), rel=1e-4)


def test_a_cell_ranks_the_channels_of_its_stage_alone() -> None:
    model = random_model(classes=CLASSES).double()
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    whole, cell = Question(target=2, channels=True), Question(target=2, channels=True, cell=Cell("4c", 1, 3))
    result = grad_cam(model.for_inference(), x.repeat(2, 1, 1, 1), [whole, cell])
    parts = channel_parts(model, x, 2)["4c"][:, 1, 3]
    indices, shares, maps = (values[1] for values in result.channels["4c"])
    assert indices[:FOR].tolist() == parts.argsort(descending=True)[:FOR].tolist()
    assert indices[FOR:].tolist() == parts.argsort()[:AGAINST].tolist()
    assert shares.numpy() == pytest.approx((parts[indices] / parts.abs().sum()).numpy(), rel=1e-4)
    assert maps[:, 1, 3].numpy() == pytest.approx(parts[indices].numpy(), rel=1e-4)
    for stage in set(STAGES) - {"4c"}:
        assert all(torch.equal(values[0], values[1]) for values in result.channels[stage])


def test_heads_that_nobody_asks_about_change_nothing() -> None:
    """A CUDA graph serves all heads at once (`googlenet.inference.engine`)."""
    model = random_model(classes=CLASSES).for_inference()
    x, questions = torch.randn(2, 3, 64, 64), [Question("main", 1), Question("main", 2, 3)]
    asked, few = Asked.of(questions, CLASSES), Parts(("main",), channels=False, layer_cam=False)
    maps, *others = (one_pass(model, x, asked, parts).branch_maps for parts in (few, few._replace(heads=HEADS, layer_cam=True)))
    assert all(torch.equal(maps[stage], other[stage]) for other in others for stage in STAGES)


def test_one_forward_and_one_backward_serve_all() -> None:
    """Each convolution runs once; the stem, before 3a's output, gets no gradient at all."""
    model = random_model(classes=CLASSES).for_inference()
    forwards: list[str] = []
    backwards: list[str] = []

    def count(name: str, _module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        forwards.append(name)
        if output.requires_grad:
            output.register_hook(lambda _gradient: backwards.append(name))

    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(partial(count, name))
    grad_cam(model, torch.randn(2, 3, 64, 64), [Question("main"), Question("aux2")])
    assert len(forwards) == len(set(forwards)) == 41
    assert len(backwards) == len(set(backwards))
    assert not any(name.startswith(("conv", "inception3a")) for name in backwards)
    assert any(name.startswith("inception3b") for name in backwards)


def test_nothing_is_left_behind() -> None:
    model = random_model(classes=CLASSES).for_inference()
    answer = grad_cam(model, torch.randn(1, 3, 64, 64), [Question()])
    assert not any(module._forward_hooks or module._backward_hooks for module in model.modules())
    assert not any(maps.requires_grad for maps in answer.branch_maps.values())
    assert not any(logits.requires_grad for logits in answer.logits if logits is not None)
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_bfloat16_keeps_the_order_of_the_cells(name: str) -> None:
    """8 bits of mantissa move a cell by a few per cent of the peak: the order of the cells must stay. Logits are not rounded."""
    model = random_model(ARCHITECTURES[name], CLASSES).for_inference().to(memory_format=torch.channels_last)
    x = torch.randn(2, 3, 224, 224)
    questions = [Question("main", 1), Question("main", 2)]
    reference = grad_cam(model, x, questions)
    found = grad_cam(model.to_bfloat16(), x, questions)
    assert found.logits.main.dtype == torch.float32
    assert found.logits.main.unique().numel() == 2 * CLASSES
    assert (found.logits.main - reference.logits.main).abs().max() < 0.02 * reference.logits.main.std()
    for stage in STAGES:
        assert rank_correlation(found.branch_maps[stage].sum(1).numpy(), reference.branch_maps[stage].sum(1).numpy()) >= 0.99


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_gpu_gives_the_cpus_maps(name: str) -> None:
    """cuDNN may round convolutions to TF32's 10 bits of mantissa: the order of the cells must stay."""
    model = random_model(ARCHITECTURES[name], CLASSES).for_inference()
    x = torch.randn(2, 3, 224, 224)
    questions = [Question("main", 1), Question("main", 2)]
    reference = grad_cam(model, x, questions).branch_maps
    found = grad_cam(model.cuda(), x.cuda(), questions).branch_maps
    for stage in STAGES:
        assert rank_correlation(found[stage].sum(1).cpu().numpy(), reference[stage].sum(1).numpy()) >= 0.99
