"""The pure parts of the page: sentences that must be true, errors in two languages, what is sent to the browser."""

from __future__ import annotations

import re
import string
from pathlib import Path

import numpy as np
import pytest

from googlenet.checkpoints.config import MapTrust, Pointing
from googlenet.errors import UserError
from googlenet.explanation import Explanation, Provenance, Question
from googlenet.model.architecture import HEADS, STAGES, STAGES_BEFORE
from googlenet.pictures.frame import Box
from googlenet.ui import texts
from googlenet.ui.page import PAGE
from googlenet.ui.uploads import EXAMPLES
from googlenet.ui.weights import search_words

LABELS = ("lion", "cougar", "bus")
PACKAGE = Path(texts.__file__).parent.parent


def made(
    beliefs: dict[str, tuple[float, float, float] | None],
    peaks: dict[str, tuple[int, int] | None] | None = None,
    head: str = "main",
    target: int = 0,
    contrast: int | None = None,
    unlikely: bool = False,
) -> Explanation:
    """An Explanation of a 300×300 picture with given probabilities; each stage's grid is 3×3 and peaks at (row, column)."""
    grids = {}
    for stage in STAGES_BEFORE[head]:
        grid = np.full((4, 3, 3), -0.1, np.float32)
        at = (peaks or {}).get(stage, (1, 1))
        if at is not None:
            grid[:, at[0], at[1]] = 1
        grids[stage] = grid
    return Explanation(
        (300, 300),
        Box(0, 0, 300, 300),
        Question(head, target, contrast),
        LABELS,
        {h: None if beliefs.get(h) is None else np.array(beliefs[h], np.float32) for h in HEADS},
        grids,
        Provenance("weights", None, "0" * 64, None, False),
        unlikely,
    )


LION, COUGAR, BUS = (0.6, 0.3, 0.1), (0.3, 0.6, 0.1), (0.2, 0.1, 0.7)
SURE = (0.97, 0.02, 0.01)
CASES = [
    (
        (LION, SURE, (0.999, 0.0005, 0.0005)),
        0,
        "aux1 already says lion with 60 %, aux2 with 97 %; by the main head it is over 99 %.",
    ),
    ((SURE, LION, LION), 0, "All three heads say lion: aux1 with 97 %, aux2 with 60 %, main with 60 %."),
    ((COUGAR, LION, SURE), 0, "aux1 says cougar with 60 %; from aux2 on it is lion, with 60 % there and 97 % in the main head."),
    ((COUGAR, BUS, LION), 0, "aux1 says cougar with 60 % and aux2 says bus with 70 %; only the main head says lion, with 60 %."),
    (
        (LION, COUGAR, SURE),
        0,
        "aux1 says lion with 60 %, aux2 says cougar with 60 %, and the main head is back at lion with 97 %.",
    ),
    (
        (LION, SURE, BUS),
        0,
        "aux1 (60 %) and aux2 (97 %) put lion first, but the main head says bus with 70 % and gives lion 20 %.",
    ),
    ((BUS, SURE, BUS), 0, "aux2 (97 %) puts lion first, but the main head says bus with 70 % and gives lion 20 %."),
    (
        (BUS, BUS, COUGAR),
        0,
        "No head puts lion first: aux1 gives it 20 %, aux2 20 %, main 30 %; the main head says cougar with 60 %.",
    ),
    ((None, None, SURE), 0, "The main head says lion with 97 %."),
    ((None, None, SURE), 1, "The main head says lion with 97 % and gives cougar 2.0 %."),
]


@pytest.mark.parametrize(("heads", "target", "expected"), CASES)
def test_the_sentence_says_what_the_heads_say(
    heads: tuple[tuple[float, float, float] | None, ...], target: int, expected: str
) -> None:
    assert texts.sentence(made(dict(zip(HEADS, heads, strict=True)), target=target)).startswith(expected)


