"""A stand-alone Python script that repeats the winner's cross-validation and refits it, without metaselect."""

from typing import Any

from app.metalearning import protocol
from app.metalearning.metrics import Metric
from app.metalearning.portfolio.expressions import Call, imports, source
from app.metalearning.reading import MISSING_MARKERS
from app.metalearning.table import ColumnType, Table, TaskType
from workers.experiments.scoring import SMALLEST_PROBABILITY

# The metrics as expressions of `truth` and `predictions`, equal to workers.experiments.scoring.
_METRICS = {
    "accuracy": "numpy.mean(predictions.argmax(axis=1) == truth)",
    "balanced_accuracy": "balanced_accuracy_score(truth, predictions.argmax(axis=1))",
    "macro_f1": 'f1_score(truth, predictions.argmax(axis=1), average="macro", zero_division=0)',
    "log_loss": (
        f"-numpy.mean(numpy.log(numpy.clip(predictions[numpy.arange(len(truth)), truth], {SMALLEST_PROBABILITY}, 1)))"
    ),
    "brier": "numpy.mean(numpy.sum((predictions - numpy.eye(predictions.shape[1])[truth]) ** 2, axis=1))",
    "roc_auc": (
        'roc_auc_score(truth, predictions[:, 1] if predictions.shape[1] == 2 else predictions, multi_class="ovr")'
    ),
    "rmse": "numpy.sqrt(numpy.mean((predictions - truth) ** 2))",
    "mae": "numpy.mean(numpy.abs(predictions - truth))",
    "r2": "r2_score(truth, predictions)",
    "spearman": "pandas.Series(predictions).corr(pandas.Series(truth), method='spearman')",
}
_SCORERS = ("balanced_accuracy_score", "f1_score", "roc_auc_score", "r2_score")

_TEMPLATE = '''"""Repeats the cross-validation of the recommended model and refits it on all rows.

    python script.py DATA.csv

Needs: {needs}. Expected: {metric} = {score:.6f}{remark}
"""

import sys

import numpy
import pandas
{imports}

TARGET = {target}
NUMBERS = {numbers}
DATES = {dates}
CATEGORIES = {categories}


def read(path):
    """The rows with a target: numbers as floats, dates as days since 1970, categories as strings."""
    {read}
    frame.columns = [str(name).strip() for name in frame.columns]
    frame = frame[frame[TARGET].notna()].reset_index(drop=True)
    data = {{}}
    for name in {order}:
        column = frame[name]
        if name in NUMBERS:
            data[name] = column.astype("float64").replace([numpy.inf, -numpy.inf], numpy.nan)
        elif name in DATES:
            data[name] = (pandas.to_datetime(column) - pandas.Timestamp(0)) / pandas.Timedelta(days=1)
        else:
            data[name] = as_label(column)
    return pandas.DataFrame(data), {target_values}


def as_label(column):
    """Values as strings, whole numbers without a decimal point, missing ones left missing."""
    if pandas.api.types.is_bool_dtype(column):
        return column.map({{True: "true", False: "false"}})
    if pandas.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    return column.astype("str").where(column.notna(), numpy.nan).astype("str")


def order_by_target(target, seed):
    """Rows sorted by target, rows of equal target in random order."""
    shuffled = numpy.random.default_rng(seed).permutation(len(target))
    return shuffled[numpy.argsort(target[shuffled], kind="stable")]


def sample_rows(target, most):
    """At most that many rows, stratified by target."""
    if len(target) <= most:
        return numpy.arange(len(target))
    return numpy.sort(order_by_target(target, {seed})[numpy.arange(most) * len(target) // most])


def assign_folds(target):
    """The fold of every row, stratified by target."""
    folds = numpy.empty(len(target), dtype=int)
    folds[order_by_target(target, {seed})] = numpy.arange(len(target)) % (5 if len(target) <= {many} else 3)
    return folds


def make_model():
    """The recommended model, unfitted."""
    return {expression}


data, target = read(sys.argv[1])
rows = sample_rows(target, {most_rows})
truth = target[rows]
# Every fold's model sees the other folds only; preprocessing is part of the pipeline.
predictions = cross_val_predict(
    make_model(), data.iloc[rows], truth, cv=PredefinedSplit(assign_folds(truth)), method="{method}"
)
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
    by_type: dict[str, list[str]] = {"numbers": [], "dates": [], "categories": []}
    for column in table.columns:
        kind = {ColumnType.NUMERIC: "numbers", ColumnType.BOOLEAN: "numbers", ColumnType.DATE: "dates"}
        by_type[kind.get(column.type, "categories")].append(column.name)
    classification = table.task_type is TaskType.CLASSIFICATION
    metric_source = _METRICS[metric.name]
    scorers = [name for name in _SCORERS if name in metric_source]
    lines = {
        *imports(expression),
        "from sklearn.model_selection import PredefinedSplit, cross_val_predict",
        *(["from sklearn.metrics import " + ", ".join(scorers)] if scorers else []),
    }
    return _TEMPLATE.format(
        needs=", ".join(sorted({line.split()[1].split(".")[0] for line in lines} | {"pandas"})),
        metric=metric.name,
        score=score,
        remark=""
        if expression.function == "sklearn.pipeline.make_pipeline"
        else " or close to it: the stack is nested here",
        imports="\n".join(sorted(lines)),
        target=source(table.target),
        numbers=source(by_type["numbers"], 0),
        dates=source(by_type["dates"], 0),
        categories=source(by_type["categories"], 0),
        order=source([column.name for column in table.columns], 4),
        read=_reading_source(reading),
        target_values=(
            "as_label(frame[TARGET]).astype('category').cat.codes.to_numpy()"
            if classification
            else 'frame[TARGET].to_numpy(dtype="float64")'
        ),
        seed=protocol.SEED,
        many=protocol.MANY_ROWS,
        most_rows=protocol.MOST_ROWS,
        expression=source(expression, 4),
        method="predict_proba" if classification else "predict",
        metric_source=metric_source,
    )


def _reading_source(reading: dict[str, Any]) -> str:
    if reading["format"] == "parquet":
        return "frame = pandas.read_parquet(path)"
    arguments = [
        f"sep={source(reading['delimiter'])}",
        f"encoding={source('utf-8-sig' if reading['encoding'] == 'utf-8' else reading['encoding'])}",
        f"na_values={source(list(MISSING_MARKERS))}",
        "keep_default_na=False",
    ]
    return f"frame = pandas.read_csv(path, {', '.join(arguments)})"
