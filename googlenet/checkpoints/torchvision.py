"""torchvision's own GoogLeNet, through its public API and torch hub's cache."""

from __future__ import annotations

import contextlib
import hashlib
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

import torch

from googlenet.checkpoints.checkpoint import LoadedModel
from googlenet.checkpoints.config import ModelConfig
from googlenet.checkpoints.readers.layouts import HALF, with_counters
from googlenet.checkpoints.tensors import build
from googlenet.errors import DamagedWeightsError, OfflineWeightsError, Reason, reason
from googlenet.explanation import Provenance
from googlenet.model.architecture import TORCHVISION
from googlenet.pictures.images import Preprocess

__all__ = ["fetch"]


def fetch() -> LoadedModel:
    """torchvision's `GoogLeNet_Weights.IMAGENET1K_V1`, from torch hub's cache or else from its server.

    Its auxiliary heads were never trained and are left out.

    Raises:
        OfflineWeightsError: the file is not on this machine, and cannot be fetched.
        DamagedWeightsError: the file is not the one that its name, which holds the beginning of its SHA-256, describes.
    """
    from torchvision.models import GoogLeNet_Weights  # takes a second, which only this source needs

    weights = GoogLeNet_Weights.IMAGENET1K_V1
    folder = Path(torch.hub.get_dir(), "checkpoints")
    file = folder / Path(urlsplit(weights.url).path).name
    try:
        if not file.exists():
            with contextlib.redirect_stdout(sys.stderr):  # where torch says what it downloads: stdout is for results
                weights.get_state_dict(
                    model_dir=str(folder), check_hash=True, progress=False, map_location="cpu", weights_only=True
                )
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        stated = re.search(r"-([0-9a-f]{8,})\.", file.name)
        if stated is None or not sha256.startswith(stated[1]):  # torch checks what it downloads, not what lies there
            raise DamagedWeightsError("{file} is damaged: it is not torchvision's file; delete it and try again.", file=file)
        state = weights.get_state_dict(model_dir=str(folder), map_location="cpu", weights_only=True)
    except RuntimeError:  # torch's, for a download with another hash
        raise DamagedWeightsError("torchvision's weights arrived damaged; try again.") from None
    except OSError as error:
        why = reason(error) if error.errno else Reason("{host} cannot be reached", host=urlsplit(weights.url).hostname)
        raise OfflineWeightsError(
            "torchvision's weights are not on this machine and cannot be fetched: {why}; connect and try again, or use the "
            "built-in weights.",
            why=why,
        ) from None
    rule = weights.transforms()
    preprocess = Preprocess(rule.resize_size[0], rule.crop_size[0], HALF, HALF)  # torchvision then transforms its input to this
    tensors = with_counters({key: tensor for key, tensor in state.items() if not key.startswith("aux")})
    config = ModelConfig(TORCHVISION, tuple(weights.meta["categories"]), preprocess)
    model = build(TORCHVISION, len(config.labels), tensors, "torchvision")
    return LoadedModel(model, config, Provenance("torchvision", None, sha256, None, offline=False))
