"""Compare the stack with the best single configuration on rows that chose neither."""

from dataclasses import dataclass

import numpy as np

from app.metalearning import protocol
from app.metalearning.metrics import Metric
from app.metalearning.protocol.splits import Plan
from app.metalearning.table import FloatArray, IntArray
from workers.experiments import scoring
from workers.experiments.measured import Measured

_N_RESAMPLES = 500
_CONFIDENCE = 0.9
# Resampling fewer than this says nothing: it finds every difference certain.
_FEWEST_UNITS = 5


class NoComparisonError(Exception):
    """There is no fair comparison; the text says why."""


@dataclass(frozen=True)
class Comparison:
    """The stack against the best single configuration; positive favours the stack."""

    single: str
    difference: float
    low: float
    high: float
    rows: int

    @property
    def verdict(self) -> str:
        """What may honestly be said."""
        if self.low > 0:
            return "stack_better"
        return "single_better" if self.high < 0 else "no_clear_difference"


def compare(
    metric: Metric, singles: list[Measured], stacked: Measured, target: FloatArray, plan: Plan
) -> Comparison:
    """Choose the best single on half A, compare it with the stack on half B; the interval is a paired bootstrap.

    Whole units are resampled, because rows of one group, or close in time, are no independent witnesses.

    Raises: NoComparisonError.
    """
    judged = np.flatnonzero(plan.halves == 1)
    units = [judged[plan.units[judged] == unit] for unit in np.unique(plan.units[judged])]
    if len(units) < _FEWEST_UNITS:
        raise NoComparisonError(
            f"Half of the tested rows are {len(units)} groups or stretches of time, too few for a fair comparison."
        )
    if len(np.unique(target[judged])) < 2:
        raise NoComparisonError(
            "On half of the tested rows the target has one value only: nothing to compare."
        )
    try:
        best = min(singles, key=lambda each: metric.loss(each.scores_a[metric.name]).item())
        difference = _advantage(metric, best, stacked, target, judged)
    except KeyError as undefined:
        raise NoComparisonError(
            f"On half of the rows {undefined} is not defined, so there is no fair comparison."
        ) from undefined
    generator = np.random.default_rng(protocol.SEED)
    resampled = []
    for _ in range(_N_RESAMPLES):
        rows = np.concatenate([units[drawn] for drawn in generator.choice(len(units), len(units))])
        if len(np.unique(target[rows])) > 1:
            resampled.append(_advantage(metric, best, stacked, target, rows))
    low, high = np.quantile(resampled, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return Comparison(best.name, difference, float(low), float(high), len(judged))


def _advantage(
    metric: Metric, single: Measured, stacked: Measured, target: FloatArray, rows: IntArray
) -> float:
    losses = [
        metric.loss(scoring.score_one(metric.name, target[rows], each.predictions[rows])).item()
        for each in (single, stacked)
    ]
    return float(losses[0] - losses[1])
