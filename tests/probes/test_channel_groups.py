"""Groups of channels: their maps and the rest are the stage's map, and they find what was put together on purpose."""

from __future__ import annotations

import numpy as np
import pytest

from googlenet.errors import QuestionError
from googlenet.explanation import Question
from googlenet.inference.explainer import Explainer
from googlenet.probes.channel_groups import GROUPS, channel_groups, grouped
from tests.helpers import random_image

IMAGE = random_image(160, 120)


@pytest.mark.parametrize(
    ("stage", "question"), [("3a", Question("aux1", 2)), ("5b", Question("main", 1, contrast=4, method="layer-cam"))]
)
def test_groups_and_rest_sum_to_the_stages_map(explainer: Explainer, stage: str, question: Question) -> None:
    with pytest.raises(QuestionError, match="sees no stage '5b'"):
        channel_groups(explainer, IMAGE, Question("aux1"), "5b")
    found = channel_groups(explainer, IMAGE, question, stage)
    grid = explainer.explain_batch([IMAGE], [question])[0].grids[stage]
    assert len(found.groups) == GROUPS
    np.testing.assert_allclose(sum(group.grid for group in found.groups) + found.rest, grid, atol=1e-5 * np.abs(grid).max())
    assert all(group.grid.min() >= 0 for group in found.groups)
    assert found.rest.max() <= 0
    assert (found.rest.min() == 0) == (question.method == "layer-cam")


def test_shares_are_those_of_all_evidence_and_no_channel_is_in_two_groups(explainer: Explainer) -> None:
    found = channel_groups(explainer, IMAGE, Question("main", 1), "4c")
    shares = [group.share for group in found.groups]
    assert shares == sorted(shares, reverse=True)
    positive, negative = (float(np.abs(part).sum()) for part in (sum(group.grid for group in found.groups), found.rest))
    assert sum(shares) == pytest.approx(positive / (positive + negative), rel=1e-4)
    channels = [channel for group in found.groups for channel in group.channels]
    assert len(channels) == len(set(channels))
    again = channel_groups(explainer, IMAGE, Question("main", 1), "4c")
    assert [group.channels for group in again.groups] == [group.channels for group in found.groups]


def test_channels_that_fire_together_are_one_group() -> None:
    random = np.random.default_rng(0)
    places = np.kron(np.eye(GROUPS), np.ones(4)).reshape(GROUPS, 4, 6).astype(np.float32)  # six places that share no cell
    maps = np.concatenate([place * random.uniform(1, 1.1, (5, 1, 1)) for place in places]).astype(np.float32)
    maps *= np.repeat(np.arange(6, 0, -1), 5)[:, None, None]
    maps[-1] = -1
    found = grouped(maps)
    assert [sorted({channel // 5 for channel in group.channels}) for group in found.groups] == [[0], [1], [2], [3], [4], [5]]
    for number, group in enumerate(found.groups):
        own = maps[5 * number : 5 * number + 5].clip(min=0).sum(axis=0)
        np.testing.assert_allclose(group.grid, own, atol=0.02 * own.max())
    np.testing.assert_array_equal(found.rest, np.full((4, 6), -1, np.float32))


def test_where_nothing_speaks_for_the_class_there_is_no_group() -> None:
    found = grouped(np.full((8, 2, 2), -1, np.float32))
    assert found.groups == ()
    assert (found.rest == -8).all()
