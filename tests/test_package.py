"""The package as others meet it: its public names, its metadata and its wheel."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest
from gradio.media import get_image

import googlenet
from googlenet.errors import EXTRAS
from tests.helpers import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LION = get_image("lion.jpg")


def test_every_public_name_can_be_imported() -> None:
    for name in googlenet.__all__:
        assert getattr(googlenet, name) is not None
        assert name in dir(googlenet)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        googlenet.Nothing  # noqa: B018


def test_modules_use_each_other_by_their_doors() -> None:
    """A module names in `__all__` what the others use of it."""
    modules = {path: ast.parse(path.read_text("utf-8")) for path in (ROOT / "googlenet").rglob("*.py")}
    doors: dict[str, set[str]] = {}
    for path, tree in modules.items():
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        lists = [each.value for each in tree.body if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "__all__"]
        doors[name] = set(ast.literal_eval(lists[0])) if lists else set()
    used = 0
    for path, tree in modules.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module in doors:
                names = {each.name for each in node.names if f"{node.module}.{each.name}" not in doors}
                assert names <= doors[node.module] | {"__version__"}, path
                used += len(names)
    assert used > 500


def test_the_package_itself_imports_no_torch() -> None:
    code = "import sys, googlenet, googlenet.errors, googlenet.explanation; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"])


def test_a_space_installs_what_the_package_asks_for(project: dict[str, Any]) -> None:
    lines = (ROOT / "requirements.txt").read_text("utf-8").split("\n")
    extras = project["optional-dependencies"]
    assert sorted(filter(None, lines)) == sorted([*project["dependencies"], *extras["app"], *extras["onnx"]])
    header = (ROOT / "README.md").read_text("utf-8").split("---\n")[1]
    version = re.search(r"^sdk_version: (\d+\.\d+)", header, re.M)
    assert version
    assert f"gradio>={version[1]}" in extras["app"][0]


def test_every_extra_that_an_error_or_a_page_of_words_names_exists(project: dict[str, Any]) -> None:
    assert set(EXTRAS.values()) <= set(project["optional-dependencies"])
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "weights/README.md"):
        named = re.findall(r"(?:inside-googlenet|\.)\[([a-z,]+)\]", (ROOT / name).read_text(encoding="utf-8"))
        assert {extra for each in named for extra in each.split(",")} <= set(project["optional-dependencies"])


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as `pip install .` builds it, with the build backend that is installed here."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--quiet",
        "--wheel-dir",
        str(folder),
        ".",
    ]
    subprocess.run(command, check=True, cwd=ROOT)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts' folder of an environment where the wheel is installed beside the packages that are installed here."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=os.name != "nt")
    paths = {"base": str(folder), "platbase": str(folder)}
    Path(sysconfig.get_path("purelib", "venv", paths), "here.pth").write_text(sysconfig.get_path("purelib"), "utf-8")
    scripts = Path(sysconfig.get_path("scripts", "venv", paths))
    command = [sys.executable, "-m", "pip", "--python", str(scripts / "python"), "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*command, str(wheel)], check=True)
    return scripts


def run(scripts: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`googlenet …` of the installed wheel, in a folder that has nothing to do with the checkout."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "GOOGLENET_WEIGHTS")}
    return subprocess.run(
        [str(scripts / arguments[0]), *arguments[1:]], capture_output=True, text=True, check=False, cwd=folder, env=environment
    )


def test_the_installed_wheel_explains_without_the_extras_and_says_how_to_install_them(scripts: Path, tmp_path: Path) -> None:
    code = f"""
import sys
for module in {list(EXTRAS)}:
    sys.modules[module] = None
from googlenet.cli import main
assert main(["explain", {LION!r}, "--device", "cpu"]) == 0
sys.exit(main(["serve"]))
"""
    done = run(scripts, tmp_path, "python", "-c", code)
    assert done.returncode == 1
    assert json.loads(done.stdout)["heads"]["main"][0]["label"] == "lion"
    assert done.stderr == 'googlenet: gradio is not installed; run: pip install "inside-googlenet[app]"\n'
    assert list(tmp_path.iterdir()) == []


def test_the_installed_wheel_plans_a_space(wheel: Path, scripts: Path, tmp_path: Path) -> None:
    """With the whole package."""
    assert run(scripts, tmp_path, "googlenet", "--version").stdout == f"googlenet {googlenet.__version__}\n"
    done = run(scripts, tmp_path, "googlenet", "deploy", "user/space", "--dry-run")
    assert done.returncode == 0, done.stderr
    files = set(re.findall(r"^file (\S+) ", done.stdout, re.M))
    assert {"app.py", "requirements.txt", "README.md", "LICENSE", "googlenet/cli.py", "weights/model.safetensors"} <= files
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("googlenet/")}
    inside = {name for name in held if not name.startswith(("googlenet/weights/", "googlenet/space/"))}
    assert {name for name in files if name.startswith("googlenet/")} == inside


def test_the_citation_names_this_version() -> None:
    assert f"\nversion: {googlenet.__version__}\n" in (ROOT / "CITATION.cff").read_text("utf-8")


def test_the_files_that_documents_and_scripts_name_exist() -> None:
    """A module that moves takes its name in them along."""
    texts = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "tests/run.sh")]
    texts += [path for folder in ("benchmarks", "docs") for path in (ROOT / folder).iterdir() if path.is_file()]
    pattern = r"(?<![\w/.])(?:\w+/)+[\w.]*\.(?:py|sh|txt|ipynb|jpg)\b|\btests/\w+(?:/\w+)*(?=\s)"
    named = {(path.name, name) for path in texts for name in re.findall(pattern, path.read_text("utf-8"))}
    assert len(named) > 30
    missing = {(where, name) for where, name in named if not any((ROOT / at / name).exists() for at in ("", "googlenet"))}
    assert not missing


def test_xdist_knows_which_tests_belong_together(request: pytest.FixtureRequest) -> None:
    """It adds the group to a test's name. Where it does not, each process starts servers of its own."""
    grouped = getattr(request.config.option, "loadgroup", False)  # what a process of xdist reads, too
    assert not grouped or "@" in request.node.nodeid
