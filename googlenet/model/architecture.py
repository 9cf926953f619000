"""What differs between the GoogLeNets that are published, and the names of their parts. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["BERKELEY", "BRANCHES", "HEADS", "PAPER", "STAGES", "STAGES_BEFORE", "TORCHVISION", "Architecture", "receptive_fields"]

HEADS = ("aux1", "aux2", "main")
STAGES = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
BRANCHES = ("1x1", "3x3", "5x5", "pool")
STAGES_BEFORE = {"aux1": STAGES[:3], "aux2": STAGES[:6], "main": STAGES}
"""The stages that each head sees (section 5: the auxiliary heads follow 4a and 4d)."""


@dataclass(frozen=True)
class Architecture:
    """What differs between the published GoogLeNets. The default is the paper's Table 1 with BatchNorm."""

    norm: Literal["batch", "local_response"] = "batch"
    """BatchNorm after each convolution, or convolutions with biases and two local response normalisations in the stem."""
    branch3_kernel: Literal[3, 5] = 5
    """Kernel of the third branch: 5 in the paper, 3 in torchvision by a known mistake."""
    maxpool4_kernel: Literal[2, 3] = 3
    """Kernel of the max-pool between 4e and 5a: 3 in the paper, 2 in torchvision."""
    aux_pool: Literal["5x5/3", "adaptive"] = "5x5/3"
    """The auxiliary heads' average pool on a 14×14 map; a map of any other size is always pooled adaptively to 4×4."""
    aux_heads: bool = True
    """Whether the weights hold trained auxiliary heads. A head that was not trained is absent, never random."""


PAPER = Architecture()
TORCHVISION = Architecture(branch3_kernel=3, maxpool4_kernel=2, aux_pool="adaptive", aux_heads=False)
BERKELEY = Architecture(norm="local_response")


@dataclass(frozen=True)
class ReceptiveField:
    """The part of the network's input that each cell of a stage can see: a square, in pixels, the same along both axes.

    The cell in row or column i sees `size` pixels from `start + i * stride` on. Pixels outside the input do not count.
    """

    start: int
    """of the first cell; negative where its square begins outside the input"""
    stride: int
    size: int


def receptive_fields(architecture: Architecture) -> dict[str, ReceptiveField]:
    """Stage → its receptive field, that of its widest branch.

    The usual recurrence, where d is the distance in pixels between two neighbouring cells: a layer with kernel k, stride s and
    padding p adds (k − 1) · d to the size, subtracts p · d from the start, and multiplies d by s.
    """
    start, distance, size = 0, 1, 1

    def through(kernel: int, stride: int = 1, padding: int = 0) -> None:
        nonlocal start, distance, size
        start -= padding * distance
        size += (kernel - 1) * distance
        distance *= stride

    through(7, 2, 3)  # conv1
    through(3, 2)  # pool
    through(3, 1, 1)  # conv2's 3x3
    through(3, 2)  # pool
    pools = {"4a": 3, "5a": architecture.maxpool4_kernel}
    fields = {}
    for stage in STAGES:
        if stage in pools:
            through(pools[stage], 2)
        through(architecture.branch3_kernel, padding=architecture.branch3_kernel // 2)
        fields[stage] = ReceptiveField(start, distance, size)
    return fields
