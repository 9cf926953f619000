"""Channels of a stage: where one responds in a picture, and a picture of what each looks for."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from googlenet.checkpoints.cache import VISITORS, Cache
from googlenet.checkpoints.checkpoint import read_beginning
from googlenet.errors import Reason
from googlenet.inference.explainer import Explainer
from googlenet.model.architecture import STAGES
from googlenet.probes.atlas import Atlas, read_atlas, webp
from googlenet.probes.visualise import visualise

__all__ = ["ChannelPictures", "activation"]


def activation(explainer: Explainer, image: Image.Image, stage: str, channel: int) -> NDArray[np.float32]:
    """A channel's activation (rows, columns) in a picture."""
    x = explainer.preprocess(image).to(explainer.device, memory_format=torch.channels_last)
    with explainer.passes.engine() as engine, torch.no_grad():
        output = next(output for name, output in engine.model.stages(x) if name == stage)
        grid: NDArray[np.float32] = output[0, channel].float().cpu().numpy()
    return grid


class ChannelPictures:
    """What channels look for, as WebP in data URLs: from the atlas beside the weights, the visitors' cache, or drawn here."""

    KEPT = 4096  # in memory, about 4 KB each

    def __init__(self, cache: Cache = VISITORS) -> None:
        self.cache = cache
        self.urls: OrderedDict[tuple[Path | None, str, str, int], str] = OrderedDict()
        """by the folder of the weights, `network_of` them, stage and channel; the last `KEPT` that were asked for"""
        self.atlases: dict[tuple[Path, str], Atlas | None] = {}
        """by the weights' folder and the trunk's SHA-256: a stranger's folder may hold other pictures of the same weights"""

    def known(self, explainer: Explainer, stage: str, channels: Sequence[int]) -> dict[int, str]:
        """Channel → picture, of those that need not be drawn."""
        place = explainer.folder, network_of(explainer), stage
        kept = {channel: url for channel in channels if (url := self.urls.get((*place, channel)))}
        return kept | self.keep(explainer, stage, self.from_disk(explainer, stage, [c for c in channels if c not in kept]))

    def from_disk(self, explainer: Explainer, stage: str, channels: Sequence[int]) -> dict[int, bytes]:
        """Channel → WebP, from the atlas or the cache."""
        atlas = self.atlas(explainer)
        tiles = atlas.tiles(stage, channels) if atlas else {}
        found = {channel: webp(tile, 90) for channel, tile in tiles.items()}
        for channel in channels:
            if channel not in found:
                with contextlib.suppress(Reason):
                    path = self.cache.channel_picture(network_of(explainer), stage, channel)
                    found[channel] = read_beginning(path, 1 << 16)
        return found

    def atlas(self, explainer: Explainer) -> Atlas | None:
        """The atlas beside the weights, read once."""
        if explainer.folder is None:
            return None
        key = explainer.folder, explainer.trunk_sha256
        if key not in self.atlases:
            counts = {name: sum(explainer.model.stage(name).splits) for name in STAGES}
            self.atlases[key] = read_atlas(explainer.folder / "channels", explainer.trunk_sha256, counts)
        return self.atlases[key]

    def keep(self, explainer: Explainer, stage: str, data: dict[int, bytes]) -> dict[int, str]:
        urls = {channel: "data:image/webp;base64," + base64.b64encode(each).decode() for channel, each in data.items()}
        place = explainer.folder, network_of(explainer), stage
        self.urls.update({(*place, channel): url for channel, url in urls.items()})
        while len(self.urls) > self.KEPT:
            self.urls.popitem(last=False)
        return urls

    def draw(self, explainer: Explainer, stage: str, wanted: Sequence[int], progress: Callable[[float], None]) -> None:
        """Draw those that are not known, with a copy of the network: the Explainer stays free."""
        known = self.known(explainer, stage, wanted)
        if missing := [channel for channel in wanted if channel not in known]:
            tiles = visualise(explainer.copied_model(), explainer.config.preprocess, stage, missing, progress=progress)
            data = {channel: webp(tile, 80) for channel, tile in zip(missing, tiles, strict=True)}
            self.keep(explainer, stage, data)
            for channel, each in data.items():
                self.cache.keep_channel_picture(network_of(explainer), stage, channel, each)


def network_of(explainer: Explainer) -> str:
    """SHA-256 of all that a drawing depends on: the trunk, and what `config.json` says of running it."""
    config = explainer.config
    settings = config.architecture.maxpool4_kernel, config.preprocess.mean, config.preprocess.std
    return hashlib.sha256(f"{explainer.trunk_sha256} {settings}".encode()).hexdigest()
