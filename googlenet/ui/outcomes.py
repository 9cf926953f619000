"""What trying something out has shown, in English and Korean: a covered part, what tipped an answer, why an answer is wrong.

Each sentence is made from its numbers. Whether a probability falls, rises or stays is read off the figures that are printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from googlenet.explanation import classes_of
from googlenet.explanation.groups import groups_of
from googlenet.explanation.verdict import percent
from googlenet.model.architecture import HEADS
from googlenet.pictures.frame import Box, peak_of
from googlenet.probes.cover import Change, Cover
from googlenet.probes.tipping import Tipping
from googlenet.ui.sentences import ANSWERS, asked_name, class_name
from googlenet.ui.texts import LANGUAGES

LITTLE = 0.02
"""A probability that moves by less is said to change little."""
RARE, HALF = 0.2, 0.5
"""The shares of random parts up to which a part counts as special, and from which it does not."""

SIBLINGS = 130
"""Classes of the largest group whose members count as siblings: of all dogs, not of all mammals."""
APART = 1 / 3
"""The distance between two maps' strongest cells from which two objects may be there, as a share of the side."""
ALIKE = 0.5
"""The cosine of two maps from which they count as evidence in the same places."""
CUT = 1 / 4
"""The share of a photograph from which the part that the crop cut off is worth a word."""


def cover_message(cover: Cover, labels: Sequence[str], scale: float) -> dict[str, Any]:
    """A covering for the browser: boxes, probabilities by head, the random parts' median, and the sentence.

    Args:
        cover: what covering a part has shown.
        labels: of the weights.
        scale: pixels of the original for one of the picture that was explained.
    """
    return {
        "stage": cover.stage,
        "box": [edge * scale for edge in cover.box],
        "controls": [[edge * scale for edge in part] for part in cover.controls],
        "before": cover.before,
        "after": cover.after,
        "control_after": {head: float(np.median(p)) for head, p in cover.control_after.items() if p},
        "say": {language: cover_sentence(cover, labels, language) for language in LANGUAGES},
    }


def tipping_message(tipping: Tipping, box: Box | None, scale: float) -> dict[str, Any]:
    """What tipped an answer, for the browser, except `tipping.maps`.

    `before` and `after` have the probabilities of the answered class and of its rival. `scale` is the value by which the three
    maps are divided.

    Args:
        tipping: the answer beside what the visitor says is right.
        box: where the visitor says that the object is, in pixels of the picture that was explained; None if they did not.
        scale: pixels of the original for one of the picture that was explained.
    """
    both = tipping.answered, tipping.rival
    return {
        "stage": tipping.stage,
        "scale": tipping.scale,
        "box": tipping.box and [edge * scale for edge in tipping.box],
        "before": [each.before for each in both],
        "after": [each.after for each in both],
        "top": vars(tipping.top_after),
        "turns": tipping.top_after.index != tipping.top_before.index,
        "say": {language: tipping_sentence(tipping, language) for language in LANGUAGES},
        "why": {language: diagnosis(tipping, box, language) for language in LANGUAGES},
    }


def cover_sentence(cover: Cover, labels: Sequence[str], language: str) -> str:
    """What covering a part has shown, beside random parts of the same size."""
    change, total, count = cover.target, len(cover.controls), cover.as_much
    name = asked_name(labels, change.asked, language)
    way = "rises" if change.after > change.before else "falls"
    kind = "special" if count <= RARE * total else "common" if count >= HALF * total else "uncommon"
    if abs(change.after - change.before) < LITTLE:
        way = kind = "little"
    values = {"name": name, "total": str(total), "count": str(count), "median": percent(cover.median, language) if total else ""}
    if language == "en":
        moved = [f"{asked_name(labels, each.asked, 'en')} {_moved(each)}" for each in (change, cover.rival) if each]
        said = [f"Without this part, {' and '.join(moved)}."]
        values["count"] = {0: "none", total: "all"}.get(count, str(count)) + f" of them {'lower' if way == 'falls' else 'raise'}"
        values["count"] += "s" if count < 2 else ""
    else:
        moved = [f"‘{asked_name(labels, each.asked, 'ko')}’ {_arrow(each)}" for each in (change, cover.rival) if each]
        said = [f"이 부분을 가리면 {', '.join(moved)}입니다."]
        values["count"] = f"이만큼 {'내리는' if way == 'falls' else '올리는'} 곳은 " + (
            f"{count}곳입니다" if count else "없습니다"
        )
    said.append(
        (VERDICTS[language][way, kind] + CONTROLS[language][way == "little"]).format(**values) if total else ALONE[language]
    )
    if cover.top_before.index != cover.top_after.index:
        top, p = class_name(cover.top_after.label, language), percent(cover.top_after.probability, language)
        answer = ANSWERS[language][cover.question.head]
        said.append(f"The {answer} becomes {top}, {p}." if language == "en" else f"이제 {answer}은 ‘{top}’입니다({p}).")
    return " ".join(said)


