"""Weights on this machine: what is saved, what is read back, and each thing that is refused with one sentence. No network."""

from __future__ import annotations

import gc
import json
import pickle
import resource
import shutil
import struct
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor

from googlenet.checkpoints import import_weights, load, save
from googlenet.checkpoints.checkpoint import CONFIG_FILE, WEIGHTS_FILE
from googlenet.checkpoints.config import dump_config
from googlenet.checkpoints.folder import labels_of, license_of, trunk_sha256, write_folder
from googlenet.checkpoints.readers import SUFFIXES
from googlenet.checkpoints.source import (
    KNOWN_SOURCES,
    Repository,
    Torchvision,
    choose,
    default_source,
    parse_for_visitor,
    parse_repository,
    shipped,
)
from googlenet.errors import UserError
from googlenet.model.architecture import BERKELEY, PAPER, TORCHVISION
from googlenet.model.network import GoogLeNet
from tests.helpers import CONFIG, ROOT, TEMPERATURES, random_model


@pytest.fixture(scope="module")
def model() -> GoogLeNet:
    return random_model(classes=3)


@pytest.fixture(scope="module")
def saved(model: GoogLeNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in this program's layout; read, never written."""
    folder = tmp_path_factory.mktemp("saved") / "weights"
    write_folder(model, CONFIG, folder)
    return folder


@pytest.fixture(scope="module")
def tensors(saved: Path) -> dict[str, Tensor]:
    return safetensors.torch.load_file(saved / WEIGHTS_FILE)


def folder_with(folder: Path, weights: bytes, config: str | None = None) -> str:
    """A folder in our layout with these bytes as weights."""
    (folder / WEIGHTS_FILE).write_bytes(weights)
    (folder / CONFIG_FILE).write_text(config or dump_config(CONFIG), encoding="utf-8")
    return str(folder)


# What is saved comes back


def test_save_and_load(model: GoogLeNet, saved: Path, tmp_path: Path) -> None:
    loaded = load(str(saved))
    assert loaded.config == CONFIG
    assert not loaded.model.training
    assert all(value.dtype in (torch.float32, torch.int64) for value in loaded.model.state_dict().values())
    assert loaded.provenance.source == str(saved)
    assert (loaded.provenance.revision, loaded.provenance.offline) == (None, False)
    assert len(loaded.provenance.sha256) == 64
    assert loaded.provenance.license == "apache-2.0"
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for ours, theirs in zip(model.heads(x), loaded.model.heads(x), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0.02)  # half precision on disk
    loaded.model.fc.weight.data[0, 0] = 1e6  # which half precision cannot hold
    save(loaded, tmp_path)
    again = load(str(tmp_path))
    assert again.config == CONFIG
    assert torch.equal(again.model.fc.weight, loaded.model.fc.weight)


def test_a_network_that_nobody_uses_any_more_is_not_kept(saved: Path, tmp_path: Path) -> None:
    source = folder_with(tmp_path, (saved / WEIGHTS_FILE).read_bytes())  # that there is no README.md is an error on the way
    loaded = weakref.ref(load(source).model)
    gc.collect()
    assert loaded() is None


def test_files_on_disk(saved: Path) -> None:
    assert {path.name for path in saved.iterdir()} == {"README.md", "config.json", "model.safetensors"}
    with safe_open(saved / WEIGHTS_FILE, "pt") as file:
        assert file.get_slice("inception4c.branch2.1.conv.weight").get_dtype() == "F16"
        assert file.get_slice("inception4c.branch2.1.bn.running_var").get_dtype() == "F32"
        assert file.get_slice("fc.weight").get_shape() == [3, 1024]
    assert json.loads((saved / "config.json").read_text(encoding="utf-8"))["labels"][1] == "犬"
    (saved.parent / "any").touch()  # the files are as readable as any file is
    assert {path.stat().st_mode for path in saved.iterdir()} == {(saved.parent / "any").stat().st_mode}


def test_a_card_that_is_there_stays(model: GoogLeNet, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    for card, expected in ((None, "mine"), ("new", "new")):
        write_folder(model, CONFIG, tmp_path, card)
        assert (tmp_path / "README.md").read_text() == expected


def test_the_channels_pictures_travel_with_the_weights(saved: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(saved, source)
    (source / "channels").mkdir()
    pictures = {"index.json": b"{}", "4c.webp": b"RIFF", "notes.txt": b"private"}
    for name, data in pictures.items():
        (source / "channels" / name).write_bytes(data)
    loaded = load(str(source))
    assert loaded.folder == source
    save(loaded, tmp_path / "saved")
    save(loaded, source)  # onto itself
    import_weights(str(source), tmp_path / "imported")
    for folder in ("saved", "imported"):
        found = {path.name: path.read_bytes() for path in (tmp_path / folder / "channels").iterdir()}
        assert found == {"index.json": b"{}", "4c.webp": b"RIFF"}
    assert {path.name for path in (source / "channels").iterdir()} == set(pictures)


def test_a_save_that_fails_leaves_what_was_there(model: GoogLeNet, saved: Path, tmp_path: Path) -> None:
    """The old files, or no folder."""
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))  # what a full disk does: half of the bytes, then an error
    try:
        for folder in (saved, tmp_path / "out"):
            with pytest.raises(UserError, match=r"The folder .* cannot be written: the file would be too large\."):
                write_folder(model, CONFIG, folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before
    assert list(tmp_path.iterdir()) == []


def test_a_save_that_cannot_replace_the_last_file_leaves_all_as_they_were(model: GoogLeNet, tmp_path: Path) -> None:
    """The card's place is taken by a folder: the two files that were replaced before it come back."""
    write_folder(model, CONFIG, tmp_path)
    (tmp_path / "README.md").unlink()
    (tmp_path / "README.md").mkdir()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(UserError, match=r"The folder .* cannot be written: it is a folder\."):
        write_folder(model, replace(CONFIG, labels=("other", "labels", "now")), tmp_path, "a card")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "config.json", "model.safetensors"]


def test_what_could_not_be_read_is_not_written(model: GoogLeNet, tmp_path: Path) -> None:
    hot = replace(CONFIG, temperatures=TEMPERATURES | {"main": 1.5e7})
    with pytest.raises(UserError, match=r"temperatures\.main in config\.json of .* must be at most 100\."):
        write_folder(model, hot, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# Names of sources


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("user/repo", Repository("user/repo")),
        (" user/repo ", Repository("user/repo")),
        ("user/repo@main", Repository("user/repo", "main")),
        ("user/repo@refs/pr/1", Repository("user/repo", "refs/pr/1")),
        ("u-s.er/re_po-2@" + "a" * 40 + ":deep/file.onnx", Repository("u-s.er/re_po-2", "a" * 40, "deep/file.onnx")),
        ("user/repo:file name.pth", Repository("user/repo", None, "file name.pth")),
        ("user/repo:net.ckpt:ema.module", Repository("user/repo", None, "net.ckpt", "ema.module")),
    ],
)
def test_repository_names(text: str, expected: Repository) -> None:
    found = parse_repository(text)
    assert found == expected
    assert str(found) == text.strip()


