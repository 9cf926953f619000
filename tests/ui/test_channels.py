"""The tab Channels: what Python tells the page, where pictures come from, and what is never done for them."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from googlenet.checkpoints.cache import Cache
from googlenet.inference.explainer import Explainer
from googlenet.probes.atlas import Index, sheet_of
from googlenet.probes.visualise import TILE
from googlenet.ui import channels
from googlenet.ui.channels import ChannelPictures
from googlenet.ui.desk import Desk
from googlenet.ui.uploads import EXAMPLES
from tests.helpers import all_engines
from tests.ui.conftest import Ask

LION = {"example": "lion", "target": 3, "stage": "4c"}


@pytest.fixture
def pictures(desk: Desk, tmp_path: Path) -> ChannelPictures:
    """Those of the desk, with a cache of their own."""
    desk.channel_pictures = ChannelPictures(Cache(tmp_path, quota=1 << 20))
    return desk.channel_pictures


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


def test_channels_come_at_once_and_their_pictures_when_asked_for(
    explainer: Explainer, ask: Ask, pictures: ChannelPictures, drawn: list[list[int]]
) -> None:
    first = ask("channels", **LION)["channels"]
    wanted = explainer.explain(EXAMPLES["lion"], target=3, channels=True).channels
    assert wanted is not None
    both = first["for"] + first["against"]
    assert [(c["channel"], c["branch"]) for c in both] == [(c.channel, c.branch) for c in wanted["4c"]]
    assert all(c["share"] > 0 for c in first["for"])
    assert all(c["picture"] is None for c in both)
    assert first["missing"] == len(both)
    assert drawn == []
    last = ask("draw", **LION)["channels"]
    json.dumps([first, last])
    assert last["missing"] == 0
    assert all(c["picture"].startswith("data:image/webp") for c in last["for"] + last["against"])
    (channels,) = drawn
    assert channels[: len(both)] == [c.channel for c in wanted["4c"]]  # then those of the groups


def test_a_stages_evidence_comes_in_groups_of_channels(ask: Ask) -> None:
    reply = ask("groups", **LION)["groups"]
    assert sum(group["share"] for group in reply["groups"]) + reply["rest"] == pytest.approx(1)
    channels = [each for group in reply["groups"] for each in group["channels"]]
    assert reply["missing"] == sum(each["picture"] is None for each in channels)
    assert 0 < len(channels) <= 18


def test_a_cell_has_its_own_channels(explainer: Explainer, ask: Ask, pictures: ChannelPictures) -> None:
    cell = ask("channels", cell=[2, 3], **LION)["channels"]
    touched = explainer.explain(EXAMPLES["lion"], target=3, cell=("4c", 2, 3)).channels
    assert touched is not None
    assert [c["channel"] for c in cell["for"]] == [c.channel for c in touched["4c"] if c.share > 0]
    assert "rows and" in ask("channels", cell=[90, 0], **LION)["refusal"]["en"]
    assert "5b" in ask("channels", **LION | {"head": "aux1", "stage": "5b"})["refusal"]["en"]


def test_what_was_drawn_is_there_after_a_restart(
    desk: Desk, ask: Ask, pictures: ChannelPictures, drawn: list[list[int]], tmp_path: Path
) -> None:
    ask("draw", **LION)
    desk.channel_pictures = ChannelPictures(Cache(tmp_path, quota=1 << 20))
    assert ask("channels", **LION)["channels"]["missing"] == 0
    ask("draw", **LION)
    assert len(drawn) == 1


def test_drawn_pictures_and_downloads_share_one_quota(tmp_path: Path) -> None:
    cache = Cache(tmp_path, quota=1000)
    (old := tmp_path / "models--user--old").mkdir()
    (old / "file").write_bytes(bytes(800))
    os.utime(old, (0, 0))
    cache.keep_channel_picture("a" * 64, "4c", 1, bytes(150))
    assert old.exists()
    cache.keep_channel_picture("b" * 64, "4c", 2, bytes(150))
    assert not old.exists()
    cache.make_room(tmp_path / "models--user--new", 900)
    assert list(tmp_path.glob("channels--*")) == []


def test_a_cache_that_cannot_be_written_stops_no_drawing(desk: Desk, ask: Ask, drawn: list[list[int]], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    desk.channel_pictures = ChannelPictures(Cache(tmp_path / "file"))
    assert ask("draw", **LION)["channels"]["missing"] == 0


def with_atlas(explainer: Explainer, folder: Path, colour: int) -> Explainer:
    """The same weights from a folder with pictures of 4c's channels, all in one colour."""
    (folder / "channels").mkdir(parents=True)
    count = sum(explainer.model.stage("4c").splits)
    Index(trunk=explainer.trunk_sha256, channels={"4c": count}).write(folder / "channels")
    (folder / "channels/4c.webp").write_bytes(sheet_of(np.full((count, TILE, TILE, 3), colour, np.uint8)))
    same = copy(explainer)
    same.folder = folder
    return same


