"""A tiny network and the page's Explainers around it."""

from __future__ import annotations

import pytest

from googlenet.inference.explainer import Explainer
from googlenet.ui.explainers import ExplainerCache
from tests.helpers import explainer_of, random_model


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    return explainer_of(random_model())


@pytest.fixture
def cache(explainer: Explainer) -> ExplainerCache:
    return ExplainerCache(explainer)
