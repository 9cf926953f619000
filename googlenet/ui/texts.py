"""What the page says, in English and Korean.

A sentence about a picture is made from the numbers of its Explanation and says no more than these carry: which head puts the
asked class first, with which probability, and in which ninth of the picture each stage's strongest cell lies.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from googlenet.checkpoints.config import MapTrust
from googlenet.errors import UserError
from googlenet.errors.korean import korean_error
from googlenet.explanation import Explanation
from googlenet.explanation.verdict import named, percent
from googlenet.model.architecture import HEADS

LANGUAGES = ("en", "ko")

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


def sentence(explanation: Explanation, language: str = "en") -> str:
    """What happened, in plain words."""
    parts = (belief_en, evidence_en) if language == "en" else (belief_ko, evidence_ko)
    said = [part(explanation) for part in parts]
    if explanation.unlikely:
        said.insert(0, unlikely(explanation, language))
    return " ".join(said)


def unlikely(explanation: Explanation, language: str) -> str:
    count = len(explanation.labels)
    if language == "en":
        return f"None of the {count} classes looks likely here."
    return f"{count}개 클래스 중 그럴듯한 것이 없습니다."


def favourites(explanation: Explanation) -> dict[str, tuple[int, float]]:
    """head → its top class and that class's probability, for the heads that the weights have, in order of depth."""
    found = {}
    for head in HEADS:
        p = explanation.probabilities[head]
        if p is not None:
            found[head] = (int(p.argmax()), float(p.max()))
    return found


def belief_en(explanation: Explanation) -> str:
    target = explanation.question.target
    assert target is not None
    label = explanation.labels[target]
    belief = {head: p for head, p in explanation.belief.items() if p is not None}
    first = favourites(explanation)
    agree = [head for head in first if first[head][0] == target]
    share = {head: percent(p) for head, p in belief.items()}

    def says(head: str) -> str:
        top, p = first[head]
        return f"{named(head)} says {explanation.labels[top]} with {percent(p)}"

    if len(first) == 1:
        text = says("main") if agree else f"{says('main')} and gives {label} {share['main']}"
    elif len(agree) == 3:
        if belief["aux1"] <= belief["aux2"] <= belief["main"]:
            text = f"aux1 already says {label} with {share['aux1']}, aux2 with {share['aux2']}; "
            text += f"by the main head it is {share['main']}"
        else:
            text = f"all three heads say {label}: aux1 with {share['aux1']}, aux2 with {share['aux2']}, main with {share['main']}"
    elif agree == ["aux2", "main"]:
        text = f"{says('aux1')}; from aux2 on it is {label}, with {share['aux2']} there and {share['main']} in the main head"
    elif agree == ["main"]:
        text = f"{says('aux1')} and {says('aux2')}; only the main head says {label}, with {share['main']}"
    elif agree == ["aux1", "main"]:
        text = f"{says('aux1')}, {says('aux2')}, and the main head is back at {label} with {share['main']}"
    elif agree:
        early = " and ".join(f"{head} ({share[head]})" for head in agree)
        verb = "puts" if len(agree) == 1 else "put"
        text = f"{early} {verb} {label} first, but {says('main')} and gives {label} {share['main']}"
    else:
        shares = f"aux1 gives it {share['aux1']}, aux2 {share['aux2']}, main {share['main']}"
        text = f"no head puts {label} first: {shares}; {says('main')}"
    return text[0].upper() + text[1:] + "." if text.startswith(("the ", "all ", "no ")) else text + "."


def belief_ko(explanation: Explanation) -> str:
    """Particles follow a Korean noun ("클래스"), never an English word or a figure, whose last sound is not known."""
    target = explanation.question.target
    assert target is not None
    label = f"‘{explanation.labels[target]}’ 클래스"
    belief = {head: p for head, p in explanation.belief.items() if p is not None}
    first = favourites(explanation)
    agree = [head for head in first if first[head][0] == target]
    share = {head: percent(p, "ko") for head, p in belief.items()}

    def says(head: str) -> str:
        top, p = first[head]
        return f"{head}의 1순위는 ‘{explanation.labels[top]}’ 클래스({percent(p, 'ko')})"

    if len(first) == 1:
        return f"{says('main')}입니다." if agree else f"{says('main')}이고, {label}의 확률은 {share['main']}입니다."
    shares = ", ".join(f"{head} {share[head]}" for head in first)
    if len(agree) == 3:
        if belief["aux1"] <= belief["aux2"] <= belief["main"]:
            return f"aux1에서 이미 {label}의 확률이 가장 높고, 뒤로 갈수록 높아집니다: {shares}."
        return f"세 헤드 모두 1순위가 {label}입니다: {shares}."
    if agree == ["aux2", "main"]:
        return f"{says('aux1')}이지만, aux2부터는 {label}입니다: aux2 {share['aux2']}, main {share['main']}."
    if agree == ["main"]:
        return f"{says('aux1')}, {says('aux2')}이고, main에서만 {label}의 확률이 가장 높습니다: {share['main']}."
    if agree == ["aux1", "main"]:
        return f"{says('aux1')}, {says('aux2')}이고, main에서 다시 {label}의 확률이 가장 높습니다: {share['main']}."
    if agree:
        early = ", ".join(f"{head}({share[head]})" for head in agree)
        return f"{early}에서는 {label}의 확률이 가장 높지만, {says('main')}이고 {label}의 확률은 {share['main']}입니다."
    return f"{label}의 확률을 1순위로 둔 헤드는 없습니다: {shares}. {says('main')}입니다."


