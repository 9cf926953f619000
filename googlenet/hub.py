"""Where weights come from and what travels with them: a folder, a file or a Hub repository → a checked model."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import HfApi, ModelCard, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torchvision.models import GoogLeNet_Weights
from tqdm import tqdm

from googlenet import convert
from googlenet.errors import UserError
from googlenet.images import Preprocess
from googlenet.model import HEADS, Architecture, GoogLeNet

WEIGHTS_FILE, CONFIG_FILE, CARD_FILE = "model.safetensors", "config.json", "README.md"


@dataclass(frozen=True)
class Metrics:
    """Measured accuracies; shares in 0…1."""

    dataset: str
    top1: dict[str, float]
    """by head"""
    top5: dict[str, float]
    """by head"""
    unlikely_below: float | None
    """When the main head's best probability lies below this, none of the classes looks likely; None where not measured."""


@dataclass(frozen=True)
class ModelConfig:
    """`config.json`: what travels with the weights."""

    architecture: Architecture
    labels: tuple[str, ...]
    preprocess: Preprocess
    temperatures: dict[str, float] | None
    """by head: probabilities are softmax(logits / temperature); None means 1"""
    metrics: Metrics | None


@dataclass(frozen=True)
class Provenance:
    """Where a loaded model came from, so that a result can be repeated."""

    source: str
    """as asked for"""
    revision: str | None
    """the Hub commit (40 hex digits); None for a folder or file"""
    sha256: str
    """of the weights file, hex"""
    license: str | None
    """from the model card's header"""
    offline: bool
    """True where the Hub could not be asked and the cached copy is used"""


@dataclass(frozen=True)
class LoadedModel:
    model: GoogLeNet
    config: ModelConfig
    provenance: Provenance


Progress = Callable[[float, str], None]
"""Told the share done (0…1) and what is being done."""


MAX_BYTES = 200 * 1024 * 1024
MAX_LABELS = 100_000
TIMEOUT = 20.0
"""Seconds to wait for the Hub's first answer."""


@dataclass(frozen=True)
class Repository:
    """`user/repo[@revision][:file]`"""

    id: str
    revision: str | None = None
    file: str | None = None


@dataclass(frozen=True)
class KnownSource:
    """A place where a GoogLeNet is known to lie."""

    source: str
    title: str
    note: str


KNOWN_SOURCES = (
    KnownSource(
        "mediasynthesismuseum/deepdream-googlenet:bvlc_googlenet.pth",
        "ImageNet, 1,000 classes, Berkeley 2014",
        "aux1, aux2 and main, trained; 68.7 % top-1",
    ),
    KnownSource(
        "Kalray/googlenet@f84dc794e4a2c70ebfe495798c7e04e14194f2dc:googlenet.onnx",
        "ImageNet, 1,000 classes, torchvision",
        "main head alone; 69.8 % top-1",
    ),
    KnownSource(
        "onnxmodelzoo/googlenet-3:googlenet-3.onnx",
        "ImageNet, 1,000 classes, ONNX model zoo",
        "main head alone; 68.7 % top-1",
    ),
)
"""Sources on the Hub beside the built-in weights, for the page's menu."""

NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}"
REPOSITORY = re.compile(rf"({NAME}/{NAME})(?:@([A-Za-z0-9_][A-Za-z0-9_./-]{{0,99}}))?(?::([^:\\]{{1,200}}))?")


def parse_repository(text: str) -> Repository:
    """`user/repo[@revision][:file]` → its parts. Raises UserError for anything else, such as a path."""
    found = REPOSITORY.fullmatch(text.strip())
    if not found or any(part in ("", ".", "..") for name in found.groups() if name for part in name.split("/")):
        raise UserError("{text} names no repository; write user/repo, user/repo@revision or user/repo:file.", text=repr(text))
    return Repository(*found.groups())


