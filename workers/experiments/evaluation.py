"""Measure configurations on one dataset under experiment protocol 1.

Verification for users and the shipped meta-dataset both go through `_measure`, so their scores are comparable.
"""

import gc
import importlib.metadata
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from app.errors import ServiceError
from app.isolation import Report
from app.metalearning import protocol
from app.metalearning.portfolio import Configuration, Size, configuration_called, find_configuration
from app.metalearning.protocol import splits
from app.metalearning.protocol.splits import UNTESTED, Plan
from app.metalearning.table import FloatArray, IntArray, Table, TaskType, read_table
from workers.experiments import memory, pipelines, scoring
from workers.experiments.calibration import recent_probe
from workers.experiments.contract import PREDICTIONS_FILE, NotApplicableError
from workers.experiments.extrapolation import Rival
from workers.experiments.pipelines import Steps
from workers.experiments.preparing import Preparations, timed
from workers.experiments.search.halving import Rungs


class NotMeasurableError(ServiceError):
    """The algorithm itself refused the data, or predicted something that is no number."""

    status, code, title = 422, "configuration_failed", "Configuration failed"


@dataclass(frozen=True)
class _Problem:
    """A table as the protocol sees it; `resident_bytes` is what the process grew by on reading it."""

    table: Table
    plan: Plan
    size: Size
    target: FloatArray
    preparations: Preparations
    resident_bytes: int

    @property
    def n_classes(self) -> int:
        return len(self.table.classes)


@dataclass(frozen=True)
class _Fit:
    """What one fit left: predictions for the test rows, and what it cost."""

    predictions: FloatArray
    fit_cpu_seconds: float
    fit_wall_seconds: float
    predict_cpu_seconds: float


