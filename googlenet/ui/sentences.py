"""What the page says, in English and Korean: of an answer, a stage, a covered part, what tipped an answer, an error.

The page's own words are in `page/texts.json`, the sentences in `sentences.json`. A sentence is made from its numbers and says no
more than these carry. Whether a probability falls, rises or stays is read off the figures that are printed.

In Korean a particle follows a Korean word or a figure, never a class's name: the last sound of an English one is not known.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from googlenet.checkpoints.config import MapTrust
from googlenet.errors import UserError
from googlenet.errors.korean import korean_error
from googlenet.explanation import Explanation, Statement, classes_of, likeliest
from googlenet.explanation.classes import Group, find_group, groups_of, imagenet_groups, korean_name
from googlenet.explanation.statements import percent
from googlenet.model.architecture import HEADS, STAGES_BEFORE
from googlenet.pictures.frame import Box, peak_of
from googlenet.probes.cover import Change, Cover, Tipping

__all__ = [
    "LANGUAGES",
    "PAGE",
    "class_name",
    "cover_sentence",
    "diagnosis",
    "error",
    "pointing_sentence",
    "standing_stage",
    "tipping_sentence",
    "words",
]

LANGUAGES = ("en", "ko")
PAGE: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("page").joinpath("texts.json").read_text("utf-8"))
"""language → the page's own words; `{names}` are filled in by the page's script."""
_SENTENCES: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("sentences.json").read_text("utf-8"))
"""language → key → a sentence; or key → kind → that"""

SURE = 0.95
"""The probability from which a statement is made "surely". Below it is made "probably"."""
LITTLE = 0.02
"""A probability that moves by less is said to change little."""
EVEN = 1.25
"""Odds between two classes that change by a smaller factor are said to stay."""
_HALF = 0.5
"""The share of random parts that change the answer as much from which a part counts as common. A special part has none."""

_SIBLINGS = 130
"""Classes of the largest group whose members count as siblings: of all dogs, not of all mammals."""
_APART = 1 / 3
"""The distance between two maps' strongest cells from which two objects may be there, as a share of the side."""
_ALIKE = 0.5
"""The cosine of two maps from which they count as evidence in the same places."""
_CUT = 1 / 4
"""The share of a photograph from which the part that the crop cut off is worth a word."""


def _say(language: str, key: str, kind: str | None = None, /, **values: object) -> str:
    """A sentence of `_SENTENCES` with its values. A language may leave values out."""
    text = _SENTENCES[language][key] if kind is None else _SENTENCES[language][key][kind]
    return str(text.format(**values))


def error(problem: UserError) -> dict[str, str]:
    """language → the error's sentence; English where a template has no translation."""
    return {"en": str(problem), "ko": korean_error(problem)}


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


def words(explanation: Explanation, trust: MapTrust | None, language: str) -> Words:
    """An answer in words. `trust`: how well the maps of the question's method find objects; None where nobody measured it."""
    cards = {
        head: _stated(said, language) + (f", {percent(said.probability, language)}" if len(said.indices) > 1 else "")
        for head, said in (explanation.statements or {}).items()
        if said is not None  # a single class's probability stands in the card
    }
    if explanation.unlikely:
        return Words(_unlikely(explanation, language), None, None, None, cards)
    record = explanation.record.get(explanation.question.head)
    return Words(
        _headline(explanation, language),
        _say(language, "record", **record._asdict()) if record and record.of else None,
        _heads(explanation, language),
        _place(explanation, trust, language),
        cards,
    )


def class_name(label: str, language: str, *, both: bool = False) -> str:
    """A class's name in a language; the label where there is no Korean one. `both`: Korean and, in brackets, the label."""
    korean = korean_name(label) if language == "ko" else None
    return label if korean is None else f"{korean}({label})" if both else korean


def _asked_name(labels: Sequence[str], asked: int | Group, language: str, *, both: bool = False) -> str:
    """What a question's target or contrast is called: a class's name, or a group's with its article."""
    if isinstance(asked, Group):
        return asked.korean if language == "ko" else asked.phrase
    return class_name(labels[asked], language, both=both)


def _said_name(said: Statement, language: str) -> str:
    """A statement's name: a group's with its article, or a class's."""
    if language == "ko":
        return said.korean
    group = find_group(said.name, imagenet_groups()) if len(said.indices) > 1 else None
    return said.name if group is None else group.phrase


def _stated(said: Statement, language: str) -> str:
    """A statement in a few words: how sure it is, of what."""
    return _say(language, "stated_surely" if said.probability >= SURE else "stated_probably", name=_said_name(said, language))


