#!/usr/bin/env bash
# Sets everything up for development and runs all checks: ruff, mypy and the tests.
# Arguments go to pytest.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
bash deploy/setup.sh dev relay mqtt wyoming convert keras train forensic dask
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
.venv/bin/pytest "$@"
