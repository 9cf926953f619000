"""Keeps torch's settings of the calling thread away from the network: inference mode, a default device, autocast."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def own_settings() -> Iterator[None]:
    """Within the block, or in the decorated function, torch works as in a new thread.

    Example:
        >>> import torch
        >>> with torch.inference_mode(), torch.device("meta"), own_settings():
        ...     x = torch.zeros(1, requires_grad=True)
        >>> x.device.type, x.is_inference()
        ('cpu', False)
    """
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield
