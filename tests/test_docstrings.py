"""Every example in a docstring runs and prints what it says."""

from __future__ import annotations

import doctest
import functools
import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import googlenet
from googlenet.inference.explainer import Explainer
from tests.helpers import ROOT

MODULES = [module.name for module in pkgutil.walk_packages(googlenet.__path__, "googlenet.") if "__main__" not in module.name]
EXAMPLES = [
    (name, example)
    for name in MODULES
    for example in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name))
    if example.examples
]


@pytest.fixture(scope="module", autouse=True)
def weights_loaded_once() -> Iterator[None]:
    """An example loads the weights that it names; all of them name the built-in ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Explainer, "from_pretrained", functools.cache(Explainer.from_pretrained))
        yield


@pytest.mark.parametrize(("module", "example"), EXAMPLES, ids=[example.name for _, example in EXAMPLES])
def test_the_examples_run(module: str, example: doctest.DocTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    runner.run(example)
    assert runner.failures == 0, module


def test_the_entries_of_python_have_examples() -> None:
    names = {example.name for _, example in EXAMPLES}
    assert {"googlenet.inference.explainer.Explainer.explain", "googlenet.inference.gradcam.grad_cam"} <= names
