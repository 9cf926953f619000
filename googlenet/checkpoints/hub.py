"""Where weights come from and what travels with them: a folder, a file or a Hub repository → a checked model."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from huggingface_hub import HfApi, ModelInfo, constants, hf_hub_download
from huggingface_hub.errors import (
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils import tqdm
from safetensors import SafetensorError
from torch import Tensor
from torchvision.models import GoogLeNet_Weights

from googlenet import convert
from googlenet.config import Metrics as Metrics
from googlenet.config import ModelConfig, dump_config, parse_config
from googlenet.errors import UserError
from googlenet.model import GoogLeNet

WEIGHTS_FILE, CONFIG_FILE, CARD_FILE = "model.safetensors", "config.json", "README.md"


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


@dataclass(frozen=True)
class Repository:
    """`user/repo[@revision][:file]`"""

    id: str
    revision: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        return self.id + (f"@{self.revision}" if self.revision else "") + (f":{self.file}" if self.file else "")


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
REPOSITORY = re.compile(rf"({NAME}/{NAME})(?:@([A-Za-z0-9_][A-Za-z0-9_./-]{{0,99}}))?(?::([^:\\\0]{{1,200}}))?")
COMMIT = re.compile("[0-9a-f]{40}")


def parse_repository(text: str) -> Repository:
    """`user/repo[@revision][:file]` → its parts. Raises UserError for anything else, such as a path."""
    found = REPOSITORY.fullmatch(text.strip())
    if not found or not all(plain(part) for part in found.groups() if part is not None):
        raise UserError("{text} names no repository; write user/repo, user/repo@revision or user/repo:file.", text=repr(text))
    return Repository(*found.groups())


def plain(name: str) -> bool:
    """Whether a file's name in a repository stays inside the folder that it is put into."""
    return "\\" not in name and not any(part in ("", ".", "..") for part in name.split("/"))


def load(source: str | Repository, *, token: str | bool | None = None, progress: Progress | None = None) -> LoadedModel:
    """Load a SOURCE: a folder, a file or `user/repo[@revision][:file]`; an existing path wins over a repository.

    A `Repository` is never taken for a path. The model is float32 and in eval mode. `token` as huggingface_hub takes it: None
    for $HF_TOKEN or the stored one, False for none. Raises UserError in one sentence for whatever keeps the weights from loading.
    """
    if isinstance(source, Repository):
        return pull(source, token, progress)
    path = Path(source)
    if os.path.isdir(source):
        try:
            names = [file.name for file in path.iterdir()]
        except OSError as error:
            raise UserError("The folder {source} cannot be read: {error}.", source=source, error=error.strerror) from None
        return load_from(path, choose(names, source), source)
    if os.path.exists(source):
        return load_from(path.parent, path.name, source)
    if not REPOSITORY.fullmatch(source.strip()):
        raise UserError("There is no folder or file {source}; give one, or a repository as user/repo.", source=source)
    return pull(parse_repository(source), token, progress)


def choose(names: Iterable[str], source: str) -> str:
    """The one file that holds the weights: ours, or the only one in a layout that `convert` reads."""
    names = list(names)
    if CONFIG_FILE in names and WEIGHTS_FILE in names:
        return WEIGHTS_FILE
    candidates = sorted(name for name in names if name.endswith(convert.FORMATS))
    if len(candidates) > 1:
        raise UserError(
            "{source} holds {count} files of weights; name the one that you mean: {names}.",
            source=source,
            count=len(candidates),
            names=", ".join(candidates[:10]) + (", …" if len(candidates) > 10 else ""),
        )
    if not candidates:
        raise UserError(
            "{source} holds no GoogLeNet: neither config.json with model.safetensors nor a file {formats}.",
            source=source,
            formats=", ".join(convert.FORMATS),
        )
    return candidates[0]


def load_from(folder: Path, file: str, source: str, revision: str | None = None, offline: bool = False) -> LoadedModel:
    """Read a weights file of a folder: our own with the `config.json` beside it, any other as `convert` reads it."""
    path = folder / file
    data = read_bounded(path, source, MAX_BYTES)
    if file == WEIGHTS_FILE:
        config = parse_config(read_bounded(folder / CONFIG_FILE, source, 16 * 1024 * 1024), source)
        tensors = read_tensors(data, path.name, source)
    else:
        converted = convert.convert(path)
        tensors = converted.state_dict
        config = ModelConfig(converted.architecture, labels_of(converted.classes), converted.preprocess, None, None)
    model = build(config, tensors, source)
    provenance = Provenance(source, revision, hashlib.sha256(data).hexdigest(), license_of(folder), offline)
    return LoadedModel(model, config, provenance)


