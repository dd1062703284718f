"""Whole models: pipelines from columns to predictions, and the means of several of them."""

from typing import Any

from workers.experiments.exporting.estimators import predicted
from workers.experiments.exporting.graph import CannotConvertError, Graph
from workers.experiments.exporting.preparation import prepared, step


def answer(graph: Graph, model: Any, columns: dict[str, str]) -> str:
    """Probabilities of shape (rows, classes), or numbers of shape (rows, 1), that a fitted model makes of columns.

    Raises: CannotConvertError, and whatever a converter raises.
    """
    match type(model).__name__:
        case "Pipeline":
            first, *between, last = (each for _, each in model.steps)
            matrix = prepared(graph, first, columns)
            for each in between:
                matrix = step(graph, each, matrix)
            return predicted(graph, last, matrix)
        case "VotingClassifier" | "VotingRegressor":
            return _weighted(graph, model, columns)
    raise CannotConvertError(f"there is no converter for {type(model).__name__}")


def _weighted(graph: Graph, model: Any, columns: dict[str, str]) -> str:
    """The weighted mean of the members."""
    weights = model.weights or [1.0] * len(model.estimators_)
    parts = [
        graph.add("Mul", answer(graph, member, columns), graph.numbers(weight / sum(weights)))
        for member, weight in zip(model.estimators_, weights, strict=True)
    ]
    return parts[0] if len(parts) == 1 else graph.add("Sum", *parts)
