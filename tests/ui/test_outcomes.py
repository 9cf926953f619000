"""What covering, comparing and diagnosing say: never against their numbers, in both languages."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from googlenet.explanation import Prediction, Question
from googlenet.explanation.groups import Group, imagenet_groups
from googlenet.explanation.statements import percent
from googlenet.pictures.frame import Box
from googlenet.probes.cover import Change, Cover
from googlenet.probes.tipping import Tipping
from googlenet.ui.sentences import EVEN, LANGUAGES, LITTLE, cover_sentence, diagnosis, tipping_sentence
from tests.ui.test_sentences import BEAGLE, BUS, IMAGENET, PARTICLE, REDBONE, made, spread

BOX = Box(0, 0, 100, 100)
TENCH = 0
SHARES = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.0004, 0.004, 0.02, 0.3, 0.5, 0.996, 1.0]))


def top(index: int, p: float = 0.33) -> Prediction:
    return Prediction(index, IMAGENET[index], p)


def covering(before: float, after: float, controls: list[float], new: int = REDBONE, truth: Change | None = None) -> Cover:
    others = (BOX,) * len(controls)
    asked = Question("main", REDBONE)
    by_head = {"main": before}, {"main": after}, {"main": tuple(controls)}
    return Cover(asked, "4e", BOX, others, *by_head, truth, top(REDBONE), top(new))


def tipped(own: tuple[float, float], truth: tuple[float, float], new: int = REDBONE, box: Box | None = BOX) -> Tipping:
    changes = Change(REDBONE, *own), Change(BEAGLE, *truth)
    return Tipping(
        made(spread({REDBONE: own[0]})), "4e", np.zeros((3, 14, 14), np.float32), box, *changes, top(REDBONE), top(new)
    )


COVERED = [
    (
        covering(0.14, 0.009, [0.25] * 15, BEAGLE),
        "Without this part, redbone falls from 14 to 0.9 %. It matters: 15 random parts of its size leave 25 % (median), and "
        "none of them lowers it as much. The final answer becomes beagle, 33 %.",
        "이 부분을 가리면 ‘레드본 쿤하운드’ 14% → 0.9%입니다. 이 부분은 중요합니다. 같은 크기의 무작위 15곳을 가리면 중앙값이 "
        "25%이고, 그중 이만큼 내리는 곳은 없습니다. 이제 최종 답은 ‘비글’입니다(33%).",
    ),
    (
        covering(0.5, 0.7, [0.5] * 14 + [0.8], truth=Change(BEAGLE, 0.2, 0.2)),
        "Without this part, redbone rises from 50 to 70 % and beagle stays at 20 %. It speaks against redbone, more than most "
        "do: 15 random parts of its size leave 50 % (median), and 1 of them raises it as much.",
        "이 부분을 가리면 ‘레드본 쿤하운드’ 50% → 70%, ‘비글’ 20% 그대로입니다. 이 부분은 ‘레드본 쿤하운드’에 반대하는 "
        "근거이며, 다른 곳보다 뚜렷한 편입니다. 같은 크기의 무작위 15곳을 가리면 중앙값이 50%이고, 그중 "
        "이만큼 올리는 곳은 1곳입니다.",
    ),
    (
        covering(0.5, 0.3, [0.2] * 8 + [0.4] * 7),
        "Without this part, redbone falls from 50 to 30 %. It is not special: 15 random parts of its size leave 20 % (median), "
        "and 8 of them lower it as much.",
        "이 부분이 특별한 것은 아닙니다",
    ),
    (
        covering(0.5, 0.49, [0.2] * 15),
        "Without this part, redbone falls from 50 to 49 %. That is little; 15 random parts of its size leave 20 % (median).",
        "거의 달라지지 않습니다",
    ),
    (
        covering(0.5, 0.1, []),
        "Without this part, redbone falls from 50 to 10 %. The picture has no room for other parts of this size to compare it "
        "with.",
        "비교할 수 없습니다",
    ),
]


@pytest.mark.parametrize(("cover", "english", "korean"), COVERED)
def test_covering_in_words(cover: Cover, english: str, korean: str) -> None:
    assert cover_sentence(cover, IMAGENET, "en") == english
    assert korean in cover_sentence(cover, IMAGENET, "ko")


@settings(max_examples=100, deadline=None)
@given(SHARES, SHARES, st.lists(SHARES, max_size=15), st.booleans())
def test_the_sentence_never_contradicts_its_numbers(before: float, after: float, controls: list[float], turns: bool) -> None:
    cover = covering(before, after, controls, BEAGLE if turns else REDBONE)
    english, korean = (cover_sentence(cover, IMAGENET, language) for language in LANGUAGES)
    assert ("falls" in english) <= (after < before)
    assert ("rises" in english) <= (after > before)
    assert ("stays" in english) == (percent(before) == percent(after)) == ("그대로" in korean)
    little = abs(after - before) < LITTLE
    as_much = sum(p <= after if after <= before else p >= after for p in controls)
    if controls:
        assert ("That is little" in english) == little == ("거의 달라지지" in korean)
        assert percent(float(np.median(controls))) in english
        assert percent(float(np.median(controls)), "ko") in korean
    for words, marks in (("speaks against", english), ("반대하는", korean)):
        assert (words in marks) == (bool(controls) and not little and after > before)
    for words, said in (("It matters:", english), ("중요합니다", korean)):
        assert (words in said) == (bool(controls) and not little and after < before and as_much == 0)
    assert ("none of them" in english) == ("곳은 없습니다" in korean) == (bool(controls) and not little and as_much == 0)
    assert ("becomes beagle" in english) == ("이제 최종 답은" in korean) == turns
    assert not re.search(rf"(?:이상|미만)(?:가|로|는|를)(?![가-힣])|[a-z]’?{PARTICLE}(?![가-힣])", korean), korean


TIPPED = [
    (
        tipped((0.7, 0.29), (0.12, 0.5), BEAGLE),
        "Without it redbone falls from 70 to 29 % and beagle rises from 12 to 50 %: the answer turns.",
        "이 부분을 가리면 ‘레드본 쿤하운드’ 70% → 29%, ‘비글’ 12% → 50%: 답이 바뀝니다.",
    ),
    (
        tipped((0.7, 0.2), (0.12, 0.12), TENCH),
        "Without it redbone falls from 70 to 20 % and beagle stays at 12 %: the answer turns to tench, 33 %.",
        "이 부분을 가리면 ‘레드본 쿤하운드’ 70% → 20%, ‘비글’ 12% 그대로: 답이 다른 것으로 바뀝니다(텐치, 33%).",
    ),
    (
        tipped((0.7, 0.69), (0.12, 0.12)),
        "Without it redbone falls from 70 to 69 % and beagle stays at 12 %: hardly a change, the evidence is spread.",
        "거의 그대로입니다. 근거가 여러 곳에 퍼져 있습니다.",
    ),
    (
        tipped((0.7, 0.5), (0.12, 0.3)),
        "Without it redbone falls from 70 to 50 % and beagle rises from 12 to 30 %: beagle gains ground, and the answer stays.",
        "‘비글’ 쪽으로 기울지만 답은 그대로입니다.",
    ),
    (
        tipped((0.7, 0.8), (0.12, 0.05)),
        "Without it redbone rises from 70 to 80 % and beagle falls from 12 to 5.0 %: beagle loses ground, and the answer stays.",
        "‘비글’ 쪽에서 멀어지며 답은 그대로입니다.",
    ),
    (
        tipped((0.23, 0.06), (0.06, 0.016)),
        "Without it redbone falls from 23 to 6.0 % and beagle falls from 6.0 to 1.6 %: the odds between the two stay, and so "
        "does the answer.",
        "둘 사이의 비율도 답도 그대로입니다.",
    ),
    (
        tipped((0.7, 0.7), (0.12, 0.12), box=None),
        "No place of stage 4e speaks more for redbone than for beagle.",
        "4e 단계에는 ‘비글’보다 ‘레드본 쿤하운드’의 근거가 더 강한 곳이 없습니다.",
    ),
]


@pytest.mark.parametrize(("tipping", "english", "korean"), TIPPED)
def test_what_tipped_it_in_words(tipping: Tipping, english: str, korean: str) -> None:
    assert tipping_sentence(tipping, "en") == english
    assert tipping_sentence(tipping, "ko").endswith(korean)


@settings(max_examples=100, deadline=None)
@given(SHARES, SHARES, SHARES, SHARES, st.sampled_from([REDBONE, BEAGLE, TENCH]))
def test_what_tipped_it_never_contradicts_its_numbers(a: float, b: float, c: float, d: float, new: int) -> None:
    said = tipping_sentence(tipped((a, b), (c, d), new), "en")
    first, second = said.split(" and beagle ")[:2]
    for text, before, after in ((first, a, b), (second, c, d)):
        assert ("falls" in text) <= (after < before)
        assert ("rises" in text) <= (after > before)
    assert ("turns" in said) == (new != REDBONE)
    assert said.endswith("turns.") == (new == BEAGLE)
    assert ("gains" in said) <= (d * a >= EVEN * b * c)
    assert ("loses" in said) <= (b * c >= EVEN * d * a)
    assert ("odds" in said) <= (b * c < EVEN * d * a and d * a < EVEN * b * c)
    assert ("hardly" in said) == (new == REDBONE and max(abs(a - b), abs(c - d)) < LITTLE)


def wrong(truth: int | Group, *, aux2: int = REDBONE, maps: np.ndarray | None = None, cut: float = 0) -> Tipping:
    """A redbone with 60 %, where another class is right."""
    e = made(spread({REDBONE: 0.6, BEAGLE: 0.3}), (spread({REDBONE: 0.5}), spread({aux2: 0.5})))
    e = replace(e, seen=Box(0, 0, 300 * (1 - cut), 300))
    maps = np.ones((3, 6, 6), np.float32) if maps is None else maps
    return Tipping(e, "4e", maps, None, Change(REDBONE, 0.6, 0.6), Change(truth, 0.1, 0.1), top(REDBONE), top(REDBONE))


APART = np.zeros((3, 6, 6), np.float32)
APART[0, 0, 0] = APART[1, 5, 5] = 1
WEAK = APART * np.array([1, 0.1, 1], np.float32)[:, None, None]
DOG = next(group for group in imagenet_groups() if group.name == "dog")
SIBLINGS = "Redbone and beagle are of one kind (scent hound), to which the final answer gives 90 % in all."
REASONS = [
    (wrong(BEAGLE), SIBLINGS),
    (wrong(DOG), None),
    (wrong(BEAGLE, aux2=BEAGLE), "The second guess had it: beagle, 50 %. The stages after it turned to redbone."),
    (
        wrong(BUS, maps=APART),
        "Perhaps both are in the picture: stage 4e finds evidence for redbone and for school bus in different places.",
    ),
    (wrong(BUS, maps=WEAK, cut=0.4), "Perhaps it was cut off: the network did not see 40 % of this photograph."),
    (wrong(BUS, maps=WEAK), None),
    (wrong(BUS), None),
    (wrong(TENCH), None),  # both are animals, which says little
]


@pytest.mark.parametrize(("tipping", "expected"), REASONS)
def test_a_diagnosis_is_given_where_the_numbers_support_it(tipping: Tipping, expected: str | None) -> None:
    assert diagnosis(tipping, "en") == expected
    korean = diagnosis(tipping, "ko")
    assert (korean is None) == (expected is None)
    assert not re.search(rf"[a-z]’?{PARTICLE}(?![가-힣])", korean or ""), korean
