"""Measure the portfolio on a folder of datasets: resumable, one file per dataset, nothing measured twice."""

import csv
import fcntl
import json
import random
import shutil
import sys
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
from app.metalearning.portfolio import Configuration, configurations_of
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

    Args:
        folder: datasets with their inventory.
        parts: takes `<dataset>.parquet`, rewritten after every cell; a second run goes on where this one ended.
        workers: datasets measured at the same time, one core each.
        known: evaluations that need no measuring again (the shipped ones).
    """
    isolation.preload("workers.experiments.evaluation", "sklearn.ensemble", "catboost", "lightgbm", "xgboost")
    measured = {(row["dataset"], row["fingerprint"], row["protocol"]) for row in known}
    sources = read_inventory(folder)
    # A fixed random order, so that an unfinished build is a fair sample of the datasets.
    random.Random(ORDER_SEED).shuffle(sources)  # noqa: S311  order, not secrecy
    parts.mkdir(parents=True, exist_ok=True)
    total = sum(len(configurations_of(source.task_type)) for source in sources)
    with _only_builder(parts), _progress() as progress, ThreadPoolExecutor(workers) as pool:
        bar = progress.add_task("cells", total=total)

        def measure_source(source: Source) -> int:
            return sum(1 for cell in _measure(source, parts, measured, lambda: progress.advance(bar)) if cell)

        return sum(pool.map(measure_source, sources))


def _measure(source: Source, parts: Path, known: set[tuple[str, str, int]], advance: Any) -> Iterator[bool]:
    """Measure what is missing of one dataset; yields whether each cell was measured now."""
    part = parts / f"{source.name}.parquet"
    rows = metadataset.read_evaluations(part)
    done = known | {(row["dataset"], row["fingerprint"], row["protocol"]) for row in rows}
    missing = []
    for configuration in configurations_of(source.task_type):
        if (source.name, configuration.fingerprint, protocol.PROTOCOL) in done:
            advance()
            yield False
        else:
            missing.append(configuration)
    if not missing:
        return
    scratch = parts / f".{source.name}"
    scratch.mkdir(exist_ok=True)
    table = load_source(source)
    write_table(table, scratch / "table.parquet")
    facts = {
        "dataset": source.name,
        "group": source.group,
        "task_type": str(source.task_type),
        "protocol": protocol.PROTOCOL,
        "threads": protocol.THREADS,
        "probe_seconds": probe_seconds(),
        **target_facts(table),
    }
    for configuration in missing:
        outcome = Child(
            "workers.experiments.evaluation:measure",
            {
                "table": str(scratch / "table.parquet"),
                "configuration": configuration.id,
                "folder": str(scratch),
            },
            scratch,
            evaluation.limits(MEMORY_BYTES),
        ).run()
        rows.append(facts | _as_row(configuration, outcome))
        metadataset.write_evaluations(rows, part)
        advance()
        yield True
    shutil.rmtree(scratch)


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
