"""Deletion and insertion, randomised weights: what each must do on pictures and networks whose answer is known."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch

from googlenet.errors import QuestionError
from googlenet.explanation.trust import Trust, area
from googlenet.inference.explainer import Explainer
from googlenet.pictures.images import Preprocess
from googlenet.probes.cover import fill
from googlenet.probes.trust import curves, examine, order, randomise, rank_correlation
from tests.helpers import explainer_of, random_image, random_model

SIDE = 64


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    return explainer_of(random_model(), Preprocess(72, SIDE, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


def test_the_brightest_pixels_come_first() -> None:
    grid = np.array([[0.0, 1.0], [-2.0, 0.5]], np.float32)
    place = order(grid, 8)
    assert sorted(place.flatten().tolist()) == list(range(64))
    assert sorted(place[:2, 6:].flatten().tolist()) == [0, 1, 2, 3]  # beyond the brightest cell's centre
    assert sorted(place[6:, :2].flatten().tolist()) == [60, 61, 62, 63]


def test_curves_begin_and_end_at_the_whole_picture_and_at_nothing(explainer: Explainer) -> None:
    x = explainer.preprocess(random_image(150, 150))
    orders = torch.stack([order(np.random.default_rng(i).standard_normal((4, 4)), SIDE) for i in range(2)])
    done: list[float] = []
    deletion, insertion = curves(explainer, x, 4, orders, 5, done.append)["aux2"]
    assert deletion.shape == insertion.shape == (2, 6)
    whole, nothing = (explainer.probabilities(picture)["aux2"][0, 4] for picture in (x, torch.zeros_like(x)))
    for curve in (*deletion, *insertion[:, ::-1]):
        assert curve[0] == pytest.approx(whole, abs=1e-6)
        assert curve[-1] == pytest.approx(nothing, abs=1e-6)
    hidden = orders[1] < round(SIDE * SIDE * 2 / 5)
    assert deletion[1, 2] == pytest.approx(explainer.probabilities(fill(x, hidden[None]))["aux2"][0, 4], abs=1e-6)
    assert insertion[1, 2] == pytest.approx(explainer.probabilities(fill(x, ~hidden[None]))["aux2"][0, 4], abs=1e-6)
    assert done == sorted(done)
    assert done[-1] == 1


def test_a_map_is_tested_by_curves_and_by_a_map_without_meaning(explainer: Explainer) -> None:
    """The last stage that the head sees, where none is named. The order of chance and the random weights are always the same."""
    image, done = random_image(160, 120), list[float]()
    question = explainer.question("aux1", 3)
    explanation = examine(explainer, image, question, ["4a", "3a"], done.append)
    assert explanation.trust is not None
    assert list(explanation.trust) == ["4a", "3a"]
    found = explanation.trust["4a"]
    assert (found.head, found.label) == ("aux1", "thing 3")
    assert len(found.steps) == len(found.deletion) == len(found.random_insertion) == 21
    assert found.deletion[0] == found.random_deletion[0] == found.insertion[-1] == found.random_insertion[-1]
    assert found.deletion[0] == pytest.approx(explanation.belief["aux1"], abs=1e-5)
    assert found.randomised.shape == (4, *explainer.grid_sizes["4a"])
    own = explainer.explain(image, head="aux1", target=3).grids["4a"]
    assert found.correlation == pytest.approx(rank_correlation(own, found.randomised.sum(0)))
    assert abs(found.correlation) < 0.9
    assert done == sorted(done)
    assert done[-1] == 1
    again = examine(explainer, np.asarray(image), question).trust
    assert again is not None
    assert list(again) == ["4a"]
    assert again["4a"].random_deletion == found.random_deletion
    np.testing.assert_array_equal(again["4a"].randomised, found.randomised)
    told = json.loads(json.dumps(explanation.to_json("a.png")))["trust"]["4a"]
    assert told["deletion"] == pytest.approx(found.deletion)
    assert told["area"]["random_insertion"] == pytest.approx(area(found.random_insertion))
    assert told["randomised_correlation"] == pytest.approx(found.correlation)
    assert told["sentence"] == {"en": found.sentence("en"), "ko": found.sentence("ko")}

    with pytest.raises(QuestionError, match="sees no stage '4b'"):
        examine(explainer, image, question, ["4a", "4b"])
    assert "trust" not in explainer.explain(image).to_json("a.png")


def test_randomising_goes_from_the_heads_down_to_the_stage(explainer: Explainer) -> None:
    model, x = explainer.model, torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    x = x.to(memory_format=torch.channels_last)
    with torch.no_grad():
        own = dict(model.stages(x))
        for stage in (None, "5b", "4d"):
            copied = copy.deepcopy(model)
            randomise(copied, stage)
            changed = [name for name, values in copied.stages(x) if not torch.equal(values, own[name])]
            stages = list(own)
            assert changed == ([] if stage is None else stages[stages.index(stage) :])
            assert not torch.allclose(copied.heads(x).main, model.heads(x).main)
        twice = [copy.deepcopy(model) for _ in range(2)]
        for copied in twice:
            randomise(copied, "5a")
        assert torch.equal(*(copied.heads(x).main for copied in twice))


def test_area_and_rank_correlation() -> None:
    assert area((1.0, 0.0, 0.0)) == pytest.approx(0.25)
    a = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert rank_correlation(a, a**3) == pytest.approx(1)
    assert rank_correlation(a, -a) == pytest.approx(-1)
    assert rank_correlation(a, np.zeros((2, 2))) == 0
    assert rank_correlation(np.array([1.0, 2, 2, 3]), np.array([1.0, 2, 3, 4])) == pytest.approx(0.9486833)  # as SciPy


def made(deletion: float, insertion: float, random_deletion: float, random_insertion: float, correlation: float) -> Trust:
    """Curves that fall from 0.9, or rise to it, through one value in between."""

    def falling(value: float) -> tuple[float, ...]:
        return (0.9, *[value] * 19, 0.0)

    def rising(value: float) -> tuple[float, ...]:
        return falling(value)[::-1]

    steps = tuple(np.linspace(0, 1, 21).tolist())
    curves = falling(deletion), rising(insertion), falling(random_deletion), rising(random_insertion)
    return Trust("main", "lion", steps, *curves, np.zeros((4, 2, 2), np.float32), correlation)


SENTENCES = [
    (
        made(0.29, 0.8, 0.86, 0.1, -0.12),
        "Hiding the brightest tenth of the picture takes 61 points from lion in the main head (90 % to 29 %); hiding a random "
        "tenth takes 4 points from it. The map beats chance when its bright places are hidden and when they alone are shown. "
        "With randomised weights the map is a different one (rank correlation −0.12).",
        "가장 밝은 10분의 1을 가리면 main 헤드에서 ‘사자’ 클래스의 확률이 61%p 내려갑니다(90% → 29%). "
        "무작위로 10분의 1을 가리면 4%p 내려갑니다. 밝은 곳을 가릴 때도, 그곳만 보여 줄 때도 근거 지도가 무작위보다 낫습니다. "
        "가중치를 무작위로 바꾸면 다른 근거 지도가 됩니다(순위 상관계수 −0.12).",
    ),
    (
        made(0.91, 0.2, 0.899, 0.2, 0.75),
        "Hiding the brightest tenth of the picture adds 1 point to lion in the main head (90 % to 91 %); hiding a random tenth "
        "takes less than a point from it. In both tests the map is no better than chance: do not rely on it for this picture. "
        "With randomised weights the map stays alike (rank correlation 0.75): it shows the picture, not the class.",
        "가장 밝은 10분의 1을 가리면 main 헤드에서 ‘사자’ 클래스의 확률이 1%p 올라갑니다(90% → 91%). "
        "무작위로 10분의 1을 가리면 1%p도 달라지지 않습니다. 두 시험 모두에서 근거 지도가 무작위보다 낫지 않습니다. "
        "이 사진에서는 이 근거 지도를 믿지 마세요. 가중치를 무작위로 바꿔도 근거 지도가 비슷합니다(순위 상관계수 0.75). "
        "이 근거 지도는 클래스가 아니라 사진 자체를 보여 줍니다.",
    ),
]


@pytest.mark.parametrize(("found", "english", "korean"), SENTENCES)
def test_the_sentence_says_what_the_curves_say(found: Trust, english: str, korean: str) -> None:
    assert found.sentence() == english
    assert found.sentence("ko") == korean


@pytest.mark.parametrize(
    ("figures", "language", "words"),
    [
        ((0.1, 0.5, 0.5, 0.5, 0), "en", "but not when they alone are shown"),
        ((0.5, 0.5, 0.5, 0.1, 0), "en", "but not when they are hidden"),
        ((0.5, 0.5, 0.5, 0.5, -0.004), "en", "(rank correlation 0.00)"),  # without a sign
        ((0.5, 0.5, 0.5, 0.5, 0.27), "en", "part of the map stays (rank correlation 0.27)"),
        ((0.5, 0.5, 0.5, 0.5, 0.27), "ko", "근거 지도의 일부가 남습니다(순위 상관계수 0.27)"),
        ((0.5, 0.5, 0.5, 0.5, 0.19), "en", "is a different one (rank correlation 0.19)"),
    ],
)
def test_what_lies_between_is_said_so(figures: tuple[float, ...], language: str, words: str) -> None:
    assert words in made(*figures).sentence(language)
