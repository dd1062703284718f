"""Combine measured configurations by their out-of-fold predictions."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from app.metalearning.metrics import Metric
from app.metalearning.portfolio import Configuration
from app.metalearning.portfolio.expressions import Call
from app.metalearning.protocol.splits import UNTESTED, Plan
from app.metalearning.table import FloatArray, Table
from workers.experiments import scoring
from workers.experiments.leaderboard import COSTS
from workers.experiments.measured import Measured
from workers.experiments.metamodels import META_MODELS, Learn, Learned, select, two_layers

STACK = "stack"
# What is tried where nobody asks for one meta-model: those that cost one fit of every configuration that they use.
_TRIED = ("selection", "least_squares")


class NoStackError(Exception):
    """The configurations cannot be stacked like that; the text says why."""


@dataclass(frozen=True)
class Stack:
    """A stack: what its own cross-validation measured, and the meta-model that learned from all rows that were tested."""

    measured: Measured
    learned: Learned
    meta_model: str
    singles: list[Measured]

    @property
    def members(self) -> list[Configuration]:
        """The configurations that it needs."""
        return [self.singles[index].configuration for index in self.learned.used]

    @property
    def expression(self) -> Call:
        """The stack as one scikit-learn expression."""
        return self.learned.expression([(each.name, each.configuration.pipeline) for each in self.singles])

    def facts(self) -> dict[str, Any]:
        """What the job's result tells of it."""
        return {
            "meta_model": self.meta_model,
            "members": [self.singles[index].name for index in self.learned.used],
            **self.learned.facts([each.name for each in self.singles]),
        }


def make_stack(
    table: Table,
    measured: list[Measured],
    metric: Metric,
    plan: Plan,
    meta_model: str | None = None,
    layers: int = 1,
) -> Stack:
    """Combine the configurations with the meta-model that is asked for, else with the one that half A prefers.

    Args:
        table: says what can be taken home.
        measured: the configurations.
        metric: decides between meta-models.
        plan: of the table's rows.
        meta_model: a name of `META_MODELS`.
        layers: with 2 a layer of learners lies between configurations and weights.

    Raises: NoStackError.
    """
    target = table.target_values[plan.rows]
    tested = plan.folds != UNTESTED
    stacks: list[Stack] = []
    refused = ""
    for name, learn in _candidates(meta_model, layers).items():
        try:
            predictions = out_of_fold(learn, measured, target, plan)
            learned = learn([each.predictions[tested] for each in measured], target[tested])
        except ValueError as error:
            refused = str(error)[:300]
            continue
        of_all, of_a = (
            scoring.score(table.task_type, target[rows], predictions[rows])
            for rows in (tested, plan.halves == 0)
        )
        costs = {cost: sum(measured[index].costs[cost] for index in learned.used) for cost in COSTS}
        stacks.append(Stack(Measured(STACK, of_all, of_a, predictions, costs), learned, name, measured))
    if not stacks:
        raise NoStackError(f"The stack could not be fitted: {refused}")
    return min(stacks, key=lambda each: _loss_of_a(metric, each.measured))


def out_of_fold(learn: Learn, measured: list[Measured], target: FloatArray, plan: Plan) -> FloatArray:
    """The stack's own out-of-fold predictions, NaN where never tested.

    For every split the meta-model learns from the out-of-fold predictions of those rows that the split learns from: of
    the other folds, or of the earlier ones where splits go forward in time. For the first of these there are none, so
    all configurations count equally there.
    """
    predictions = np.full_like(measured[0].predictions, np.nan)
    for split in plan.splits:
        known, test = split.training[plan.folds[split.training] != UNTESTED], split.test
        of_test = [each.predictions[test] for each in measured]
        if len(known):
            learned = learn([each.predictions[known] for each in measured], target[known])
            predictions[test] = learned.predict(of_test)
        else:
            predictions[test] = np.mean(of_test, axis=0)
    return predictions


def _candidates(meta_model: str | None, layers: int) -> dict[str, Learn]:
    if layers > 1:
        combine = META_MODELS[meta_model] if meta_model else select
        return {f"two layers, {meta_model or 'selection'}": two_layers(combine)}  # type: ignore[arg-type]  # of these two
    names = (meta_model,) if meta_model else _TRIED
    return {name: META_MODELS[name] for name in names}


def _loss_of_a(metric: Metric, measured: Measured) -> float:
    """On half A; where the metric is not defined there, all are alike."""
    score = measured.scores_a.get(metric.name)
    return np.inf if score is None else float(metric.loss(score))