@pytest.mark.parametrize("language", texts.LANGUAGES)
def test_every_figure_in_a_sentence_is_one_of_the_explanations(language: str) -> None:
    """Random beliefs: each head's share of the target or of its favourite is the only kind of figure that may be said."""
    random = np.random.default_rng(0)
    for _ in range(300):
        beliefs = {head: tuple(random.dirichlet([0.4] * 3)) for head in HEADS}
        e = made(beliefs, target=int(random.integers(3)))  # type: ignore[arg-type]
        said = texts.sentence(e, language)
        allowed = {texts.percent(float(p), language) for h in HEADS for p in (e.belief[h], max(e.probabilities[h]))}  # type: ignore[arg-type]
        figures = re.findall(r"(?:over |under )?[\d.]+ %(?: 이상| 미만)?", said)
        assert figures
        assert set(figures) <= allowed, said
        main = LABELS[int(np.argmax(beliefs["main"]))]
        assert main in said  # the last word is the main head's
        for label in LABELS:  # a class that no head puts first is not named unless it was asked
            if label not in {LABELS[int(np.argmax(beliefs[h]))] for h in HEADS} | {LABELS[e.question.target]}:  # type: ignore[index]
                assert label not in said


def test_percent_is_never_rounded_into_untruth() -> None:
    assert [texts.percent(p) for p in (1.0, 0.9996, 0.994, 0.5, 0.0996, 0.0994, 0.01, 0.0004, 0.0)] == [
        "over 99 %", "over 99 %", "99 %", "50 %", "10 %", "9.9 %", "1.0 %", "under 0.1 %", "under 0.1 %",
    ]  # fmt: skip


def everywhere(at: tuple[int, int] | None) -> dict[str, tuple[int, int] | None]:
    return dict.fromkeys(STAGES, at)


@pytest.mark.parametrize(
    ("peaks", "expected", "korean"),
    [
        (everywhere((0, 0)), "lies at the upper left in every stage.", "모든 단계에서 왼쪽 위입니다."),
        (
            everywhere((1, 1)) | {"3a": (2, 2)},
            "lies at the lower right in stage 3a and in the centre in stage 5b.",
            "3a에서 오른쪽 아래",
        ),
        (everywhere((1, 2)) | {"4c": (0, 0)}, "lies at the right in stages 3a and 5b, elsewhere in between.", "그 사이에는"),
        (everywhere((0, 1)) | {"3a": None}, "lies at the top centre wherever there is any.", "근거가 있는 단계마다"),
        (everywhere(None), "No stage before the main head holds evidence for lion.", "근거가 없습니다"),
        (
            everywhere(None) | {"4a": (2, 0)},
            "Only one stage holds evidence for lion, strongest at the lower left in stage 4a.",
            "한 단계에만",
        ),
    ],
)
def test_the_sentence_says_where_the_evidence_lies(peaks: dict[str, tuple[int, int] | None], expected: str, korean: str) -> None:
    e = made(dict.fromkeys(HEADS, SURE), peaks)
    assert texts.sentence(e).endswith(expected)
    assert korean in texts.sentence(e, "ko")


def test_contrast_and_unlikely_are_said() -> None:
    e = made(dict.fromkeys(HEADS, LION), contrast=1, head="aux2", unlikely=True)
    said = texts.sentence(e)
    assert said.startswith("None of the 3 classes looks likely here.")
    assert "evidence for lion rather than cougar (30 % in aux2)" in said
    assert "‘cougar’ 클래스(aux2 30 %) 대신" in texts.sentence(e, "ko")


