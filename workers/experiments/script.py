"""A stand-alone Python script that repeats the winner's cross-validation and refits it, without metaselect."""

from typing import Any

from app.metalearning.metrics import Metric
from app.metalearning.portfolio.expressions import Call, imports, source
from app.metalearning.table import Table, TaskType
from workers.experiments.scoring import SMALLEST_PROBABILITY
from workers.experiments.script_embedding import source_with_needs
from workers.experiments.script_reading import arrays_of, reading_part
from workers.experiments.script_splits import split_functions, statements

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

_ENDINGS = {
    "csv": ".csv",
    "parquet": ".parquet",
    "arff": ".arff",
    "sparse_arff": ".arff",
    "json_lines": ".jsonl",
}
_TEMPLATE = '''"""Repeats the cross-validation of the recommended model and refits it on all rows.

    python script.py {file}

Needs: {needs}. Expected: {metric} = {score:.6f}{remark}
"""

{standard_imports}

import numpy as np
import pandas
import pyarrow as pa
import pyarrow.compute as pc
{imports}

{reading}

{embedded}


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
        reading: how the uploaded file was read (the facts of a RawTable).
    """
    metric_source = _METRICS[metric.name]
    scorers = [name for name in _SCORERS if name in metric_source]
    part = reading_part(table, reading)
    splitting = split_functions(table)
    standard = {"import sys", "from dataclasses import dataclass"}
    installed = {
        *imports(expression),
        *(["from sklearn.metrics import " + ", ".join(scorers)] if scorers else []),
    }
    for line in part.imports:
        (installed if _package(line) == "pyarrow" else standard).add(line)
    classification = table.task_type is TaskType.CLASSIFICATION
    return _TEMPLATE.format(
        file="DATA" + _ENDINGS[reading["format"]],
        needs=", ".join(sorted({_package(line) for line in installed} | {"numpy", "pandas", "pyarrow"})),
        metric=metric.name,
        score=score,
        remark=""
        if expression.function == "sklearn.pipeline.make_pipeline"
        else " or close to it: the stack is nested here",
        standard_imports=_sorted(standard),
        imports=_sorted(installed),
        reading=part.text,
        embedded=source_with_needs([*part.functions, *splitting]),
        expression=source(expression, 4),
        predict=_PREDICT_CLASSES if classification else _PREDICT_NUMBERS,
        statements=statements(splitting, list(arrays_of(table))),
        metric_source=metric_source,
    )


def _package(line: str) -> str:
    """The package that an import line needs."""
    return line.split()[1].split(".", maxsplit=1)[0]


def _sorted(lines: set[str]) -> str:
    return "\n".join(sorted(lines, key=lambda line: (line.startswith("from"), line)))
