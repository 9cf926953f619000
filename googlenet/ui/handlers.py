"""What happens when a visitor asks: the browser's question → an Explanation → a message that the page's script draws."""

from __future__ import annotations

import base64
import io
import logging
import math
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.media import get_image
from gradio.utils import get_upload_folder
from PIL import Image

from googlenet.checkpoints.config import MapTrust
from googlenet.errors import UserError
from googlenet.explanation import Explanation
from googlenet.explanation.classes import imagenet_classes
from googlenet.explanation.groups import groups_of
from googlenet.inference.explainer import Explainer
from googlenet.model.architecture import HEADS, receptive_fields
from googlenet.pictures.decoding import open_bounded
from googlenet.pictures.images import open_image
from googlenet.pictures.pixels import Picture
from googlenet.ui import sentences, texts
from googlenet.ui.explainers import ExplainerCache, NotLoadedError
from googlenet.ui.fairqueue import FairQueue
from googlenet.ui.query import PageQuery
from googlenet.ui.tickets import BusyError, RestartingError, Tell, Waiting, Work
from googlenet.ui.visitor import visitor_of

OWN_EXAMPLES = Path(__file__).parent / "examples"
EXAMPLES = {
    "cheetah": get_image("cheetah.jpg"),
    "lion": get_image("lion.jpg"),
    "cat": str(OWN_EXAMPLES / "cat.jpg"),
    "astronaut": str(OWN_EXAMPLES / "astronaut.jpg"),
}
"""name → file; the page opens with the first. What each shows with the built-in weights, and its source: examples/README.md."""

SIDE = 720
"""Longer side in pixels of the picture that the browser draws on."""

Message = dict[str, Any]


async def one_message(
    queue: FairQueue, request: gr.Request, event: str, query: PageQuery, work: Callable[[], Message]
) -> Message:
    """The message for an event that brings one: what `work` gives, the number in the queue until its turn, or an error.

    The page triggers the same event again when it has got a number.
    """
    try:
        told = await queue.next(visitor_of(request), (event, query), lambda tell: tell(work()))
    except Exception as error:
        return {"n": query.number, **failure(error)}
    return {"n": query.number, **({"waiting": told.number, "event": event} if isinstance(told, Waiting) else told)}


async def messages(
    queue: FairQueue, request: gr.Request, query: PageQuery, work: Work, waiting: Callable[[int], Message], failed: str
) -> AsyncIterator[Message]:
    """The messages for an event that tells of its progress: what `work` tells, `waiting` of its number in the queue until then,
    an error as `failed`."""
    try:
        async for told in queue.run(visitor_of(request), work):
            yield {"n": query.number, **(waiting(told.number) if isinstance(told, Waiting) else told)}
    except Exception as error:
        yield {"n": query.number, **failure(error, failed)}


def failure(error: Exception, key: str = "error") -> Message:
    """What the page is told of an error: a sentence in each language, and what it can do about it by itself."""
    if not isinstance(error, UserError):  # our mistake: loud in the log, and one sentence for the visitor, whose page goes on
        logging.error("A question failed", exc_info=error)
        error = UserError("This went wrong on our side; try another picture.")
    message: Message = {key: texts.error(error)}
    if isinstance(error, RestartingError):
        message["restarting"] = True
    if isinstance(error, BusyError):
        message["busy"] = True
    if isinstance(error, NotLoadedError):
        message["not_loaded"] = error.values["source"]
    return message


def picture(ask: PageQuery) -> Picture:
    """The picture that a question is about. Raises UserError for one that is not there or no picture."""
    found = uploaded(ask.path or "") if ask.example is None else example(ask.example)
    return found if ask.original is None else in_original(found, ask.original)


def uploaded(name: str) -> Picture:
    path = Path(name.replace("\0", "")).resolve()  # no file's name holds a NUL
    if not path.is_relative_to(Path(get_upload_folder()).resolve()) or not path.is_file():
        raise UserError("That picture is no longer here; choose it again.")
    return open_named(path)


@cache
def example(name: str) -> Picture:
    if name not in EXAMPLES:
        raise UserError("There is no example called {name}; choose {names}.", name=repr(name), names=", ".join(EXAMPLES))
    image = open_image(EXAMPLES[name])
    return Picture(image, image.size)


@cache
def example_url(name: str) -> str:
    return data_url(example(name).image, SIDE)


def open_named(path: Path) -> Picture:
    """`open_bounded`, with the file's name in errors and not its place on this machine."""
    try:
        return open_bounded(path, SIDE)
    except UserError as error:
        raise UserError(error.template, **{**error.values, "name": path.name}) from None