CONTROLS = {
    "en": (
        ": {total} random parts of its size leave {median} (median), and {count} it as much.",
        "; {total} random parts of its size leave {median} (median).",
    ),
    "ko": (
        ". 같은 크기의 무작위 {total}곳을 가리면 중앙값이 {median}이고, 그중 {count}.",
        ". 같은 크기의 무작위 {total}곳을 가리면 중앙값이 {median}입니다.",
    ),
}
"""language → what random parts do; and where the part itself changes little"""
VERDICTS = {
    "en": {
        ("little", "little"): "That is little",
        ("falls", "special"): "It matters",
        ("falls", "uncommon"): "It matters more than most",
        ("falls", "common"): "It is not special",
        ("rises", "special"): "It speaks against {name}",
        ("rises", "uncommon"): "It speaks against {name}, more than most do",
        ("rises", "common"): "It speaks against {name}, but is not special",
    },
    "ko": {
        ("little", "little"): "거의 달라지지 않습니다",
        ("falls", "special"): "이 부분은 중요합니다",
        ("falls", "uncommon"): "이 부분은 다른 곳보다 중요한 편입니다",
        ("falls", "common"): "이 부분이 특별한 것은 아닙니다",
        ("rises", "special"): "이 부분은 ‘{name}’에 반대하는 근거입니다",
        ("rises", "uncommon"): "이 부분은 ‘{name}’에 반대하는 근거이며, 다른 곳보다 뚜렷한 편입니다",
        ("rises", "common"): "이 부분은 ‘{name}’에 반대하는 근거이지만, 특별한 것은 아닙니다",
    },
}
"""language → (which way the probability goes, how it compares with random parts) → the verdict"""
ALONE = {
    "en": "The picture has no room for other parts of this size to compare it with.",
    "ko": "사진에 이만한 크기의 다른 곳이 없어 비교할 수 없습니다.",
}


def _moved(change: Change) -> str:
    """How a probability goes, by the figures that are printed."""
    before, after = percent(change.before), percent(change.after)
    if before == after:
        return f"stays at {after}"
    return f"{'rises' if change.after > change.before else 'falls'} from {before.removesuffix(' %')} to {after}"


def _arrow(change: Change) -> str:
    """The same in Korean."""
    before, after = (percent(p, "ko") for p in (change.before, change.after))
    return f"{before} 그대로" if before == after else f"{before} → {after}"


def tipping_sentence(tipping: Tipping, language: str) -> str:
    """What covering the contrast's strongest place has shown."""
    own, rival = tipping.answered, tipping.rival
    names = [asked_name(tipping.explanation.labels, change.asked, language) for change in (own, rival)]
    if tipping.box is None:
        if language == "en":
            return f"No place of stage {tipping.stage} speaks more for {names[0]} than for {names[1]}."
        return f"{tipping.stage} 단계에는 ‘{names[1]}’보다 ‘{names[0]}’의 근거가 더 강한 곳이 없습니다."
    text = CONSEQUENCES[language][_consequence(tipping)]
    top = f"{class_name(tipping.top_after.label, language)}, {percent(tipping.top_after.probability, language)}"
    text = text.format(rival=names[1], top=top)
    if language == "en":
        return f"Without it {names[0]} {_moved(own)} and {names[1]} {_moved(rival)}: {text}."
    moved = [f"‘{name}’ {_arrow(change)}" for name, change in zip(names, (own, rival), strict=True)]
    return f"이 부분을 가리면 {', '.join(moved)}: {text}."


def _consequence(tipping: Tipping) -> str:
    """What the answer does, a key of `CONSEQUENCES`."""
    own, rival = tipping.answered, tipping.rival
    if tipping.top_before.index != tipping.top_after.index:
        return "turns" if tipping.top_after.index in classes_of(rival.asked) else "turns elsewhere"
    if max(abs(change.after - change.before) for change in (own, rival)) < LITTLE:
        return "hardly"
    return "gains" if rival.after * own.before > rival.before * own.after else "loses"


CONSEQUENCES = {
    "en": {
        "turns": "the answer turns",
        "turns elsewhere": "the answer turns to {top}",
        "hardly": "hardly a change, the evidence is spread",
        "gains": "{rival} gains ground, and the answer stays",
        "loses": "{rival} loses ground, and the answer stays",
    },
    "ko": {
        "turns": "답이 바뀝니다",
        "turns elsewhere": "답이 다른 것으로 바뀝니다({top})",
        "hardly": "거의 그대로입니다. 근거가 여러 곳에 퍼져 있습니다",
        "gains": "‘{rival}’ 쪽으로 기울지만 답은 그대로입니다",
        "loses": "‘{rival}’ 쪽에서 멀어지며 답은 그대로입니다",
    },
}
"""language → what happens to the answer without the covered part"""


