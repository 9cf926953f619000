"""Weights from the Hugging Face Hub: pinned to one commit, checked against the Hub's digests, kept in a cache."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

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

from googlenet.checkpoints.checkpoint import CARD_FILE, CONFIG_FILE, MAX_BYTES, WEIGHTS_FILE, LoadedModel, Progress
from googlenet.checkpoints.folder import read_folder
from googlenet.checkpoints.source import COMMIT, Repository, choose, stays_inside
from googlenet.errors import WeightsError


class HubAwayError(Exception):
    """The Hub gives no answer that could be used: no network, offline mode, an error of its own."""


def pull(repository: Repository, token: str | bool | None, progress: Progress | None) -> LoadedModel:
    """Weights from the Hub, pinned to one commit, through huggingface_hub's cache; the cached copy where the Hub is away.

    Every file is compared with the digest that the Hub states; one that differs is dropped from the cache.
    """
    source = str(repository)
    try:
        info = fetch_listing(repository, token)
    except HubAwayError as why:
        commit, file = find_cached(repository, token, str(why))
        return read_folder(cache_of(repository) / "snapshots" / commit, file, source, commit, offline=True)
    files = {file.rfilename: file for file in info.siblings or [] if stays_inside(file.rfilename)}
    wanted = repository.file or choose(files, source)
    beside = (CONFIG_FILE, CARD_FILE) if wanted == WEIGHTS_FILE else (CARD_FILE,)
    names = [name for name in beside if name in files] + [wanted]
    if wanted not in files:
        raise WeightsError("{source} holds no file {file}.", source=repository.id, file=wanted)
    commit = info.sha or ""
    meter = DownloadProgress(sum(files[name].size or 0 for name in names), progress)
    for name in names:
        if (files[name].size or 0) > MAX_BYTES:
            raise WeightsError("{file} of {source} is larger than 200 MB: no GoogLeNet is.", file=name, source=source)
    for name in names:
        download(repository, commit, files[name], token, meter)
    loaded = read_folder(cache_of(repository) / "snapshots" / commit, wanted, source, commit)
    remember(repository, commit, token)
    return loaded


def fetch_listing(repository: Repository, token: str | bool | None) -> ModelInfo:
    """What the Hub holds at the revision, with the commit in `sha`. Raises WeightsError, or HubAwayError."""
    source, revision = repository.id, repository.revision
    try:
        info = HfApi().model_info(
            source, revision=revision, files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT, token=token
        )
    except OfflineModeIsEnabled:
        raise HubAwayError("offline mode is set") from None
    except RevisionNotFoundError:
        raise WeightsError(
            "{source} has no revision {revision}; check it, or leave it out for the newest.", source=source, revision=revision
        ) from None
    except GatedRepoError:
        raise gated(source) from None
    except LocalTokenNotFoundError:
        raise WeightsError("There is no token on this machine; set HF_TOKEN.") from None
    except RepositoryNotFoundError:
        raise missing(source) from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        if "credentials" in error.response.headers.get("X-Error-Message", ""):
            raise WeightsError("The Hub does not accept the token; check HF_TOKEN, or unset it for public weights.") from None
        if status in (401, 403, 404):  # the Hub gives the same status for a private and a missing repository
            raise missing(source) from None
        if status in (408, 429) or status >= 500:
            raise HubAwayError(f"the Hub answers with error {status}") from None
        raise WeightsError("The Hub refuses {source} with error {status}.", source=source, status=status) from None
    except HFValidationError:
        raise WeightsError("{source} is no name of a repository on the Hub.", source=source) from None
    except (HTTPError, OSError):
        raise HubAwayError("the Hub cannot be reached") from None
    except (ValueError, KeyError, TypeError, AttributeError):  # a log-in page of a hotel, say
        raise HubAwayError("something other than the Hub answers") from None
    if info.gated and token is False:  # its listing is public, its files are the operator's alone
        raise gated(source)
    if not COMMIT.fullmatch(info.sha or "") or (COMMIT.fullmatch(revision or "") and info.sha != revision):
        raise WeightsError("The Hub does not say which commit {source} is at; nothing is loaded.", source=str(repository))
    return info


def missing(source: str) -> WeightsError:
    return WeightsError(
        "There is no repository {source} on the Hub, or it is private; check the name, or set HF_TOKEN.", source=source
    )


def gated(source: str) -> WeightsError:
    return WeightsError("{source} is gated: accept its terms on the Hub, then set HF_TOKEN and try again.", source=source)


class DownloadProgress:
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
            raise WeightsError("{file} does not end where it should; nothing was kept of it. Try again later.", file=name)
        if self.progress and self.total:
            self.progress(min(1.0, (self.finished + self.received) / self.total), name)

    def finish(self, name: str, size: int) -> None:
        self.received, self.finished = 0, self.finished + size
        self.count(name, 0)


def download(repository: Repository, commit: str, file: RepoSibling, token: str | bool | None, meter: DownloadProgress) -> None:
    """One file of a commit into the cache, checked. Raises WeightsError; what differs from the Hub's word does not stay."""
    name, source = file.rfilename, repository.id
    try:
        path = hf_hub_download(source, name, revision=commit, token=token, tqdm_class=meter.bar(name))
    except GatedRepoError:
        raise gated(source) from None
    except RemoteEntryNotFoundError:
        raise WeightsError("{source} holds no file {file}.", source=source, file=name) from None
    except (HTTPError, OSError, ValueError) as error:
        cause = error.__cause__ if isinstance(error, LocalEntryNotFoundError) else error  # the library's, around what happened
        raise WeightsError(
            "{file} of {source} could not be fetched: {error}; try again.", file=name, source=source, error=short_reason(cause)
        ) from None
    stated = file.lfs.sha256 if file.lfs else file.blob_id
    if stated and not has_digest(Path(path), stated):
        remove_from_cache(Path(path))
        raise WeightsError(
            "{file} of {source} arrived damaged: it is not the file that the Hub describes; try again.", file=name, source=source
        )
    meter.finish(name, file.size or 0)


def short_reason(error: BaseException | None) -> str:
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


def has_digest(path: Path, digest: str) -> bool:
    """Whether a file has the digest by which the Hub knows it: SHA-256 for a large file, Git's SHA-1 for a small one."""
    data = path.read_bytes()
    if len(digest) == 64:
        return hashlib.sha256(data).hexdigest() == digest
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest() == digest


def remove_from_cache(path: Path) -> None:
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
    """(commit, weights file) that the cache holds of what was asked for. Raises WeightsError where it holds nothing of it."""
    source = str(repository)
    absent = WeightsError(
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
        if path.is_symlink() and not has_digest(path, blob):
            remove_from_cache(path)
            raise WeightsError(
                "The copy of {source} on this machine is damaged, and {why}; connect and try again.", source=source, why=why
            )
    return commit, file
