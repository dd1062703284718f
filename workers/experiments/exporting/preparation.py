"""The steps before the estimator: gaps filled, numbers scaled, categories as columns or codes, all in float64."""

from collections.abc import Callable
from typing import Any

import numpy as np

from workers.experiments.exporting.curves import normal_ranks, splines
from workers.experiments.exporting.graph import ML, CannotConvertError, Graph
from workers.experiments.exporting.kernels import nystroem

MISSING = ""  # how a missing category is written: strings have no NaN


def prepared(graph: Graph, transformer: Any, columns: dict[str, str]) -> str:
    """The matrix that a fitted ColumnTransformer makes of the columns, shape (rows, features).

    Args:
        graph: gets the nodes.
        transformer: as `app.metalearning.portfolio.preparation` writes it.
        columns: the value of each column, shape (rows, 1), by its name.

    Raises: CannotConvertError.
    """
    parts = [
        _part(graph, fitted, [columns[name] for name in names])
        for _, fitted, names in transformer.transformers_
        if len(names) and fitted != "drop"
    ]
    return parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=1)


def step(graph: Graph, fitted: Any, matrix: str) -> str:
    """What a fitted transformer of numbers makes of a matrix.

    Raises: CannotConvertError.
    """
    convert = _CONVERTERS.get(type(fitted).__name__)
    if convert is None:
        raise CannotConvertError(f"there is no converter for {type(fitted).__name__}")
    return convert(graph, fitted, matrix)


def _steps(graph: Graph, fitted: Any, matrix: str) -> str:
    for each in fitted:
        matrix = step(graph, each, matrix)
    return matrix


def _unchanged(_: Graph, fitted: Any, matrix: str) -> str:
    if fitted.func is not None:
        raise CannotConvertError("there is no converter for a function of Python")
    return matrix


def _without_gaps(graph: Graph, fitted: Any, matrix: str) -> str:
    is_gap = graph.add("IsNaN", matrix)
    return graph.add("Where", is_gap, graph.numbers(fitted.statistics_[None, :]), matrix)


def _scaled(graph: Graph, fitted: Any, matrix: str) -> str:
    centred = graph.add("Sub", matrix, graph.numbers(fitted.mean_[None, :]))
    return graph.add("Div", centred, graph.numbers(fitted.scale_[None, :]))


def _part(graph: Graph, fitted: Any, values: list[str]) -> str:
    kind = type(fitted).__name__
    if kind == "OneHotEncoder":
        return _joined(graph, [_indicators(graph, fitted, place, each) for place, each in enumerate(values)])
    if kind == "OrdinalEncoder":
        return _joined(graph, [_codes(graph, fitted, place, each) for place, each in enumerate(values)])
    matrix = _joined(graph, values)
    return matrix if fitted == "passthrough" else step(graph, fitted, matrix)


def _joined(graph: Graph, values: list[str]) -> str:
    return values[0] if len(values) == 1 else graph.add("Concat", *values, axis=1)


def _codes(graph: Graph, encoder: Any, place: int, value: str) -> str:
    """Positions among the categories; NaN for what is missing or unknown."""
    categories = encoder.categories_[place]
    keys = [str(each) for each in categories if not _is_missing(each)]
    _check_keys(keys)
    if not keys:  # nothing but gaps in training
        keys = [MISSING]
        codes = [float("nan")]
    else:
        codes = [float(code) for code, each in enumerate(categories) if not _is_missing(each)]
    found = graph.add(
        "LabelEncoder",
        value,
        domain=ML,
        keys_strings=keys,
        values_floats=codes,
        default_float=float("nan"),
    )
    return graph.as_float64(found)


def _indicators(graph: Graph, encoder: Any, place: int, value: str) -> str:
    """A column of 0 and 1 per frequent category, and one for the rare ones where there are any."""
    categories = encoder.categories_[place]
    mapping = getattr(encoder, "_default_to_infrequent_mappings", [None] * len(encoder.categories_))[place]
    columns = np.arange(len(categories)) if mapping is None else np.asarray(mapping)
    width = int(columns.max()) + 1 if len(columns) else 0
    rare = (
        width - 1 if mapping is not None else -1
    )  # where what is unknown goes; no column has the position -1
    keys = [MISSING if _is_missing(each) else str(each) for each in categories]
    _check_keys([key for key, each in zip(keys, categories, strict=True) if not _is_missing(each)])
    found = graph.add(
        "LabelEncoder",
        value,
        domain=ML,
        keys_strings=keys,
        values_int64s=[int(column) for column in columns],
        default_int64=rare,
    )
    positions = graph.constant(np.arange(width, dtype=np.int64)[None, :])
    return graph.as_float64(graph.add("Equal", found, positions))


def _is_missing(category: Any) -> bool:
    return category is None or (isinstance(category, float) and np.isnan(category))


def _check_keys(keys: list[str]) -> None:
    if MISSING in keys:
        raise CannotConvertError("the empty string is a category, and stands for missing ones in ONNX")


_CONVERTERS: dict[str, Callable[[Graph, Any, str], str]] = {
    "Pipeline": _steps,
    "FunctionTransformer": _unchanged,
    "SimpleImputer": _without_gaps,
    "StandardScaler": _scaled,
    "QuantileTransformer": normal_ranks,
    "SplineTransformer": splines,
    "Nystroem": nystroem,
}
