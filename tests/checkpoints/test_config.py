"""config.json: what is written comes back, folders of before load, and each wrong field is named in one bounded sentence."""

from __future__ import annotations

import json
import time
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest

from googlenet.checkpoints import config as module
from googlenet.checkpoints.config import ModelConfig, dump_config, parse_config
from googlenet.errors import UserError
from googlenet.model.architecture import TORCHVISION
from googlenet.pictures.images import Preprocess
from googlenet.ui import sentences
from tests.helpers import CONFIG, TEMPERATURES


def as_dict() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(dump_config(CONFIG))
    return found


def refusal(config: object) -> str:
    """The one sentence with which a config is refused."""
    with pytest.raises(UserError) as caught:
        parse_config(config if isinstance(config, bytes) else json.dumps(config).encode(), "s")
    said = sentences.error(caught.value)
    assert said["en"].endswith(".")
    assert len(said["en"]) < 300
    assert said["en"].isprintable()
    assert said["ko"] != said["en"]
    return said["en"]


def changed(**values: Any) -> dict[str, Any]:
    """The config with fields replaced, in its parts too."""
    config = as_dict()
    for name, value in values.items():
        part = next(part for part in (config, config["architecture"], config["preprocess"], config["metrics"]) if name in part)
        part[name] = value
    return config


@pytest.mark.parametrize(
    "config", [CONFIG, ModelConfig(TORCHVISION, ("a", "b"), Preprocess(32, 32, (0.5,) * 3, (0.5,) * 3))], ids=["full", "bare"]
)
def test_round_trip(config: ModelConfig) -> None:
    assert parse_config(dump_config(config).encode(), "s") == config


def test_a_folder_written_before_there_was_a_format_loads() -> None:
    """The very text that the program wrote until then."""
    before = """{
 "architecture": {"norm": "batch", "branch3_kernel": 5, "maxpool4_kernel": 3, "aux_pool": "5x5/3", "aux_heads": true},
 "labels": ["cat", "犬", "crane"],
 "preprocess": {"resize": [72, 80], "crop": 64, "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4], "interpolation": "bicubic"},
 "temperatures": {"aux1": 1.5, "aux2": 2.0, "main": 0.75},
 "metrics": {"dataset": "Three Things", "top1": {"aux1": 0.5, "aux2": 0.5, "main": 0.5},
  "top5": {"aux1": 1.0, "aux2": 1, "main": 1.0}, "unlikely_below": 0.25}
}"""
    assert parse_config(before.encode(), "s") == CONFIG
    without = json.loads(before) | {"temperatures": None, "metrics": None}
    assert parse_config(json.dumps(without).encode(), "s") == replace(CONFIG, temperatures=None, metrics=None)
    assert as_dict()["format"] == 1
    del without["temperatures"], without["preprocess"]["interpolation"]  # optional, as `unlikely_below` is
    without["metrics"] = {key: value for key, value in json.loads(before)["metrics"].items() if key != "unlikely_below"}
    read = parse_config(json.dumps(without).encode(), "s")
    assert (read.temperatures, read.format, read.preprocess.interpolation) == (None, 1, "bilinear")
    assert read.metrics
    assert read.metrics.unlikely_below is None


def test_a_newer_format_is_told_before_its_unknown_fields() -> None:
    assert (
        refusal(as_dict() | {"format": 2, "later": 1}) == "config.json of s is of a newer format; update the program to read it."
    )


NO_JSON, NO_OBJECT = "config.json of s is not valid JSON.", "config.json in config.json of s must be an object."
DAMAGED = {
    **dict.fromkeys([b"", b"{", b"\xff", b"[" * 1000, b"9" * 10_000, b'{"labels": ["\\ud800"]}'], NO_JSON),
    **dict.fromkeys([b"[]", b"3", b"null", b'"text"'], NO_OBJECT),
}


@pytest.mark.parametrize("data", DAMAGED)
def test_what_is_no_json_or_no_object(data: bytes) -> None:
    assert refusal(data) == DAMAGED[data]


@pytest.mark.parametrize(
    "path", ["architecture", "labels", "preprocess", "preprocess.resize", "preprocess.crop", "preprocess.mean", "preprocess.std",
             "metrics.dataset", "metrics.top1", "metrics.top5"]
)  # fmt: skip
def test_a_field_missing(path: str) -> None:
    config = as_dict()
    *parts, field = path.split(".")
    del (config[parts[0]] if parts else config)[field]
    assert refusal(config) == f"config.json of s lacks the field {path}."


@pytest.mark.parametrize("part", [None, "architecture", "preprocess", "metrics"])
def test_an_unknown_field(part: str | None) -> None:
    config = as_dict()
    (config[part] if part else config)["z\nz"] = 1
    assert refusal(config) == f"config.json of s has an unknown field: {part + '.' if part else ''}z\\nz."


