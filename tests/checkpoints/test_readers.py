"""Weights of every layout against independent references: torchvision, ONNX Runtime, OpenCV's Caffe reader. And hostile files."""

from __future__ import annotations

import functools
import io
import os
import pickle
import struct
import warnings
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torchvision
import torchvision.transforms.v2
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from googlenet.architecture import BERKELEY, STAGES, TORCHVISION
from googlenet.checkpoints.checkpoint import MAX_BYTES
from googlenet.checkpoints.readers import SUFFIXES, Converted, convert
from googlenet.checkpoints.readers.converted import CAFFE_LAYERS, MAX_FIELDS
from googlenet.errors import UserError
from googlenet.model import GoogLeNet, HeadLogits

CLASSES = 11
IMAGENET = torchvision.transforms.v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def lively(model: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights and statistics that neither fade nor explode, so that the logits differ by picture and class."""
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.1)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.8, 1.2)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.8, 1.2)
    return model.eval()


def torchvision_model(transform_input: bool, aux_logits: bool = False) -> nn.Module:
    model = torchvision.models.googlenet(
        weights=None, num_classes=CLASSES, aux_logits=aux_logits, transform_input=transform_input, init_weights=False
    )
    return lively(model)


def picture(size: int = 224) -> Tensor:
    """(1, 3, size, size) RGB in 0…1."""
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(1))


def logits(converted: Converted, rgb: Tensor) -> HeadLogits:
    """The package's own model on a picture, normalised by the package's own rule."""
    model = GoogLeNet(converted.architecture, converted.classes)
    model.load_state_dict(converted.state_dict, strict=True)
    rule = converted.preprocess
    with torch.no_grad():
        return model.eval().heads(torchvision.transforms.v2.functional.normalize(rgb, list(rule.mean), list(rule.std)))


def close(ours: Tensor | None, theirs: Tensor | np.ndarray) -> None:
    assert ours is not None
    theirs = torch.as_tensor(theirs)
    assert theirs.std() > 0.05  # a reference that says the same of everything would prove nothing
    difference = (ours - theirs).abs().max().item()
    print(f"largest difference {difference:.1e} of {theirs.abs().max().item():.2f}")
    assert difference < 1e-4 * max(1.0, theirs.abs().max().item())


def run_onnx(path: Path, x: Tensor) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]


def export(model: nn.Module, path: Path, fold: bool) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter without onnxscript says that it is the older one
        torch.onnx.export(
            model,
            (torch.zeros(1, 3, 224, 224),),
            str(path),
            dynamo=False,
            do_constant_folding=fold,
            training=torch.onnx.TrainingMode.EVAL if fold else torch.onnx.TrainingMode.PRESERVE,
        )
    return path


def refusal(path: Path) -> str:
    """The one sentence with which a file is refused."""
    with pytest.raises(UserError) as caught:
        convert(path)
    sentence = str(caught.value)
    assert sentence.startswith(path.name)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


# torchvision


@pytest.mark.reference
@pytest.mark.parametrize("fold", [True, False], ids=["folded", "batchnorm nodes"])
@pytest.mark.parametrize("transform_input", [True, False], ids=["transform", "no transform"])
def test_torchvision_onnx(tmp_path: Path, fold: bool, transform_input: bool) -> None:
    path = export(torchvision_model(transform_input), tmp_path / "net.onnx", fold)
    ops = {node.op_type for node in onnx.load(path).graph.node}
    assert ("BatchNormalization" in ops) is not fold
    assert ("Gather" in ops) is transform_input
    converted = convert(path)
    assert converted.architecture == TORCHVISION
    assert converted.classes == CLASSES
    rgb = picture()
    x = IMAGENET(rgb) if transform_input else (rgb - 0.5) / 0.5
    close(logits(converted, rgb).main, run_onnx(path, x))


@pytest.mark.parametrize("aux_logits", [True, False])
@pytest.mark.parametrize("legacy", [True, False], ids=["pickle", "zip"])
def test_torchvision_state_dict(tmp_path: Path, aux_logits: bool, legacy: bool) -> None:
    model = torchvision_model(transform_input=True, aux_logits=aux_logits)
    path = tmp_path / "net.pth"
    torch.save(model.state_dict(), path, _use_new_zipfile_serialization=not legacy)
    converted = convert(path)
    assert converted.architecture == TORCHVISION
    assert converted.preprocess.resize == 256
    rgb = picture(96)
    with torch.no_grad():
        reference = model(IMAGENET(rgb))
    heads = logits(converted, rgb)
    assert heads.aux1 is None  # torchvision's auxiliary tensors were never trained
    assert heads.aux2 is None
    close(heads.main, reference)


def test_other_constants_in_the_transform_are_refused(tmp_path: Path) -> None:
    path = export(torchvision_model(True), tmp_path / "net.onnx", True)
    model = onnx.load(path)
    scale = next(node for node in model.graph.node if node.op_type == "Mul")
    value = next(node for node in model.graph.node if node.output[0] == scale.input[1]).attribute[0].t
    value.CopyFrom(numpy_helper.from_array(np.array(0.5, np.float32)))
    onnx.save(model, path)
    assert "0.5" in (sentence := refusal(path))
    assert "Mul" in sentence


# Berkeley: Caffe


@functools.cache
def berkeley_model() -> GoogLeNet:
    model = GoogLeNet(BERKELEY, CLASSES)
    lively(model)
    with torch.no_grad():
        model.conv1.conv.weight.div_(100)  # its input is 0…255
    return model


def berkeley_tensors() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Caffe's layers: weight and bias, conv1 in BGR order."""
    tensors = {}
    for layer, module in CAFFE_LAYERS.items():
        found = berkeley_model().get_submodule(module)
        tensors[layer] = (found.weight.detach().numpy(), found.bias.detach().numpy())
    weight, bias = tensors["conv1/7x7_s2"]
    tensors["conv1/7x7_s2"] = (np.ascontiguousarray(weight[:, ::-1]), bias)
    return tensors


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def blob(array: np.ndarray, old: bool) -> bytes:
    data = field(5, array.astype("<f4").tobytes())
    if not old:
        return data + field(7, field(1, b"".join(map(varint, array.shape))))
    dims = (1,) * (4 - array.ndim) + array.shape
    return b"".join(field(number, dim) for number, dim in enumerate(dims, 1)) + data


def caffemodel(tensors: dict[str, tuple[np.ndarray, np.ndarray]], old: bool) -> bytes:
    """A `NetParameter` with LayerParameter (field 100) or, in old files, V1LayerParameter (field 2)."""
    message = field(1, b"GoogleNet")
    for layer, arrays in tensors.items():
        linear = arrays[0].ndim == 2
        blobs = [blob(array, old) for array in arrays]
        if old:
            body = b"".join(field(6, b) for b in blobs) + field(4, layer.encode()) + field(5, 14 if linear else 4)
            message += field(2, body)
        else:
            kind = b"InnerProduct" if linear else b"Convolution"
            message += field(100, field(1, layer.encode()) + field(2, kind) + b"".join(field(7, b) for b in blobs))
    return message


def prototxt() -> str:
    """Berkeley's network with its three heads ending in logits, in Caffe's text form."""
    lines = ['name: "GoogleNet"', 'input: "data"', "input_dim: 1", "input_dim: 3", "input_dim: 224", "input_dim: 224"]

    def layer(name: str, kind: str, bottoms: list[str], parameters: str) -> str:
        sources = " ".join(f'bottom: "{bottom}"' for bottom in bottoms)
        lines.append(f'layer {{ name: "{name}" type: "{kind}" {sources} top: "{name}" {parameters} }}')
        return name

    def conv(name: str, bottom: str, kernel: int, stride: int = 1) -> str:
        outputs = berkeley_model().get_submodule(CAFFE_LAYERS[name]).weight.shape[0]
        layer(
            name,
            "Convolution",
            [bottom],
            f"convolution_param {{ num_output: {outputs} kernel_size: {kernel} stride: {stride} pad: {kernel // 2} }}",
        )
        return layer(f"{name}/relu", "ReLU", [name], "")

    def pool(name: str, bottom: str, kind: str, kernel: int, stride: int, pad: int = 0) -> str:
        parameters = f"pooling_param {{ pool: {kind} kernel_size: {kernel} stride: {stride} pad: {pad} }}"
        return layer(name, "Pooling", [bottom], parameters)

    def linear(name: str, bottom: str) -> str:
        outputs = berkeley_model().get_submodule(CAFFE_LAYERS[name]).weight.shape[0]
        return layer(name, "InnerProduct", [bottom], f"inner_product_param {{ num_output: {outputs} }}")

    norm = "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }"
    x = pool("pool1", conv("conv1/7x7_s2", "data", 7, 2), "MAX", 3, 2)
    x = conv("conv2/3x3_reduce", layer("norm1", "LRN", [x], norm), 1)
    x = pool("pool2", layer("norm2", "LRN", [conv("conv2/3x3", x, 3)], norm), "MAX", 3, 2)
    for stage in STAGES:
        p = f"inception_{stage}"
        if stage in ("4a", "5a"):
            x = pool(f"pool_{stage}", x, "MAX", 3, 2)
        ends = [
            conv(f"{p}/1x1", x, 1),
            conv(f"{p}/3x3", conv(f"{p}/3x3_reduce", x, 1), 3),
            conv(f"{p}/5x5", conv(f"{p}/5x5_reduce", x, 1), 5),
            conv(f"{p}/pool_proj", pool(f"{p}/pool", x, "MAX", 3, 1, 1), 1),
        ]
        x = layer(f"{p}/output", "Concat", ends, "")
        if stage in ("4a", "4d"):
            head = "loss1" if stage == "4a" else "loss2"
            y = conv(f"{head}/conv", pool(f"{head}/ave_pool", x, "AVE", 5, 3), 1)
            y = layer(f"{head}/fc/relu", "ReLU", [linear(f"{head}/fc", y)], "")
            linear(f"{head}/classifier", y)
    linear("loss3/classifier", pool("pool5", x, "AVE", 7, 1))
    return "\n".join(lines)


def bgr(rgb: Tensor) -> Tensor:
    """Caffe's own preprocessing: BGR in 0…255 minus the mean."""
    return rgb.flip(1) * 255 - torch.tensor([104.0, 117.0, 123.0]).view(3, 1, 1)


@pytest.mark.reference
@pytest.mark.parametrize("old", [True, False], ids=["V1LayerParameter", "LayerParameter"])
def test_caffe_against_opencv(tmp_path: Path, old: bool) -> None:
    path, layout = tmp_path / "net.caffemodel", tmp_path / "net.prototxt"
    path.write_bytes(caffemodel(berkeley_tensors(), old))
    layout.write_text(prototxt())
    converted = convert(path)
    assert converted.architecture == BERKELEY
    assert converted.preprocess.resize == (256, 256)
    rgb = picture()
    import cv2

    net = cv2.dnn.readNetFromCaffe(str(layout), str(path))
    net.setInput(bgr(rgb).numpy())
    references = net.forward(["loss1/classifier", "loss2/classifier", "loss3/classifier"])
    for ours, theirs in zip(logits(converted, rgb), references, strict=True):
        close(ours, theirs)


@pytest.mark.parametrize("suffix", ["", "_1"])
def test_state_dict_with_caffe_names(tmp_path: Path, suffix: str) -> None:
    state = {}
    for layer, (weight, bias) in berkeley_tensors().items():
        key = layer.replace("/", "_") + (suffix if weight.ndim == 2 else "")
        state[f"{key}.weight"], state[f"{key}.bias"] = torch.from_numpy(weight), torch.from_numpy(bias)
    path = tmp_path / "net.pth"
    torch.save(state, path)
    rgb = picture()
    mean = torch.tensor([123.0, 117.0, 104.0]).view(3, 1, 1)
    with torch.no_grad():
        references = berkeley_model().heads(rgb * 255 - mean)
    for ours, theirs in zip(logits(convert(path), rgb), references, strict=True):
        close(ours, theirs)

    torch.save({key: tensor for key, tensor in state.items() if not key.startswith(("loss1", "loss2"))}, path)
    assert not convert(path).architecture.aux_heads

    torch.save({key: tensor for key, tensor in state.items() if not key.startswith("loss3")}, path)
    assert "loss3/classifier" in refusal(path)


# Berkeley: ONNX


def berkeley_onnx(variant: str, far_pad: int = 2) -> onnx.ModelProto:
    """As the model zoo's: opset 8, where a pool cannot round up and pads its far edges; weights are listed as inputs too."""
    nodes, weights, inputs = [], [], [helper.make_tensor_value_info("data_0", TensorProto.FLOAT, [1, 3, 224, 224])]
    tensors = berkeley_tensors()

    def node(op: str, sources: list[str], **attributes: object) -> str:
        nodes.append(helper.make_node(op, sources, [f"t{len(nodes)}"], **attributes))
        return nodes[-1].output[0]

    def store(array: np.ndarray) -> str:
        key = f"w{len(weights)}"
        weights.append(numpy_helper.from_array(np.ascontiguousarray(array), key))
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        inputs.append(helper.make_tensor_value_info(key, kind, array.shape))
        return key

    def conv(layer: str, source: str, stride: int = 1) -> str:
        weight, bias = tensors[layer]
        kernel = weight.shape[-1]
        sources = [source, store(weight), store(bias)]
        y = node("Conv", sources, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[kernel // 2] * 4)
        return node("Relu", [y])

    def pool(source: str) -> str:
        return node("MaxPool", [source], kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, far_pad, far_pad])

    def norm(source: str) -> str:
        return node("LRN", [source], size=5, alpha=1e-4, beta=0.75, bias=1.0)

    x = norm(pool(conv("conv1/7x7_s2", "data_0", 2)))
    x = pool(norm(conv("conv2/3x3", conv("conv2/3x3_reduce", x))))
    for stage in STAGES:
        p = f"inception_{stage}"
        x = pool(x) if stage in ("4a", "5a") else x
        projected = node("MaxPool", [x], kernel_shape=[3, 3], strides=[1, 1], pads=[1] * 4)
        five, three = conv(f"{p}/5x5", conv(f"{p}/5x5_reduce", x)), conv(f"{p}/3x3", conv(f"{p}/3x3_reduce", x))
        x = node("Concat", [conv(f"{p}/1x1", x), three, five, conv(f"{p}/pool_proj", projected)], axis=1)
    if variant == "ReduceMean":  # as PyTorch's newer exporter writes it
        x = node("ReduceMean", [x], axes=[2, 3], keepdims=1)
    else:
        x = node("Dropout", [node("AveragePool", [x], kernel_shape=[7, 7], strides=[1, 1])])
    x = node("Reshape", [x, store(np.array([1, 1024], np.int64))])
    weight, bias = tensors["loss3/classifier"]
    if variant == "MatMul":
        x = node("Add", [node("MatMul", [x, store(weight.T)]), store(bias)])
    else:
        x = node("Gemm", [x, store(weight), store(bias)], transB=1)
    output = node("Softmax", [x], axis=1)
    result = helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, CLASSES])
    graph = helper.make_graph(nodes, "net", inputs, [result], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 8)], ir_version=3)


