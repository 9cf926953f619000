"""`config.json`, which describes the weights beside it. pydantic reads it strictly.

A new field needs a default, so that older folders stay readable.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated

from pydantic import AfterValidator, FailFast, Field, TypeAdapter, ValidationError

from googlenet.checkpoints.labels import nfc
from googlenet.errors import Reason, WeightsError
from googlenet.explanation import LAYER_CAM
from googlenet.model.architecture import HEADS, Architecture
from googlenet.pictures.images import Preprocess

__all__ = [
    "MAX_CLASSES",
    "MAX_CONFIG",
    "MapTrust",
    "Metrics",
    "ModelConfig",
    "Pointing",
    "Records",
    "dump_config",
    "is_foreign",
    "parse_config",
    "refuse_many_fields",
]

_FORMAT = 1
"""The number of the format. It rises only when an older program would misread a newer file."""
MAX_CONFIG = 1 << 20
"""The most bytes of the file; that of 1,000 classes has 20 KB."""
_MAX_FIELDS = 2_000
"""The most fields, and the most lists and objects; that of 1,000 classes has 233 and 65. A parser makes an object of each list of
two bytes, and pydantic a report for each wrong field: a file of 16 MB took 15 seconds and 3.6 GB."""
_STRINGS = re.compile(rb'"[^"]*"?')

MAX_CLASSES = 50_000
"""The most classes: the linear layers of so many are as large as a file may be."""

Share = Annotated[float, Field(ge=0, le=1)]
Gain = Annotated[float, Field(ge=-1, le=1)]
Temperature = Annotated[float, Field(ge=0.01, le=100)]
Label = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(nfc)]
Labels = Annotated[tuple[Label, ...], Field(min_length=2, max_length=MAX_CLASSES), FailFast()]
Count = Annotated[int, Field(ge=0, le=10**9)]
Counts = tuple[Count, Count, Count, Count, Count]


@dataclass(frozen=True)
class Records:
    """How many of a head's answers were right, in five bins of the top class's probability.

    The bins begin at 0 and at `googlenet.explanation.statements.BINS`.
    """

    right: Counts
    of: Counts
    """how many pictures were in each bin"""


@dataclass(frozen=True)
class Metrics:
    """Measured accuracies, as shares in 0…1."""

    dataset: str
    top1: dict[str, Share]
    """by head"""
    top5: dict[str, Share]
    """by head"""
    unlikely_below: Share | None = None
    """The page says that no class looks likely where the main head's best probability is below this. None: not measured."""
    statement_threshold: Share | None = None
    """the least probability of what a head says is true (`googlenet.explanation.statements`); None: that module's default"""
    records: dict[str, Records] | None = None
    """by head; None: not measured"""


@dataclass(frozen=True)
class Pointing:
    """How often a stage's strongest cell lies on the object."""

    share: Share
    gain: Gain
    """how much more often than the picture's centre does"""
    low: Gain
    """lower end of the gain's 95 % interval"""
    high: Gain


@dataclass(frozen=True)
class MapTrust:
    """How well the maps find an object whose box covers at most a third of the picture. The question is its true class."""

    dataset: str
    pictures: Annotated[int, Field(ge=1)]
    centre: Share
    """share of the pictures whose centre lies in the object's box"""
    pointing: dict[str, dict[str, Pointing]]
    """Grad-CAM's, by head and stage"""
    sha256: str | None = None
    """of the measured weights file; None in older folders"""
    layer_cam: dict[str, dict[str, Pointing]] | None = None
    """LayerCAM's, by head and stage; None: not measured"""

    def of(self, method: str) -> dict[str, dict[str, Pointing]] | None:
        """A method's measurements by head and stage; None where it was not measured. `method`: one of `METHODS`."""
        return self.layer_cam if method == LAYER_CAM else self.pointing


@dataclass(frozen=True)
class ModelConfig:
    """The content of `config.json`."""

    architecture: Architecture
    labels: Labels
    preprocess: Preprocess
    temperatures: dict[str, Temperature] | None = None
    """by head: probabilities are softmax(logits / temperature); None means 1"""
    metrics: Metrics | None = None
    trust: MapTrust | None = None
    """None: not measured"""
    format: Annotated[int, Field(ge=1, le=_FORMAT)] = _FORMAT
    """1 in folders that do not state it"""


CONFIG = TypeAdapter(ModelConfig)


def dump_config(config: ModelConfig) -> str:
    """`config.json` as text."""
    return json.dumps(asdict(config), ensure_ascii=False, indent=1) + "\n"