def load(source: str, *, token: str | bool | None = None, progress: Progress | None = None) -> LoadedModel:
    """Load a SOURCE: a folder, a file or `user/repo[@revision][:file]`; an existing path wins over a repository.

    The model is float32 and in eval mode. `token` as huggingface_hub takes it: None for $HF_TOKEN or the stored one, False for
    none. Raises UserError in one sentence for whatever keeps the weights from loading.
    """
    path = Path(source)
    if path.is_dir():
        names = [file.name for file in path.iterdir()]
        file = choose(names, source)
        if file == WEIGHTS_FILE:
            return load_folder(path, source, None, offline=False)
        return load_file_of_others(path / file, source, None, None, offline=False)
    if path.exists():
        return load_file_of_others(path, source, None, None, offline=False)
    if not REPOSITORY.fullmatch(source.strip()):
        raise UserError("There is no folder or file {source}; give one, or a repository as user/repo.", source=source)
    return pull(parse_repository(source), token=token, progress=progress)


def choose(names: list[str], source: str) -> str:
    """The one file that holds the weights: ours, or the only one in a layout that `convert` reads."""
    if CONFIG_FILE in names and WEIGHTS_FILE in names:
        return WEIGHTS_FILE
    candidates = sorted(name for name in names if name.endswith(convert.FORMATS))
    if len(candidates) > 1:
        raise UserError(
            "{source} holds several files of weights; add one of them as {source}:file: {names}.",
            source=source,
            names=", ".join(candidates),
        )
    if not candidates:
        raise UserError(
            "{source} holds no GoogLeNet: neither config.json with model.safetensors nor a file {formats}.",
            source=source,
            formats=", ".join(convert.FORMATS),
        )
    return candidates[0]


def load_file_of_others(path: Path, source: str, revision: str | None, license_name: str | None, *, offline: bool) -> LoadedModel:
    """Weights in someone else's layout; ImageNet's names where there are 1,000 classes."""
    converted = convert.convert(path)
    labels = [f"class {i}" for i in range(converted.classes)]
    if converted.classes == 1000:
        labels = GoogLeNet_Weights.IMAGENET1K_V1.meta["categories"]
    config = ModelConfig(converted.architecture, tuple(labels), converted.preprocess, None, None)
    model = build(config, converted.state_dict, source)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return LoadedModel(model, config, Provenance(source, revision, sha256, license_name, offline))


def pull(repository: Repository, *, token: str | bool | None = None, progress: Progress | None = None) -> LoadedModel:
    """Weights from the Hub, pinned to one commit, through huggingface_hub's cache; the cached copy where the Hub is away.

    Every downloaded file is compared with the SHA-256 that the Hub states; one that differs is dropped from the cache.
    """
    source = repository.id + (f"@{repository.revision}" if repository.revision else "")
    full = source + (f":{repository.file}" if repository.file else "")
    try:
        info = HfApi().model_info(repository.id, revision=repository.revision, files_metadata=True, timeout=TIMEOUT, token=token)
    except GatedRepoError:
        raise UserError(
            "{source} is gated: accept its terms on the Hub, then set HF_TOKEN and try again.", source=source
        ) from None
    except RepositoryNotFoundError:
        raise UserError(
            "There is no repository {source} on the Hub, or it is private; check the name, or set HF_TOKEN.", source=repository.id
        ) from None
    except RevisionNotFoundError:
        raise UserError(
            "{id} has no revision {revision}; check it, or leave it out for the newest.",
            id=repository.id,
            revision=repository.revision,
        ) from None
    except (HFValidationError, ValueError) as error:
        raise UserError("{source} names no repository on the Hub ({error}).", source=source, error=error) from None
    except (OSError, HTTPError) as error:  # no network, offline mode, the Hub is down or too slow
        if isinstance(error, HfHubHTTPError) and error.response.status_code < 500:
            raise UserError("The Hub refuses {source} ({error}).", source=source, error=str(error).splitlines()[0]) from None
        return pull_cached(repository, full, error)
    files = {file.rfilename: file for file in info.siblings or []}
    if repository.file and repository.file not in files:
        raise UserError("{source} holds no file {file}.", source=source, file=repository.file)
    wanted = repository.file or choose(list(files), source)
    names = [wanted]
    if wanted == WEIGHTS_FILE:
        names = [CONFIG_FILE, WEIGHTS_FILE] + [CARD_FILE] * (CARD_FILE in files)
    for name in names:
        if (files[name].size or 0) > MAX_BYTES:
            raise UserError("{file} of {source} is larger than 200 MB: no GoogLeNet is.", file=name, source=source)
    for name in names:
        lfs = files[name].lfs
        path = download(repository.id, name, info.sha or "", lfs.sha256 if lfs else None, token, progress)
    if wanted == WEIGHTS_FILE:
        return load_folder(path.parent, full, info.sha, offline=False)
    license_name = info.card_data.license if info.card_data else None
    return load_file_of_others(path, full, info.sha, license_name, offline=False)


