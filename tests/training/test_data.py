"""Data sets as people have them: what is read, what is left out, and what is refused with all that is wrong."""

from __future__ import annotations

import os
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from googlenet.errors import UserError
from googlenet.pictures.frame import Box
from googlenet.training.data import (
    UNKNOWN,
    ClassName,
    all_pictures,
    check_outside,
    has_part,
    imagenet,
    match_classes,
    read_split,
    weights_classes,
)
from googlenet.training.pictures import check_pictures, decode
from tests.training.conftest import COLOURS, pack, write_classes


@pytest.mark.parametrize("name", ["valid", "validation"])
def test_other_names_of_val(copied: Path, name: str) -> None:
    there = read_split(copied, "val").labels
    (copied / "val").rename(copied / name)
    assert has_part(copied, "val")
    assert read_split(copied, "val").labels == there
    assert len(read_split(copied, "train").pictures) == 72


def test_class_folders_alone_are_split_each_class_by_itself(copied: Path) -> None:
    folder = copied / "train"
    for wnid, count in (("n02", 4), ("n03", 1)):
        for path in sorted((folder / wnid).iterdir())[count:]:
            path.unlink()
    training, held_out = (read_split(folder, part) for part in ("train", "val"))
    assert [held_out.labels.count(label) for label in range(3)] == [5, 1, 0]  # a fifth; one at least; never the only one
    assert [training.labels.count(label) for label in range(3)] == [19, 3, 1]
    assert not set(training.pictures) & set(held_out.pictures)
    assert read_split(copied, "train").labels == (0,) * 24 + (1,) * 4 + (2,)  # there is a val
    shutil.rmtree(copied / "val")
    assert read_split(copied, "val").pictures == held_out.pictures
    half = read_split(folder, "val", 0.5)
    assert set(held_out.pictures) < set(half.pictures)
    assert len(read_split(folder, "val", 1.0).pictures) == 29
    (folder / "n02" / "new.png").write_bytes(b"")
    assert [path for path in read_split(folder, "val").pictures if path.parent.name == "n01"] == list(held_out.pictures[:5])


def test_odd_names_count_and_what_a_system_keeps_to_itself_does_not(copied: Path) -> None:
    """Pictures one folder deeper count where it is the only one, as in Tiny ImageNet's own archive."""
    train = copied / "train"
    (train / ".ipynb_checkpoints").mkdir()
    odd = ("写真_①.png", "x_².png", "12345678901234567890.png", "_.png")
    for name in (*odd, "._a.png", ".DS_Store", "../.DS_Store", "../.ipynb_checkpoints/a.png", "notes.txt"):
        shutil.copy(train / "n01" / "n01_000000.png", train / "n01" / name)
    inner = train / "n02" / "images"
    inner.mkdir()
    for path in all_pictures(train / "n02"):
        path.rename(inner / path.name)
    split = read_split(copied, "train")
    assert tuple(row.name for row in split.classes) == COLOURS
    assert split.labels == (0,) * 28 + (1,) * 24 + (2,) * 24
    assert check_pictures(split, workers=2, skip_broken=False) == (split, 16)


def test_everything_that_is_wrong_with_a_tree_is_told(copied: Path) -> None:
    train = copied / "train"
    for name in ("loose.png", "animals/cat/a.png", "animals/dog/a.png"):
        (train / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(train / "n01" / "n01_000000.png", train / name)
    (train / "n04").mkdir()
    with pytest.raises(UserError) as caught:
        read_split(copied, "train")
    for said in (
        f"The class n04 of {train} has no pictures",
        "1 pictures lie beside the class folders (loose.png)",
        f"The class animals of {train} holds folders with pictures (animals/cat, animals/dog)",
    ):
        assert said in str(caught.value)


@pytest.mark.parametrize("shut", ["train", "n02"])
def test_a_folder_that_cannot_be_read_is_named(copied: Path, monkeypatch: pytest.MonkeyPatch, shut: str) -> None:
    """It would be an empty class, or lack pictures."""

    def refusing(plain: Callable[[object], object]) -> Callable[[object], object]:
        def read(path: object) -> object:
            if str(path).endswith(shut):
                raise PermissionError(13, "Permission denied", str(path))
            return plain(path)

        return read

    for name in ("scandir", "listdir"):  # os.walk calls the first, Path.iterdir one of them
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))
    with pytest.raises(UserError, match=rf"The folder .*{shut} cannot be read: access is denied\."):
        read_split(copied, "train")


