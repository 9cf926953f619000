"""Checks a question against the weights: head, class, stage and cell."""

from __future__ import annotations

from collections.abc import Mapping

from googlenet.checkpoints.config import ModelConfig
from googlenet.errors import QuestionError
from googlenet.explanation import METHODS, Cell, Group, Question, classes_of
from googlenet.model.architecture import HEADS, STAGES_BEFORE


def check_question(question: Question, config: ModelConfig, source: str, grid_sizes: Mapping[str, tuple[int, int]]) -> None:
    """Raises QuestionError for what the weights lack and for a class that is its own contrast, IndexError for an index."""
    if question.head not in HEADS:
        raise QuestionError("There is no head {head}; choose main, aux2 or aux1.", head=repr(question.head))
    if question.head != "main" and not config.architecture.aux_heads:
        raise QuestionError(
            "The weights {source} have no trained {head} head; ask about the main head.", source=source, head=question.head
        )
    if question.cell is not None:
        check_cell(question.head, question.cell, grid_sizes)
    if question.method not in METHODS:
        raise QuestionError("There is no method {method}; choose grad-cam or layer-cam.", method=repr(question.method))
    target, contrast = classes_of(question.target), classes_of(question.contrast)
    for index in (*target, *contrast):
        if not 0 <= index < len(config.labels):
            raise IndexError(f"class {index} of {len(config.labels)}")
    if target and set(target) == set(contrast):
        raise QuestionError(
            "The class and its contrast are both {label}; name two different classes, or no contrast.",
            label=question.target.name if isinstance(question.target, Group) else config.labels[target[0]],
        )


def check_stage(head: str, stage: str) -> None:
    """Raises QuestionError for a stage that the head does not see."""
    if stage not in STAGES_BEFORE[head]:
        raise QuestionError(
            "The {head} head sees no stage {stage}; choose one of {stages}.",
            head=head,
            stage=repr(stage),
            stages=", ".join(STAGES_BEFORE[head]),
        )


def check_cell(head: str, cell: Cell, grid_sizes: Mapping[str, tuple[int, int]]) -> None:
    """Raises QuestionError for a stage that the head does not see, or a cell that the stage does not have."""
    check_stage(head, cell.stage)
    height, width = grid_sizes[cell.stage]
    if not (0 <= cell.row < height and 0 <= cell.column < width):
        raise QuestionError(
            "Stage {stage} has {height} rows and {width} columns of cells; there is none in row {row}, column {column}.",
            stage=cell.stage,
            height=height,
            width=width,
            row=cell.row,
            column=cell.column,
        )
