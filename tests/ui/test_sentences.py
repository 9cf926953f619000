"""What the page says of an answer, of a covering, of what tipped it: true for every number, and Korean that does not stumble."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from googlenet.checkpoints.config import MapTrust, Pointing
from googlenet.explanation import Explanation, Prediction, Provenance, Question, Record
from googlenet.explanation.classes import Group, find_group, imagenet_classes, imagenet_groups
from googlenet.explanation.statements import Speaker, percent
from googlenet.model.architecture import HEADS, STAGES_BEFORE
from googlenet.pictures.frame import Box
from googlenet.probes.cover import Change, Cover, Tipping
from googlenet.ui import sentences
from googlenet.ui.sentences import EVEN, LANGUAGES, LITTLE, SURE, Words, standing_stage, words

IMAGENET = tuple(each.name for each in imagenet_classes())
REDBONE, BEAGLE, BUS = IMAGENET.index("redbone"), IMAGENET.index("beagle"), IMAGENET.index("school bus")
PARTICLE = r"(?:은|는|이|가|을|를|과|와|로|으로|이라)"


def spread(shares: dict[int, float], classes: int = 1000) -> np.ndarray:
    """Probabilities with given shares; the rest is even among the others."""
    p = np.full(classes, (1 - sum(shares.values())) / (classes - len(shares)), np.float32)
    p[list(shares)] = list(shares.values())
    return p


HOUND = spread({REDBONE: 0.61, BEAGLE: 0.3})
ANIMAL = spread(dict.fromkeys(range(398), 0.9 / 398))
DOG = spread(dict.fromkeys(range(151, 269), 0.95 / 118))


def made(
    main: np.ndarray,
    aux: tuple[np.ndarray, np.ndarray] | None = None,
    question: Question | None = None,
    labels: tuple[str, ...] = IMAGENET,
    peak: tuple[int, int] | None = (1, 1),
    **fields: object,
) -> Explanation:
    """An Explanation of a 300×300 picture with given probabilities; each stage's grid is 3×3 and peaks at (row, column)."""
    grid = np.full((4, 3, 3), -0.1, np.float32)
    if peak is not None:
        grid[:, peak[0], peak[1]] = 1
    probabilities = dict(zip(HEADS, (*(aux or (None, None)), main), strict=True))
    question = question or Question("main", int(main.argmax()))
    return Explanation(
        size=(300, 300),
        seen=Box(0, 0, 300, 300),
        question=question,
        labels=labels,
        probabilities=probabilities,
        branch_grids=dict.fromkeys(STAGES_BEFORE[question.head], grid),
        weights=Provenance("weights", None, "0" * 64, None, False),
        statements=Speaker(labels, 0.8).statements(probabilities),
        **{"unlikely": False, **fields},  # type: ignore[arg-type]
    )


def trust(best: str = "4e", low: float = 0.1) -> MapTrust:
    heads = {
        head: {stage: Pointing(0.9 if stage == best else 0.4, 0.1, low if stage == best else -0.3, 0.5) for stage in stages}
        for head, stages in STAGES_BEFORE.items()
    }
    return MapTrust("Tiny ImageNet", 376, 0.43, heads)


def text_of(said: Words) -> str:
    """All sentences but the cards'."""
    return " ".join(filter(None, ("".join(said.headline), said.record, said.heads, said.place)))


