"""GoogLeNets stored by others → tensors under the package's names.

The published networks are torchvision's (BatchNorm) and Berkeley's of 2014 (local response normalisation, with both auxiliary
heads), each in several layouts. Every byte is hostile until checked: nothing is run, no other file is opened, and no length or
shape that a file claims is believed before it is compared with what is there.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator

from googlenet.checkpoints.readers.layouts import Difference, RawWeights, berkeley
from googlenet.checkpoints.readers.onnx import read_onnx
from googlenet.checkpoints.readers.protobuf import field_kinds, read_caffe_layers
from googlenet.checkpoints.readers.pytorch import from_checkpoint, load_safetensors, read_torch
from googlenet.errors import Reason, WeightsError

__all__ = ["SUFFIXES", "RawWeights", "load_safetensors", "named", "read"]

SUFFIXES = (".safetensors", ".pth", ".pth.tar", ".pt", ".bin", ".ckpt", ".onnx", ".caffemodel")
"""What files of weights are called, in small letters; the content decides how they are read."""


def read(name: str, data: bytes, key: str | None = None) -> RawWeights:
    """A file's bytes in any layout → its weights; what the file holds decides, not what it is called.

    Args:
        name: of the file, for errors.
        data: its bytes.
        key: which of several networks in a training program's checkpoint.

    Raises:
        WeightsError: in one sentence with the first thing that differs, for a file that is damaged, keeps weights elsewhere,
            or is not a GoogLeNet.
    """
    with named(name):
        if data.startswith((b"PK\x03\x04", b"\x80")):  # torch.save's zip, and its pickle of before 2020
            return read_torch(name, data, key)
        if data[8:9] == b"{" and struct.unpack("<Q", data[:8])[0] < len(data):
            return from_checkpoint(name, load_safetensors(name, data), key)
        if key is not None:
            raise WeightsError("{name} holds one network; leave out :{key}.", name=name, key=key)
        fields = field_kinds(data)
        if (7, False) in fields:  # ModelProto.graph; NetParameter's field 7 is a number
            return read_onnx(name, data)
        if not fields.isdisjoint({(100, False), (2, False)}):  # LayerParameter, V1LayerParameter
            return berkeley(name, read_caffe_layers(data))
    raise WeightsError(
        "{name} has a layout that this program cannot read; give safetensors, a PyTorch state dict, ONNX or a .caffemodel.",
        name=name,
    )


@contextlib.contextmanager
def named(name: str) -> Iterator[None]:
    """Raises WeightsError for a reader's Reason: the sentence about the file of this name."""
    try:
        yield
    except Difference as difference:
        raise WeightsError("{name} is not a GoogLeNet: {difference}.", name=name, difference=difference) from None
    except Reason as why:
        raise WeightsError("{name} cannot be read: {why}; fetch or export it anew.", name=name, why=why) from None
