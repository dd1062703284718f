"""Whole models: pipelines from columns to predictions, and what combines several of them."""

from typing import Any

import numpy as np

from workers.experiments.exporting.estimators import predicted
from workers.experiments.exporting.graph import CannotConvertError, Graph
from workers.experiments.exporting.preparation import prepared, step

Given = dict[str, str] | str  # columns by name, or a matrix of float64


def answer(graph: Graph, model: Any, given: Given) -> str:
    """Probabilities of shape (rows, classes), or numbers of shape (rows, 1), that a fitted model makes of what is given.

    Raises: CannotConvertError, and whatever a converter raises.
    """
    match type(model).__name__:
        case "Pipeline":
            return _through(graph, [each for _, each in model.steps], given)
        case "VotingClassifier" | "VotingRegressor":
            return _weighted(graph, model, given)
        case "StackingClassifier" | "StackingRegressor":
            return _stacked(graph, model, given)
    if isinstance(given, dict):
        raise CannotConvertError(f"there is no converter for {type(model).__name__}")
    return predicted(graph, model, given)


def _through(graph: Graph, steps: list[Any], given: Given) -> str:
    """One step after the other; the first makes a matrix where there are columns."""
    *before, last = steps
    if isinstance(given, dict):
        first, *before = before
        given = prepared(graph, first, given)
    for each in before:
        given = step(graph, each, given)
    return predicted(graph, last, given)


def _weighted(graph: Graph, model: Any, given: Given) -> str:
    """The weighted mean of the members."""
    weights = model.weights or [1.0] * len(model.estimators_)
    parts = [
        graph.add("Mul", answer(graph, member, given), graph.numbers(weight / sum(weights)))
        for member, weight in zip(model.estimators_, weights, strict=True)
    ]
    return parts[0] if len(parts) == 1 else graph.add("Sum", *parts)


def _stacked(graph: Graph, model: Any, given: Given) -> str:
    """What the final estimator makes of the members' predictions side by side; of two classes the second one's."""
    parts = [answer(graph, member, given) for member in model.estimators_]
    if len(getattr(model, "classes_", ())) == 2:
        second = graph.constant(np.array([1]))
        parts = [graph.add("Gather", part, second, axis=1) for part in parts]
    return answer(
        graph, model.final_estimator_, parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=1)
    )
