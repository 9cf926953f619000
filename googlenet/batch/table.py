"""Explanations as an Apache Parquet table, one row for each picture. Needs PyArrow (the extra `parquet`).

The columns are the fields of the JSON (docs/cli.md, "The result as JSON") with the same names, and:

channels, trust: null where they were not asked for.
grids: for each stage, the signed map as a list of float16, row by row, in logit units. `stages` has its height and width. Null
    where the asked head does not see the stage.
error: why the picture could not be read; of the other columns only `image` then has a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from googlenet.errors import UserError
from googlenet.explanation import Explanation
from googlenet.model.architecture import BRANCHES, HEADS, STAGES

__all__ = ["ROWS", "SCHEMA", "row", "table_writer"]

ROWS = 1000
"""Rows in a row group. The writer keeps that many in memory."""


def _struct(**fields: pa.DataType) -> pa.DataType:
    """A struct type from its fields' names and types."""
    return pa.struct(list(fields.items()))


_ASKED = _struct(index=pa.int32(), label=pa.string(), classes=pa.int32())
_STATEMENT = _struct(name=pa.string(), probability=pa.float64(), classes=pa.int32())
_PREDICTION = _struct(index=pa.int32(), label=pa.string(), probability=pa.float64())
_STAGE = _struct(
    name=pa.string(),
    size=pa.list_(pa.int32()),
    peak=pa.list_(pa.float64()),
    share_of_evidence=pa.float64(),
    branches=_struct(**dict.fromkeys(BRANCHES, pa.float64())),
)
_CHANNEL = _struct(channel=pa.int32(), branch=pa.string(), share=pa.float64(), peak=pa.list_(pa.float64()))
_CHANNELS = pa.struct([("cell", pa.list_(pa.int32())), ("for", pa.list_(_CHANNEL)), ("against", pa.list_(_CHANNEL))])
_CURVE = pa.list_(pa.float64())
_CURVES = ("deletion", "insertion", "random_deletion", "random_insertion")
_TRUST = _struct(
    steps=_CURVE,
    **dict.fromkeys(_CURVES, _CURVE),
    area=_struct(**dict.fromkeys(_CURVES, pa.float64())),
    randomised_correlation=pa.float64(),
    sentence=_struct(en=pa.string(), ko=pa.string()),
)
SCHEMA = pa.schema(
    {
        "image": pa.string(),
        "weights": _struct(source=pa.string(), revision=pa.string(), sha256=pa.string()),
        "heads": _struct(**dict.fromkeys(HEADS, pa.list_(_PREDICTION))),
        "statements": _struct(**dict.fromkeys(HEADS, _STATEMENT)),
        "record": _struct(right=pa.int32(), of=pa.int32()),
        "question": _struct(head=pa.string(), target=_ASKED, contrast=_ASKED, method=pa.string()),
        "belief": _struct(**dict.fromkeys(HEADS, pa.float64())),
        "seen": pa.list_(pa.float64()),
        "stages": pa.list_(_STAGE),
        "channels": _struct(**dict.fromkeys(STAGES, _CHANNELS)),
        "trust": _struct(**dict.fromkeys(STAGES, _TRUST)),
        "grids": _struct(**dict.fromkeys(STAGES, pa.list_(pa.float16()))),
        "error": pa.string(),
    }
)
"""Types of the columns."""


def row(image: str, outcome: Explanation | UserError) -> dict[str, Any]:
    """A picture's row, with its explanation or its error. `image`: the picture's name."""
    name = image.encode("utf-8", "backslashreplace").decode()  # Parquet's strings are UTF-8; file names may not be
    if isinstance(outcome, UserError):
        return {"image": name, "error": str(outcome)}
    grids = {stage: grid.ravel().astype(np.float16) for stage, grid in outcome.grids.items()}
    return {**outcome.to_json(name), "grids": grids}


@contextmanager
def table_writer(file: IO[bytes]) -> Iterator[Callable[[str, Explanation | UserError], None]]:
    """A function that writes a picture's name and result as a row. The block's end completes the file, also after an error."""
    rows: list[dict[str, Any]] = []
    with pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:

        def write(image: str, outcome: Explanation | UserError) -> None:
            rows.append(row(image, outcome))
            if len(rows) == ROWS:
                flush()

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
            rows.clear()

        try:
            yield write
        finally:
            if rows:
                flush()
