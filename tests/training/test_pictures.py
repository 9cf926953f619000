"""From files to batches: what is decoded, how views are made, and what a step draws."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from googlenet.errors import UserError
from googlenet.training import pictures
from googlenet.training.data import read_split
from googlenet.training.pictures import Batches, Material, Mix, check_pictures, decode, draw_crops, read_pixels, relight, take
from googlenet.training.recipe import Recipe
from googlenet.training.teachers import load_teacher
from tests.training.conftest import pack

SIDE = 32
CPU = torch.device("cpu")


def test_broken_pictures_are_all_named_or_skipped(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    split = read_split(copied, "train")
    for row, junk in ((3, b""), (30, b"<html>not a picture</html>"), (60, b"\x89PNG\r\n\x1a\n")):
        Path(str(split.pictures[row])).write_bytes(junk)
    with pytest.raises(UserError, match="--skip-broken") as caught:
        check_pictures(split, workers=2, skip_broken=False)
    for row in (3, 30, 60):
        assert str(split.pictures[row]) in str(caught.value)
    kept, _ = check_pictures(split, workers=0, skip_broken=True)
    assert len(kept.pictures) == len(kept.labels) == 69
    assert "Left out 3 of 72 pictures" in capsys.readouterr().err


@pytest.mark.parametrize(("workers", "memory"), [(0, 1 << 30), (3, 1 << 30), (3, 1000)])
def test_pixels_are_in_the_order_of_the_pictures(
    copied: Path, monkeypatch: pytest.MonkeyPatch, workers: int, memory: int
) -> None:
    """In memory, or in a temporary file that nobody sees. A truncated picture is found while it is decoded."""
    monkeypatch.setattr(pictures, "free_memory", lambda device: memory)
    split = read_split(copied, "train")
    cut = Path(str(split.pictures[5]))
    cut.write_bytes(cut.read_bytes()[:200])
    assert check_pictures(split, workers=0, skip_broken=False)[0] == split  # its header is whole
    before = set(copied.iterdir())
    assert isinstance(pictures.room_for(10, 16, copied), np.memmap) == (memory == 1000)
    with pytest.raises(UserError, match=cut.name):
        read_pixels(split, 16, CPU, workers, False, copied)
    kept, pixels, aspects = read_pixels(split, 16, CPU, workers, True, copied)
    assert len(kept.pictures) == len(pixels) == len(aspects) == 71
    for row in (0, 4, 5, 70):
        assert np.array_equal(pixels[row], decode(kept.pictures[row], 16)[0])
    assert set(copied.iterdir()) == before
    if memory == 1000:
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=10_000))
        with pytest.raises(UserError, match=r"The pixels of 72 pictures take 0 GB and do not fit on the disk of .*data;"):
            read_pixels(split, 16, CPU, workers, True, copied)


def test_pictures_are_seen_as_open_image_gives_them(tmp_path: Path) -> None:
    """Upright by EXIF, transparent pixels on white: as the page shows them."""
    image = Image.new("RGB", (40, 20), "white")
    image.paste("black", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90°
    image.save(tmp_path / "turned.png", exif=exif)
    turned, aspect = decode(tmp_path / "turned.png", 20)
    assert (aspect, turned[2].max(), turned[-2].min()) == (0.5, 0, 255)
    Image.new("RGBA", (20, 20), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert decode(tmp_path / "clear.png", 20)[0].min() == 255


def ramp() -> torch.Tensor:
    """A picture whose red is its x and whose green is its y, in pixels, times four: (1, SIDE, SIDE, 3) uint8."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    return torch.stack([4 * x, 4 * y, torch.zeros_like(x)], dim=-1).to(torch.uint8)[None]


def test_views_are_the_whole_picture_a_flip_and_a_quarter() -> None:
    crops = ([[1.0, 0, 0], [0, 1, 0]], [[-1.0, 0, 0], [0, 1, 0]], [[0.5, 0, 0.5], [0, 0.5, -0.5]])
    whole, flipped, quarter = (take(ramp(), torch.tensor([crop]), SIDE)[0] * 255 for crop in crops)
    assert torch.allclose(whole, ramp()[0].permute(2, 0, 1).float(), atol=1e-2)
    assert torch.allclose(flipped, whole.flip(2), atol=1e-2)
    assert quarter[0].min() > 4 * (SIDE / 2 - 1)  # the upper right
    assert quarter[1].max() < 4 * (SIDE / 2 + 1)


