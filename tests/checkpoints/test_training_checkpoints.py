"""PyTorch files as training programs write them: where the network lies, what lies beside it, and what its names became."""

from __future__ import annotations

import argparse
import itertools
import logging
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torchvision.transforms import ToTensor

from googlenet.checkpoints import LoadedModel, load
from googlenet.errors import UserError
from googlenet.model.architecture import TORCHVISION
from tests.checkpoints.files import (
    CLASSES,
    IMAGENET,
    berkeley_model,
    caffe_state,
    close,
    logits,
    picture,
    refusal,
    same,
    torchvision_model,
    torchvision_state,
)
from tests.helpers import random_model


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """The state dict of `torchvision_state` by itself. The content decides, and not the name."""
    path = tmp_path_factory.mktemp("plain") / "plain.onnx"
    torch.save(torchvision_state(), path)
    return load(str(path))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.ckpt"


@pytest.mark.parametrize("prefix", ["module._orig_mod.", "net.backbone.", "_fsdp_wrapped_module."])
def test_a_prefix_of_all_names(prefix: str, plain: LoadedModel, path: Path) -> None:
    """And names of wrappers inside a key."""
    inside = "._checkpoint_wrapped_module.conv." if "fsdp" in prefix else ".conv."
    torch.save({prefix + key.replace(".conv.", inside): tensor for key, tensor in torchvision_state().items()}, path)
    same(plain, path)


def test_a_prefix_of_caffes_names(path: Path) -> None:
    torch.save({"module." + key: tensor for key, tensor in caffe_state().items()}, path)
    assert torch.equal(load(str(path)).model.fc.weight, berkeley_model().fc.weight)


def test_averaged_weights(plain: LoadedModel, path: Path) -> None:
    model = random_model(TORCHVISION, CLASSES).half()
    torch.save(torch.optim.swa_utils.AveragedModel(model).state_dict(), path)
    same(plain, path)


