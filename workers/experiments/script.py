"""A stand-alone Python script that repeats the winner's cross-validation and refits it, without metaselect."""

from typing import Any

from app.metalearning.metrics import Metric
from app.metalearning.portfolio.expressions import Call, imports, source
from app.metalearning.table import Table, TaskType
from workers.experiments.scoring import SMALLEST_PROBABILITY
from workers.experiments.script_reading import reading_functions
from workers.experiments.script_splits import source_with_needs, split_functions, statements

# The metrics as expressions of `truth` and `predictions`, equal to workers.experiments.scoring.
_METRICS = {
    "accuracy": "np.mean(predictions.argmax(axis=1) == truth)",
    "balanced_accuracy": "balanced_accuracy_score(truth, predictions.argmax(axis=1))",
    "macro_f1": (
        'f1_score(truth, predictions.argmax(axis=1), labels=np.unique(truth), average="macro", zero_division=0)'
    ),
    "log_loss": (
        f"-np.mean(np.log(np.clip(predictions[np.arange(len(truth)), truth], {SMALLEST_PROBABILITY}, 1)))"
    ),
    "brier": "np.mean(np.sum((predictions - np.eye(predictions.shape[1])[truth]) ** 2, axis=1))",
    "roc_auc": (
        "roc_auc_score(truth, predictions[:, 1]) if predictions.shape[1] == 2 else np.mean("
        "[roc_auc_score(truth == label, predictions[:, label]) for label in np.unique(truth)])"
    ),
    "rmse": "np.sqrt(np.mean((predictions - truth) ** 2))",
    "mae": "np.mean(np.abs(predictions - truth))",
    "r2": "r2_score(truth, predictions)",
    "spearman": "pandas.Series(predictions).corr(pandas.Series(truth), method='spearman')",
}
_SCORERS = ("balanced_accuracy_score", "f1_score", "roc_auc_score", "r2_score")

_CODES = "as_label(frame[{}]).astype('category').cat.codes.to_numpy()"
_TIME_FUNCTION = '''def as_time(column):
    """Numbers as they are, dates as days."""
    if pandas.api.types.is_numeric_dtype(column):
        return column.to_numpy(dtype="float64")
    start = pandas.Timestamp("1970-01-01", tz="UTC").as_unit("us")
    dates = pandas.to_datetime(column, utc=True, format="ISO8601").astype("datetime64[us, UTC]")
    return ((dates - start) / pandas.Timedelta(days=1)).to_numpy()


'''
# The loops of workers.experiments.evaluation: labels without gaps, for a training set can lack a rare class.
_PREDICT_CLASSES = """predictions = np.zeros((len(target), int(target.max()) + 1))
    for split in splits:
        labels = np.unique(target[split.training])
        if len(labels) == 1:
            predictions[split.test, labels[0]] = 1
            continue
        known = np.searchsorted(labels, target[split.training])
        model = make_model().fit(data.iloc[split.training], known)
        raw = model.predict_proba(data.iloc[split.test])
        predictions[np.ix_(split.test, labels)] = raw / raw.sum(axis=1, keepdims=True)"""
_PREDICT_NUMBERS = """predictions = np.zeros(len(target))
    for split in splits:
        model = make_model().fit(data.iloc[split.training], target[split.training])
        predictions[split.test] = model.predict(data.iloc[split.test])"""

_TEMPLATE = '''"""Repeats the cross-validation of the recommended model and refits it on all rows.

    python script.py DATA.csv

Needs: {needs}. Expected: {metric} = {score:.6f}{remark}
"""

import sys
from dataclasses import dataclass

import numpy as np
import pandas
import pyarrow.parquet
{imports}

{reading_functions}

{time_function}{split_functions}


def make_model():
    """The recommended model, unfitted."""
    return {expression}


def predict_out_of_fold(data, target, splits):
    """Targets and predictions of all tested rows; every model, preprocessing included, sees its training rows only."""
    {predict}
    tested = np.sort(np.concatenate([split.test for split in splits]))
    return target[tested], predictions[tested]


{statements}
print("{metric} =", round(float({metric_source}), 6))
model = make_model().fit(data, target)
print("`model` is fitted on", len(data), "rows.")
'''


def render_script(
    expression: Call, table: Table, metric: Metric, score: float, reading: dict[str, Any]
) -> str:
    """The script's source.

    Args:
        expression: the winner.
        table: tells names and types of the columns.
        metric: the score to print.
        score: what it was in the verification.
        reading: how the uploaded file was read (format, encoding, delimiter).
    """
    metric_source = _METRICS[metric.name]
    scorers = [name for name in _SCORERS if name in metric_source]
    lines = {
        *imports(expression),
        *(["from sklearn.metrics import " + ", ".join(scorers)] if scorers else []),
    }
    return _TEMPLATE.format(
        needs=", ".join(
            sorted({line.split()[1].split(".")[0] for line in lines} | {"numpy", "pandas", "pyarrow"})
        ),
        metric=metric.name,
        score=score,
        remark=""
        if expression.function == "sklearn.pipeline.make_pipeline"
        else " or close to it: the stack is nested here",
        imports="\n".join(sorted(lines)),
        **_cross_validation(table, reading),
        expression=source(expression, 4),
        metric_source=metric_source,
    )


def _cross_validation(table: Table, reading: dict[str, Any]) -> dict[str, str]:
    """The script's text from the file to the predictions that it scores."""
    classification = table.task_type is TaskType.CLASSIFICATION
    values = {
        "data": "pandas.DataFrame(data)",
        "target": _CODES.format("TARGET") if classification else 'frame[TARGET].to_numpy(dtype="float64")',
    }
    if table.group is not None:
        values["groups"] = _CODES.format(source(table.group))
    if table.time is not None:
        values["times"] = f"as_time(frame[{source(table.time)}])"
    functions = split_functions(table)
    return {
        "reading_functions": reading_functions(table, reading, list(values.values())),
        "split_functions": source_with_needs(functions),
        "time_function": "" if table.time is None else _TIME_FUNCTION,
        "statements": statements(functions, list(values)),
        "predict": _PREDICT_CLASSES if classification else _PREDICT_NUMBERS,
    }
