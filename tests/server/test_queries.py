"""Anything that a browser can send becomes a question or a sentence, never a traceback."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from googlenet.errors import UserError
from googlenet.inference.explainer import Explainer
from googlenet.model.architecture import HEADS, STAGES
from googlenet.ui import handlers
from googlenet.ui.explainers import ExplainerCache
from googlenet.ui.query import MAX_SIDE, PageQuery
from tests.helpers import explainer_of, random_model

FIELDS = ("n", "example", "upload", "known", "head", "target", "contrast", "weights", "original", "stage", "cell", "box")
TEXT = st.text() | st.text(st.characters(categories=["Cs", "Cc", "L"]))
"""JSON can hold halves of letters, which no file's name can."""
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
ANYTHING = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5))
SENT = ANYTHING | st.dictionaries(st.sampled_from(FIELDS), ANYTHING)
CLASSES = st.none() | st.text(max_size=600) | st.integers(-(2**53) + 1, 2**53 - 1)


any_speed = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    return explainer_of(random_model())


@any_speed
@example(sent={"upload": "\ud800"})
@given(sent=SENT)
def test_whatever_is_sent_becomes_a_bounded_question(sent: Any) -> None:
    query = PageQuery.from_browser(sent)
    assert isinstance(query.number, int)
    assert abs(query.number) < 2**53
    for text in (query.example, query.path, query.head, query.target, query.contrast, query.weights):
        assert not isinstance(text, str) or len(text) <= 500
        str(text).encode()
    assert query.stage in (None, *STAGES)
    assert query.original is None or all(1 <= side <= MAX_SIDE for side in query.original)
    assert query.cell is None or all(0 <= place <= MAX_SIDE for place in query.cell)
    assert query.box is None or 0 <= query.box.x0 < query.box.x1 <= MAX_SIDE
    hash(query)  # a waiting question is found again by its fields


@any_speed
@example(path="a\0b", example=None)
@given(path=st.text(), example=st.none() | st.text())
def test_a_picture_that_nobody_uploaded_is_a_sentence(path: str, example: str | None) -> None:
    with pytest.raises(UserError):
        handlers.picture(PageQuery(path=path, example=example))


@settings(any_speed, max_examples=60)
@given(head=st.sampled_from(HEADS) | st.text(max_size=20), target=CLASSES, contrast=CLASSES)
def test_the_apis_arguments_give_an_answer_or_a_sentence(
    explainer: Explainer, head: str, target: str | int | None, contrast: str | int | None
) -> None:
    try:
        answer = handlers.answer(
            PageQuery(example="lion", head=head, target=target, contrast=contrast), ExplainerCache(explainer)
        )
    except UserError as error:
        message = handlers.failure(error)
        assert len(message["error"]["en"]) < 1000
        assert message["error"]["ko"]
    else:
        json.dumps(answer, allow_nan=False)
