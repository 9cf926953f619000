"""A GoogLeNet stored by others (ONNX, Caffe, a PyTorch state dict) → the package's names, checked tensor by tensor.

The published networks are torchvision's (BatchNorm) and Berkeley's of 2014 (local response normalisation, with both auxiliary
heads), each in several layouts. Every byte is hostile until checked: nothing is run, no other file is opened, and no length or
shape that a file claims is believed before it is compared with what is there.
"""

from __future__ import annotations

from pathlib import Path

from googlenet.checkpoints.checkpoint import MAX_BYTES
from googlenet.checkpoints.readers.caffe import read_caffe
from googlenet.checkpoints.readers.converted import Converted as Converted
from googlenet.checkpoints.readers.onnx import read_onnx
from googlenet.checkpoints.readers.pytorch import read_state_dict
from googlenet.checkpoints.readers.wire import WireError, fields
from googlenet.errors import WeightsError

SUFFIXES = (".onnx", ".caffemodel", ".pth", ".pt")


def convert(path: Path) -> Converted:
    """A file in any layout of `SUFFIXES` → checked weights; what the file holds decides, not what it is called.

    Raises WeightsError, in one sentence with the first thing that differs, for a file that cannot be opened, is larger than
    200 MB, is damaged, keeps weights elsewhere, or is not a GoogLeNet.
    """
    name = path.name
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise WeightsError("{name} cannot be opened: {error}.", name=path, error=error.strerror) from None
    if len(data) > MAX_BYTES:
        raise WeightsError("{name} is larger than 200 MB; a GoogLeNet's weights are 54 MB at most.", name=name)
    if data.startswith((b"PK\x03\x04", b"\x80")):  # torch.save's zip, and its pickle of before 2020
        return read_state_dict(name, data)
    try:
        kinds = {(number, isinstance(value, int)) for number, value in fields(memoryview(data))}
    except WireError as error:
        raise WeightsError(
            "{name} is neither ONNX nor Caffe nor a PyTorch state dict, or it is damaged: {error}.", name=name, error=error
        ) from None
    if (7, False) in kinds:  # ModelProto.graph; NetParameter's field 7 is a number
        return read_onnx(name, data)
    if (100, False) in kinds or (2, False) in kinds:
        return read_caffe(name, memoryview(data))
    raise WeightsError("{name} holds no network; give a GoogLeNet as ONNX, a .caffemodel, or a PyTorch state dict.", name=name)
