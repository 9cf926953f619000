"""What the page says about an answer, in English and Korean.

A sentence is made from an Explanation's numbers and says no more than these carry: what the asked head answers, what of that is
probably right, how often answers as sure were right, and where the best stage's strongest cell lies.

In Korean a particle follows a Korean word or a figure, never a class's name: the last sound of an English one is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from googlenet.checkpoints.config import MapTrust
from googlenet.explanation import Explanation, Statement
from googlenet.explanation.classes import imagenet_classes
from googlenet.explanation.groups import Group, find_group, imagenet_groups
from googlenet.explanation.verdict import named, percent
from googlenet.model.architecture import HEADS, STAGES_BEFORE

SURE = 0.95
"""The probability from which a statement is made "surely". Below it is made "probably"."""

ANSWERS = {
    "en": {"aux1": "first guess", "aux2": "second guess", "main": "final answer"},
    "ko": {"aux1": "첫 번째 추측", "aux2": "두 번째 추측", "main": "최종 답"},
}
"""language → head → what its answer is called"""

NOTHING = {"en": "nothing sure", "ko": "확실한 것 없음"}
"""language → what a head says that is sure of nothing"""

REGIONS = {
    "en": (
        ("at the upper left", "at the top centre", "at the upper right"),
        ("at the left", "in the centre", "at the right"),
        ("at the lower left", "at the bottom centre", "at the lower right"),
    ),
    "ko": (
        ("왼쪽 위", "가운데 위", "오른쪽 위"),
        ("왼쪽", "한가운데", "오른쪽"),
        ("왼쪽 아래", "가운데 아래", "오른쪽 아래"),
    ),
}
"""Names of the picture's ninths: rows from the top, columns from the left."""


@dataclass(frozen=True)
class Words:
    """An answer in words, in one language."""

    headline: tuple[str, ...]
    """its parts; every second one, from the second on, is to be emphasised"""
    record: str | None
    """how often answers as sure were right; None where it was not measured"""
    heads: str | None
    """what each head says, in one line; None for weights with one head"""
    place: str | None
    """where the evidence lies; None where no map is known to find objects"""
    cards: dict[str, str]
    """head → what stands under its card, for the heads that are sure of something"""

    @property
    def text(self) -> str:
        """All sentences but the cards'."""
        return " ".join(filter(None, ("".join(self.headline), self.record, self.heads, self.place)))


def words(explanation: Explanation, trust: MapTrust | None, language: str) -> Words:
    """An answer in words.

    Args:
        explanation: the answer.
        trust: how well the maps of the question's method find objects; None where nobody measured it.
        language: one of `texts.LANGUAGES`.
    """
    cards = {
        head: f"{said_name(said, language)}, {percent(said.probability, language)}"
        for head, said in (explanation.statements or {}).items()
        if said is not None
    }
    if explanation.unlikely:
        return Words(_unlikely(explanation, language), None, None, None, cards)
    return Words(
        _headline(explanation, language),
        _record(explanation, language),
        _heads(explanation, language),
        _place(explanation, trust, language),
        cards,
    )


def class_name(label: str, language: str, *, both: bool = False) -> str:
    """A class's name in a language; the label where there is no Korean one. `both`: Korean and, in brackets, the label."""
    korean = _korean().get(label) if language == "ko" else None
    return label if korean is None else f"{korean}({label})" if both else korean


@cache
def _korean() -> dict[str, str]:
    return {each.name: each.korean for each in imagenet_classes()}


def asked_name(labels: Sequence[str], asked: int | Group, language: str, *, both: bool = False) -> str:
    """What a question's target or contrast is called: a class's name, or a group's with its article."""
    if isinstance(asked, Group):
        return asked.korean if language == "ko" else asked.phrase
    return class_name(labels[asked], language, both=both)


def said_name(said: Statement, language: str) -> str:
    """A statement's name: a group's with its article, or a class's."""
    if language == "ko":
        return said.korean
    group = find_group(said.name, imagenet_groups()) if len(said.indices) > 1 else None
    return said.name if group is None else group.phrase