def download(
    repository: str, name: str, commit: str, sha256: str | None, token: str | bool | None, progress: Progress | None
) -> Path:
    """One file of one commit, checked. Raises UserError; a file that differs from what the Hub states does not stay."""

    class Bar(tqdm):
        """huggingface_hub's progress bar, which tells the page too."""

        def __init__(self, *args: Any, name: str | None = None, **options: Any) -> None:
            super().__init__(*args, **options)

        def update(self, n: float | None = 1) -> bool | None:
            shown = super().update(n)
            if progress and self.total:
                progress(min(1.0, self.n / self.total), name)
            return shown

    try:
        path = Path(hf_hub_download(repository, name, revision=commit, token=token, etag_timeout=TIMEOUT, tqdm_class=Bar))
    except EntryNotFoundError:
        raise UserError("{source} holds no file {file}.", source=repository, file=name) from None
    except (OSError, HTTPError, ValueError) as error:
        raise UserError(
            "{file} of {source} could not be downloaded ({error}); try again.",
            file=name,
            source=repository,
            error=str(error).splitlines()[0] if str(error) else type(error).__name__,
        ) from None
    if sha256 and hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise UserError(
            "{file} of {source} arrived damaged: its SHA-256 is not the one that the Hub states; try again.",
            file=name,
            source=repository,
        )
    return path


def pull_cached(repository: Repository, source: str, reason: Exception) -> LoadedModel:
    """What the cache holds of the revision that was asked for. Raises UserError where it holds nothing."""
    try:
        folder = Path(snapshot_download(repository.id, revision=repository.revision, local_files_only=True))
        names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
        wanted = repository.file if repository.file in names else None if repository.file else choose(names, source)
    except (OSError, UserError):
        wanted = None
    if wanted is None:
        why = "offline mode is set" if isinstance(reason, OfflineModeIsEnabled) else "the Hub cannot be reached"
        raise UserError(
            "{source} is not in the cache and {why}; connect and try again, or use the built-in weights.", source=source, why=why
        )
    if wanted == WEIGHTS_FILE:
        return load_folder(folder, source, folder.name, offline=True)
    return load_file_of_others(folder / wanted, source, folder.name, None, offline=True)


def load_folder(folder: Path, source: str, revision: str | None, *, offline: bool) -> LoadedModel:
    """Read `config.json`, `model.safetensors` and the card's licence from a folder."""
    config = parse_config(read_bounded(folder / CONFIG_FILE, source, 16 * 1024 * 1024), source)
    path = folder / WEIGHTS_FILE
    data = read_bounded(path, source, MAX_BYTES)
    model = build(config, read_tensors(path, source), source)
    provenance = Provenance(source, revision, hashlib.sha256(data).hexdigest(), license_of(folder), offline)
    return LoadedModel(model, config, provenance)


def read_bounded(path: Path, source: str, limit: int) -> bytes:
    try:
        if path.stat().st_size > limit:
            raise UserError("{file} of {source} is larger than {limit} MB.", file=path.name, source=source, limit=limit >> 20)
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            "{source} lacks a readable {file} ({error}).", source=source, file=path.name, error=error.strerror
        ) from None


def read_tensors(path: Path, source: str) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError("{file} of {source} is damaged: {error}.", file=path.name, source=source, error=error) from None


