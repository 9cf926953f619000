"""Measuring maps: on pictures and networks for which the right figures are known."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from googlenet.checkpoints.config import dump_config, parse_config
from googlenet.cli import main
from googlenet.errors import UserError
from googlenet.inference.explainer import Explainer
from googlenet.model.architecture import STAGES, STAGES_BEFORE
from googlenet.pictures.frame import Box
from googlenet.pictures.images import Preprocess
from googlenet.training import maps
from googlenet.training.data import read_split
from googlenet.training.maps import Boxed, boxed, groups, interval, measure, report, summary
from tests.helpers import random_image

PREPROCESS = Preprocess(96, 96, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.fixture(autouse=True)
def few_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short curves, and weights drawn anew down to 5a alone."""
    monkeypatch.setattr(maps, "STEPS", 2)
    monkeypatch.setattr(maps, "STAGES", STAGES[-2:])


def test_a_box_around_everything_is_always_hit_and_one_in_a_corner_as_the_map_says(explainer: Explainer) -> None:
    image = random_image(96, 96)
    explanation = explainer.explain(image, target=3)
    whole, corner = Box(0, 0, 96, 96), Box(0, 0, 32, 48)
    found = measure(explainer, [Boxed(image, 3, whole), Boxed(image, 3, corner)])
    assert found["box",] == pytest.approx([1, 1 / 6])
    assert found["centre",] == [1, 0]
    assert found["centred",][0] == pytest.approx(1)
    for stage in explanation.stages:
        hits, inside = found["pointing", "main", stage.name], found["inside", "main", stage.name]
        assert hits[0] == (stage.peak is not None)
        x, y = stage.peak or (99, 99)
        assert hits[1] == (x < 32 and y < 48)
        heat = explanation.maps[stage.name]
        if stage.peak:
            assert inside == pytest.approx([1, heat[:48, :32].sum() / heat.sum()], abs=1e-4)
    measured = {key[1:] for key in found if key[0] == "pointing"}
    assert measured == {(head, stage) for head, stages in STAGES_BEFORE.items() for stage in stages}
    assert groups(found)["pictures whose box covers at most a third"].tolist() == [False, True]
    assert -1 <= found["randomised", "main", "3a", "heads"][0] <= 1  # the map itself and one of weights that are drawn anew
    assert found["randomised", "main", "5b", "5b"] != found["randomised", "main", "5b", "heads"]
    assert found["randomised", "aux1", "3a", "heads"] == found["randomised", "aux1", "3a", "5b"]  # 5b is behind aux1
    text = report(found)
    assert "2 pictures. The box covers 58.3" in text
    assert "| aux1 | 4a |" in text
    told = summary({"grad-cam": found, "layer-cam": found}, "a set", "0" * 64)
    assert told.pointing["main"]["5b"].gain == found["pointing", "main", "5b"][1]
    config = explainer.config.__class__(**{**vars(explainer.config), "trust": told})
    assert parse_config(dump_config(config).encode(), "test").trust == told


def test_an_interval_holds_the_mean_and_narrows_with_more_pictures() -> None:
    few, many = (interval(np.tile([0.0, 1.0], n)) for n in (10, 1000))
    assert few.mean == many.mean == 0.5
    assert few.low < many.low < 0.5 < many.high < few.high
    assert str(interval(np.array([-0.4, -0.4]))) == "−40.0 (−40.0…−40.0)"
    assert str(interval(np.array([-0.0004, -0.0004]))) == "0.0 (0.0…0.0)"
    assert few.low == pytest.approx(0.5 - 1.96 * 0.5 / 20**0.5, abs=0.06)


def tree(folder: Path) -> Path:
    for i, name in enumerate(("thing 0", "thing 1")):
        (folder / "val" / name).mkdir(parents=True)
        random_image(64, 64, i).save(folder / "val" / name / "a.png")
    lines = ["path,x_min,y_min,x_max,y_max", "thing 0/a.png,0,0,15,63", "thing 1/a.png,10,10,29,29"]
    (folder / "val" / "boxes.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder


def test_pictures_come_with_their_boxes_in_random_order(tmp_path: Path) -> None:
    split = read_split(tree(tmp_path), "val")
    found = boxed(split, PREPROCESS, 10)
    assert sorted(picture.box for picture in found) == [Box(0, 0, 16, 64), Box(10, 10, 30, 30)]
    assert all(isinstance(picture.image, Image.Image) for picture in found)
    assert len(boxed(split, PREPROCESS, 1)) == 1
    cropped = Preprocess(96, 32, PREPROCESS.mean, PREPROCESS.std)  # sees x from 21 to 43
    assert [picture.box.x0 for picture in boxed(split, cropped, 10)] == [10]
    (tmp_path / "val" / "boxes.csv").unlink()
    with pytest.raises(UserError, match=r"boxes\.csv"):
        boxed(read_split(tmp_path, "val"), PREPROCESS, 10)


def test_the_command_prints_the_tables(tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tree(tmp_path / "data")
    assert main(["evaluate", tiny, str(data), "--maps", "--sample", "1", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert "### Sanity check" in out
    told = json.loads(out.splitlines()[-1])["trust"]
    assert (told["pictures"], told["dataset"]) == (1, "data")
    assert told["sha256"] == hashlib.sha256((Path(tiny) / "model.safetensors").read_bytes()).hexdigest()
