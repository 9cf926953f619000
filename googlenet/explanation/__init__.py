"""A question and its answer as data, in words and in pictures. NumPy and Pillow alone, no torch."""

from googlenet.explanation.explanation import (
    GRAD_CAM,
    LAYER_CAM,
    METHODS,
    Cell,
    Channel,
    Explanation,
    Maps,
    Prediction,
    Provenance,
    Question,
    Stage,
    classes_of,
    likeliest,
)
from googlenet.explanation.groups import Group
from googlenet.explanation.statements import Record, Statement

__all__ = [
    "GRAD_CAM",
    "LAYER_CAM",
    "METHODS",
    "Cell",
    "Channel",
    "Explanation",
    "Group",
    "Maps",
    "Prediction",
    "Provenance",
    "Question",
    "Record",
    "Stage",
    "Statement",
    "classes_of",
    "likeliest",
]