@pytest.mark.reference
@pytest.mark.parametrize(("variant", "far_pad"), [("Gemm", 2), ("MatMul", 1), ("ReduceMean", 2)])
def test_berkeley_onnx(tmp_path: Path, variant: str, far_pad: int) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(berkeley_onnx(variant, far_pad), path)
    converted = convert(path)
    assert converted.architecture.norm == "local_response"
    assert (converted.architecture.branch3_kernel, converted.architecture.maxpool4_kernel) == (5, 3)
    rgb = picture()
    heads = logits(converted, rgb)
    assert heads.aux1 is None
    close(heads.main.softmax(1), run_onnx(path, bgr(rgb)))
    with torch.no_grad():  # a softmax can hide a wrong logit
        close(heads.main, berkeley_model()(rgb * 255 - torch.tensor([123.0, 117.0, 104.0]).view(3, 1, 1)))


# What differs is named


def change(model: onnx.ModelProto, op: str, position: int, **attributes: object) -> onnx.ModelProto:
    node = [node for node in model.graph.node if node.op_type == op][position]
    kept = [attribute for attribute in node.attribute if attribute.name not in attributes]
    del node.attribute[:]
    node.attribute.extend([*kept, *(helper.make_attribute(key, value) for key, value in attributes.items())])
    return model