@pytest.mark.parametrize("text", ["{", "{}", "[1]", '[{"wnid": "n01"}]', '[{"wnid": 1, "name": "red"}]', "[" * 100_000, "[]"])
def test_a_broken_classes_file_or_table_of_boxes_is_one_sentence(copied: Path, text: str) -> None:
    (copied / "classes.json").write_text(text)
    with pytest.raises(UserError, match=r"classes\.json must be a list of objects"):
        read_split(copied, "train")
    write_classes(copied, ("red", "red", "blue"))
    with pytest.raises(UserError, match="names red more than once"):
        read_split(copied, "train")
    write_classes(copied)
    (copied / "train" / "boxes.csv").write_text("path,left\nn01/n01_000001.png,2\n")
    with pytest.raises(UserError, match="must have the columns"):
        read_split(copied, "train")


def test_packed_sets(tmp_path: Path) -> None:
    pack(tmp_path / "train-0-of-2.npz", [0, 1, 2], box=[[0, 0, 7, 15], [1, 2, 3, 4], [0, 0, 15, 15]])
    pack(tmp_path / "train-1-of-2.npz", [2, 1], box=[[0, 0, 0, 0], [5, 5, 9, 9]])
    pack(tmp_path / "val.npz", [1])
    write_classes(tmp_path)
    split = read_split(tmp_path, "train")
    assert split.labels == (0, 1, 2, 2, 1)
    assert split.classes == tuple(map(ClassName, ("n01", "n02", "n03"), COLOURS))
    assert split.examples[0].box == Box(0, 0, 8, 16)  # inclusive in the file, exclusive here
    assert str(split.pictures[4]) == f"{tmp_path / 'train-1-of-2.npz'}[1]"
    assert read_split(tmp_path, "val").labels == (1,)
    assert read_split(tmp_path / "train-1-of-2.npz", "val").labels == (2, 1)
    blue, _ = decode(split.pictures[3], 16)
    assert blue[..., 2].mean() > 150 > blue[..., 0].mean()
    assert [each.box for each in split.subset([4, 0]).examples] == [Box(5, 5, 10, 10), Box(0, 0, 8, 16)]


def test_sets_without_names_or_labels(tmp_path: Path, data: Path) -> None:
    pack(tmp_path / "val.npz", [1, 0])
    named = read_split(tmp_path, "val")  # a packed set without names has ImageNet's classes
    assert named.classes == imagenet()
    assert named.classes[named.labels[0]].name == "goldfish"
    (tmp_path / "val.npz").unlink()
    pack(tmp_path / "photographs.npz", [0, 1], labels=False)
    split = read_split(tmp_path, "train")
    assert split.labels == (UNKNOWN, UNKNOWN)
    assert not split.labelled
    assert not has_part(tmp_path, "val")
    loose = read_split(data / "train", "train", class_folders=False)  # a folder of pictures, however deep
    assert len(loose.pictures) == 72
    assert not loose.labelled


