#!/usr/bin/env bash
# Creates .venv with the locked requirements and the project itself. Says in one line what the system lacks.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
lacks() { echo "setup: $1" >&2; exit 1; }

command -v "$PYTHON" >/dev/null || lacks "Python 3.11 or newer is missing: apt-get install python3"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
    || lacks "$("$PYTHON" --version) is too old, 3.11 or newer is needed: set PYTHON=/path/to/python3"
"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null \
    || lacks "Python's venv module is missing: apt-get install python3-venv"
"$PYTHON" -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null \
    || lacks "the OpenMP runtime that LightGBM and XGBoost need is missing: apt-get install libgomp1"

[ -x .venv/bin/python ] || "$PYTHON" -m venv .venv
echo "setup: installing the locked requirements into .venv"
# Every requirement is pinned by hash, uv itself included, so pip bootstraps and uv does the rest quickly.
uv_lock=$(mktemp); trap 'rm -f "$uv_lock"' EXIT
awk '/^[a-z0-9]/ {keep = ($0 ~ /^uv==/)} keep' requirements/dev.txt > "$uv_lock"
.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r "$uv_lock"
.venv/bin/uv pip sync --quiet --compile-bytecode --python .venv/bin/python --require-hashes requirements/dev.txt
.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
