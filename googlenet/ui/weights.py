"""The Explainers that visitors share: the program's own, and the few whose weights visitors chose last."""

from __future__ import annotations

import contextlib
import math
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from huggingface_hub import close_session

from googlenet.checkpoints import load_for_visitor
from googlenet.checkpoints.checkpoint import LoadProgress
from googlenet.checkpoints.config import MapTrust
from googlenet.checkpoints.source import parse_for_visitor
from googlenet.errors import UserError, WeightsError
from googlenet.explanation import METHODS, Explanation, Question
from googlenet.explanation.classes import everyday_words, groups_of
from googlenet.inference.explainer import Explainer
from googlenet.model.architecture import HEADS, receptive_fields
from googlenet.pictures.pixels import Picture
from googlenet.ui.sentences import LANGUAGES, class_name, pointing_sentence

__all__ = ["ExplainerCache", "NotLoadedError", "described", "explain_picture", "trust_in"]

_LOAD_SECONDS = 600.0
"""How long the Hub may take to send the weights that a visitor chose."""
_LARGEST_CROP = 512
"""The side in pixels of the network's input that visitors' weights may have: a pass costs as much as its pixels."""


class NotLoadedError(UserError):
    """A question names weights that are not loaded (any more)."""


class ExplainerCache:
    """The weights that the program was started with, which stay, and the few others that visitors chose last."""

    def __init__(self, own: Explainer, device: str = "auto", keep: int = 2) -> None:
        self.own, self.device, self.keep = own, device, keep
        self.others: OrderedDict[str, Explainer] = OrderedDict()
        self.guard = threading.Lock()

    def find(self, source: str | None) -> Explainer:
        """The loaded Explainer of a Hub repository; None for the program's own. Raises NotLoadedError.

        A question loads nothing: else a slow Hub would keep everyone's questions waiting.
        """
        if source is None:
            return self.own
        with self.guard:
            if source not in self.others:
                raise NotLoadedError("The weights {source} are not loaded here any more; choose them again.", source=source)
            self.others.move_to_end(source)
            return self.others[source]

    def load(self, source: str | None, progress: LoadProgress | None = None) -> Explainer:
        """The Explainer of a Hub repository, which is fetched where it is not loaded. Raises UserError.

        One call at a time; a second one would need the memory of both.
        """
        with contextlib.suppress(NotLoadedError):
            return self.find(source)
        assert source is not None
        repository = parse_for_visitor(source)  # a visitor may name a repository, never a path of this machine
        with ended_after(_LOAD_SECONDS, source):
            loaded = load_for_visitor(repository, progress)
        if (side := loaded.config.preprocess.crop) > _LARGEST_CROP:
            raise WeightsError(
                "{source} takes pictures of {side} pixels a side, and this page weights of at most {most}; "
                "run the program elsewhere.",
                source=source,
                side=side,
                most=_LARGEST_CROP,
            )
        explainer = Explainer(loaded, self.device)
        with self.guard:
            self.others[source] = explainer
            while len(self.others) > self.keep:
                self.others.popitem(last=False)
        return explainer


@contextlib.contextmanager
def ended_after(seconds: float, source: str) -> Iterator[None]:
    """Breaks the Hub's connections after so many seconds, again and again, until what fetches from it has given up."""
    done, late = threading.Event(), threading.Event()

    def watch() -> None:
        if not done.wait(seconds):
            late.set()
            while not done.wait(1):
                close_session()

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    except WeightsError:
        if late.is_set():
            raise WeightsError(
                "The Hub took longer than {minutes} minutes to send {source}; try again later.",
                minutes=round(seconds / 60),
                source=source,
            ) from None
        raise
    finally:
        done.set()


def explain_picture(explainer: Explainer, picture: Picture, question: Question) -> Explanation:
    """The answer about a picture, in pixels of the whole one."""
    return explainer.explain_prepared(explainer.prepare([picture.image]), [picture.size], [question])[0]


def described(explainer: Explainer, chosen: str | None) -> dict[str, Any]:
    """What the page says of a set of weights, and the labels that the class search looks through."""
    provenance, metrics = explainer.provenance, explainer.config.metrics
    return {
        "chosen": chosen,
        "source": provenance.source if chosen else Path(provenance.source).name or provenance.source,
        "revision": provenance.revision,
        "sha256": provenance.sha256,
        "license": provenance.license,
        "offline": provenance.offline,
        "assumed": provenance.assumed,
        "dataset": metrics and metrics.dataset,
        "top1": {head: share for head in HEADS if metrics and (share := metrics.top1.get(head)) and math.isfinite(share)},
        "labels": explainer.labels,
        "korean": [class_name(label, "ko") for label in explainer.labels],
        "groups": [
            {"label": each.name, "phrase": each.phrase, "korean": each.korean, "indices": each.indices}
            for each in groups_of(explainer.labels)
        ],
        "everyday": everyday_words() if explainer.classes.groups else {},
        "trust": known_trust(explainer),
        "aux": explainer.config.architecture.aux_heads,
        "third": explainer.config.architecture.branch3_kernel,
        "side": explainer.config.preprocess.crop,
        "fields": {stage: asdict(field) for stage, field in receptive_fields(explainer.config.architecture).items()},
    }


def trust_in(explainer: Explainer, method: str) -> MapTrust | None:
    """How well the maps of a method find objects, as `pointing`; None where nobody measured it for these weights."""
    trust = explainer.config.trust
    pointing = None if trust is None else trust.of(method)
    return None if trust is None or pointing is None else replace(trust, pointing=pointing)


def known_trust(explainer: Explainer) -> dict[str, Any]:
    """method → head → stage → language → what was measured of that map; nothing where nobody measured it."""
    return {
        method: {
            head: {stage: {each: pointing_sentence(trust, head, stage, each) for each in LANGUAGES} for stage in stages}
            for head, stages in trust.pointing.items()
        }
        for method in METHODS
        if (trust := trust_in(explainer, method))
    }
