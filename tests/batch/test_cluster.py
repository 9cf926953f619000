"""Explanations on a real Ray cluster: two nodes, started on this machine."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from ray.cluster_utils import Cluster

from googlenet.batch.cluster import MARK, Summary, connected, explain_on_cluster
from googlenet.batch.files import Source
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
    """Two nodes of one CPU each, and this process connected to them, so that all tests share the workers' start."""
    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    started = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        started.add_node(**node)
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
    """10 pictures in a folder, every fifth broken, a tar of 4 and a Parquet file of 5 with one broken each."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "pictures").mkdir()
    for i in range(10):
        path = folder / "pictures" / f"{i:02}.png"
        random_image(120 + i, 90, i).save(path)
        if i % 5 == 0:
            path.write_bytes(path.read_bytes()[:100])
    write_tar(folder / "shard.tar", {"a.png": png(1), "b.png": b"broken", "c.png": png(3), "d.png": png(4)})
    write_hub_parquet(folder / "train.parquet", [png(1), png(2), None, png(4), png(5)])
    return folder


def table_of(path: Path) -> dict[str, dict[str, Any]]:
    """image → row. Each picture stands in the table once."""
    rows = pq.read_table(path).to_pylist()
    found = {each["image"]: each for each in rows}
    assert len(found) == len(rows)
    return found


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
    mark = json.dumps({"weights": loaded.provenance.sha256, "question": "another"}).encode()
    pq.write_table(SCHEMA.with_metadata({MARK: mark}).empty_table(), table / "a.parquet")
    with pytest.raises(UserError, match="of another question"):
        explain_on_cluster([source], str(table), loaded, QUESTION)
    with pytest.raises(UserError, match="No Ray cluster answers at"):
        explain_on_cluster([source], str(tmp_path / "other"), loaded, QUESTION, "127.0.0.1:1")


def test_a_cluster_gives_what_one_process_gives(
    cluster: Cluster, loaded: LoadedModel, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Folder, tar and Parquet in one run; broken files are rows that say why. A second run does nothing."""
    sources = [str(data / name) for name in ("pictures", "shard.tar", "train.parquet")]
    with caplog.at_level("INFO", "ray.data"), attached(caplog.handler):
        summary = explain_on_cluster(sources, str(tmp_path / "table"), loaded, QUESTION)
    assert summary == Summary(pictures=19, unreadable=4)
    assert len(list((tmp_path / "table").iterdir())) == 1  # not one for each task
    assert "Total Progress: " in caplog.text  # stdout is no terminal here
    found = table_of(tmp_path / "table")
    files = [Source(path, Path(path.name)) for path in sorted((data / "pictures").iterdir())]
    for source, outcome in explain_files(Explainer(loaded, "cpu"), QUESTION, files):
        wanted, mine = row(str(source.path), outcome), found[str(source.path)]
        if "error" in wanted:
            assert mine["error"] == wanted["error"]
            assert mine["heads"] is None
            continue
        grids, own = wanted.pop("grids"), mine.pop("grids")
        for stage in STAGES:
            ulp = np.spacing(np.abs(grids[stage]).max())  # of float16: a rounding may go either way
            assert np.abs(grids[stage] - np.array(own[stage], np.float16)).max() <= ulp
        assert close({key: mine[key] for key in wanted}, wanted)
    assert found[f"{data}/shard.tar/c.png"]["question"]["target"]["index"] == 1
    assert "damaged" in found[f"{data}/shard.tar/b.png"]["error"] or "not a picture" in found[f"{data}/shard.tar/b.png"]["error"]
    assert "has no bytes" in found[f"{data}/train.parquet#2"]["error"]
    same = found[f"{data}/train.parquet#0"]["belief"], found[f"{data}/shard.tar/a.png"]["belief"]
    assert close(*same)
    assert set(same[0]) == set(HEADS)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "table").iterdir()}
    assert explain_on_cluster(sources, str(tmp_path / "table"), loaded, QUESTION) == summary
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "table").iterdir()} == before


def test_a_restart_does_what_is_missing(cluster: Cluster, loaded: LoadedModel, data: Path, tmp_path: Path) -> None:
    """An interrupted run leaves files that are complete and perhaps one that is not."""
    table = tmp_path / "table"
    pictures = [str(data / "pictures" / f"{i:02}.png") for i in range(1, 5)]
    assert explain_on_cluster(pictures[:2], str(table), loaded, QUESTION).pictures == 2
    (kept,) = table.iterdir()
    time_before = kept.stat().st_mtime_ns
    assert explain_on_cluster(pictures, str(table), loaded, QUESTION).pictures == 4
    (cut,) = set(table.iterdir()) - {kept}
    cut.write_bytes(cut.read_bytes()[:-50])
    sources = [str(data / "pictures"), str(data / "shard.tar")]
    assert explain_on_cluster(sources, str(table), loaded, QUESTION).pictures == 14
    assert set(pictures) <= set(table_of(table))
    assert kept.stat().st_mtime_ns == time_before
    assert not cut.exists()


@pytest.mark.skipif("NODE_LOSS" not in os.environ, reason="Ray may take minutes to notice a lost node; NODE_LOSS=1 runs this")
def test_a_node_killed_in_the_middle_loses_nothing(cluster: Cluster, loaded: LoadedModel, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for i in range(40):
        (tmp_path / "pictures" / f"{i:02}.png").write_bytes(png(i))
    doomed = cluster.add_node(num_cpus=2, object_store_memory=80 * 2**20)
    table = tmp_path / "table"
    summaries: list[Summary] = []
    run = threading.Thread(
        target=lambda: summaries.append(explain_on_cluster([str(tmp_path / "pictures")], str(table), loaded, QUESTION))
    )
    run.start()
    while run.is_alive() and not any(table.glob("*.parquet")):
        time.sleep(0.05)
    written = len(table_of(table))
    cluster.remove_node(doomed, allow_graceful=False)
    run.join(600)
    assert summaries == [Summary(pictures=40, unreadable=0)]
    assert len(table_of(table)) == 40
    assert written < 40  # it was in the middle
