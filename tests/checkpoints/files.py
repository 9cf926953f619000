"""Files of weights as others write them: torchvision's networks, and Berkeley's in Caffe's and in ONNX's form."""

from __future__ import annotations

import copy
import functools
import io
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torchvision
import torchvision.transforms.v2
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from googlenet.checkpoints import LoadedModel, load
from googlenet.checkpoints.readers.layouts import CAFFE_LAYERS
from googlenet.errors import UserError
from googlenet.model.architecture import BERKELEY, STAGES, TORCHVISION
from googlenet.model.network import GoogLeNet, HeadLogits
from googlenet.ui import sentences
from tests.helpers import random_model

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


@functools.cache
def _torchvision_model(transform_input: bool, aux_logits: bool) -> nn.Module:
    options = {"transform_input": transform_input, "aux_logits": aux_logits, "num_classes": CLASSES}
    return lively(torchvision.models.googlenet(weights=None, init_weights=False, **options))


def torchvision_model(transform_input: bool, aux_logits: bool = False) -> nn.Module:
    """A copy, which may be changed."""
    return copy.deepcopy(_torchvision_model(transform_input, aux_logits))


def picture(size: int = 224) -> Tensor:
    """(1, 3, size, size) RGB in 0…1."""
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(1))


def logits(loaded: LoadedModel, rgb: Tensor) -> HeadLogits:
    """The package's own model on a picture, normalised by the package's own rule."""
    rule = loaded.config.preprocess
    with torch.no_grad():
        return loaded.model.heads(torchvision.transforms.v2.functional.normalize(rgb, list(rule.mean), list(rule.std)))


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


@functools.cache
def _exported(transform_input: bool, fold: bool, side: int) -> bytes:
    return export(torchvision_model(transform_input), fold, side)


def torchvision_onnx(path: Path, transform_input: bool, fold: bool = True, side: int = 224) -> Path:
    """`torchvision_model` as torch exports it."""
    path.write_bytes(_exported(transform_input, fold, side))
    return path


def export(model: nn.Module, fold: bool = True, side: int = 224) -> bytes:
    """A network as torch exports it."""
    file, picture = io.BytesIO(), (torch.zeros(1, 3, side, side),)
    training = torch.onnx.TrainingMode.EVAL if fold else torch.onnx.TrainingMode.PRESERVE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter without onnxscript says that it is the older one
        torch.onnx.export(model, picture, file, dynamo=False, do_constant_folding=fold, training=training)
    return file.getvalue()


def refusal(path: Path) -> str:
    """The one sentence with which a file is refused: it names the file, and neither it nor its Korean twin can be made long."""
    with pytest.raises(UserError) as caught:
        load(str(path))
    said = sentences.error(caught.value)
    for sentence in said.values():
        assert path.name in sentence
        assert sentence.endswith(".")
        assert sentence.isprintable()
        assert len(sentence) < 800
    assert said["ko"] != said["en"]
    return said["en"]


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


def berkeley_onnx(variant: str, far_pad: int = 2) -> onnx.ModelProto:
    """A copy, which may be changed."""
    model = onnx.ModelProto()
    model.CopyFrom(_berkeley_onnx(variant, far_pad))
    return model


@functools.cache
def _berkeley_onnx(variant: str, far_pad: int) -> onnx.ModelProto:
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


def change(model: onnx.ModelProto, op: str, position: int, **attributes: object) -> onnx.ModelProto:
    node = [node for node in model.graph.node if node.op_type == op][position]
    kept = [attribute for attribute in node.attribute if attribute.name not in attributes]
    del node.attribute[:]
    node.attribute.extend([*kept, *(helper.make_attribute(key, value) for key, value in attributes.items())])
    return model


@functools.cache
def _torchvision_state() -> dict[str, Tensor]:
    state = random_model(TORCHVISION, CLASSES).state_dict()
    return {key: value.half() if value.is_floating_point() else value for key, value in state.items()}


def torchvision_state() -> dict[str, Tensor]:
    """A network in half precision, whose files are written and read in less time."""
    return dict(_torchvision_state())


def berkeley_pth(main: bool = True) -> bytes:
    """As the Hub's copy of Berkeley's network, whose converter left the main classifier out of its class: with or without it."""
    state = {key: tensor for key, tensor in caffe_state().items() if main or not key.startswith("loss3")}
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def caffe_state(suffix: str = "_1") -> dict[str, Tensor]:
    """Berkeley's network as a state dict in Caffe's names."""
    state = {}
    for layer, (weight, bias) in berkeley_tensors().items():
        key = layer.replace("/", "_") + (suffix if weight.ndim == 2 else "")
        state[f"{key}.weight"], state[f"{key}.bias"] = torch.from_numpy(weight), torch.from_numpy(bias)
    return state


def same(first: LoadedModel, path: Path) -> None:
    """A file gives the same network and the same preprocessing."""
    second = load(str(path))
    assert first.config == second.config
    tensors = second.model.state_dict()
    assert all(torch.equal(tensor, tensors[key]) for key, tensor in first.model.state_dict().items())
