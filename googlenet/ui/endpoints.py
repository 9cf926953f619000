"""The named endpoints, for gradio_client, curl and MCP: they answer in the weights that the program was started with.

Gradio shows a function's docstring and parameters to whoever calls it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components.gallery import GalleryImage
from gradio.data_classes import ImageData
from gradio.processing_utils import save_pil_to_cache
from gradio.route_utils import API_PREFIX
from gradio.utils import get_upload_folder
from PIL import Image

from googlenet.errors import UserError
from googlenet.explanation.render import overlays
from googlenet.pictures.pixels import Picture
from googlenet.probes.trust import examine
from googlenet.ui import handlers
from googlenet.ui.explainers import ExplainerCache, of_whole
from googlenet.ui.fairqueue import FairQueue
from googlenet.ui.fetching import Fetching
from googlenet.ui.query import PageQuery
from googlenet.ui.tickets import Tell
from googlenet.ui.uploads import is_disk_full
from googlenet.ui.visitor import visitor_of

File = dict[str, Any] | None
"""A file as Gradio brings it, checked to be one that was uploaded: {path, orig_name, …}."""


def endpoints(cache: ExplainerCache, questions: FairQueue, long: FairQueue) -> None:
    """Add `/classify`, `/explain`, `/channels` and `/trust` to the Blocks being built. `long` is for what takes seconds."""

    async def in_turn(queue: FairQueue, request: gr.Request, image: File, answer: Callable[[Picture, Tell], Any]) -> Any:
        """What `answer` makes of the picture; what it tells meanwhile ends it where the caller has left."""

        def work(tell: Tell) -> None:
            if not image:
                raise UserError("There is no picture; send one as image.")
            tell(answer(handlers.open_named(Path(image["path"])), tell))

        try:
            return [told async for told in queue.run(visitor_of(request), work)][-1]
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from None

    async def classify(image: File, request: gr.Request) -> dict[str, Any]:
        """Classify a picture with GoogLeNet's three heads, in order of depth (aux1, aux2, main).

        Args:
            image: The picture (JPEG, PNG, WebP, GIF, BMP or TIFF, at most 20 MB and 50 megapixels).

        Returns:
            For each head its five most probable classes with index, label and probability; null for a head that the weights lack.
        """
        return await in_turn(questions, request, image, lambda opened, _: cache.explain(opened, PageQuery()).to_json("")["heads"])

    async def explain(
        image: File, request: gr.Request, head: str = "main", target: str = "", contrast: str = ""
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Explain where in a picture each of GoogLeNet's nine Inception stages finds evidence for a class (Grad-CAM).

        Args:
            image: The picture (JPEG, PNG, WebP, GIF, BMP or TIFF, at most 20 MB and 50 megapixels).
            head: The classifier to explain: main, aux2 or aux1.
            target: The class to explain, by label or index; empty for the head's own top class.
            contrast: Explain why target rather than this class, by label or index; empty for the class itself.

        Returns:
            The explanation as JSON (heads, belief, peaks and shares by stage), and one overlay for each stage that the head sees.
        """

        def with_overlays(opened: Picture, _: Tell) -> Any:
            explanation = cache.explain(opened, asked(head, target, contrast))
            stages = list(explanation.branch_grids)
            drawn = overlays(opened.image, explanation, stages, handlers.SIDE)
            return explanation.to_json(name_of(image)), [kept(each, stage) for each, stage in zip(drawn, stages, strict=True)]

        return await in_turn(questions, request, image, with_overlays)

    async def channels(
        image: File, request: gr.Request, head: str = "main", target: str = "", contrast: str = ""
    ) -> dict[str, Any]:
        """Name the channels of each of GoogLeNet's stages that speak most for a class in a picture, and those most against it.

        Args:
            image: The picture (JPEG, PNG, WebP, GIF, BMP or TIFF, at most 20 MB and 50 megapixels).
            head: The classifier to explain: main, aux2 or aux1.
            target: The class to explain, by label or index; empty for the head's own top class.
            contrast: Explain why target rather than this class, by label or index; empty for the class itself.

        Returns:
            The explanation as JSON. Its field channels has, by stage, each channel's number, branch, share and peak.
        """

        def named(opened: Picture, _: Tell) -> Any:
            return cache.explain(opened, replace(asked(head, target, contrast), channels=True)).to_json(name_of(image))

        return await in_turn(questions, request, image, named)

    async def trust(
        image: File, request: gr.Request, head: str = "main", target: str = "", contrast: str = "", stage: str = ""
    ) -> dict[str, Any]:
        """Test how far the map of one of GoogLeNet's stages can be trusted on a picture: deletion, insertion, random weights.

        Args:
            image: The picture (JPEG, PNG, WebP, GIF, BMP or TIFF, at most 20 MB and 50 megapixels).
            head: The classifier to explain: main, aux2 or aux1.
            target: The class to explain, by label or index; empty for the head's own top class.
            contrast: Explain why target rather than this class, by label or index; empty for the class itself.
            stage: The stage whose map is tested, such as 4d; empty for the last one that the head sees.

        Returns:
            The explanation as JSON. Its field trust has, by stage, the curves, their areas, the rank correlation with the map of
            the network with randomised weights, and a sentence. It takes seconds.
        """

        def tested(opened: Picture, tell: Tell) -> Any:
            query = asked(head, target, contrast)
            question = cache.own.question(query.head, query.target, query.contrast)
            task = partial(examine, image=opened.image, question=question, stages=[str(stage)[:20]] if stage else [])
            if not cache.lent:  # a lent GPU's process can tell nothing while it runs
                task = partial(task, progress=tell)
            return of_whole(cache.apply(PageQuery(), task), opened).to_json(name_of(image))

        return await in_turn(long, request, image, tested)

    image = gr.File(label="image", visible=False)  # not gr.Image, which decodes a file before `open_image` can check it
    image.async_move_resource_to_block_cache = Fetching(image.async_move_resource_to_block_cache)  # type: ignore[method-assign]
    head = gr.Textbox("main", label="head", visible=False)
    target, contrast, stage = (gr.Textbox("", label=label, visible=False) for label in ("target", "contrast", "stage"))
    heads, result = gr.JSON(label="heads", visible=False), gr.JSON(label="explanation", visible=False)
    gallery = gr.Gallery(label="overlays", format="jpeg", visible=False)
    named: list[tuple[Callable[..., Any], list[Any], list[Any]]] = [
        (classify, [image], [heads]),
        (explain, [image, head, target, contrast], [result, gallery]),
        (channels, [image, head, target, contrast], [result]),
        (trust, [image, head, target, contrast, stage], [result]),
    ]
    for function, inputs, outputs in named:
        gr.Button(visible=False).click(
            function,
            inputs,
            outputs,
            api_name=function.__name__,
            concurrency_limit=None,
            preprocess=False,  # Gradio's leaves an empty file for every call
            postprocess=False,  # and looks ten times at the path of each overlay
        )


def asked(head: object, target: object, contrast: object) -> PageQuery:
    """A question about the picture. Anything but text and numbers counts as not sent."""
    return PageQuery.from_browser({"head": head, "target": target, "contrast": contrast})


def name_of(image: File) -> str:
    return Path(image["path"]).name if image else ""


def kept(image: Image.Image, caption: str) -> dict[str, Any]:
    """A picture for a gallery, as a file in the folder that is swept. Raises UserError where the disk is full."""
    try:
        path = save_pil_to_cache(image, get_upload_folder(), format="jpeg")
    except OSError as error:
        if is_disk_full(error):
            raise UserError("The server's disk is full; try again later.") from None
        raise
    return GalleryImage(image=ImageData(path=path, url=f"{API_PREFIX}/file={path}"), caption=caption).model_dump()
