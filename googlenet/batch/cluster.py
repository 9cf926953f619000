"""The same explanations on a Ray cluster, through Ray Data: files → prepared pictures → explanations → a Parquet table.

Each task reads a file and decodes and prepares its pictures. Actors explain batches of them: one actor for each GPU, or for each
two CPU cores. Ray Data schedules the tasks, repeats those of a lost node, bounds the memory, and logs the progress. A file that
cannot be read becomes a row with an `error`. Every node needs Ray (the extra `ray`). Ray copies this package to the nodes.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import ray
import ray.data
import torch
from numpy.typing import NDArray

import googlenet
from googlenet.batch.datasets import Piece, contents, file_system, pieces_of
from googlenet.batch.table import ROWS, SCHEMA, row
from googlenet.checkpoints import LoadedModel
from googlenet.checkpoints.labels import nfc
from googlenet.errors import PictureError, UserError
from googlenet.explanation import Question
from googlenet.inference.explainer import Explainer
from googlenet.pictures.decoding import SHARED
from googlenet.pictures.images import Preprocess

__all__ = ["explain_on_cluster"]

_ACTOR, _READER, _WRITER = 0.5, 0.25, 0.25
"""CPUs that Ray reserves for each actor, reading task and writing task.

Actors keep their reserve to the end. The sum is 1: reading and writing then find a free CPU beside an actor even on one core. An
actor uses two cores. Its reserve is smaller, so that another node has room for it when its own is lost."""
_ON_CPU, _ON_GPU = 8, 256
"""Pictures in an actor's batch, without and with a GPU."""
_CONNECT_SECONDS = 10
"""How long to wait for a connection to a cluster."""
MARK = b"inside-googlenet"
"""The field of a Parquet file's metadata by which this program knows its own tables, with their weights and question."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Summary:
    """What a table holds."""

    pictures: int
    unreadable: int
    """of these, those that have an error in place of an explanation"""


def explain_on_cluster(
    sources: Sequence[str], table: str, loaded: LoadedModel, question: Question, address: str | None = None
) -> Summary:
    """Explain the pictures of whole data sets. Pictures that the table holds already are left out.

    Where actors have GPUs and a node is lost, its batches wait until a GPU is free. To go on with the GPUs that are left, end the
    run and start it again.

    Args:
        sources: pictures, folders, WebDataset tars, or Parquet files with a column of pictures' bytes (such as a Hub data set's):
            paths that every node can read, or addresses of object storage (`s3://…`, `gs://…`).
        table: folder for Parquet files: a path that every node can write, or an address of object storage. Each picture has one
            row with the columns of `googlenet.batch.table`. Its `image` is the file's name, `<tar>/<member>`, or `<file>#<row>`
            for a row of a Parquet file.
        loaded: the weights. Ray copies them to the nodes.
        question: asked about every picture; `Explainer.question` makes one.
        address: of a running cluster; None starts one on this machine and ends it with the job.

    Returns:
        Summary: of the whole table, earlier runs included.

    Raises:
        UserError: there are no pictures, no cluster answers, or the table holds other files, weights or questions.
    """
    files, folder = file_system(table)
    mark = mark_of(loaded, question)
    done = _finished(table, mark)
    pieces = [piece for source in sources for piece in pieces_of(source) if nfc(piece.name) not in done]
    if pieces:
        with connected(address):
            rows = _plan(pieces, done, loaded, question)
            schema = SCHEMA.with_metadata({MARK: mark})
            resources = {"num_cpus": _WRITER}
            rows.write_parquet(
                folder, filesystem=files, min_rows_per_file=ROWS, ray_remote_args=resources, schema=schema, compression="zstd"
            )
    rows = pa.dataset.dataset(folder, SCHEMA, format="parquet", filesystem=files)
    return Summary(rows.count_rows(), rows.count_rows(filter=pa.dataset.field("error").is_valid()))


def mark_of(loaded: LoadedModel, question: Question) -> bytes:
    """The value of `MARK`."""
    return json.dumps({"weights": loaded.provenance.sha256, "question": repr(question)}).encode()


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """A connection to a cluster, to one that is started here, or the one that this process has already."""
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would send a report of its start
    package = str(Path(googlenet.__file__).parent)
    environment = {"py_modules": [package], "excludes": ["weights", "space"]}
    try:
        if address and ":" in address:
            host, _, port = address.removeprefix("ray://").rpartition(":")
            socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()  # Ray itself retries without end
        ray.init(address or "local", runtime_env=environment, logging_level=logging.WARNING, log_to_driver=False)
    except (OSError, ValueError):
        raise UserError("No Ray cluster answers at {address}; start one with: ray start --head", address=address) from None
    try:
        yield
    finally:
        ray.shutdown()


def _plan(pieces: Sequence[Piece], done: Set[str], loaded: LoadedModel, question: Question) -> ray.data.Dataset:
    """Pieces → rows of the table. Ray Data runs nothing until the rows are asked for.

    `done`: names of the pictures that the table holds already, in NFC.
    """
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    cpus, gpus = int(resources.get("CPU", 1)), int(resources.get("GPU", 0))
    prepared = ray.data.from_items([piece._asdict() for piece in pieces]).flat_map(
        _prepare,  # type: ignore[arg-type]
        fn_args=(loaded.config.preprocess, ray.put(done)),
        num_cpus=_READER,
        compute=ray.data.TaskPoolStrategy(size=max(1, cpus if gpus else cpus // 2)),
    )
    return prepared.map_batches(
        Actor,
        fn_constructor_args=(ray.put(loaded), question),
        batch_size=_ON_GPU if gpus else _ON_CPU,
        batch_format="numpy",
        num_cpus=_ACTOR,
        num_gpus=1 if gpus else 0,
        compute=ray.data.ActorPoolStrategy(size=gpus or max(1, cpus // 2)),
    )


def _prepare(item: dict[str, Any], preprocess: Preprocess, done: ray.ObjectRef[Set[str]]) -> Iterator[dict[str, Any]]:
    """Read and prepare a piece's pictures. One that cannot be read has its sentence in `error`, else that is empty."""
    for name, data in contents(Piece(**item), ray.get(done)):
        x, size, error = np.zeros((3, preprocess.crop, preprocess.crop), np.float32), (0, 0), ""
        try:
            if isinstance(data, PictureError):
                raise data
            picture = SHARED.open_bytes(data, name, preprocess.enough)
            x, size = preprocess(picture.image)[0].numpy(), picture.size
        except PictureError as unreadable:
            error = str(unreadable)
        yield {"image": name, "x": x, "width": size[0], "height": size[1], "error": error}


