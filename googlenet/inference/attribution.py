"""Captum's `LayerGradientXActivation`, without the noise of matplotlib, which Captum imports for pictures of its own."""

from __future__ import annotations

import logging
import sys
from types import ModuleType

__all__ = ["LayerGradientXActivation"]

_PLOTTING = (
    *("matplotlib", "matplotlib.cm", "matplotlib.colors", "matplotlib.pyplot", "matplotlib.axes", "matplotlib.collections"),
    *("matplotlib.figure", "matplotlib.image", "mpl_toolkits", "mpl_toolkits.axes_grid1"),
)
"""What `captum.attr` imports for its pictures."""


class StandIn(ModuleType):
    """A module that has a class of every name, but for its submodules."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return sys.modules.get(f"{self.__name__}.{name}") or type(name, (), {})


_log = logging.getLogger("matplotlib")
_level = _log.level
_log.setLevel(logging.ERROR)  # it warns where its cache is not in the home folder
try:
    from captum.attr import LayerGradientXActivation
except OSError:  # matplotlib finds no folder for its cache: this process draws no picture of Captum's
    sys.modules |= {name: StandIn(name) for name in _PLOTTING}
    from captum.attr import LayerGradientXActivation

    for name in _PLOTTING:
        del sys.modules[name]
finally:
    _log.setLevel(_level)