def test_an_answer_in_words() -> None:
    e = made(HOUND, (ANIMAL, DOG), record={"main": Record(18, 39)}, peak=(0, 2))
    found = words(e, trust(), "en")
    assert "".join(found.headline) == "redbone, 61 %: probably a scent hound; the breed is a guess."
    assert found.headline[1::2] == ("redbone",)
    assert found.record == "Answers this sure were right in 18 of 39 test photographs."
    assert found.heads == "Head by head: probably an animal → surely a dog → probably a scent hound."
    assert found.place == "Stage 4e finds the strongest evidence for redbone at the upper right."
    assert found.cards == {
        "aux1": "probably an animal, 90 %",
        "aux2": "surely a dog, 95 %",
        "main": "probably a scent hound, 91 %",
    }
    korean = words(e, trust(), "ko")
    assert "".join(korean.headline) == (
        "레드본 쿤하운드(redbone), 61%: ‘후각 하운드’에 속할 가능성이 크지만, 그중 무엇인지는 추측입니다."
    )
    assert korean.record == "이만큼 확신한 답은 시험 사진 39장 가운데 18장에서 맞았습니다."
    assert korean.heads == "헤드 순서대로: 동물일 가능성 큼 → 거의 확실히 개 → 후각 하운드일 가능성 큼."
    assert korean.place == "‘레드본 쿤하운드’의 근거가 4e 단계에서 가장 강한 곳은 오른쪽 위입니다."


HEADLINES = [
    (spread({REDBONE: 0.9}), None, "redbone, 90 %."),
    (spread({REDBONE: 0.6, BEAGLE: 0.39}), None, "redbone, 60 %: surely a scent hound; the breed is a guess."),
    (
        spread({BUS: 0.3, 436: 0.25, 751: 0.25, 817: 0.19}),
        None,
        "school bus, 30 %: surely a motor vehicle; which one is a guess.",
    ),
    (
        spread({BUS: 0.1} | dict.fromkeys(range(398), 0.85 / 398)),
        None,
        "school bus, 10 %, is the likeliest name, yet this is probably an animal.",
    ),
    (spread({REDBONE: 0.3, BUS: 0.2}), None, "redbone, 30 %: a guess, and so is its kind."),
    (HOUND, Question("main", BEAGLE), "The final answer is redbone, 61 %; beagle has 30 %."),
    (HOUND, Question("main", find_group("dog", imagenet_groups())), "The final answer is redbone, 61 %; a dog has 92 %."),
]


@pytest.mark.parametrize(("p", "question", "expected"), HEADLINES)
def test_the_headline_says_what_is_sure_and_what_is_a_guess(p: np.ndarray, question: Question | None, expected: str) -> None:
    e = made(p, question=question)
    assert "".join(words(e, None, "en").headline) == expected
    korean = words(e, None, "ko")
    assert len(korean.headline) == len(words(e, None, "en").headline)
    assert ("추측" in text_of(korean)) == ("guess" in expected)


def test_what_is_unlikely_has_no_second_sentence() -> None:
    unlikely = {"unlikely": True, "record": {"main": Record(1, 9)}}
    e = made(spread({REDBONE: 0.07}), (ANIMAL, DOG), **unlikely)
    assert text_of(words(e, trust(), "en")) == "The network does not recognise this; its best guess has 7.0 %."
    assert text_of(words(e, trust(), "ko")) == (
        "신경망이 이 사진을 알아보지 못했습니다. 1,000개 클래스 가운데 가장 높은 확률이 7.0%뿐입니다."
    )
    assert text_of(words(made(ANIMAL, **unlikely), None, "en")).startswith("The network does not recognise this;")
    e = made(spread(dict.fromkeys(range(398), 0.96 / 398)), **unlikely)
    assert text_of(words(e, trust(), "en")) == "Surely an animal; the network does not recognise which: its best guess has 0.2 %."
    assert text_of(words(e, trust(), "ko")).startswith("거의 확실히 ‘동물’에 속하지만")


def test_classes_without_groups_are_named_themselves() -> None:
    labels = ("lion", "cougar", "a toy of mine")
    lion, toy = (np.array(p, np.float32) for p in ((0.6, 0.3, 0.1), (0.1, 0.2, 0.7)))
    e = made(lion, (toy, lion), labels=labels)
    assert text_of(words(e, None, "en")) == ("lion, 60 %. Head by head: a toy of mine, 70 % → lion, 60 % → lion, 60 %.")
    assert words(made(lion, labels=labels), None, "en").heads is None  # one head has no order