def _unlikely(explanation: Explanation, language: str) -> tuple[str, ...]:
    """The headline where no class is likely. Its group may be sure all the same."""
    p = explanation.probabilities["main"]
    assert p is not None
    best, said = percent(float(p.max()), language), (explanation.statements or {}).get("main")
    if said is None or said.probability < SURE:
        if language == "en":
            return (f"The network does not recognise this; its best guess has {best}.",)
        return (f"신경망이 이 사진을 알아보지 못했습니다. {len(p):,}개 클래스 가운데 가장 높은 확률이 {best}뿐입니다.",)
    name = said_name(said, language)
    if language == "en":
        return ("", f"Surely {name}", f"; the network does not recognise which: its best guess has {best}.")
    return ("", f"거의 확실히 ‘{name}’", f"에 속하지만, 그중 무엇인지는 알아보지 못했습니다. 가장 높은 확률이 {best}뿐입니다.")


def _headline(explanation: Explanation, language: str) -> tuple[str, ...]:
    question = explanation.question
    head, target = question.head, question.target
    belief, p = explanation.belief[head], explanation.probabilities[head]
    assert target is not None
    assert belief is not None
    assert p is not None
    top = explanation.top(p)[0]
    name = class_name(top.label, language, both=True)
    if target == top.index:
        return ("", name, f", {percent(belief, language)}{_sureness(explanation, language)}")
    asked, share = asked_name(explanation.labels, target, language, both=True), percent(belief, language)
    if language == "en":
        return (f"The {ANSWERS['en'][head]} is ", name, f", {percent(top.probability)}; {asked} has {share}.")
    return (f"{ANSWERS['ko'][head]}: ", name, f", {percent(top.probability, 'ko')}. ‘{asked}’의 확률은 {share}입니다.")


def _sureness(explanation: Explanation, language: str) -> str:
    """What follows the head's top class and its probability: what of it is probably right, and what is a guess."""
    head, target = explanation.question.head, explanation.question.target
    assert isinstance(target, int)
    if explanation.statements is None:
        return "."
    said = explanation.statements.get(head)
    if said is None:
        return ": a guess, and so is its kind." if language == "en" else ": 추측이며, 어떤 종류인지도 확실하지 않습니다."
    if said.indices == (target,):
        return "."
    name, surely = said_name(said, language), said.probability >= SURE
    if language == "en":
        how = f"{'surely' if surely else 'probably'} {name}"
        return (
            f": {how}; {_which(said)} is a guess." if target in said.indices else f", is the likeliest name, yet this is {how}."
        )
    how = f"‘{name}’에 {'속하는 것은 거의 확실하' if surely else '속할 가능성은 크'}"
    return (
        f": {how}지만, 그중 무엇인지는 추측입니다."
        if target in said.indices
        else f": 이름으로는 가장 높습니다. 그러나 {how}며, 이 이름은 거기에 속하지 않습니다."
    )


def _which(said: Statement) -> str:
    """What is a guess where only a group is sure."""
    dog = find_group("dog", imagenet_groups())
    return "the breed" if dog and set(said.indices) <= set(dog.indices) else "which one"


def _record(explanation: Explanation, language: str) -> str | None:
    found = explanation.record.get(explanation.question.head)
    if found is None or not found.of:
        return None
    if language == "en":
        return f"Answers this sure were right in {found.right:,} of {found.of:,} test photographs."
    return f"이만큼 확신한 답은 시험 사진 {found.of:,}장 가운데 {found.right:,}장에서 맞았습니다."


def _heads(explanation: Explanation, language: str) -> str | None:
    """What each head says, from the first to the last: its statement, or its top class where the classes have no groups."""
    said = []
    for head in HEADS:
        p = explanation.probabilities[head]
        if p is None:
            return None
        if explanation.statements is None:
            top = explanation.top(p)[0]
            name = f"{top.label}, {percent(top.probability, language)}"
        else:
            statement = explanation.statements.get(head)
            name = NOTHING[language] if statement is None else said_name(statement, language)
        said.append(f"{ANSWERS[language][head]}: {name}")
    line = " → ".join(said)
    return line[0].upper() + line[1:] + "."


def standing_stage(trust: MapTrust | None, head: str) -> str:
    """The stage that stands enlarged after the walk: whose maps find objects best; the last one where that was not measured."""
    if trust is None:
        return STAGES_BEFORE[head][-1]
    return max(STAGES_BEFORE[head], key=lambda stage: trust.pointing[head][stage].share)


