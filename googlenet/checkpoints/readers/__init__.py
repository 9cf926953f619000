"""GoogLeNets stored by others → tensors under the package's names.

The published networks are torchvision's (BatchNorm) and Berkeley's of 2014 (local response normalisation, with both auxiliary
heads), each in several layouts. Every byte is hostile until checked: nothing is run, no other file is opened, and no length or
shape that a file claims is believed before it is compared with what is there.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from googlenet.checkpoints.readers.caffe import read_caffe
from googlenet.checkpoints.readers.layouts import RawWeights as RawWeights
from googlenet.checkpoints.readers.onnx import read_onnx
from googlenet.checkpoints.readers.pytorch import read_safetensors, read_torch
from googlenet.checkpoints.readers.wire import Wire
from googlenet.errors import Reason, WeightsError

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".onnx", ".caffemodel")
"""What files of weights are called, in small letters; the content decides how they are read."""


def is_safetensors(data: bytes) -> bool:
    return data[8:9] == b"{" and struct.unpack("<Q", data[:8])[0] < len(data)


def is_torch(data: bytes) -> bool:
    return data.startswith((b"PK\x03\x04", b"\x80"))  # torch.save's zip, and its pickle of before 2020


def is_onnx(data: bytes) -> bool:
    return (7, False) in protobuf_fields(data)  # ModelProto.graph; NetParameter's field 7 is a number


def is_caffe(data: bytes) -> bool:
    return not protobuf_fields(data).isdisjoint({(100, False), (2, False)})  # LayerParameter, V1LayerParameter


def protobuf_fields(data: bytes) -> set[tuple[int, bool]]:
    """The numbers of a protobuf message's fields and whether each is an integer, as far as the bytes are such a message."""
    found = set()
    try:
        for number, value in Wire().fields(memoryview(data)):
            found.add((number, isinstance(value, int)))
    except Reason as why:
        if isinstance(cut := why.values.get("number"), int):  # a file that was cut short is still told by its kind
            found.add((cut, False))
    return found


Reader = Callable[[str, bytes], RawWeights]
READERS: tuple[tuple[Callable[[bytes], bool], Reader], ...] = (
    (is_torch, read_torch),
    (is_safetensors, read_safetensors),
    (is_onnx, read_onnx),
    (is_caffe, read_caffe),
)
"""How a layout is told by its content, and what reads it."""


def read(name: str, data: bytes) -> RawWeights:
    """A file's bytes in any layout → its weights; what the file holds decides, not what it is called.

    Raises WeightsError, in one sentence with the first thing that differs, for a file that is damaged, keeps weights elsewhere,
    or is not a GoogLeNet.
    """
    for fits, reader in READERS:
        if fits(data):
            try:
                return reader(name, data)
            except Reason as why:
                raise WeightsError("{name} cannot be read: {why}; fetch or export it anew.", name=name, why=why) from None
    raise WeightsError(
        "{name} has a layout that this program cannot read; give safetensors, a PyTorch state dict, ONNX or a .caffemodel.",
        name=name,
    )
