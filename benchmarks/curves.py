"""`make bench-curves`: where learning curves lead, as a recurrent network and others have it; and what is saved by that.

Needs the extra `deep`: the network is trained here, in seconds, on all groups but a fifth. With `MATRICES=folder` on the curves
of LCDB 1.1 too. Parts are kept in build/curves/ for the commit that they were measured at, two at a time.
"""

# ruff: noqa: E402  threads are fixed before any numeric library loads
from app.config import pin_threads

pin_threads()

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from app.metalearning.table import TaskType
from benchmarks import curve_data, curve_runs
from benchmarks.curves_page import figures_of, write_page
from benchmarks.recording import ROOT, kept_by_processes, record
from benchmarks.versions import code

WORKERS = 2


def main() -> None:
    """Measure what is not kept, show it, and record it."""
    parts = ROOT / "build" / "curves" / code()
    measured = kept_by_processes(parts, planned(), WORKERS)
    record("curves", figures_of(measured))
    write_page()


def planned() -> dict[str, Callable[[], dict[str, Any]]]:
    """What is measured, by name; dear parts first."""
    runs: dict[str, Callable[[], dict[str, Any]]] = {}
    if matrices := os.environ.get("MATRICES"):
        runs["lcdb errors"] = partial(_lcdb, Path(matrices) / "lcdb11")
    runs |= {f"{each} errors": partial(_shipped, each) for each in TaskType}
    return runs | {f"{each} stopping": partial(_stopping, each) for each in TaskType}


def _lcdb(folder: Path) -> dict[str, Any]:
    return curve_runs.errors(curve_data.lcdb(folder))


def _shipped(task_type: TaskType) -> dict[str, Any]:
    return curve_runs.errors(curve_data.shipped(task_type))


def _stopping(task_type: TaskType) -> dict[str, Any]:
    return curve_runs.stopping(task_type, curve_data.shipped(task_type))


if __name__ == "__main__":
    main()