class Actor:
    """Explains batches of prepared pictures in a process of its own."""

    def __init__(self, loaded: ray.ObjectRef[LoadedModel], question: Question) -> None:
        torch.set_num_threads(min(2, os.cpu_count() or 1))
        self.explainer, self.question = Explainer(ray.get(loaded)), question

    def __call__(self, batch: dict[str, NDArray[Any]]) -> pa.Table:
        """Rows of `_prepare` → rows of the table."""
        good = batch["error"] == ""
        sizes = [(int(width), int(height)) for width, height in zip(batch["width"][good], batch["height"][good], strict=True)]
        x = torch.from_numpy(batch["x"][good])
        outcomes = iter(self.explainer.outcomes(x, sizes, [self.question] * len(x)))
        rows = [
            {"image": str(image), "error": str(error)} if error else row(str(image), next(outcomes))
            for image, error in zip(batch["image"], batch["error"], strict=True)
        ]
        return pa.Table.from_pylist(rows, SCHEMA)


def _finished(table: str, mark: bytes) -> frozenset[str]:
    """The names of the pictures that a table holds already. Files that an interrupted run left incomplete are deleted.

    Raises UserError where the table has other weights or another question, or the folder holds other files.
    """
    files, path = file_system(table)
    done: set[str] = set()
    for info in files.get_file_info(pa.fs.FileSelector(path, allow_not_found=True, recursive=True)):
        if not info.is_file:
            continue
        try:
            rows = pq.read_table(info.path, columns=["image"], filesystem=files)
        except (OSError, pa.ArrowException):
            rows = None
        if rows is None and info.path.endswith(".parquet"):
            logger.warning("%s is incomplete and is made anew.", info.path)
            files.delete_file(info.path)
            continue
        its_mark = (rows.schema.metadata or {}).get(MARK) if rows is not None else None
        if its_mark is None:
            raise UserError("{path} exists and was not written by this program; choose another output folder.", path=info.path)
        if its_mark != mark:
            raise UserError(
                "{table} holds explanations by other weights or of another question; choose another table.", table=table
            )
        done.update(map(nfc, rows.column("image").to_pylist()))
    return frozenset(done)