def refuse_many_fields(data: bytes) -> None:
    """Raises Reason where a stranger's JSON, not yet parsed, has more than `_MAX_FIELDS` fields, or lists and objects."""
    between_strings = _STRINGS.sub(b"", data.replace(rb"\\", b"").replace(rb"\"", b""))
    if max(between_strings.count(b":"), between_strings.count(b"[") + between_strings.count(b"{")) > _MAX_FIELDS:
        raise Reason("it has more than {limit:,} fields", limit=_MAX_FIELDS)


def is_foreign(data: bytes) -> bool:
    """Whether a `config.json` is another program's: timm and the Hub's PyTorch mixin write one beside the weights."""
    try:
        refuse_many_fields(data)
        fields = json.loads(data)
    except (Reason, ValueError, RecursionError):
        return False  # `parse_config` says what is wrong
    return isinstance(fields, dict) and fields.keys().isdisjoint(("labels", "preprocess"))


def parse_config(data: bytes, source: str) -> ModelConfig:
    """The bytes of a `config.json`, checked. Raises WeightsError with the name of the first field that is wrong.

    `source`: the weights' name, for errors.
    """
    try:
        refuse_many_fields(data)
        config = CONFIG.validate_json(data, strict=True, extra="forbid")
    except Reason as why:
        raise WeightsError("{file} of {source} cannot be read: {why}.", file="config.json", source=source, why=why) from None
    except ValidationError as problem:
        raise _sentence(problem, source) from None
    _check_heads(config, source)
    resize = config.preprocess.resize
    if config.preprocess.crop > (min(resize) if isinstance(resize, tuple) else resize):
        raise WeightsError("preprocess.crop in config.json of {source} must be at most as large as resize.", source=source)
    return config


def _check_heads(config: ModelConfig, source: str) -> None:
    """Raises WeightsError where a field by head lacks one of the weights' heads or names another."""
    heads = set(HEADS if config.architecture.aux_heads else ("main",))
    stated: dict[str, Mapping[str, object] | None] = {"temperatures": config.temperatures}
    if config.metrics:
        stated |= {f"metrics.{name}": getattr(config.metrics, name) for name in ("top1", "top5", "records")}
    if config.trust:
        stated |= {f"trust.{name}": getattr(config.trust, name) for name in ("pointing", "layer_cam")}
    for field, values in stated.items():
        if values is not None and set(values) != heads:
            raise WeightsError(
                "{field} in config.json of {source} must have a value for each trained head: {heads}.",
                field=field,
                source=source,
                heads=", ".join(sorted(heads)),
            )


def _sentence(problem: ValidationError, source: str) -> WeightsError:
    """Pydantic's report as one sentence on one field."""
    errors = problem.errors(include_url=False, include_input=False)
    if any(error["loc"] == ("format",) and error["type"] == "less_than_equal" for error in errors):
        return WeightsError("config.json of {source} is of a newer format; update the program to read it.", source=source)
    error = max(errors, key=lambda error: len(error["loc"]))  # of the alternatives of a union, the one that matches furthest
    field = ".".join(str(part) for part in error["loc"] if not str(part).startswith(_UNION_TAGS)) or "config.json"
    limits = error.get("ctx", {})
    match error["type"]:
        case "json_invalid":  # also half of a surrogate pair ("\\ud800"), which no page could show
            return WeightsError("config.json of {source} is not valid JSON.", source=source)
        case "missing":
            return WeightsError("config.json of {source} lacks the field {field}.", source=source, field=field)
        case "unexpected_keyword_argument":
            return WeightsError("config.json of {source} has an unknown field: {field}.", source=source, field=field)
        case "literal_error":
            limits["expected"] = limits["expected"].replace(" or ", ", ")
    wanted = Reason(_WANTED.get(error["type"], _WANTED[""]).template, **limits)
    return WeightsError("{field} in config.json of {source} must be {wanted}.", field=field, source=source, wanted=wanted)


_UNION_TAGS = ("constrained-int", "tuple[", "[key]")
"""Parts of pydantic's paths that are not in the file."""
_WANTED = {
    "int_type": Reason("a whole number"),
    "float_type": Reason("a number"),
    "string_type": Reason("text"),
    "bool_type": Reason("true or false"),
    "tuple_type": Reason("a list"),
    "dict_type": Reason("an object"),
    "dataclass_type": Reason("an object"),
    "greater_than_equal": Reason("at least {ge:g}"),
    "less_than_equal": Reason("at most {le:g}"),
    "too_short": Reason("a list of at least {min_length:,}"),
    "too_long": Reason("a list of at most {max_length:,}"),
    "string_too_short": Reason("text of at least {min_length} characters"),
    "string_too_long": Reason("text of at most {max_length} characters"),
    "literal_error": Reason("one of {expected}"),
    "": Reason("a value that this program knows"),
}
"""Pydantic's kind of error → what belongs in the field, with pydantic's names of the limits."""
