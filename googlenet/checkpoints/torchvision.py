"""torchvision's own GoogLeNet, through its public API and torch hub's cache."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from urllib.parse import urlsplit

import torch

from googlenet.checkpoints.checkpoint import LoadedModel, build
from googlenet.checkpoints.config import ModelConfig
from googlenet.checkpoints.readers.layouts import HALF, with_counters
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
    address = urlsplit(weights.url)
    file = Path(torch.hub.get_dir(), "checkpoints", Path(address.path).name)
    stated = file.stem.rpartition("-")[2]
    try:
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(weights.url, str(file), stated, progress=False)
        data = file.read_bytes()
    except RuntimeError:  # torch's, for a download with another hash
        raise DamagedWeightsError("torchvision's weights arrived damaged; try again.") from None
    except OSError as error:
        raise OfflineWeightsError(
            "torchvision's weights are not on this machine and cannot be fetched: {why}; connect and try again, or use the "
            "built-in weights.",
            why=reason(error) if error.errno else Reason("{host} cannot be reached", host=address.hostname),
        ) from None
    sha256 = hashlib.sha256(data).hexdigest()
    if not sha256.startswith(stated):  # torch checks what it downloads, not what lies there
        raise DamagedWeightsError("{file} is damaged: it is not torchvision's file; delete it and try again.", file=file)
    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    tensors = with_counters({key: tensor for key, tensor in state.items() if not key.startswith("aux")})
    rule = weights.transforms()
    preprocess = Preprocess(rule.resize_size[0], rule.crop_size[0], HALF, HALF)  # torchvision then transforms its input to this
    config = ModelConfig(TORCHVISION, tuple(weights.meta["categories"]), preprocess)
    model = build(TORCHVISION, len(config.labels), tensors, "torchvision")
    return LoadedModel(model, config, Provenance("torchvision", None, sha256, None, offline=False))