@pytest.mark.parametrize(
    ("op", "position", "attributes", "named"),
    [
        ("MaxPool", 0, {"pads": [0, 0, 0, 0]}, "ceil_mode 0 where 1"),
        ("MaxPool", 0, {"kernel_shape": [5, 5]}, "kernel_shape [5, 5] where [3, 3]"),
        ("Conv", 0, {"strides": [1, 1]}, "strides [1, 1] where [2, 2]"),
        ("Conv", 9, {"dilations": [2, 2]}, "dilations [2, 2] where [1, 1]"),
        ("LRN", 1, {"alpha": 5e-4}, "alpha 0.000"),
        ("Concat", 3, {"axis": 2}, "axis 2 where 1"),
    ],
)
def test_parameters_of_nodes_are_compared(
    tmp_path: Path, op: str, position: int, attributes: dict[str, object], named: str
) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(change(berkeley_onnx("Gemm"), op, position, **attributes), path)
    sentence = refusal(path)
    assert named in sentence
    assert f"({op})" in sentence


def test_resnet_is_refused_as_onnx_and_as_state_dict(tmp_path: Path) -> None:
    model = torchvision.models.resnet18(weights=None)
    path = export(model.eval(), tmp_path / "resnet.onnx", True)
    assert "is a Relu where a Concat belongs" in refusal(path)
    torch.save(model.state_dict(), tmp_path / "resnet.pth")
    assert "conv1.conv.weight" in refusal(tmp_path / "resnet.pth")