def test_large_pictures_are_averaged_not_skipped() -> None:
    """Stripes of one pixel, black and white, are grey at half the size; taking every second pixel would make them black."""
    stripes = torch.zeros(1, SIDE, SIDE, 3, dtype=torch.uint8)
    stripes[:, :, ::2] = 255
    seen = take(stripes, torch.tensor([[[1.0, 0, 0], [0, 1, 0]]]), SIDE // 2)
    assert torch.allclose(seen, torch.full_like(seen, 0.5), atol=1e-3)


@pytest.mark.parametrize("aspect", [0.5, 1.0, 3.0])
def test_crops_keep_their_area_and_stay_inside(aspect: float) -> None:
    torch.manual_seed(0)
    crops = draw_crops(torch.full((4000,), aspect), 0.3)
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
    seen = relight(torch.full((64, 3, 4, 4), 0.5))
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
        mix = Mix.draw(count, CPU)
        kinds.add(mix.box is None)
        for size in (64, 200):
            flat = torch.arange(count).float()[:, None, None, None].expand(-1, 3, size, size).contiguous()
            expected = (mix.labels(labels) * torch.arange(count)).sum(dim=1)
            assert torch.allclose(mix.views(flat).mean(dim=(1, 2, 3)), expected, atol=count * 3 / size)
        assert torch.allclose(mix.labels(labels).sum(dim=1), torch.ones(count))
    assert kinds == {True, False}


def batches_of(path: Path, counts: tuple[int, ...], balanced: bool = False) -> Batches:
    """A packed set with so many red, green and blue pictures, eight of them in a step."""
    pack(path, [colour for colour, count in enumerate(counts) for _ in range(count)])
    return Batches(*read_pixels(read_split(path, "train", 0.0), 16, CPU, 0, False, path.parent), 8, (0, 0), balanced)


def test_unequal_classes_are_drawn_equally_often(tmp_path: Path) -> None:
    data_set = batches_of(tmp_path / "set.npz", (20, 6, 3), balanced=True)
    assert data_set.unequal
    for epoch in range(3):
        rows = data_set.order(epoch).tolist()
        drawn = Counter(data_set.labels[rows].tolist())
        assert sorted(drawn.values()) == [9, 10, 10]
        assert len({row for row in rows if row < 20}) == drawn[0]  # of the largest class, none twice
        assert {row for row in rows if row >= 20} == set(range(20, 29))


@pytest.mark.parametrize(("counts", "balanced"), [((20, 6, 3), False), ((10, 8, 9), True)])
def test_other_epochs_show_each_picture_once(tmp_path: Path, counts: tuple[int, ...], balanced: bool) -> None:
    data_set, count = batches_of(tmp_path / "set.npz", counts, balanced), sum(counts)
    assert data_set.unequal == (counts == (20, 6, 3))
    seen = torch.cat([data_set.rows(step) for step in range(count)])  # eight epochs, since eight pictures are in a step
    for epoch in range(8):
        assert sorted(seen[count * epoch : count * (epoch + 1)].tolist()) == list(range(count))
    assert seen[:count].tolist() != seen[count : 2 * count].tolist()


def test_labels_are_smoothed_and_mixed(tmp_path: Path) -> None:
    material = Material([batches_of(tmp_path / "set.npz", (8, 8, 8))], 3, CPU)
    views, target = material.batch(0, 32, 0.5, False, Recipe(), None)
    assert views.shape == (8, 3, 32, 32)
    assert 0 <= views.min() <= views.max() <= 1
    assert target.argmax(dim=1).tolist() == views.mean(dim=(2, 3)).argmax(dim=1).tolist()  # the colour is the class
    assert target.max(dim=1).values.tolist() == pytest.approx([0.9 + 0.1 / 3] * 8)
    torch.manual_seed(1)
    _, mixed = material.batch(0, 32, 0.5, True, Recipe(), None)
    assert mixed.sum(dim=1).tolist() == pytest.approx([1] * 8)
    assert mixed.max(dim=1).values.min() < 0.9


def test_a_teachers_answer_and_the_label_make_the_target(tmp_path: Path, teachers: str) -> None:
    """A known class's logit is raised by 4, over the temperature 2. The teacher answers by the colour, which is the class."""
    data_set, teacher = batches_of(tmp_path / "set.npz", (8, 8, 8)), load_teacher(f"{teachers}:colour", CPU)

    def target(boost: float) -> torch.Tensor:
        torch.manual_seed(0)
        recipe = replace(Recipe(), label_boost=boost)
        return Material([data_set], 3, CPU).batch(0, 32, 1.0, False, recipe, teacher)[1].log()

    plain, raised = target(0.0), target(4.0) - target(0.0)
    assert (raised.max(dim=1).values - raised.min(dim=1).values).tolist() == pytest.approx([2.0] * 8, abs=1e-3)
    assert raised.argmax(dim=1).tolist() == plain.argmax(dim=1).tolist() == data_set.labels[data_set.rows(0)].tolist()
    data_set.labels = torch.full_like(data_set.labels, -1)
    assert torch.equal(target(4.0), plain)  # without labels, the teacher's answer alone
