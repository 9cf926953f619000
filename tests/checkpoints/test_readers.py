"""Weights of every layout against independent references: torchvision, ONNX Runtime, OpenCV's Caffe reader."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch
from onnx import TensorProto, helper, numpy_helper

from googlenet.checkpoints import LoadedModel, import_weights, load
from googlenet.checkpoints.readers import pytorch
from googlenet.errors import UserError
from googlenet.model.architecture import BERKELEY, TORCHVISION
from tests.checkpoints.files import (
    CLASSES,
    IMAGENET,
    berkeley_model,
    berkeley_onnx,
    berkeley_tensors,
    bgr,
    caffe_state,
    caffemodel,
    close,
    logits,
    picture,
    prototxt,
    refusal,
    run_onnx,
    same,
    torchvision_model,
    torchvision_onnx,
    torchvision_state,
)
from tests.helpers import random_model


@pytest.mark.reference
@pytest.mark.parametrize(("fold", "transform_input", "side"), [(True, True, 224), (False, False, 171)])
def test_torchvision_onnx(tmp_path: Path, fold: bool, transform_input: bool, side: int) -> None:
    """BatchNorm folded or as nodes, with the transform or without it, and the size that the file states."""
    path = torchvision_onnx(tmp_path / "net.onnx", transform_input, fold, side)
    ops = {node.op_type for node in onnx.load(path).graph.node}
    assert ("BatchNormalization" in ops) is not fold
    assert ("Gather" in ops) is transform_input
    loaded = load(str(path))
    assert loaded.config.architecture == TORCHVISION
    assert len(loaded.config.labels) == CLASSES
    assert (loaded.config.preprocess.crop, loaded.config.preprocess.resize) == (side, round(256 * side / 224))
    rgb = picture(side)
    x = IMAGENET(rgb) if transform_input else (rgb - 0.5) / 0.5
    close(logits(loaded, rgb).main, run_onnx(path, x))


@pytest.mark.parametrize("legacy", [True, False], ids=["pickle", "zip"])
def test_torchvision_state_dict(tmp_path: Path, legacy: bool) -> None:
    model = torchvision_model(transform_input=True)
    path = tmp_path / "net.pth"
    torch.save(model.state_dict(), path, _use_new_zipfile_serialization=not legacy)
    loaded = load(str(path))
    assert loaded.config.architecture == TORCHVISION
    assert loaded.config.preprocess.resize == 256
    rgb = picture(96)
    with torch.no_grad():
        reference = model(IMAGENET(rgb))
    close(logits(loaded, rgb).main, reference)


def test_our_own_file_of_berkeleys_network_alone(tmp_path: Path) -> None:
    """Copied away from its config.json: the network is told by its tensors. `test_folder.py` has the paper's."""
    model = random_model(BERKELEY, classes=3)
    safetensors.torch.save_file(model.state_dict(), tmp_path / "copy.safetensors")
    loaded = load(str(tmp_path / "copy.safetensors"))
    assert (loaded.config.architecture, loaded.provenance.assumed) == (BERKELEY, None)
    assert loaded.config.labels == ("class 0", "class 1", "class 2")
    assert torch.equal(loaded.model.conv1.conv.weight, model.conv1.conv.weight)  # it is RGB


# Which normalisation