def build(config: ModelConfig, tensors: dict[str, Tensor], source: str) -> GoogLeNet:
    """The network with these tensors, every name and shape checked before anything is copied."""
    with torch.device("meta"):
        expected = GoogLeNet(config.architecture, len(config.labels)).state_dict()
    for name in [*expected, *tensors]:
        if name not in tensors:
            raise UserError("The weights of {source} lack the tensor {name}.", source=source, name=name)
        if name not in expected:
            raise UserError("The weights of {source} hold a tensor that no GoogLeNet has: {name}.", source=source, name=name)
        found, wanted = tensors[name], expected[name]
        if found.shape != wanted.shape or found.is_floating_point() != wanted.is_floating_point():
            raise UserError(
                "{name} of {source} is {found} where {wanted} belongs.",
                name=name,
                source=source,
                found="×".join(map(str, found.shape)) or "a number",
                wanted="×".join(map(str, wanted.shape)) or "a number",
            )
        if found.is_floating_point() and not found.isfinite().all():
            raise UserError("{name} of {source} holds values that are no numbers.", name=name, source=source)
    model = GoogLeNet(config.architecture, len(config.labels))
    model.load_state_dict(tensors, strict=True)
    model.config = config
    return model.eval()


def license_of(folder: Path) -> str | None:
    """The licence in the model card's header, None without one."""
    try:
        return ModelCard.load(folder / CARD_FILE).data.license
    except (OSError, ValueError):
        return None


