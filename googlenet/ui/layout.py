"""The page's frame: one component that draws everything, its events, and the two named endpoints."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import huggingface_hub
import numpy as np
from PIL import Image

from googlenet.architecture import BRANCHES, HEADS, STAGES, STAGES_BEFORE
from googlenet.checkpoints.source import KNOWN_SOURCES
from googlenet.errors import UserError
from googlenet.explainer import Explainer
from googlenet.images import open_image
from googlenet.render import MAGMA, SPOTLIGHT, overlay
from googlenet.ui import handlers, texts
from googlenet.ui.handlers import ExplainerCache, Message, PageQuery

HERE = Path(__file__).parent
SCRIPT = (
    "state",
    "memory",
    "drawing",
    "strip",
    "heads",
    "tabs",
    "enlarged",
    "evidence",
    "cover",
    "play",
    "answer",
    "asking",
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

FIRST = PageQuery(example=next(iter(handlers.EXAMPLES)))
"""The question whose answer is the first thing that a visitor sees."""


def build(explainer: Explainer, device: str = "auto", gpu: handlers.Decorator | None = None) -> gr.Blocks:
    """The page as Gradio Blocks. `gpu`: see `ExplainerCache`; the first answer is made here, before any GPU is lent."""
    cache = ExplainerCache(explainer, device, gpu=gpu)

    def ask(event: gr.EventData) -> Message:
        return handlers.answer(PageQuery.from_browser(event._data), cache)

    def take_along(event: gr.EventData) -> Message:
        return handlers.take_along(PageQuery.from_browser(event._data), cache)

    def choose_weights(event: gr.EventData) -> Iterator[Message]:
        yield from handlers.choose_weights(PageQuery.from_browser(event._data), cache)

    with gr.Blocks(title="Inside GoogLeNet", analytics_enabled=False, delete_cache=(600, 3000)) as demo:
        first = handlers.answer(FIRST, ExplainerCache(explainer, device))
        walk = gr.HTML(
            {**first, "weights": handlers.described(explainer, None)},
            html_template=(HERE / "page.html").read_text("utf-8"),
            js_on_load=script(),
            apply_default_css=False,
            elem_id="walk",
            words=texts.PAGE,
            shared=shared(),
            space=space_page(),
            magma=base64.b64encode(MAGMA.round().astype(np.uint8).tobytes()).decode(),
            examples=[{"name": name, "thumb": thumb(path)} for name, path in handlers.EXAMPLES.items()],
            sources=[] if cache.lent else [vars(known) for known in KNOWN_SOURCES],
        )
        quiet: dict[str, Any] = {"outputs": walk, "show_progress": "hidden", "api_visibility": "private"}
        walk.select(ask, **quiet, trigger_mode="multiple", concurrency_limit=4)  # `js/asking.js` sends one at a time
        walk.input(take_along, **quiet, trigger_mode="once", concurrency_limit=2)
        walk.submit(choose_weights, **quiet, trigger_mode="once", concurrency_limit=2)
        endpoints(cache)
    demo.queue(max_size=64, default_concurrency_limit=4)
    return demo


def script() -> str:
    """The page's script: the files of `js/` joined in a fixed order, in one scope."""
    return "\n".join((HERE / "js" / f"{name}.js").read_text("utf-8") for name in SCRIPT)


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


def space_page() -> str | None:
    """The page of the Space that this program runs in, which shows it in a frame; None anywhere else."""
    space = os.environ.get("SPACE_ID")
    return space and f"{huggingface_hub.constants.ENDPOINT}/spaces/{space}"


def thumb(path: str) -> str:
    image = open_image(path)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return handlers.data_url(image.crop((left, top, left + side, top + side)), 112)


def endpoints(cache: ExplainerCache) -> None:
    """`/classify` and `/explain`, for gradio_client, curl and MCP; in the weights that the program was started with."""

    def asked(image: str | None, head: str, target: str, contrast: str) -> tuple[Image.Image, Any]:
        if not image:
            raise gr.Error("There is no picture; send one as image.", print_exception=False)
        try:
            opened = handlers.open_named(Path(image))
            return opened, cache.explain(opened, PageQuery(head=head, target=target or None, contrast=contrast or None))
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from None

    def classify(image: str) -> dict[str, Any]:
        """Classify a picture with GoogLeNet's three heads, in order of depth (aux1, aux2, main).

        Args:
            image: The picture (JPEG, PNG, WebP, GIF, BMP or TIFF, at most 20 MB and 50 megapixels).

        Returns:
            For each head its five most probable classes with index, label and probability; null for a head that the weights lack.
        """
        return asked(image, "main", "", "")[1].to_json(Path(image).name)["heads"]

    def explain(
        image: str, head: str = "main", target: str = "", contrast: str = ""
    ) -> tuple[dict[str, Any], list[tuple[Image.Image, str]]]:
        """Explain where in a picture each of GoogLeNet's nine Inception stages finds evidence for a class (Grad-CAM).

        Args:
            image: The picture (JPEG, PNG, WebP, GIF, BMP or TIFF, at most 20 MB and 50 megapixels).
            head: The classifier to explain: main, aux2 or aux1.
            target: The class to explain, by label or index; empty for the head's own top class.
            contrast: Explain why target rather than this class, by label or index; empty for the class itself.

        Returns:
            The explanation as JSON (heads, belief, peaks and shares by stage), and one overlay for each stage that the head sees.
        """
        opened, explanation = asked(image, head, target, contrast)
        overlays = [(overlay(opened, explanation, stage, handlers.SIDE), stage) for stage in explanation.branch_grids]
        return explanation.to_json(Path(image).name), overlays

    image = gr.File(label="image", visible=False)  # not gr.Image, which decodes a file before `open_image` can check it
    head = gr.Textbox("main", label="head", visible=False)
    target, contrast = gr.Textbox("", label="target", visible=False), gr.Textbox("", label="contrast", visible=False)
    heads, result = gr.JSON(label="heads", visible=False), gr.JSON(label="explanation", visible=False)
    overlays = gr.Gallery(label="overlays", format="jpeg", visible=False)
    named: list[tuple[Callable[..., Any], list[Any], list[Any], str]] = [
        (classify, [image], [heads], "classify"),
        (explain, [image, head, target, contrast], [result, overlays], "explain"),
    ]
    for function, inputs, outputs, name in named:
        gr.Button(visible=False).click(function, inputs, outputs, api_name=name, concurrency_limit=4)


def theme() -> gr.themes.Base:
    """The palette of `page.css` for what Gradio draws itself; fonts that ship with Gradio, nothing from another host."""
    return gr.themes.Base(primary_hue="orange", neutral_hue="stone").set(
        body_background_fill="#faf8f4", body_background_fill_dark="#151312"
    )


def launch_options() -> dict[str, Any]:
    """What Gradio takes at launch and not in Blocks."""
    return {
        "theme": theme(),
        "head": f"<style>{(HERE / 'page.css').read_text('utf-8')}</style>",
        "footer_links": ["api"],
        "run_history": False,
        "enable_monitoring": False,
        "max_file_size": "20mb",
    }
