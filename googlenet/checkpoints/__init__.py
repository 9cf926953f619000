"""Weights as files: `load` any SOURCE, `save` in this program's layout."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from googlenet.checkpoints.cache import OPERATOR, VISITORS
from googlenet.checkpoints.checkpoint import CARD_FILE, CONFIG_FILE, WEIGHTS_FILE, LoadedModel, LoadProgress
from googlenet.checkpoints.folder import read_weights, save
from googlenet.checkpoints.hub import pull
from googlenet.checkpoints.labels import read_labels
from googlenet.checkpoints.readers.layouts import NORMALISATIONS
from googlenet.checkpoints.source import File, Folder, Repository, Source, Torchvision, choose, list_folder, parse_source
from googlenet.checkpoints.torchvision import fetch
from googlenet.errors import WeightsError

__all__ = ["LoadedModel", "import_weights", "load", "load_for_visitor", "read_labels", "save"]


def load(
    source: str | Source, *, token: str | bool | None = None, progress: LoadProgress | None = None, labels: str | None = None
) -> LoadedModel:
    """Load weights of any layout.

    Args:
        source: a folder, a file, `user/repo[@revision][:file]` or `torchvision`; an existing path wins. `weights` stands for
            the built-in weights where there is no such path. A further `:key` chooses among the networks of a checkpoint.
        token: as huggingface_hub takes it: None for $HF_TOKEN or the stored one, False for none.
        progress: called during a download with the share that is done (0…1) and the file's name.
        labels: a file or folder with the names of the classes, as `read_labels` takes it; None for those of the weights.

    Returns:
        LoadedModel: the model, float32 and in eval mode, its configuration and where it came from.

    Raises:
        WeightsError: the weights cannot be loaded. Its subclasses tell why: gated, missing, offline, damaged.

    Example:
        >>> import torch
        >>> from googlenet import load
        >>> loaded = load("weights")
        >>> loaded.config.preprocess.crop, loaded.config.labels[291], loaded.provenance.source
        (224, 'lion', 'weights')
        >>> loaded.model(torch.zeros(1, 3, 224, 224)).shape
        torch.Size([1, 1000])
    """
    match parse_source(source) if isinstance(source, str) else source:
        case Folder() as folder:
            loaded = read_weights(folder.path, choose(list_folder(folder), folder.name), folder.name)
        case File(path, name, key):
            loaded = read_weights(path.parent, path.name, name, key=key)
        case Torchvision():
            loaded = fetch()
        case repository:
            loaded = pull(OPERATOR, repository, token, progress)
    if labels is None:
        return loaded
    return replace(loaded, config=replace(loaded.config, labels=read_labels(labels, len(loaded.config.labels))))


def load_for_visitor(source: Repository | Torchvision, progress: LoadProgress | None = None) -> LoadedModel:
    """Load weights that a visitor of the page names.

    A repository is loaded without this machine's token, through the visitors' own cache. That has a quota, and files that turn
    out not to be weights are removed from it. torchvision's weights lie in torch's cache.
    """
    return fetch() if isinstance(source, Torchvision) else pull(VISITORS, source, False, progress)


def import_weights(
    source: str, out: Path, normalise: str | None = None, labels: str | None = None, overwrite: bool = False
) -> LoadedModel:
    """Write any SOURCE in this program's layout, with a card that names the source. `source` and `labels`: as `load` takes them.

    Args:
        out: the folder to write.
        normalise: one of `NORMALISATIONS`, for a file that does not say which of them its network was trained with.
        overwrite: whether files that are there are replaced.

    Raises:
        WeightsError: the weights cannot be loaded or written, they say how pictures are normalised, or `out` holds such files.
    """
    there = [name for name in (WEIGHTS_FILE, CONFIG_FILE, CARD_FILE) if os.path.exists(out / name)]  # that of Path may raise
    if there and not overwrite:
        raise WeightsError(
            "{folder} already holds {names}; choose another folder, or add --overwrite.", folder=out, names=", ".join(there)
        )
    parsed = parse_source(source)
    loaded = load(parsed, labels=labels)
    provenance = loaded.provenance
    if normalise is not None:
        if provenance.assumed is None:
            raise WeightsError("{source} says how its pictures are normalised; leave out --normalise.", source=source)
        mean, std = NORMALISATIONS[normalise]
        preprocess = replace(loaded.config.preprocess, mean=mean, std=std)
        loaded = replace(loaded, config=replace(loaded.config, preprocess=preprocess))
    local = isinstance(parsed, Folder | File)
    origin = Path(provenance.source).name if local else source  # a card is for others: no path of this machine
    commit = f", commit {provenance.revision}" if provenance.revision else ""
    licence = f"license: {provenance.license}\n" if provenance.license else ""
    card = (
        f"---\n{licence}pipeline_tag: image-classification\ntags: [googlenet, inception, grad-cam]\n---\n\n"
        f"# GoogLeNet, {len(loaded.config.labels):,} classes\n\nImported from {origin}{commit}, a file with SHA-256 "
        f"{provenance.sha256}. For use with the program *Inside GoogLeNet*.\n"
    )
    if provenance.assumed:
        how = "was chosen" if normalise else "is assumed"
        card += f"\nThe file does not say how pictures are normalised; `{normalise or provenance.assumed}` {how}.\n"
    save(loaded, out, card)
    return loaded
