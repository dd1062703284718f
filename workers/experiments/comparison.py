"""Compare the stack with the best single configuration on rows that chose neither."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from app.metalearning import protocol
from app.metalearning.metrics import Metric
from app.metalearning.protocol.splits import Plan
from app.metalearning.table import FloatArray, IntArray
from workers.experiments import scoring
from workers.experiments.ensembling import STACK
from workers.experiments.leaderboard import PREDICTING
from workers.experiments.measured import Measured

_N_RESAMPLES = 500
_CONFIDENCE = 0.9
# Resampling fewer than this says nothing: it finds every difference certain.
_FEWEST_UNITS = 5
# A stack that is better for certain is worth a predict time of up to so many times the single's, or any if it has so
# much less loss.
_HARDLY_SLOWER, _WORTH_IT = 2.0, 0.02


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
    single_loss: float  # on the rows that judged
    slower: float  # how many times as long as the single the stack takes to predict

    @property
    def verdict(self) -> str:
        """What may honestly be said."""
        if self.low > 0:
            return "stack_better"
        return "single_better" if self.high < 0 else "no_clear_difference"

    @property
    def better_buy(self) -> str:
        """Whether the stack is worth what it costs: it is better without doubt, and by enough for being slower."""
        is_worth_it = self.slower <= _HARDLY_SLOWER or self.difference >= _WORTH_IT * self.single_loss
        return STACK if self.verdict == "stack_better" and is_worth_it else self.single

    def facts(self) -> dict[str, Any]:
        """What the job's result tells of it."""
        return {
            "single": self.single,
            "difference": self.difference,
            "low": self.low,
            "high": self.high,
            "verdict": self.verdict,
            "rows": self.rows,
            "times_slower_to_predict": self.slower,
            "better_buy": self.better_buy,
            "because": self._because(),
        }

    def _because(self) -> str:
        share = self.difference / self.single_loss if self.single_loss else 0.0
        change = f"{abs(share):.1%} {'less' if share >= 0 else 'more'} loss"
        doubt = ", which may be chance" if self.verdict == "no_clear_difference" else ""
        return f"The stack has {change} than {self.single}{doubt}, and takes {self.slower:.3g} times as long to predict."


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
    return Comparison(
        single=best.name,
        difference=difference,
        low=float(low),
        high=float(high),
        rows=len(judged),
        single_loss=_loss(metric, best, target, judged),
        slower=stacked.costs[PREDICTING] / max(best.costs[PREDICTING], 1e-9),
    )


def _advantage(
    metric: Metric, single: Measured, stacked: Measured, target: FloatArray, rows: IntArray
) -> float:
    return _loss(metric, single, target, rows) - _loss(metric, stacked, target, rows)


def _loss(metric: Metric, measured: Measured, target: FloatArray, rows: IntArray) -> float:
    return float(metric.loss(scoring.score_one(metric.name, target[rows], measured.predictions[rows])))
