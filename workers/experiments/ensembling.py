"""Combine measured configurations by their out-of-fold predictions."""

from collections.abc import Sequence

import numpy as np

from app.metalearning.portfolio import find_configuration
from app.metalearning.portfolio.expressions import Call, call
from app.metalearning.protocol.splits import UNTESTED, Plan
from app.metalearning.table import FloatArray, Table, TaskType
from workers.experiments import pipelines, scoring
from workers.experiments.leaderboard import COSTS
from workers.experiments.measured import Measured

STACK = "stack"
# Weights of every meta-model are non-negative: negative ones turn what folds know of each other into seeming skill.
REGRESSION_META_MODEL = call("sklearn.linear_model.LinearRegression", positive=True)
_N_SELECTIONS = 25


def winning_expression(table: Table, members: list[Measured], target: FloatArray, plan: Plan) -> Call:
    """The winner as one scikit-learn expression: a single pipeline, or a stack of several."""
    if len(members) == 1:
        return find_configuration(members[0].name).pipeline
    estimators = [(each.name, find_configuration(each.name).pipeline) for each in members]
    if not _is_weighted_mean(table):
        return call("sklearn.ensemble.StackingRegressor", estimators, REGRESSION_META_MODEL, cv=5)
    tested = plan.folds != UNTESTED
    weights = select_weights([each.predictions[tested] for each in members], target[tested]).tolist()
    if table.task_type is TaskType.REGRESSION:
        return call("sklearn.ensemble.VotingRegressor", estimators, weights=weights)
    return call("sklearn.ensemble.VotingClassifier", estimators, voting="soft", weights=weights)


def select_weights(predictions: Sequence[FloatArray], target: FloatArray) -> FloatArray:
    """How often each is chosen when the mean of the chosen is improved step by step (Caruana et al. 2004).

    What improves is log-loss for probabilities and squared error for numbers.

    Args:
        predictions: out-of-fold predictions per configuration, of shape (rows, classes) or (rows,).
        target: class codes or numbers, shape (rows,).

    Returns: weights that sum to 1, shape (configurations,).
    """
    if predictions[0].ndim == 2:
        each = np.stack([one[np.arange(len(target)), target.astype(np.int64)] for one in predictions])
    else:
        each = np.stack(predictions)
    chosen, counts = np.zeros(len(target)), np.zeros(len(predictions))
    for step in range(1, _N_SELECTIONS + 1):
        means = (chosen + each) / step
        if predictions[0].ndim == 2:
            gains = np.log(np.maximum(means, scoring.SMALLEST_PROBABILITY))
        else:
            gains = -((means - target) ** 2)
        best = int(np.argmax(gains.mean(axis=1)))
        chosen, counts[best] = chosen + each[best], counts[best] + 1
    return counts / _N_SELECTIONS


def stack_out_of_fold(table: Table, measured: list[Measured], target: FloatArray, plan: Plan) -> Measured:
    """The stack's own out-of-fold predictions.

    For every split the meta-model learns from the out-of-fold predictions of those rows that the split learns from: of
    the other folds, or of the earlier ones where splits go forward in time. For the first of these there are none, so
    all configurations count equally there.
    """
    predictions = np.full_like(measured[0].predictions, np.nan)
    for split in plan.splits:
        known, test = split.training[plan.folds[split.training] != UNTESTED], split.test
        if _is_weighted_mean(table):
            weights = np.full(len(measured), 1 / len(measured))
            if len(known):
                weights = select_weights([each.predictions[known] for each in measured], target[known])
            predictions[test] = sum(
                w * each.predictions[test] for w, each in zip(weights, measured, strict=True)
            )
        else:
            inputs = np.column_stack([each.predictions for each in measured])
            model = pipelines.build(REGRESSION_META_MODEL).fit(inputs[known], target[known])
            predictions[test] = model.predict(inputs[test])
    of_all, of_a = (
        scoring.score(table.task_type, target[rows], predictions[rows])
        for rows in (plan.folds != UNTESTED, plan.halves == 0)
    )
    costs = {name: sum(each.costs[name] for each in measured) for name in COSTS}
    return Measured(STACK, of_all, of_a, predictions, costs)


def _is_weighted_mean(table: Table) -> bool:
    """Whether the stack is a weighted mean; otherwise scikit-learn's StackingRegressor, which splits rows at random."""
    return table.task_type is TaskType.CLASSIFICATION or table.group is not None or table.time is not None
