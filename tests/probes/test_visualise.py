"""What channels look for: pictures that do raise their channel's response, with the contrast of photographs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from googlenet.model.network import FusedInception, GoogLeNet
from googlenet.pictures.images import Preprocess
from googlenet.probes.visualise import TILE, moved, picture, responding, visualise
from tests.helpers import ARCHITECTURES, random_model

PREPROCESS = Preprocess(96, 96, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.fixture(scope="module")
def model() -> GoogLeNet:
    return random_model().for_inference()


def responses(model: GoogLeNet, tiles: np.ndarray, stage: str, channels: list[int]) -> torch.Tensor:
    x = torch.from_numpy(tiles).permute(0, 3, 1, 2) / 255
    x = torch.nn.functional.interpolate(x, (128, 128), mode="bilinear")
    mean, std = (torch.tensor(values)[:, None, None] for values in (PREPROCESS.mean, PREPROCESS.std))
    with torch.no_grad():
        return responding(model, stage, channels)(((x - mean) / std).to(memory_format=torch.channels_last))


@pytest.mark.parametrize("name", ["paper", "torchvision"])
def test_the_response_is_the_channels_mean_before_its_relu(name: str) -> None:
    model = random_model(ARCHITECTURES[name]).for_inference()
    channels = [1023, 0, 383, 384, 767, 768, 895, 896]  # 5b: the first and last channel of each branch
    x = torch.randn(8, 3, 96, 96, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=torch.channels_last)
    kept: dict[str, torch.Tensor] = {}
    module = model.stage("5b")
    assert isinstance(module, FusedInception)
    last = [module.reduce, module.three, module.five, module.branch4[1]]
    with torch.no_grad():
        found = responding(model, "5b", channels)(x)
        module.register_forward_pre_hook(lambda _, given: kept.update(x=given[0]))
        for i, conv in enumerate(last):
            conv.register_forward_pre_hook(lambda _, given, i=i: kept.update({str(i): given[0]}))
        list(model.stages(x))
        whole = [F.conv2d(kept[str(i)], conv.weight, conv.bias, padding=conv.border) for i, conv in enumerate(last)]
    before_relu = torch.cat([values[:, :width] for values, width in zip(whole, module.splits, strict=True)], dim=1)
    wanted = torch.stack([before_relu[i, channel].mean() for i, channel in enumerate(channels)])
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert (wanted < 0).any()  # where the ReLU would have stopped


def test_a_picture_raises_its_own_channel_above_that_of_the_others(model: GoogLeNet) -> None:
    channels = [3, 100, 200, 240]
    start, made = (visualise(model, PREPROCESS, "3a", channels, steps=steps) for steps in (0, 24))
    assert made.shape == (4, TILE, TILE, 3)
    assert made.dtype == np.uint8
    own = responses(model, made, "3a", channels)
    assert (own > responses(model, start, "3a", channels)).all()
    assert (own > responses(model, np.roll(made, 1, axis=0), "3a", channels)).all()
    assert np.array_equal(*(visualise(model, PREPROCESS, "3a", channels, steps=2) for _ in range(2)))


def test_every_picture_has_a_photographs_contrast_and_movements_keep_its_middle() -> None:
    waves = torch.randn(3, 3, 128, 65, 2, generator=torch.Generator().manual_seed(0))
    waves *= torch.tensor([1e-3, 1, 1e3])[:, None, None, None, None]
    rgb = picture(waves)
    assert rgb.shape == (3, 3, 128, 128)
    assert 0 <= float(rgb.min()) < float(rgb.max()) <= 1
    torch.testing.assert_close(rgb.std(dim=(1, 2, 3)), torch.full((3,), 0.235), rtol=0.06, atol=0)
    colourful = rgb - rgb.mean(dim=1, keepdim=True)
    assert (colourful.std(dim=(1, 2, 3)) < 0.6 * rgb.std(dim=(1, 2, 3))).all()
    flat = torch.full((2, 3, 128, 128), 0.3)
    torch.testing.assert_close(moved(flat, torch.Generator().manual_seed(0)), flat)
    assert not torch.equal(moved(rgb, torch.Generator().manual_seed(0)), rgb)
