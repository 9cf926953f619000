"""What channels look for: pictures that do raise their channel's response, and an atlas that can be interrupted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import googlenet.visualise
from googlenet.errors import UserError
from googlenet.images import Preprocess
from googlenet.model import GoogLeNet
from googlenet.visualise import TILE, before_relu, moved, picture, read_index, visualise, write_atlas
from tests.helpers import random_model

PREPROCESS = Preprocess(96, 96, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.fixture(scope="module")
def model() -> GoogLeNet:
    return random_model().for_inference()


def responses(model: GoogLeNet, tiles: np.ndarray, stage: str, channels: list[int]) -> torch.Tensor:
    x = torch.from_numpy(tiles).permute(0, 3, 1, 2) / 255
    x = torch.nn.functional.interpolate(x, (128, 128), mode="bilinear")
    mean, std = (torch.tensor(values)[:, None, None] for values in (PREPROCESS.mean, PREPROCESS.std))
    with torch.no_grad():
        return before_relu(model, ((x - mean) / std).to(memory_format=torch.channels_last), stage, channels)


def test_the_response_is_the_channels_mean_before_its_relu(model: GoogLeNet) -> None:
    channels = [0, 63, 64, 191, 192, 223, 224, 255]  # 3a: the first and last channel of each branch
    x = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(0)).expand(8, -1, -1, -1)
    x = x.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        found = before_relu(model, x, "3a", channels)
        activation = dict(model.stages(x))["3a"][0, channels]  # after the ReLU
    assert found.shape == (8,)
    positive = activation.min(dim=2).values.min(dim=1).values > 0  # the ReLU cut nothing
    torch.testing.assert_close(found[positive], activation.mean(dim=(1, 2))[positive], rtol=1e-4, atol=1e-5)
    assert (found <= activation.mean(dim=(1, 2)) + 1e-5).all()


def test_a_picture_raises_its_own_channel_above_that_of_the_others(model: GoogLeNet) -> None:
    channels = [3, 100, 200, 240]
    start, made = (visualise(model, PREPROCESS, "3a", channels, steps=steps) for steps in (0, 24))
    assert made.shape == (4, TILE, TILE, 3)
    assert made.dtype == np.uint8
    own = responses(model, made, "3a", channels)
    assert (own > responses(model, start, "3a", channels)).all()
    assert (own > responses(model, np.roll(made, 1, axis=0), "3a", channels)).all()
    assert np.array_equal(made, visualise(model, PREPROCESS, "3a", channels, steps=24))


def test_waves_make_a_picture_within_bounds_and_movements_keep_its_middle() -> None:
    waves = torch.randn(2, 3, 128, 65, 2, generator=torch.Generator().manual_seed(0))
    rgb = picture(waves)
    assert rgb.shape == (2, 3, 128, 128)
    assert 0 <= float(rgb.min()) < float(rgb.max()) <= 1
    flat = torch.full((2, 3, 128, 128), 0.3)
    torch.testing.assert_close(moved(flat, torch.Generator().manual_seed(0)), flat)
    assert not torch.equal(moved(rgb, torch.Generator().manual_seed(0)), rgb)


def test_an_atlas_goes_on_where_it_stopped(model: GoogLeNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def drawing(model: object, preprocess: object, stage: str, channels: range, *, steps: int) -> np.ndarray:
        if len(drawn) == 4:
            drawn.append(-1)
            raise KeyboardInterrupt
        drawn.extend(channels[:1])
        return np.stack([np.full((TILE, TILE, 3), channel % 256, np.uint8) for channel in channels])

    monkeypatch.setattr(googlenet.visualise, "visualise", drawing)
    with pytest.raises(KeyboardInterrupt):
        write_atlas(model, PREPROCESS, "a" * 64, tmp_path, ["3a"], batch=50)
    assert not (tmp_path / "3a.webp").exists()
    write_atlas(model, PREPROCESS, "a" * 64, tmp_path, ["3a"], batch=50)
    assert drawn == [0, 50, 100, 150, -1, 200, 250]
    index = read_index(tmp_path)
    assert index == json.loads((tmp_path / "index.json").read_text("utf-8"))
    assert index is not None
    assert index["channels"] == {"3a": 256}
    sheet = np.asarray(Image.open(tmp_path / "3a.webp"), dtype=int)
    assert sheet.shape == (8 * TILE, 32 * TILE, 3)
    assert sheet[3 * TILE + 20, 5 * TILE + 20] == pytest.approx([3 * 32 + 5] * 3, abs=6)
    assert not (tmp_path / "3a.part.npy").exists()
    write_atlas(model, PREPROCESS, "a" * 64, tmp_path, ["3a"])
    assert len(drawn) == 7  # nothing is made twice
    with pytest.raises(UserError, match="other weights"):
        write_atlas(model, PREPROCESS, "b" * 64, tmp_path, ["3a"])