def test_a_place_is_named_from_the_best_stage_and_only_where_it_beats_the_centre() -> None:
    assert [standing_stage(trust(best), "main") for best in ("4e", "5a")] == ["4e", "5a"]
    assert standing_stage(None, "aux1") == "4a"
    assert words(made(HOUND), None, "en").place is None
    assert words(made(HOUND), trust(low=0.0), "en").place is None
    contrast = Question("aux2", REDBONE, BEAGLE)
    e = made(HOUND, (HOUND, HOUND), contrast)
    assert (
        words(e, trust("4d"), "en").place == "Stage 4d finds the strongest evidence for redbone rather than beagle in the centre."
    )
    assert (
        words(e, trust("4d"), "ko").place
        == "‘비글’ 대신 ‘레드본 쿤하운드’ 쪽으로 볼 근거가 4d 단계에서 가장 강한 곳은 한가운데입니다."
    )
    assert words(made(HOUND, peak=None), trust(), "en").place == "Stage 4e holds no evidence for redbone."


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_sentence_goes_beyond_its_numbers(language: str) -> None:
    """Random beliefs: every figure is one of the explanation's, "surely" needs a sure statement, no particle follows a name."""
    random = np.random.default_rng(0)
    for number in range(40):
        heads = [
            spread({int(i): float(p) for i, p in zip(random.integers(0, 1000, 3), random.dirichlet([0.4] * 4), strict=False)})
        ]
        heads += [spread(dict.fromkeys(range(151, 269), float(random.uniform(0.5, 0.99)) / 118)) for _ in range(2)]
        random.shuffle(heads)
        question = Question("main", int(random.integers(1000)) if number % 2 else int(heads[2].argmax()))
        e = made(heads[2], (heads[0], heads[1]), question, unlikely=number % 7 == 0, record={"main": Record(number, 400)})
        said = words(e, trust(), language)
        statements = [s for s in (e.statements or {}).values() if s]
        assert e.probabilities["main"] is not None
        known = [
            *(s.probability for s in statements),
            *(float(p) for p in (e.belief["main"], e.probabilities["main"].max()) if p),
        ]
        for text in (text_of(said), *said.cards.values()):
            figures = re.findall(r"(?:over |under )?[\d.]+ ?%(?: 이상| 미만)?", text)
            assert set(figures) <= {percent(p, language) for p in known}, text
            assert not re.search(rf"[a-z]’?\)?{PARTICLE}(?![가-힣])", text), text
            assert not re.search(r"(?:이상|미만)(?:가|로|는|를)(?![가-힣])", text), text
        sure = e.statements is not None and (own := e.statements["main"]) is not None and own.probability >= SURE
        assert sure or not re.search("[Ss]urely|거의 확실", "".join(said.headline))
        if e.unlikely:
            assert (said.record, said.heads, said.place) == (None, None, None)


def test_percent_is_never_rounded_into_untruth() -> None:
    shares = (1.0, 0.9996, 0.994, 0.5, 0.0996, 0.0994, 0.01, 0.0004, 0.0)
    said = "over 99 %, over 99 %, 99 %, 50 %, 10 %, 9.9 %, 1.0 %, under 0.1 %, under 0.1 %"
    assert ", ".join(percent(p, "en") for p in shares) == said
    assert [percent(p, "ko") for p in shares[:3]] == ["99% 이상", "99% 이상", "99%"]
    assert percent(0, "ko") == "0.1% 미만"


def test_a_class_that_is_sure_has_no_article() -> None:
    e = made(spread({REDBONE: 0.9}), (HOUND, HOUND))
    assert words(e, None, "en").heads == "Head by head: probably a scent hound → probably a scent hound → probably redbone."


