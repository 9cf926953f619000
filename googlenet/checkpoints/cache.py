"""huggingface_hub's cache on this disk, and the visitors' own beside it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.file_download import repo_folder_name

from googlenet.checkpoints.source import COMMIT, Repository


@dataclass(frozen=True)
class Cache:
    """A folder in huggingface_hub's layout: for each repository `refs/<revision>`, `snapshots/<commit>/<file>`, `blobs/`."""

    root: Path
    quota: int | None = None
    """bytes; None for as much as the disk holds"""

    def folder(self, repository: Repository) -> Path:
        return self.root / repo_folder_name(repo_id=repository.id, repo_type="model")

    def snapshot(self, repository: Repository, commit: str) -> Path:
        return self.folder(repository) / "snapshots" / commit

    def remember(self, repository: Repository, commit: str) -> None:
        """Note which commit a revision was, for the next start without a network; a cache that cannot be written stays."""
        with contextlib.suppress(OSError):
            note = self.folder(repository) / "refs" / (repository.revision or "main")
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(commit, encoding="ascii")
            os.utime(self.folder(repository))  # `make_room` drops what was used least recently

    def find(self, repository: Repository) -> tuple[str, list[str]] | None:
        """(commit, files) of what was asked for, as far as it is here."""
        commit = repository.revision or ""
        if not COMMIT.fullmatch(commit):
            try:
                commit = (self.folder(repository) / "refs" / (repository.revision or "main")).read_text("ascii").strip()
            except (OSError, ValueError):
                return None
        folder = self.snapshot(repository, commit)
        files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
        return (commit, files) if files and COMMIT.fullmatch(commit) else None

    def drop(self, repository: Repository, commit: str, files: Iterable[str]) -> None:
        """Take files out, and the whole repository with the last of them."""
        for file in files:
            remove(self.snapshot(repository, commit) / file)
        blobs = self.folder(repository) / "blobs"
        if not blobs.is_dir() or not any(blobs.iterdir()):
            self.forget(self.folder(repository).name)

    def forget(self, name: str) -> None:
        for folder in (self.root / name, self.root / ".locks" / name):
            shutil.rmtree(folder, ignore_errors=True)

    def make_room(self, keep: Path, size: int) -> None:
        """Drop what was used least recently, repositories and channels' pictures, until `size` more bytes are within the quota.

        `keep`: the folder in which they will be; its own files go last.
        """
        if self.quota is None or not self.root.is_dir():
            return
        others = [path for kind in ("models", "channels") for path in self.root.glob(f"{kind}--*") if path != keep]
        oldest = sorted(others, key=lambda path: path.stat().st_mtime)
        used = {path: size_of(path) for path in (*oldest, keep)}
        for path in used:
            if sum(used.values()) + size <= self.quota:
                return
            self.forget(path.name)
            used[path] = 0

    def channel_picture(self, sha256: str, stage: str, channel: int) -> Path:
        """Where the picture of what a channel looks for lies, by the SHA-256 of its weights."""
        return self.root / f"channels--{sha256}" / f"{stage}-{channel}.webp"

    def keep_channel_picture(self, sha256: str, stage: str, channel: int, data: bytes) -> None:
        """Keep one for the next start; a cache that cannot be written stays."""
        path = self.channel_picture(sha256, stage, channel)
        with contextlib.suppress(OSError):
            self.make_room(path.parent, len(data))
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, data)


OPERATOR = Cache(Path(constants.HF_HUB_CACHE))
"""What whoever runs the program pulled."""
VISITORS = Cache(Path(constants.HF_HOME) / "googlenet-visitors", quota=1 << 30)
"""What visitors of the page pulled, without the operator's token: neither sees what the other has."""


def size_of(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # gone meanwhile
            size += path.lstat().st_size
    return size


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: a run that is interrupted leaves the one before."""
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(data)
    os.replace(new, path)


def remove(path: Path) -> None:
    """Take a file out of a cache, the blob that the name points to first."""
    path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def has_digest(path: Path, digest: str) -> bool:
    """Whether a file has the digest by which the Hub knows it: SHA-256 for a large file, Git's SHA-1 for a small one."""
    data = path.read_bytes()
    if len(digest) == 64:
        return hashlib.sha256(data).hexdigest() == digest
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest() == digest
