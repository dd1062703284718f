"""Explainable boosting: a table of scores per feature or pair of features, looked up by bins and summed."""

from typing import Any

import numpy as np
from onnx import TensorProto

from app.metalearning.table import FloatArray
from workers.experiments.exporting.graph import CannotConvertError, Graph


def summed_tables(graph: Graph, estimator: Any, matrix: str) -> str:
    """Probabilities of shape (rows, classes), or numbers of shape (rows, 1), of an explainable boosting machine.

    Raises: CannotConvertError.
    """
    if set(estimator.feature_types_in_) != {"continuous"}:
        raise CannotConvertError("there is no converter for explainable boosting of nominal features")
    n_scores = np.size(estimator.intercept_)
    total = graph.numbers(np.reshape(estimator.intercept_, (1, n_scores)))
    bins: dict[tuple[int, int], str] = {}
    for features, scores in zip(estimator.term_features_, estimator.term_scores_, strict=True):
        place = None
        for feature, width in zip(
            features, scores.shape, strict=False
        ):  # behind the features come the classes
            cuts = _cuts(estimator.bins_[feature], len(features))
            key = (feature, len(features))
            if key not in bins:
                bins[key] = _bin(graph, matrix, feature, cuts)
            place = bins[key] if place is None else _next(graph, place, width, bins[key])
        assert place is not None, "a term has features"
        table = graph.numbers(scores.reshape(-1, n_scores))
        total = graph.add("Add", total, graph.add("Gather", table, place))
    if estimator.link_ == "identity":
        return total
    if estimator.link_ in ("logit", "mlogit"):
        return graph.shares(total, n_scores)
    raise CannotConvertError(f"there is no converter for the link {estimator.link_}")


def _cuts(levels: list[FloatArray], n_features: int) -> FloatArray:
    """Pairs of features have coarser bins than single ones, where there are several levels."""
    return levels[min(n_features, len(levels)) - 1]


def _bin(graph: Graph, matrix: str, feature: int, cuts: FloatArray) -> str:
    """The bin of each row, shape (rows,): the first for gaps, then between one cut and the next, the lower one included."""
    column = graph.add("Gather", matrix, graph.constant(np.array([feature])), axis=1)
    axes = graph.constant(np.array([1]))
    reached = graph.cast(graph.add("LessOrEqual", graph.numbers(cuts[None, :]), column), TensorProto.INT64)
    above = graph.add("ReduceSum", reached, axes, keepdims=0)
    is_there = graph.cast(graph.add("Not", graph.add("IsNaN", column)), TensorProto.INT64)
    return graph.add("Add", above, graph.add("Squeeze", is_there, axes))


def _next(graph: Graph, place: str, width: int, other: str) -> str:
    """The place in a table of one more dimension."""
    return graph.add("Add", graph.add("Mul", place, graph.constant(np.array(width))), other)