def test_the_normalisation_that_a_file_does_not_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision's `transform_input=False` leaves ImageNet's normalisation; a state dict does not say which was used."""
    path = tmp_path / "net.pth"
    torch.save(torchvision_state(), path)
    loaded = load(str(path))
    assert (loaded.provenance.assumed, loaded.config.preprocess.mean) == ("half", (0.5, 0.5, 0.5))
    import_weights(str(path), tmp_path / "chosen", normalise="imagenet")
    chosen = load(str(tmp_path / "chosen"))
    assert (chosen.config.preprocess.mean, chosen.config.preprocess.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert chosen.provenance.assumed is None  # config.json says it now
    assert "`imagenet` was chosen" in (tmp_path / "chosen" / "README.md").read_text("utf-8")
    import_weights(str(path), tmp_path / "default")
    assert "`half` is assumed" in (tmp_path / "default" / "README.md").read_text("utf-8")
    monkeypatch.setattr(pytorch, "PUBLISHED", hashlib.sha256(path.read_bytes()).hexdigest()[:8])
    assert load(str(path)).provenance.assumed is None
    with pytest.raises(UserError, match=r"net\.pth says how its pictures are normalised; leave out --normalise\."):
        import_weights(str(path), tmp_path / "published", normalise="imagenet")


def test_other_constants_in_the_transform_are_refused(tmp_path: Path) -> None:
    path = torchvision_onnx(tmp_path / "net.onnx", True)
    model = onnx.load(path)
    scale = next(node for node in model.graph.node if node.op_type == "Mul")
    value = next(node for node in model.graph.node if node.output[0] == scale.input[1]).attribute[0].t
    value.CopyFrom(numpy_helper.from_array(np.array(0.5, np.float32)))
    onnx.save(model, path)
    assert "0.5" in (sentence := refusal(path))
    assert "Mul" in sentence


@pytest.fixture(scope="module")
def plain_caffe(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """Of an old file."""
    path = tmp_path_factory.mktemp("plain") / "net.caffemodel"
    path.write_bytes(caffemodel(berkeley_tensors(), old=True))
    return load(str(path))


@pytest.mark.reference
def test_caffe_against_opencv(tmp_path: Path, plain_caffe: LoadedModel) -> None:
    """And a newer file gives the same as an old one."""
    path, layout = tmp_path / "net.caffemodel", tmp_path / "net.prototxt"
    path.write_bytes(caffemodel(berkeley_tensors(), old=False))
    layout.write_text(prototxt())
    same(plain_caffe, path)
    assert plain_caffe.config.architecture == BERKELEY
    assert plain_caffe.config.preprocess.resize == (256, 256)
    rgb = picture()
    import cv2

    net = cv2.dnn.readNetFromCaffe(str(layout), str(path))
    net.setInput(bgr(rgb).numpy())
    references = net.forward(["loss1/classifier", "loss2/classifier", "loss3/classifier"])
    for ours, theirs in zip(logits(plain_caffe, rgb), references, strict=True):
        close(ours, theirs)


@pytest.mark.parametrize("suffix", ["", "_1"])
def test_state_dict_with_caffe_names(tmp_path: Path, suffix: str, plain_caffe: LoadedModel) -> None:
    state = caffe_state(suffix)
    path = tmp_path / "net.pth"
    torch.save(state, path)
    same(plain_caffe, path)
    torch.save({key: tensor for key, tensor in state.items() if not key.startswith("loss3")}, path)
    assert refusal(path) == (
        "net.pth lacks the main head's classifier (loss3/classifier); give a file that holds the whole network."
    )


NAMES = {"loss1/classifier": "flowers_a", "loss2/classifier": "b", "loss3/classifier": "fc8"}
RENAMED: dict[str, Callable[[str], str]] = {
    "as Caffe teaches": lambda layer: layer.replace("classifier", "classifier_ft"),
    "freely": lambda layer: NAMES.get(layer, layer),
}


@pytest.mark.parametrize("rename", RENAMED)
def test_caffe_networks_that_were_fine_tuned(tmp_path: Path, plain_caffe: LoadedModel, rename: str) -> None:
    """Caffe teaches to rename the last layers, so that they start anew. It writes the layers in the network's order."""
    tensors = berkeley_tensors()
    in_place = {RENAMED[rename](layer): tensors[layer] for layer in prototxt_order()}
    (tmp_path / "net.caffemodel").write_bytes(caffemodel(in_place, old=True))
    same(plain_caffe, tmp_path / "net.caffemodel")


def prototxt_order() -> list[str]:
    layers = [line.split('"')[1] for line in prototxt().splitlines() if 'name: "' in line]
    return [layer for layer in layers if layer in berkeley_tensors()]