COMPARED = [
    (
        Pointing(0.5957, 0.1649, 0.109, 0.2234),
        "This stage is better than guessing the centre, by 16.5 points (95 % interval 10.9 to 22.3).",
        "16.5%p 낫습니다(95% 신뢰 구간 10.9~22.3%p).",
    ),
    (
        Pointing(0.242, -0.1888, -0.2473, -0.1303),
        "This stage is worse than guessing the centre, by 18.9 points (95 % interval 13.0 to 24.7): do not take its "
        "brightest cell for the object’s place.",
        "18.9%p 못합니다(95% 신뢰 구간 13.0~24.7%p). 가장 밝은 칸을 물체의 위치로 여기지 마세요.",
    ),
    (
        Pointing(0.4867, 0.0559, -0.0003, 0.1197),
        "This stage is no better than guessing the centre, as far as these pictures tell: the difference is 5.6 points "
        "(95 % interval 0.0 to 12.0).",
        "낫다고 할 수 없습니다(차이 5.6%p, 95% 신뢰 구간 0.0~12.0%p).",
    ),
]


@pytest.mark.parametrize(("pointing", "english", "korean"), COMPARED)
def test_a_stage_is_compared_with_the_centre(pointing: Pointing, english: str, korean: str) -> None:
    measured = MapTrust("Tiny ImageNet", 376, 0.4309, {"aux2": {"4d": pointing}})
    assert sentences.pointing_sentence(measured, "aux2", "4d").endswith(f"of them; the picture’s centre does in 43 %. {english}")
    said = sentences.pointing_sentence(measured, "aux2", "4d", "ko")
    assert "비율은 43%입니다. " in said
    assert said.endswith(korean)


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
    explanation, maps = made(spread({REDBONE: own[0]})), np.zeros((3, 14, 14), np.float32)
    return Tipping(explanation, "4e", maps, box, *changes, top(REDBONE), top(new))


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
    assert sentences.cover_sentence(cover, IMAGENET, "en") == english
    assert korean in sentences.cover_sentence(cover, IMAGENET, "ko")


@settings(max_examples=50, deadline=None)
@given(SHARES, SHARES, st.lists(SHARES, max_size=15), st.booleans())
def test_the_sentence_never_contradicts_its_numbers(before: float, after: float, controls: list[float], turns: bool) -> None:
    cover = covering(before, after, controls, BEAGLE if turns else REDBONE)
    english, korean = (sentences.cover_sentence(cover, IMAGENET, language) for language in LANGUAGES)
    assert ("falls" in english) <= (after < before)
    assert ("rises" in english) <= (after > before)
    assert ("stays" in english) == (percent(before, "en") == percent(after, "en")) == ("그대로" in korean)
    little = abs(after - before) < LITTLE
    as_much = sum(p <= after if after <= before else p >= after for p in controls)
    if controls:
        assert ("That is little" in english) == little == ("거의 달라지지" in korean)
        assert percent(float(np.median(controls)), "en") in english
        assert percent(float(np.median(controls)), "ko") in korean
    for mark, said in (("speaks against", english), ("반대하는", korean)):
        assert (mark in said) == (bool(controls) and not little and after > before)
    for mark, said in (("It matters:", english), ("중요합니다", korean)):
        assert (mark in said) == (bool(controls) and not little and after < before and as_much == 0)
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
    assert sentences.tipping_sentence(tipping, "en") == english
    assert sentences.tipping_sentence(tipping, "ko").endswith(korean)


@settings(max_examples=50, deadline=None)
@given(SHARES, SHARES, SHARES, SHARES, st.sampled_from([REDBONE, BEAGLE, TENCH]))
def test_what_tipped_it_never_contradicts_its_numbers(a: float, b: float, c: float, d: float, new: int) -> None:
    said = sentences.tipping_sentence(tipped((a, b), (c, d), new), "en")
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
SIBLINGS = "Redbone and beagle are of one kind (scent hound), to which the final answer gives 90 % in all."
REASONS = [
    (wrong(BEAGLE), SIBLINGS),
    (wrong(find_group("dog", imagenet_groups())), None),
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
    assert sentences.diagnosis(tipping, "en") == expected
    korean = sentences.diagnosis(tipping, "ko")
    assert (korean is None) == (expected is None)
    assert not re.search(rf"[a-z]’?{PARTICLE}(?![가-힣])", korean or ""), korean
