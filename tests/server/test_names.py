"""The package uses what Gradio and uvicorn document, and nothing else of them."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator

import gradio as gr
import pytest

from googlenet.ui.limits import UNDOCUMENTED_ROUTES
from tests.helpers import ROOT

SOURCES = {path: path.read_text("utf-8") for path in (ROOT / "app.py", *(ROOT / "googlenet").rglob("*.py"))}
TREES = {path: ast.parse(text) for path, text in SOURCES.items()}
PLACES = {
    "Docs: a page of each": "gr.Blocks gr.Button gr.Error gr.File gr.Gallery gr.HTML gr.Image gr.JSON gr.Request gr.Textbox "
    "gr.set_static_paths demo.launch demo.queue request.client request.session_hash",
    "Docs: Request, a thin wrapper around FastAPI's; Starlette: Requests": "request.is_disconnected",
    "Guide: Theming": "gr.themes.Base",
    "Guide: Environment Variables": "GRADIO_ANALYTICS_ENABLED GRADIO_DEBUG GRADIO_ROOT_PATH GRADIO_SERVER_NAME "
    "GRADIO_SERVER_PORT GRADIO_SHARE GRADIO_TEMP_DIR",
    "Guide: File Access": "/gradio_api/file=",
    "Guide: Querying Gradio Apps with Curl": "/gradio_api/upload /gradio_api/call/",
    "Guide: Building an MCP Server with Gradio": "/gradio_api/mcp",
}
"""where Gradio documents it → names"""
DOCUMENTED = {name for names in PLACES.values() for name in names.split()}
EXCEPTIONS = {
    "limits._ROUTES": "Gradio documents few of its routes, and a list of those that are used keeps the others shut. Where "
    "a later Gradio has other ones, `limits._are_there` sees it, says so in the log, and every route is open.",
}
"""what is not documented → why it is used, and what happens where it is gone; at most three"""
COMPONENTS = (gr.Blocks, gr.Button, gr.Error, gr.File, gr.Gallery, gr.HTML, gr.Image, gr.JSON, gr.Textbox)
LIBRARIES = {"gradio", "gradio_client", "uvicorn", "fastapi", "safehttpx", "httpx", "spaces"}


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"import {each.name} as {each.asname}" for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield f"from {node.module} import"


def chain(node: ast.expr) -> str:
    """`gr.themes.Base` of an attribute's node; nothing for what does not begin with a name."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{inner}.{node.attr}" if isinstance(node, ast.Attribute) and (inner := chain(node.value)) else ""


def chains(tree: ast.AST) -> Iterator[str]:
    """The longest chains that begin with one of Gradio's objects."""
    inside = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in inside and chain(node).split(".")[0] in ("gr", "request", "demo"):
            yield chain(node)


def options(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(called, name of a keyword) of each call of Gradio's."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = chain(node.func) or (node.func.attr if isinstance(node.func, ast.Attribute) else "")
            yield from ((called, keyword.arg) for keyword in node.keywords if keyword.arg)


def test_every_name_is_documented() -> None:
    for path, tree in TREES.items():
        modules = [each for each in imports(tree) if each.split()[1].split(".")[0] in LIBRARIES]
        assert set(modules) <= {"import gradio as gr"}, path
        if modules:
            assert {each for each in chains(tree) if each not in DOCUMENTED} == set(), path
        assert set(re.findall(r"\bGRADIO_[A-Z_]+\b", SOURCES[path])) <= DOCUMENTED, path
        if path.name != "limits.py":
            assert {each for each in re.findall(r"/gradio_api/\w+[=/]?", SOURCES[path]) if each not in DOCUMENTED} == set(), path


@pytest.mark.parametrize(
    ("called", "described"),
    [
        ("demo.launch", gr.Blocks.launch),
        ("demo.queue", gr.Blocks.queue),
        ("click", gr.Button.click),
        ("gr.themes.Base", gr.themes.Base.__init__),
        *((f"gr.{component.__name__}", component.__init__) for component in COMPONENTS),
    ],
)
def test_every_option_is_documented(called: str, described: object) -> None:
    """Gradio's documentation of a parameter is its line in the docstring."""
    used = {name for tree in TREES.values() for function, name in options(tree) if function == called}
    props = {"modules", "words", "shared", "space", "magma", "blues", "title", "examples", "sources"}
    own = props if called == "gr.HTML" else set()
    assert used
    documented = set(re.findall(r"^\s+(\w+): ", inspect.getdoc(described) or "", re.MULTILINE))
    assert used - own <= documented


def test_the_exceptions_are_few_and_each_is_still_needed() -> None:
    assert len(EXCEPTIONS) <= 3
    assert {path for _, path in UNDOCUMENTED_ROUTES if not path.startswith(tuple(DOCUMENTED))}
