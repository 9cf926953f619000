"""Explanations on a real Ray cluster, started on this machine: one node of one CPU, since each worker takes seconds to start."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ray.cluster_utils import Cluster

from googlenet.batch.cluster import MARK, Summary, connected, explain_on_cluster, mark_of
from googlenet.batch.files import PictureFile
from googlenet.batch.folders import explain_files
from googlenet.batch.table import SCHEMA, row
from googlenet.checkpoints import LoadedModel
from googlenet.errors import UserError
from googlenet.explanation import Question
from googlenet.inference.explainer import Explainer
from googlenet.model.architecture import HEADS, STAGES
from tests.batch.test_datasets import png, write_hub_parquet, write_tar
from tests.helpers import explainer_of, random_image, random_model

pytestmark = pytest.mark.ray
QUESTION = Question("main", 1, contrast=2)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster, and this process connected to it."""
    node = {"num_cpus": 1, "object_store_memory": 240 * 2**20, "include_dashboard": False}
    started = Cluster(initialize_head=True, head_node_args=node)
    try:
        with connected(started.address):
            yield started
    finally:
        started.shutdown()


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    """In float64, so that a batch of another size gives the same numbers (tests/inference/test_gradcam.py)."""
    model = random_model()
    explainer = explainer_of(model)
    return LoadedModel(model.double(), explainer.config, explainer.provenance)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4 pictures in a folder, a tar of 3 and a Parquet file of 3, with one broken in each."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "pictures").mkdir()
    for i in range(4):
        random_image(120 + i, 90, i).save(folder / "pictures" / f"{i}.png")
    (folder / "pictures" / "0.png").write_bytes((folder / "pictures" / "0.png").read_bytes()[:100])
    write_tar(folder / "shard.tar", {"a.png": png(1), "b.png": b"broken", "c.png": png(3)})
    write_hub_parquet(folder / "train.parquet", [png(1), png(2), None])
    return folder


def table_of(path: Path) -> dict[str, dict[str, Any]]:
    """image → row. Each picture stands in the table once."""
    rows = pq.read_table(path).to_pylist()
    images = {each["image"]: each for each in rows}
    assert len(images) == len(rows)
    return images


def close(a: Any, b: Any) -> bool:
    """Equal, numbers within 1e-5. A field that the JSON leaves out is null in a table."""
    if isinstance(a, dict):
        return a.keys() >= b.keys() and all(close(a[key], b.get(key)) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(close, a, b))
    return abs(a - b) <= 1e-5 * max(1, abs(b)) if isinstance(a, float) else bool(a == b)


@contextmanager
def attached(handler: logging.Handler) -> Iterator[None]:
    """Give a handler what Ray Data logs: its logger hands nothing on."""
    logging.getLogger("ray.data").addHandler(handler)
    yield
    logging.getLogger("ray.data").removeHandler(handler)


def test_what_a_table_must_not_be(loaded: LoadedModel, data: Path, tmp_path: Path) -> None:
    """Said before there is a cluster."""
    table, source = tmp_path / "table", str(data / "pictures")
    table.mkdir()
    (table / "mine.txt").write_text("mine", "utf-8")
    with pytest.raises(UserError, match="not written by this program"):
        explain_on_cluster([source], str(table), loaded, QUESTION)
    assert (table / "mine.txt").exists()
    (table / "mine.txt").unlink()
    another = mark_of(loaded, Question("main", 2))
    pq.write_table(SCHEMA.with_metadata({MARK: another}).empty_table(), table / "a.parquet")
    with pytest.raises(UserError, match="of another question"):
        explain_on_cluster([source], str(table), loaded, QUESTION)
    with pytest.raises(UserError, match="No Ray cluster answers at"):
        explain_on_cluster([source], str(tmp_path / "other"), loaded, QUESTION, "127.0.0.1:1")


def test_a_cluster_adds_what_is_missing_as_one_process_gives_it(
    cluster: Cluster, loaded: LoadedModel, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Folder, tar and Parquet in one run; broken files are rows that say why. A second run does nothing.

    An interrupted run has left a file that is complete and one that is not.
    """
    table = tmp_path / "table"
    table.mkdir()
    sources = [str(data / name) for name in ("pictures", "shard.tar", "train.parquet")]
    files = [PictureFile(path, Path(path.name)) for path in sorted((data / "pictures").iterdir())]
    rows = {
        str(source.path): row(str(source.path), outcome)
        for source, outcome in explain_files(Explainer(loaded, "cpu"), QUESTION, files)
    }
    done = pa.Table.from_pylist(
        [rows[str(files[k].path)] for k in (1, 2)], SCHEMA.with_metadata({MARK: mark_of(loaded, QUESTION)})
    )
    kept, cut = table / "kept.parquet", table / "cut.parquet"
    pq.write_table(done, kept)
    cut.write_bytes(kept.read_bytes()[:-50])
    time_before = kept.stat().st_mtime_ns
    with caplog.at_level("INFO", "ray.data"), attached(caplog.handler):
        summary = explain_on_cluster(sources, str(table), loaded, QUESTION)
    assert summary == Summary(pictures=10, unreadable=3)
    assert "Total Progress: " in caplog.text  # stdout is no terminal here
    assert kept.stat().st_mtime_ns == time_before
    assert not cut.exists()
    assert len(list(table.iterdir())) == 2  # not one for each task
    written = table_of(table)
    for name, wanted in rows.items():
        mine = written[name]
        if "error" in wanted:
            assert mine["error"] == wanted["error"]
            assert mine["heads"] is None
            continue
        grids, own = wanted.pop("grids"), mine.pop("grids")
        for stage in STAGES:
            ulp = np.spacing(np.abs(grids[stage]).max())  # of float16: a rounding may go either way
            assert np.abs(grids[stage] - np.array(own[stage], np.float16)).max() <= ulp
        assert close({key: mine[key] for key in wanted}, wanted)
    assert written[f"{data}/shard.tar/c.png"]["question"]["target"]["index"] == 1
    broken = written[f"{data}/shard.tar/b.png"]["error"]
    assert "damaged" in broken or "not a picture" in broken
    assert "has no bytes" in written[f"{data}/train.parquet#2"]["error"]
    same = written[f"{data}/train.parquet#0"]["belief"], written[f"{data}/shard.tar/a.png"]["belief"]
    assert close(*same)
    assert set(same[0]) == set(HEADS)
    before = {path: path.stat().st_mtime_ns for path in table.iterdir()}
    assert explain_on_cluster(sources, str(table), loaded, QUESTION) == summary
    assert {path: path.stat().st_mtime_ns for path in table.iterdir()} == before
