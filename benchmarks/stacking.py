"""`make bench-stacking DATASETS=folder`: do stacks beat the best single configuration on rows that nobody had seen?

40 datasets for classification and 30 for regression are drawn from the folder by a fixed seed. A third of the rows, at most 4,000,
is kept aside. On the others happens what a verification does: the first five of the portfolio that all other groups of datasets
make are cross-validated, the best is chosen, and they are stacked. The judges are the rows aside.

Every dataset is kept in build/stacking for the commit that it was measured at, two at a time; a run that was cut off goes on.
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

import numpy as np
from scipy.stats import binomtest

from app import isolation
from app.isolation import Child, Ending, Limits
from app.metalearning import protocol
from app.metalearning.metadataset import load_evidence
from app.metalearning.metalearners.portfolio import greedy_order
from app.metalearning.portfolio import find_configuration
from app.metalearning.protocol import splits
from app.metalearning.table import Table, TaskType, write_table
from benchmarks.recording import ROOT, kept_together, record
from benchmarks.stacking_page import write_page
from benchmarks.stacking_runs import DEFAULT, WAYS
from benchmarks.versions import code
from workers.experiments import contract, evaluation
from workers.training.sources import Source, load_source, read_inventory

SEED = 0
N_DATASETS = {TaskType.CLASSIFICATION: 40, TaskType.REGRESSION: 30}
FEWEST_ROWS = 100
N_CONFIGURATIONS = 5
MOST_FRESH = 4000
WORKERS = 2
_MEMORY_BYTES = 6 << 30
_JUDGE_SECONDS = 1200.0


def main() -> None:
    """Measure what is not kept, show it, and record it."""
    folder = os.environ.get("DATASETS")
    if not folder:
        sys.exit("DATASETS names no folder of datasets with an inventory.csv.")
    isolation.preload("benchmarks.stacking_runs", "workers.experiments.warming", *contract.libraries())
    parts = ROOT / "build" / "stacking" / code()
    sources = drawn(Path(folder))
    parts_of = kept_together(parts, {source.name: partial(measure, source) for source in sources}, WORKERS)
    measured = {
        source.name: {"task_type": str(source.task_type), **parts_of[source.name]} for source in sources
    }
    record("stacking", figures_of(measured))
    write_page()


def drawn(folder: Path) -> list[Source]:
    """The datasets, by the seed alone."""
    sources = read_inventory(folder)
    random.Random(SEED).shuffle(sources)  # noqa: S311  a draw, not a secret
    found: list[Source] = []
    for task_type, count in N_DATASETS.items():
        fitting = (each for each in sources if each.task_type is task_type)
        large = (each for each in fitting if load_source(each).n_rows >= FEWEST_ROWS)
        found += [each for each, _ in zip(large, range(count), strict=False)]
    return found


def measure(source: Source) -> dict[str, Any]:
    """Cross-validate five configurations on two thirds of the rows, stack them, and judge all on the others."""
    table = load_source(source)
    known, fresh = aside(table)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_table(known, folder / "known.parquet")
        write_table(fresh, folder / "fresh.parquet")
        experiments = []
        for configuration in candidates(source, known):
            if len(experiments) == N_CONFIGURATIONS:
                break
            found = _experiment(folder, configuration)
            experiments += [found] if found else []
        payload = {
            "table": str(folder / "known.parquet"),
            "fresh": str(folder / "fresh.parquet"),
            "experiments": experiments,
        }
        limits = Limits(_JUDGE_SECONDS, _MEMORY_BYTES)
        outcome = Child("benchmarks.stacking_runs:judge", payload, folder / "judge", limits).run()
    if outcome.value is None:
        return {"ended": str(outcome.ending), "detail": str(outcome.error or outcome.log_tail[-300:])}
    return outcome.value


def aside(table: Table) -> tuple[Table, Table]:
    """The rows that are known, and those aside: a third, at most 4,000, of all classes alike."""
    fresh = protocol.sample_rows(table.target_values, min(table.n_rows // 3, MOST_FRESH), SEED + 2)
    return table.take(np.setdiff1d(np.arange(table.n_rows), fresh)), table.take(fresh)


def candidates(source: Source, known: Table) -> list[str]:
    """The portfolio of all other groups of datasets, in its order."""
    evidence = load_evidence(source.task_type)
    group_of = dict(zip(evidence.datasets, evidence.groups, strict=True))
    own = {source.group, group_of.get(source.name, source.group)}
    rows = [row for row, group in enumerate(evidence.groups) if group not in own]
    regret = evidence.regret[rows]
    size = evaluation.size_of(known, splits.plan(known).rows)
    feasible = [
        index
        for index, name in enumerate(evidence.configurations)
        if evaluation.why_not(find_configuration(name), size, gpu=False) is None
    ]
    order = greedy_order(regret, np.full(len(rows), 1 / len(rows)), feasible)
    return [evidence.configurations[index] for index in order]


def _experiment(folder: Path, configuration: str) -> dict[str, Any] | None:
    """What an experiment leaves, under the protocol's limits; None where it failed: then the next one takes its place."""
    own = folder / configuration
    payload = {
        "table": str(folder / "known.parquet"),
        "configuration": configuration,
        "folder": str(own),
        "probe_file": str(folder / "probe.json"),
        "gpu": False,
        "rival": None,
    }
    outcome = Child("workers.tasks.computing:measure", payload, own, contract.limits(_MEMORY_BYTES)).run()
    if outcome.ending is not Ending.OK:
        return None
    return {
        "configuration": configuration,
        "result": outcome.value,
        "predictions": str(own / contract.PREDICTIONS_FILE),
    }


