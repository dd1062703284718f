"""`make bench-experiments`: experiments per core-hour, isolated and stored, against bare loops of scikit-learn.

    make bench-experiments DATASETS=folder    cells of a folder with an inventory.csv; TURNS=2 measures less often

Cells are drawn by a fixed seed from the whole portfolio: datasets, and of each some batches of configurations as the builder
makes them, where shipped evidence says that they end well. Without DATASETS the datasets are scikit-learn's and made ones.
The opponent, two warm processes that loop `cross_validate`, fits the same pipelines on the same folds and anchors with one
thread each, and scores every metric of the task type. Datasets of which a fold lacks a class are left out: there it fails.

Every measurement is kept in `build/bench-experiments`, so that a run that was cut off goes on; remove the folder to measure
again. Ours and theirs take turns, and figures are medians of ratios between neighbours: the machine is shared.
"""

# ruff: noqa: E402  threads are fixed before any numeric library loads
from app.config import pin_threads

pin_threads()

import csv
import os
import random
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import sklearn.datasets

from app.metalearning import metadataset
from app.metalearning.portfolio import configurations_of, find_configuration
from app.metalearning.protocol import splits
from app.metalearning.table import FloatArray, Table
from benchmarks import experiment_runs as runs
from benchmarks import recording
from benchmarks.experiment_runs import Cells
from benchmarks.recording import ROOT, record
from workers.training.building import BATCH
from workers.training.estimating import cell_seconds
from workers.training.sources import load_source, read_inventory

KEPT = ROOT / "build" / "bench-experiments"
kept = partial(recording.kept, KEPT)
SEED = 0
N_DATASETS, N_BATCHES = 6, 2
TURNS = int(os.environ.get("TURNS", "3"))
# By the mean CPU seconds of a configuration's cells in the shipped evidence.
COST_CLASSES = {"cheap": (0.0, 0.5), "dear": (0.5, float("inf"))}
# The second worker is measured on cells up to this, so that no single one decides when the last worker ends.
MOST_SCALING_SECONDS = 1.5
_Way = Callable[[Cells], dict[str, float]]


def chosen_datasets() -> tuple[str, list[str]]:
    """The folder, and the drawn datasets in it."""
    folder = os.environ.get("DATASETS", "")
    if not folder:
        print("DATASETS is not set: scikit-learn's datasets and made ones")
        return str(made_datasets()), [source.name for source in read_inventory(made_datasets())]
    drawn = []
    sources = read_inventory(Path(folder))
    random.Random(SEED).shuffle(sources)  # noqa: S311  a draw, not a secret
    for source in sources:
        if len(drawn) < N_DATASETS and has_all_classes_everywhere(load_source(source)):
            drawn.append(source.name)
    return folder, drawn


def has_all_classes_everywhere(table: Table) -> bool:
    """Whether every training and test set has all classes, without which the opponent's scorers fail."""
    plan = splits.plan(table)
    target = table.target_values[plan.rows]
    rows = [part for split in plan.splits for part in (split.training, split.test)]
    return not table.classes or all(
        len(np.unique(target[each])) == len(table.classes) for each in (*rows, *plan.anchors.values())
    )


