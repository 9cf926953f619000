"""Weights in a folder: read in any layout, written in this program's own: `config.json`, `model.safetensors`, a model card."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import safetensors.torch
from torch import Tensor

from googlenet.checkpoints import readers
from googlenet.checkpoints.checkpoint import (
    CARD_FILE,
    CHANNELS_FILES,
    CONFIG_FILE,
    MAX_BYTES,
    MAX_SHEET,
    WEIGHTS_FILE,
    LoadedModel,
    build,
    count_classes,
    read_beginning,
    read_whole,
)
from googlenet.checkpoints.config import MAX_CONFIG, ModelConfig, dump_config, is_foreign, parse_config
from googlenet.errors import Reason, WeightsError, reason
from googlenet.explanation import Provenance
from googlenet.explanation.classes import imagenet_classes
from googlenet.model.network import GoogLeNet

__all__ = ["labels_of", "read_weights", "replace_files", "save", "trunk_sha256", "write_folder"]

_MAX_HEADER = 1 << 16
"""Bytes of a card that are read. Its header is YAML, which a few bytes make large and nobody needs here: a line is enough."""
_HEADER = re.compile(r"---\r?\n(.*?)\r?\n---\s", re.DOTALL)
_LICENSE = re.compile(r"^license:[ \t]*(['\"]?)([A-Za-z0-9][A-Za-z0-9.+-]{0,63})\1[ \t\r]*(?:#.*)?$", re.MULTILINE)


def read_weights(
    folder: Path, file: str, source: str, revision: str | None = None, offline: bool = False, key: str | None = None
) -> LoadedModel:
    """Read a weights file in a folder: safetensors with the `config.json` beside it, any other file with its reader."""
    path = folder / file
    data = read_whole(path, source, MAX_BYTES)
    assumed = None
    beside = path.with_name(CONFIG_FILE)
    stated = read_whole(beside, source, MAX_CONFIG) if path.suffix.lower() == ".safetensors" and beside.exists() else b""
    if stated and not is_foreign(stated):
        if key is not None:
            raise WeightsError("{name} holds one network; leave out :{key}.", name=path.name, key=key)
        config = parse_config(stated, source)
        with readers.named(path.name):
            tensors = readers.load_safetensors(path.name, data)
    else:
        raw = readers.read(path.name, data, key)
        classes = count_classes(raw.tensors, source)
        labels = raw.labels if raw.labels and len(raw.labels) == classes else labels_of(classes)
        config = ModelConfig(raw.architecture, labels, raw.preprocess)
        tensors, assumed = raw.tensors, raw.assumed
    model = build(config.architecture, len(config.labels), tensors, source)
    provenance = Provenance(source, revision, hashlib.sha256(data).hexdigest(), license_of(folder), offline, assumed)
    return LoadedModel(model, config, provenance, path.parent)


def license_of(folder: Path) -> str | None:
    """The licence that the model card of a folder states; None where it states none."""
    try:
        header = _HEADER.match(read_beginning(folder / CARD_FILE, _MAX_HEADER).decode("utf-8", "replace"))
    except Reason:
        return None
    found = _LICENSE.search(header[1]) if header else None
    return found[2] if found else None


def labels_of(classes: int) -> tuple[str, ...]:
    """Labels for a layout that carries none: ImageNet's names where there are 1,000 classes, else numbers."""
    if classes == 1000:
        return tuple(each.name for each in imagenet_classes())
    return tuple(f"class {i}" for i in range(classes))


def save(loaded: LoadedModel, folder: str | Path, card: str | None = None) -> None:
    """Write weights in this program's layout, with the channels' pictures beside them: all files or none.

    Args:
        loaded: what `load` gives. Its tensors are written in half precision, those of BatchNorm in float32.
        folder: created where it is missing. Files of the same names are replaced.
        card: the model card, README.md. By default an existing card stays; where there is none, a short one is written.

    Raises:
        WeightsError: the folder cannot be written, or this program could not read what it would write.

    Example:
        >>> import os, tempfile
        >>> from googlenet import load, save
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(load("weights"), folder)
        ...     {"README.md", "config.json", "model.safetensors"} <= set(os.listdir(folder)), load(folder).config.labels[291]
        (True, 'lion')
    """
    pictures = {}
    for name in CHANNELS_FILES if loaded.folder else ():
        path = Path(loaded.folder or "") / name
        if path.exists():
            pictures[name] = read_whole(path, loaded.provenance.source, MAX_SHEET)
    write_folder(loaded.model, loaded.config, Path(folder), card, pictures)


def write_folder(
    model: GoogLeNet,
    config: ModelConfig,
    folder: Path,
    card: str | None = None,
    more: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Write weights as `save` does, and `more` files by name."""
    text = dump_config(config).encode()
    parse_config(text, str(folder))  # never write what cannot be read
    if card is None and not (folder / CARD_FILE).exists():
        card = "---\nlicense: apache-2.0\npipeline_tag: image-classification\ntags: [googlenet]\n---\n\n# GoogLeNet\n"
    tensors = {name: _as_written(name, value) for name, value in model.state_dict().items()}
    files = {WEIGHTS_FILE: safetensors.torch.save(tensors), CONFIG_FILE: text, **more}
    if card is not None:
        files[CARD_FILE] = card.encode()
    try:
        replace_files(folder, files)
    except OSError as error:
        raise WeightsError("The folder {folder} cannot be written: {error}.", folder=folder, error=reason(error)) from None


def trunk_sha256(model: GoogLeNet) -> str:
    """SHA-256 (hex) of the trunk, which is all layers up to 5b without the heads: new heads do not change it.

    The tensors are hashed in the order of their names, each as its name, data type and shape, then its values in the form in
    which they are written. BatchNorm's counters are left out.
    """
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if not name.startswith(("aux1.", "aux2.", "fc.")) and not name.endswith(".num_batches_tracked"):
            tensor = _as_written(name, value)
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
            digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def _as_written(name: str, value: Tensor) -> Tensor:
    """A tensor as it is written: in half precision; unchanged for BatchNorm and for values that half precision cannot hold."""
    value = value.cpu().contiguous()
    if ".bn." in name:
        return value
    half = value.half()
    return half if bool(half.isfinite().all()) else value


def replace_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder. If one cannot be written, the folder is left as it was. Raises OSError."""
    created = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as undo:
        if created:
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
        scratch = tempfile.TemporaryDirectory(prefix=".", dir=folder, ignore_cleanup_errors=True)
        undo.callback(scratch.cleanup)
        new, old = Path(scratch.name, "new"), Path(scratch.name, "old")
        for name, data in files.items():
            for root in (new, old):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).write_bytes(data)
            if (folder / name).exists():
                shutil.copy2(folder / name, old / name)
        for name in files:
            (folder / name).parent.mkdir(exist_ok=True)
            os.replace(new / name, folder / name)
            if (old / name).exists():
                undo.callback(os.replace, old / name, folder / name)
            else:
                undo.callback((folder / name).unlink)
        undo.pop_all()
    scratch.cleanup()