def figures_of(measured: dict[str, dict[str, Any]]) -> dict[str, float]:
    """How often every way of stacking wins against the chosen single, and by how much."""
    figures: dict[str, float] = {}
    for task_type in TaskType:
        of_type = [each for each in measured.values() if each["task_type"] == task_type]
        ended = [each for each in of_type if "stacks" in each]
        figures[f"{task_type}: datasets drawn [count]"] = float(len(of_type))
        figures[f"{task_type}: datasets judged [count]"] = float(len(ended))
        for way in WAYS:
            pairs = [
                (each["single_loss"], each["stacks"][way]["loss"])
                for each in ended
                if "loss" in each["stacks"][way]
            ]
            figures |= {f"{task_type}: {way}, {name}": value for name, value in _record_of(pairs).items()}
        figures |= {f"{task_type}: {name}": value for name, value in _verdicts(ended).items()}
        for name, each in measured.items():
            if each in ended and "loss" in each["stacks"][DEFAULT]:
                figures |= {f"{task_type} {name}: {what}": value for what, value in _losses(each).items()}
    return figures


def _losses(measured: dict[str, Any]) -> dict[str, float]:
    stack = measured["stacks"][DEFAULT]
    return {
        "rows aside [count]": float(measured["rows"]),
        "single [loss]": measured["single_loss"],
        "stack [loss]": stack["loss"],
        "predict time of the stack against the single's [ratio]": stack["predict_seconds"]
        / max(measured["single_predict_seconds"], 1e-9),
    }


def _record_of(pairs: list[tuple[float, float]]) -> dict[str, float]:
    wins = sum(stack < single for single, stack in pairs)
    losses = sum(stack > single for single, stack in pairs)
    ratios = [stack / max(single, 1e-12) for single, stack in pairs]
    return {
        "wins [count]": float(wins),
        "losses [count]": float(losses),
        "ties [count]": float(len(pairs) - wins - losses),
        "chance of so many wins if it were a coin [probability]": float(
            binomtest(wins, max(1, wins + losses), alternative="greater").pvalue
        ),
        "loss against the single's, median [ratio]": float(np.median(ratios)),
    }


def _verdicts(ended: list[dict[str, Any]]) -> dict[str, float]:
    """How often what a job says of its stack held on the rows aside."""
    found: dict[str, float] = {}
    for verdict in ("stack_better", "no_clear_difference", "single_better"):
        of_verdict = [each for each in ended if each["stacks"][DEFAULT].get("verdict") == verdict]
        better = [each for each in of_verdict if each["stacks"][DEFAULT]["loss"] < each["single_loss"]]
        found[f"verdict {verdict} [count]"] = float(len(of_verdict))
        found[f"verdict {verdict}, stack better on the rows aside [count]"] = float(len(better))
    return found


if __name__ == "__main__":
    main()