def test_a_shipped_atlas_comes_first_and_the_rest_is_drawn(
    explainer: Explainer, desk: Desk, ask: Ask, pictures: ChannelPictures, drawn: list[list[int]], tmp_path: Path
) -> None:
    desk.explainers.own = with_atlas(explainer, tmp_path / "weights", 0)
    assert ask("channels", **LION)["channels"]["missing"] == 0
    deeper = LION | {"stage": "5a"}
    assert ask("channels", **deeper)["channels"]["missing"] > 0
    ask("draw", **deeper)
    assert len(drawn) == 1


def test_pictures_come_from_the_weights_that_are_asked_and_no_other_copy_of_them(
    explainer: Explainer, pictures: ChannelPictures, tmp_path: Path
) -> None:
    """A stranger's repository may hold the same weights with other pictures, or without."""
    own = with_atlas(explainer, tmp_path / "own", 0)
    assert pictures.known(explainer, "4c", [1]) == {}
    foreign = pictures.known(with_atlas(explainer, tmp_path / "foreign", 255), "4c", [1])
    assert pictures.known(own, "4c", [1]).keys() == foreign.keys() == {1}
    assert pictures.known(own, "4c", [1]) != foreign


@pytest.mark.parametrize("part", ["preprocess", "architecture"])
def test_a_drawing_is_for_the_weights_with_the_same_settings_alone(
    explainer: Explainer, pictures: ChannelPictures, drawn: list[list[int]], part: str
) -> None:
    """A stranger's `config.json` says how the same weights are run, and so what is drawn and cached."""
    other = copy(explainer)
    changed = {"preprocess": {"mean": (0.9, 0.1, 0.1)}, "architecture": {"maxpool4_kernel": 2}}[part]
    other.config = replace(explainer.config, **{part: replace(getattr(explainer.config, part), **changed)})
    pictures.draw(other, "4c", [1], lambda *_: None)
    assert pictures.known(other, "4c", [1])
    assert not pictures.known(explainer, "4c", [1])
    assert not ChannelPictures(pictures.cache).known(explainer, "4c", [1])


def test_where_a_channel_fires_is_its_activation(explainer: Explainer, ask: Ask) -> None:
    found = ask("firing", channel=412, **LION)["firing"]
    json.dumps(found)
    x = explainer.preprocess(EXAMPLES["lion"]).to(memory_format=torch.channels_last)
    with torch.no_grad():
        activation = dict(explainer.model.stages(x))["4c"][0, 412]
    assert found["most"] == pytest.approx(float(activation.max()))
    assert found["grid"]["shape"] == (4, *activation.shape)
    for channel in (512, 99_999):
        assert ask("firing", channel=channel, **LION)["refusal"]["en"] == "Stage 4c has the channels 0 to 511."


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