def torchvision_state() -> dict[str, Tensor]:
    return dict(GoogLeNet(TORCHVISION, CLASSES).state_dict())


KEY = "inception4a.branch2.1.conv.weight"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({KEY: torch.zeros(208, 96, 1, 1)}, f"{KEY} is 208×96×1×1 where 208×96×3×3 belongs"),
        ({KEY: torch.full((208, 96, 3, 3), float("nan"))}, f"{KEY} holds a value"),
        ({KEY: torch.zeros(1).expand(208, 96, 3, 3)}, f"{KEY} repeats its numbers"),
        ({KEY: torch.zeros(208, 96, 3, 3, dtype=torch.int32)}, f"{KEY} holds no plain"),
        ({KEY: None}, f"{KEY} is missing"),
        ({"bottleneck.weight": torch.zeros(3)}, "'bottleneck.weight', which has no place"),
        ({"fc.weight": torch.zeros(1).expand(10**9, 1024)}, "fc.weight"),
        ({"conv1.bn.running_var": torch.full((64,), -1.0)}, "conv1.bn.running_var"),
    ],
    ids=["misshapen", "NaN", "stride 0", "integers", "missing", "extra", "a billion classes", "negative variance"],
)
def test_state_dict_that_differs(tmp_path: Path, changes: dict[str, Tensor | None], named: str) -> None:
    path = tmp_path / "net.pth"
    state = {key: tensor for key, tensor in (torchvision_state() | changes).items() if tensor is not None}
    torch.save(state, path)
    assert named in refusal(path)


