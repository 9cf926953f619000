"""What a visitor can try on the enlarged stage: cover a part of the picture, measure how far its map can be trusted."""

from __future__ import annotations

from functools import partial

import googlenet.probes.cover
from googlenet.errors import UserError
from googlenet.model.architecture import STAGES_BEFORE
from googlenet.pictures.frame import Box
from googlenet.probes.trust import examine
from googlenet.ui import outcomes, texts
from googlenet.ui.explainers import ExplainerCache
from googlenet.ui.handlers import Message, packed_grid, picture
from googlenet.ui.query import PageQuery
from googlenet.ui.tickets import Tell


def cover(ask: PageQuery, cache: ExplainerCache) -> Message:
    """The event `edit`: {cover: …} (`outcomes.cover_message`), boxes in pixels of the original. Raises UserError."""
    shown = picture(ask)
    image = shown.image
    explainer = cache.find(ask.weights)
    question = explainer.question(ask.head, ask.target, ask.contrast)
    if ask.box is None:
        raise UserError("There is no box to cover; draw one on the enlarged picture.")
    scale = image.width / shown.size[0]
    box = Box(*(edge * scale for edge in ask.box))
    found = cache.apply(ask, partial(googlenet.probes.cover.cover, image=image, question=question, box=box, stage=stage_of(ask)))
    return {"cover": outcomes.cover_message(found, explainer.labels, 1 / scale)}


def trust(ask: PageQuery, cache: ExplainerCache, tell: Tell) -> None:
    """The event `like`: {trust: {progress, waiting}} …, then {trust: {stage, steps, …, say}}. Raises UserError."""
    tell(trust_progress())
    image, explainer = picture(ask).image, cache.find(ask.weights)
    question = explainer.question(ask.head, ask.target, ask.contrast)
    stage = stage_of(ask)
    task = partial(examine, image=image, question=question, stages=[stage])
    if not cache.lent:  # a lent GPU's process can tell nothing while it runs
        task = partial(task, progress=lambda share: tell(trust_progress(share)))
    found = cache.apply(ask, task).trust[stage]
    say = {language: found.sentence(language) for language in texts.LANGUAGES}
    tell({"trust": {"stage": stage, **vars(found), "randomised": packed_grid(found.randomised), "say": say}})


def trust_progress(share: float = 0.0, waiting: int = 0) -> Message:
    return {"trust": {"progress": share, "waiting": waiting}}


def stage_of(ask: PageQuery) -> str:
    """The stage that is asked about: by default the last one that the head sees."""
    return ask.stage or STAGES_BEFORE[ask.head][-1]