def labels_of(classes: int) -> tuple[str, ...]:
    """ImageNet's names where there are 1,000 classes; layouts other than ours carry none."""
    if classes == 1000:
        return tuple(GoogLeNet_Weights.IMAGENET1K_V1.meta["categories"])
    return tuple(f"class {i}" for i in range(classes))


class HubAwayError(Exception):
    """The Hub gives no answer that could be used: no network, offline mode, an error of its own."""


def pull(repository: Repository, token: str | bool | None, progress: Progress | None) -> LoadedModel:
    """Weights from the Hub, pinned to one commit, through huggingface_hub's cache; the cached copy where the Hub is away.

    Every file is compared with the digest that the Hub states; one that differs is dropped from the cache.
    """
    source = str(repository)
    try:
        info = ask(repository, token)
    except HubAwayError as why:
        commit, file = find_cached(repository, token, str(why))
        return load_from(cache_of(repository) / "snapshots" / commit, file, source, commit, offline=True)
    files = {file.rfilename: file for file in info.siblings or [] if plain(file.rfilename)}
    wanted = repository.file or choose(files, source)
    beside = (CONFIG_FILE, CARD_FILE) if wanted == WEIGHTS_FILE else (CARD_FILE,)
    names = [name for name in beside if name in files] + [wanted]
    if wanted not in files:
        raise UserError("{source} holds no file {file}.", source=repository.id, file=wanted)
    commit = info.sha or ""
    meter = Meter(sum(files[name].size or 0 for name in names), progress)
    for name in names:
        if (files[name].size or 0) > MAX_BYTES:
            raise UserError("{file} of {source} is larger than 200 MB: no GoogLeNet is.", file=name, source=source)
    for name in names:
        download(repository, commit, files[name], token, meter)
    loaded = load_from(cache_of(repository) / "snapshots" / commit, wanted, source, commit)
    remember(repository, commit, token)
    return loaded


def ask(repository: Repository, token: str | bool | None) -> ModelInfo:
    """What the Hub holds at the revision, with the commit in `sha`. Raises UserError, or HubAwayError."""
    source, revision = repository.id, repository.revision
    try:
        info = HfApi().model_info(
            source, revision=revision, files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT, token=token
        )
    except OfflineModeIsEnabled:
        raise HubAwayError("offline mode is set") from None
    except RevisionNotFoundError:
        raise UserError(
            "{source} has no revision {revision}; check it, or leave it out for the newest.", source=source, revision=revision
        ) from None
    except GatedRepoError:
        raise gated(source) from None
    except LocalTokenNotFoundError:
        raise UserError("There is no token on this machine; set HF_TOKEN.") from None
    except RepositoryNotFoundError:
        raise missing(source) from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        if "credentials" in error.response.headers.get("X-Error-Message", ""):
            raise UserError("The Hub does not accept the token; check HF_TOKEN, or unset it for public weights.") from None
        if status in (401, 403, 404):  # the Hub tells a private repository and none apart to nobody
            raise missing(source) from None
        if status in (408, 429) or status >= 500:
            raise HubAwayError(f"the Hub answers with error {status}") from None
        raise UserError("The Hub refuses {source} with error {status}.", source=source, status=status) from None
    except HFValidationError:
        raise UserError("{source} is no name of a repository on the Hub.", source=source) from None
    except (HTTPError, OSError):
        raise HubAwayError("the Hub cannot be reached") from None
    except (ValueError, KeyError, TypeError, AttributeError):  # a log-in page of a hotel, say
        raise HubAwayError("something other than the Hub answers") from None
    if info.gated and token is False:  # its listing is public, its files are the operator's alone
        raise gated(source)
    if not COMMIT.fullmatch(info.sha or "") or (COMMIT.fullmatch(revision or "") and info.sha != revision):
        raise UserError("The Hub does not say which commit {source} is at; nothing is loaded.", source=str(repository))
    return info


def missing(source: str) -> UserError:
    return UserError(
        "There is no repository {source} on the Hub, or it is private; check the name, or set HF_TOKEN.", source=source
    )


def gated(source: str) -> UserError:
    return UserError("{source} is gated: accept its terms on the Hub, then set HF_TOKEN and try again.", source=source)


class Meter:
    """Counts the bytes that arrive: tells the share to whoever waits, and ends a download that does not end itself."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.total, self.progress = total, progress
        self.received = self.finished = 0

    def bar(self, name: str) -> type[tqdm]:
        """huggingface_hub's bar for the terminal, counted."""

        class Bar(tqdm):
            def update(bar, n: float | None = 1) -> bool | None:  # noqa: N805
                self.count(name, int(n or 0))
                return super().update(n)

        return Bar

    def count(self, name: str, arrived: int) -> None:
        self.received += max(arrived, 0)
        if self.received > MAX_BYTES:
            raise UserError("{file} does not end where it should; nothing was kept of it. Try again later.", file=name)
        if self.progress and self.total:
            self.progress(min(1.0, (self.finished + self.received) / self.total), name)

    def finish(self, name: str, size: int) -> None:
        self.received, self.finished = 0, self.finished + size
        self.count(name, 0)


