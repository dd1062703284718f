"""`make bench-metafeatures`: the same values as pymfe, how much sooner, and what they cost as tables grow.

    make bench-metafeatures DATASETS=folder    compare on forty datasets of a folder with an inventory.csv

Without DATASETS values are compared on scikit-learn's own datasets only. Every measurement is kept in
`build/bench-metafeatures`, so that a run that was cut off goes on; remove the folder to measure again.
"""

# ruff: noqa: E402  threads are fixed before any numeric library loads
from app.config import pin_threads

pin_threads()

import json
import os
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks import metafeature_runs as runs
from benchmarks import recording
from benchmarks.recording import RESULTS, ROOT, record

PARTS = ROOT / "build" / "bench-metafeatures"
kept = partial(recording.kept, PARTS)
REPEATS = 5
ROWS = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
COLUMNS = (10, 30, 100, 300, 1_000, 3_000, 10_000)


def in_own_process(run: str, *arguments: object) -> dict[str, float]:
    """A run of `metafeature_runs` in a fresh process, so that none inherits another's memory."""
    command = [sys.executable, "-m", "benchmarks.metafeature_runs", run, *map(str, arguments)]
    finished = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    measured: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])
    return measured


def equality() -> dict[str, float]:
    """How far our values are from pymfe's, over all datasets."""
    folder = os.environ.get("DATASETS", "")
    cases = runs.shared_cases(Path(folder)) if folder else runs.library_cases()
    compared = [kept(f"equality-{name}", lambda load=load: runs.differences(load())) for name, load in cases]
    return {
        "compared datasets [count]": len(compared),
        "compared values of tables [count]": sum(each["values"] for each in compared),
        "table values apart by over 1e-6 [count]": sum(each["apart"] for each in compared),
        "compared values of samples [count]": sum(each["sample_values"] for each in compared),
        "sample values apart by over 1e-2 [count]": sum(each["sample_apart"] for each in compared),
        "values missing here and there [count]": sum(each["missing"] for each in compared),
    }


def speed() -> dict[str, float]:
    """Ratios in one run, ours and pymfe's in turn; the median of the ratios."""
    figures = {}
    for n_rows in (10_000, 100_000):
        pairs = [
            kept(f"speed-{n_rows}-{turn}", lambda n=n_rows: in_own_process("speed", n))
            for turn in range(REPEATS)
        ]
        shape = f"{n_rows:,} x 50"
        figures[f"{shape} pymfe [s]"] = statistics.median(each["pymfe"] for each in pairs)
        figures[f"{shape} metaselect [s]"] = statistics.median(each["ours"] for each in pairs)
        figures[f"{shape} speed-up [ratio]"] = statistics.median(
            each["pymfe"] / each["ours"] for each in pairs
        )
        figures[f"{shape} values apart by over 1e-6 [count]"] = max(each["apart"] for each in pairs)
    pairs = [
        kept(f"landmarking-{turn}", lambda: in_own_process("landmarking", 10_000)) for turn in range(REPEATS)
    ]
    figures["10,000 x 50 landmarking pymfe [s]"] = statistics.median(each["pymfe"] for each in pairs)
    figures["10,000 x 50 landmarking metaselect [s]"] = statistics.median(each["ours"] for each in pairs)
    figures["10,000 x 50 landmarking speed-up [ratio]"] = statistics.median(
        each["pymfe"] / each["ours"] for each in pairs
    )
    figures["10,000 x 50 all landmarkers [s]"] = statistics.median(each["all"] for each in pairs)
    pairs = [kept(f"mixed-{turn}", lambda: in_own_process("mixed", 10_000)) for turn in range(REPEATS)]
    figures["10,000 x 50 mixed for numeric, cost per cell [ratio]"] = statistics.median(
        each["mixed"] / each["numeric"] for each in pairs
    )
    for n_rows in (100_000, 1_000_000):
        measured = kept(f"memory-{n_rows}", lambda n=n_rows: in_own_process("memory", n))
        figures[f"{n_rows:,} x 50 peak memory for the table's [ratio]"] = measured["peak"] / measured["table"]
    return figures


def sweeps() -> dict[str, float]:
    """Seconds by rows (ten columns) and by columns (a thousand rows): the slope of the logarithms, and a figure."""
    by_rows = [
        min(
            kept(f"rows-{n}-{turn}", lambda n=n: in_own_process("sweep", n, 10))["seconds"]
            for turn in range(3)
        )
        for n in ROWS
    ]
    by_columns = [
        min(
            kept(f"columns-{p}-{turn}", lambda p=p: in_own_process("sweep", 1_000, p))["seconds"]
            for turn in range(3)
        )
        for p in COLUMNS
    ]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, sizes, seconds, label in zip(
        figure.subplots(1, 2),
        (ROWS, COLUMNS),
        (by_rows, by_columns),
        ("rows, of ten columns", "columns, of 1,000 rows"),
        strict=True,
    ):
        axes.loglog(sizes, seconds, "o-", label="measured")
        axes.loglog(sizes, np.array(sizes) * seconds[-1] / sizes[-1], "--", color="grey", label="linear")
        axes.set(xlabel=label, ylabel="seconds")
        axes.legend()
    figure.suptitle("Metafeatures that need no time budget")
    figure.savefig(RESULTS / "metafeatures.svg", metadata={"Date": None})
    return {
        **{f"{n:,} x 10 [s]": seconds for n, seconds in zip(ROWS, by_rows, strict=True)},
        **{f"1,000 x {p:,} [s]": seconds for p, seconds in zip(COLUMNS, by_columns, strict=True)},
        "growth from 100,000 to 1,000,000 rows [exponent]": float(np.log10(by_rows[-1] / by_rows[-3])),
        "growth from 1,000 to 10,000 columns [exponent]": float(np.log10(by_columns[-1] / by_columns[-3])),
    }


if __name__ == "__main__":
    record("metafeatures", speed() | sweeps() | equality())
