"""`make bench-networks`: the networks that rank beside everything else, on datasets whose groups they never saw.

They are measured as they ship, with the weights of every fold; needs the extra `deep`, for the networks of a single task that
they are compared with. With `MATRICES=folder` on Oboe's error matrix too, for which they are trained here. Parts are kept in
build/bench-networks/ for the commit that they were measured at, two at a time.
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
from benchmarks import network_runs
from benchmarks.networks_page import figures_of, write_page
from benchmarks.public_matrices import read_oboe
from benchmarks.recording import ROOT, kept_by_processes, record
from benchmarks.versions import code

# Constants were chosen on grouped_0.
OBOE_PARTITION = "grouped_2"
WORKERS = 2


def main() -> None:
    """Measure what is not kept, show it, and record it."""
    parts = ROOT / "build" / "bench-networks" / code()
    measured = kept_by_processes(parts, planned(), WORKERS)
    record("networks", figures_of(measured))
    write_page(measured)


def planned() -> dict[str, Callable[[], dict[str, Any]]]:
    """What is measured, by name; dear parts first."""
    runs: dict[str, Callable[[], dict[str, Any]]] = {}
    if matrices := os.environ.get("MATRICES"):
        runs["oboe ways"] = partial(_oboe, Path(matrices) / "oboe_error_matrix")
    runs |= {f"{each} tasks": partial(network_runs.tasks, each) for each in TaskType}
    runs |= {f"{each} ways": partial(network_runs.ways, each) for each in TaskType}
    runs |= {f"{each} distances": partial(network_runs.distances, each) for each in TaskType}
    return runs


def _oboe(folder: Path) -> dict[str, Any]:
    return network_runs.ways_on_oboe(read_oboe(folder), OBOE_PARTITION)


if __name__ == "__main__":
    main()