# Hostile files


class Attack:
    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.witness),)


@pytest.mark.parametrize("form", ["zip", "legacy", "bare pickle"])
def test_a_pickle_that_would_run_code_does_not(tmp_path: Path, form: str) -> None:
    witness, path = tmp_path / "ran", tmp_path / "net.pth"
    state = {"conv1.conv.weight": Attack(witness)}
    if form == "bare pickle":
        path.write_bytes(pickle.dumps(state))
        pickle.loads(path.read_bytes())  # the attack is a real one
        witness.rmdir()
    else:
        torch.save(state, path, _use_new_zipfile_serialization=form == "zip")
    assert "more than tensors" in refusal(path)
    assert not witness.exists()


def test_a_nested_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": torchvision_state()}, tmp_path / "net.pt")
    assert "flat dict of tensors" in refusal(tmp_path / "net.pt")


def test_a_compressed_zip_is_refused(tmp_path: Path) -> None:
    torch.save(torchvision_state(), buffer := io.BytesIO())
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.namelist():
            target.writestr(entry, source.read(entry))
    assert "damaged" in refusal(path)


def test_caffe_lengths_that_lie(tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    name = field(1, b"conv1/7x7_s2")
    weight = field(5, bytes(64 * 3 * 49 * 4))

    path.write_bytes(varint(100 << 3 | 2) + varint(10**12) + name)
    assert "claims 1000000000000 bytes where 14 remain" in refusal(path)

    lie = field(7, weight + field(7, field(1, b"".join(map(varint, [2**40, 2**20])))))
    path.write_bytes(field(100, name + lie + lie))
    assert f"a blob claims {2**40}×{2**20} numbers where {64 * 3 * 49} are stored" in refusal(path)

    path.write_bytes(field(100, name + varint(7 << 3 | 2) + varint(2**35)))
    assert f"claims {2**35} bytes" in refusal(path)

    path.write_bytes(field(100, b"\xff" * 40))
    assert "has no end" in refusal(path)

    path.write_bytes(field(100, name + field(3, 0) * (MAX_FIELDS + 1)))
    assert "fields" in refusal(path)


def test_caffe_truncated_extra_and_not_a_number(tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    tensors = berkeley_tensors()
    whole = caffemodel(tensors, old=True)
    path.write_bytes(whole[: len(whole) // 2])
    assert "remain" in refusal(path)

    path.write_bytes(whole + caffemodel({"extra": tensors["loss1/conv"]}, old=True))
    assert "'extra'" in refusal(path)

    path.write_bytes(caffemodel({key: value for key, value in tensors.items() if key != "loss1/fc"}, old=False))
    assert "aux1.fc1.weight is missing" in refusal(path)

    weight, bias = tensors["loss2/fc"]
    path.write_bytes(caffemodel(tensors | {"loss2/fc": (weight, bias * np.float32("inf"))}, old=False))
    assert "aux2.fc1.bias" in refusal(path)


def test_onnx_data_outside_is_never_opened(tmp_path: Path) -> None:
    secret = tmp_path / "secret.bin"
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "net.onnx"
    model = berkeley_onnx("Gemm")
    size = len(model.graph.initializer[0].raw_data)
    secret.write_bytes(struct.pack("<f", 1.0) * (size // 4))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret.bin")
    path.write_bytes(model.SerializeToString())
    sentence = refusal(path)
    assert "another file (../secret.bin)" in sentence
    assert "w0" in sentence


def test_onnx_that_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    model = berkeley_onnx("Gemm")
    data = model.SerializeToString()
    path.write_bytes(data[: len(data) // 2])
    assert "damaged" in refusal(path)

    model.graph.initializer[0].dims[0] = 2**40  # claims more than it has
    path.write_bytes(model.SerializeToString())
    assert "does not have the numbers it claims" in refusal(path)

    model = berkeley_onnx("Gemm")
    model.graph.node[5].input[0] = model.graph.node[5].output[0]  # a cycle
    path.write_bytes(model.SerializeToString())
    assert "before it is made" in refusal(path)

    model = berkeley_onnx("Gemm")
    broken = numpy_helper.to_array(model.graph.initializer[0]).copy()
    broken[0, 0, 0, 0] = np.nan
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(broken, model.graph.initializer[0].name))
    path.write_bytes(model.SerializeToString())
    assert "conv1.conv.weight" in refusal(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "data", [b"", b"These are not weights.\n" * 50, b"PK\x03\x04", b"\x80\x02}q\x00.", bytes(64)], ids=range(5)
)
def test_a_file_that_is_no_network(tmp_path: Path, suffix: str, data: bytes) -> None:
    path = tmp_path / f"net{suffix}"
    path.write_bytes(data)
    refusal(path)


def test_the_content_decides_and_not_the_name(tmp_path: Path) -> None:
    torch.save(torchvision_state(), tmp_path / "net.onnx")
    assert convert(tmp_path / "net.onnx").architecture == TORCHVISION


def test_a_file_too_large_and_none(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert "200 MB" in refusal(path)
    with pytest.raises(UserError, match="cannot be opened"):
        convert(tmp_path / "absent.onnx")
