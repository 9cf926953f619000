"""What the page says, in English and Korean.

A sentence about a picture is made from the numbers of its Explanation and says no more than these carry: which head puts the
asked class first, with which probability, and in which ninth of the picture each stage's strongest cell lies.
"""

from __future__ import annotations

from collections.abc import Sequence

from googlenet.errors import UserError
from googlenet.explain import Explanation
from googlenet.model import HEADS

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


def percent(p: float, language: str = "en") -> str:
    """A probability in words that rounding does not make untrue: never "100 %" or "0 %"."""
    if p >= 0.995:
        return "over 99 %" if language == "en" else "99 % 이상"
    if p < 0.001:
        return "under 0.1 %" if language == "en" else "0.1 % 미만"
    return f"{p:.0%}".replace("%", " %") if p >= 0.0995 else f"{p:.1%}".replace("%", " %")


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


def named(head: str) -> str:
    return "the main head" if head == "main" else head


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
            text = f"aux1 already says {label} with {share['aux1']}, aux2 with {share['aux2']}; by the main head it is {share['main']}"
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
        text = f"no head puts {label} first: aux1 gives it {share['aux1']}, aux2 {share['aux2']}, main {share['main']}; {says('main')}"
    return text[0].upper() + text[1:] + "." if text.startswith(("the ", "all ", "no ")) else text + "."


