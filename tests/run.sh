#!/usr/bin/env bash
# The one test command: makes its own environment, installs what it needs (a browser too), runs the linters and the tests.
set -euo pipefail
cd "$(dirname "$0")/.."

python3 -m venv .venv
.venv/bin/python -m pip install --quiet --requirement tests/requirements.txt

if ! command -v chromium >/dev/null; then
  # Playwright's own build where it can be had, else the distribution's
  .venv/bin/python -m playwright install --with-deps chromium ||
    (apt-get update -qq && apt-get install -y -qq chromium)
fi

.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
PYTHONPATH=. .venv/bin/lint-imports
.venv/bin/python -m pytest "$@"
