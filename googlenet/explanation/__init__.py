"""A question and its answer as data, in words and in pictures. NumPy and Pillow alone, no torch."""

from googlenet.explanation.explanation import Cell, Channel, Explanation, Maps, Prediction, Provenance, Question, Stage

__all__ = ["Cell", "Channel", "Explanation", "Maps", "Prediction", "Provenance", "Question", "Stage"]