def save(model: GoogLeNet, folder: Path, card: str | None = None) -> None:
    """Write the three files of this program's layout, each whole or not at all.

    Half precision, BatchNorm's tensors in float32. Raises UserError where the folder cannot be written.
    """
    assert model.config is not None, "model.config says what travels with the weights; set it before saving"
    batch_norm = (".bn.", "num_batches_tracked")
    tensors = {
        name: value.cpu().contiguous() if any(part in name for part in batch_norm) else value.half().cpu().contiguous()
        for name, value in model.state_dict().items()
    }
    if card is None:
        card = "---\nlicense: apache-2.0\npipeline_tag: image-classification\ntags: [googlenet]\n---\n\n# GoogLeNet\n"
    config = dump_config(model.config)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / WEIGHTS_FILE, lambda path: save_file(tensors, path))
        write_whole(folder / CONFIG_FILE, lambda path: path.write_text(config, encoding="utf-8"))
        write_whole(folder / CARD_FILE, lambda path: path.write_text(card, encoding="utf-8"))
    except (OSError, SafetensorError) as error:
        raise UserError("The folder {folder} cannot be written: {error}.", folder=folder, error=error) from None


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    part = path.with_name(path.name + ".part")
    try:
        write(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def dump_config(config: ModelConfig) -> str:
    """`config.json` as text."""
    return json.dumps(asdict(config), ensure_ascii=False, indent=1) + "\n"


def parse_config(data: bytes, source: str) -> ModelConfig:
    """`config.json`, strictly: a missing or unknown field, or a value out of range, is a UserError that names it."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise UserError("config.json of {source} is no JSON.", source=source) from None
    read = ConfigReader(source)
    read.fields(found, "config.json", ModelConfig)
    labels = found["labels"]
    if not (isinstance(labels, list) and 2 <= len(labels) <= MAX_LABELS and all(isinstance(x, str) for x in labels)):
        raise read.wrong("labels", f"a list of 2 to {MAX_LABELS:,} names")
    architecture = read.architecture(found["architecture"])
    heads = HEADS if architecture.aux_heads else ("main",)
    temperatures = found["temperatures"]
    if temperatures is not None:
        temperatures = read.by_head(temperatures, "temperatures", heads, 0.01, 100)
    return ModelConfig(
        architecture, tuple(labels), read.preprocess(found["preprocess"]), temperatures, read.metrics(found["metrics"], heads)
    )


@dataclass(frozen=True)
class ConfigReader:
    """Checks of `config.json`'s parts; every complaint names the source and the field."""

    source: str

    def wrong(self, field: str, wanted: str) -> UserError:
        return UserError("{field} in config.json of {source} must be {wanted}.", field=field, source=self.source, wanted=wanted)

    def fields(self, found: Any, name: str, of: type) -> None:
        if not isinstance(found, dict):
            raise self.wrong(name, "an object")
        wanted = {field.name for field in fields(of)}
        for field in sorted(wanted ^ set(found)):
            if field in wanted:
                raise UserError("{name} of {source} lacks the field {field}.", name=name, source=self.source, field=field)
            raise UserError("{name} of {source} has an unknown field: {field}.", name=name, source=self.source, field=field)

    def number(self, found: Any, name: str, low: float, high: float) -> float:
        if isinstance(found, bool) or not isinstance(found, int | float) or not (math.isfinite(found) and low <= found <= high):
            raise self.wrong(name, f"a number from {low:g} to {high:g}")
        return float(found)

    def pixels(self, found: Any, name: str) -> int:
        if isinstance(found, bool) or not isinstance(found, int) or not 32 <= found <= 1024:
            raise self.wrong(name, "a whole number from 32 to 1024")
        return found

    def choice(self, found: Any, name: str, choices: tuple[Any, ...]) -> Any:
        if not any(found == choice and type(found) is type(choice) for choice in choices):
            raise self.wrong(name, "one of " + ", ".join(map(str, choices)))
        return found

    def by_head(self, found: Any, name: str, heads: tuple[str, ...], low: float, high: float) -> dict[str, float]:
        if not isinstance(found, dict) or set(found) != set(heads):
            raise self.wrong(name, "an object with " + ", ".join(heads))
        return {head: self.number(found[head], f"{name}.{head}", low, high) for head in heads}

    def architecture(self, found: Any) -> Architecture:
        self.fields(found, "architecture", Architecture)
        return Architecture(
            norm=self.choice(found["norm"], "norm", ("batch", "local_response")),
            branch3_kernel=self.choice(found["branch3_kernel"], "branch3_kernel", (3, 5)),
            maxpool4_kernel=self.choice(found["maxpool4_kernel"], "maxpool4_kernel", (2, 3)),
            aux_pool=self.choice(found["aux_pool"], "aux_pool", ("5x5/3", "adaptive")),
            aux_heads=self.choice(found["aux_heads"], "aux_heads", (False, True)),
        )

    def preprocess(self, found: Any) -> Preprocess:
        self.fields(found, "preprocess", Preprocess)
        resize, crop = found["resize"], self.pixels(found["crop"], "crop")
        if isinstance(resize, list) and len(resize) == 2:
            resize = (self.pixels(resize[0], "resize"), self.pixels(resize[1], "resize"))
        else:
            resize = self.pixels(resize, "resize")
        if crop > (min(resize) if isinstance(resize, tuple) else resize):
            raise self.wrong("crop", "at most as large as resize")
        return Preprocess(
            resize,
            crop,
            self.channels(found["mean"], "mean", 0),
            self.channels(found["std"], "std", 1e-4),
            self.choice(found["interpolation"], "interpolation", ("nearest", "bilinear", "bicubic")),
        )

    def channels(self, found: Any, name: str, low: float) -> tuple[float, float, float]:
        if not isinstance(found, list) or len(found) != 3:
            raise self.wrong(name, "three numbers")
        red, green, blue = (self.number(value, name, low, 1) for value in found)
        return red, green, blue

    def metrics(self, found: Any, heads: tuple[str, ...]) -> Metrics | None:
        if found is None:
            return None
        self.fields(found, "metrics", Metrics)
        if not isinstance(found["dataset"], str):
            raise self.wrong("metrics.dataset", "a name")
        below = found["unlikely_below"]
        return Metrics(
            found["dataset"],
            self.by_head(found["top1"], "metrics.top1", heads, 0, 1),
            self.by_head(found["top5"], "metrics.top5", heads, 0, 1),
            None if below is None else self.number(below, "metrics.unlikely_below", 0, 1),
        )


def default_source() -> str:
    """$GOOGLENET_WEIGHTS, else `weights/` beside the package."""
    return os.environ.get("GOOGLENET_WEIGHTS") or str(Path(__file__).parent.parent / "weights")


def import_weights(source: str, out: Path) -> LoadedModel:
    """Write any SOURCE in this program's layout, with a card that tells where it came from."""
    loaded = load(source)
    provenance = loaded.provenance
    commit = f", commit {provenance.revision}" if provenance.revision else ""
    licence = f"license: {provenance.license}\n" if provenance.license else ""
    card = (
        f"---\n{licence}pipeline_tag: image-classification\ntags: [googlenet, inception, grad-cam]\n---\n\n"
        f"# GoogLeNet, {len(loaded.config.labels):,} classes\n\nImported from {source}{commit}, a file with SHA-256 "
        f"{provenance.sha256}. For use with the program *Inside GoogLeNet*.\n"
    )
    save(loaded.model, out, card)
    return loaded
