"""A bar that tells when a build will have ended: cells count by the seconds that their configuration took elsewhere."""

import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from app.metalearning.portfolio import Configuration

# Cells take from a tenth of a second to minutes, so speed is a mean over many of them.
_SPEED_SECONDS = 1800.0


class Bar:
    """Progress of a build."""

    def __init__(self, progress: Progress, seconds: dict[str, float]) -> None:
        self._progress = progress
        self._seconds = seconds
        self._mean = float(np.mean(list(seconds.values()))) if seconds else 1.0
        self._task: TaskID | None = None
        self._done = itertools.count(1)  # counts right in several threads

    def begin(self, configurations: Iterable[Configuration]) -> None:
        """Say what is to be measured: a configuration as often as there are datasets for it."""
        waiting = list(configurations)
        total = sum(map(self._weight, waiting))
        self._task = self._progress.add_task("cells", total=total, done=0, cells=len(waiting))

    def advance(self, configuration: Configuration) -> None:
        """One cell of this configuration is done."""
        assert self._task is not None, "advance comes after begin"
        self._progress.update(self._task, advance=self._weight(configuration), done=next(self._done))

    def _weight(self, configuration: Configuration) -> float:
        return self._seconds.get(configuration.fingerprint, self._mean)


@contextmanager
def bar_of(known: list[dict[str, Any]]) -> Iterator[Bar]:
    """A bar on the terminal; `known` evaluations tell how long configurations take."""
    columns = (
        TextColumn("{task.fields[done]} of {task.fields[cells]} cells"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, speed_estimate_period=_SPEED_SECONDS) as progress:
        yield Bar(progress, seconds_by_configuration(known))


def seconds_by_configuration(rows: Iterable[dict[str, Any]]) -> dict[str, float]:
    """Mean CPU seconds of a cell by the configuration's fingerprint, of cells that have scores."""
    seconds: dict[str, list[float]] = {}
    for row in rows:
        if row["status"] == "ok":
            seconds.setdefault(row["fingerprint"], []).append(cell_seconds(row))
    return {fingerprint: float(np.mean(each)) for fingerprint, each in seconds.items()}


def cell_seconds(row: dict[str, Any]) -> float:
    """CPU seconds of all fits and predictions of a cell."""
    fits = len(row["fold_scores"]) * float(row["fit_cpu_seconds"])
    curve = sum(float(point["fit_cpu_seconds"]) for point in row["learning_curve"] or ())
    return fits + curve + float(row["predict_cpu_seconds_per_1000_rows"]) * float(row["n_rows"]) / 1000
