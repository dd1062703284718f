"""Measure one configuration on one dataset under experiment protocol 1.

Verification for users and the shipped meta-dataset both go through `measure`, so their scores are comparable.
"""

import importlib.metadata
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil

from app.errors import ServiceError
from app.isolation import Limits, Report
from app.metalearning import protocol
from app.metalearning.portfolio import Configuration, find_configuration
from app.metalearning.protocol import splits
from app.metalearning.protocol.splits import UNTESTED, Plan
from app.metalearning.table import FloatArray, IntArray, TaskType, read_table
from workers.experiments import pipelines, scoring

PREDICTIONS_FILE = "predictions.npz"


class NotMeasurableError(ServiceError):
    """The algorithm itself refused the data, or predicted something that is no number."""

    status, code, title = 422, "configuration_failed", "Configuration failed"


@dataclass(frozen=True)
class _Fit:
    """What one fit left: predictions for the test rows, and what it cost."""

    predictions: FloatArray
    fit_cpu_seconds: float
    fit_wall_seconds: float
    predict_cpu_seconds: float


def limits(memory_bytes: int, wall_seconds: float = float("inf")) -> Limits:
    """The limits of one experiment: protocol 1's for every fit, the caller's for the whole."""
    return Limits(
        wall_seconds=wall_seconds,
        memory_bytes=memory_bytes,
        fit_cpu_seconds=protocol.FIT_CPU_SECONDS,
        fit_wall_seconds=protocol.FIT_WALL_SECONDS,
    )