def download(repository: Repository, commit: str, file: RepoSibling, token: str | bool | None, meter: Meter) -> None:
    """One file of a commit into the cache, checked. Raises UserError; what differs from the Hub's word does not stay."""
    name, source = file.rfilename, repository.id
    try:
        path = hf_hub_download(source, name, revision=commit, token=token, tqdm_class=meter.bar(name))
    except GatedRepoError:
        raise gated(source) from None
    except RemoteEntryNotFoundError:
        raise UserError("{source} holds no file {file}.", source=source, file=name) from None
    except (HTTPError, OSError, ValueError) as error:
        cause = error.__cause__ if isinstance(error, LocalEntryNotFoundError) else error  # the library's, around what happened
        raise UserError(
            "{file} of {source} could not be fetched: {error}; try again.", file=name, source=source, error=short(cause)
        ) from None
    stated = file.lfs.sha256 if file.lfs else file.blob_id
    if stated and not matches(Path(path), stated):
        drop(Path(path))
        raise UserError(
            "{file} of {source} arrived damaged: it is not the file that the Hub describes; try again.", file=name, source=source
        )
    meter.finish(name, file.size or 0)


def short(error: BaseException | None) -> str:
    """An error of the network or the disk in a few words, without addresses and request numbers."""
    if isinstance(error, HfHubHTTPError):
        return f"the Hub answers with error {error.response.status_code}"
    if isinstance(error, HTTPError):
        return "the connection broke or is too slow"
    if isinstance(error, FileMetadataError):
        return "something other than the Hub answers"
    if isinstance(error, OfflineModeIsEnabled):
        return "offline mode is set"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "what arrived is not as long as it should be" if "Consistency" in str(error) else "something failed"


def matches(path: Path, digest: str) -> bool:
    """Whether a file has the digest by which the Hub knows it: SHA-256 for a large file, Git's SHA-1 for a small one."""
    data = path.read_bytes()
    if len(digest) == 64:
        return hashlib.sha256(data).hexdigest() == digest
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest() == digest


def drop(path: Path) -> None:
    """Take a file out of the cache, the blob that the name points to first."""
    path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def cache_of(repository: Repository) -> Path:
    """The repository's folder in huggingface_hub's cache, with `refs/<revision>`, `snapshots/<commit>/<file>` and `blobs/`."""
    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repository.id, repo_type="model")


def reference(repository: Repository, token: str | bool | None) -> Path:
    """The cache's note of a revision's commit. What was pulled without a token is noted apart, so that a visitor who asks
    without one gets no private repository of the operator while the Hub is away."""
    folder = "anonymous" if token is False else "refs"  # beside refs/: no branch's name leads from one to the other
    return cache_of(repository) / folder / (repository.revision or "main")


def remember(repository: Repository, commit: str, token: str | bool | None) -> None:
    """Note which commit a revision was, for the next start without a network; a cache that cannot be written stays as it is."""
    with contextlib.suppress(OSError):
        for note in {reference(repository, None), reference(repository, token)}:  # what is anyone's is the operator's too
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(commit)


def find_cached(repository: Repository, token: str | bool | None, why: str) -> tuple[str, str]:
    """(commit, weights file) that the cache holds of what was asked for. Raises UserError where it holds nothing of it."""
    source = str(repository)
    absent = UserError(
        "{source} is not on this machine yet and {why}; connect and try again, or use the built-in weights.",
        source=source,
        why=why,
    )
    commit = repository.revision or ""
    if token is False or not COMMIT.fullmatch(commit):
        try:
            commit = reference(repository, token).read_text().strip()
        except OSError:
            raise absent from None
    folder = cache_of(repository) / "snapshots" / commit
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    if not COMMIT.fullmatch(commit) or not names or (repository.file and repository.file not in names):
        raise absent
    file = repository.file or choose(names, source)
    for path in (folder / name for name in names if name in (file, CONFIG_FILE)):
        blob = path.resolve().name  # named by its digest, where the file system has links
        if path.is_symlink() and not matches(path, blob):
            drop(path)
            raise UserError(
                "The copy of {source} on this machine is damaged, and {why}; connect and try again.", source=source, why=why
            )
    return commit, file


def read_bounded(path: Path, source: str, limit: int) -> bytes:
    try:
        if path.stat().st_size > limit:
            raise UserError("{file} of {source} is larger than {limit} MB.", file=path.name, source=source, limit=limit >> 20)
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            "{source} lacks a readable {file} ({error}).", source=source, file=path.name, error=error.strerror
        ) from None