def made_datasets() -> Path:
    """scikit-learn's small tables, and larger ones with categories and gaps, as a folder with an inventory."""
    folder = KEPT / "datasets"
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for name in ("breast_cancer", "digits", "diabetes"):
        data, target = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)
        lines.append(_written(folder, name, data, target, name != "diabetes"))
    for seed in range(3):
        data, target = sklearn.datasets.make_classification(
            3_000, 20, n_informative=8, n_classes=2 + seed, random_state=seed
        )
        lines.append(_written(folder, f"made_classes_{seed}", data, target, True))
        data, target = sklearn.datasets.make_regression(3_000, 20, noise=20.0, random_state=seed)
        lines.append(_written(folder, f"made_numbers_{seed}", data, target, False))
    with (folder / "inventory.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["name", "target", "task", "group"], *lines])
    return folder


def _written(folder: Path, name: str, data: FloatArray, target: FloatArray, is_class: bool) -> list[str]:
    generator = np.random.default_rng(0)
    columns: dict[str, pa.Array] = {}
    for index, values in enumerate(data.T):
        gaps = generator.random(len(values)) < 0.05
        category = name.startswith("made") and index % 3 == 0
        ranks = np.argsort(np.argsort(values)) * 12 // len(values)
        columns[f"x{index}"] = pa.array(
            np.char.add("level ", ranks.astype(str)) if category else values, mask=gaps
        )
    columns["target"] = pa.array(
        np.char.add("class ", target.astype(str)) if is_class else target.astype(float)
    )
    pa.parquet.write_table(pa.table(columns), folder / f"{name}.parquet")
    return [name, "target", "classification" if is_class else "regression", ""]


def drawn_cells(folder: str, names: list[str]) -> tuple[Cells, dict[str, float]]:
    """Cells, and the mean seconds of each configuration in the shipped evidence."""
    rows = metadataset.read_evaluations(metadataset.DATA_DIR / "evaluations.parquet")
    seconds: dict[str, list[float]] = {}
    ended_well = set()
    for row in rows:
        if row["status"] == "ok":
            seconds.setdefault(row["fingerprint"], []).append(cell_seconds(row))
            ended_well.add((row["dataset"], row["fingerprint"]))
    measured_datasets = {dataset for dataset, _ in ended_well}
    task_types = {source.name: source.task_type for source in read_inventory(Path(folder))}
    dealer = random.Random(SEED)  # noqa: S311  a draw, not a secret
    cells: Cells = []
    for name in names:
        fitting = [each for each in configurations_of(task_types[name]) if each.fingerprint in seconds]
        starts = dealer.sample(range(0, len(fitting), BATCH), N_BATCHES)
        for start in sorted(starts):
            cells += [
                (name, each.id)
                for each in fitting[start : start + BATCH]
                if name not in measured_datasets or (name, each.fingerprint) in ended_well
            ]
    means = {name: statistics.mean(seconds[find_configuration(name).fingerprint]) for _, name in cells}
    return cells, means


def throughput(folder: str, classes: dict[str, Cells]) -> dict[str, float]:
    """One worker: by class of cost, and over all cells."""
    ways: dict[str, _Way] = {
        "alone": lambda cells: runs.in_own_process("built", datasets=folder, cells=cells, workers=1, batch=1),
        "together": lambda cells: runs.in_own_process(
            "built", datasets=folder, cells=cells, workers=1, batch=BATCH
        ),
        "bare": lambda cells: runs.in_own_process("bare", datasets=folder, cells=cells, workers=1),
    }
    measured = {
        (way, name, turn): kept(f"{name}-{way}-{turn}", lambda way=way, name=name: ways[way](classes[name]))
        for turn in range(TURNS)
        for name in classes
        for way in ways
    }
    figures: dict[str, float] = {}
    for name in (*classes, "all"):
        members = list(classes) if name == "all" else [name]

        def total(way: str, turn: int, unit: str, members: list[str] = members) -> float:
            return sum(measured[way, each, turn][unit] for each in members)

        figures[f"{name}: cells [count]"] = total("together", 0, "cells")
        figures[f"{name}: cells without scores [count]"] = total("together", 0, "cells") - total(
            "together", 0, "ok"
        )
        for way in ways:
            per_hour = [
                3600 * total(way, turn, "cells") / total(way, turn, "seconds") for turn in range(TURNS)
            ]
            figures[f"{name}: {way} [experiments per core-hour]"] = statistics.median(per_hour)
        for way in ("alone", "together"):
            for unit, label in (("seconds", "for bare"), ("cpu_seconds", "for bare, by CPU seconds")):
                ratios = [total("bare", turn, unit) / total(way, turn, unit) for turn in range(TURNS)]
                figures[f"{name}: {way} {label} [ratio]"] = statistics.median(ratios)
    return figures


def second_worker(folder: str, cells: Cells) -> dict[str, float]:
    """What the second worker adds, here and there."""
    gains: dict[str, list[float]] = {"together": [], "bare": []}
    for turn in range(TURNS):
        seconds = {
            (way, workers): kept(
                f"scaling-{way}-{workers}-{turn}",
                lambda way=way, workers=workers: runs.in_own_process(
                    "built" if way == "together" else "bare",
                    datasets=folder,
                    cells=cells,
                    workers=workers,
                    **({"batch": BATCH} if way == "together" else {}),
                ),
            )["seconds"]
            for way in gains
            for workers in (1, 2)
        }
        for way, found in gains.items():
            found.append(seconds[way, 1] / seconds[way, 2])
    return {
        "gain of a second worker [ratio]": statistics.median(gains["together"]),
        "gain of a second bare process [ratio]": statistics.median(gains["bare"]),
        "gain for gain [ratio]": statistics.median(
            ours / theirs for ours, theirs in zip(gains["together"], gains["bare"], strict=True)
        ),
    }


def run() -> None:
    """Draw, measure, record."""
    folder, names = chosen_datasets()
    cells, means = drawn_cells(folder, names)
    classes = {
        name: [cell for cell in cells if least <= means[cell[1]] < most]
        for name, (least, most) in COST_CLASSES.items()
    }
    figures = {"datasets [count]": float(len(names)), "turns [count]": float(TURNS)} | throughput(
        folder, classes
    )
    of_scaling = [cell for cell in cells if means[cell[1]] <= MOST_SCALING_SECONDS]
    record("experiments", figures | second_worker(folder, of_scaling))


if __name__ == "__main__":
    run()
