"""The network."""

from googlenet.model.network import GoogLeNet as GoogLeNet
from googlenet.model.network import HeadLogits as HeadLogits
