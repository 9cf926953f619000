"""Look inside GoogLeNet: what its three heads predict and where nine stages see the evidence, for one picture.

    from googlenet import Explainer

    explainer = Explainer.from_pretrained("weights")
    explanation = explainer.explain("lion.jpg", target="lion")
    explanation.heads["main"], explanation.maps["4c"]

`Explainer` answers questions about pictures. An `Explanation` is its answer. `examine` also tests how far a map can be trusted.
`load` and `save` read and write weights. `GoogLeNet` is the network alone. Every expected failure is a `UserError`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from googlenet.checkpoints import load, save
    from googlenet.errors import UserError
    from googlenet.explanation import Explanation, Question
    from googlenet.inference.explainer import Explainer
    from googlenet.model.network import GoogLeNet
    from googlenet.probes.trust import examine

__version__ = "0.2.0"
__all__ = ["Explainer", "Explanation", "GoogLeNet", "Question", "UserError", "__version__", "examine", "load", "save"]

_MODULES = {
    "Explainer": "inference.explainer",
    "Explanation": "explanation",
    "GoogLeNet": "model.network",
    "Question": "explanation",
    "UserError": "errors",
    "examine": "probes.trust",
    "load": "checkpoints",
    "save": "checkpoints",
}
"""Public name → the module that defines it."""


def __getattr__(name: str) -> object:
    """Import a public name on first use (PEP 562): `import googlenet.errors` then does not import torch."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
