"""What a data set holds: listing and reading, without a cluster."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Set
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from googlenet.batch.datasets import contents, pieces_of
from googlenet.errors import PictureError, UserError
from tests.helpers import random_image


def png(seed: int) -> bytes:
    file = io.BytesIO()
    random_image(40, 30, seed).save(file, "PNG")
    return file.getvalue()


def write_tar(path: Path, files: dict[str, bytes], mode: str = "w") -> None:
    with tarfile.open(path, mode) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def write_hub_parquet(path: Path, pictures: list[bytes | None]) -> None:
    """As the Hub's data sets have them: a struct of bytes and a name, and a label; two rows in a row group."""
    rows = [{"image": {"bytes": data, "path": None}, "label": i} for i, data in enumerate(pictures)]
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)


def read(source: str, done: Set[str] = frozenset()) -> dict[str, bytes | str]:
    """name → bytes, or the sentence that says why there are none."""
    found = [each for piece in pieces_of(source) for each in contents(piece, done)]
    assert len({name for name, _ in found}) == len(found)
    return {name: str(data) if isinstance(data, PictureError) else data for name, data in found}


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    for name in ("b.PNG", "deep/a.jpeg", ".hidden/c.png", "__MACOSX/d.png", "notes.txt"):
        (tmp_path / name).write_bytes(png(1))
    assert list(read(str(tmp_path))) == [f"{tmp_path}/b.PNG", f"{tmp_path}/deep/a.jpeg"]


def test_an_address_is_read_like_a_path(tmp_path: Path) -> None:
    (tmp_path / "a # b?.png").write_bytes(png(1))
    assert read(f"file://{tmp_path}") == {f"file://{tmp_path}/a # b?.png": png(1)}


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".tgz"])
def test_a_tar(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"shard-000{ending}"
    files = {"./0001.png": png(1), "0001.json": b"{}", "0002.jpg": b"broken", "0002.cls": b"3"}
    files |= dict.fromkeys((".hidden.png", "a/.git/b.png", "__MACOSX/c.png", "a/._d.png"), b"left out as in a folder")
    write_tar(path, files, "w" if ending == ".tar" else "w:gz")
    assert read(str(tmp_path)) == {f"{path}/./0001.png": png(1), f"{path}/0002.jpg": b"broken"}
    assert list(read(str(path), {f"{path}/./0001.png"})) == [f"{path}/0002.jpg"]
    write_tar(path, {"cafe\u0301.png": png(1)}, "w" if ending == ".tar" else "w:gz")
    assert read(str(path), {f"{path}/caf\u00e9.png"}) == {}  # macOS lists `é` as two characters


def test_a_tar_that_is_cut_off_gives_what_it_has_and_an_error(tmp_path: Path) -> None:
    path = tmp_path / "shard.tar"
    write_tar(path, {f"{i}.png": png(i) for i in range(6)})
    path.write_bytes(path.read_bytes()[: 2 * 1024 + 600])  # a header and a picture take 512 bytes each
    found = read(str(path))
    assert found[f"{path}/0.png"] == png(0)
    assert "damaged or cut off" in str(found[str(path)])


def test_a_parquet_file_of_the_hub(tmp_path: Path) -> None:
    path = tmp_path / "train-00000-of-00001.parquet"
    write_hub_parquet(path, [png(1), png(2), None, b"broken", png(5)])
    found = read(str(tmp_path))
    assert list(found) == [f"{path}#{i}" for i in range(5)]
    assert (found[f"{path}#0"], found[f"{path}#3"], found[f"{path}#4"]) == (png(1), b"broken", png(5))
    assert "has no bytes" in str(found[f"{path}#2"])
    assert list(read(str(path), {f"{path}#{i}" for i in (0, 2, 3)})) == [f"{path}#1", f"{path}#4"]


def test_of_several_columns_of_bytes_the_one_that_holds_pictures(tmp_path: Path) -> None:
    path = tmp_path / "pictures.parquet"
    columns = {"sha256": [b"\x01", b"\x02", b"\x03"], "picture": [None, b"broken", png(3)], "thumbnail": [b"", b"", b"BM"[:1]]}
    pq.write_table(pa.table(columns), path)
    found = read(str(path))
    assert "has no bytes" in str(found.pop(f"{path}#0"))
    assert found == {f"{path}#1": b"broken", f"{path}#2": png(3)}


def test_the_column_is_chosen_in_the_first_rows_that_hold_pictures(tmp_path: Path) -> None:
    """Sounds, and text that begins as a BMP does, are none."""
    path = tmp_path / "pictures.parquet"
    columns = {
        "audio": [b"RIFF\0\0\0\0WAVEfmt "] * 4,
        "note": [b"BM is short for bitmap"] * 4,
        "picture": [None, None, png(3), png(4)],
    }
    pq.write_table(pa.table(columns), path, row_group_size=2)
    found = read(str(path))
    assert [found[f"{path}#{i}"] for i in (2, 3)] == [png(3), png(4)]


def test_parquet_files_that_hold_no_pictures(tmp_path: Path) -> None:
    pq.write_table(pa.table({"label": [1, 2]}), tmp_path / "labels.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and nothing more")
    found = read(str(tmp_path))
    assert "no column with the bytes of pictures" in str(found[f"{tmp_path}/labels.parquet"])
    assert "damaged or cut off" in str(found[f"{tmp_path}/broken.parquet"])


def test_a_file_that_is_gone_when_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(1))
    (piece,) = pieces_of(str(tmp_path))
    (tmp_path / "a.png").unlink()
    ((name, error),) = contents(piece, frozenset())
    assert name == f"{tmp_path}/a.png"
    assert str(error) == f"{name} cannot be opened: it does not exist."


def test_sources_that_are_nothing(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"")
    for source, words in (
        (str(tmp_path), "holds no pictures"),
        (str(tmp_path / "gone"), "it does not exist"),
        ("nowhere://bucket/folder", "is not an address that can be read"),
    ):
        with pytest.raises(UserError, match=words):
            list(pieces_of(source))
