"""Views of training pictures, checked against pictures whose every pixel is known."""

from __future__ import annotations

import pytest
import torch

from googlenet.training import pictures as views

SIDE = 32


def ramp() -> torch.Tensor:
    """A picture whose red is its x and whose green is its y, in pixels, times four: (1, SIDE, SIDE, 3) uint8."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    return torch.stack([4 * x, 4 * y, torch.zeros_like(x)], dim=-1).to(torch.uint8)[None]


def test_the_whole_picture_comes_back_as_it_is() -> None:
    crops = torch.tensor([[[1.0, 0, 0], [0, 1, 0]]])
    seen = views.take(ramp(), crops, SIDE)
    assert torch.allclose(seen[0] * 255, ramp()[0].permute(2, 0, 1).float(), atol=1e-2)


def test_a_flip_and_a_quarter() -> None:
    flipped = views.take(ramp(), torch.tensor([[[-1.0, 0, 0], [0, 1, 0]]]), SIDE) * 255
    assert torch.allclose(flipped[0, 0], ramp()[0, :, :, 0].flip(1).float(), atol=1e-2)
    quarter = views.take(ramp(), torch.tensor([[[0.5, 0, 0.5], [0, 0.5, -0.5]]]), SIDE) * 255  # the upper right
    assert quarter[0, 0].min() > 4 * (SIDE / 2 - 1)
    assert quarter[0, 1].max() < 4 * (SIDE / 2 + 1)


def test_large_pictures_are_averaged_not_skipped() -> None:
    """Stripes of one pixel, black and white, are grey at half the size; taking every second pixel would make them black."""
    stripes = torch.zeros(1, SIDE, SIDE, 3, dtype=torch.uint8)
    stripes[:, :, ::2] = 255
    seen = views.take(stripes, torch.tensor([[[1.0, 0, 0], [0, 1, 0]]]), SIDE // 2)
    assert torch.allclose(seen, torch.full_like(seen, 0.5), atol=1e-3)


@pytest.mark.parametrize("aspect", [0.5, 1.0, 3.0])
def test_crops_keep_their_area_and_stay_inside(aspect: float) -> None:
    torch.manual_seed(0)
    crops = views.draw_crops(torch.full((4000,), aspect), 0.3)
    width, height = crops[:, 0, 0].abs(), crops[:, 1, 1]
    assert ((width + crops[:, 0, 2].abs() <= 1 + 1e-6) & (height + crops[:, 1, 2].abs() <= 1 + 1e-6)).all()
    area = width * height
    assert area.max() <= 1
    free = (width < 1) & (height < 1)  # a side at the picture's edge was cut
    assert area[free].min() >= 0.3 - 1e-6
    ratio = width[free] * aspect / height[free]
    assert 0.75 - 1e-4 <= ratio.min() < ratio.max() <= 4 / 3 + 1e-4
    assert 0.45 < (crops[:, 0, 0] < 0).float().mean() < 0.55


def test_light_changes_each_picture_its_own_way_and_stays_in_range() -> None:
    torch.manual_seed(0)
    grey = torch.full((64, 3, 4, 4), 0.5)
    seen = views.relight(grey)
    assert 0 <= seen.min() < 0.4
    assert 0.6 < seen.max() <= 1
    assert seen[:, 0, 0, 0].unique().numel() > 60
    assert torch.equal(seen[:, 0], seen[:, 1])  # no colour where there was none


def test_mixes_are_alike_at_every_size_and_in_the_labels() -> None:
    """Picture i is all i: a mixed view's mean tells the partner's share."""
    count = 6
    labels = torch.eye(count)
    kinds = set()
    for seed in range(20):
        torch.manual_seed(seed)
        mix = views.Mix.draw(count, torch.device("cpu"))
        kinds.add(mix.box is None)
        for size in (64, 200):
            flat = torch.arange(count).float()[:, None, None, None].expand(-1, 3, size, size).contiguous()
            mean = mix.views(flat).mean(dim=(1, 2, 3))
            expected = (mix.labels(labels) * torch.arange(count)).sum(dim=1)
            assert torch.allclose(mean, expected, atol=count * 3 / size)
        assert torch.allclose(mix.labels(labels).sum(dim=1), torch.ones(count))
    assert kinds == {True, False}
