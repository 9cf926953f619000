"""Weights from the Hugging Face Hub: pinned to one commit, checked against the Hub's digests, kept in a cache.

Listings and errors are read whole into memory. Whoever answers in the Hub's place may send for ever, so they are bounded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path, PurePosixPath
from ssl import SSLCertVerificationError
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

from httpx2 import HTTPError, InvalidURL, Response, SyncByteStream, UnsupportedProtocol
from huggingface_hub import HfApi, ModelInfo, constants, errors, get_token, hf_hub_download
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils import get_session, tqdm

from googlenet.checkpoints.cache import Cache, has_digest, remove
from googlenet.checkpoints.checkpoint import (
    CARD_FILE,
    CHANNELS_FILES,
    CONFIG_FILE,
    MAX_BYTES,
    MAX_SHEET,
    LoadedModel,
    LoadProgress,
)
from googlenet.checkpoints.folder import read_weights
from googlenet.checkpoints.source import COMMIT, Repository, choose, stays_inside
from googlenet.errors import (
    REASONS,
    DamagedWeightsError,
    GatedWeightsError,
    MissingWeightsError,
    OfflineWeightsError,
    Reason,
    WeightsError,
    reason,
)

__all__ = ["DownloadProgress", "HubAwayError", "bounded_answers", "fetch_listing", "pull", "short_reason"]

_MAX_ANSWER = 4 << 20
"""Bytes; the listing of a repository has about 300 for each file."""
_is_listing = ContextVar("is_listing", default=False)
"""Whether this thread asks for a listing."""


class HubAwayError(Reason):
    """Why the Hub gives no usable answer: there is no network, a variable is wrong, or the Hub has an error."""


def pull(
    cache: Cache, repository: Repository, token: str | bool | None = None, progress: LoadProgress | None = None
) -> LoadedModel:
    """Load weights from the Hub, pinned to one commit, through a cache.

    Where the Hub gives no usable answer, the cached copy is loaded. Every file is compared with the digest that the Hub states;
    a file that differs is removed from the cache. A cache with a quota keeps no files that turn out not to be weights.
    """
    source = str(repository)
    try:
        info = fetch_listing(repository, token)
    except HubAwayError as away:
        commit, file = _find_cached(cache, repository, away)
        return read_weights(cache.snapshot(repository, commit), file, source, commit, offline=True, key=repository.key)
    commit = info.sha or ""
    files = {file.rfilename: file for file in info.siblings or [] if stays_inside(file.rfilename)}
    wanted = repository.file or choose(files, source)
    if wanted not in files:
        raise MissingWeightsError("{source} holds no file {file}.", source=repository.id, file=wanted)
    pictures = [name for name in CHANNELS_FILES if name in files and (files[name].size or 0) <= MAX_SHEET]
    names = [name for name in (*_beside(wanted), CARD_FILE, wanted, *pictures) if name in files]
    for name in names:
        if (files[name].size or 0) > MAX_BYTES:
            raise WeightsError("{file} of {source} is larger than 200 MB, the most that is read.", file=name, source=source)
    meter = DownloadProgress(progress, sum(files[name].size or 0 for name in names))
    cache.make_room(cache.folder(repository), meter.total)
    try:
        for name in names:
            _download(cache, repository, commit, files[name], token, meter)
        loaded = read_weights(cache.snapshot(repository, commit), wanted, source, commit, key=repository.key)
    except WeightsError:
        if cache.quota is not None:
            cache.drop(repository, commit, names)
        raise
    cache.remember(repository, commit)
    return loaded


def _beside(file: str) -> tuple[str, ...]:
    """The `config.json` that belongs to a file, if it is of this program's layout."""
    return (str(PurePosixPath(file).with_name(CONFIG_FILE)),) if file.lower().endswith(".safetensors") else ()


