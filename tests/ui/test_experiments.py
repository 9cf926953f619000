"""What the tabs under the enlarged stage ask of Python: the messages, in both languages, and what stops them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from googlenet.cover import cover
from googlenet.errors import UserError
from googlenet.explainer import Explainer
from googlenet.explanation import Question
from googlenet.frame import Box
from googlenet.images import open_image
from googlenet.ui import experiments, texts
from googlenet.ui.explainers import ExplainerCache
from googlenet.ui.handlers import EXAMPLES, Message
from googlenet.ui.query import PageQuery
from tests.helpers import explainer_of, random_model


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    return explainer_of(random_model())


@pytest.fixture
def cache(explainer: Explainer) -> ExplainerCache:
    return ExplainerCache(explainer)


LION = PageQuery(9, "lion", target=3, stage="4c", box=Box(200, 100, 400, 300))


def told(ask: PageQuery, cache: ExplainerCache) -> list[Message]:
    messages: list[Message] = []
    experiments.trust(ask, cache, messages.append)
    return messages


def test_covering_is_answered_in_pixels_of_the_original(explainer: Explainer, cache: ExplainerCache) -> None:
    image = open_image(EXAMPLES["lion"])
    wanted = cover(explainer, image, Question("main", 3), Box(200, 100, 400, 300), "4c")
    message = experiments.cover(LION, cache)
    json.dumps(message)
    found = message["cover"]
    assert found["box"] == pytest.approx(wanted.box)
    assert found["after"] == pytest.approx(wanted.after)
    large = replace(LION, original=(image.width * 3, image.height * 3), box=Box(600, 300, 1200, 900))
    found = experiments.cover(large, cache)["cover"]
    assert found["box"] == pytest.approx([3 * edge for edge in wanted.box])
    assert found["other"] == pytest.approx([3 * edge for edge in wanted.other])
    assert found["after"] == pytest.approx(wanted.after)


@pytest.mark.parametrize(
    "ask",
    [replace(LION, box=None), replace(LION, box=Box(90_000, 0, 90_001, 1)), replace(LION, head="aux1", stage="5a")],
)
def test_what_cannot_be_covered_is_said_in_both_languages(ask: PageQuery, cache: ExplainerCache) -> None:
    with pytest.raises(UserError) as raised:
        experiments.cover(ask, cache)
    assert texts.korean_error(raised.value) != str(raised.value)


def test_trust_tells_its_progress_and_then_the_curves(cache: ExplainerCache) -> None:
    messages = told(LION, cache)
    json.dumps(messages)
    shares = [message["trust"]["progress"] for message in messages[:-1]]
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert len(shares) > 5
    found = messages[-1]["trust"]
    assert found["stage"] == "4c"
    assert found["randomised"]["shape"] == (4, 6, 6)
    assert len(found["steps"]) == len(found["deletion"]) == len(found["random_insertion"])
    assert "thing 3" in found["say"]["en"]
    assert "thing 3" in found["say"]["ko"]


def test_trust_says_what_stops_it(cache: ExplainerCache) -> None:
    with pytest.raises(UserError, match="zebra"):
        told(replace(LION, example="zebra"), cache)
    with pytest.raises(UserError, match="There is no head"):
        told(replace(LION, head="tail"), cache)
    with pytest.raises(UserError, match="sees no stage"):
        told(replace(LION, head="aux1", stage="5a"), cache)


def test_where_a_gpu_is_lent_the_experiments_travel_by_pickle(explainer: Explainer) -> None:
    def lend(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments: pickle.loads(pickle.dumps(function(*pickle.loads(pickle.dumps(arguments)))))

    cache = ExplainerCache(explainer, gpu=lend)
    assert experiments.cover(LION, cache)["cover"] == experiments.cover(LION, ExplainerCache(explainer))["cover"]
    assert "say" in told(LION, cache)[-1]["trust"]


def expanded(ask: PageQuery, cache: ExplainerCache, pictures: experiments.ChannelPictures) -> list[Message]:
    messages: list[Message] = []
    experiments.channels(ask, cache, pictures, messages.append)
    return [message["channels"] for message in messages]


def test_channels_come_at_once_and_their_pictures_when_they_are_made(
    explainer: Explainer, cache: ExplainerCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[list[int]] = []

    def drawing(model: object, preprocess: object, stage: str, channels: list[int], progress: Callable[[float], None]) -> Any:
        assert model is not explainer.model  # the Explainer stays free
        made.append(list(channels))
        progress(0.5)
        return np.zeros((len(channels), 56, 56, 3), np.uint8)

    monkeypatch.setattr(experiments, "visualise", drawing)
    pictures = experiments.ChannelPictures()
    first, half, last = expanded(LION, cache, pictures)
    json.dumps([first, half, last])
    assert half == {"progress": 0.5}
    assert (first["progress"], last["progress"]) == (0.0, None)
    wanted = explainer.explain(EXAMPLES["lion"], target=3, channels=True).channels
    assert wanted is not None
    both = last["for"] + last["against"]
    assert [(c["channel"], c["branch"]) for c in both] == [(c.channel, c.branch) for c in wanted["4c"]]
    assert all(c["picture"] is None for c in first["for"])
    assert all(c["picture"].startswith("data:image/webp") for c in both)
    assert len(made) == 1
    again = expanded(LION, cache, pictures)
    assert again[0]["for"] == last["for"]  # kept
    assert len(made) == 1
    cell = expanded(replace(LION, cell=(2, 3)), cache, pictures)[-1]
    touched = explainer.explain(EXAMPLES["lion"], target=3, cell=("4c", 2, 3)).channels
    assert touched is not None
    assert [c["channel"] for c in cell["for"]] == [c.channel for c in touched["4c"] if c.share > 0]
    with pytest.raises(UserError, match="rows and"):
        expanded(replace(LION, cell=(90, 0)), cache, pictures)


def test_a_lent_gpu_draws_no_channels(explainer: Explainer) -> None:
    lent = ExplainerCache(explainer, gpu=lambda function: function)
    (only,) = expanded(LION, lent, experiments.ChannelPictures())
    assert only["progress"] is None
    assert only["for"][0]["picture"] is None
