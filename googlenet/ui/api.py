"""The named endpoints, for gradio_client, curl and MCP: they answer in the weights that the program was started with.

Gradio shows a function's docstring and parameters to whoever calls it.
"""

from __future__ import annotations

import inspect
import json
import secrets
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from googlenet.errors import UserError
from googlenet.explanation import GRAD_CAM, Question
from googlenet.explanation.render import overlays
from googlenet.explanation.render import sheet as draw_sheet
from googlenet.model.architecture import STAGES_BEFORE
from googlenet.pictures.pixels import Picture
from googlenet.ui.desk import Desk, tested
from googlenet.ui.messages import ENDPOINTS, PageQuery
from googlenet.ui.turns import Progress, Turns, Visitor, own_address
from googlenet.ui.uploads import SIDE, is_disk_full
from googlenet.ui.weights import explain_picture

__all__ = ["endpoints"]

File = dict[str, Any] | None
"""A file as Gradio brings it, checked to be one that was uploaded: {path, orig_name, …}."""
Json = dict[str, Any]


_PARAMETERS = {
    "image": "The picture (JPEG, PNG, WebP, GIF, BMP or TIFF, at most 20 MB and 50 megapixels; a WebP 17.5); "
    "over MCP a data: URL (base64) of at most 3 MB.",
    "head": "The classifier to explain: main, aux2 or aux1.",
    "target": "The class or group to explain, by label or index; empty for the head's own top class.",
    "contrast": "Explain why target rather than this class or group; empty for the class itself.",
    "stage": "The stage whose map is tested, such as 4d; empty for the last one that the head sees.",
    "method": "How a map is made: grad-cam or layer-cam.",
}
"""parameter → what Gradio shows of it"""


