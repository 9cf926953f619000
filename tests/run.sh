#!/usr/bin/env bash
# The one test command: makes its own environment, a browser and a Korean font included, runs the checkers and the tests.
# Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

python3 -m venv .venv
bin=.venv/bin
# The versions that were tested together; some of them do not exist for Python 3.10.
tested=$("$bin/python" -c 'import sys; print("tests/constraints.txt" if sys.version_info >= (3, 11) else "/dev/null")')
# Python compiles what it imports; pip would compile everything.
"$bin/python" -m pip install --quiet --no-compile --constraint "$tested" --editable ".[app,parquet,distil,ray,mcp,test]"

if ! command -v chromium-headless-shell >/dev/null && ! command -v chromium >/dev/null; then
  # Playwright's own build where it can be had, else the distribution's; without a window it needs half of the work
  "$bin/python" -m playwright install --with-deps --only-shell chromium ||
    (apt-get update -qq && (apt-get install -y -qq chromium-headless-shell || apt-get install -y -qq chromium))
fi
if command -v apt-get >/dev/null && [ -z "$(fc-list :lang=ko 2>/dev/null)" ]; then
  (apt-get update -qq && apt-get install -y -qq fontconfig fonts-noto-cjk) || echo "No Korean font: Korean text shows as boxes."
fi

"$bin/ruff" check .
"$bin/ruff" format --check .
"$bin/mypy"
PYTHONPATH=. "$bin/lint-imports"
"$bin/deptry" .
npm --prefix tests/browser install --no-package-lock --no-audit --no-fund --silent
npm --prefix tests/browser run --silent check
# Two processes. One gets all tests of a folder that shares a server and a browser, else all tests of a file (tests/conftest.py).
OMP_NUM_THREADS=1 "$bin/python" -X warn_default_encoding -m pytest -n 2 --dist loadgroup --no-loadscope-reorder --durations 10 "$@"