def peaks(explanation: Explanation) -> list[tuple[str, tuple[int, int]]]:
    """(stage, (row, column) of the picture's ninth that holds its strongest cell), for the stages with positive evidence."""
    width, height = explanation.size
    found = []
    for stage in explanation.stages:
        if stage.peak is not None:
            x, y = stage.peak
            found.append((stage.name, (min(2, int(3 * y / height)), min(2, int(3 * x / width)))))
    return found


def movement(found: Sequence[tuple[str, tuple[int, int]]]) -> str:
    regions = [region for _, region in found]
    if len(found) < 2 or regions[0] != regions[-1]:
        return "moves" if len(found) > 1 else "one" if found else "none"
    return "stays" if len(set(regions)) == 1 else "returns"


def evidence_en(explanation: Explanation) -> str:
    target, contrast = explanation.question.target, explanation.question.contrast
    assert target is not None
    found, head = peaks(explanation), named(explanation.question.head)
    what = f"for {explanation.labels[target]}"
    if contrast is not None:
        p = explanation.probabilities[explanation.question.head]
        assert p is not None
        what += f" rather than {explanation.labels[contrast]} ({percent(float(p[contrast]))} in {head})"
    how = movement(found)
    if how == "none":
        return f"No stage before {head} holds evidence {what}."
    first, last = (f"{REGIONS['en'][row][column]} in stage {name}" for name, (row, column) in (found[0], found[-1]))
    if how == "one":
        return f"Only one stage holds evidence {what}, strongest {first}."
    if how == "moves":
        return f"The strongest evidence {what} lies {first} and {last}."
    row, column = found[0][1]
    if how == "returns":
        place = REGIONS["en"][row][column]
        return f"The strongest evidence {what} lies {place} in stages {found[0][0]} and {found[-1][0]}, elsewhere in between."
    every = "in every stage" if len(found) == len(explanation.branch_grids) else "wherever there is any"
    return f"The strongest evidence {what} lies {REGIONS['en'][row][column]} {every}."


def evidence_ko(explanation: Explanation) -> str:
    target, contrast, head = explanation.question.target, explanation.question.contrast, explanation.question.head
    assert target is not None
    found = peaks(explanation)
    what = f"‘{explanation.labels[target]}’ 클래스의 근거"
    if contrast is not None:
        p = explanation.probabilities[head]
        assert p is not None
        what = (
            f"‘{explanation.labels[contrast]}’ 클래스({head} {percent(float(p[contrast]), 'ko')}) 대신 "
            f"‘{explanation.labels[target]}’ 클래스라고 볼 근거"
        )
    how = movement(found)
    if how == "none":
        return f"{head} 앞의 어느 단계에도 {what}가 없습니다."
    first, last = (f"{name}에서 {REGIONS['ko'][row][column]}" for name, (row, column) in (found[0], found[-1]))
    if how == "one":
        return f"{what}는 한 단계에만 있고, 가장 강한 곳은 {first}입니다."
    if how == "moves":
        return f"{what}가 가장 강한 곳은 {first}, {last}입니다."
    place = REGIONS["ko"][found[0][1][0]][found[0][1][1]]
    if how == "returns":
        return f"{what}가 가장 강한 곳은 {found[0][0]}와 {found[-1][0]}에서 {place}이고, 그 사이에는 다른 곳을 지납니다."
    every = "모든 단계에서" if len(found) == len(explanation.branch_grids) else "근거가 있는 단계마다"
    return f"{what}가 가장 강한 곳은 {every} {place}입니다."


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
        **{name: tenths(value) for name, value in (("gain", sign * found.gain), ("low", low), ("high", high))},
    }
    return " ".join(part.format(**values) for part in (POINTING[language], COMPARED[language][better, worse]))


def tenths(share: float) -> str:
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
        (
            False,
            True,
        ): "This stage is worse than guessing the centre, by {gain} points (95 % interval {low} to {high}): do not "
        "take its brightest cell for the object’s place.",
        (
            False,
            False,
        ): "This stage is no better than guessing the centre, as far as these pictures tell: the difference is "
        "{gain} points (95 % interval {low} to {high}).",
    },
    "ko": {
        (True, False): "이 단계는 한가운데를 찍는 것보다 {gain}%p 낫습니다(95 % 구간 {low}~{high}%p).",
        (
            False,
            True,
        ): "이 단계는 한가운데를 찍는 것보다 {gain}%p 못합니다(95 % 구간 {low}~{high}%p). 가장 밝은 칸을 물체의 "
        "위치로 여기지 마세요.",
        (False, False): "이 단계가 한가운데를 찍는 것보다 낫다고 할 수 없습니다(차이 {gain}%p, 95 % 구간 {low}~{high}%p).",
    },
}
"""language → (better than the centre, worse) → what the page says; the interval of neither holds 0."""


def error(problem: UserError) -> dict[str, str]:
    """language → the error's sentence; English where a template has no translation."""
    return {"en": str(problem), "ko": korean_error(problem)}


PAGE: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("page").joinpath("texts.json").read_text("utf-8"))
"""language → the page's own words; `{names}` are filled in by the page's script."""
