"""The embedded worker, poisoned: `python -m tests.poisoned PARENT`."""

import runpy

from tests.poisoned import poison

if __name__ == "__main__":
    poison()
    runpy.run_module("workers", run_name="__main__")
