"""Small real models and pictures that several test files share. Nothing here needs a network."""

from __future__ import annotations

import copy
import functools
import random
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from googlenet.checkpoints import LoadedModel
from googlenet.checkpoints.config import Metrics, ModelConfig
from googlenet.explanation import Provenance
from googlenet.inference.explainer import Explainer
from googlenet.model.architecture import BERKELEY, PAPER, TORCHVISION, Architecture
from googlenet.model.network import ConvBlock, GoogLeNet
from googlenet.pictures.images import Preprocess

ROOT = Path(__file__).parent.parent
PATIENCE = 120
"""Seconds for what takes one on an idle machine."""
ARCHITECTURES = {"paper": PAPER, "torchvision": TORCHVISION, "berkeley": BERKELEY}
TEMPERATURES = {"aux1": 1.5, "aux2": 2.0, "main": 0.75}
CONFIG = ModelConfig(
    PAPER,
    ("cat", "犬", "crane"),
    Preprocess((72, 80), 64, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4), "bicubic"),
    TEMPERATURES,
    Metrics("Three Things", dict.fromkeys(TEMPERATURES, 0.5), dict.fromkeys(TEMPERATURES, 1.0), 0.25),
)
"""Every field differs from its default."""


@functools.lru_cache(4)
def _random_model(architecture: Architecture, classes: int, seed: int) -> tuple[GoogLeNet, torch.Tensor]:
    torch.manual_seed(seed)
    model = GoogLeNet(architecture, classes)
    for module in model.modules():
        if isinstance(module, ConvBlock) and isinstance(module.bn, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.bn.get_buffer("running_mean"), -0.2, 0.2)
            torch.nn.init.uniform_(module.bn.get_buffer("running_var"), 0.5, 1.5)
            module.bn.weight.data.uniform_(0.7, 1.3)
            module.bn.bias.data.uniform_(-0.1, 0.3)
    return model.eval(), torch.get_rng_state()


def random_model(architecture: Architecture = PAPER, classes: int = 10, seed: int = 0) -> GoogLeNet:
    """A network with random weights whose BatchNorm statistics are random too, so that forgetting them would show.

    A copy of one that was made before, with the random numbers that follow.
    """
    model, state = _random_model(architecture, classes, seed)
    torch.set_rng_state(state)
    return copy.deepcopy(model)


def explainer_of(model: GoogLeNet, preprocess: Preprocess | None = None) -> Explainer:
    """In float32, so that its answers are the same on every processor."""
    classes = model.fc.out_features
    preprocess = preprocess or Preprocess(96, 96, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    config = ModelConfig(model.architecture, tuple(f"thing {i}" for i in range(classes)), preprocess, None, None)
    return Explainer(LoadedModel(model, config, Provenance("test", None, "0" * 64, None, False)), "cpu", bfloat16=False)


def free_port() -> int:
    """A port that is free until a program listens there seconds later: systems give those from 32,768 up to whoever asks."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition, for `PATIENCE` seconds at most."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether a process runs. One that has ended may stay in the list: in a container, perhaps nobody asks how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of these chunks, each a name and its bytes, and its end."""
    packed = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in (*chunks, (b"IEND", b""))
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def random_image(width: int, height: int, seed: int = 0) -> Image.Image:
    """A smooth random picture: noise at 1/16 of the size, enlarged."""
    noise = np.random.default_rng(seed).integers(0, 256, (max(1, height // 16), max(1, width // 16), 3), np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


@contextmanager
def all_engines(explainer: Explainer) -> Iterator[None]:
    """While nobody else can run the model."""
    with ExitStack() as stack:
        for _ in explainer.passes.engines:
            stack.enter_context(explainer.passes.engine())
        yield
