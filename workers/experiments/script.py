"""A stand-alone Python script that repeats the winner's cross-validation and refits it, without metaselect."""

from typing import Any

from app.metalearning.conversions import LARGEST_NUMBER
from app.metalearning.metrics import Metric
from app.metalearning.portfolio.expressions import Call, imports, source
from app.metalearning.reading import MISSING_MARKERS
from app.metalearning.table import ColumnType, Table, TaskType
from workers.experiments.scoring import SMALLEST_PROBABILITY
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
_KINDS = {
    ColumnType.NUMERIC: "numbers",
    ColumnType.BOOLEAN: "booleans",
    ColumnType.DATE: "dates",
    ColumnType.TIME: "times",
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

TARGET = {target}
COLUMNS = {columns}
NUMBERS = {numbers}
BOOLEANS = {booleans}
DATES = {dates}
TIMES = {times}
CATEGORIES = {categories}


def read(path):
    """The rows with a target: numbers as floats, dates and times as days, categories as strings."""
    {read}
    frame.columns = COLUMNS
    frame = frame[frame[TARGET].notna()].reset_index(drop=True)
    data = {{}}
    for name in {order}:
        column = frame[name]
        if name in NUMBERS:
            numbers = column.astype("float64")
            data[name] = numbers.where(numbers.abs() < {largest})
        elif name in BOOLEANS:
            text = column.astype("str").str.lower()
            data[name] = text.map({{"true": 1.0, "1": 1.0, "1.0": 1.0, "false": 0.0, "0": 0.0, "0.0": 0.0}})
        elif name in DATES:
            start = pandas.Timestamp("1970-01-01", tz="UTC").as_unit("us")
            dates = pandas.to_datetime(column, utc=True, format="ISO8601").astype("datetime64[us, UTC]")
            data[name] = (dates - start) / pandas.Timedelta(days=1)
        elif name in TIMES:
            data[name] = pandas.to_timedelta(column.astype("str").where(column.notna())) / pandas.Timedelta(days=1)
        else:
            data[name] = as_label(column)
    return ({array_values}
    )


def as_label(column):
    """Values as strings, whole numbers without a decimal point, missing ones left missing."""
    if pandas.api.types.is_bool_dtype(column):
        return column.astype("boolean").map({{True: "true", False: "false"}})
    if pandas.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    return column.astype("str").where(column.notna(), np.nan).astype("str")


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
    by_type: dict[str, list[str]] = {
        "numbers": [],
        "booleans": [],
        "dates": [],
        "times": [],
        "categories": [],
    }
    for column in table.columns:
        by_type[_KINDS.get(column.type, "categories")].append(column.name)
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
        target=source(table.target),
        columns=source(reading["column_names"]),
        **{kind: source(names) for kind, names in by_type.items()},
        largest=LARGEST_NUMBER,
        order=source([column.name for column in table.columns], 4),
        read=_reading_source(reading),
        **_cross_validation(table),
        expression=source(expression, 4),
        metric_source=metric_source,
    )


def _cross_validation(table: Table) -> dict[str, str]:
    """The script's text from the arrays that it reads to the predictions that it scores."""
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
        "array_values": "".join(f"\n        {value}," for value in values.values()),
        "split_functions": source_with_needs(functions),
        "time_function": "" if table.time is None else _TIME_FUNCTION,
        "statements": statements(functions, list(values)),
        "predict": _PREDICT_CLASSES if classification else _PREDICT_NUMBERS,
    }


def _reading_source(reading: dict[str, Any]) -> str:
    if reading["format"] == "parquet":
        return "frame = pyarrow.parquet.read_table(path).to_pandas(ignore_metadata=True)"
    arguments = [
        f"sep={source(reading['delimiter'])}",
        f"encoding={source('utf-8-sig' if reading['encoding'] == 'utf-8' else reading['encoding'])}",
        f"decimal={source(reading['decimal'])}",
        "header=0, names=COLUMNS, index_col=False",
        f"na_values={source(list(MISSING_MARKERS))}, keep_default_na=False",
    ]
    return f"frame = pandas.read_csv(path, {', '.join(arguments)})"
