"""The names of classes that a person gives, or that a training program left in its checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from googlenet.checkpoints import import_weights, load, read_labels
from googlenet.errors import WeightsError
from googlenet.errors.korean import korean_error
from googlenet.model.architecture import TORCHVISION
from tests.helpers import random_model


def text(path: Path, content: str) -> Path:
    path.write_text(content, "utf-8")
    return path


def folders(path: Path) -> Path:
    for name in ("b", "a", "C", ".ipynb_checkpoints"):
        (path / name).mkdir(parents=True)
    text(path / "notes.txt", "no class")
    return path


def data_set(path: Path) -> Path:
    (path / "val").mkdir(parents=True)
    folders(path / "train")
    return path


FORMS: dict[str, tuple[Callable[[Path], Path], tuple[str, ...]]] = {
    "lines": (lambda path: text(path, "\ufeffcat\r\n  cafe\u0301 \r\n\r\nred fox\n"), ("cat", "caf\u00e9", "red fox")),
    "list": (lambda path: text(path, '["cat", "cafe\u0301", "[x]"]'), ("cat", "caf\u00e9", "[x]")),
    "by index": (lambda path: text(path, ' {"2": "c", "0": "a", "1": "b"}'), ("a", "b", "c")),
    "by name": (lambda path: text(path, '{"c": 2, "a": 0, "b": 1}'), ("a", "b", "c")),
    "folder": (folders, ("C", "a", "b")),
    "data set": (data_set, ("C", "a", "b")),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_file_or_a_folder_of_labels(form: str, tmp_path: Path) -> None:
    make, expected = FORMS[form]
    assert read_labels(str(make(tmp_path / "labels")), 3) == expected


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("a\nb", "names 2 classes, and the weights tell 3 apart; give one label for each."),
        (
            '["a", "b", 3]',
            "cannot be read: it has neither a line for each class, nor a JSON list, nor a JSON object with the indices from 0.",
        ),
        ('{"0": "a", "5": "b", "2": "c"}', "nor a JSON list, nor a JSON object with the indices from 0."),
        ('["a", "b", ""]', "nor a JSON list, nor a JSON object with the indices from 0."),
        (
            '{"0": ["n01", "a"], "1": ["n02", "b"], "2": ["n03", "c"]}',
            "nor a JSON list, nor a JSON object with the indices from 0.",
        ),
        ('{"a": 0, "b": 1, "c": 1}', "nor a JSON list, nor a JSON object with the indices from 0."),
        ("[" * 100_000, "nor a JSON list, nor a JSON object with the indices from 0."),
        ("[1", "nor a JSON list, nor a JSON object with the indices from 0."),
        ("", "nor a JSON list, nor a JSON object with the indices from 0."),
        ("고양이\n개\n새".encode("cp949"), "cannot be read: it is not UTF-8; save it as UTF-8."),
        ("a\nb\nc".encode("utf-16"), "cannot be read: it is not UTF-8; save it as UTF-8."),
        (None, "cannot be read: it does not exist."),
    ],
)
def test_labels_that_are_refused(content: str | bytes | None, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(WeightsError) as caught:
        read_labels(str(path), 3)
    assert str(path) in str(caught.value)
    assert str(caught.value).endswith(sentence)
    assert korean_error(caught.value) != str(caught.value)


NAMES = ["cat", "cafe\u0301", "fox"]


@pytest.mark.parametrize(
    "stated",
    [{"classes": 3, "class_to_idx": {"fox": 2, "cat": 0, "cafe\u0301": 1}}, {"hyper_parameters": {"class_names": tuple(NAMES)}}],
)
def test_class_names_in_a_checkpoint_are_read(stated: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "net.ckpt"
    torch.save({"state_dict": random_model(TORCHVISION, 3).state_dict(), **stated}, path)
    assert load(str(path)).config.labels == ("cat", "caf\u00e9", "fox")


def test_labels_replace_those_of_the_weights_and_are_written(tmp_path: Path) -> None:
    """Class names of another number, as of a network that was trained before, are not this network's."""
    path = tmp_path / "net.pth"
    for other in (["a", "b"], {"a": {"id": 0}, "b": {"id": 1}, "c": {"id": 2}}):
        torch.save({"model": random_model(TORCHVISION, 3).state_dict(), "classes": other}, path)
        assert load(str(path)).config.labels == ("class 0", "class 1", "class 2")
    labels = str(text(tmp_path / "labels.json", json.dumps(NAMES)))
    import_weights(str(path), tmp_path / "out", labels=labels)
    assert load(str(tmp_path / "out")).config.labels == ("cat", "caf\u00e9", "fox")
    with pytest.raises(WeightsError, match="names 2 classes, and the weights tell 3 apart"):
        load(str(path), labels=str(text(tmp_path / "two.txt", "a\nb")))
