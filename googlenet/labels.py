"""ImageNet's class names, for weights in layouts that carry none."""

from torchvision.models import GoogLeNet_Weights

IMAGENET_LABELS: tuple[str, ...] = tuple(GoogLeNet_Weights.IMAGENET1K_V1.meta["categories"])