def diagnosis(tipping: Tipping, box: Box | None, language: str) -> str | None:
    """Why an answer may be wrong, in one line, as far as the numbers at hand support it.

    Args:
        tipping: the answer beside what the visitor says is right.
        box: where the visitor says that the object is, in pixels of the picture; None if they did not.
        language: one of `texts.LANGUAGES`.

    Returns:
        The first of these that holds; None where none does. The box lies mostly outside the crop. An earlier head had it right.
        Both are of one kind. Both have evidence, in different places. A part of the photograph was cut off.
    """
    found = _reason(tipping, box, language)
    if found is None:
        return None
    labels, head = tipping.explanation.labels, tipping.explanation.question.head
    own, rival = (asked_name(labels, each.asked, language) for each in (tipping.answered, tipping.rival))
    values = {"own": own, "rival": rival, "stage": tipping.stage, "head": ANSWERS[language][head], **found[1]}
    text = DIAGNOSES[language][found[0]].format(**values)
    return text[0].upper() + text[1:]


def _reason(tipping: Tipping, box: Box | None, language: str) -> tuple[str, dict[str, str]] | None:
    """A key of `DIAGNOSES` and the values of its own."""
    explanation = tipping.explanation
    (width, height), seen, head = explanation.size, explanation.seen, explanation.question.head
    if box is not None and (hidden := 1 - _area(_common(box, seen)) / _area(box)) > 1 / 2:
        return "outside", {"share": percent(hidden, language)}
    own, right = (set(classes_of(each.asked)) for each in (tipping.answered, tipping.rival))
    if own & right:
        return None  # the answer is of the group that the visitor names
    for earlier in HEADS[: HEADS.index(head)]:
        p = explanation.probabilities[earlier]
        if p is not None and int(p.argmax()) in right:
            return "earlier", {"head": ANSWERS[language][earlier], "share": percent(float(p.max()), language)}
    kinds = [group for group in groups_of(explanation.labels) if own | right <= set(group.indices)]
    kind = min(kinds, key=lambda group: len(group.indices), default=None)
    p = explanation.probabilities[head]
    if kind is not None and len(kind.indices) <= SIBLINGS and p is not None:
        name = kind.name if language == "en" else kind.korean
        return "siblings", {"kind": name, "share": percent(float(p[list(kind.indices)].sum()), language)}
    if _apart(tipping):
        return "both", {}
    if box is None and (cut := 1 - _area(seen) / (width * height)) >= CUT:
        return "cut", {"share": percent(cut, language)}
    return None


DIAGNOSES = {
    "en": {
        "outside": "The network did not see it: {share} of the box lies outside the part that it looked at.",
        "earlier": "The {head} had it: {rival}, {share}. The stages after it turned to {own}.",
        "siblings": "{own} and {rival} are of one kind ({kind}), to which the {head} gives {share} in all.",
        "both": "Perhaps both are in the picture: stage {stage} finds evidence for {own} and for {rival} in different places.",
        "cut": "Perhaps it was cut off: the network did not see {share} of this photograph.",
    },
    "ko": {
        "outside": "신경망이 보지 못했습니다. 상자의 대부분({share})이 신경망이 본 부분 밖에 있습니다.",
        "earlier": "{head}에서는 맞았습니다: {rival}({share}). 그 뒤 단계를 거치며 ‘{own}’ 쪽으로 바뀌었습니다.",
        "siblings": "‘{own}’, ‘{rival}’ 모두 ‘{kind}’에 속합니다. {head}에서 이 무리의 확률을 모두 더하면 {share}입니다.",
        "both": "둘 다 사진에 있을 수 있습니다. {stage} 단계는 ‘{own}’의 근거와 ‘{rival}’의 근거를 서로 다른 곳에서 찾습니다.",
        "cut": "잘려 나갔을 수 있습니다. 신경망은 이 사진의 일부({share})를 보지 못했습니다.",
    },
}
"""language → why an answer may be wrong → the sentence"""


def _common(a: Box, b: Box) -> Box:
    return Box(max(a.x0, b.x0), max(a.y0, b.y0), min(a.x1, b.x1), min(a.y1, b.y1))


def _area(box: Box) -> float:
    return max(box.x1 - box.x0, 0) * max(box.y1 - box.y0, 0)


def _apart(tipping: Tipping) -> bool:
    """Whether two classes have evidence of like strength in different places."""
    own, rival = tipping.maps[:2].clip(min=0)
    lengths = float(np.linalg.norm(own)), float(np.linalg.norm(rival))
    if min(lengths) < ALIKE * max(lengths) or not max(lengths):
        return False
    (x0, y0), (x1, y1) = peak_of(own, Box(0, 0, 1, 1)), peak_of(rival, Box(0, 0, 1, 1))
    return max(abs(x0 - x1), abs(y0 - y1)) >= APART and float((own * rival).sum()) < ALIKE * lengths[0] * lengths[1]
