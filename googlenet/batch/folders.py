"""`googlenet explain`: the pipeline from picture files to explanations and the files of their results.

Three steps overlap. Threads prepare the next pictures, which processes decode. Other threads run the model on batches. The
calling thread hands the results on in order. Each step is a bounded number of pictures ahead of the next, so that memory does not
grow with the folder.
"""

from __future__ import annotations

import queue
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image, PngImagePlugin
from torch import Tensor

from googlenet.batch.files import SOFTWARE, STDIN, PictureFile, make_folder, outputs
from googlenet.batch.text import index_row, write_index
from googlenet.concurrency.threads import batched, in_order, threads
from googlenet.errors import UserError, reason
from googlenet.explanation import Explanation, Question
from googlenet.explanation.render import overlay, sheet
from googlenet.inference.device import cores
from googlenet.inference.explainer import Explainer
from googlenet.pictures.decoding import Decoder
from googlenet.pictures.pixels import MAX_BYTES
from googlenet.probes.trust import examine_prepared

__all__ = ["Prepared", "explain_files", "preparation"]

SIDE = 2048
"""The longer side of an overlay in pixels at most, unless it has the picture's size (`--full-size`)."""
_WITH_PICTURES = 8
"""The most pictures in a batch whose overlays are drawn. They stay in memory until then."""


@dataclass(frozen=True)
class Prepared:
    """A decoded picture."""

    x: Tensor
    """(1, 3, S, S)"""
    size: tuple[int, int]
    """(width, height) in its file, upright"""
    image: Image.Image | None
    """what overlays are drawn on; None where no overlay is drawn"""


Outcome = Explanation | UserError


def explain_files(
    explainer: Explainer,
    question: Question,
    files: Sequence[PictureFile],
    out: Path | None = None,
    *,
    only: str | None = None,
    full_size: bool = False,
    tested: Sequence[str] = (),
) -> Generator[tuple[PictureFile, Outcome], None, None]:
    """Explain pictures, and write their overlays, contact sheets and grids to a folder, with a page that lists several.

    Args:
        explainer: runs the model.
        question: asked about every picture.
        files: the pictures' files.
        out: folder for these files, checked by `check_outputs`; None writes none.
        only: the kind of results that are written (sheet, overlays or maps); None for all.
        full_size: draw overlays as large as the picture, in place of `SIDE` pixels at most.
        tested: stages whose maps are tested (`googlenet.probes.trust`).

    Yields:
        Each picture in order, with its Explanation or the UserError that says why it could not be read.

    Raises:
        UserError: results cannot be written.
    """
    step = explainer.engine.largest if out is None else 1 if full_size else min(explainer.engine.largest, _WITH_PICTURES)
    workers = 1 if full_size else cores()
    lanes = len(explainer.passes.engines)
    drawn = None if out is None else full_size
    with preparation(explainer, drawn, workers) as prepare, threads(workers) as preparing, threads(lanes) as running:
        prepared = in_order(preparing, prepare, files, ahead=(1 + lanes) * step)
        batches = in_order(
            running, lambda batch: _explain_batch(explainer, question, batch, tested), batched(prepared, step), ahead=1 + lanes
        )
        explained = (each for batch in batches for each in batch)
        if out is None:
            yield from ((file, outcome) for file, _, outcome in explained)
        else:
            rows = []
            for file, outcome in in_order(preparing, lambda each: _write(out, only, *each), explained, ahead=workers):
                rows.append(index_row(out, file, outcome, only))
                yield file, outcome
            if len(rows) > 1:
                write_index(out, rows)


@contextmanager
def preparation(
    explainer: Explainer, full_size: bool | None, workers: int
) -> Iterator[Callable[[PictureFile], tuple[PictureFile, Prepared | UserError]]]:
    """A function that decodes and prepares a picture, for `workers` threads: each call takes one of as many decoding processes.

    `full_size`: as in `explain_files`; None where no overlay is drawn.
    """
    enough = explainer.config.preprocess.enough
    least = {None: enough, False: max(SIDE, enough), True: None}[full_size]
    decoders = [Decoder() for _ in range(workers)]
    free: queue.SimpleQueue[Decoder] = queue.SimpleQueue()
    for decoder in decoders:
        free.put(decoder)

    def prepare(file: PictureFile) -> tuple[PictureFile, Prepared | UserError]:
        decoder = free.get()
        try:
            if file.path == STDIN:
                picture = decoder.open_bytes(sys.stdin.buffer.read(MAX_BYTES + 1), "stdin", least)
            else:
                picture = decoder.open(file.path, least)
        except UserError as error:
            return file, error
        finally:
            free.put(decoder)
        image = picture.image
        if full_size is False:
            image = picture.image.copy()
            image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
        x = explainer.prepare([picture.image])
        return file, Prepared(x, picture.size, None if full_size is None else image)

    try:
        yield prepare
    finally:
        for decoder in decoders:
            decoder.stop()


def _explain_batch(
    explainer: Explainer, question: Question, batch: Sequence[tuple[PictureFile, Prepared | UserError]], tested: Sequence[str]
) -> list[tuple[PictureFile, Prepared | None, Outcome]]:
    """Explain the pictures of a batch that could be read, and test the maps of the stages in `tested`."""
    good = [prepared for _, prepared in batch if isinstance(prepared, Prepared)]
    sizes = [prepared.size for prepared in good]
    answers = iter(
        explainer.outcomes(torch.cat([prepared.x for prepared in good]), sizes, [question] * len(good)) if good else ()
    )
    outcomes: list[tuple[PictureFile, Prepared | None, Outcome]] = []
    for file, prepared in batch:
        if not isinstance(prepared, Prepared):
            outcomes.append((file, None, prepared))
            continue
        answer: Outcome = next(answers)
        if isinstance(answer, UserError):
            answer = UserError("{name} is left out: {error}", name=file.path, error=answer)
        elif tested:
            answer = examine_prepared(explainer, prepared.x, answer, tested)
        outcomes.append((file, prepared, answer))
    return outcomes


def _write(
    out: Path, only: str | None, file: PictureFile, prepared: Prepared | None, outcome: Outcome
) -> tuple[PictureFile, Outcome]:
    """Write `<name>-<stage>.png` for each stage that the head sees, `<name>-sheet.png` and `<name>.npz`.

    Raises UserError where they cannot be written.
    """
    if isinstance(outcome, Explanation) and prepared and prepared.image:
        make_folder((out / file.name).parent)
        try:
            for ending, path in outputs(out, file, only).items():
                if ending == ".npz":
                    path.write_bytes(outcome.npz())
                elif ending == "-sheet.png":
                    _save(sheet(prepared.image, outcome), path)
                elif ending[1:3] in outcome.branch_grids:
                    _save(overlay(prepared.image, outcome, ending[1:3]), path)
        except OSError as error:
            raise UserError(
                "The results of {name} cannot be written to {folder}: {error}.",
                name=file.name.name,
                folder=(out / file.name).parent,
                error=reason(error),
            ) from None
    return file, outcome


def _save(image: Image.Image, path: Path) -> None:
    """Write a PNG with our `Software`."""
    text = PngImagePlugin.PngInfo()
    text.add_text("Software", SOFTWARE)
    image.save(path, pnginfo=text, compress_level=1)  # faster than the usual level, for somewhat larger files
