"""From a configuration's expression to a scikit-learn pipeline: the only door to the boosting libraries."""

import importlib
from dataclasses import dataclass
from typing import Any

import pandas as pd

from app.metalearning.portfolio.expressions import Call, source
from app.metalearning.table import NUMBER_LIKE, Table


@dataclass(frozen=True)
class Steps:
    """A pipeline as its preparation of the data, which others may share, and the pipeline of all that follows."""

    preparation: Call
    preparation_source: str
    rest: Call


def build(expression: Any) -> Any:
    """Evaluate the expression: an unfitted pipeline (its source is what users get as a snippet)."""
    if isinstance(expression, Call):
        module, _, name = expression.function.rpartition(".")
        function = getattr(importlib.import_module(module), name)
        positional = [build(item) for item in expression.positional]
        keywords = {key: build(item) for key, item in expression.keywords.items()}
        return function(*positional, **keywords)
    if isinstance(expression, list | tuple):
        return type(expression)(build(item) for item in expression)
    return expression


def features(table: Table) -> pd.DataFrame:
    """The feature columns as pipelines take them: float64 numbers, strings for categories, NaN where missing."""
    columns = {}
    for column in table.columns:
        values = table.frame[column.name].to_pandas()
        columns[column.name] = values.astype("float64" if column.type in NUMBER_LIKE else "str")
    return pd.DataFrame(columns)


def steps(pipeline: Call) -> Steps:
    """Take a pipeline's expression apart."""
    preparation, *rest = pipeline.positional
    return Steps(preparation, source(preparation), Call(pipeline.function, tuple(rest), pipeline.keywords))