WRONG: list[tuple[str, list[Any]]] = [
    ("labels", [None, {}, "abc", [], ["a"], ["a", 1], ["a", None], ["a", ""], ["a", "x" * 301], ["a"] * 100_001]),
    ("architecture", [None, [], "paper", 3]),
    ("norm", [None, "none", 1, ["batch"]]),
    ("branch3_kernel", [None, 4, "3", True]),
    ("maxpool4_kernel", [None, 4]),
    ("aux_pool", [None, "5x5", {}]),
    ("aux_heads", [None, 0, 1, "true"]),
    ("preprocess", [None, [], 224]),
    ("resize", [None, 0, -1, 31, 1025, 10**400, 64.0, True, "64", [64], [64, 64, 64], [64, 31], [64, "64"]]),
    ("crop", [None, 0, 31, 73, 1024, 10**9, 64.5, [64, 64], True]),
    ("mean", [None, 0.5, [0.5], [0.5] * 4, [0.5, 0.5, None], [0.5, 0.5, 1.1], [-0.1, 0, 0], [float("nan")] * 3, [True] * 3]),
    ("mean", [[10**400, 0, 0]]),
    ("std", [None, [0, 1, 1], [1e-9] * 3, [float("inf")] * 3, ["1"] * 3]),
    ("interpolation", [None, "lanczos", 2]),
    (
        "temperatures",
        [3, [], {}, {"main": 1}, TEMPERATURES | {"aux3": 1}, TEMPERATURES | {"main": 0}, TEMPERATURES | {"main": "1"}],
    ),
    ("metrics", [3, [], "good"]),
    ("dataset", [None, 3]),
    ("top1", [None, {}, {"main": 0.5}, TEMPERATURES]),
    ("top5", [None, dict.fromkeys(TEMPERATURES, -0.1), dict.fromkeys(TEMPERATURES, None)]),
    ("unlikely_below", ["0.5", 1.5, float("nan"), True, []]),
    ("format", [None, 0, "1", True, 1.0]),
]


@pytest.mark.parametrize(("field", "values"), WRONG)
def test_a_wrong_value_is_named(field: str, values: list[Any]) -> None:
    for value in values:
        sentence = refusal(changed(**{field: value}))
        assert field in sentence
        assert "must" in sentence or "lacks the field" in sentence


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"resize": [64, 31]}, "preprocess.resize.1 in config.json of s must be at least 32."),
        ({"resize": "64"}, "preprocess.resize in config.json of s must be a whole number."),
        ({"crop": 73}, "preprocess.crop in config.json of s must be at most as large as resize."),
        ({"norm": "none"}, "architecture.norm in config.json of s must be one of 'batch', 'local_response'."),
        ({"temperatures": TEMPERATURES | {"main": 1000}}, "temperatures.main in config.json of s must be at most 100."),
        (
            {"temperatures": {"main": 1}},
            "temperatures in config.json of s must have a value for each trained head: aux1, aux2, main.",
        ),
        ({"aux_heads": False}, "temperatures in config.json of s must have a value for each trained head: main."),
        ({"labels": [1] * 10_000}, "labels.0 in config.json of s must be text."),
        ({"labels": ["a"]}, "labels in config.json of s must be a list of at least 2."),
        ({"labels": ["a"] * 50_001}, "labels in config.json of s must be a list of at most 50,000."),
    ],
)
def test_the_sentence_says_what_belongs_there(values: dict[str, Any], sentence: str) -> None:
    assert refusal(changed(**values)) == sentence


TREES = {
    "small lists": b'{"labels": [' + b"[]," * 340_000 + b"[]]}",
    "small objects": b'{"labels": [' + b"{}," * 340_000 + b"{}]}",
    "fields": b"{" + b",".join(b'"%x":1' % i for i in range(90_000)) + b"}",
    "deep": b"[" * (1 << 20),
    "a string without an end": b'"' + b'\\"' * (1 << 19),
}


@pytest.mark.parametrize("kind", TREES)
def test_a_small_file_that_becomes_a_large_tree_is_refused_before_it_is_parsed(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """3.3 million small lists in 16 MB held the server for 15 s and took 3.6 GB."""
    if kind != "a string without an end":
        monkeypatch.setattr(module, "CONFIG", None)  # nothing parses it
    started = time.process_time()
    sentence = refusal(TREES[kind])
    assert time.process_time() - started < 1
    tracemalloc.start()
    refusal(TREES[kind])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sentence in ("config.json of s cannot be read: it has more than 2,000 fields.", "config.json of s is not valid JSON.")
    assert peak < 30_000_000


def test_what_stands_in_strings_does_not_count() -> None:
    labels = ["[[{{::" * 40, "\\", '"[[[', "caf\u00e9", *(f"a:{i}[]" for i in range(3000))]
    sent = [label.replace("\u00e9", "e\u0301") for label in labels]  # labels are in NFC
    assert list(parse_config(json.dumps(changed(labels=sent)).encode(), "s").labels) == labels


PATHS = [(name,) for name in as_dict()] + [
    (part, name) for part, inner in as_dict().items() if isinstance(inner, dict) for name in inner
]
VALUES = (
    None,
    True,
    3,
    -1.5,
    10**400,
    float("nan"),
    "x",
    "a\n\0b",
    [],
    {},
    [[None]],
    [1, "x", {}],
    {"a": {"b": 1}},
    {"main": []},
)


@pytest.mark.parametrize("path", PATHS, ids=".".join)
def test_any_value_is_read_or_refused_in_a_sentence(path: tuple[str, ...]) -> None:
    for value in VALUES:
        config = as_dict()
        part = config[path[0]] if len(path) == 2 else config
        part[path[-1]] = value
        data = json.dumps(config).encode()
        try:
            read = parse_config(data, "s")
        except UserError:
            refusal(data)
        else:
            assert parse_config(dump_config(read).encode(), "s") == read
