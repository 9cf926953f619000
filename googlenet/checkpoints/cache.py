"""The cache of huggingface_hub, and a second one: for the weights that visitors name, and for pictures of channels."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants

from googlenet.checkpoints.source import COMMIT, Repository

__all__ = ["OPERATOR", "VISITORS", "Cache", "has_digest", "remove", "write_whole"]


@dataclass(frozen=True)
class Cache:
    """A folder in huggingface_hub's layout: for each repository `refs/<revision>`, `snapshots/<commit>/<file>`, `blobs/`."""

    root: Path
    quota: int | None = None
    """bytes; None for no limit"""

    def folder(self, repository: Repository) -> Path:
        return self.root / f"models--{repository.id.replace('/', '--')}"

    def snapshot(self, repository: Repository, commit: str) -> Path:
        return self.folder(repository) / "snapshots" / commit

    def remember(self, repository: Repository, commit: str) -> None:
        """Note which commit a revision is, for a later load without a network. Does nothing where the cache cannot be written."""
        with contextlib.suppress(OSError):
            note = self.folder(repository) / "refs" / (repository.revision or "main")
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(commit, encoding="ascii")
            os.utime(self.folder(repository))  # `make_room` removes what was used least recently

    def find(self, repository: Repository) -> tuple[str, list[str]] | None:
        """(commit, cached files) of a repository at its revision; None where nothing of it is cached."""
        commit = repository.revision or "main"
        if not COMMIT.fullmatch(commit):
            try:
                commit = (self.folder(repository) / "refs" / commit).read_text("ascii").strip()
            except (OSError, ValueError):
                return None
        folder = self.snapshot(repository, commit)
        files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
        return (commit, files) if files and COMMIT.fullmatch(commit) else None

    def drop(self, repository: Repository, commit: str, files: Iterable[str]) -> None:
        """Remove files, and the whole repository where no other file of it remains."""
        for file in files:
            remove(self.snapshot(repository, commit) / file)
        blobs = self.folder(repository) / "blobs"
        if not blobs.is_dir() or not any(blobs.iterdir()):
            self.forget(self.folder(repository).name)

    def forget(self, name: str) -> None:
        for folder in (self.root / name, self.root / ".locks" / name):
            shutil.rmtree(folder, ignore_errors=True)

    def make_room(self, keep: Path, size: int) -> None:
        """Remove the least recently used repositories and channels' pictures until `size` more bytes fit into the quota.

        `keep`: the folder that gets these bytes; it is removed last.
        """
        if self.quota is None or not self.root.is_dir():
            return
        others = [path for path in self.root.glob("*--*") if path != keep]
        used = {path: size_of(path) for path in (*sorted(others, key=lambda path: path.stat().st_mtime), keep)}
        for path in used:
            if sum(used.values()) + size <= self.quota:
                return
            self.forget(path.name)
            used[path] = 0

    def channel_picture(self, network: str, stage: str, channel: int) -> Path:
        """The path of the picture of what a channel looks for. `network`: SHA-256 of all that it depends on."""
        return self.root / f"channels--{network}" / f"{stage}-{channel}.webp"

    def keep_channel_picture(self, network: str, stage: str, channel: int, data: bytes) -> None:
        """Store such a picture. Does nothing where the cache cannot be written."""
        path = self.channel_picture(network, stage, channel)
        with contextlib.suppress(OSError):
            self.make_room(path.parent, len(data))
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, data)


OPERATOR = Cache(Path(constants.HF_HUB_CACHE))
"""What the person who runs the program pulled."""
VISITORS = Cache(Path(constants.HF_HOME) / "googlenet-visitors", quota=1 << 30)
"""What visitors of the page pulled, without the operator's token. Nothing is read from one cache for the other."""


def size_of(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # removed meanwhile
            size += path.lstat().st_size
    return size


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: if writing is interrupted, the old file stays."""
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(data)
    os.replace(new, path)


def remove(path: Path) -> None:
    """Remove a file from a cache: the blob that the link points to, then the link."""
    path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def has_digest(path: Path, digest: str) -> bool:
    """Whether a file has the digest by which the Hub knows it: SHA-256 for a large file, Git's SHA-1 for a small one."""
    data = path.read_bytes()
    if len(digest) == 64:
        return hashlib.sha256(data).hexdigest() == digest
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest() == digest
