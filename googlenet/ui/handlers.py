"""What happens when a visitor asks: the browser's question → an Explanation → a message that the page's script draws."""

from __future__ import annotations

import base64
import io
import logging
import math
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from gradio.media import get_image
from gradio.utils import get_upload_folder
from PIL import Image

from googlenet.architecture import HEADS, STAGES, receptive_fields
from googlenet.checkpoints.hub import pull
from googlenet.checkpoints.source import parse_repository
from googlenet.classes import imagenet_classes
from googlenet.errors import UserError
from googlenet.explainer import Explainer
from googlenet.explanation import Box, Explanation
from googlenet.images import open_image
from googlenet.render import sheet
from googlenet.ui import texts

EXAMPLES = {name.split(".")[0]: get_image(name) for name in ("lion.jpg", "cheetah.jpg")}
"""name → file, of the pictures that come with Gradio: those that the built-in weights name right, and by these names. The page
opens with the first."""

SIDE = 720
"""Longer side in pixels of the picture that the browser draws on."""

KINDS = ("sheet", "npz")
"""What a visitor can take along and the browser cannot make: the contact sheet as PNG, the maps as a NumPy archive."""

MAX_SIDE = 100_000
"""Largest side in pixels, and so the largest position, that a browser may name."""

Message = dict[str, Any]
Run = Callable[[Image.Image, "PageQuery"], Explanation]
Decorator = Callable[[Run], Run]


@dataclass(frozen=True)
class PageQuery:
    """A question as the browser sends it. Hostile: `from_browser` checks types and bounds, the Explainer heads and classes."""

    number: int = 0
    """counts up in one browser, so that it can tell a stale answer"""
    example: str | None = None
    path: str | None = None
    """of an upload, in Gradio's upload folder"""
    known: bool = False
    """whether the browser has this picture already"""
    head: str = "main"
    target: str | int | None = None
    contrast: str | int | None = None
    weights: str | None = None
    """a Hub repository; None for the weights that the program was started with"""
    original: tuple[int, int] | None = None
    """upright (width, height) in pixels of the picture that the browser reduced before sending it; None where it sent it whole"""
    kind: str | None = None
    """what to take along: one of `KINDS`"""
    stage: str | None = None
    """one of `googlenet.architecture.STAGES`"""
    cell: tuple[int, int] | None = None
    """(row, column) on the stage's own grid"""
    box: Box | None = None
    """a part to cover, in pixels of the original picture"""

    @classmethod
    def from_browser(cls, sent: object) -> PageQuery:
        """What does not have its field's type and bounds counts as not sent."""
        data = sent if isinstance(sent, Mapping) else {}

        def text(name: str) -> str | None:
            value = data.get(name)
            return value[:500] if isinstance(value, str) else None

        def klass(name: str) -> str | int | None:
            value = data.get(name)
            return value if is_whole(value) else text(name)

        def pair(name: str, least: int) -> tuple[int, int] | None:
            value = data.get(name)
            if isinstance(value, list) and len(value) == 2 and all(is_whole(v) and least <= v <= MAX_SIDE for v in value):
                return value[0], value[1]
            return None

        number = data.get("n")
        return cls(
            number=number if is_whole(number) else 0,
            example=text("example"),
            path=text("path"),
            known=data.get("known") is True,
            head=text("head") or "main",
            target=klass("target"),
            contrast=klass("contrast"),
            weights=text("weights"),
            original=pair("original", 1),
            kind=one_of(data.get("kind"), KINDS),
            stage=one_of(data.get("stage"), STAGES),
            cell=pair("cell", 0),
            box=box_of(data.get("box")),
        )