def measure(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Cross-validate; write out-of-fold predictions to the task's folder; return scores and costs.

    The file holds the sampled `rows` of the table, in which of the `folds` each was tested, and its `predictions`. Where
    splits go forward in time some rows are never tested: their fold is -1, their prediction NaN, and no score knows them.

    The learning curve comes first. Where it leaves no hope of beating the `rival`, or no place on the `rungs`, the rest is
    not measured: there are no scores and no file, and `extrapolation` or `rung` says why.

    Args:
        payload: `table` (path of a typed table), `configuration` (id), `folder` (for the predictions), `probe_file` (see
            `calibration`), `gpu` (whether there is one), `rival` (see `extrapolation.Rival`; None where nothing is hopeless);
            of a search also its `trial`, and `rungs` (see `search.halving.Rungs`) where it gives trials up.
        report: told before every fit, so that the watching process can hold its limits.

    Raises: NotApplicableError, NotMeasurableError.
    """
    warnings.simplefilter("ignore")  # convergence and the like: the scores tell
    problem = _read(Path(payload["table"]))
    task_type = problem.table.task_type
    configuration = configuration_called(payload["configuration"], task_type, payload.get("trial"))
    reason = why_not(configuration, problem.size, gpu=payload["gpu"])
    if reason is not None:
        raise NotApplicableError(f"{configuration.id} {reason}.", "Choose another configuration.")
    rival = _rival(payload)
    result, predictions = _measure(problem, configuration, Path(payload["probe_file"]), report, rival)
    if predictions is None:
        return result
    np.savez_compressed(
        Path(payload["folder"]) / PREDICTIONS_FILE,
        rows=problem.plan.rows,
        folds=problem.plan.folds,
        predictions=predictions.astype("f4"),
    )
    return result


def _rival(payload: dict[str, Any]) -> Rival | Rungs | None:
    if payload.get("rungs"):
        return Rungs(**payload["rungs"])
    return Rival(**payload["rival"]) if payload["rival"] else None


def measure_together(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Measure configurations one after another, for their scores and costs alone; equal preparations are fitted once.

    Ends after the first one where the system cannot tell how much memory each of them takes.

    Args:
        payload: `table` (path of a typed table), `configurations` (ids, applicable ones), `probe_file`.
        report: told before every fit, and of every configuration's `result` or `refusal` as soon as it is there.
    """
    warnings.simplefilter("ignore")
    problem = _read(Path(payload["table"]))
    gc.freeze()  # what stays need not be searched for garbage between any two
    most = None if memory.forget_peak() else 1
    for name in payload["configurations"][:most]:
        memory.give_back()
        try:
            probe_file = Path(payload["probe_file"])
            result, _ = _measure(problem, find_configuration(name), probe_file, report, None)
            report({"result": result})
        except NotMeasurableError as refusal:
            report({"refusal": refusal.as_dict()})
    return {}


def size_of(table: Table, rows: IntArray) -> Size:
    """The size that decides which configurations apply: of the rows that the protocol samples."""
    counts = np.unique(table.target_values[rows], return_counts=True)[1]
    return Size(
        rows=len(rows),
        columns=len(table.columns),
        classes=len(table.classes) or None,
        smallest_class=int(counts.min()) if table.classes else None,
    )


def why_not(configuration: Configuration, size: Size, *, gpu: bool) -> str | None:
    """Why the configuration does not apply to a dataset of this size, as a phrase; None where it does."""
    return configuration.algorithm.requirements.why_not(size, gpu=gpu)


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


def _read(path: Path) -> _Problem:
    before = memory.resident_bytes()
    table = read_table(path)
    plan = splits.plan(table)
    data = pipelines.features(table.take(plan.rows))
    target = table.target_values[plan.rows]
    size = size_of(table, plan.rows)
    return _Problem(table, plan, size, target, Preparations(data), memory.resident_bytes() - before)


def _measure(
    problem: _Problem,
    configuration: Configuration,
    probe_file: Path,
    report: Report,
    rival: Rival | Rungs | None,
) -> tuple[dict[str, Any], FloatArray | None]:
    """The configuration's result, and its out-of-fold predictions; None of these where it was hopeless."""
    probe_before = recent_probe(probe_file)
    memory.forget_peak()
    resident_before = memory.resident_bytes()
    steps = pipelines.steps(configuration.pipeline)
    plan, target, task_type = problem.plan, problem.target, problem.table.task_type
    n_rows, n_splits = len(target), len(plan.splits)
    facts = {
        "protocol": protocol.PROTOCOL,
        "configuration": configuration.id,
        "fingerprint": configuration.fingerprint,
        "splits": splits.describe(problem.table),
        "n_rows": n_rows,
        "versions": versions(configuration),
    }
    curve, hopeless = _learning_curve(problem, configuration.id, steps, report, rival)
    if rival is not None and hopeless is not None:
        return facts | {
            "learning_curve": curve,
            rival.called: hopeless,
            "probe_seconds": probe_before,
        }, None
    predictions = np.full((n_rows, problem.n_classes) if problem.n_classes else n_rows, np.nan)
    fold_scores, fits = [], []
    for fold, split in enumerate(plan.splits):
        report({"kind": "fit", "phase": "cross-validation", "done": fold, "total": n_splits})
        fit = _fit(problem, configuration.id, steps, split.training, split.test)
        predictions[split.test] = fit.predictions
        fold_scores.append(scoring.score(task_type, target[split.test], fit.predictions))
        fits.append(fit)
    tested = plan.folds != UNTESTED
    scores = _score_where(task_type, tested, target, predictions)
    if not np.isfinite(list(scores.values())).all():
        raise NotMeasurableError(
            f"{configuration.id} predicted absurd values.", "Choose another configuration."
        )
    grown = memory.peak_resident_bytes() - resident_before
    result = facts | {
        "scores": scores,
        "scores_a": _score_where(task_type, plan.halves == 0, target, predictions),
        "scores_b": _score_where(task_type, plan.halves == 1, target, predictions),
        "fold_scores": fold_scores,
        "learning_curve": curve,
        "fit_cpu_seconds": float(np.mean([fit.fit_cpu_seconds for fit in fits])),
        "fit_wall_seconds": float(np.mean([fit.fit_wall_seconds for fit in fits])),
        "predict_cpu_seconds_per_1000_rows": 1000 * sum(f.predict_cpu_seconds for f in fits) / np.sum(tested),
        "probe_seconds": (probe_before + recent_probe(probe_file)) / 2,
        "peak_memory_bytes": max(0, problem.resident_bytes + grown),
    }
    return result, predictions


def _fit(problem: _Problem, name: str, steps: Steps, training: IntArray, test: IntArray) -> _Fit:
    target, n_classes = problem.target[training], problem.n_classes
    labels = np.unique(target).astype(np.int64)
    if (
        n_classes and len(labels) == 1
    ):  # nothing to learn: every learner would predict the one class that it saw
        certain = np.zeros((len(test), n_classes))
        certain[:, labels[0]] = 1.0
        return _Fit(certain, 0.0, 0.0, 0.0)
    # Boosting libraries want codes without gaps, and a rare class can be absent from a training set.
    known = np.searchsorted(labels, target) if n_classes else target
    try:
        prepared = problem.preparations.prepare(steps, training, test, known)
        # Copies: a learner may write to its own, but not to those of the next.
        data, of_test = prepared.training.copy(order="K"), prepared.test.copy(order="K")
        model = pipelines.build(steps.rest)
        _, cpu, wall = timed(lambda: model.fit(data, known))
        predict = model.predict_proba if n_classes else model.predict
        raw, predict_cpu, _ = timed(lambda: predict(of_test))
    except (MemoryError, OSError):
        raise
    except Exception as error:  # each library has exceptions of its own; here they all mean: not this data
        text = f"{name} could not learn from this dataset: {error}"[:500]
        raise NotMeasurableError(text, "Choose another configuration.") from error
    if not np.isfinite(raw).all():
        raise NotMeasurableError(
            f"{name} predicted values that are no numbers.", "Choose another configuration."
        )
    predictions: FloatArray
    if n_classes:
        predictions = np.zeros((len(test), n_classes))
        predictions[:, labels] = raw / np.maximum(raw.sum(axis=1, keepdims=True), 1e-12)
    else:
        predictions = np.asarray(raw, dtype=np.float64).ravel()
    return _Fit(
        predictions,
        prepared.fit_cpu_seconds + cpu,
        prepared.fit_wall_seconds + wall,
        prepared.transform_cpu_seconds + predict_cpu,
    )


def _learning_curve(
    problem: _Problem, name: str, steps: Steps, report: Report, rival: Rival | Rungs | None
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Scores on the first split's test rows after training on the anchors' rows; anchors that cannot be learned from are left out.

    It ends where it leaves no hope; then the reason comes with it.
    """
    training, test = problem.plan.splits[0].training, problem.plan.splits[0].test
    points: list[dict[str, Any]] = []
    for anchor, rows in problem.plan.anchors.items():
        if len(np.unique(problem.target[rows])) < 2:
            continue
        report({"kind": "fit", "phase": "learning curve", "anchor": anchor})
        try:
            fit = _fit(problem, name, steps, rows, test)
        except NotMeasurableError:
            continue
        scores = scoring.score(problem.table.task_type, problem.target[test], fit.predictions)
        points.append({"anchor": anchor, "fit_cpu_seconds": fit.fit_cpu_seconds, **scores})
        hopeless = rival.leaves_behind(points, len(training)) if rival is not None else None
        if hopeless is not None:
            return points, hopeless
    return points, None


def _score_where(
    task_type: TaskType, chosen: FloatArray, target: FloatArray, predictions: FloatArray
) -> dict[str, float]:
    return scoring.score(task_type, target[chosen], predictions[chosen])