def read_tensors(data: bytes, name: str, source: str) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(data)
    except (SafetensorError, ValueError, KeyError) as error:  # KeyError: a dtype that PyTorch lacks
        raise UserError("{file} of {source} is damaged: {error}.", file=name, source=source, error=error) from None


def build(config: ModelConfig, tensors: dict[str, Tensor], source: str) -> GoogLeNet:
    """The network with these tensors, every name, shape and value checked before anything is copied."""
    with torch.device("meta"):
        expected = GoogLeNet(config.architecture, len(config.labels)).state_dict()
    for name in [*expected, *tensors]:
        if name not in tensors:
            raise UserError("The weights of {source} lack the tensor {name}.", source=source, name=name)
        if name not in expected:
            raise UserError(
                "The weights of {source} hold a tensor that no GoogLeNet has: {name}.", source=source, name=name[:100]
            )
        found, wanted = tensors[name], expected[name]
        if found.shape != wanted.shape or found.is_floating_point() != wanted.is_floating_point():
            raise UserError(
                "{name} of {source} is {found} where {wanted} belongs.",
                name=name,
                source=source,
                found=described(found),
                wanted=described(wanted),
            )
        if not found.float().isfinite().all() or (name.endswith("running_var") and bool((found < 0).any())):
            raise UserError("{name} of {source} holds values that no training gives.", name=name, source=source)
    model = GoogLeNet(config.architecture, len(config.labels))
    model.load_state_dict(tensors, strict=True)
    model.config = config
    return model.eval()


def described(tensor: Tensor) -> str:
    kind = "float" if tensor.is_floating_point() else "integer"
    return f"{kind} {'×'.join(map(str, tensor.shape))}" if tensor.shape else f"one {kind}"


def license_of(folder: Path) -> str | None:
    """The licence in the header of the model card beside the weights, None without one."""
    try:
        with (folder / CARD_FILE).open(encoding="utf-8", errors="replace") as file:
            text = file.read(65536)
    except OSError:
        return None
    header = text.partition("\n---")[0] if text.startswith("---\n") else ""
    found = re.search(r"^license: *[\"']?([A-Za-z0-9][A-Za-z0-9.+-]{0,63})", header, re.MULTILINE)
    return found and found[1]


def save(model: GoogLeNet, folder: Path, card: str | None = None) -> None:
    """Write the three files of this program's layout, each whole or not at all.

    Half precision, BatchNorm's tensors in float32. Without a `card` one that is there stays, else a short one is written. Raises
    UserError where the folder cannot be written, or the model has no `config`.
    """
    if model.config is None:
        raise UserError("This model lacks its config (labels, preprocessing); set model.config before saving it.")
    if card is None and not (folder / CARD_FILE).exists():
        card = "---\nlicense: apache-2.0\npipeline_tag: image-classification\ntags: [googlenet]\n---\n\n# GoogLeNet\n"
    config = dump_config(model.config)
    tensors = {name: stored(name, value) for name, value in model.state_dict().items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / WEIGHTS_FILE, safetensors.torch.save(tensors))
        write_whole(folder / CONFIG_FILE, config.encode())
        if card is not None:
            write_whole(folder / CARD_FILE, card.encode())
    except OSError as error:
        raise UserError("The folder {folder} cannot be written: {error}.", folder=folder, error=error) from None


def stored(name: str, value: Tensor) -> Tensor:
    """A tensor as it is written: BatchNorm's, and what half precision cannot hold, as they are."""
    value = value.cpu().contiguous()
    if ".bn." in name:
        return value
    half = value.half()
    return half if bool(half.isfinite().all()) else value


def write_whole(path: Path, data: bytes) -> None:
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def default_source() -> str:
    """$GOOGLENET_WEIGHTS, else `weights/` beside the package: relative, since the API tells it to strangers."""
    return os.environ.get("GOOGLENET_WEIGHTS") or os.path.relpath(Path(__file__).parent.parent / "weights")


def import_weights(source: str, out: Path) -> LoadedModel:
    """Write any SOURCE in this program's layout, with a card that tells where it came from."""
    loaded = load(source)
    provenance = loaded.provenance
    origin = Path(source).name if os.path.exists(source) else source  # a card is for others: no path of this machine
    commit = f", commit {provenance.revision}" if provenance.revision else ""
    licence = f"license: {provenance.license}\n" if provenance.license else ""
    card = (
        f"---\n{licence}pipeline_tag: image-classification\ntags: [googlenet, inception, grad-cam]\n---\n\n"
        f"# GoogLeNet, {len(loaded.config.labels):,} classes\n\nImported from {origin}{commit}, a file with SHA-256 "
        f"{provenance.sha256}. For use with the program *Inside GoogLeNet*.\n"
    )
    save(loaded.model, out, card)
    return loaded