def endpoints(desk: Desk) -> None:
    """Add `/classify`, `/explain`, `/report`, `/sheet`, `/channels` and `/trust` to the Blocks being built."""
    own = desk.explainers.own

    async def in_turn(queue: Turns, request: gr.Request, image: File, answer: Callable[[Picture, Progress], Any]) -> Any:
        """Run `answer` on the picture in its turn. Where the caller has left, it ends at its next call of `tell`."""
        visitor = Visitor(request.session_hash or secrets.token_hex(8), own_address(request))
        desk.open += 1
        try:
            if not image:
                raise UserError("There is no picture; send one as image.")
            picture = await desk.opened(desk.pictures.find(image["path"]), visitor)
            return await queue.run(visitor, lambda tell: answer(picture, tell))
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from None
        finally:
            desk.open -= 1

    async def classify(image: File, request: gr.Request) -> Json:
        """Classify a picture with GoogLeNet's three heads, in order of depth (aux1, aux2, main).

        Returns:
            For each head its five most probable classes with index, label and probability; null for a head that the weights lack.
            Under statements, for each head, the most specific class or group that it is sure of, with its probability.
        """

        def answer(picture: Picture, _: Progress) -> Json:
            result = explain_picture(own, picture, own.question()).to_json("")
            return {**result["heads"], "statements": result["statements"]}

        return await in_turn(desk.questions, request, image, answer)

    async def explain(
        image: File, request: gr.Request, head: str = "main", target: str = "", contrast: str = "", method: str = GRAD_CAM
    ) -> tuple[Json, list[tuple[str, str]]]:
        """Explain where in a picture each of GoogLeNet's nine Inception stages finds evidence for a class (Grad-CAM, LayerCAM).

        Returns:
            The explanation as JSON (heads, belief, peaks and shares by stage), and one overlay for each stage that the head sees.
        """

        def answer(picture: Picture, _: Progress) -> tuple[Json, list[tuple[str, str]]]:
            explanation = explain_picture(own, picture, asked(head, target, contrast, method))
            stages = list(explanation.branch_grids)
            drawn = dict(zip(stages, overlays(picture.image, explanation, stages, SIDE), strict=True))
            files = _saved(drawn, desk.pictures.folder)
            return explanation.to_json(_name_of(image)), [(path, stage) for stage, path in files.items()]

        return await in_turn(desk.questions, request, image, answer)

    async def report(
        image: File, request: gr.Request, head: str = "main", target: str = "", contrast: str = "", method: str = GRAD_CAM
    ) -> str:
        """Report where in a picture each of GoogLeNet's nine Inception stages finds evidence for a class, in JSON.

        Returns:
            The explanation as the text of a JSON object (heads, statements, belief, peaks and shares by stage).
        """

        def answer(picture: Picture, _: Progress) -> str:
            explanation = explain_picture(own, picture, asked(head, target, contrast, method))
            return json.dumps(explanation.to_json(_name_of(image)), ensure_ascii=False)

        return await in_turn(desk.questions, request, image, answer)

    async def sheet(
        image: File, request: gr.Request, head: str = "main", target: str = "", contrast: str = "", method: str = GRAD_CAM
    ) -> str:
        """Draw where in a picture each of GoogLeNet's nine Inception stages finds evidence for a class, on one image.

        Returns:
            An image with the picture, the answers of the heads, and the overlays of all stages.
        """

        def answer(picture: Picture, _: Progress) -> str:
            explanation = explain_picture(own, picture, asked(head, target, contrast, method))
            return _saved({"sheet": draw_sheet(picture.image, explanation)}, desk.pictures.folder)["sheet"]

        return await in_turn(desk.questions, request, image, answer)

    async def channels(
        image: File, request: gr.Request, head: str = "main", target: str = "", contrast: str = "", method: str = GRAD_CAM
    ) -> Json:
        """Name the channels of each of GoogLeNet's stages that speak most for a class in a picture, and those most against it.

        Returns:
            The explanation as JSON. Its field channels has, by stage, each channel's number, branch, share and peak.
        """

        def answer(picture: Picture, _: Progress) -> Json:
            return explain_picture(own, picture, asked(head, target, contrast, method, channels=True)).to_json(_name_of(image))

        return await in_turn(desk.questions, request, image, answer)

    async def trust(
        image: File,
        request: gr.Request,
        head: str = "main",
        target: str = "",
        contrast: str = "",
        stage: str = "",
        method: str = GRAD_CAM,
    ) -> Json:
        """Test how far the map of one of GoogLeNet's stages can be trusted on a picture: deletion, insertion, random weights.

        Returns:
            The explanation as JSON. Its field trust has, by stage, the curves, their areas, the rank correlation with the map of
            the network with randomised weights, and a sentence. It takes seconds.
        """

        def answer(picture: Picture, tell: Progress) -> Json:
            question = asked(head, target, contrast, method)
            name = str(stage)[:20] or STAGES_BEFORE[question.head][-1]
            return tested(own, picture, question, name, tell).to_json(_name_of(image))

        return await in_turn(desk.long, request, image, answer)

    def asked(head: object, target: object, contrast: object, method: object, *, channels: bool = False) -> Question:
        """A question about the picture. Anything but text and numbers counts as not sent. Raises UserError."""
        ask = PageQuery.from_browser({"head": head, "target": target, "contrast": contrast})
        method = method[:99] if isinstance(method, str) and method else GRAD_CAM
        return own.question(ask.head, ask.target, ask.contrast, method=method, channels=channels)

    defaults = {"head": "main", "target": "", "contrast": "", "stage": "", "method": GRAD_CAM}
    inputs: dict[str, Any] = {name: gr.Textbox(value, label=name, visible=False) for name, value in defaults.items()}
    inputs["image"] = gr.File(label="image", visible=False)  # gr.Image decodes a file before the decoding process can check it
    heads, result = gr.JSON(label="heads", visible=False), gr.JSON(label="explanation", visible=False)
    gallery = gr.Gallery(label="overlays", format="jpeg", visible=False)
    drawing = gr.Image(label="sheet", format="jpeg", visible=False)
    text = gr.Textbox(label="explanation", visible=False)  # of a gr.JSON, an assistant gets Python's notation
    table: dict[Callable[..., Any], list[Any]] = {
        classify: [heads],
        explain: [result, gallery],
        report: [text],
        sheet: [drawing],
        channels: [result],
        trust: [result],
    }
    for function, outputs in table.items():
        names = ENDPOINTS[function.__name__]
        told = "".join(f"    {name}: {_PARAMETERS[name]}\n" for name in names)
        function.__doc__ = inspect.cleandoc(function.__doc__ or "").replace("Returns:", f"Args:\n{told}\nReturns:")
        # without `preprocess`, which leaves an empty file for every call
        asks = [inputs[name] for name in names]
        gr.Button(visible=False).click(function, asks, outputs, api_name=function.__name__, preprocess=False)


def _name_of(image: File) -> str:
    return Path(image["path"]).name if image else ""


def _saved(images: Mapping[str, Image.Image], folder: Path) -> dict[str, str]:
    """name → file of each image, in the folder that is swept. Raises UserError where the disk is full."""
    try:
        place = Path(tempfile.mkdtemp(dir=folder))
        for name, image in images.items():
            image.save(place / f"{name}.jpg", "JPEG", quality=85)
    except OSError as error:
        if is_disk_full(error):
            raise UserError("The server's disk is full; try again later.") from None
        raise
    return {name: str(place / f"{name}.jpg") for name in images}
