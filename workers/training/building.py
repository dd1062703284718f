"""Measure the portfolio on a folder of datasets: resumable, one file per dataset, nothing measured twice."""

import csv
import fcntl
import json
import random
import shutil
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app import isolation
from app.isolation import Child, Ending, Outcome
from app.metalearning import metadataset, protocol
from app.metalearning.columns import Declaration, type_table
from app.metalearning.portfolio import CONFIGURATIONS, Configuration
from app.metalearning.table import FloatArray, Table, TaskType, write_table
from workers.experiments import evaluation
from workers.experiments.calibration import probe_seconds

MEMORY_BYTES = 4 << 30
ORDER_SEED = 7


@dataclass(frozen=True)
class Source:
    """A dataset to measure, as its folder's `inventory.csv` names it; near-duplicates share a group."""

    name: str
    path: Path
    target: str
    task_type: TaskType
    group: str


def read_inventory(folder: Path) -> list[Source]:
    """The datasets of a folder, from the columns name, target, task and group of its `inventory.csv`."""
    with (folder / "inventory.csv").open(newline="") as file:
        return [
            Source(
                row["name"],
                folder / f"{row['name']}.parquet",
                row["target"],
                TaskType(row["task"]),
                row.get("group") or row["name"],
            )
            for row in csv.DictReader(file)
        ]


def load_source(source: Source) -> Table:
    """The source's typed table."""
    return type_table(pyarrow.parquet.read_table(source.path), Declaration(source.target, source.task_type))[
        0
    ]


def build(folder: Path, parts: Path, workers: int, known: list[dict[str, Any]]) -> int:
    """Measure every configuration that fits on every dataset of `folder`; return the number of cells measured.

    Breadth first: a configuration is measured on all datasets before the next one, cheap ones first, so that whatever is
    done when the time ends is complete for some configurations.

    Args:
        folder: datasets with their inventory.
        parts: takes `<dataset>.parquet`, rewritten after every cell; a second run goes on where this one ended.
        workers: cells measured at the same time, one core each.
        known: evaluations that need no measuring again (the shipped ones).
    """
    isolation.preload("workers.experiments.evaluation", "sklearn.ensemble", "catboost", "lightgbm", "xgboost")
    sources = read_inventory(folder)
    # A fixed random order, so that an unfinished build is a fair sample of the datasets.
    random.Random(ORDER_SEED).shuffle(sources)  # noqa: S311  order, not secrecy
    parts.mkdir(parents=True, exist_ok=True)
    with _only_builder(parts), _progress() as progress, ThreadPoolExecutor(workers) as pool:
        part_of = {source.name: _Part(source, parts) for source in sources}
        done = {_key(row) for part in part_of.values() for row in part.rows} | {_key(row) for row in known}
        cells = [
            (part_of[source.name], configuration)
            for configuration in CONFIGURATIONS.values()
            for source in sources
            if source.task_type is configuration.task_type
        ]
        missing = [
            (part, configuration)
            for part, configuration in cells
            if (part.source.name, configuration.fingerprint, protocol.PROTOCOL) not in done
        ]
        bar = progress.add_task("cells", total=len(cells), completed=len(cells) - len(missing))
        try:
            for _ in pool.map(lambda cell: cell[0].measure(cell[1]), missing):
                progress.advance(bar)
        finally:
            for part in part_of.values():
                part.clear()
        return len(missing)


class _Part:
    """What is measured of one dataset, and its file."""

    def __init__(self, source: Source, folder: Path) -> None:
        self.source = source
        self.path = folder / f"{source.name}.parquet"
        self.rows = metadataset.read_evaluations(self.path)
        self._scratch = folder / f".{source.name}"
        self._lock = threading.Lock()
        self._facts: dict[str, Any] | None = None

    def measure(self, configuration: Configuration) -> None:
        """Measure one cell in a child process and write the file anew."""
        facts = self._prepared()
        folder = self._scratch / configuration.id
        outcome = Child(
            "workers.experiments.evaluation:measure",
            {
                "table": str(self._scratch / "table.parquet"),
                "configuration": configuration.id,
                "folder": str(folder),
            },
            folder,
            evaluation.limits(MEMORY_BYTES),
        ).run()
        shutil.rmtree(folder, ignore_errors=True)
        row = facts | _as_row(configuration, outcome)
        with self._lock:
            self.rows.append(row)
            metadataset.write_evaluations(self.rows, self.path)

    def clear(self) -> None:
        """Remove what measuring needed beside the part."""
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _prepared(self) -> dict[str, Any]:
        """What every cell of the dataset shares; writes the typed table when it is first needed."""
        with self._lock:
            if self._facts is None:
                self._scratch.mkdir(exist_ok=True)
                table = load_source(self.source)
                write_table(table, self._scratch / "table.parquet")
                self._facts = {
                    "dataset": self.source.name,
                    "group": self.source.group,
                    "task_type": str(self.source.task_type),
                    "protocol": protocol.PROTOCOL,
                    "threads": protocol.THREADS,
                    "probe_seconds": probe_seconds(),
                    **target_facts(table),
                }
            return self._facts


def _key(row: dict[str, Any]) -> tuple[str, str, int]:
    return row["dataset"], row["fingerprint"], row["protocol"]


def target_facts(table: Table) -> dict[str, Any]:
    """What turns scores into losses that datasets share: measured on the rows that protocol 1 uses."""
    target: FloatArray = table.target_values[protocol.sample_rows(table.target_values)]
    facts: dict[str, Any] = {"n_rows": len(target), "n_classes": len(table.classes)}
    if table.task_type is TaskType.REGRESSION:
        return facts | {"target_sd": float(np.std(target))}
    shares = np.bincount(target.astype(np.int64)) / len(target)
    return facts | {"prior_entropy": float(-np.sum(shares[shares > 0] * np.log(shares[shares > 0])))}


def _as_row(configuration: Configuration, outcome: Outcome) -> dict[str, Any]:
    row: dict[str, Any] = {"configuration": configuration.id, "fingerprint": configuration.fingerprint}
    if outcome.ending is not Ending.OK or outcome.value is None:
        status = "failed" if outcome.ending is Ending.ERROR else str(outcome.ending)
        detail = outcome.error["detail"] if outcome.error else outcome.log_tail[-300:]
        return row | {
            "status": status,
            "error": detail,
            "versions": json.dumps(evaluation.versions(configuration)),
        }
    value = outcome.value
    same = (
        "fold_scores",
        "learning_curve",
        "fit_cpu_seconds",
        "fit_wall_seconds",
        "predict_cpu_seconds_per_1000_rows",
        "peak_memory_bytes",
    )
    return (
        row
        | metadataset.flatten_scores(value)
        | {name: value[name] for name in same}
        | {"status": "ok", "versions": json.dumps(value["versions"])}
    )


@contextmanager
def _only_builder(parts: Path) -> Iterator[None]:
    """Hold the folder's lock, so that two builders never measure the same cell."""
    with (parts / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"Another builder is measuring into {parts}.")
        yield


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        transient=False,
    )
