"""Weights as files: `load` any SOURCE, `save` in this program's layout."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from googlenet.checkpoints.checkpoint import LoadedModel as LoadedModel
from googlenet.checkpoints.checkpoint import Progress
from googlenet.checkpoints.folder import read_folder
from googlenet.checkpoints.folder import save as save
from googlenet.checkpoints.hub import pull
from googlenet.checkpoints.readers.layouts import NORMALISATIONS
from googlenet.checkpoints.source import BUILT_IN, REPOSITORY, Repository, choose, shipped
from googlenet.checkpoints.source import parse_repository as parse_repository
from googlenet.errors import WeightsError, reason


def load(source: str | Repository, *, token: str | bool | None = None, progress: Progress | None = None) -> LoadedModel:
    """Load weights of any layout.

    Args:
        source: a folder, a file or `user/repo[@revision][:file]`; an existing path wins over a repository. `weights` stands for
            the built-in weights where there is no such path. A `Repository` is never taken for a path.
        token: as huggingface_hub takes it: None for $HF_TOKEN or the stored one, False for none.
        progress: called during a download with the share that is done (0…1) and the file's name.

    Returns:
        LoadedModel: the model, float32 and in eval mode, its configuration and where it came from.

    Raises:
        WeightsError: the weights cannot be loaded.

    Example:
        >>> import torch
        >>> from googlenet import load
        >>> loaded = load("weights")
        >>> loaded.config.preprocess.crop, loaded.config.labels[291], loaded.provenance.source
        (224, 'lion', 'weights')
        >>> loaded.model(torch.zeros(1, 3, 224, 224)).shape
        torch.Size([1, 1000])
    """
    if isinstance(source, Repository):
        return pull(source, token, progress)
    path = source
    if source == BUILT_IN and not os.path.exists(source):
        path = str(shipped(BUILT_IN))
    if os.path.isdir(path):
        shown = BUILT_IN if os.path.realpath(path) == os.path.realpath(shipped(BUILT_IN)) else source  # no path of this machine
        return read_folder(Path(path), choose(list_folder(path), shown), shown)
    if os.path.exists(path):
        return read_folder(Path(path).parent, Path(path).name, source)
    if not REPOSITORY.fullmatch(source.strip()):
        raise WeightsError("There is no folder or file {source}; give one, or a repository as user/repo.", source=source)
    return pull(parse_repository(source), token, progress)


def list_folder(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError as error:
        raise WeightsError("The folder {source} cannot be read: {error}.", source=folder, error=reason(error)) from None


def import_weights(source: str, out: Path, normalise: str | None = None) -> LoadedModel:
    """Write any SOURCE in this program's layout, with a card that names the source.

    `normalise` is `imagenet` or `half` (`readers.layouts.NORMALISATIONS`), for a file that does not say which of the two its
    network was trained with. Raises WeightsError where the file says it.
    """
    loaded = load(source)
    provenance = loaded.provenance
    if normalise is not None:
        if provenance.assumed is None:
            raise WeightsError("{source} says how its pictures are normalised; leave out --normalise.", source=source)
        mean, std = NORMALISATIONS[normalise]
        preprocess = replace(loaded.config.preprocess, mean=mean, std=std)
        loaded = replace(loaded, config=replace(loaded.config, preprocess=preprocess))
    origin = Path(source).name if os.path.exists(source) else source  # a card is for others: no path of this machine
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
