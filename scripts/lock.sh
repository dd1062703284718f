#!/usr/bin/env bash
# Compiles the lock files from pyproject.toml: hashes, every platform and Python from 3.11 on, no index named.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() {
    .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
        pyproject.toml "$@"
}
compile --output-file requirements/api.txt
compile --extra worker --output-file requirements/worker.txt
compile --extra worker --extra deep --output-file requirements/deep.txt
# Installed on top of any of the three, so it may not change what they pin.
compile --extra tracing --constraint requirements/deep.txt --output-file requirements/tracing.txt
compile --extra worker --extra tracing --extra dev --output-file requirements/dev.txt
