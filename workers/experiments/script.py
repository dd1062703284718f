"""A stand-alone Python script that repeats the winner's cross-validation and refits it, without metaselect."""

from typing import Any

from app.metalearning import protocol
from app.metalearning.columns import LARGEST_NUMBER
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
_KINDS = {
    ColumnType.NUMERIC: "numbers",
    ColumnType.BOOLEAN: "booleans",
    ColumnType.DATE: "dates",
    ColumnType.TIME: "times",
}
_SCORERS = ("balanced_accuracy_score", "f1_score", "roc_auc_score", "r2_score")

_TEMPLATE = '''"""Repeats the cross-validation of the recommended model and refits it on all rows.

    python script.py DATA.csv

Needs: {needs}. Expected: {metric} = {score:.6f}{remark}
"""

import sys

import numpy
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
    return pandas.DataFrame(data), {target_values}


def as_label(column):
    """Values as strings, whole numbers without a decimal point, missing ones left missing."""
    if pandas.api.types.is_bool_dtype(column):
        return column.astype("boolean").map({{True: "true", False: "false"}})
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
truth = {truth}
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
    by_type: dict[str, list[str]] = {
        "numbers": [],
        "booleans": [],
        "dates": [],
        "times": [],
        "categories": [],
    }
    for column in table.columns:
        by_type[_KINDS.get(column.type, "categories")].append(column.name)
    classification = table.task_type is TaskType.CLASSIFICATION
    metric_source = _METRICS[metric.name]
    scorers = [name for name in _SCORERS if name in metric_source]
    lines = {
        *imports(expression),
        "from sklearn.model_selection import PredefinedSplit, cross_val_predict",
        *(["from sklearn.metrics import " + ", ".join(scorers)] if scorers else []),
    }
    return _TEMPLATE.format(
        needs=", ".join(sorted({line.split()[1].split(".")[0] for line in lines} | {"pandas", "pyarrow"})),
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
        target_values=(
            "as_label(frame[TARGET]).astype('category').cat.codes.to_numpy()"
            if classification
            else 'frame[TARGET].to_numpy(dtype="float64")'
        ),
        # Classes that the sample lacks do not count.
        truth="numpy.unique(target[rows], return_inverse=True)[1]" if classification else "target[rows]",
        seed=protocol.SEED,
        many=protocol.MANY_ROWS,
        most_rows=protocol.MOST_ROWS,
        expression=source(expression, 4),
        method="predict_proba" if classification else "predict",
        metric_source=metric_source,
    )


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
