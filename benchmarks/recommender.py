"""`make bench-recommender`: how good the recommendations are on datasets whose groups were held out.

The shipped meta-dataset alone; with `MATRICES=folder` Oboe's error matrix too, with `SCENARIOS=folder` three ASlib scenarios.
Parts are kept in build/recommender/ for the commit that they were measured at, two at a time. A run of a committed state is
appended to results/recommender-history.jsonl, whatever it found.
"""

# ruff: noqa: E402  threads are fixed before any numeric library loads
from app.config import pin_threads

pin_threads()

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from app.metalearning.importing.aslib import read_scenario
from app.metalearning.table import TaskType
from benchmarks import ranking_runs
from benchmarks.public_matrices import read_oboe
from benchmarks.ranking_figures import figures_of, write_page
from benchmarks.recording import RESULTS, ROOT, kept_by_processes, record
from benchmarks.versions import CHANGED, code

# Constants were chosen on grouped_0 and grouped_1: those are not reported.
OBOE_PARTITIONS = ("grouped_2", "grouped_3", "grouped_4", "random_2", "random_3", "random_4")
SCENARIOS = ("OPENML-WEKA-2017", "CSP-Minizinc-Time-2016", "MAXSAT-PMS-2016")
SEVERAL_PARTITIONS = "OPENML-WEKA-2017"
VARIANTS = ("complete", "without landmarkers", "permuted")
WORKERS = 2


def main() -> None:
    """Measure what is not kept, show it, and record it."""
    version = code()
    parts = ROOT / "build" / "recommender" / version
    measured = kept_by_processes(parts, planned(), WORKERS)
    figures = figures_of(measured)
    record("recommender", figures)
    write_page()
    if not version.endswith(CHANGED):
        line = {"commit": version, "at": datetime.now(UTC).isoformat(timespec="seconds"), **figures}
        with (RESULTS / "recommender-history.jsonl").open("a") as history:
            history.write(json.dumps(line) + "\n")


def planned() -> dict[str, Callable[[], dict[str, Any]]]:
    """What is measured, by name; dear parts first."""
    runs: dict[str, Callable[[], dict[str, Any]]] = {}
    matrices, scenarios = os.environ.get("MATRICES"), os.environ.get("SCENARIOS")
    if matrices:
        folder = Path(matrices) / "oboe_error_matrix"
        runs |= {f"oboe {name}": partial(_oboe, folder, name) for name in OBOE_PARTITIONS}
        runs |= {
            f"oboe budgets {name}": partial(_oboe_budgets, folder, name)
            for name in OBOE_PARTITIONS
            if name.startswith("grouped")
        }
    for variant in VARIANTS:
        runs |= {f"{each} {variant}": partial(ranking_runs.own, each, variant) for each in TaskType}
    runs |= {f"{each} budgets": partial(ranking_runs.own_budgets, each) for each in TaskType}
    runs |= {f"{each} points": partial(ranking_runs.own_points, each) for each in TaskType}
    runs |= {f"{each} calibration": partial(ranking_runs.calibration, each) for each in TaskType}
    if scenarios:
        for name in SCENARIOS:
            folder = Path(scenarios) / name
            runs[f"{name} official"] = partial(_scenario, folder, None)
            if name == SEVERAL_PARTITIONS:
                runs |= {f"{name} partition {seed}": partial(_scenario, folder, seed) for seed in range(5)}
    return runs


def _oboe(folder: Path, partition: str) -> dict[str, Any]:
    return ranking_runs.oboe(read_oboe(folder), partition)


def _oboe_budgets(folder: Path, partition: str) -> dict[str, Any]:
    return ranking_runs.oboe_budgets(read_oboe(folder), partition)


def _scenario(folder: Path, partition: int | None) -> dict[str, Any]:
    return ranking_runs.scenario(read_scenario(folder), partition)


if __name__ == "__main__":
    main()
