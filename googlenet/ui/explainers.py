"""The Explainers that visitors share: the program's own, and the few whose weights visitors chose last."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from huggingface_hub import close_session
from PIL import Image

from googlenet.checkpoints import load_for_visitor
from googlenet.checkpoints.checkpoint import Progress
from googlenet.checkpoints.source import parse_for_visitor
from googlenet.errors import UserError, WeightsError
from googlenet.explanation import Explanation
from googlenet.inference.explainer import Explainer
from googlenet.pictures.frame import Box
from googlenet.pictures.pixels import Picture
from googlenet.ui.query import PageQuery

LOAD_SECONDS = 600.0
"""How long the Hub may take to send the weights that a visitor chose."""

Task = Callable[[Explainer], Any]
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class NotLoadedError(UserError):
    """A question names weights that are not loaded (any more)."""


class ExplainerCache:
    """The weights that the program was started with, which stay, and the few others that visitors chose last.

    `gpu` is what decorates the function that runs the model where a GPU is lent for each call (a Space with ZeroGPU): the
    function then runs in a process of its own with copies of its arguments, and only the weights of the start are there.
    """

    def __init__(self, own: Explainer, device: str = "auto", keep: int = 2, gpu: Decorator | None = None) -> None:
        self.own, self.device, self.keep, self.lent = own, device, keep, gpu is not None
        self.others: OrderedDict[str, Explainer] = OrderedDict()
        self.guard = threading.Lock()

        def lend(task: Task) -> Any:
            return task(own)

        self.lend: Callable[[Task], Any] = gpu(lend) if gpu else lend

    def explain(self, picture: Picture, ask: PageQuery) -> Explanation:
        """The answer of the weights that the question names, in pixels of the whole picture. Raises UserError."""
        return of_whole(self.apply(ask, partial(explained, image=picture.image, ask=ask)), picture)

    def apply(self, ask: PageQuery, task: Task) -> Any:
        """What a task makes with the Explainer that the question names. Where a GPU is lent, the task travels by pickle."""
        return self.lend(task) if ask.weights is None else task(self.find(ask.weights))

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

    def load(self, source: str | None, progress: Progress | None = None) -> Explainer:
        """The Explainer of a Hub repository, which is fetched where it is not loaded. Raises UserError.

        One call at a time; a second one would need the memory of both.
        """
        if self.lent and source is not None:
            raise UserError("This Space runs its own weights alone; start the program elsewhere to choose others.")
        with contextlib.suppress(NotLoadedError):
            return self.find(source)
        assert source is not None
        repository = parse_for_visitor(source)  # a visitor may name a repository, never a path of this machine
        with ended_after(LOAD_SECONDS, source):
            loaded = load_for_visitor(repository, progress)
        explainer = Explainer(loaded, self.device)
        with self.guard:
            self.others[source] = explainer
            while len(self.others) > self.keep:
                self.others.popitem(last=False)
        return explainer


def explained(explainer: Explainer, image: Image.Image, ask: PageQuery) -> Explanation:
    return explainer.explain(image, head=ask.head, target=ask.target, contrast=ask.contrast, channels=ask.channels)


def of_whole(explanation: Explanation, picture: Picture) -> Explanation:
    """An Explanation of a reduced copy, in pixels of the whole picture."""
    (width, height), box = explanation.size, explanation.seen
    across, down = picture.size[0] / width, picture.size[1] / height
    seen = Box(box.x0 * across, box.y0 * down, box.x1 * across, box.y1 * down)
    return replace(explanation, size=picture.size, seen=seen)


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
