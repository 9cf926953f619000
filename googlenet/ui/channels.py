"""The tab Channels: the strongest channels of the enlarged stage, and a picture of what each looks for."""

from __future__ import annotations

import base64
import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from googlenet.checkpoints.cache import VISITORS, Cache
from googlenet.checkpoints.checkpoint import read_beginning
from googlenet.errors import Reason, UserError
from googlenet.explanation import Channel, Explanation, Question
from googlenet.inference.explainer import Explainer
from googlenet.model.architecture import STAGES
from googlenet.probes.atlas import Atlas, read_atlas, webp
from googlenet.probes.visualise import visualise
from googlenet.ui.experiments import stage_of
from googlenet.ui.explainers import ExplainerCache
from googlenet.ui.handlers import Message, packed_grid, picture
from googlenet.ui.query import PageQuery
from googlenet.ui.tickets import Tell


@dataclass(frozen=True)
class Strongest:
    """The strongest channels of a stage, or of one of its cells, for one answer."""

    explainer: Explainer
    stage: str
    cell: tuple[int, int] | None
    channels: tuple[Channel, ...]
    scale: float
    """pixels of the original for one of the picture that was explained"""
    can_draw: bool

    def message(self, pictures: ChannelPictures) -> Message:
        """{channels: {stage, cell, for, against, missing}} with the pictures that are known. `missing`: how many can be drawn."""
        known = pictures.known(self.explainer, self.stage, [c.channel for c in self.channels])
        both: dict[str, list[Message]] = {"for": [], "against": []}
        for c in self.channels:
            both["for" if c.share > 0 else "against"].append(
                {
                    "channel": c.channel,
                    "branch": c.branch,
                    "share": c.share,
                    "grid": packed_map(c.grid),
                    "peak": [position * self.scale for position in c.peak],
                    "picture": known.get(c.channel),
                }
            )
        missing = len(self.channels) - len(known) if self.can_draw else 0
        return {"channels": {"stage": self.stage, "cell": self.cell, "missing": missing, **both}}

    def draw(self, pictures: ChannelPictures, tell: Tell) -> None:
        """Draw what is missing: {channels: {stage, cell, progress}} …, then the whole message again."""
        if not self.can_draw:
            return
        about = {"stage": self.stage, "cell": self.cell}
        wanted = [c.channel for c in self.channels]
        pictures.draw(self.explainer, self.stage, wanted, lambda share: tell({"channels": {**about, "progress": share}}))
        tell(self.message(pictures))


def strongest(ask: PageQuery, cache: ExplainerCache) -> Strongest:
    """Raises UserError."""
    shown, stage = picture(ask), stage_of(ask)
    explainer = cache.find(ask.weights)
    cell = None if ask.cell is None else (stage, *ask.cell)
    question = explainer.question(ask.head, ask.target, ask.contrast, channels=True, cell=cell)
    explainer.check_stage(question.head, stage)
    (explanation,) = cache.apply(ask, partial(explain_one, image=shown.image, question=question))
    assert explanation.channels is not None
    scale = shown.size[0] / shown.image.width
    # a lent GPU is for answers, and its process ends after each
    return Strongest(explainer, stage, ask.cell, explanation.channels[stage], scale, not cache.lent)


def firing(ask: PageQuery, cache: ExplainerCache) -> Message:
    """{firing: {stage, channel, grid, most, peak}}: where one channel of a stage responds in a picture, and how strongly.

    Raises UserError.
    """
    shown, stage = picture(ask), stage_of(ask)
    count = sum(cache.find(ask.weights).model.stage(stage).splits)
    if ask.channel is None or ask.channel >= count:
        raise UserError("Stage {stage} has the channels 0 to {last}.", stage=stage, last=count - 1)
    grid = cache.apply(ask, partial(activation, image=shown.image, stage=stage, channel=ask.channel))
    return {"firing": {"stage": stage, "channel": ask.channel, "grid": packed_map(grid), "most": float(grid.max())}}


