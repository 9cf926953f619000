"""Covering a part of a picture: how it is filled, with what it is compared, what tipped an answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from googlenet.errors import QuestionError
from googlenet.explanation import Question
from googlenet.inference.explainer import Explainer
from googlenet.pictures.frame import Box
from googlenet.pictures.images import Preprocess
from googlenet.probes.cover import CONTROLS, OVERLAP, Part, around, cover, fill, in_picture, pixels, random_parts, tipping
from tests.helpers import explainer_of, random_image, random_model

SIDE = 96
IMAGE = random_image(200, 150)


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    return explainer_of(random_model(), Preprocess(110, SIDE, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


def square(rows: slice, columns: slice, side: int = 64) -> torch.Tensor:
    hidden = torch.zeros(1, side, side, dtype=torch.bool)
    hidden[0, rows, columns] = True
    return hidden


def asked_again(explainer: Explainer, part: Part) -> dict[str, torch.Tensor]:
    """head → probabilities (classes,) of `IMAGE` with a part covered, straight from the network."""
    x = fill(explainer.preprocess(IMAGE), square(*part, SIDE)).to(memory_format=torch.channels_last)
    return {head: values[0].softmax(0) for head, values in explainer.model.heads(x)._asdict().items()}


def test_a_hidden_part_takes_the_mean_of_what_is_around_it() -> None:
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    hidden = square(slice(20, 30), slice(40, 50))
    filled = fill(x, hidden)
    assert torch.equal(filled[:, :, ~hidden[0]], x[:, :, ~hidden[0]])
    at = torch.stack(torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij"), -1).double()
    weights = (-((at - at[25, 45]) ** 2).sum(-1) / (2 * (64 / 8) ** 2)).exp() * ~hidden[0]
    wanted = (x[0].double() * weights).sum((1, 2)) / weights.sum()  # pixel (25, 45), by the definition
    torch.testing.assert_close(filled[0, :, 25, 45].double(), wanted, atol=1e-5, rtol=0)


def test_what_is_hidden_cannot_be_told_from_the_filling() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 3, 64, 64, generator=generator)
    hidden = square(slice(10, 50), slice(0, 64))
    other = torch.where(hidden[:, None], torch.randn(1, 3, 64, 64, generator=generator) * 9, x)
    assert torch.equal(fill(x, hidden), fill(other, hidden))
    assert torch.equal(fill(x, torch.ones(1, 64, 64, dtype=torch.bool)), torch.zeros(1, 3, 64, 64))


def test_a_box_in_the_picture_becomes_the_pixels_that_the_network_sees() -> None:
    seen = Box(20, 0, 220, 200)
    rows, columns = pixels(Box(120, 50, 220, 100), seen, 100)
    assert (rows, columns) == (slice(25, 50), slice(50, 100))
    assert in_picture((rows, columns), seen, 100) == Box(120, 50, 220, 100)
    assert pixels(Box(0, 50, 120, 300), seen, 100) == (slice(25, 100), slice(0, 50))
    rows, columns = pixels(Box(219.9, 0, 220, 0.1), seen, 100)
    assert (rows, columns) == (slice(0, 1), slice(99, 100))  # the smallest box still covers a pixel


@pytest.mark.parametrize("part", [(slice(0, 20), slice(0, 20)), (slice(30, 60), slice(10, 90)), (slice(90, 96), slice(0, 96))])
def test_random_parts_are_as_large_distinct_and_elsewhere(part: Part) -> None:
    height, width = (edge.stop - edge.start for edge in part)
    others = random_parts(part, SIDE)
    assert others == random_parts(part, SIDE)
    assert len(others) == CONTROLS == len({(rows.start, columns.start) for rows, columns in others})
    for rows, columns in others:
        assert (rows.stop - rows.start, columns.stop - columns.start) == (height, width)
        assert min(rows.start, columns.start) >= 0
        assert max(rows.stop, columns.stop) <= SIDE
        shared = square(rows, columns, SIDE) & square(*part, SIDE)
        assert int(shared.sum()) <= OVERLAP * height * width
    assert random_parts((slice(0, 96), slice(10, 90)), SIDE) == []  # it leaves no room for others


def test_covering_is_the_same_as_asking_about_the_covered_picture(explainer: Explainer) -> None:
    found = cover(explainer, IMAGE, Question("aux2", 3, contrast=5), Box(60, 40, 120, 100), "4c")
    seen = explainer.config.preprocess.seen(IMAGE.size)
    assert (found.stage, found.box, found.question.target) == ("4c", Box(60, 40, 120, 100), 3)
    twice = cover(explainer, IMAGE, found.question, Box(120, 80, 240, 200), "4c", (2 * IMAGE.width, 2 * IMAGE.height))
    assert (twice.box, twice.after) == (Box(120, 80, 240, 200), found.after)
    assert twice.controls == tuple(Box(*(2 * edge for edge in box)) for box in found.controls)
    for place, box in enumerate((found.box, *found.controls)):
        wanted = asked_again(explainer, pixels(box, seen, SIDE))
        for head, p in wanted.items():
            after = found.control_after[head][place - 1] if place else found.after[head]
            assert after == pytest.approx(float(p[3]), abs=1e-5)
        if not place:
            assert found.contrast is not None
            assert found.contrast.after == pytest.approx(float(wanted["aux2"][5]), abs=1e-5)
            assert found.top_after.index == int(wanted["aux2"].argmax())
    assert found.before == pytest.approx(explainer.explain(IMAGE, target=3).belief, rel=1e-4)
    assert found.after != pytest.approx(found.before, abs=1e-6)
    others = found.control_after["aux2"]
    falls = found.after["aux2"] < found.before["aux2"]
    assert found.as_much == sum(p <= found.after["aux2"] if falls else p >= found.after["aux2"] for p in others)
    assert found.median == np.median(others)


def test_a_box_is_cut_to_what_the_network_sees(explainer: Explainer) -> None:
    image = random_image(300, 150)
    seen = explainer.config.preprocess.seen(image.size)
    found = cover(explainer, image, Question(), Box(0, 0, 150, 60), "5b")
    assert found.box == Box(seen.x0, seen.y0, 150, 60)
    assert found.top_before.index == found.question.target
    with pytest.raises(QuestionError, match="inside what the crop kept"):
        cover(explainer, image, Question(), Box(0, 0, seen.x0, 150), "5b")
    with pytest.raises(QuestionError, match="sees no stage '5b'"):
        cover(explainer, image, Question("aux1"), Box(100, 50, 150, 60), "5b")


def test_what_tipped_an_answer_is_covered_and_asked_again(explainer: Explainer) -> None:
    found = tipping(explainer, IMAGE, explainer.question("aux2", 5, 3), "4c")
    for grid, asked in zip(found.maps, ((5, None), (3, None), (5, 3)), strict=True):
        own = explainer.explain(IMAGE, head="aux2", target=asked[0], contrast=asked[1]).grids["4c"]
        np.testing.assert_allclose(grid, own, atol=1e-6)
    np.testing.assert_allclose(found.maps[2], found.maps[0] - found.maps[1], atol=1e-6)
    assert found.scale == found.maps.max()
    part = around(found.maps[2], SIDE)
    seen = explainer.config.preprocess.seen(IMAGE.size)
    assert found.box == in_picture(part, seen, SIDE)
    before, after = explainer.explain(IMAGE).probabilities["aux2"], asked_again(explainer, part)["aux2"]
    assert before is not None
    for change in (found.answered, found.truth):
        assert isinstance(change.asked, int)
        assert change.before == pytest.approx(float(before[change.asked]), abs=1e-5)
        assert change.after == pytest.approx(float(after[change.asked]), abs=1e-5)
    assert (found.top_before.index, found.top_after.index) == (int(before.argmax()), int(after.argmax()))


def test_where_nothing_speaks_more_for_the_answer_nothing_is_covered(explainer: Explainer) -> None:
    found = tipping(explainer, IMAGE, explainer.question("aux2", 3, 5), "4c")
    assert found.maps[2].max() <= 0
    assert found.box is None
    assert found.answered.after == found.answered.before
    assert found.top_after == found.top_before
    with pytest.raises(QuestionError, match="sees no stage '5b'"):
        tipping(explainer, IMAGE, explainer.question("aux2", 3, 5), "5b")
    with pytest.raises(QuestionError, match="both"):
        tipping(explainer, IMAGE, replace(found.explanation.question, contrast=3), "4a")


def test_the_square_lies_around_the_strongest_cell_and_inside_the_picture() -> None:
    grid = np.zeros((7, 7), np.float32)
    grid[3, 5] = 1
    assert around(grid, 224) == (slice(80, 144), slice(144, 208))
    grid[0, 6] = 2
    assert around(grid, 224) == (slice(0, 64), slice(160, 224))