def measure(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Cross-validate; write out-of-fold predictions to the task's folder; return scores and costs.

    The file holds the sampled `rows` of the table, in which of the `folds` each was tested, and its `predictions`. Where
    splits go forward in time some rows are never tested: their fold is -1, their prediction NaN, and no score knows them.

    Args:
        payload: `table` (path of a typed table), `configuration` (id), `folder` (for the predictions).
        report: told before every fit, so that the watching process can hold its limits.
    """
    warnings.simplefilter("ignore")  # convergence and the like: the scores tell
    process = psutil.Process()
    resident_before = process.memory_info().rss
    table = read_table(Path(payload["table"]))
    configuration = find_configuration(payload["configuration"])
    plan = splits.plan(table)
    data = pipelines.features(table.take(plan.rows))
    target = table.target_values[plan.rows]
    n_classes = len(table.classes)
    n_splits = len(plan.splits)
    predictions = np.full((len(target), n_classes) if n_classes else len(target), np.nan)
    fold_scores, fits = [], []
    for fold, split in enumerate(plan.splits):
        report({"kind": "fit", "phase": "cross-validation", "done": fold, "total": n_splits})
        fit = _fit(configuration, data, target, split.training, split.test, n_classes)
        predictions[split.test] = fit.predictions
        fold_scores.append(scoring.score(table.task_type, target[split.test], fit.predictions))
        fits.append(fit)
    curve = _learning_curve(configuration, data, target, plan, n_classes, report)
    tested = plan.folds != UNTESTED
    scores = _score_where(table.task_type, tested, target, predictions)
    if not np.isfinite(list(scores.values())).all():
        raise NotMeasurableError(
            f"{configuration.id} predicted absurd values.", "Choose another configuration."
        )
    np.savez_compressed(
        Path(payload["folder"]) / PREDICTIONS_FILE,
        rows=plan.rows,
        folds=plan.folds,
        predictions=predictions.astype("f4"),
    )
    return {
        "protocol": protocol.PROTOCOL,
        "configuration": configuration.id,
        "fingerprint": configuration.fingerprint,
        "splits": splits.describe(table),
        "n_rows": len(target),
        "scores": scores,
        "scores_a": _score_where(table.task_type, plan.halves == 0, target, predictions),
        "scores_b": _score_where(table.task_type, plan.halves == 1, target, predictions),
        "fold_scores": fold_scores,
        "learning_curve": curve,
        "fit_cpu_seconds": float(np.mean([fit.fit_cpu_seconds for fit in fits])),
        "fit_wall_seconds": float(np.mean([fit.fit_wall_seconds for fit in fits])),
        "predict_cpu_seconds_per_1000_rows": 1000 * sum(f.predict_cpu_seconds for f in fits) / np.sum(tested),
        "peak_memory_bytes": max(0, _peak_resident_bytes() - resident_before),
        "versions": versions(configuration),
    }


def versions(configuration: Configuration) -> dict[str, str]:
    """Versions of the libraries that a score depends on."""
    distributions = {"sklearn": "scikit-learn", "xgboost": "xgboost-cpu", "interpret": "interpret-core"}
    package = configuration.algorithm.estimator(configuration.task_type).split(".", 1)[0]
    names = {"scikit-learn", "numpy", distributions.get(package, package)}
    return {name: importlib.metadata.version(name) for name in sorted(names)}


def fit_pipeline(
    configuration: Configuration, data: pd.DataFrame, target: FloatArray, task_type: TaskType
) -> Any:
    """Fit the configuration on all rows; classifiers learn class codes."""
    model = pipelines.build(configuration.pipeline)
    model.fit(data, target.astype(np.int64) if task_type is TaskType.CLASSIFICATION else target)
    return model


def _fit(
    configuration: Configuration,
    data: pd.DataFrame,
    target: FloatArray,
    training: IntArray,
    test: IntArray,
    n_classes: int,
) -> _Fit:
    labels = np.unique(target[training]).astype(np.int64)
    if (
        n_classes and len(labels) == 1
    ):  # nothing to learn: every learner would predict the one class that it saw
        certain = np.zeros((len(test), n_classes))
        certain[:, labels[0]] = 1.0
        return _Fit(certain, 0.0, 0.0, 0.0)
    # Boosting libraries want codes without gaps, and a rare class can be absent from a training set.
    known = np.searchsorted(labels, target[training]) if n_classes else target[training]
    model = pipelines.build(configuration.pipeline)
    try:
        _, cpu, wall = _timed(lambda: model.fit(data.iloc[training], known))
        predict = model.predict_proba if n_classes else model.predict
        raw, predict_cpu, _ = _timed(lambda: predict(data.iloc[test]))
    except MemoryError:
        raise
    except Exception as error:  # each library has exceptions of its own; here they all mean: not this data
        text = f"{configuration.id} could not learn from this dataset: {error}"[:500]
        raise NotMeasurableError(text, "Choose another configuration.") from error
    if not np.isfinite(raw).all():
        raise NotMeasurableError(
            f"{configuration.id} predicted values that are no numbers.", "Choose another configuration."
        )
    predictions: FloatArray
    if n_classes:
        predictions = np.zeros((len(test), n_classes))
        predictions[:, labels] = raw / np.maximum(raw.sum(axis=1, keepdims=True), 1e-12)
    else:
        predictions = np.asarray(raw, dtype=np.float64).ravel()
    return _Fit(predictions, cpu, wall, predict_cpu)


def _learning_curve(
    configuration: Configuration,
    data: pd.DataFrame,
    target: FloatArray,
    plan: Plan,
    n_classes: int,
    report: Report,
) -> list[dict[str, Any]]:
    """Scores on the first split's test rows after training on the anchors' rows; anchors that cannot be learned from are left out."""
    test = plan.splits[0].test
    task_type = TaskType.CLASSIFICATION if n_classes else TaskType.REGRESSION
    points = []
    for anchor, rows in plan.anchors.items():
        if len(np.unique(target[rows])) < 2:
            continue
        report({"kind": "fit", "phase": "learning curve", "anchor": anchor})
        try:
            fit = _fit(configuration, data, target, rows, test, n_classes)
        except NotMeasurableError:
            continue
        scores = scoring.score(task_type, target[test], fit.predictions)
        points.append({"anchor": anchor, "fit_cpu_seconds": fit.fit_cpu_seconds, **scores})
    return points


def _score_where(
    task_type: TaskType, chosen: FloatArray, target: FloatArray, predictions: FloatArray
) -> dict[str, float]:
    return scoring.score(task_type, target[chosen], predictions[chosen])


def _timed(function: Callable[[], Any]) -> tuple[Any, float, float]:
    """The function's value, CPU seconds and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    value = function()
    return value, time.process_time() - cpu, time.perf_counter() - wall


def _peak_resident_bytes() -> int:
    """The largest resident size that this process has had."""
    with Path("/proc/self/status").open() as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
