"""What the tabs under the enlarged stage ask of Python: the messages, in both languages, and what stops them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from googlenet.errors import UserError
from googlenet.explanation import Question
from googlenet.inference.explainer import Explainer
from googlenet.pictures.frame import Box
from googlenet.pictures.images import open_image
from googlenet.probes.cover import cover
from googlenet.ui import experiments, texts
from googlenet.ui.explainers import ExplainerCache
from googlenet.ui.handlers import EXAMPLES, Message
from googlenet.ui.query import PageQuery

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
    assert found["controls"][0] == pytest.approx([3 * edge for edge in wanted.controls[0]])
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