def _place(explanation: Explanation, trust: MapTrust | None, language: str) -> str | None:
    """Where the standing stage's strongest evidence lies; None unless its maps beat guessing the picture's centre."""
    question = explanation.question
    stage = standing_stage(trust, question.head)
    if trust is None or trust.pointing[question.head][stage].low <= 0:
        return None
    assert question.target is not None
    target = asked_name(explanation.labels, question.target, language)
    contrast = None if question.contrast is None else asked_name(explanation.labels, question.contrast, language)
    peak = explanation.summary(stage).peak
    region = None
    if peak is not None:
        (x, y), (width, height) = peak, explanation.size
        region = REGIONS[language][min(2, int(3 * y / height))][min(2, int(3 * x / width))]
    if language == "en":
        what = target if contrast is None else f"{target} rather than {contrast}"
        if region is None:
            return f"Stage {stage} holds no evidence for {what}."
        return f"Stage {stage} finds the strongest evidence for {what} {region}."
    what = f"‘{target}’의 근거" if contrast is None else f"‘{contrast}’ 대신 ‘{target}’ 쪽으로 볼 근거"
    if region is None:
        return f"{stage} 단계에는 {what}가 없습니다."
    return f"{what}가 {stage} 단계에서 가장 강한 곳은 {region}입니다."


def pointing_sentence(trust: MapTrust, head: str, stage: str, language: str = "en") -> str:
    """How often a stage's brightest cell finds a small object, and whether that is better than guessing the picture's centre."""
    found = trust.pointing[head][stage]
    better, worse = found.low > 0, found.high < 0
    sign = -1 if worse else 1  # "worse by 19.9 points"
    low, high = sorted((sign * found.low, sign * found.high))
    values = {
        "pictures": f"{trust.pictures:,}",
        "dataset": trust.dataset,
        "stage": stage,
        "head": named(head) if language == "en" else head,
        "share": percent(found.share, language),
        "centre": percent(trust.centre, language),
        **{name: _tenths(value) for name, value in (("gain", sign * found.gain), ("low", low), ("high", high))},
    }
    return " ".join(part.format(**values) for part in (POINTING[language], COMPARED[language][better, worse]))


def _tenths(share: float) -> str:
    """A share in per cent, to a tenth."""
    return f"{round(100 * share, 1) + 0.0:.1f}".replace("-", "−")  # adding 0 leaves no "-0.0"


POINTING = {
    "en": "On {pictures} pictures of {dataset} whose object covers at most a third of the picture, the brightest cell of {stage} "
    "for {head} lies on the object in {share} of them; the picture’s centre does in {centre}.",
    "ko": "물체가 사진의 3분의 1을 넘지 않는 {dataset} 사진 {pictures}장 가운데, {stage}의 가장 밝은 칸이 물체 위에 있는 비율은 "
    "{share}({head}), 사진의 한가운데가 물체 위에 있는 비율은 {centre}입니다.",
}
COMPARED = {
    "en": {
        (True, False): "This stage is better than guessing the centre, by {gain} points (95 % interval {low} to {high}).",
        (False, True): "This stage is worse than guessing the centre, by {gain} points (95 % interval {low} to {high}): do not "
        "take its brightest cell for the object’s place.",
        (False, False): "This stage is no better than guessing the centre, as far as these pictures tell: the difference is "
        "{gain} points (95 % interval {low} to {high}).",
    },
    "ko": {
        (True, False): "이 단계는 한가운데를 찍는 것보다 {gain}%p 낫습니다(95% 구간 {low}~{high}%p).",
        (False, True): "이 단계는 한가운데를 찍는 것보다 {gain}%p 못합니다(95% 구간 {low}~{high}%p). 가장 밝은 칸을 물체의 "
        "위치로 여기지 마세요.",
        (False, False): "이 단계가 한가운데를 찍는 것보다 낫다고 할 수 없습니다(차이 {gain}%p, 95% 구간 {low}~{high}%p).",
    },
}
"""language → (better than the centre, worse) → what the page says; the interval of neither holds 0."""
