"""A small data set of its own making, and teachers for it."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from googlenet.checkpoints.config import ModelConfig
from googlenet.checkpoints.folder import write_folder
from googlenet.model.architecture import PAPER
from googlenet.pictures.images import Preprocess
from googlenet.training.run import MEAN, STD
from tests.helpers import ROOT, random_model

COLOURS = ("red", "green", "blue")


def write_classes(folder: Path, names: tuple[str, ...] = COLOURS) -> None:
    rows = [{"wnid": f"n0{i + 1}", "name": name} for i, name in enumerate(names)]
    (folder / "classes.json").write_text(json.dumps(rows), encoding="utf-8")


def picture(generator: np.random.Generator, channel: int) -> Image.Image:
    """16×16 pixels of noise in one colour."""
    pixels = generator.integers(0, 100, (16, 16, 3), np.uint8)
    pixels[..., channel] += 150
    return Image.fromarray(pixels)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of 16×16 pictures that differ in colour: 24 pictures each to learn from, 8 to measure on."""
    folder = tmp_path_factory.mktemp("colours")
    generator = np.random.default_rng(0)
    for part, count in (("train", 24), ("val", 8)):
        for channel, wnid in enumerate(("n01", "n02", "n03")):
            (folder / part / wnid).mkdir(parents=True)
            for serial in range(count):
                picture(generator, channel).save(folder / part / wnid / f"{wnid}_{serial:06d}.png")
    write_classes(folder)
    return folder


@pytest.fixture
def copied(data: Path, tmp_path: Path) -> Path:
    """The same data set, to change."""
    return shutil.copytree(data, tmp_path / "data")


def pack(path: Path, channels: list[int], *, labels: bool = True, box: list[list[int]] | None = None) -> Path:
    """A packed set with a picture of each of these colours."""
    generator = np.random.default_rng(len(channels))
    files = []
    for channel in channels:
        file = io.BytesIO()
        picture(generator, channel).save(file, "WEBP", lossless=True)
        files.append(np.frombuffer(file.getvalue(), np.uint8))
    arrays = {"webp": np.concatenate(files), "offset": np.cumsum([0, *map(len, files)])}
    if labels:
        arrays["label"] = np.array(channels, np.int16)
    if box is not None:
        arrays["box"] = np.array(box, np.int16)
    np.savez(path, **arrays)
    return path


@pytest.fixture
def teachers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module with teachers in the current folder: `colour` answers by the strongest channel."""
    (tmp_path / "my_teachers.py").write_text(
        "import torch\n"
        "class Colour(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        return 20 * x.mean(dim=(2, 3))\n"
        "def colour():\n"
        "    return Colour(), 24, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)\n"
        "def flat():\n"
        "    return Colour()\n"
        "answer = 42\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delitem(sys.modules, "my_teachers", raising=False)
    return "my_teachers"


@pytest.fixture
def cpu() -> torch.device:
    return torch.device("cpu")


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights to start from: random ones for the three colours at 32 pixels."""
    folder = tmp_path_factory.mktemp("untrained")
    write_folder(random_model(classes=3), ModelConfig(PAPER, COLOURS, Preprocess(32, 32, MEAN, STD), None, None), folder)
    return str(folder)