def _parts(language: str, key: str, **values: object) -> tuple[str, ...]:
    """A headline, cut at the bars of its template."""
    return tuple(part.format(**values) for part in _SENTENCES[language][key].split("|"))


def _unlikely(explanation: Explanation, language: str) -> tuple[str, ...]:
    """The headline where no class is likely. Its group may be sure all the same."""
    p, said = explanation.probabilities["main"], (explanation.statements or {}).get("main")
    assert p is not None
    best = percent(float(p.max()), language)
    if said is None or said.probability < SURE:
        return _parts(language, "unknown", best=best, classes=len(p))
    return _parts(language, "unknown_kind", best=best, kind=_said_name(said, language))


def _headline(explanation: Explanation, language: str) -> tuple[str, ...]:
    question = explanation.question
    belief, p = explanation.belief[question.head], explanation.probabilities[question.head]
    assert question.target is not None
    assert belief is not None
    assert p is not None
    top = likeliest(p, explanation.labels, 1)[0]
    values = {"name": class_name(top.label, language, both=True), "share": percent(top.probability, language)}
    if question.target == top.index:
        return _parts(language, "top", **values, sureness=_sureness(explanation, language))
    asked = _asked_name(explanation.labels, question.target, language, both=True)
    answer = _SENTENCES[language]["answers"][question.head]
    return _parts(language, "not_top", **values, answer=answer, asked=asked, asked_share=percent(belief, language))


def _sureness(explanation: Explanation, language: str) -> str:
    """What follows the head's top class and its probability: what of it is probably right, and what is a guess."""
    head, target = explanation.question.head, explanation.question.target
    if explanation.statements is None:
        return "."
    said = explanation.statements.get(head)
    if said is None:
        return _say(language, "guess")
    if said.indices == (target,):
        return "."
    key = ("surely" if said.probability >= SURE else "probably") + ("" if target in said.indices else "_other")
    dog = find_group("dog", imagenet_groups())
    breed = dog is not None and set(said.indices) <= set(dog.indices)
    return _say(language, key, kind=_said_name(said, language), which=_say(language, "which_breed" if breed else "which"))


def _heads(explanation: Explanation, language: str) -> str | None:
    """What each head says, from the first to the last: its statement, or its top class where the classes have no groups."""
    line = []
    for head in HEADS:
        p = explanation.probabilities[head]
        if p is None:
            return None
        if explanation.statements is None:
            top = likeliest(p, explanation.labels, 1)[0]
            name = f"{top.label}, {percent(top.probability, language)}"
        else:
            said = explanation.statements.get(head)
            name = _stated(said, language) if said else _say(language, "nothing")
        line.append(name)
    return _say(language, "by_heads", line=" → ".join(line))


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
    target, contrast = (
        None if each is None else _asked_name(explanation.labels, each, language) for each in (question.target, question.contrast)
    )
    what = _say(language, "evidence_for" if contrast is None else "evidence_rather", target=target, contrast=contrast)
    peak = explanation.summary(stage).peak
    if peak is None:
        return _say(language, "no_place", stage=stage, what=what)
    column, row = (min(2, int(3 * at / side)) for at, side in zip(peak, explanation.size, strict=True))
    return _say(language, "place", stage=stage, what=what, region=_SENTENCES[language]["regions"][3 * row + column])


def pointing_sentence(trust: MapTrust, head: str, stage: str, language: str = "en") -> str:
    """How often a stage's brightest cell finds a small object, and whether that is better than guessing the picture's centre."""
    pointing = trust.pointing[head][stage]
    kind = "better" if pointing.low > 0 else "worse" if pointing.high < 0 else "as_good"  # the interval of neither holds 0
    sign = -1 if kind == "worse" else 1  # "worse by 19.9 points"
    low, high = sorted((sign * pointing.low, sign * pointing.high))
    about = {"pictures": trust.pictures, "dataset": trust.dataset, "stage": stage, "head": _say(language, "heads", head)}
    shares = {"share": percent(pointing.share, language), "centre": percent(trust.centre, language)}
    compared = _say(language, kind, gain=_tenths(sign * pointing.gain), low=_tenths(low), high=_tenths(high))
    return f"{_say(language, 'pointing', **about, **shares)} {compared}"


def _tenths(share: float) -> str:
    """A share in per cent, to a tenth."""
    return f"{round(100 * share, 1) + 0.0:.1f}".replace("-", "−")  # adding 0 leaves no "-0.0"


