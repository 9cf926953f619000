"""The tab Channels: what Python tells the page, where pictures come from, and what is never done for them."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from googlenet.checkpoints.cache import Cache
from googlenet.errors import UserError
from googlenet.inference.explainer import Explainer
from googlenet.model.architecture import STAGES
from googlenet.probes.atlas import Index, sheet_of
from googlenet.probes.visualise import TILE
from googlenet.ui import channels
from googlenet.ui.channels import ChannelPictures, strongest
from googlenet.ui.explainers import ExplainerCache
from googlenet.ui.handlers import EXAMPLES, Message
from googlenet.ui.query import PageQuery
from tests.helpers import all_engines

LION = PageQuery(9, "lion", target=3, stage="4c")


@pytest.fixture
def pictures(tmp_path: Path) -> ChannelPictures:
    return ChannelPictures(Cache(tmp_path, quota=1 << 20))


@pytest.fixture
def drawn(explainer: Explainer, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The channels of each drawing, which takes no time here."""
    made: list[list[int]] = []

    def drawing(model: object, preprocess: object, stage: str, asked: list[int], progress: Callable[[float], None]) -> Any:
        assert model is not explainer.model
        assert len(explainer.passes.free) == len(explainer.passes.engines)  # questions are answered meanwhile
        made.append(list(asked))
        progress(0.5)
        return np.zeros((len(asked), TILE, TILE, 3), np.uint8)

    monkeypatch.setattr(channels, "visualise", drawing)
    return made


def drawing_of(ask: PageQuery, cache: ExplainerCache, pictures: ChannelPictures) -> list[Message]:
    messages: list[Message] = []
    strongest(ask, cache).draw(pictures, messages.append)
    return [message["channels"] for message in messages]


def test_channels_come_at_once_and_their_pictures_when_asked_for(
    explainer: Explainer, cache: ExplainerCache, pictures: ChannelPictures, drawn: list[list[int]]
) -> None:
    first = strongest(LION, cache).message(pictures)["channels"]
    wanted = explainer.explain(EXAMPLES["lion"], target=3, channels=True).channels
    assert wanted is not None
    both = first["for"] + first["against"]
    assert [(c["channel"], c["branch"]) for c in both] == [(c.channel, c.branch) for c in wanted["4c"]]
    assert all(c["share"] > 0 for c in first["for"])
    assert all(c["picture"] is None for c in both)
    assert first["missing"] == len(both)
    assert drawn == []
    half, last = drawing_of(LION, cache, pictures)
    json.dumps([first, half, last])
    assert half == {"stage": "4c", "cell": None, "progress": 0.5}
    assert last["missing"] == 0
    assert all(c["picture"].startswith("data:image/webp") for c in last["for"] + last["against"])
    assert drawn == [[c.channel for c in wanted["4c"]]]


def test_a_cell_has_its_own_channels(explainer: Explainer, cache: ExplainerCache, pictures: ChannelPictures) -> None:
    cell = strongest(replace(LION, cell=(2, 3)), cache).message(pictures)["channels"]
    assert cell["cell"] == (2, 3)
    touched = explainer.explain(EXAMPLES["lion"], target=3, cell=("4c", 2, 3)).channels
    assert touched is not None
    assert [c["channel"] for c in cell["for"]] == [c.channel for c in touched["4c"] if c.share > 0]
    with pytest.raises(UserError, match="rows and"):
        strongest(replace(LION, cell=(90, 0)), cache)
    with pytest.raises(UserError, match="5b"):
        strongest(replace(LION, head="aux1", stage="5b"), cache)


def test_what_was_drawn_is_there_after_a_restart(
    cache: ExplainerCache, pictures: ChannelPictures, drawn: list[list[int]], tmp_path: Path
) -> None:
    drawing_of(LION, cache, pictures)
    again = ChannelPictures(Cache(tmp_path, quota=1 << 20))
    assert strongest(LION, cache).message(again)["channels"]["missing"] == 0
    drawing_of(LION, cache, again)
    assert len(drawn) == 1


