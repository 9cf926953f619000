"""Look inside GoogLeNet: three heads' beliefs and nine stages' evidence for one picture."""

from googlenet.explain import Explainer as Explainer
