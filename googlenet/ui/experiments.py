"""What a visitor can try on the enlarged stage: cover a part of the picture, measure how far its map can be trusted."""

from __future__ import annotations

import base64
import copy
import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from PIL import Image

import googlenet.cover
from googlenet.architecture import STAGES_BEFORE
from googlenet.errors import UserError
from googlenet.explainer import Explainer
from googlenet.explanation import Explanation, Question
from googlenet.frame import Box
from googlenet.trust import examine
from googlenet.ui import texts
from googlenet.ui.explainers import ExplainerCache
from googlenet.ui.fairqueue import Tell
from googlenet.ui.handlers import Message, packed_grid, picture
from googlenet.ui.query import PageQuery
from googlenet.visualise import visualise


def cover(ask: PageQuery, cache: ExplainerCache) -> Message:
    """The event `edit`: {cover: {box, other, before, after, other_after}}, boxes in pixels of the original. Raises UserError."""
    shown = picture(ask)
    image = shown.image
    question = cache.find(ask.weights).question(ask.head, ask.target, ask.contrast)
    if ask.box is None:
        raise UserError("There is no box to cover; draw one on the enlarged picture.")
    scale = image.width / shown.size[0]
    box = Box(*(edge * scale for edge in ask.box))
    found = cache.apply(ask, partial(googlenet.cover.cover, image=image, question=question, box=box, stage=stage_of(ask)))
    boxes = {name: [edge / scale for edge in part] for name, part in (("box", found.box), ("other", found.other))}
    return {"cover": {**vars(found), **boxes}}


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


def channels(ask: PageQuery, cache: ExplainerCache, pictures: ChannelPictures, tell: Tell) -> None:
    """The event `expand`: {channels: {stage, cell, for, against}} with the pictures that are known, and again with all of them.

    Raises UserError.
    """
    shown, stage = picture(ask), stage_of(ask)
    explainer = cache.find(ask.weights)
    cell = None if ask.cell is None else (stage, *ask.cell)
    question = explainer.question(ask.head, ask.target, ask.contrast, channels=True, cell=cell)
    explainer.check_stage(question.head, stage)
    (explanation,) = cache.apply(ask, partial(explain_one, image=shown.image, question=question))
    assert explanation.channels is not None
    found = explanation.channels[stage]
    scale = shown.size[0] / shown.image.width

    def message(progress: float | None) -> Message:
        made = [
            {
                "channel": c.channel,
                "branch": c.branch,
                "share": c.share,
                "grid": packed_grid(np.stack((c.grid, *[np.zeros_like(c.grid)] * 3))),
                "peak": [position * scale for position in c.peak],
                "picture": pictures.known(explainer, stage, c.channel),
            }
            for c in found
        ]
        strongest = {"for": [c for c in made if c["share"] > 0], "against": [c for c in made if c["share"] < 0]}
        return {"channels": {"stage": stage, "cell": ask.cell, "progress": progress, **strongest}}

    if cache.lent:  # a lent GPU is for answers, and its process ends after each
        return tell(message(None))
    tell(message(0.0))
    pictures.make(explainer, stage, [c.channel for c in found], lambda share: tell({"channels": {"progress": share}}))
    tell(message(None))


def explain_one(explainer: Explainer, image: Image.Image, question: Question) -> list[Explanation]:
    return explainer.explain_batch([image], [question])


class ChannelPictures:
    """What channels look for, as WebP in data URLs, by the weights' SHA-256: the last `KEPT` that were asked for."""

    KEPT = 4096  # about 4 KB each

    def __init__(self) -> None:
        self.pictures: OrderedDict[tuple[str, str, int], str] = OrderedDict()
        self.guard, self.making = threading.Lock(), threading.Lock()

    def known(self, explainer: Explainer, stage: str, channel: int) -> str | None:
        with self.guard:
            return self.pictures.get((explainer.provenance.sha256, stage, channel))

    def make(self, explainer: Explainer, stage: str, wanted: Sequence[int], progress: Callable[[float], None]) -> None:
        """Make those that are not known, one call at a time, on a copy of the model: the Explainer stays free."""
        with self.making:
            missing = [channel for channel in wanted if self.known(explainer, stage, channel) is None]
            if not missing:
                return
            model = copy.deepcopy(explainer.model)
            tiles = visualise(model, explainer.config.preprocess, stage, missing, progress=progress)
            with self.guard:
                for channel, tile in zip(missing, tiles, strict=True):
                    file = io.BytesIO()
                    Image.fromarray(tile).save(file, "WEBP", quality=80)
                    url = "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
                    self.pictures[explainer.provenance.sha256, stage, channel] = url
                while len(self.pictures) > self.KEPT:
                    self.pictures.popitem(last=False)


def stage_of(ask: PageQuery) -> str:
    """The stage that is asked about: by default the last one that the head sees."""
    return ask.stage or STAGES_BEFORE[ask.head][-1]
