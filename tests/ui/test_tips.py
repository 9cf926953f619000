"""What the page is told of an answer in words, and of what tipped it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from googlenet.errors import UserError
from googlenet.explanation import likeliest
from googlenet.explanation.groups import Group, groups_of
from googlenet.inference.explainer import Explainer
from googlenet.probes.tipping import tipping
from googlenet.ui import texts
from googlenet.ui.desk import Desk, by_depth
from googlenet.ui.messages import PageQuery
from googlenet.ui.sentences import class_name
from googlenet.ui.uploads import example
from googlenet.ui.weights import described
from tests.helpers import explainer_of, random_model

TIP = PageQuery(9, example="lion", target=3, rival=5, stage="4c")


def silent(*_: object) -> None:
    pass


def test_what_tipped_an_answer_is_told_in_pixels_of_the_original(explainer: Explainer, desk: Desk) -> None:
    picture = example("lion")
    wanted = tipping(explainer, picture.image, explainer.question("main", 3, 5), "4c")
    found = desk.tip(TIP, picture, silent)
    json.dumps(found)
    assert wanted.box is not None
    assert found["box"] == pytest.approx(wanted.box)
    assert found["before"] == [wanted.answered.before, wanted.rival.before]
    assert len(found["maps"]) == 3
    assert found["say"]["en"] != found["say"]["ko"]
    large = replace(picture, size=(3 * picture.size[0], 3 * picture.size[1]))
    assert desk.tip(TIP, large, silent)["box"] == pytest.approx([3 * edge for edge in wanted.box])


@pytest.mark.parametrize("ask", [replace(TIP, rival=None), replace(TIP, target=None), replace(TIP, rival=3)])
def test_what_cannot_be_compared_is_said_in_both_languages(ask: PageQuery, desk: Desk) -> None:
    with pytest.raises(UserError) as raised:
        desk.tip(ask, example("lion"), silent)
    said = texts.error(raised.value)
    assert said["ko"] != said["en"]


def test_the_table_by_depth_begins_with_what_is_asked(explainer: Explainer) -> None:
    group = Group("pair", "a", "쌍", (2, 4), None)
    e = explainer.explain(example("lion").image, target=3, contrast=5)
    assert [row["index"] for row in by_depth(e)[:2]] == [3, 5]
    p = e.probabilities["main"]
    assert p is not None
    (row, *_) = by_depth(replace(e, question=replace(e.question, target=group, contrast=None)))
    assert (row["index"], row["label"]) == (None, "pair")
    assert row["belief"]["main"] == pytest.approx(float(p[2] + p[4]))
    assert [each.index for each in likeliest(p, e.labels, 10)] == np.argsort(-p, kind="stable")[:10].tolist()


def test_an_answer_carries_its_words_in_both_languages_and_the_stage_that_stands(desk: Desk) -> None:
    answer = desk.explain(PageQuery(example="lion", method="layer-cam"), example("lion"), silent)
    json.dumps(answer)
    assert answer["result"]["question"]["method"] == "layer-cam"
    assert answer["standing"] in answer["grids"]
    assert "".join(answer["words"]["en"]["headline"]) != "".join(answer["words"]["ko"]["headline"])


def test_the_search_knows_korean_names_and_groups(explainer: Explainer) -> None:
    labels = ("beagle", "kimono", *explainer.labels[2:])
    ours = described(explainer_of(random_model()), None)
    assert ours["korean"] == list(explainer.labels)  # classes of ours have no Korean name and no group
    assert ours["groups"] == []
    assert [class_name(label, "ko") for label in labels[:2]] == ["비글", "기모노"]
    dog = next(group for group in groups_of(labels[:2]) if group.name == "dog")
    assert (dog.korean, dog.indices) == ("개", (0,))
