"""The page's frame: one component that draws everything, its events, and the named endpoints."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import huggingface_hub
import numpy as np
from gradio.block_function import BlockFunction
from numpy.typing import NDArray
from starlette.middleware import Middleware

from googlenet.checkpoints.source import KNOWN_SOURCES
from googlenet.errors import UserError
from googlenet.explanation.render import BLUES, MAGMA, SPOTLIGHT
from googlenet.inference.explainer import Explainer
from googlenet.inference.worker import worker_count
from googlenet.model.architecture import BRANCHES, HEADS, STAGES, STAGES_BEFORE
from googlenet.pictures.images import open_image
from googlenet.ui import channels, experiments, handlers, texts
from googlenet.ui.channels import ChannelPictures, Strongest
from googlenet.ui.endpoints import endpoints
from googlenet.ui.explainers import Decorator, ExplainerCache
from googlenet.ui.fairqueue import FairQueue
from googlenet.ui.handlers import Message
from googlenet.ui.preview import LinkPreview
from googlenet.ui.query import PageQuery
from googlenet.ui.tickets import Tell

HERE = Path(__file__).parent
SCRIPT = (
    "state",
    "memory",
    "help",
    "drawing",
    "strip",
    "heads",
    "tabs",
    "enlarged",
    "evidence",
    "lesson",
    "cover",
    "play",
    "present",
    "answer",
    "asking",
    "channels",
    "trust",
    "compare",
    "address",
    "sheet",
    "downloads",
    "combobox",
    "pictures",
    "camera",
    "weights",
    "start",
)
"""The files of `js/`, in the order in which they are joined."""
GONE = "That picture is no longer here; choose it again."
"""What `handlers.picture` raises for an upload that was swept away: the page then sends its picture again."""

ON_GPU = 16
"""Questions that are prepared and answered at a time on a GPU; on a CPU four for each worker: two run and two are prepared."""

FIRST = PageQuery(example=next(iter(handlers.EXAMPLES)))
"""The question whose answer is the first thing that a visitor sees."""


@dataclass(frozen=True)
class Page:
    demo: gr.Blocks
    queues: tuple[FairQueue, ...]
    """in front of the model and of the Hub"""


class Blocks(gr.Blocks):
    """Gradio's, but what is not an uploaded picture gets a sentence, and a plain HTTP call may leave out the last parameters, so
    that a new one breaks nobody's call."""

    async def preprocess_data(self, *arguments: Any, **named: Any) -> list[Any]:
        """Raises gr.Error for a picture that is not a file of the upload folder, or not sent as one."""
        try:
            return await super().preprocess_data(*arguments, **named)
        except gr.Error:  # a ValueError, too
            raise
        except ValueError:
            said = UserError(
                "The picture is not a file that was uploaded here; upload it first and send its path, as README.md shows."
            )
            raise gr.Error(str(said), print_exception=False) from None

    def validate_inputs(self, block_fn: BlockFunction, inputs: list[Any]) -> None:
        """Append the defaults of what was left out."""
        inputs += [getattr(block, "value", None) for block in block_fn.inputs[len(inputs) :]]


def build(explainer: Explainer, device: str = "auto", gpu: Decorator | None = None) -> Page:
    """The page. `gpu`: see `ExplainerCache`; the first answer is made here, before any GPU is lent."""
    cache = ExplainerCache(explainer, device, gpu=gpu)
    places = 4 * worker_count() if explainer.device.type == "cpu" and gpu is None else ON_GPU
    questions, loads = FairQueue(places), FairQueue(1, waiting=16, per_session=1)
    long = FairQueue(1, waiting=16, per_session=1)  # what takes seconds must not keep questions waiting
    drawings, pictures = FairQueue(1, waiting=16, per_session=2), ChannelPictures()

    async def look_at_channels(event: gr.EventData, request: gr.Request) -> AsyncIterator[Message]:
        query = PageQuery.from_browser(event._data)
        found: list[Strongest] = []

        def look(tell: Tell) -> None:
            if query.channel is not None:
                return tell(channels.firing(query, cache))
            found.append(channels.strongest(query, cache))
            tell(found[0].message(pictures))

        def draw(tell: Tell) -> None:
            found[0].draw(pictures, tell)

        def waiting(number: int) -> Message:
            return {"channels": {"waiting": number}}

        async for message in handlers.messages(questions, request, query, look, waiting, "error"):
            yield message
        if query.draw and found:
            async for message in handlers.messages(drawings, request, query, draw, waiting, "error"):
                yield message

    with Blocks(title="Inside GoogLeNet", analytics_enabled=False) as demo:
        first = {"n": FIRST.number, **handlers.answer(FIRST, ExplainerCache(explainer, device))}
        walk = gr.HTML(
            {**first, "weights": handlers.described(explainer, None)},
            html_template=(HERE / "page" / "index.html").read_text("utf-8"),
            js_on_load=script(),
            apply_default_css=False,
            elem_id="walk",
            words=texts.PAGE,
            shared=shared(),
            space=space_page(),
            magma=colours(MAGMA),
            blues=colours(BLUES),
            examples=[{"name": name, "thumb": thumb(path)} for name, path in handlers.EXAMPLES.items()],
            sources=[] if cache.lent else [vars(known) for known in KNOWN_SOURCES],
        )
        # the queues are ours: Gradio starts every event at once
        quiet: dict[str, Any] = {
            "outputs": walk,
            "show_progress": "hidden",
            "api_visibility": "private",
            "concurrency_limit": None,
        }
        # one message is one HTTP request, at half the cost of Gradio's queue; a GPU is lent to events of that queue alone
        direct: dict[str, Any] = {**quiet, "queue": cache.lent, "trigger_mode": "multiple"}
        walk.select(at_once(questions, "select", lambda query: handlers.answer(query, cache)), **direct)
        walk.input(at_once(questions, "input", lambda query: handlers.archive(query, cache)), **direct)
        walk.edit(at_once(questions, "edit", lambda query: experiments.cover(query, cache)), **direct)
        choose_weights = in_steps(
            loads,
            lambda query, tell: handlers.choose_weights(query, cache, tell),
            lambda number: handlers.load_progress(waiting=number),
            failed="weights_error",
        )
        walk.submit(choose_weights, **quiet, trigger_mode="once")
        walk.expand(look_at_channels, **quiet, trigger_mode="multiple")
        trust = in_steps(
            long,
            lambda query, tell: experiments.trust(query, cache, tell),
            lambda number: experiments.trust_progress(waiting=number),
        )
        walk.like(trust, **quiet, trigger_mode="multiple")
        endpoints(cache, questions, long)
    for block in demo.blocks.values():  # Gradio asks each anew for every new session: 3 ms
        block.get_config = partial(dict, block.get_config())
    demo.queue(api_open=False, max_size=1000, status_update_rate=3600)  # else each event tells all others of its place
    return Page(demo, (questions, loads, long, drawings))