@pytest.mark.parametrize(
    "text",
    [
        "", "repo", "/etc/passwd", "../up", "a/../b", "a/..", "./a", "a/b/c", "~/x", "C:\\x", "a\\b/c", "user/repo@",
        "user/repo:", "user/repo@../../x", "user/repo@a//b", "user/repo:../x", "user/repo:/etc/passwd", "user/repo:a/./b",
        "user/repo:a\\b", "user/repo:a\0b", "user/re po", "user/repo\nx", "file:///etc/passwd", "https://a/b", "-user/repo",
        "user/repo@-x", "u" * 97 + "/repo", "user/repo:" + "f" * 201,
    ],
)  # fmt: skip
def test_what_is_no_repository(text: str) -> None:
    with pytest.raises(UserError, match="is not the name of a repository"):
        parse_repository(text)


def test_known_sources_are_what_a_visitor_may_name_and_as_large_as_their_networks() -> None:
    networks = (BERKELEY, TORCHVISION, TORCHVISION, replace(BERKELEY, aux_heads=False))
    for known, architecture in zip(KNOWN_SOURCES, networks, strict=True):
        source = parse_for_visitor(known.source)
        assert isinstance(source, Torchvision) or (source.file or "").endswith(SUFFIXES)
        assert known.name
        assert known.heads
        with torch.device("meta"):
            assert known.bytes == sum(4 * p.numel() for p in GoogLeNet(architecture, 1000).parameters())


def test_an_existing_path_wins(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "repo").symlink_to(saved)
    assert load("user/repo").provenance.revision is None


def test_default_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLENET_WEIGHTS", "user/repo")
    assert default_source() == "user/repo"
    monkeypatch.setenv("GOOGLENET_WEIGHTS", "")
    assert Path(default_source()) == ROOT / "weights"


def test_the_built_in_weights_are_found_anywhere_and_named_without_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load("weights").provenance.source == "weights"
    assert load(str(ROOT / "weights")).provenance.source == "weights"  # results name no path of this machine
    (tmp_path / "weights").mkdir()
    with pytest.raises(UserError, match="weights holds no GoogLeNet"):  # a folder that is there wins
        load("weights")


def test_what_comes_with_the_program_lies_in_the_package_or_beside_it(tmp_path: Path) -> None:
    package = tmp_path / "googlenet"
    assert shipped("app.py", package) == tmp_path / "app.py"
    assert shipped("weights", package) == tmp_path / "weights"
    (package / "space").mkdir(parents=True)
    (package / "space" / "app.py").touch()
    (package / "weights").mkdir()
    assert shipped("app.py", package) == package / "space" / "app.py"
    assert shipped("weights", package) == package / "weights"