def in_original(found: Picture, original: tuple[int, int]) -> Picture:
    """A copy that the browser reduced, as part of an original of (width, height).

    Raises UserError where the two do not have the same shape, to a pixel of the copy, or the copy is the larger one.
    """
    width, height = found.size
    across, down = original[0] / width, original[1] / height
    if min(across, down) < 1 or abs(original[0] / down - width) > 1 or abs(original[1] / across - height) > 1:
        raise UserError("The size that came with this picture is not that of its original; choose the picture again.")
    return Picture(found.image, original)


def answer(ask: PageQuery, explainers: ExplainerCache) -> Message:
    """The answer to a question. Raises UserError."""
    found = picture(ask)
    explanation = explainers.explain(found, ask)
    url = None if ask.known else example_url(ask.example) if ask.example else data_url(found.image, SIDE)
    return {"answer": packed(explanation, ask, url, explainers.find(ask.weights).config.trust)}


def packed(explanation: Explanation, ask: PageQuery, picture: str | None, trust: MapTrust | None) -> Message:
    """An Explanation for the browser: its JSON, the signed branch maps in 16 bits, the words, the picture."""
    words = {language: sentences.words(explanation, trust, language) for language in texts.LANGUAGES}
    return {
        "result": explanation.to_json(ask.example or Path(ask.path or "").name),
        "size": explanation.size,
        "grids": {stage: packed_grid(grid) for stage, grid in explanation.branch_grids.items()},
        "by_depth": by_depth(explanation),
        "unlikely": explanation.unlikely,
        "say": {language: each.text for language, each in words.items()},
        "words": {language: asdict(each) for language, each in words.items()},
        "picture": picture,
    }


def by_depth(explanation: Explanation, others: int = 5) -> list[Message]:
    """The asked class and the most probable others of any head, with the probability that each head gives to them."""
    known = {head: p for head, p in explanation.probabilities.items() if p is not None}
    highest = np.max(list(known.values()), axis=0)
    ranked = [int(i) for i in np.argsort(-highest, kind="stable")[: others + 1] if i != explanation.question.target]
    return [
        {"index": index, "label": explanation.labels[index], "belief": {head: float(p[index]) for head, p in known.items()}}
        for index in [explanation.question.target or 0, *ranked[:others]]
    ]


def packed_grid(grid: np.ndarray[Any, Any]) -> Message:
    """(4, h, w) float32 → int16 in base64, with the factor that brings the values back."""
    peak = float(np.abs(grid).max()) or 1.0
    numbers = np.round(grid / peak * 32767).astype("<i2")
    return {"shape": grid.shape, "factor": peak / 32767, "data": base64.b64encode(numbers.tobytes()).decode()}


def data_url(image: Image.Image, side: int) -> str:
    """A JPEG of limited side, as a URL that holds the picture itself."""
    scale = min(1.0, side / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    image = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=1.5)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def archive(ask: PageQuery, explainers: ExplainerCache) -> Message:
    """The maps of a question's answer as a NumPy archive, in base64. Raises UserError."""
    return {"npz": base64.b64encode(explainers.explain(picture(ask), ask).npz()).decode()}


def choose_weights(ask: PageQuery, explainers: ExplainerCache, tell: Tell) -> None:
    """Load the weights that a visitor names: progress messages, then what they are. Raises UserError."""
    tell(load_progress())
    explainer = explainers.load(ask.weights, lambda share, what: tell(load_progress(share, what)))
    tell({"weights": described(explainer, ask.weights)})


def load_progress(share: float = 0.0, what: str = "", waiting: int = 0) -> Message:
    return {"progress": {"share": share, "what": what, "waiting": waiting}}


def search_words(labels: Sequence[str]) -> list[str]:
    """For each label the other words that the search finds it by: Korean name and groups ("dog" and "개" find "beagle")."""
    korean = {each.name: each.korean for each in imagenet_classes()}
    words = [[korean.get(label, "")] for label in labels]
    for group in groups_of(labels):
        for index in group.indices:
            words[index] += [group.name, group.korean]
    return [", ".join(each) for each in words]


def known_trust(trust: MapTrust | None) -> Message:
    """head → stage → language → what was measured of that map; nothing where nobody measured these weights."""
    if trust is None:
        return {}
    return {
        head: {
            stage: {each: sentences.pointing_sentence(trust, head, stage, each) for each in texts.LANGUAGES} for stage in stages
        }
        for head, stages in trust.pointing.items()
    }


def described(explainer: Explainer, chosen: str | None) -> Message:
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
        "words": search_words(explainer.labels),
        "trust": known_trust(explainer.config.trust),
        "aux": explainer.config.architecture.aux_heads,
        "side": explainer.config.preprocess.crop,
        "fields": {stage: asdict(field) for stage, field in receptive_fields(explainer.config.architecture).items()},
    }