def at_once(queue: FairQueue, name: str, work: Callable[[PageQuery], Message]) -> Callable[..., Awaitable[Message]]:
    """The handler of an event that brings one message (`handlers.one_message`)."""

    async def handle(event: gr.EventData, request: gr.Request) -> Message:
        query = PageQuery.from_browser(event._data)
        return await handlers.one_message(queue, request, name, query, lambda: work(query))

    return handle


def in_steps(
    queue: FairQueue, work: Callable[[PageQuery, Tell], None], waiting: Callable[[int], Message], failed: str = "error"
) -> Callable[..., AsyncIterator[Message]]:
    """The handler of an event that tells of its progress (`handlers.messages`)."""

    async def handle(event: gr.EventData, request: gr.Request) -> AsyncIterator[Message]:
        query = PageQuery.from_browser(event._data)
        async for message in handlers.messages(queue, request, query, lambda tell: work(query, tell), waiting, failed):
            yield message

    return handle


def script() -> str:
    """The page's script: the files of `js/` joined in a fixed order, in one scope."""
    return "\n".join((HERE / "page" / "js" / f"{name}.js").read_text("utf-8") for name in SCRIPT)


def style() -> str:
    """The look of the page, then of what explains it, then what differs on narrow screens, in print and in forced colours."""
    return "\n".join((HERE / "page" / name).read_text("utf-8") for name in ("page.css", "lesson.css", "screens.css"))


def shared() -> dict[str, Any]:
    """What Python and the script both know."""
    return {
        "heads": HEADS,
        "stages": STAGES,
        "branches": BRANCHES,
        "last_stage": {head: stages[-1] for head, stages in STAGES_BEFORE.items()},
        "spotlight": vars(SPOTLIGHT),
        "gone": GONE,
    }


def colours(table: NDArray[np.float32]) -> str:
    """A table of colours as bytes in base64."""
    return base64.b64encode(table.round().astype(np.uint8).tobytes()).decode()


def space_page() -> str | None:
    """The page of the Space that this program runs in, which shows it in a frame; None anywhere else."""
    space = os.environ.get("SPACE_ID")
    return space and f"{huggingface_hub.constants.ENDPOINT}/spaces/{space}"


def thumb(path: str) -> str:
    image = open_image(path)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return handlers.data_url(image.crop((left, top, left + side, top + side)), 112)


def theme() -> gr.themes.Base:
    """The palette of `page.css` for what Gradio draws itself; fonts that ship with Gradio, nothing from another host."""
    return gr.themes.Base(primary_hue="orange", neutral_hue="stone").set(
        body_background_fill="#faf8f4", body_background_fill_dark="#151312"
    )


def launch_options(guard: Middleware) -> dict[str, Any]:
    """What Gradio takes at launch and not in Blocks. `guard`: sees every request first."""
    return {
        "theme": theme(),
        "head": f"<style>{style()}</style>",
        "footer_links": ["api"],
        "run_history": False,
        "enable_monitoring": False,
        "max_file_size": "20mb",
        "app_kwargs": {"middleware": [guard, Middleware(LinkPreview)]},
        "max_threads": 600,  # events that Gradio starts at once; more than our queues hold, so that these decide
        "state_session_capacity": 50,  # Gradio keeps each session's last answer, which nothing here reads
    }
