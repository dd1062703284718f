"""`make bench-evidence DATASETS=folder`: are the shipped scores true? Twenty cells are measured again, in two ways.

1. As the meta-dataset was built: the same code, the same seed. Every score should be the shipped one.
2. As a user would: the script that the service exports reads the dataset's file; scikit-learn's own `cross_val_predict`
   runs its pipeline on its splits, and `sklearn.metrics` scores the predictions.

The cells are drawn with a fixed seed, ten per task type, no algorithm and no dataset twice, fits of at most two CPU seconds.
Each result is kept in build/evidence/ until the cell or a library changes, so that an interrupted run goes on.
"""

# ruff: noqa: E402  threads are fixed before any numeric library loads
from app.config import pin_threads

pin_threads()

import contextlib
import io
import json
import os
import random
import runpy
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import sklearn.metrics
from rich.console import Console
from rich.progress import track
from rich.table import Table as Shown
from sklearn.model_selection import cross_val_predict

from app.metalearning.columns import Declaration, type_table
from app.metalearning.metadataset import DATA_DIR, flatten_scores, read_evaluations
from app.metalearning.metrics import Metric, headline_metric, metrics_of
from app.metalearning.portfolio import CONFIGURATIONS, find_configuration
from app.metalearning.reading import read_file
from app.metalearning.table import TaskType, write_table
from benchmarks.recording import ROOT, record
from workers.experiments import evaluation
from workers.experiments.scoring import SMALLEST_PROBABILITY
from workers.experiments.script import render_script
from workers.training.building import Source, load_source, read_inventory

SEED = 20
CELLS_PER_TASK_TYPE = 10
MOST_FIT_SECONDS = 2.0
# Relative; what different orders of summation may change. The script prints six digits, so it is held to those.
TOLERANCE = 1e-9
PARTS = ROOT / "build" / "evidence"


def main() -> None:
    """Measure the cells that are not measured yet, show them, and record the figures."""
    folder = os.environ.get("DATASETS", "")
    if not folder:
        sys.exit("Say where the datasets are: make bench-evidence DATASETS=folder (with an inventory.csv)")
    sources = {source.name: source for source in read_inventory(Path(folder))}
    cells = draw(read_evaluations(DATA_DIR / "evaluations.parquet"))
    checked = [_checked(cell, sources[cell["dataset"]]) for cell in track(cells, "cells")]
    Console(width=150).print(_table(checked))
    record("evidence", figures(checked))


