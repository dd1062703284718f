"""Learners that compare rows with rows of training: kernels and nearest neighbours."""

from typing import Any

import numpy as np

from app.metalearning.table import FloatArray
from workers.experiments.exporting.graph import CannotConvertError, Graph

MOST_COMPARED = 50_000  # numbers of training that one row is compared with at once


def nystroem(graph: Graph, fitted: Any, matrix: str) -> str:
    """Kernel values at the components, times the normalisation.

    Raises: CannotConvertError.
    """
    if fitted.kernel != "rbf":
        raise CannotConvertError(f"there is no converter for Nystroem with the kernel {fitted.kernel}")
    components = fitted.components_
    gamma = 1.0 / components.shape[1] if fitted.gamma is None else fitted.gamma
    values = _gaussians(graph, matrix, components, gamma)
    return graph.add("MatMul", values, graph.numbers(fitted.normalization_.T))


def support_vectors(graph: Graph, estimator: Any, matrix: str) -> str:
    """The numbers of an SVR, shape (rows, 1); ONNX Runtime has its own node in float32 alone.

    Raises: CannotConvertError.
    """
    values = _kernel(graph, matrix, estimator)
    weighed = graph.add("MatMul", values, graph.numbers(estimator.dual_coef_.T))
    return graph.add("Add", weighed, graph.numbers(estimator.intercept_))


def can_compare(estimator: Any) -> bool:
    """Whether so few neighbours were learned that a row can be compared with all of them at once."""
    return bool(estimator._fit_X.size <= MOST_COMPARED)  # noqa: SLF001  there is no public way to them


def neighbours(graph: Graph, estimator: Any, matrix: str) -> str:
    """The mean of the nearest neighbours: shares of classes, or numbers of shape (rows, 1).

    Raises: CannotConvertError.
    """
    known = estimator._fit_X  # noqa: SLF001
    rows = graph.add("Unsqueeze", matrix, graph.constant(np.array([1])))
    apart = graph.add("Abs", graph.add("Sub", rows, graph.numbers(known[None])))
    distances = _distances(graph, apart, estimator.effective_metric_)
    count = graph.constant(np.array([estimator.n_neighbors]))
    nearest, place = graph.add_pair("TopK", distances, count, axis=1, largest=0, sorted=1)
    weights = _weights(graph, nearest, estimator.weights)
    answers = graph.add("Gather", graph.numbers(_answers(estimator)), place)
    weighed = graph.add("Mul", graph.add("Unsqueeze", weights, graph.constant(np.array([2]))), answers)
    total = graph.add("ReduceSum", weights, graph.constant(np.array([1])), keepdims=1)
    return graph.add("Div", graph.add("ReduceSum", weighed, graph.constant(np.array([1])), keepdims=0), total)


def _kernel(graph: Graph, matrix: str, estimator: Any) -> str:
    """Kernel values of shape (rows, support vectors)."""
    known, gamma = estimator.support_vectors_, estimator._gamma  # noqa: SLF001  there is no public way to it
    if estimator.kernel == "rbf":
        return _gaussians(graph, matrix, known, gamma)
    products = graph.add("MatMul", matrix, graph.numbers(gamma * known.T))
    inner = graph.add("Add", products, graph.numbers(estimator.coef0))
    if estimator.kernel == "poly":
        return graph.add("Pow", inner, graph.numbers(float(estimator.degree)))
    if estimator.kernel == "sigmoid":
        return graph.add("Tanh", inner)
    raise CannotConvertError(f"there is no converter for the kernel {estimator.kernel}")


def _gaussians(graph: Graph, matrix: str, known: FloatArray, gamma: float) -> str:
    """Of squared distances, from squares and products."""
    axes = graph.constant(np.array([1]))
    squares = graph.add("ReduceSum", graph.add("Mul", matrix, matrix), axes, keepdims=1)
    products = graph.add("MatMul", matrix, graph.numbers(2.0 * known.T))
    of_known = graph.numbers((known**2).sum(axis=1)[None, :])
    distances = graph.add("Add", graph.add("Sub", squares, products), of_known)
    return graph.add("Exp", graph.add("Mul", distances, graph.numbers(-gamma)))


def _distances(graph: Graph, apart: str, metric: str) -> str:
    """From differences of shape (rows, known rows, features)."""
    axes = graph.constant(np.array([2]))
    if metric == "euclidean":
        return graph.add("Sqrt", graph.add("ReduceSum", graph.add("Mul", apart, apart), axes, keepdims=0))
    if metric == "manhattan":
        return graph.add("ReduceSum", apart, axes, keepdims=0)
    if metric == "chebyshev":
        return graph.add("ReduceMax", apart, axes, keepdims=0)
    raise CannotConvertError(f"there is no converter for neighbours by the metric {metric}")


def _weights(graph: Graph, distances: str, weights: str) -> str:
    """Equal ones, or by distance; a row that is one of training's is decided by its likes alone."""
    one = graph.numbers(1.0)
    if weights == "uniform":
        return graph.add("Add", graph.add("Mul", distances, graph.numbers(0.0)), one)
    is_same = graph.add("Equal", distances, graph.numbers(0.0))
    same = graph.as_float64(is_same)
    any_same = graph.add("ReduceMax", same, graph.constant(np.array([1])), keepdims=1)
    by_distance = graph.add("Div", one, graph.add("Where", is_same, one, distances))
    return graph.add("Where", graph.add("Equal", any_same, one), same, by_distance)


def _answers(estimator: Any) -> FloatArray:
    """What training knows of each row: indicators of classes, or the number itself."""
    known = estimator._y  # noqa: SLF001
    if hasattr(estimator, "classes_"):
        indicators: FloatArray = np.eye(len(estimator.classes_))[known]
        return indicators
    return np.asarray(known, dtype=np.float64).reshape(len(known), 1)
