"""What the page says about an answer, in English and Korean (`sentences.json`).

A sentence is made from an Explanation's numbers and says no more than these carry: what the asked head answers, what of that is
probably right, how often answers as sure were right, and where the best stage's strongest cell lies.

In Korean a particle follows a Korean word or a figure, never a class's name: the last sound of an English one is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from googlenet.checkpoints.config import MapTrust
from googlenet.explanation import Explanation, Statement, likeliest
from googlenet.explanation.classes import Group, find_group, imagenet_groups, korean_name
from googlenet.explanation.statements import percent
from googlenet.model.architecture import HEADS, STAGES_BEFORE
from googlenet.ui.texts import SENTENCES, say

SURE = 0.95
"""The probability from which a statement is made "surely". Below it is made "probably"."""


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
    record = explanation.record.get(explanation.question.head)
    return Words(
        _headline(explanation, language),
        say(language, "record", **record._asdict()) if record and record.of else None,
        _heads(explanation, language),
        _place(explanation, trust, language),
        cards,
    )


def class_name(label: str, language: str, *, both: bool = False) -> str:
    """A class's name in a language; the label where there is no Korean one. `both`: Korean and, in brackets, the label."""
    korean = korean_name(label) if language == "ko" else None
    return label if korean is None else f"{korean}({label})" if both else korean


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


def _parts(language: str, key: str, **values: object) -> tuple[str, ...]:
    """A headline, cut at the bars of its template."""
    return tuple(part.format(**values) for part in SENTENCES[language][key].split("|"))


def _unlikely(explanation: Explanation, language: str) -> tuple[str, ...]:
    """The headline where no class is likely. Its group may be sure all the same."""
    p = explanation.probabilities["main"]
    assert p is not None
    best, said = percent(float(p.max()), language), (explanation.statements or {}).get("main")
    if said is None or said.probability < SURE:
        return _parts(language, "unknown", best=best, classes=len(p))
    return _parts(language, "unknown_kind", best=best, kind=said_name(said, language))


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
    asked = asked_name(explanation.labels, question.target, language, both=True)
    answer = SENTENCES[language]["answers"][question.head]
    return _parts(language, "not_top", **values, answer=answer, asked=asked, asked_share=percent(belief, language))


def _sureness(explanation: Explanation, language: str) -> str:
    """What follows the head's top class and its probability: what of it is probably right, and what is a guess."""
    head, target = explanation.question.head, explanation.question.target
    if explanation.statements is None:
        return "."
    said = explanation.statements.get(head)
    if said is None:
        return say(language, "guess")
    if said.indices == (target,):
        return "."
    key = ("surely" if said.probability >= SURE else "probably") + ("" if target in said.indices else "_other")
    dog = find_group("dog", imagenet_groups())
    breed = dog is not None and set(said.indices) <= set(dog.indices)
    return say(language, key, kind=said_name(said, language), which=say(language, "which_breed" if breed else "which"))


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
            statement = explanation.statements.get(head)
            name = say(language, "nothing") if statement is None else said_name(statement, language)
        line.append(f"{say(language, 'answers', head)}: {name}")
    return capitalised(" → ".join(line)) + "."


def capitalised(text: str) -> str:
    return text[0].upper() + text[1:]


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
    names = {
        role: asked_name(explanation.labels, asked, language)
        for role, asked in (("target", question.target), ("contrast", question.contrast))
        if asked is not None
    }
    what = say(language, "evidence_rather" if "contrast" in names else "evidence_for", **names)
    peak = explanation.summary(stage).peak
    if peak is None:
        return say(language, "no_place", stage=stage, what=what)
    column, row = (min(2, int(3 * at / side)) for at, side in zip(peak, explanation.size, strict=True))
    return say(language, "place", stage=stage, what=what, region=SENTENCES[language]["regions"][3 * row + column])


def pointing_sentence(trust: MapTrust, head: str, stage: str, language: str = "en") -> str:
    """How often a stage's brightest cell finds a small object, and whether that is better than guessing the picture's centre."""
    pointing = trust.pointing[head][stage]
    kind = "better" if pointing.low > 0 else "worse" if pointing.high < 0 else "as_good"  # the interval of neither holds 0
    sign = -1 if kind == "worse" else 1  # "worse by 19.9 points"
    low, high = sorted((sign * pointing.low, sign * pointing.high))
    measured = say(
        language,
        "pointing",
        pictures=trust.pictures,
        dataset=trust.dataset,
        stage=stage,
        head=say(language, "heads", head),
        share=percent(pointing.share, language),
        centre=percent(trust.centre, language),
    )
    return f"{measured} {say(language, kind, gain=_tenths(sign * pointing.gain), low=_tenths(low), high=_tenths(high))}"


def _tenths(share: float) -> str:
    """A share in per cent, to a tenth."""
    return f"{round(100 * share, 1) + 0.0:.1f}".replace("-", "−")  # adding 0 leaves no "-0.0"
