"""Reads pictures from folders, object storage, WebDataset tars and Parquet files. Needs PyArrow.

`pieces_of` lists a data set once. A task on any machine then reads one piece with `contents`. A picture that cannot be read gives
an error under its name, so that the table has a row for it. Ray's own readers end the job there, or leave out the pictures around
it: `read_images` and `read_webdataset` at the first damaged file, `read_parquet` when it lists one.
"""

from __future__ import annotations

import errno
import functools
import os
import re
import tarfile
from collections.abc import Iterator, Set
from pathlib import PurePosixPath
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs
import pyarrow.parquet as pq

from googlenet.batch.files import SUFFIXES
from googlenet.checkpoints.labels import is_hidden, nfc
from googlenet.errors import PictureError, UserError, reason
from googlenet.pictures.pixels import MAX_BYTES

__all__ = ["Piece", "contents", "file_system", "pieces_of"]

_TARS = (".tar", ".tar.gz", ".tgz")
_BEGINNING = re.compile(rb"\xff\xd8\xff|\x89PNG|GIF8|RIFF.{4}WEBP|BM.{4}\0{4}|II\*\0|MM\0\*", re.DOTALL)
"""How the files of pictures begin."""


class Piece(NamedTuple):
    """What one reading task reads: a picture, a tar or a Parquet file."""

    source: str
    """the path or address that the user named"""
    path: str
    """of the file, in the source's file system"""

    @property
    def name(self) -> str:
        """The file's path, or its address on object storage."""
        scheme, separator, _ = self.source.partition("://")
        return f"{scheme}://{self.path}" if separator else self.path


def pieces_of(source: str) -> list[Piece]:
    """List a source: a file, or the pictures, tars and Parquet files in a folder and its subfolders, sorted by name.

    Hidden files are left out (`files.is_hidden`). Raises PictureError where the source holds nothing.
    """
    files, path = file_system(source)
    info = files.get_file_info(path)
    if info.type == pa.fs.FileType.NotFound:
        raise PictureError("{name} cannot be opened: {error}.", name=source, error=reason(FileNotFoundError(errno.ENOENT, "")))
    if info.is_file:
        return [Piece(source, path)]
    depth = len(PurePosixPath(path).parts)
    inside = sorted(
        PurePosixPath(each.path) for each in files.get_file_info(pa.fs.FileSelector(path, recursive=True)) if each.is_file
    )
    kinds = (*SUFFIXES, *_TARS, ".parquet")
    pieces = [
        Piece(source, str(file))
        for file in inside
        if file.name.lower().endswith(kinds) and not any(map(is_hidden, file.parts[depth:]))
    ]
    if not pieces:
        raise PictureError("The folder {folder} holds no pictures; name one that does.", folder=source)
    return pieces


def contents(piece: Piece, done: Set[str]) -> Iterator[tuple[str, bytes | PictureError]]:
    """(name, file's bytes) of each picture in a piece, without those in `done` (in NFC).

    An error replaces bytes that cannot be read.
    """
    try:
        files, _ = file_system(piece.source)
        if piece.path.lower().endswith(".parquet"):
            with files.open_input_file(piece.path) as file:
                yield from _values(pq.ParquetFile(file), piece.name, done)
            return
        with files.open_input_stream(piece.path, compression=None) as stream:
            if piece.path.lower().endswith(_TARS):
                yield from _members(stream, piece.name, done)
            else:
                yield piece.name, stream.read(MAX_BYTES + 1)
    except (tarfile.TarError, EOFError, pa.ArrowException, ValueError):
        yield piece.name, PictureError("{name} is damaged or cut off; save it anew and try again.", name=piece.name)
    except OSError as error:
        yield piece.name, PictureError("{name} cannot be opened: {error}.", name=piece.name, error=reason(error))


def _members(stream: pa.NativeFile, name: str, done: Set[str]) -> Iterator[tuple[str, bytes]]:
    """The pictures in a tar."""
    with tarfile.open(fileobj=stream, mode="r|*") as tar:
        for member in tar:
            own, path = f"{name}/{member.name}", PurePosixPath(member.name)
            wanted = path.suffix.lower() in SUFFIXES and not any(map(is_hidden, path.parts)) and nfc(own) not in done
            if wanted and (file := tar.extractfile(member)):
                yield own, file.read(MAX_BYTES + 1)


def _values(file: pq.ParquetFile, name: str, done: Set[str]) -> Iterator[tuple[str, bytes | PictureError]]:
    """The pictures in a Parquet file. A cell is bytes, or a struct with a field `bytes`, as data sets on the Hub have it.

    Of several such columns, the one counts where most cells begin as pictures do, in the first rows where any does.
    """
    columns = [field.name for field in file.schema_arrow if _is_bytes(field.type)]
    if not columns:
        yield name, PictureError("{name} has no column with the bytes of pictures.", name=name)
        return
    row = 0
    for group in range(file.num_row_groups):
        names = [f"{name}#{row + i}" for i in range(file.metadata.row_group(group).num_rows)]
        row += len(names)
        if done >= set(map(nfc, names)):
            continue
        table = file.read_row_group(group, columns)
        cells = {column: _bytes_in(table.column(column)) for column in columns}
        pictures = {column: sum(bool(_BEGINNING.match(data or b"")) for data in cells[column]) for column in columns}
        likeliest = max(columns, key=pictures.__getitem__)
        if pictures[likeliest]:
            columns = [likeliest]
        for own, data in zip(names, cells[likeliest], strict=True):
            if nfc(own) not in done:
                yield own, PictureError("{name} has no bytes of a picture.", name=own) if data is None else data


def _is_bytes(kind: pa.DataType) -> bool:
    """Whether a column of this type can hold the bytes of pictures."""
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _is_bytes(field.type) for field in kind)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _bytes_in(column: pa.ChunkedArray) -> list[bytes | None]:
    """The cells of such a column."""
    return (pc.struct_field(column, "bytes") if pa.types.is_struct(column.type) else column).to_pylist()


@functools.cache
def file_system(source: str) -> tuple[pa.fs.FileSystem, str]:
    """A path or an address → its file system and the path in it. Raises UserError for an unknown kind of address."""
    if "://" not in source:
        return pa.fs.LocalFileSystem(), os.path.abspath(source)
    try:
        return pa.fs.FileSystem.from_uri(source)
    except (OSError, pa.ArrowException, ImportError):
        raise UserError("{source} is not an address that can be read; use a path, s3:// or gs://.", source=source) from None