def draw(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Random cells with a score and quick fits, no algorithm and no dataset twice in a task type."""
    ordered = sorted(rows, key=lambda row: (row["dataset"], row["configuration"]))
    random.Random(SEED).shuffle(ordered)  # noqa: S311  a sample, not a secret
    return [cell for task_type in TaskType for cell in _diverse(ordered, task_type)]


def _diverse(rows: list[dict[str, Any]], task_type: TaskType) -> list[dict[str, Any]]:
    drawn: list[dict[str, Any]] = []
    algorithms, datasets = set(), set()
    for row in rows:
        configuration = CONFIGURATIONS.get(row["configuration"])
        if (
            len(drawn) < CELLS_PER_TASK_TYPE
            and row["task_type"] == task_type
            and row["status"] == "ok"
            and row["fit_cpu_seconds"] <= MOST_FIT_SECONDS
            and configuration is not None
            and configuration.fingerprint == row["fingerprint"]
            and configuration.algorithm.name not in algorithms
            and row["dataset"] not in datasets
        ):
            algorithms.add(configuration.algorithm.name)
            datasets.add(row["dataset"])
            drawn.append(row)
    return drawn


def _checked(cell: dict[str, Any], source: Source) -> dict[str, Any]:
    """The cell's shipped scores beside those of both ways, kept in a file."""
    metric = headline_metric(source.task_type, cell["n_classes"])
    configuration = find_configuration(cell["configuration"])
    basis = {
        "dataset": cell["dataset"],
        "configuration": cell["configuration"],
        "metric": metric.name,
        "fingerprint": cell["fingerprint"],
        "shipped": cell[metric.name],
        "shipped versions": json.loads(cell["versions"]),
        "versions": evaluation.versions(configuration),
    }
    part = PARTS / f"{cell['dataset']}-{cell['configuration']}.json"
    if part.exists() and (known := json.loads(part.read_text())).items() >= basis.items():
        return dict(known)
    with tempfile.TemporaryDirectory() as folder:
        again = _measured_again(cell, source, Path(folder))
        printed, plain = _as_a_user(source, cell["configuration"], metric, Path(folder))
    shipped = _every_score(cell, cell["fold_scores"], source.task_type)
    differences = [_difference(shipped[name], again[name]) for name in shipped]
    checked = basis | {
        "again": again[metric.name],
        "printed": printed,
        "plain": plain,
        "scores": len(shipped),
        "largest difference": max(differences),
    }
    PARTS.mkdir(parents=True, exist_ok=True)
    part.write_text(json.dumps(checked, indent=1))
    return checked


def _measured_again(cell: dict[str, Any], source: Source, folder: Path) -> dict[str, float]:
    """Every score, by the code that built the meta-dataset."""
    write_table(load_source(source), folder / "table.parquet")
    payload = {
        "table": str(folder / "table.parquet"),
        "configuration": cell["configuration"],
        "folder": str(folder),
        "probe_file": str(folder / "probe"),
        "gpu": False,
        "rival": None,
    }
    result = evaluation.measure(payload, lambda _: None)
    return _every_score(flatten_scores(result), result["fold_scores"], source.task_type)


def _every_score(flat: dict[str, Any], folds: list[dict[str, Any]], task_type: TaskType) -> dict[str, float]:
    """All metrics on all rows, on both halves and on every fold, by name."""
    names = [metric.name for metric in metrics_of(task_type)]
    parts = {f"{name}{part}": flat[f"{name}{part}"] for name in names for part in ("", "_a", "_b")}
    return parts | {
        f"{name} of fold {number}": fold[name] for number, fold in enumerate(folds) for name in names
    }


def _difference(one: float | None, other: float | None) -> float:
    """Relative, at least to 1; a score that is unknown on one side only (one class in a fold) is all different."""
    if one is None or other is None or not np.isfinite([one, other]).all():
        unknown = [value is None or not np.isfinite(value) for value in (one, other)]
        return 0.0 if all(unknown) else 1.0
    return abs(one - other) / max(1.0, abs(one))


def _as_a_user(source: Source, configuration: str, metric: Metric, folder: Path) -> tuple[float, float]:
    """The score that the exported script prints, and that of scikit-learn's cross-validation of its pipeline."""
    raw = read_file(source.path, target=source.target)
    table, _ = type_table(raw.frame, Declaration(source.target, source.task_type))
    script = folder / "script.py"
    pipeline = find_configuration(configuration).pipeline
    script.write_text(render_script(pipeline, table, metric, 0.0, raw.facts()))
    output = io.StringIO()
    sys.argv = [str(script), str(source.path)]
    with warnings.catch_warnings(), contextlib.redirect_stdout(output):
        warnings.simplefilter("ignore")  # convergence and the like: the scores tell
        of = runpy.run_path(str(script))
        rows = of.get("rows", np.arange(len(of["target"])))
        data, target = of["data"].iloc[rows], of["target"][rows]
        classification = source.task_type is TaskType.CLASSIFICATION
        predictions = cross_val_predict(
            of["make_model"](),
            data,
            target.astype(int) if classification else target,
            cv=[(split.training, split.test) for split in of["splits"]],
            method="predict_proba" if classification else "predict",
        )
        score = _sklearn_score(metric, target, predictions)
    return float(output.getvalue().splitlines()[0].rpartition(" ")[2]), score


def _sklearn_score(metric: Metric, target: Any, predictions: Any) -> float:
    if metric.name == "roc_auc":
        return float(sklearn.metrics.roc_auc_score(target, predictions[:, 1]))
    if metric.name == "log_loss":  # protocol 1 holds probabilities to 1e-7
        return float(sklearn.metrics.log_loss(target, np.maximum(predictions, SMALLEST_PROBABILITY)))
    return float(sklearn.metrics.root_mean_squared_error(target, predictions))


def _table(checked: list[dict[str, Any]]) -> Shown:
    names = ("dataset", "configuration", "metric", "shipped", "again", "script", "plain scikit-learn")
    table = Shown(*names, title="Shipped scores, measured again")
    for each in checked:
        scores = (f"{each[name]:.6f}" for name in ("shipped", "again", "printed", "plain"))
        table.add_row(each["dataset"], each["configuration"], each["metric"], *scores)
    return table


def figures(checked: list[dict[str, Any]]) -> dict[str, float]:
    """How many cells agree, the largest differences, and every cell's scores."""
    same = sum(each["versions"] == each["shipped versions"] for each in checked)
    plain = [_difference(each["shipped"], each["plain"]) for each in checked]
    printed = [abs(each["shipped"] - each["printed"]) for each in checked]
    algorithms = {find_configuration(each["configuration"]).algorithm.name for each in checked}
    return {
        "cells [count]": len(checked),
        "algorithms [count]": len(algorithms),
        "cells with the libraries' shipped versions [count]": same,
        "tolerance [relative]": TOLERANCE,
        "scores compared, same code and seed [count]": sum(each["scores"] for each in checked),
        "cells equal, same code and seed [count]": sum(
            each["largest difference"] <= TOLERANCE for each in checked
        ),
        "largest difference, same code and seed [relative]": max(
            each["largest difference"] for each in checked
        ),
        "cells equal, script as printed [count]": sum(each <= 5e-7 + TOLERANCE for each in printed),
        "cells equal, plain scikit-learn [count]": sum(each <= TOLERANCE for each in plain),
        "largest difference, plain scikit-learn [relative]": max(plain),
        **{
            f"{each['dataset']} {each['configuration']} {name} [{each['metric']}]": each[key]
            for each in checked
            for name, key in (("shipped", "shipped"), ("again", "again"), ("plain scikit-learn", "plain"))
        },
    }


if __name__ == "__main__":
    main()
