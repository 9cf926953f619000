"""Reads pictures from folders, object storage, WebDataset tars and Parquet files. Needs PyArrow.

`pieces_of` lists a data set once. A task on any machine then reads one piece with `contents`. A picture that cannot be read gives
an error under its name, so that the table has a row for it.
"""

from __future__ import annotations

import errno
import functools
import os
import tarfile
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from googlenet.batch.files import SUFFIXES
from googlenet.errors import PictureError, UserError, reason
from googlenet.pictures.pixels import MAX_BYTES

TARS = (".tar", ".tar.gz", ".tgz")


@dataclass(frozen=True)
class Piece:
    """What one reading task reads: a picture, a tar, or a row group of a Parquet file."""

    source: str
    """the path or address that the user named"""
    path: str
    """of the file, in the source's file system"""
    group: int | None = None
    """number of the row group"""
    first_row: int = 0
    """of the row group, counted through the file"""

    @property
    def name(self) -> str:
        """The file's path, or its address on object storage."""
        scheme, found, _ = self.source.partition("://")
        return f"{scheme}://{self.path}" if found else self.path


def pieces_of(source: str) -> Iterator[Piece]:
    """List a source: a file, or the pictures, tars and Parquet files in a folder and its subfolders, sorted by name.

    Names that begin with a dot are left out. Raises PictureError where the source holds nothing.
    """
    files, path = file_system(source)
    info = files.get_file_info(path)
    if info.type == pa.fs.FileType.NotFound:
        raise PictureError("{name} cannot be opened: {error}.", name=source, error=reason(FileNotFoundError(errno.ENOENT, "")))
    infos = [info] if info.is_file else files.get_file_info(pa.fs.FileSelector(path, recursive=True))
    below = [PurePosixPath(info.path) for info in infos if info.is_file]
    hidden = len(PurePosixPath(path).parts) - info.is_file
    found = False
    for file in sorted(below):
        name = file.name.lower()
        if any(part.startswith(".") for part in file.parts[hidden:]):
            continue
        if name.endswith(".parquet"):
            yield from row_groups(files, source, str(file))
        elif info.is_file or name.endswith((*TARS, *SUFFIXES)):
            yield Piece(source, str(file))
        else:
            continue
        found = True
    if not found:
        raise PictureError("The folder {folder} holds no pictures; name one that does.", folder=source)


def row_groups(files: pa.fs.FileSystem, source: str, path: str) -> Iterator[Piece]:
    """A Parquet file's row groups. Where they cannot be read, the whole file is one piece, and `contents` gives the error."""
    try:
        with files.open_input_file(path) as file:
            metadata = pq.ParquetFile(file).metadata
    except (OSError, pa.ArrowException):
        yield Piece(source, path)
        return
    first = 0
    for group in range(metadata.num_row_groups):
        yield Piece(source, path, group, first)
        first += metadata.row_group(group).num_rows


def contents(piece: Piece, done: Set[str]) -> Iterator[tuple[str, bytes | PictureError]]:
    """(name, file's bytes) of each picture in a piece that is not in `done`. An error replaces bytes that cannot be read."""
    try:
        files, _ = file_system(piece.source)
        if piece.path.lower().endswith(TARS):
            with files.open_input_stream(piece.path, compression=None) as stream:
                yield from members(stream, piece.name, done)
        elif piece.path.lower().endswith(".parquet"):
            with files.open_input_file(piece.path) as file:
                yield from values(pq.ParquetFile(file), piece, done)
        else:
            with files.open_input_stream(piece.path, compression=None) as stream:
                yield piece.name, stream.read(MAX_BYTES + 1)
    except (tarfile.TarError, EOFError, pa.ArrowException, ValueError):
        yield piece.name, PictureError("{name} is damaged or cut off; save it anew and try again.", name=piece.name)
    except OSError as error:
        yield piece.name, PictureError("{name} cannot be opened: {error}.", name=piece.name, error=reason(error))


def members(stream: pa.NativeFile, name: str, done: Set[str]) -> Iterator[tuple[str, bytes]]:
    """The pictures in a tar."""
    with tarfile.open(fileobj=stream, mode="r|*") as tar:
        for member in tar:
            own = f"{name}/{member.name}"
            if member.isfile() and Path(member.name).suffix.lower() in SUFFIXES and own not in done:
                file = tar.extractfile(member)
                assert file
                yield own, file.read(MAX_BYTES + 1)


def values(file: pq.ParquetFile, piece: Piece, done: Set[str]) -> Iterator[tuple[str, bytes | PictureError]]:
    """The pictures in a row group. A cell is bytes, or a struct with a field `bytes`, as data sets on the Hub have it."""
    columns = [field.name for field in file.schema_arrow if is_bytes(field.type)]
    if piece.group is None or not columns:
        yield piece.name, PictureError("{name} has no column with the bytes of pictures.", name=piece.name)
        return
    names = [f"{piece.name}#{piece.first_row + i}" for i in range(file.metadata.row_group(piece.group).num_rows)]
    if done >= set(names):
        return
    for name, value in zip(names, file.read_row_group(piece.group, columns[:1]).column(0), strict=True):
        data = value.as_py()
        if isinstance(data, dict):
            data = data["bytes"]
        if name not in done:
            yield name, PictureError("{name} has no bytes of a picture.", name=name) if data is None else data


def is_bytes(kind: pa.DataType) -> bool:
    """Whether a column of this type can hold the bytes of pictures."""
    if pa.types.is_struct(kind):
        return any(kind.field(i).name == "bytes" and is_bytes(kind.field(i).type) for i in range(kind.num_fields))
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


@functools.cache
def file_system(source: str) -> tuple[pa.fs.FileSystem, str]:
    """A path or an address → its file system and the path in it. Raises UserError for an unknown kind of address."""
    if "://" not in source:
        return pa.fs.LocalFileSystem(), os.path.abspath(source)
    try:
        return pa.fs.FileSystem.from_uri(source)
    except (OSError, pa.ArrowException, ImportError):
        raise UserError("{source} is not an address that can be read; use a path, s3:// or gs://.", source=source) from None