def explain_one(explainer: Explainer, image: Image.Image, question: Question) -> list[Explanation]:
    return explainer.explain_batch([image], [question])


def activation(explainer: Explainer, image: Image.Image, stage: str, channel: int) -> NDArray[np.float32]:
    """A channel's activation (H, W)."""
    x = explainer.preprocess(image)
    with explainer.passes.engine() as engine, torch.no_grad():
        x = x.to(explainer.device, memory_format=torch.channels_last)
        grid: NDArray[np.float32] = (
            next(found for name, found in engine.model.stages(x) if name == stage)[0, channel].float().cpu().numpy()
        )
    return grid


def packed_map(grid: NDArray[np.float32]) -> Message:
    """One map (H, W) as `packed_grid` packs four branches': in the place of the first."""
    return packed_grid(np.stack((grid, *[np.zeros_like(grid)] * 3)))


class ChannelPictures:
    """What channels look for, as WebP in data URLs: from the atlas beside the weights, the visitors' cache, or drawn here."""

    KEPT = 4096  # in memory, about 4 KB each

    def __init__(self, cache: Cache = VISITORS) -> None:
        self.cache = cache
        self.urls: OrderedDict[tuple[str, str, int], str] = OrderedDict()
        """by the trunk's SHA-256, stage and channel; the last `KEPT` that were asked for"""
        self.atlases: dict[str, Atlas | None] = {}
        self.guard, self.drawing = threading.Lock(), threading.Lock()

    def known(self, explainer: Explainer, stage: str, channels: Sequence[int]) -> dict[int, str]:
        """Channel → picture, of those that need not be drawn."""
        trunk = explainer.trunk_sha256
        with self.guard:
            found = {c: self.urls[trunk, stage, c] for c in channels if (trunk, stage, c) in self.urls}
        missing = [c for c in channels if c not in found]
        data = self.from_disk(explainer, stage, missing)
        found |= self.keep(trunk, stage, data)
        return found

    def from_disk(self, explainer: Explainer, stage: str, channels: Sequence[int]) -> dict[int, bytes]:
        """Channel → WebP, from the atlas or the cache."""
        trunk = explainer.trunk_sha256
        if trunk not in self.atlases:
            counts = {name: sum(explainer.model.stage(name).splits) for name in STAGES}
            folder = explainer.folder
            self.atlases[trunk] = None if folder is None else read_atlas(folder / "channels", trunk, counts)
        atlas = self.atlases[trunk]
        tiles = atlas.tiles(stage, channels) if atlas else {}
        found = {channel: webp(tile, 90) for channel, tile in tiles.items()}
        for channel in channels:
            if channel not in found:
                with contextlib.suppress(Reason):
                    found[channel] = read_beginning(self.cache.channel_picture(trunk, stage, channel), 1 << 16)
        return found

    def keep(self, trunk: str, stage: str, data: dict[int, bytes]) -> dict[int, str]:
        urls = {channel: "data:image/webp;base64," + base64.b64encode(each).decode() for channel, each in data.items()}
        with self.guard:
            self.urls |= {(trunk, stage, channel): url for channel, url in urls.items()}
            while len(self.urls) > self.KEPT:
                self.urls.popitem(last=False)
        return urls

    def draw(self, explainer: Explainer, stage: str, wanted: Sequence[int], progress: Callable[[float], None]) -> None:
        """Draw those that are not known, one call at a time, with a copy of the network: the Explainer stays free."""
        with self.drawing:
            known = self.known(explainer, stage, wanted)
            missing = [channel for channel in wanted if channel not in known]
            if not missing:
                return
            tiles = visualise(explainer.copied_model(), explainer.config.preprocess, stage, missing, progress=progress)
            trunk = explainer.trunk_sha256
            data = {channel: webp(tile, 80) for channel, tile in zip(missing, tiles, strict=True)}
            self.keep(trunk, stage, data)
            for channel, each in data.items():
                self.cache.keep_channel_picture(trunk, stage, channel, each)