def test_a_packed_set_that_is_broken_or_does_not_fit_together_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "val.npz", [0, 1, 2])
    write_classes(tmp_path, ("red", "green"))
    with pytest.raises(UserError, match="labels from 0 to 2; there are 2 classes"):
        read_split(tmp_path, "val")
    whole = path.read_bytes()
    for cut in (0, 10, 300):
        path.write_bytes(whole[:cut])
        with pytest.raises(UserError, match="is not a packed set"):
            read_split(tmp_path, "val")
    np.savez(path, jpeg=np.zeros(9, np.uint8), offset=np.array([0, 4, 9]), label=np.array([1]))
    with pytest.raises(UserError, match="do not fit together"):
        read_split(tmp_path, "val")


def test_a_missing_part_is_told(tmp_path: Path, data: Path) -> None:
    with pytest.raises(UserError, match="holds neither val/"):
        read_split(tmp_path, "val")
    with pytest.raises(UserError, match="There is no data set"):
        read_split(tmp_path / "nowhere", "train")
    shutil.copytree(data / "val", tmp_path / "val")
    with pytest.raises(UserError, match="holds neither train/"):  # what is for measuring is never learnt from
        read_split(tmp_path, "train")


@pytest.mark.parametrize("names", [("valid", "invalid"), ("train", "bus", "plane")])
def test_parts_without_folders_beside_others_are_classes(names: tuple[str, ...], data: Path, tmp_path: Path) -> None:
    for name, own in zip(names, ("n01", "n02", "n03"), strict=False):
        shutil.copytree(data / "train" / own, tmp_path / name)
    assert sorted(names) == [name for _, name in read_split(tmp_path, "train").classes]
    assert read_split(tmp_path, "val", 0.5).labelled


def test_names_are_composed_before_they_are_compared(data: Path, tmp_path: Path) -> None:
    """As a ZIP from a Mac has them: the same pictures are held out, and have their boxes."""
    found = []
    for form in ("NFC", "NFD"):
        folder = tmp_path / form / unicodedata.normalize(form, "café")
        folder.mkdir(parents=True)
        for i, path in enumerate(all_pictures(data / "train" / "n01")):
            shutil.copy(path, folder / unicodedata.normalize(form, f"é{i}.png"))
        (tmp_path / form / "boxes.csv").write_text("path,x_min,y_min,x_max,y_max\ncafé/é3.png,0,0,7,7\n", encoding="utf-8")
        parts = [read_split(tmp_path / form, part, 0.3).examples for part in ("train", "val")]
        found.append([{(unicodedata.normalize("NFC", each.picture.name), each.box) for each in part} for part in parts])
    assert found[0] == found[1]
    assert sum(box is not None for part in found[0] for _, box in part) == 1


def test_an_output_folder_among_the_classes_is_refused(data: Path, tmp_path: Path) -> None:
    for inside, root in ((data / "train" / "out", data), (data / "train" / "out", data / "train")):
        with pytest.raises(UserError, match="lies among the classes of"):
            check_outside(inside, root)
    pack(tmp_path / "train.npz", [0, 1])
    for elsewhere, root in ((data / "out", data), (tmp_path / "out", tmp_path), (tmp_path, tmp_path / "nowhere")):
        check_outside(elsewhere, root)


def test_classes_match_by_wnid_then_name_then_case() -> None:
    def found(wnid: str, name: str) -> int:
        return match_classes([ClassName(wnid, name)], imagenet())[0]

    assert found("n02113186", "Pembroke's cousin") == 264
    assert found("n02012849", "crane") == 134  # the bird, though "crane" is the machine's name here
    assert found("Cardigan", "Cardigan") == 264
    assert found("cardigan", "cardigan") == 474
    assert found("LION", "LION") == 291
    with pytest.raises(UserError, match="lack 1 of the data's: CARDIGAN"):  # either of two
        found("CARDIGAN", "CARDIGAN")
    for missing, sentence in (
        (["red", "cyan", "black"], "have 3 classes and lack 2 of the data's: cyan, black"),
        ([str(n) for n in range(25)], "and 5 more"),
    ):
        with pytest.raises(UserError, match=sentence):
            match_classes([ClassName(n, n) for n in missing], weights_classes(COLOURS))
