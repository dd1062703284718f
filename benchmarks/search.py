"""`make bench-search DATASETS=folder`: how soon a search that begins with what is recommended is where random search ends.

20 datasets are drawn from the folder by a fixed seed, ten of each task type, 400 rows of each. What is recommended for one comes
from all other groups of datasets. Every search is the service's own (`workers.experiments.search`), one trial after another,
and every trial is measured as the service does it. A trial that two searches make is measured once: searches that draw at
random draw the same, so that they differ only in what they give up.

Every dataset is kept in build/search for the commit that it was measured at, two at a time; a run that was cut off goes on.
"""

# ruff: noqa: E402  threads are fixed before any numeric library loads
from app.config import pin_threads

pin_threads()

import os
import random
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from app import isolation
from app.isolation import Child, Ending
from app.metalearning import protocol
from app.metalearning.metadataset import load_evidence
from app.metalearning.metalearners import all_metalearners
from app.metalearning.metrics import Metric, headline_metric
from app.metalearning.portfolio import ALGORITHMS, configuration_with, find_configuration
from app.metalearning.protocol import splits
from app.metalearning.search import as_wishes, lies_in, spaces_of
from app.metalearning.table import Table, TaskType, write_table
from benchmarks.recording import ROOT, kept_together, record
from benchmarks.search_page import figures_of, write_page
from benchmarks.versions import code
from workers.experiments import contract, evaluation
from workers.experiments.search.halving import Rungs, anchors_of
from workers.experiments.search.proposing import propose
from workers.training.forests import train
from workers.training.sources import Source, load_source, read_inventory

SEED = 0
N_DATASETS = {TaskType.CLASSIFICATION: 10, TaskType.REGRESSION: 10}
FEWEST_ROWS, MOST_ROWS, MOST_COLUMNS = 200, 400, 40
N_RECOMMENDED = 10
WORKERS = 2
# Trials of each search; cold ones know nothing, warm ones begin with what is recommended.
COLD = {"random": 60, "grid": 40, "tpe": 40, "gp": 40, "asha": 60, "hyperband": 60}
WARM = {"random": 25, "tpe": 25, "gp": 25, "hyperband": 25}
# Ensembles of more than 300 trees, and these algorithms, would take hours.
_TOO_DEAR = {"explainable_boosting", "gaussian_process"}
_MOST_TREES = 300
_TREES = ("n_estimators", "max_iter", "iterations")
_MEMORY_BYTES = 4 << 30
_TRIAL_SECONDS = 60.0  # by the clock; by CPU the protocol limits every fit

Measured = dict[str, dict[str, Any]]  # results by fingerprint


def main() -> None:
    """Measure what is not kept, show it, and record it."""
    folder = os.environ.get("DATASETS")
    if not folder:
        sys.exit("DATASETS names no folder of datasets with an inventory.csv.")
    isolation.preload("workers.tasks.computing", "workers.experiments.warming", *contract.libraries())
    parts = ROOT / "build" / "search" / code()
    runs = {source.name: partial(searches_on, source) for source in drawn(Path(folder))}
    measured = kept_together(parts, runs, WORKERS)
    record("search", figures_of(measured))
    write_page(measured)


def drawn(folder: Path) -> list[Source]:
    """The datasets, by the seed alone, no two of a group."""
    sources = read_inventory(folder)
    random.Random(SEED).shuffle(sources)  # noqa: S311  a draw, not a secret
    known = {each: set(load_evidence(each).datasets) for each in TaskType}
    found: list[Source] = []
    for task_type, count in N_DATASETS.items():
        groups: set[str] = set()
        for source in sources:
            if len(groups) == count:
                break
            if source.task_type is not task_type or source.name not in known[task_type]:
                continue
            table = load_source(source)
            if (
                source.group not in groups
                and table.n_rows >= FEWEST_ROWS
                and len(table.columns) <= MOST_COLUMNS
            ):
                groups.add(source.group)
                found.append(source)
    return found


def searches_on(source: Source) -> dict[str, Any]:
    """Every search on one dataset: its trials with loss and CPU seconds."""
    table = load_source(source)
    table = table.take(protocol.sample_rows(table.target_values, MOST_ROWS))
    metric = headline_metric(source.task_type, len(table.classes))
    measured: Measured = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_table(table, folder / "table.parquet")
        wishes = _wishes(source, table)
        recommended = _recommended(source, wishes)
        runs = {
            method: _search(folder, wishes | {"method": method}, most, metric, measured)
            for method, most in COLD.items()
        }
        for method, most in WARM.items():
            warm = wishes | {"method": method, "recommended": recommended}
            runs[f"{method}, warm"] = _search(folder, warm, most, metric, measured)
    return {"task_type": str(source.task_type), "metric": metric.name, "runs": runs}