def names(template: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def test_an_error_is_said_in_both_languages() -> None:
    said = texts.error(UserError("{name} cannot be opened: {error}.", name="a.jpg", error="gone"))
    assert said == {"en": "a.jpg cannot be opened: gone.", "ko": "a.jpg 파일을 열 수 없습니다: gone."}


def test_the_pages_words_are_the_same_in_both_languages_and_all_used() -> None:
    english, korean = texts.PAGE["en"], texts.PAGE["ko"]
    assert english.keys() == korean.keys()
    for key in english:
        assert names(english[key]) == names(korean[key]), key
    page = "".join(path.read_text("utf-8") for path in (PAGE / "index.html", *(PAGE / "js").glob("*.js")))
    marks = {f"help_{term}" for term in re.findall(r'(?:data-help="|helpMark\(")(\w+)', page)}
    assert marks <= english.keys()
    assert {key for key in english if not re.search(rf"""["'. ]{key}\b""", page)} <= {
        *HEADS,
        *(f"example_{name}" for name in EXAMPLES),
        *marks,
    }
    assert set(re.findall(r'data-w="(\w+)"', page)) | set(re.findall(r'(?:say\("|(?<!/)words\.)(\w+)', page)) <= english.keys()


def test_a_korean_particle_follows_a_sound_that_is_known() -> None:
    """Never an English word, whose last sound is not known; after a stage's name (its letter ends in a vowel) 와, 는, 가, 로."""
    random = np.random.default_rng(1)
    said = list(texts.PAGE["ko"].values())
    for head in HEADS:
        for contrast in (None, 1):
            beliefs = {h: tuple(random.dirichlet([0.4] * 3)) for h in HEADS}
            peaks = {stage: (int(random.integers(3)), int(random.integers(3))) for stage in STAGES}
            said.append(texts.sentence(made(beliefs, peaks, head, 0, contrast), "ko"))  # type: ignore[arg-type]
            said.append(texts.sentence(made(beliefs, everywhere((1, 2)) | {"3b": (0, 0)}, head, 0, contrast), "ko"))  # type: ignore[arg-type]
    for text in said:
        assert not re.search(r"[a-z}]’(?:은|는|이|가|을|를|과|와|로|으로|이라)", text), text
        assert not re.search(r"\{(?:class|source|name)\}(?:은|는|이|가|을|를|과|와|로|으로|이라)(?![가-힣])", text), text
        assert not re.search(r"[345][a-e](?:과|은|이|을|으로)(?![가-힣])", text), text
        assert not re.search(r"(?:이상|미만)(?:가|로|는|를)(?![가-힣])", text), text


@pytest.mark.parametrize(
    ("pointing", "english", "korean"),
    [
        (
            Pointing(0.5957, 0.1649, 0.109, 0.2234),
            "This stage is better than guessing the centre, by 16.5 points (95 % interval 10.9 to 22.3).",
            "이 단계는 한가운데를 찍는 것보다 16.5%p 낫습니다(95 % 구간 10.9~22.3%p).",
        ),
        (
            Pointing(0.242, -0.1888, -0.2473, -0.1303),
            "This stage is worse than guessing the centre, by 18.9 points (95 % interval 13.0 to 24.7): do not take its "
            "brightest cell for the object’s place.",
            "이 단계는 한가운데를 찍는 것보다 18.9%p 못합니다(95 % 구간 13.0~24.7%p). "
            "가장 밝은 칸을 물체의 위치로 여기지 마세요.",
        ),
        (
            Pointing(0.4867, 0.0559, -0.0003, 0.1197),
            "This stage is no better than guessing the centre, as far as these pictures tell: the difference is 5.6 points "
            "(95 % interval 0.0 to 12.0).",
            "이 단계가 한가운데를 찍는 것보다 낫다고 할 수 없습니다(차이 5.6%p, 95 % 구간 0.0~12.0%p).",
        ),
    ],
)
def test_a_stage_is_compared_with_the_centre(pointing: Pointing, english: str, korean: str) -> None:
    trust = MapTrust("Tiny ImageNet", 376, 0.4309, {"aux2": {"4d": pointing}})
    assert texts.pointing_sentence(trust, "aux2", "4d").endswith(f"of them; the picture’s centre does in 43 %. {english}")
    assert texts.pointing_sentence(trust, "aux2", "4d", "ko").endswith(f"비율은 43 %입니다. {korean}")


def test_the_search_knows_korean_names_and_groups() -> None:
    assert search_words(["beagle", "kimono"]) == [
        "비글, animal, 동물, mammal, 포유류, dog, 개, hound, 하운드, scent hound, 후각 하운드",
        "기모노, man-made thing, 인공물, clothing, 의류, dress or robe, 드레스와 예복",
    ]
    assert search_words(["beagle", "a class of ours"]) == ["비글", ""]