def test_caffe_with_other_classes_and_without_auxiliary_heads(tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    tensors = {layer: arrays for layer, arrays in berkeley_tensors().items() if not layer.startswith(("loss1", "loss2"))}
    weight, bias = tensors.pop("loss3/classifier")
    path.write_bytes(caffemodel(tensors | {"loss3/classifier_five": (weight[:5], bias[:5])}, old=True))
    loaded = load(str(path))
    assert loaded.config.architecture.aux_heads is False
    assert len(loaded.config.labels) == 5
    rgb = picture(96)
    with torch.no_grad():
        reference = berkeley_model()(rgb * 255 - torch.tensor([123.0, 117.0, 104.0]).view(3, 1, 1))[:, :5]
    close(logits(loaded, rgb).main, reference)
    state = {key: tensor for key, tensor in caffe_state().items() if not key.startswith(("loss1", "loss2", "loss3"))}
    five = {
        "loss3_classifier_five.weight": torch.from_numpy(weight[:5]),
        "loss3_classifier_five.bias": torch.from_numpy(bias[:5]),
    }
    torch.save(state | five, tmp_path / "net.pth")
    same(loaded, tmp_path / "net.pth")


@pytest.mark.reference
def test_berkeley_onnx(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(berkeley_onnx("Gemm"), path)
    loaded = load(str(path))
    assert loaded.config.architecture.norm == "local_response"
    assert (loaded.config.architecture.branch3_kernel, loaded.config.architecture.maxpool4_kernel) == (5, 3)
    rgb = picture()
    heads = logits(loaded, rgb)
    assert heads.aux1 is None
    close(heads.main.softmax(1), run_onnx(path, bgr(rgb)))
    with torch.no_grad():  # a softmax can hide a wrong logit
        close(heads.main, berkeley_model()(rgb * 255 - torch.tensor([123.0, 117.0, 104.0]).view(3, 1, 1)))
    for variant, far_pad in (("MatMul", 1), ("ReduceMean", 2)):
        onnx.save(berkeley_onnx(variant, far_pad), path)
        same(loaded, path)


# ONNX as people have it


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """In half precision, with Cast nodes around it that keep its picture and logits as they were."""
    for tensor in model.graph.initializer:
        half(tensor)
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                half(attribute.t)
    picture, output = model.graph.input[0].name, model.graph.output[0].name
    for node in model.graph.node:
        node.input[:] = ["picture half" if name == picture else name for name in node.input]
        node.output[:] = ["output half" if name == output else name for name in node.output]
    model.graph.node.insert(0, helper.make_node("Cast", [picture], ["picture half"], to=TensorProto.FLOAT16))
    model.graph.node.append(helper.make_node("Cast", ["output half"], [output], to=TensorProto.FLOAT))
    return model


def half(tensor: TensorProto) -> None:
    if tensor.data_type == TensorProto.FLOAT:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))


@pytest.mark.reference
def test_onnx_in_half_precision(tmp_path: Path) -> None:
    """The transform's constants are compared at the precision in which they are stored."""
    path = torchvision_onnx(tmp_path / "net.onnx", True)
    onnx.save(halved(onnx.load(path)), path)
    loaded = load(str(path))
    assert loaded.provenance.assumed is None
    rgb = picture()
    reference = run_onnx(path, IMAGENET(rgb))
    difference = (logits(loaded, rgb).main - torch.as_tensor(reference)).abs().max().item()
    assert difference < 0.02 * np.abs(reference).max()


def test_onnx_stores_numbers_in_several_ways(tmp_path: Path) -> None:
    """Typed fields in place of raw bytes, bfloat16, double: the weights come out the same."""
    model = berkeley_onnx("Gemm")
    onnx.save(model, tmp_path / "plain.onnx")
    kinds = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
    ways = itertools.cycle(itertools.product(kinds, (True, False)))
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) < 4:
            kind, raw = next(ways)
            array = numpy_helper.to_array(tensor).astype(helper.tensor_dtype_to_np_dtype(kind))
            data = array.tobytes() if raw else array.flatten()
            tensor.CopyFrom(helper.make_tensor(tensor.name, kind, array.shape, data, raw=raw))
    onnx.save(model, tmp_path / "net.onnx")
    found = load(str(tmp_path / "net.onnx")).model.state_dict()
    for key, tensor in load(str(tmp_path / "plain.onnx")).model.state_dict().items():
        torch.testing.assert_close(found[key], tensor, rtol=1e-2, atol=1e-2)  # bfloat16's precision


def test_a_size_that_an_onnx_file_leaves_open_is_the_papers(tmp_path: Path) -> None:
    model = berkeley_onnx("ReduceMean")
    for dim in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        dim.Clear()
        dim.dim_param = "side"
    onnx.save(model, tmp_path / "net.onnx")
    assert load(str(tmp_path / "net.onnx")).config.preprocess.crop == 224


def test_a_pool_of_another_picture_size_is_refused(tmp_path: Path) -> None:
    """The last pool covers the whole map of the size that the file states."""
    model = berkeley_onnx("Gemm")
    for dim in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        dim.dim_value = 256
    onnx.save(model, tmp_path / "net.onnx")
    assert "(AveragePool) has kernel_shape [7, 7] where [8, 8] belongs" in refusal(tmp_path / "net.onnx")
