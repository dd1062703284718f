"""Single measurements for `benchmarks.experiments`: the builder, and bare scikit-learn, over the same cells.

Both fit what protocol 1 fits: every fold, and the anchors of the learning curve. `bare` is a favoured opponent: its tables
are read before the clock starts, it limits nothing, stores nothing, and scores neither pooled predictions nor halves.
"""

# ruff: noqa: E402  threads are fixed before any numeric library loads
from app.config import pin_threads

pin_threads()

import json
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import psutil
import scipy.stats
from sklearn.metrics import make_scorer
from sklearn.model_selection import cross_validate

from app import isolation
from app.metalearning import metadataset, protocol
from app.metalearning.portfolio import CONFIGURATIONS, find_configuration
from app.metalearning.protocol import splits
from app.metalearning.table import TaskType
from benchmarks.recording import ROOT
from workers.experiments import contract, pipelines
from workers.training import building
from workers.training.sources import Source, load_source, read_inventory

Cells = list[tuple[str, str]]  # dataset and configuration


def in_own_process(run: str, **arguments: Any) -> dict[str, float]:
    """A function of this module in a fresh process."""
    text = (
        f"from benchmarks import experiment_runs as runs; runs.answer(runs.{run}, {json.dumps(arguments)!r})"
    )
    finished = subprocess.run(
        [sys.executable, "-c", text], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    measured: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])
    return measured


def answer(run: Any, arguments: str) -> None:
    """Print what the run measured as the last line."""
    print(json.dumps(run(**json.loads(arguments))))


def built(datasets: str, cells: Cells, workers: int, batch: int) -> dict[str, float]:
    """The builder on these cells: a child per `batch` configurations of a dataset, every cell stored as it ends."""
    isolation.preload("workers.experiments.evaluation", "workers.experiments.warming", *contract.libraries())
    isolation.warm_up()
    building.BATCH = batch
    wanted = {(dataset, find_configuration(name).fingerprint) for dataset, name in cells}
    others = [
        {"dataset": source.name, "fingerprint": each.fingerprint, "protocol": protocol.PROTOCOL, "status": ""}
        for source in read_inventory(Path(datasets))
        for each in CONFIGURATIONS.values()
        if (source.name, each.fingerprint) not in wanted
    ]
    parts = Path(tempfile.mkdtemp())
    cpu, began = _cpu_seconds(), time.perf_counter()
    building.build(Path(datasets), parts, workers, others)
    seconds, cpu = time.perf_counter() - began, _cpu_seconds() - cpu
    rows = [row for path in parts.glob("*.parquet") for row in metadataset.read_evaluations(path)]
    shutil.rmtree(parts)
    return {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "cells": len(rows),
        "ok": sum(row["status"] == "ok" for row in rows),
    }


def bare(datasets: str, cells: Cells, workers: int) -> dict[str, float]:
    """So many warm processes that loop scikit-learn's `cross_validate`, each over its share of the cells."""
    shares = [cells[index::workers] for index in range(workers)]
    processes = [_bare_process(datasets, share) for share in shares]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()  # it has imported and read everything
    began = time.perf_counter()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    cpu = 0.0
    for process in processes:
        assert process.stdout is not None
        cpu += float(process.stdout.readline())
    seconds = time.perf_counter() - began
    for process in processes:
        process.wait()
    return {"seconds": seconds, "cpu_seconds": cpu, "cells": len(cells)}


def _bare_process(datasets: str, cells: Cells) -> subprocess.Popen[str]:
    text = f"from benchmarks import experiment_runs as runs; runs.loop({datasets!r}, {cells!r})"
    return subprocess.Popen(
        [sys.executable, "-c", text], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def loop(datasets: str, cells: Cells) -> None:
    """What a bare process does: get warm, say so, wait for a line, loop, print its CPU seconds."""
    warnings.simplefilter("ignore")
    sources = {source.name: source for source in read_inventory(Path(datasets))}
    problems = {name: _problem(sources[name]) for name in dict(cells)}
    for _, configuration in cells:
        pipelines.build(find_configuration(configuration).pipeline)  # imports its library
    print("warm", flush=True)
    sys.stdin.readline()
    cpu = time.process_time()
    for name, configuration in cells:
        data, target, divided, scorers = problems[name]
        model = pipelines.build(find_configuration(configuration).pipeline)
        cross_validate(model, data, target, cv=divided, scoring=scorers, n_jobs=1)
    print(time.process_time() - cpu, flush=True)


def _problem(source: Source) -> tuple[Any, Any, list[Any], dict[str, Any]]:
    table = load_source(source)
    plan = splits.plan(table)
    data = pipelines.features(table.take(plan.rows))
    target = table.target_values[plan.rows]
    divided = [(split.training, split.test) for split in plan.splits]
    divided += [(rows, plan.splits[0].test) for rows in plan.anchors.values()]
    if table.task_type is TaskType.REGRESSION:
        return data, target, divided, _OF_NUMBERS
    return data, target.astype(int), divided, _of_classes(len(table.classes))


def _of_classes(n_classes: int) -> dict[str, Any]:
    return {
        "accuracy": "accuracy",
        "balanced_accuracy": "balanced_accuracy",
        "macro_f1": "f1_macro",
        "roc_auc": "roc_auc" if n_classes == 2 else "roc_auc_ovr",
        "log_loss": "neg_log_loss",
        "brier": "neg_brier_score",
    }


_OF_NUMBERS: dict[str, Any] = {
    "rmse": "neg_root_mean_squared_error",
    "mae": "neg_mean_absolute_error",
    "r2": "r2",
    "spearman": make_scorer(lambda truth, guesses: scipy.stats.spearmanr(truth, guesses).statistic),
}


def _cpu_seconds() -> float:
    """CPU seconds of this process and of all that it started, those that have ended included."""
    us = psutil.Process()
    return sum(sum(each.cpu_times()[:4]) for each in (us, *us.children(recursive=True)))
