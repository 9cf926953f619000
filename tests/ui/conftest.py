"""A tiny network, and the desk that answers the page's questions with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from googlenet.inference.explainer import Explainer
from googlenet.ui.desk import Desk
from googlenet.ui.uploads import Pictures
from googlenet.ui.weights import ExplainerCache


@pytest.fixture
def desk(explainer: Explainer, tmp_path: Path) -> Desk:
    (tmp_path / "uploads").mkdir()
    return Desk(ExplainerCache(explainer), Pictures(tmp_path / "uploads"))


Ask = Callable[..., Any]


@pytest.fixture
def ask(desk: Desk) -> Ask:
    """`ask(function, **question)` → the reply, as the script gets it."""

    async def stays() -> bool:
        return False

    def asked(function: str, **question: Any) -> Any:
        request: Any = SimpleNamespace(client=None, is_disconnected=stays)
        return asyncio.run(desk.reply(function, {"n": 9, "session": "tab", **question}, request))

    return asked