def test_drawn_pictures_and_downloads_share_one_quota(tmp_path: Path) -> None:
    cache = Cache(tmp_path, quota=1000)
    old = tmp_path / "models--user--old"
    old.mkdir()
    (old / "file").write_bytes(bytes(800))
    os.utime(old, (0, 0))
    cache.keep_channel_picture("a" * 64, "4c", 1, bytes(150))
    assert old.exists()
    cache.keep_channel_picture("b" * 64, "4c", 2, bytes(150))
    assert not old.exists()
    assert cache.channel_picture("a" * 64, "4c", 1).read_bytes() == bytes(150)
    cache.make_room(tmp_path / "models--user--new", 900)
    assert list(tmp_path.glob("channels--*")) == []


def test_a_cache_that_cannot_be_written_stops_no_drawing(cache: ExplainerCache, drawn: list[list[int]], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert drawing_of(LION, cache, ChannelPictures(Cache(tmp_path / "file")))[-1]["missing"] == 0


def test_a_shipped_atlas_comes_first_and_the_rest_is_drawn(
    explainer: Explainer, cache: ExplainerCache, pictures: ChannelPictures, drawn: list[list[int]], tmp_path: Path
) -> None:
    folder = tmp_path / "weights/channels"
    folder.mkdir(parents=True)
    counts = {name: sum(explainer.model.stage(name).splits) for name in STAGES}
    Index(trunk=explainer.trunk_sha256, channels={"4c": counts["4c"]}).write(folder)
    (folder / "4c.webp").write_bytes(sheet_of(np.zeros((counts["4c"], TILE, TILE, 3), np.uint8)))
    explainer.folder = tmp_path / "weights"
    try:
        assert strongest(LION, cache).message(pictures)["channels"]["missing"] == 0
        deeper = replace(LION, stage="5a")
        assert strongest(deeper, cache).message(pictures)["channels"]["missing"] > 0
        drawing_of(deeper, cache, pictures)
        assert len(drawn) == 1
    finally:
        explainer.folder = None


def test_one_drawing_runs_at_a_time(explainer: Explainer, pictures: ChannelPictures, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most = threading.Semaphore(1), threading.Event()

    def drawing(model: object, preprocess: object, stage: str, asked: list[int], progress: object) -> Any:
        if not running.acquire(blocking=False):
            most.set()
        most.wait(0.05)
        running.release()
        return np.zeros((len(asked), TILE, TILE, 3), np.uint8)

    monkeypatch.setattr(channels, "visualise", drawing)
    threads = [
        threading.Thread(target=pictures.draw, args=(explainer, "4c", [channel], lambda share: None)) for channel in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not most.is_set()
    assert len(pictures.known(explainer, "4c", range(4))) == 4


def test_a_lent_gpu_draws_nothing(explainer: Explainer, pictures: ChannelPictures, drawn: list[list[int]]) -> None:
    lent = ExplainerCache(explainer, gpu=lambda function: function)
    assert strongest(LION, lent).message(pictures)["channels"]["missing"] == 0
    assert drawing_of(LION, lent, pictures) == []
    assert drawn == []


def test_where_a_channel_fires_is_its_activation(explainer: Explainer, cache: ExplainerCache) -> None:
    message = channels.firing(replace(LION, channel=412), cache)["firing"]
    json.dumps(message)
    x = explainer.preprocess(EXAMPLES["lion"]).to(memory_format=torch.channels_last)
    with torch.no_grad():
        activation = dict(explainer.model.stages(x))["4c"][0, 412]
    assert message["most"] == pytest.approx(float(activation.max()))
    assert message["grid"]["shape"] == (4, *activation.shape)
    for channel in (512, 99_999):
        with pytest.raises(UserError, match=r"Stage 4c has the channels 0 to 511\."):
            channels.firing(replace(LION, channel=channel), cache)


def test_the_network_is_copied_between_passes(explainer: Explainer) -> None:
    """A pass hangs hooks on the network. A copy of them would write into that pass' maps."""
    copies: list[object] = []
    thread = threading.Thread(target=lambda: copies.append(explainer.copied_model()))
    with all_engines(explainer):
        thread.start()
        thread.join(0.1)
        assert copies == []
    thread.join()
    assert len(copies) == 1