def is_whole(value: object) -> TypeGuard[int]:
    """A whole number that JavaScript holds exactly; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53


def one_of(value: object, choices: Sequence[str]) -> str | None:
    return value if isinstance(value, str) and value in choices else None


def box_of(value: object) -> Box | None:
    """[x0, y0, x1, y1] → a box that holds something; None for anything else."""
    if not isinstance(value, list) or len(value) != 4 or not all(is_position(v) for v in value):
        return None
    box = Box(*map(float, value))
    return box if box.x0 < box.x1 and box.y0 < box.y1 else None


def is_position(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_SIDE  # NaN is not


class ExplainerCache:
    """The weights that the program was started with, which stay, and the few others that visitors chose last.

    `gpu` is what decorates the function that runs the model where a GPU is lent for each call (a Space with ZeroGPU): the
    function then runs in a process of its own with copies of its arguments, and only the weights of the start are there.
    """

    def __init__(self, own: Explainer, device: str = "auto", keep: int = 2, gpu: Decorator | None = None) -> None:
        self.own, self.device, self.keep, self.lent = own, device, keep, gpu is not None
        self.others: OrderedDict[str, Explainer] = OrderedDict()
        self.guard, self.loading = threading.Lock(), threading.Lock()

        def run(image: Image.Image, ask: PageQuery) -> Explanation:
            return own.explain(image, head=ask.head, target=ask.target, contrast=ask.contrast)

        self.run: Run = gpu(run) if gpu else run

    def explain(self, image: Image.Image, ask: PageQuery) -> Explanation:
        """The answer of the weights that the question names, in pixels of the original picture. Raises UserError."""
        if ask.weights is None:
            explanation = self.run(image, ask)
        else:
            explanation = self.get(ask.weights).explain(image, head=ask.head, target=ask.target, contrast=ask.contrast)
        return explanation if ask.original is None else in_original(explanation, ask.original)

    def get(self, source: str | None, progress: Callable[[float, str], None] | None = None) -> Explainer:
        """The Explainer of a Hub repository (None: the page's own weights), loaded at first use. Raises UserError."""
        if source is None:
            return self.own
        if self.lent:
            raise UserError("This Space runs its own weights alone; start the program elsewhere to choose others.")
        repository = parse_repository(source)  # a visitor may name a repository, never a path of this machine
        with self.guard:
            found = self.others.get(source)
        if found is None:
            with self.loading:  # one load at a time bounds the memory
                found = self.others.get(source)
                if found is None:  # without this machine's token: what is private here is not the visitor's
                    found = Explainer(pull(repository, token=False, progress=progress), self.device)
        with self.guard:
            self.others[source] = found
            self.others.move_to_end(source)
            while len(self.others) > self.keep:
                self.others.popitem(last=False)
        return found


def in_original(explanation: Explanation, original: tuple[int, int]) -> Explanation:
    """The explanation of a reduced copy, in pixels of the original picture of (width, height).

    Raises UserError where the two do not have the same shape, to a pixel of the copy, or the copy is the larger one.
    """
    (width, height), box = explanation.size, explanation.seen
    across, down = original[0] / width, original[1] / height
    if min(across, down) < 1 or abs(original[0] / down - width) > 1 or abs(original[1] / across - height) > 1:
        raise UserError("The size that came with this picture is not that of its original; choose the picture again.")
    return replace(explanation, size=original, seen=Box(box.x0 * across, box.y0 * down, box.x1 * across, box.y1 * down))


def picture(ask: PageQuery) -> Image.Image:
    """The picture that a question is about. Raises UserError for one that is not there or no picture."""
    if ask.example is not None:
        if ask.example not in EXAMPLES:
            raise UserError(
                "There is no example called {name}; choose {names}.", name=repr(ask.example), names=", ".join(EXAMPLES)
            )
        return open_image(EXAMPLES[ask.example])
    path = Path(ask.path or "").resolve()
    if not path.is_relative_to(Path(get_upload_folder()).resolve()) or not path.is_file():
        raise UserError("That picture is no longer here; choose it again.")
    return open_named(path)


def open_named(path: Path) -> Image.Image:
    """`open_image`, with the file's name in errors and not its place on this machine."""
    try:
        return open_image(path)
    except UserError as error:
        raise UserError(error.template, **{**error.values, "name": path.name}) from None


def answer(ask: PageQuery, cache: ExplainerCache) -> Message:
    """A question → a message: the answer, or the sentence that says why there is none."""
    try:
        image = picture(ask)
        explanation = cache.explain(image, ask)
    except UserError as error:
        return {"n": ask.number, "error": texts.error(error)}
    except Exception:  # our mistake: loud in the log, and one sentence for the visitor, whose page goes on
        logging.exception("A question failed")
        return {"n": ask.number, "error": texts.error(UserError("This went wrong on our side; try another picture."))}
    return {"n": ask.number, "answer": packed(explanation, ask, None if ask.known else image)}


def packed(explanation: Explanation, ask: PageQuery, image: Image.Image | None) -> Message:
    """An Explanation for the browser: its JSON, the signed branch maps in 16 bits, the archive, the sentence, the picture."""
    return {
        "result": explanation.to_json(ask.example or Path(ask.path or "").name),
        "size": explanation.size,
        "grids": {stage: packed_grid(grid) for stage, grid in explanation.branch_grids.items()},
        "by_depth": by_depth(explanation),
        "npz": base64.b64encode(explanation.npz()).decode(),
        "unlikely": explanation.unlikely,
        "say": {language: texts.sentence(explanation, language) for language in texts.LANGUAGES},
        "picture": image and data_url(image, SIDE),
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


def take_along(ask: PageQuery, cache: ExplainerCache) -> Message:
    """What `ask.kind` names of a question's answer, as a file in base64: the PNG of `render.sheet` or `Explanation.npz`."""
    try:
        image = picture(ask)
        explanation = cache.explain(image, ask)
    except UserError as error:
        return {"n": ask.number, "error": texts.error(error)}
    if ask.kind == "npz":
        return {"n": ask.number, "npz": base64.b64encode(explanation.npz()).decode()}
    file = io.BytesIO()
    sheet(image, explanation).save(file, "PNG")
    return {"n": ask.number, "sheet": base64.b64encode(file.getvalue()).decode()}


def choose_weights(ask: PageQuery, cache: ExplainerCache) -> Iterator[Message]:
    """Load the weights that a visitor names: progress messages, then what they are, or why they cannot be had."""
    told: queue.SimpleQueue[Message] = queue.SimpleQueue()

    def work() -> None:
        try:
            explainer = cache.get(ask.weights, lambda share, what: told.put({"progress": {"share": share, "what": what}}))
            told.put({"weights": described(explainer, ask.weights)})
        except UserError as error:
            told.put({"weights_error": texts.error(error)})
        except Exception:
            logging.exception("Loading %s failed", ask.weights)
            told.put(
                {"weights_error": texts.error(UserError("These weights could not be loaded, by our own mistake; try others."))}
            )

    threading.Thread(target=work, daemon=True).start()
    message: Message = {"progress": {"share": 0.0, "what": ""}}
    while "progress" in message:
        yield {"n": ask.number, **message}
        message = told.get()
    yield {"n": ask.number, **message}


def group_words(labels: Sequence[str]) -> list[str]:
    """For each label the everyday words that the search finds it by too ("dog" finds "Labrador retriever")."""
    known = {each.name: " ".join(each.groups) for each in imagenet_classes()}
    return [known.get(label, "") for label in labels]


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
        "dataset": metrics and metrics.dataset,
        "top1": {head: share for head in HEADS if metrics and (share := metrics.top1.get(head)) and math.isfinite(share)},
        "labels": explainer.labels,
        "words": group_words(explainer.labels),
        "aux": explainer.config.architecture.aux_heads,
        "fields": {
            stage: {"size": size, "stride": stride}
            for stage, (size, stride) in receptive_fields(explainer.config.architecture).items()
        },
    }