# Which file


STATE = ["optimizer.pt", "deep/optimizer.bin", "scheduler.pt", "rng_state_0.pth", "scaler.pt", "training_args.bin", "sampler.bin"]
"""What a training program leaves beside the weights."""


def test_choose() -> None:
    assert choose(["config.json", "x.onnx", "model.safetensors"], "s") == "model.safetensors"
    assert choose(["README.md", "config.json", "deep/x.pth"], "s") == "deep/x.pth"
    for name in ("last.ckpt", "NET.PTH", "deep/net.safetensors", "pytorch_model.bin", "model.safetensors", "best.pth.tar"):
        assert choose([*STATE, "README.md", name], "s") == name
    for names, sentence in (
        (["b.caffemodel", "a.onnx"], r"s holds 2 files of weights; name the one that you mean: a\.onnx, b\.caffemodel\."),
        ([f"{i:x}.pt" for i in range(12)], r"s holds 12 files .* 9\.pt, …\."),
        (["config.json", "x.onnx.txt", *STATE], r"s holds no GoogLeNet: neither config\.json with model\.safetensors nor"),
    ):
        with pytest.raises(UserError, match=sentence):
            choose(names, "s")


def test_a_file_of_another_layout_is_loaded_and_imported(tmp_path: Path) -> None:
    model = random_model(TORCHVISION, classes=3)
    torch.save(model.state_dict(), tmp_path / "net.pth")
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    loaded = load(str(tmp_path))  # the only one in its folder
    assert torch.equal(loaded.model.fc.weight, model.fc.weight)
    assert (loaded.config.temperatures, loaded.provenance.license) == (None, "mit")
    assert loaded.config.labels == ("class 0", "class 1", "class 2")
    assert labels_of(1000)[291] == "lion"  # ImageNet's names where there are 1,000 classes
    imported = import_weights(str(tmp_path / "net.pth"), tmp_path / "out")
    with pytest.raises(UserError, match=r"out already holds model\.safetensors, config\.json, README\.md; choose another folder"):
        import_weights(str(tmp_path / "net.pth"), tmp_path / "out")
    (tmp_path / "out" / "config.json").write_text("edited")
    import_weights(str(tmp_path / "net.pth"), tmp_path / "out", overwrite=True)
    assert imported.provenance.sha256 in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    again = load(str(tmp_path / "out"))
    assert (again.config, again.provenance.license) == (imported.config, "mit")
    assert torch.equal(again.model.fc.weight, model.fc.weight.half().float())


def test_a_config_of_another_program_is_passed_over(tmp_path: Path) -> None:
    """The Hub's PyTorch mixin writes one beside `model.safetensors`. One of ours that lacks a field is an error all the same."""
    model = random_model(TORCHVISION, classes=3)
    safetensors.torch.save_file(model.state_dict(), tmp_path / "model.safetensors")
    config = tmp_path / "config.json"
    config.write_text('{"num_classes": 3}')
    assert torch.equal(load(str(tmp_path)).model.fc.weight, model.fc.weight)
    for content, wrong in (('{"labels": ["a", "b", "c"]}', "lacks the field"), ("[]", "must be an object")):
        config.write_text(content)
        with pytest.raises(UserError, match=wrong):
            load(str(tmp_path))


BOMB = "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9 if i else ['{k: 1}'])}]}}\n" for i in range(30))
"""Each mapping merges nine of the one before: 9³⁰ entries."""


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ("---\r\nlicense: mit\r\n---\r\n# Windows", "mit"),
        ("---\nlicense: apache-2.0\n---\n", "apache-2.0"),
        ("---\ntags: [x]\nlicense: 'cc-by-4.0' # ours\n---\n", "cc-by-4.0"),
        (f"---\n{BOMB}license: mit\n---\n", "mit"),
        ("---\nx: " + "[" * 50_000 + "\nlicense: mit\n---\n", "mit"),
        ("---\nlicense: [mit]\n---\n", None),
        ("---\nmodel:\n  license: mit\n---\n", None),
        ("---\ntags: [x]\n---\nlicense: mit\n", None),
        ("license: mit\n", None),
        ("---\nlicense: <script>\n---\n", None),
    ],
)
def test_license(card: str, expected: str | None, tmp_path: Path) -> None:
    assert license_of(tmp_path) is None
    (tmp_path / "README.md").write_text(card)
    assert license_of(tmp_path) == expected


# What is refused


@pytest.mark.parametrize("source", ["", "no-such-folder", "/no/such/file.onnx", "a\0b", "user/repo@", "x" * 5000])
def test_no_such_source(source: str) -> None:
    with pytest.raises(UserError, match="There is no folder or file"):
        load(source)


