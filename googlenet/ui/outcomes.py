"""What trying something out has shown, in English and Korean: a covered part, what tipped an answer, why an answer is wrong.

Each sentence is made from its numbers. Whether a probability falls, rises or stays is read off the figures that are printed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from googlenet.explanation import classes_of
from googlenet.explanation.classes import groups_of
from googlenet.explanation.statements import percent
from googlenet.model.architecture import HEADS
from googlenet.pictures.frame import Box, peak_of
from googlenet.probes.cover import Change, Cover, Tipping
from googlenet.ui.messages import Covered, Tipped, packed_map
from googlenet.ui.sentences import asked_name, capitalised, class_name
from googlenet.ui.texts import LANGUAGES, say

LITTLE = 0.02
"""A probability that moves by less is said to change little."""
EVEN = 1.25
"""Odds between two classes that change by a smaller factor are said to stay."""
HALF = 0.5
"""The share of random parts that change the answer as much from which a part counts as common. A special part has none."""

SIBLINGS = 130
"""Classes of the largest group whose members count as siblings: of all dogs, not of all mammals."""
APART = 1 / 3
"""The distance between two maps' strongest cells from which two objects may be there, as a share of the side."""
ALIKE = 0.5
"""The cosine of two maps from which they count as evidence in the same places."""
CUT = 1 / 4
"""The share of a photograph from which the part that the crop cut off is worth a word."""


def cover_message(cover: Cover, labels: Sequence[str]) -> Covered:
    """A covering for the browser."""
    return {
        "controls": [list(part) for part in cover.controls],
        "before": cover.before,
        "after": cover.after,
        "control_after": {head: float(np.median(p)) for head, p in cover.control_after.items() if p},
        "say": {language: cover_sentence(cover, labels, language) for language in LANGUAGES},
    }


def tipping_message(tipping: Tipping) -> Tipped:
    """What tipped an answer, for the browser."""
    return {
        "maps": [packed_map(grid) for grid in tipping.maps],
        "scale": tipping.scale,
        "box": tipping.box and list(tipping.box),
        "say": {language: tipping_sentence(tipping, language) for language in LANGUAGES},
        "why": {language: diagnosis(tipping, language) for language in LANGUAGES},
    }


def cover_sentence(cover: Cover, labels: Sequence[str], language: str) -> str:
    """What covering a part has shown, beside random parts of the same size."""
    change, total, count = cover.target, len(cover.controls), cover.as_much
    sentences = [say(language, "covered", moves=_moves((change, cover.contrast), labels, language))]
    if not total:
        sentences.append(say(language, "covered_alone"))
    elif abs(change.after - change.before) < LITTLE:
        sentences.append(say(language, "covered_little", total=total, median=percent(cover.median, language)))
    else:
        way = "rises" if change.after > change.before else "falls"
        kind = "special" if count == 0 else "common" if count >= HALF * total else "uncommon"
        number = "none" if count == 0 else "all" if count == total else "one" if count == 1 else "some"
        verdict = say(language, "verdicts", f"{way}_{kind}", name=asked_name(labels, change.asked, language))
        as_much = say(language, "as_much", f"{way}_{number}", count=count)
        beside = {"verdict": verdict, "total": total, "median": percent(cover.median, language), "as_much": as_much}
        sentences.append(say(language, "covered_beside", **beside))
    if cover.top_before.index != cover.top_after.index:
        answer = say(language, "answers", cover.question.head)
        top, share = class_name(cover.top_after.label, language), percent(cover.top_after.probability, language)
        sentences.append(say(language, "becomes", answer=answer, top=top, share=share))
    return " ".join(sentences)


def _moves(changes: Iterable[Change | None], labels: Sequence[str], language: str) -> str:
    """How probabilities go, by the figures that are printed."""
    moves = []
    for change in filter(None, changes):
        before, after = (percent(p, language) for p in (change.before, change.after))
        way = "stays" if before == after else "rises" if change.after > change.before else "falls"
        name, start = asked_name(labels, change.asked, language), before.removesuffix(" %")  # "from 14 to 0.9 %"
        moves.append(say(language, way, name=name, before=before, start=start, after=after))
    return say(language, "and").join(moves)