def fetch_listing(repository: Repository, token: str | bool | None) -> ModelInfo:
    """What the Hub holds at the revision, with the commit in `sha`. Raises WeightsError, or HubAwayError."""
    source, revision = repository.id, repository.revision
    if token is True and get_token() is None:
        raise WeightsError("There is no token on this machine; set HF_TOKEN.")
    try:
        with bounded_answers(listing=True):
            api = HfApi(token=token, headers={"Accept-Encoding": "identity"})
            info = api.model_info(source, revision=revision, files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except errors.OfflineModeIsEnabled:
        raise HubAwayError("HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set") from None
    except errors.RevisionNotFoundError:
        raise MissingWeightsError(
            "{source} has no revision {revision}; check it, or leave it out for the newest.", source=source, revision=revision
        ) from None
    except errors.GatedRepoError:
        raise _gated(source, token) from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if "credentials" in (error.server_message or ""):
            raise WeightsError("The Hub does not accept the token; check HF_TOKEN, or unset it for public weights.") from None
        if status in (401, 403, 404) and token is False:  # the same status for a private and a missing repository
            raise MissingWeightsError(
                "There is no repository {source} on the Hub, or it is private; check the name, or choose a public one.",
                source=source,
            ) from None
        if status in (401, 403, 404):
            raise MissingWeightsError(
                "There is no repository {source} on the Hub, or it is private; check the name, or set HF_TOKEN.", source=source
            ) from None
        if status in (408, 429) or status >= 500:
            raise HubAwayError("the Hub answers with error {status}", status=status) from None
        raise WeightsError("The Hub refuses {source} with error {status}.", source=source, status=status) from None
    except errors.HFValidationError:
        raise WeightsError("{source} is not the name of a repository on the Hub.", source=source) from None
    except (HTTPError, OSError) as error:
        raise (_settings_reason(error) or HubAwayError("the Hub cannot be reached")) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # such as a hotel's log-in page
        raise (_settings_reason(error) or HubAwayError("something other than the Hub answers")) from None
    if info.gated and token is False:  # its listing is public, but its files need a token
        raise _gated(source, token)
    if not COMMIT.fullmatch(info.sha or "") or (COMMIT.fullmatch(revision or "") and info.sha != revision):
        raise WeightsError("The Hub does not say which commit {source} is at; nothing is loaded.", source=str(repository))
    return info


def _gated(source: str, token: str | bool | None) -> WeightsError:
    if token is False:
        return GatedWeightsError("{source} is gated; choose one that is open to all.", source=source)
    return GatedWeightsError("{source} is gated: accept its terms on the Hub, then set HF_TOKEN and try again.", source=source)


class DownloadProgress:
    """Counts the bytes that arrive, reports the progress, and ends a download that exceeds `MAX_BYTES`."""

    def __init__(self, progress: LoadProgress | None, total: int) -> None:
        """`total`: bytes of all files."""
        self.progress, self.total = progress, total
        self.received = self.arrived = self.finished = 0

    def bar(self, name: str) -> type[tqdm]:
        """huggingface_hub's progress bar, which also counts here what arrives."""

        class Bar(tqdm):
            def update(bar, n: float | None = 1) -> bool | None:  # noqa: N805
                self.count(name, int(n or 0))
                return super().update(n)

        return Bar

    def count(self, name: str, arrived: int) -> None:
        """`arrived` is negative where the file is fetched anew from its beginning."""
        self.received += arrived
        self.arrived += max(arrived, 0)
        if self.arrived > MAX_BYTES:
            raise WeightsError("{file} is longer than the Hub announced; nothing of it was kept. Try again later.", file=name)
        if self.progress and self.total:
            self.progress(min(1.0, (self.finished + self.received) / self.total), name)

    def finish(self, name: str, size: int) -> None:
        self.received, self.arrived, self.finished = 0, 0, self.finished + size
        self.count(name, 0)


def _download(
    cache: Cache, repository: Repository, commit: str, file: RepoSibling, token: str | bool | None, meter: DownloadProgress
) -> None:
    """Download one file of a commit into the cache. Raises WeightsError; a file that differs from the Hub's digest is removed."""
    name, source = file.rfilename, repository.id
    try:
        with bounded_answers():
            path = hf_hub_download(source, name, revision=commit, token=token, cache_dir=cache.root, tqdm_class=meter.bar(name))
    except errors.GatedRepoError:
        raise _gated(source, token) from None
    except errors.RemoteEntryNotFoundError:
        raise MissingWeightsError("{source} holds no file {file}.", source=source, file=name) from None
    except (HTTPError, OSError, ValueError) as error:
        cause = error.__cause__ if isinstance(error, errors.LocalEntryNotFoundError) else error  # the library wraps what happened
        if isinstance(cause, OSError) and cause.errno in REASONS:
            raise WeightsError(
                "The cache {folder} cannot be written: {why}; set HF_HOME to a folder that can be.",
                folder=cache.root,
                why=reason(cause),
            ) from None
        raise OfflineWeightsError(
            "{file} of {source} could not be fetched: {error}; try again.", file=name, source=source, error=short_reason(cause)
        ) from None
    stated = file.lfs.sha256 if file.lfs else file.blob_id
    if stated and not has_digest(Path(path), stated):
        remove(Path(path))
        raise DamagedWeightsError(
            "{file} of {source} arrived damaged: it is not the file that the Hub describes; try again.", file=name, source=source
        )
    meter.finish(name, file.size or 0)


def short_reason(error: BaseException | None) -> Reason:
    """An error of the network or the disk in a few words, without URLs and request numbers."""
    if isinstance(error, errors.HfHubHTTPError):
        return Reason("the Hub answers with error {status}", status=error.response.status_code)
    if why := _settings_reason(error):
        return why
    if isinstance(error, HTTPError):
        return Reason("the connection broke or is too slow")
    if isinstance(error, errors.OfflineModeIsEnabled):
        return Reason("HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set")
    if isinstance(error, OSError) and error.errno:
        return reason(error)
    return Reason("what arrived is not what the Hub announced")


def _find_cached(cache: Cache, repository: Repository, why: Reason) -> tuple[str, str]:
    """(commit, weights file) of a repository in the cache. Raises WeightsError where it is not there or damaged."""
    source = str(repository)
    found = cache.find(repository)
    if found is None or (repository.file and repository.file not in found[1]):
        raise OfflineWeightsError(
            "{source} is not on this machine yet and {why}; try again when that has changed, or use the built-in weights.",
            source=source,
            why=why,
        )
    commit, names = found
    file = repository.file or choose(names, source)
    for name in {file, *_beside(file)} & set(names):
        path = cache.snapshot(repository, commit) / name
        if path.is_symlink() and not has_digest(path, path.resolve().name):  # a blob is named by its digest
            remove(path)
            raise DamagedWeightsError(
                "The copy of {source} on this machine is damaged, and {why}; try again when that has changed.",
                source=source,
                why=why,
            )
    return commit, file


class Bounded(SyncByteStream):
    """The body of a response, of at most `_MAX_ANSWER` bytes. Beyond them, reading it raises ValueError."""

    def __init__(self, stream: SyncByteStream) -> None:
        self.stream = stream

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for part in self.stream:
            size += len(part)
            if size > _MAX_ANSWER:
                raise ValueError("the answer is too long")
            yield part

    def close(self) -> None:
        self.stream.close()


def _bound(response: Response) -> None:
    """What the client calls before it reads a response. A compressed one could unpack to any size: none is asked for."""
    if isinstance(response.stream, SyncByteStream) and (_is_listing.get() or response.status_code >= 400):
        response.stream = Bounded(response.stream)
        response.headers.pop("Content-Encoding", None)


@contextmanager
def bounded_answers(listing: bool = False) -> Iterator[None]:
    """While huggingface_hub asks the Hub in this thread: errors are bounded, and with `listing` every answer.

    Raises HubAwayError where this machine's settings allow no client: of a proxy or of certificates.
    """
    try:
        hooks = get_session().event_hooks["response"]
    except OSError:
        raise HubAwayError("the certificates in SSL_CERT_FILE cannot be read") from None
    except (ImportError, InvalidURL, ValueError):
        raise HubAwayError(
            "the proxy settings in {variables} cannot be used", variables=_proxies("http", "https", "all", "no")
        ) from None
    if _bound not in hooks:
        hooks.append(_bound)
    token = _is_listing.set(listing)
    try:
        yield
    finally:
        _is_listing.reset(token)


def _proxies(*kinds: str) -> str:
    """The names of those environment variables of proxies that are set: of http, https and all requests, and of no proxy."""
    names = {f"{kind}_proxy" for kind in kinds}
    return ", ".join(sorted(name for name, value in os.environ.items() if value and name.lower() in names))


def _settings_reason(error: BaseException | None) -> HubAwayError | None:
    """Why a request failed, where this machine's settings are the cause; else None."""
    address = urlsplit(constants.ENDPOINT)
    host, proxies = address.hostname or "", _proxies(address.scheme, "all")
    causes: list[BaseException] = []
    while error and error not in causes:
        causes.append(error)
        error = error.__cause__ or error.__context__
    for cause in causes:
        if isinstance(cause, UnicodeEncodeError):
            return HubAwayError("HF_TOKEN holds a character that no token has")
        if isinstance(cause, UnsupportedProtocol):
            return HubAwayError("HF_ENDPOINT does not begin with https://")
        if isinstance(cause, SSLCertVerificationError):
            return HubAwayError(
                "the certificate of {address} is not trusted here: SSL_CERT_FILE names those that are", address=host
            )
    if proxies and any(isinstance(cause, HTTPError) for cause in causes) and not proxy_bypass(host):
        return HubAwayError("the Hub cannot be reached through the proxy in {variables}", variables=proxies)
    return None