def belief_ko(explanation: Explanation) -> str:
    target = explanation.question.target
    assert target is not None
    label = f"‘{explanation.labels[target]}’"
    belief = {head: p for head, p in explanation.belief.items() if p is not None}
    first = favourites(explanation)
    agree = [head for head in first if first[head][0] == target]
    share = {head: percent(p, "ko") for head, p in belief.items()}

    def says(head: str) -> str:
        top, p = first[head]
        return f"{head}의 1순위는 ‘{explanation.labels[top]}’({percent(p, 'ko')})"

    if len(first) == 1:
        return f"{says('main')}입니다." if agree else f"{says('main')}이고, {label}의 확률은 {share['main']}입니다."
    shares = ", ".join(f"{head} {share[head]}" for head in first)
    if len(agree) == 3:
        if belief["aux1"] <= belief["aux2"] <= belief["main"]:
            return (
                f"aux1에서 이미 {label}의 확률이 {share['aux1']}로 가장 높고, "
                f"aux2에서 {share['aux2']}, main에서는 {share['main']}입니다."
            )
        return f"세 헤드 모두 1순위가 {label}입니다: {shares}."
    if agree == ["aux2", "main"]:
        return f"{says('aux1')}이지만, aux2부터는 {label}입니다: aux2 {share['aux2']}, main {share['main']}."
    if agree == ["main"]:
        return f"{says('aux1')}, {says('aux2')}이고, main에서만 {label}의 확률이 {share['main']}로 가장 높습니다."
    if agree == ["aux1", "main"]:
        return f"{says('aux1')}, {says('aux2')}이고, main에서 다시 {label}의 확률이 {share['main']}로 가장 높습니다."
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
    what = f"‘{explanation.labels[target]}’의 근거"
    if contrast is not None:
        p = explanation.probabilities[head]
        assert p is not None
        what = (
            f"‘{explanation.labels[contrast]}’({head} {percent(float(p[contrast]), 'ko')}) 대신 "
            f"‘{explanation.labels[target]}’이라는 근거"
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
        return f"{what}가 가장 강한 곳은 {found[0][0]}과 {found[-1][0]}에서 {place}이고, 그 사이에는 다른 곳을 지납니다."
    every = "모든 단계에서" if len(found) == len(explanation.branch_grids) else "근거가 있는 단계마다"
    return f"{what}가 가장 강한 곳은 {every} {place}입니다."


def error(problem: UserError) -> dict[str, str]:
    """language → the error's sentence; English where a template has no translation."""
    korean = KOREAN_ERRORS.get(problem.template)
    return {"en": str(problem), "ko": korean.format(**problem.values) if korean else str(problem)}


KOREAN_ERRORS: dict[str, str] = {}
"""UserError template → the same sentence in Korean, with the same names in braces."""

PAGE: dict[str, dict[str, str]] = {
    "en": {
        "tagline": "watch a decision form, stage by stage",
        "choose": "Choose a picture",
        "camera": "Camera",
        "hint": "Or drop one anywhere on this page, or paste it.",
        "examples": "Examples",
        "head": "Explain the answer of",
        "class": "Class",
        "contrast": "rather than",
        "contrast_none": "nothing, the class itself",
        "no_match": "No class has this in its name",
        "after": "after {stage}",
        "behind": "{head} branches off before this stage",
        "absent": "These weights have no trained {head} head.",
        "photo_alt": "The picture: {name}",
        "stage_alt": "Stage {stage}, {head}, evidence for {class}: strongest {x} % from the left and {y} % from the top",
        "stage_alt_none": "Stage {stage}, {head}: no evidence for {class}",
        "branch_alt": "Stage {stage}, {branch} filters, evidence for {class}: {share} of the whole",
        "stage_title": "Stage {stage}",
        "stage_text": "{h}×{w} cells. The strongest evidence for {class} lies {x} % from the left and {y} % from the top. "
        "{share} of the map’s weight speaks for it, the rest against.",
        "stage_text_none": "{h}×{w} cells, none of which speaks for {class}.",
        "by_filter": "By filter size, on the same scale:",
        "heat": "heat",
        "threshold": "hide below",
        "cells": "the map’s own cells",
        "belief": "Probability of {class} by depth",
        "take": "Take it along",
        "png": "Sheet (PNG)",
        "json": "Numbers (JSON)",
        "npz": "Maps (NPZ)",
        "link": "Copy link",
        "copied": "Link copied",
        "own_link": "A link can hold an example and the question, never your own picture.",
        "weights": "Weights",
        "weights_chip": "{source}, {count} classes",
        "source": "Source",
        "revision": "Revision",
        "file": "File’s SHA-256",
        "trained_on": "Measured on",
        "accuracy": "Top-1 accuracy",
        "licence": "Licence",
        "unknown": "not stated",
        "offline": "The Hub could not be asked: this is the copy on disk.",
        "built_in": "Back to the weights of this page",
        "known": "Known sources",
        "repository": "Any Hub repository",
        "load": "Load",
        "loading": "Loading {source}",
        "private_choice": "Your choice is yours alone; nobody else’s page changes.",
        "working": "Looking…",
        "uploading": "Sending the picture…",
        "too_large": "{name} is larger than 20 MB; save it smaller and try again.",
        "upload_failed": "{name} could not be sent; check the connection and try again.",
        "no_camera": "The camera cannot be used here; allow it in the browser, or choose a picture.",
        "take_photo": "Take the picture",
        "cancel": "Cancel",
        "drop": "Drop the picture",
        "teach": "What am I looking at?",
        "teach_1": "An Inception module",
        "teach_1_text": "Each of the nine stages looks at the same place through four filters at once: 1×1, 3×3, 5×5 and a pooled "
        "view. Their answers are stacked, and the next stage chooses from the stack. So small and large structures are seen side "
        "by side, and the evidence can be taken apart by filter size, exactly.",
        "teach_2": "Three heads",
        "teach_2_text": "Deep networks were hard to train in 2014: the error signal faded on its way back. GoogLeNet therefore has two "
        "auxiliary classifiers part of the way up. They are usually thrown away after training. Here they stay, and show "
        "what the network could already say at a third and at two thirds of its depth.",
        "teach_3": "Grad-CAM",
        "teach_3_text": "Take the score y of the asked class (before the softmax) and ask how much it would rise with each channel A of a "
        "stage. The mean of that slope over all places is the channel’s weight α. The weighted sum of the channels is the map: "
        "positive where the stage speaks for the class, negative where it speaks against it. The light shows the positive part.",
        "teach_formula": "Stage {stage}, at its strongest cell:",
        "teach_sum": "The four branches add up to the map’s value there. The overlay divides every cell by this largest one, so each "
        "picture uses the whole range of colours and brightness cannot be compared between stages.",
        "teach_4": "What it cannot tell",
        "teach_4_text": "A map shows where a stage’s evidence lies, not what it is, nor that the network would fail without it. A 7×7 map "
        "has 49 cells, and one cell of a late stage has looked at most of the picture; the smooth enlargement only hides that, so "
        "switch to the map’s own cells. Hatched parts were cropped away and never seen. Probabilities say which of the known "
        "classes fits best, not whether any fits.",
        "teach_5": "Colours",
        "teach_5_text": "The tint is magma: perceptually uniform, and in the same order for colour-blind readers and in grey.",
        "privacy": "Pictures are deleted within the hour; nothing is kept.",
    },
    "ko": {
        "tagline": "결정이 만들어지는 과정을 단계별로 봅니다",
        "choose": "사진 선택",
        "camera": "카메라",
        "hint": "페이지 아무 곳에나 끌어다 놓거나 붙여넣어도 됩니다.",
        "examples": "예시",
        "head": "설명할 헤드",
        "class": "클래스",
        "contrast": "비교 대상",
        "contrast_none": "없음, 클래스 자체",
        "no_match": "이름에 이 글자가 든 클래스가 없습니다",
        "after": "{stage} 다음",
        "behind": "{head} 헤드는 이 단계 앞에서 갈라집니다",
        "absent": "이 가중치에는 학습된 {head} 헤드가 없습니다.",
        "photo_alt": "사진: {name}",
        "stage_alt": "{stage} 단계, {head}, {class}의 근거: 가장 강한 곳은 왼쪽에서 {x} %, 위에서 {y} %",
        "stage_alt_none": "{stage} 단계, {head}: {class}의 근거 없음",
        "branch_alt": "{stage} 단계, {branch} 필터, {class}의 근거: 전체의 {share}",
        "stage_title": "{stage} 단계",
        "stage_text": "{h}×{w}칸. {class}의 근거가 가장 강한 곳은 왼쪽에서 {x} %, 위에서 {y} % 지점입니다. "
        "지도 무게의 {share}가 이 클래스를 지지하고 나머지는 반대합니다.",
        "stage_text_none": "{h}×{w}칸. {class}를 지지하는 칸이 없습니다.",
        "by_filter": "필터 크기별 (같은 척도):",
        "heat": "열",
        "threshold": "이하 숨김",
        "cells": "지도의 실제 칸 보기",
        "belief": "깊이에 따른 {class}의 확률",
        "take": "가져가기",
        "png": "한 장 보기 (PNG)",
        "json": "수치 (JSON)",
        "npz": "지도 (NPZ)",
        "link": "링크 복사",
        "copied": "링크를 복사했습니다",
        "own_link": "링크에는 예시와 질문만 담깁니다. 올린 사진은 담기지 않습니다.",
        "weights": "가중치",
        "weights_chip": "{source}, {count}개 클래스",
        "source": "출처",
        "revision": "리비전",
        "file": "파일 SHA-256",
        "trained_on": "측정 데이터",
        "accuracy": "Top-1 정확도",
        "licence": "라이선스",
        "unknown": "표시 없음",
        "offline": "Hub에 연결할 수 없어 디스크의 사본을 씁니다.",
        "built_in": "이 페이지의 가중치로 돌아가기",
        "known": "알려진 출처",
        "repository": "Hub 저장소 직접 입력",
        "load": "불러오기",
        "loading": "{source} 불러오는 중",
        "private_choice": "이 선택은 나에게만 적용되며 다른 사람의 화면은 바뀌지 않습니다.",
        "working": "살펴보는 중…",
        "uploading": "사진을 보내는 중…",
        "too_large": "{name} 파일이 20 MB보다 큽니다. 더 작게 저장해 다시 시도하세요.",
        "upload_failed": "{name} 파일을 보내지 못했습니다. 연결을 확인하고 다시 시도하세요.",
        "no_camera": "카메라를 쓸 수 없습니다. 브라우저에서 허용하거나 사진을 선택하세요.",
        "take_photo": "촬영",
        "cancel": "취소",
        "drop": "여기에 놓으세요",
        "teach": "무엇을 보고 있나요?",
        "teach_1": "인셉션 모듈",
        "teach_1_text": "아홉 단계는 저마다 같은 곳을 네 가지 필터(1×1, 3×3, 5×5, 풀링)로 동시에 봅니다. 네 답을 쌓아 두면 다음 단계가 그중에서 "
        "골라 씁니다. 그래서 작은 구조와 큰 구조를 나란히 볼 수 있고, 근거를 필터 크기별로 정확히 나눌 수 있습니다.",
        "teach_2": "세 개의 헤드",
        "teach_2_text": "2014년에는 깊은 신경망을 학습시키기 어려웠습니다. 오차 신호가 거슬러 올라가며 희미해졌기 때문입니다. 그래서 GoogLeNet은 "
        "중간에 보조 분류기 두 개를 두었습니다. 보통은 학습 뒤 버리지만, 여기서는 남겨 두어 깊이의 3분의 1과 3분의 2 지점에서 "
        "신경망이 무엇을 말할 수 있었는지 보여 줍니다.",
        "teach_3": "Grad-CAM",
        "teach_3_text": "묻는 클래스의 점수 y(소프트맥스 이전)가 한 단계의 채널 A마다 얼마나 커지는지 봅니다. 그 기울기를 모든 위치에서 평균하면 채널의 "
        "가중치 α가 됩니다. 채널들의 가중합이 지도입니다. 양수인 곳은 클래스를 지지하고 음수인 곳은 반대합니다. 밝은 곳이 양수 부분입니다.",
        "teach_formula": "{stage} 단계에서 가장 강한 칸:",
        "teach_sum": "네 갈래의 합이 그 칸의 지도 값입니다. 그림은 모든 칸을 이 최댓값으로 나누므로 단계마다 전체 색 범위를 쓰며, 단계끼리 밝기를 "
        "비교할 수 없습니다.",
        "teach_4": "알 수 없는 것",
        "teach_4_text": "지도는 근거가 어디에 있는지를 보여 줄 뿐, 그것이 무엇인지, 그것 없이는 틀렸을지는 말해 주지 않습니다. 7×7 지도는 49칸뿐이고 깊은 "
        "단계의 한 칸은 사진 대부분을 본 결과입니다. 부드러운 확대는 이를 가릴 뿐이니 실제 칸으로 바꿔 보세요. 빗금 친 부분은 잘려 나가 "
        "신경망이 보지 못했습니다. 확률은 아는 클래스 중 무엇이 가장 맞는지를 말할 뿐, 맞는 것이 있는지는 말하지 않습니다.",
        "teach_5": "색",
        "teach_5_text": "색은 magma입니다. 지각적으로 균일하며 색각 이상이 있어도, 흑백에서도 순서가 같습니다.",
        "privacy": "사진은 한 시간 안에 삭제되며 아무것도 남기지 않습니다.",
    },
}
"""The page's own words; `{names}` are filled in by `walk.js`."""