def test_folders_that_hold_no_weights(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no GoogLeNet"):
        load(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(UserError, match=r"model\.safetensors of .* cannot be read: it is a folder\."):
        load(str(tmp_path))


def test_a_key_is_refused_where_there_is_one_network(saved: Path) -> None:
    with pytest.raises(UserError, match=r"model\.safetensors holds one network; leave out :ema\."):
        load(f"{saved}/model.safetensors:ema")


def test_weights_without_config_are_read_as_a_state_dict(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").symlink_to(saved / "model.safetensors")
    loaded = load(str(tmp_path))
    assert (loaded.config.architecture, len(loaded.config.labels), loaded.config.temperatures) == (PAPER, 3, None)
    for copy in ("copy.safetensors", "model.SAFETENSORS"):  # beside their config.json they have it, under any name
        shutil.copy(saved / "model.safetensors", tmp_path / copy)
        shutil.copy(saved / "config.json", tmp_path)
        assert load(str(tmp_path / copy)).config == CONFIG


def test_a_file_that_is_too_large_or_cut_short(tmp_path: Path, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = (saved / WEIGHTS_FILE).read_bytes()
    with pytest.raises(UserError, match=r"config\.json of .* is larger than 1 MB"):
        load(folder_with(tmp_path, weights, dump_config(CONFIG) + " " * (1 << 20)))
    with pytest.raises(UserError, match="damaged"):
        load(folder_with(tmp_path, weights[:-1]))
    monkeypatch.setattr("googlenet.checkpoints.folder.MAX_BYTES", 4 << 20)
    with pytest.raises(UserError, match=r"model\.safetensors of .* is larger than 4 MB"):
        load(str(saved))


def header(text: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if length is None else length) + text


def entry(kind: str = "F32", shape: int = 3, start: int = 0) -> bytes:
    stated = {"fc.bias": {"dtype": kind, "shape": [shape], "data_offsets": [start, start + 12]}}
    return header(json.dumps(stated).encode())


@pytest.mark.parametrize(
    "data",
    [b"", b"short", header(b"{}", 1 << 62), header(b"{}", 1 << 20), header(b"no json"), header(b"[1]"), entry(),
     entry(shape=10**12) + bytes(12), entry(start=4) + bytes(12), entry("NONE") + bytes(12), pickle.dumps([1])],
)  # fmt: skip
def test_safetensors_that_lie(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model\.safetensors (is damaged or cut short|has numbers of a type)"):
        load(folder_with(tmp_path, data))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"conv1.bn.num_batches_tracked": None}, "lack the tensor conv1.bn.num_batches_tracked"),
        ({"fc.bias": torch.zeros(())}, r"fc.bias of .* has the shape \(\) where 3 belongs"),
        ({"fc.bias": torch.tensor([0, torch.inf, 0]).half()}, "fc.bias of .* holds values that are not finite, or variances"),
    ],
)
def test_tensors_that_do_not_fit(
    changes: dict[str, Tensor | None], sentence: str, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    """`test_refusals.py` has the other kinds."""
    changed = {name: value for name, value in (tensors | changes).items() if value is not None}
    with pytest.raises(UserError, match=sentence):
        load(folder_with(tmp_path, safetensors.torch.save(changed)))


@pytest.mark.parametrize("dtype", ["F64", "F8_E4M3", "F4", "F6_E2M3"])
def test_every_type_of_number_is_read_or_refused(dtype: str, tensors: dict[str, Tensor], tmp_path: Path) -> None:
    """`fc.bias` rewritten by hand, since not every type can be made with PyTorch."""
    rest = {name: value for name, value in tensors.items() if name != "fc.bias"}
    data = safetensors.torch.save(rest)
    length = struct.unpack("<Q", data[:8])[0]
    entries, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    size = 3 * {"F64": 64, "F4": 4, "F6_E2M3": 6}.get(dtype, 8) // 8
    entries["fc.bias"] = {"dtype": dtype, "shape": [3], "data_offsets": [len(body), len(body) + size]}
    try:
        load(folder_with(tmp_path, header(json.dumps(entries).encode()) + body + bytes(size)))
    except UserError as error:
        assert any(words in str(error) for words in ("fc.bias", "damaged", "a type that PyTorch"))  # noqa: PT017 - reading it is as right as refusing it


def test_new_heads_do_not_change_the_trunks_digest(saved: Path) -> None:
    model = load(str(saved)).model
    digest = trunk_sha256(model)
    assert digest == trunk_sha256(random_model(classes=3))  # in half precision on disk
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.startswith(("aux1.", "aux2.", "fc.")):
                value.add_(1)
        assert trunk_sha256(model) == digest
        model.get_parameter("inception5b.branch4.1.conv.weight").add_(1)
    assert trunk_sha256(model) != digest
