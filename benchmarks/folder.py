"""Compares `explain FOLDER` with the engine alone: `python -m benchmarks.folder [FOLDER] [--pictures 160] [--rounds 3]`.

Without FOLDER it makes photographs of 500×375 pixels: enlarged parts of pictures that come with Gradio, with noise like a
camera's, as JPEG of quality 90. Each row is the median of interleaved rounds, in pictures a second:

engine: the model on batches that are already decoded and prepared.
decode: one thread decodes and prepares; the model does not run.
in turn: one thread decodes, computes and writes one batch after the other.
explain: the pipeline, with JSON lines to the null device.
parquet: the pipeline, with rows of a table to the null device.
overlays: the pipeline with `--out`, for a tenth of the pictures.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

import gradio.media
import numpy as np
import torch
from PIL import Image

from googlenet.batch.files import PictureFile, find_pictures
from googlenet.batch.folders import Prepared, explain_files, preparation
from googlenet.batch.table import table_writer
from googlenet.checkpoints.source import default_source
from googlenet.concurrency.threads import batched
from googlenet.explanation import Explanation, Question
from googlenet.inference.explainer import Explainer
from googlenet.pictures.images import open_image


def photographs(folder: Path, count: int) -> None:
    """Write photographs of 500×375 pixels."""
    rng = np.random.default_rng(0)
    originals = [open_image(gradio.media.get_image(name)) for name in ("lion.jpg", "cheetah.jpg", "tower.jpg")]
    for i in range(count):
        original = originals[i % len(originals)]
        width = int(min(original.width, original.height * 4 / 3) * rng.uniform(0.6, 1))
        height = width * 3 // 4
        left, top = (int(rng.integers(side + 1)) for side in (original.width - width, original.height - height))
        part = original.resize((500, 375), Image.Resampling.BICUBIC, (left, top, left + width, top + height))
        noisy = np.asarray(part) + rng.normal(0, 6, (375, 500, 3))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{i:05}.jpg", quality=90)


def contenders(explainer: Explainer, sources: Sequence[PictureFile], out: Path, sink: TextIO) -> dict[str, Callable[[], int]]:
    """name → a run that returns its number of pictures. JSON lines go to `sink`, overlays to the folder `out`."""
    step = explainer.engine.largest
    with preparation(explainer, None, 1) as prepare:
        batch = [prepared for _, prepared in map(prepare, sources[:step]) if isinstance(prepared, Prepared)]
    x, sizes, questions = torch.cat([each.x for each in batch]), [each.size for each in batch], [Question()] * len(batch)

    def line(source: PictureFile, outcome: object) -> None:
        if isinstance(outcome, Explanation):
            print(json.dumps(outcome.to_json(str(source.path)), ensure_ascii=False), file=sink, flush=True)

    def engine() -> int:
        for _ in range(0, len(sources), step):
            explainer.explain_prepared(x, sizes, questions)
        return -(-len(sources) // step) * len(batch)

    def decode() -> int:
        with preparation(explainer, None, 1) as prepare:
            return len(list(map(prepare, sources)))

    def in_turn() -> int:
        for some in batched(sources, step):
            images = [open_image(source.path) for source in some]
            prepared = explainer.prepare(images)
            answers = explainer.explain_prepared(prepared, [image.size for image in images], [Question()] * len(images))
            for source, answer in zip(some, answers, strict=True):
                line(source, answer)
        return len(sources)

    def explain() -> int:
        for source, outcome in explain_files(explainer, Question(), sources):
            line(source, outcome)
        return len(sources)

    def parquet() -> int:
        with open(os.devnull, "wb") as file, table_writer(file) as write:
            for source, outcome in explain_files(explainer, Question(), sources):
                write(str(source.path), outcome)
        return len(sources)

    def overlays() -> int:
        some = sources[: len(sources) // 10]
        for source, outcome in explain_files(explainer, Question(), some, out):
            line(source, outcome)
        return len(some)

    return {"engine": engine, "decode": decode, "in turn": in_turn, "explain": explain, "parquet": parquet, "overlays": overlays}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--pictures", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--weights", default=default_source())
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = options.folder
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            photographs(folder, options.pictures)
        sources = find_pictures([folder])[0][: options.pictures]
        explainer = Explainer.from_pretrained(options.weights, device=options.device)
        sink = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
        runs = contenders(explainer, sources, Path(stack.enter_context(tempfile.TemporaryDirectory())), sink)
        kilobytes = statistics.mean(source.path.stat().st_size for source in sources) / 1e3
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
        for _ in range(options.rounds):
            for name, run in runs.items():
                wall, cpu = time.perf_counter(), time.process_time()
                pictures = run()
                took[name].append(((time.perf_counter() - wall) / pictures, (time.process_time() - cpu) / pictures))
    print(f"{len(sources)} pictures of {kilobytes:.0f} KB, {explainer.device}, {torch.get_num_threads()} threads")
    print("| run | pictures/s | of the engine | CPU ms a picture |\n|---|---|---|---|")
    best = statistics.median(wall for wall, _ in took["engine"])
    for name, rounds in took.items():
        wall, cpu = (statistics.median(each) for each in zip(*rounds, strict=True))
        print(f"| {name} | {1 / wall:.1f} | {best / wall:.0%} | {cpu * 1e3:.1f} |")


if __name__ == "__main__":
    main()