def _wishes(source: Source, table: Table) -> dict[str, Any]:
    size = evaluation.size_of(table, splits.plan(table).rows)
    algorithms = [
        name
        for name, each in ALGORITHMS.items()
        if source.task_type in each.task_types
        and name not in _TOO_DEAR
        and each.requirements.why_not(size, gpu=False) is None
    ]
    space = {
        name: {each.name: {"high": _MOST_TREES}}
        for name in algorithms
        for each in ALGORITHMS[name].space(source.task_type).hyperparameters
        if each.name in _TREES and name != "mlp" and getattr(each, "high", 0) > _MOST_TREES
    }
    return {
        "task_type": str(source.task_type),
        "algorithms": algorithms,
        "space": space,
        "seed": SEED,
        "parallel": 1,
        "grid_points": 3,
        "recommended": [],
        "known": [],
    }


def _recommended(source: Source, wishes: dict[str, Any]) -> list[str]:
    """What the meta-learner that answers says of the dataset, from all other groups."""
    evidence = load_evidence(source.task_type)
    row = evidence.datasets.index(source.name)
    others = evidence.of(
        [index for index, group in enumerate(evidence.groups) if group != evidence.groups[row]]
    )
    learner = all_metalearners(others, train(others))["hybrid"]
    ranges = as_wishes(wishes["space"])
    spaces = spaces_of(wishes["algorithms"], source.task_type, ranges)
    feasible = []
    for index, name in enumerate(evidence.configurations):
        configuration = find_configuration(name)
        algorithm = configuration.algorithm.name
        if algorithm in spaces and lies_in(
            spaces[algorithm], ranges.get(algorithm, {}), configuration.hyperparameters
        ):
            feasible.append(index)
    ranked = learner.rank(evidence.metafeatures[row], feasible, N_RECOMMENDED)
    return [evidence.configurations[index] for index in ranked[:N_RECOMMENDED]]


def _search(
    folder: Path, wishes: dict[str, Any], most: int, metric: Metric, measured: Measured
) -> list[dict[str, Any]]:
    """One search, a trial after another."""
    trials: list[dict[str, Any]] = []
    while len(trials) < most:
        chosen = propose({**wishes, "trials": trials, "propose": 1}, lambda _: None)["proposals"]
        if not chosen:
            break
        (trial,) = chosen
        result = _result(folder, wishes["task_type"], trial, measured)
        trials.append({**trial, **_ended(trial, result, trials, metric)})
    return [{name: each[name] for name in ("algorithm", "source", "loss", "seconds")} for each in trials]


def _result(folder: Path, task_type: str, trial: dict[str, Any], measured: Measured) -> dict[str, Any]:
    """What an experiment leaves, as the service measures it; nothing where it failed."""
    configuration = configuration_with(trial["algorithm"], TaskType(task_type), trial["hyperparameters"])
    key = configuration.fingerprint
    if key not in measured:
        own = folder / key
        payload = {
            "table": str(folder / "table.parquet"),
            "configuration": configuration.id,
            "trial": trial,
            "folder": str(own),
            "probe_file": str(folder / "probe.json"),
            "gpu": False,
            "rival": None,
        }
        limits = contract.limits(_MEMORY_BYTES, _TRIAL_SECONDS)
        outcome = Child("workers.tasks.computing:measure", payload, own, limits).run()
        took = _TRIAL_SECONDS if outcome.ending is Ending.TIMEOUT else 0.0
        measured[key] = outcome.value or {"failed_after": took}
    return measured[key]


def _ended(
    trial: dict[str, Any], result: dict[str, Any], before: list[dict[str, Any]], metric: Metric
) -> dict[str, Any]:
    """Loss and CPU seconds of a trial, and what it had reached at every anchor; None where it was given up halfway."""
    if "scores" not in result:
        return {"loss": None, "seconds": result["failed_after"], "curve": []}
    curve = result["learning_curve"]
    for length in range(1, len(curve) + 1 if "bracket" in trial else 1):
        if _rungs(trial, before, metric).leaves_behind(curve[:length], result["n_rows"]) is not None:
            seconds = sum(point["fit_cpu_seconds"] for point in curve[:length])
            return {"loss": None, "seconds": seconds, "curve": curve[:length]}
    seconds = sum(point["fit_cpu_seconds"] for point in curve)
    seconds += len(result["fold_scores"]) * result["fit_cpu_seconds"]
    return {"loss": float(metric.loss(result["scores"][metric.name])), "seconds": seconds, "curve": curve}


def _rungs(trial: dict[str, Any], before: list[dict[str, Any]], metric: Metric) -> Rungs:
    losses: dict[str, list[float]] = {str(anchor): [] for anchor in anchors_of(trial["bracket"])}
    for each in before:
        for point in each["curve"] if each["bracket"] == trial["bracket"] else ():
            if str(point["anchor"]) in losses and point.get(metric.name) is not None:
                losses[str(point["anchor"])].append(float(metric.loss(point[metric.name])))
    return Rungs(metric.name, losses)


if __name__ == "__main__":
    main()