def tipping_sentence(tipping: Tipping, language: str) -> str:
    """What covering the contrast's strongest place has shown."""
    labels, both = tipping.explanation.labels, (tipping.answered, tipping.truth)
    own, truth = (asked_name(labels, change.asked, language) for change in both)
    if tipping.box is None:
        return say(language, "tipped_nowhere", stage=tipping.stage, own=own, truth=truth)
    top = f"{class_name(tipping.top_after.label, language)}, {percent(tipping.top_after.probability, language)}"
    consequence = say(language, "consequences", _consequence(tipping), truth=truth, top=top)
    return say(language, "tipped", moves=_moves(both, labels, language), consequence=consequence)


def _consequence(tipping: Tipping) -> str:
    """What the answer does without the covered part."""
    own, truth = tipping.answered, tipping.truth
    if tipping.top_before.index != tipping.top_after.index:
        return "turns" if tipping.top_after.index in classes_of(truth.asked) else "turns_elsewhere"
    if max(abs(change.after - change.before) for change in (own, truth)) < LITTLE:
        return "hardly"
    odds_after, odds_before = truth.after * own.before, truth.before * own.after  # times the same number
    return "gains" if odds_after >= EVEN * odds_before else "loses" if odds_before >= EVEN * odds_after else "even"


def diagnosis(tipping: Tipping, language: str) -> str | None:
    """Why an answer may be wrong, in one line, as far as the numbers at hand support it.

    The first of these that holds; None where none does. An earlier head had it right. Both are of one kind. Both have evidence,
    in different places. A part of the photograph was cut off.
    """
    reason = _reason(tipping, language)
    if reason is None:
        return None
    labels, head = tipping.explanation.labels, tipping.explanation.question.head
    own, truth = (asked_name(labels, each.asked, language) for each in (tipping.answered, tipping.truth))
    values = {"own": own, "truth": truth, "stage": tipping.stage, "answer": say(language, "answers", head), **reason[1]}
    return capitalised(say(language, "diagnoses", reason[0], **values))


def _reason(tipping: Tipping, language: str) -> tuple[str, dict[str, str]] | None:
    """The kind of a diagnosis and the values of its own."""
    explanation = tipping.explanation
    (width, height), (x0, y0, x1, y1), head = explanation.size, explanation.seen, explanation.question.head
    own, right = (set(classes_of(each.asked)) for each in (tipping.answered, tipping.truth))
    if own & right:
        return None  # the answer is of the group that the visitor names
    for earlier in HEADS[: HEADS.index(head)]:
        p = explanation.probabilities[earlier]
        if p is not None and int(p.argmax()) in right:
            return "earlier", {"answer": say(language, "answers", earlier), "share": percent(float(p.max()), language)}
    kinds = [group for group in groups_of(explanation.labels) if own | right <= set(group.indices)]
    kind = min(kinds, key=lambda group: len(group.indices), default=None)
    p = explanation.probabilities[head]
    if kind is not None and len(kind.indices) <= SIBLINGS and p is not None:
        name = kind.name if language == "en" else kind.korean
        return "siblings", {"kind": name, "share": percent(float(p[list(kind.indices)].sum()), language)}
    if _apart(tipping):
        return "both", {}
    if (cut := 1 - (x1 - x0) * (y1 - y0) / (width * height)) >= CUT:
        return "cut", {"share": percent(cut, language)}
    return None


def _apart(tipping: Tipping) -> bool:
    """Whether two classes have evidence of like strength in different places."""
    own, truth = tipping.maps[:2].clip(min=0)
    lengths = float(np.linalg.norm(own)), float(np.linalg.norm(truth))
    if min(lengths) < ALIKE * max(lengths) or not max(lengths):
        return False
    (x0, y0), (x1, y1) = peak_of(own, Box(0, 0, 1, 1)), peak_of(truth, Box(0, 0, 1, 1))
    return max(abs(x0 - x1), abs(y0 - y1)) >= APART and float((own * truth).sum()) < ALIKE * lengths[0] * lengths[1]