@pytest.mark.parametrize("keys", [["net_g"], ["trainer", "module", "params"]])
def test_the_only_network_is_found_under_any_key(keys: list[str], plain: LoadedModel, path: Path) -> None:
    value: dict[str, Any] = {"model." + name: tensor for name, tensor in torchvision_state().items()}
    value |= {"loss.weight": torch.ones(3), "teacher_temperature": torch.tensor(2.0)}  # outside the prefix
    for key in reversed(keys):
        value = {key: value, "epoch": 3, 5: "five", "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}}}
    torch.save(value, path)
    same(plain, path)


def test_of_two_networks_one_is_chosen(plain: LoadedModel, path: Path) -> None:
    ema = {key: tensor + 1 if tensor.is_floating_point() else tensor for key, tensor in torchvision_state().items()}
    torch.save({"model": torchvision_state(), "ema": {"module": ema}}, path)
    assert refusal(path) == "net.ckpt holds 2 networks: model, ema.module; choose one as SOURCE:model."
    for key, offset in (("model", 0), ("ema.module", 1)):
        loaded = load(f"{path}:{key}")
        assert torch.equal(loaded.model.fc.weight, torchvision_state()["fc.weight"] + offset)
        assert loaded.provenance.source == str(path)
    assert load(f"{path.parent}:ema.module").config == plain.config
    with pytest.raises(UserError, match=r"net.ckpt has no network other; it has model, ema.module\."):
        load(f"{path}:other")
    torch.save({f"{name}.{key}": t for name in ("student", "teacher") for key, t in torchvision_state().items()}, path)
    assert "2 networks: student, teacher" in refusal(path)
    assert load(f"{path}:teacher").config == plain.config


def test_what_else_a_training_program_saves_does_no_harm(plain: LoadedModel, path: Path) -> None:
    """An object that is no tensor is not built."""
    torch.save(
        {
            "args": argparse.Namespace(lr=0.1, out=Path("/secret"), nested=argparse.Namespace(x=[1])),
            "best": np.float64(0.91),
            "confusion": np.eye(3),
            "out": Path("runs/1"),
            "history": defaultdict(list, {"loss": [1.0, 0.5]}),
            "settings": EasyDict(lr=0.1),
            "transform": ToTensor(),
            "model": torchvision_state(),
        },
        path,
    )
    same(plain, path)


def test_a_key_that_is_not_there(path: Path) -> None:
    torch.save({"state_dict": {f"model.{key}": tensor for key, tensor in torchvision_state().items()}}, path)
    with pytest.raises(UserError, match=r"net.ckpt has no network state_dict; it has state_dict.model\."):
        load(f"{path}:state_dict")
    torch.save(torchvision_state(), path)
    with pytest.raises(UserError, match="holds one network; leave out :model"):
        load(f"{path}:model")


class EasyDict(dict[str, Any]):
    """A dictionary whose values are attributes, as configurations are kept in."""

    def __init__(self, **values: Any) -> None:
        super().__init__(values)
        self.__dict__.update(values)


def test_a_network_deeper_than_three_levels_and_none(path: Path) -> None:
    for value in ({"a": {"b": {"c": {"d": torchvision_state()}}}}, {"model": 3}, {3: torch.zeros(3)}):
        torch.save(value, path)
        assert "it has neither conv1.conv.weight (torchvision's name) nor conv1_7x7_s2.weight (Caffe's)" in refusal(path)
    for other in ([torch.zeros(3)], torch.zeros(3), torchvision_model(True), {"model": torchvision_model(True), "epoch": 3}):
        torch.save(other, path)
        assert "holds something other than tensors by name; save the model's state_dict()" in refusal(path)


def test_a_mapping_that_names_another_a_million_times_is_searched_once(path: Path) -> None:
    inner: dict[str, Any] = {}
    for _ in range(3):
        inner = {f"k{i}": inner for i in range(3000)}
    torch.save(inner, path)
    assert "it has neither" in refusal(path)


def test_counters_of_any_type_or_none(plain: LoadedModel, path: Path) -> None:
    kinds = itertools.cycle([torch.tensor(7.0), torch.tensor([True]), torch.tensor(3, dtype=torch.int32), None])
    counted = {key: next(kinds) if key.endswith("num_batches_tracked") else t for key, t in torchvision_state().items()}
    torch.save({key: tensor for key, tensor in counted.items() if tensor is not None}, path)
    same(plain, path)


# The last layer


@pytest.mark.parametrize(("place", "bias"), [("fc.1", True), ("fc.linear", True), ("fc", False)])
def test_a_classifier_in_a_sequential_and_without_a_bias(place: str, bias: bool, path: Path) -> None:
    model = torchvision_model(transform_input=True)
    linear = nn.Linear(1024, CLASSES, bias=bias)
    nn.init.normal_(linear.weight)
    layers = OrderedDict({"0": nn.Dropout(0.2), place.removeprefix("fc."): linear})
    model.fc = linear if place == "fc" else nn.Sequential(layers).eval()
    torch.save(model.state_dict(), path)
    rgb = picture(96)
    with torch.no_grad():
        close(logits(load(str(path)), rgb).main, model(IMAGENET(rgb)))


def test_two_layers_in_place_of_one_are_named(path: Path) -> None:
    state = torchvision_state()
    torch.save(state | {"fc.1.weight": torch.zeros(9, 1024), "fc.3.weight": torch.zeros(CLASSES, 9)}, path)
    assert "fc.1.weight" in refusal(path)


# Auxiliary heads


def test_auxiliary_heads_are_kept_where_they_were_trained(path: Path) -> None:
    model = torchvision_model(transform_input=True, aux_logits=True)
    state = model.state_dict()
    torch.save(state, path)
    rgb = picture(96)
    model.training = True  # torchvision computes the auxiliary heads then; its modules stay in eval mode
    with torch.no_grad():
        main, aux2, aux1 = model(IMAGENET(rgb))
    for ours, theirs in zip(logits(load(str(path)), rgb), (aux1, aux2, main), strict=True):
        close(ours, theirs)
    # one that was not trained: its statistics, which any forward pass moves, prove nothing
    torch.save(state | {"aux2.conv.bn.weight": torch.ones(128), "aux2.conv.bn.bias": torch.zeros(128)}, path)
    heads = logits(load(str(path)), rgb)
    assert (heads.aux1, heads.aux2) == (None, None)
    close(heads.main, main)


def test_auxiliary_heads_of_other_classes_are_left_out_and_said(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As torchvision leaves them where only `fc` was replaced."""
    state = torchvision_model(transform_input=True, aux_logits=True).state_dict()
    state |= {f"aux{n}.fc2.weight": torch.ones(1000, 1024) for n in (1, 2)} | {
        f"aux{n}.fc2.bias": torch.ones(1000) for n in (1, 2)
    }
    torch.save(state, path)
    with caplog.at_level(logging.WARNING):
        loaded = load(str(path))
    assert not loaded.config.architecture.aux_heads
    assert len(loaded.config.labels) == CLASSES
    assert "The auxiliary heads of net.ckpt tell other classes apart than the main head; left out." in caplog.text


def test_safetensors_under_any_name(plain: LoadedModel, tmp_path: Path) -> None:
    for name in ("net.SafeTensors", "net.pth"):
        safetensors.torch.save_file(torchvision_state(), tmp_path / name)
        same(plain, tmp_path / name)
