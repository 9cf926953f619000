"""Look inside GoogLeNet: three heads' beliefs and nine stages' evidence for one picture."""

from googlenet.checkpoints import load, save
from googlenet.errors import UserError
from googlenet.explainer import Explainer
from googlenet.explanation import Explanation, Question
from googlenet.model import GoogLeNet

__version__ = "0.2.0"
__all__ = ["Explainer", "Explanation", "GoogLeNet", "Question", "UserError", "__version__", "load", "save"]