def cover_sentence(cover: Cover, labels: Sequence[str], language: str) -> str:
    """What covering a part has shown, beside random parts of the same size."""
    change, total, count = cover.target, len(cover.controls), cover.as_much
    sentences = [_say(language, "covered", moves=_moves((change, cover.contrast), labels, language))]
    if not total:
        sentences.append(_say(language, "covered_alone"))
    elif abs(change.after - change.before) < LITTLE:
        sentences.append(_say(language, "covered_little", total=total, median=percent(cover.median, language)))
    else:
        way = "rises" if change.after > change.before else "falls"
        kind = "special" if count == 0 else "common" if count >= _HALF * total else "uncommon"
        number = "none" if count == 0 else "all" if count == total else "one" if count == 1 else "some"
        verdict = _say(language, "verdicts", f"{way}_{kind}", name=_asked_name(labels, change.asked, language))
        as_much = _say(language, "as_much", f"{way}_{number}", count=count)
        beside = {"verdict": verdict, "total": total, "median": percent(cover.median, language), "as_much": as_much}
        sentences.append(_say(language, "covered_beside", **beside))
    if cover.top_before.index != cover.top_after.index:
        answer = _say(language, "answers", cover.question.head)
        top, share = class_name(cover.top_after.label, language), percent(cover.top_after.probability, language)
        sentences.append(_say(language, "becomes", answer=answer, top=top, share=share))
    return " ".join(sentences)


def _moves(changes: Iterable[Change | None], labels: Sequence[str], language: str) -> str:
    """How probabilities go, by the figures that are printed."""
    moves = []
    for change in filter(None, changes):
        before, after = (percent(p, language) for p in (change.before, change.after))
        way = "stays" if before == after else "rises" if change.after > change.before else "falls"
        name, start = _asked_name(labels, change.asked, language), before.removesuffix(" %")  # "from 14 to 0.9 %"
        moves.append(_say(language, way, name=name, before=before, start=start, after=after))
    return _say(language, "and").join(moves)


def tipping_sentence(tipping: Tipping, language: str) -> str:
    """What covering the contrast's strongest place has shown."""
    labels, both = tipping.explanation.labels, (tipping.answered, tipping.truth)
    own, truth = (_asked_name(labels, change.asked, language) for change in both)
    if tipping.box is None:
        return _say(language, "tipped_nowhere", stage=tipping.stage, own=own, truth=truth)
    top = f"{class_name(tipping.top_after.label, language)}, {percent(tipping.top_after.probability, language)}"
    consequence = _say(language, "consequences", _consequence(tipping), truth=truth, top=top)
    return _say(language, "tipped", moves=_moves(both, labels, language), consequence=consequence)


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
    own, truth = (_asked_name(labels, each.asked, language) for each in (tipping.answered, tipping.truth))
    values = {"own": own, "truth": truth, "stage": tipping.stage, "answer": _say(language, "answers", head), **reason[1]}
    text = _say(language, "diagnoses", reason[0], **values)
    return text[0].upper() + text[1:]


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
            return "earlier", {"answer": _say(language, "answers", earlier), "share": percent(float(p.max()), language)}
    kinds = [group for group in groups_of(explanation.labels) if own | right <= set(group.indices)]
    kind = min(kinds, key=lambda group: len(group.indices), default=None)
    p = explanation.probabilities[head]
    if kind is not None and len(kind.indices) <= _SIBLINGS and p is not None:
        name = kind.name if language == "en" else kind.korean
        return "siblings", {"kind": name, "share": percent(float(p[list(kind.indices)].sum()), language)}
    if _apart(tipping):
        return "both", {}
    if (cut := 1 - (x1 - x0) * (y1 - y0) / (width * height)) >= _CUT:
        return "cut", {"share": percent(cut, language)}
    return None


def _apart(tipping: Tipping) -> bool:
    """Whether two classes have evidence of like strength in different places."""
    own, truth = tipping.maps[:2].clip(min=0)
    lengths = float(np.linalg.norm(own)), float(np.linalg.norm(truth))
    if min(lengths) < _ALIKE * max(lengths) or not max(lengths):
        return False
    (x0, y0), (x1, y1) = peak_of(own, Box(0, 0, 1, 1)), peak_of(truth, Box(0, 0, 1, 1))
    return max(abs(x0 - x1), abs(y0 - y1)) >= _APART and float((own * truth).sum()) < _ALIKE * lengths[0] * lengths[1]
