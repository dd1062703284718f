"""What may honestly be said of the best: against the runner-up, against the stack, and of its score."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.metalearning import protocol
from app.metalearning.metrics import Metric
from app.metalearning.protocol.splits import UNTESTED, Plan
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
    units = _units(judged, target, plan, "Half of the tested rows")
    try:
        best = min(singles, key=lambda each: metric.loss(each.scores_a[metric.name]).item())
        difference = _advantage(metric, best, stacked, target, judged)
    except KeyError as undefined:
        raise NoComparisonError(
            f"On half of the rows {undefined} is not defined, so there is no fair comparison."
        ) from undefined
    low, high = _interval(metric, best, stacked, target, units)
    return Comparison(
        single=best.name,
        difference=difference,
        low=low,
        high=high,
        rows=len(judged),
        single_loss=_loss(metric, best, target, judged),
        slower=stacked.costs[PREDICTING] / max(best.costs[PREDICTING], 1e-9),
    )


def against_runner_up(
    metric: Metric, first: Measured, second: Measured, target: FloatArray, plan: Plan
) -> dict[str, Any]:
    """Whether the first of the leaderboard is better than the second beyond doubt, on all rows that were tested.

    These rows ranked them, and still they may judge: of two that are alike the interval leaves out zero once in ten, and of
    more the first two are nearer to each other than two alone.

    Returns: names, `difference` in loss (positive favours the first) with its 90 % interval `low` to `high`, `rows`, `verdict`.

    Raises: NoComparisonError.
    """
    tested = np.flatnonzero(plan.folds != UNTESTED)
    units = _units(tested, target, plan, "The tested rows")
    low, high = _interval(metric, second, first, target, units)
    return {
        "first": first.name,
        "second": second.name,
        "difference": _advantage(metric, second, first, target, tested),
        "low": low,
        "high": high,
        "rows": len(tested),
        "verdict": "first_better" if low > 0 else "no_clear_difference",
    }


def worth_of_choosing(
    metric: Metric, measured: list[Measured], target: FloatArray, plan: Plan
) -> dict[str, Any] | None:
    """What the best is worth on rows that did not choose it; None where the metric is not defined on one of the halves.

    The score of the best of several is too good, since chance helped to choose it. So each half of the rows is kept aside
    in turn, while the other one chooses; whoever chooses by all rows chooses no worse.

    Returns: `score`, the mean of both, and the names that were `chosen`, by half A and by half B.
    """
    halves = [np.flatnonzero(plan.halves == half) for half in (0, 1)]
    try:
        losses = np.array([[_loss(metric, each, target, rows) for rows in halves] for each in measured])
    except KeyError:
        return None
    if not np.isfinite(losses).all():
        return None
    by_a, by_b = losses.argmin(axis=0)
    scores = metric.score(np.array([losses[by_a, 1], losses[by_b, 0]]))
    return {"score": float(scores.mean()), "chosen": [measured[by_a].name, measured[by_b].name]}


def score_interval(metric: Metric, measured: Measured, target: FloatArray, plan: Plan) -> tuple[float, float]:
    """The 90 % interval of a score on all rows that were tested: a bootstrap of whole units; the model stays as it is.

    Raises: NoComparisonError.
    """
    tested = np.flatnonzero(plan.folds != UNTESTED)
    units = _units(tested, target, plan, "The tested rows")
    losses = _resampled(lambda rows: _loss(metric, measured, target, rows), target, units)
    low, high = sorted(float(metric.score(loss)) for loss in losses)
    return low, high


def fold_scores(metric: Metric, measured: Measured, target: FloatArray, plan: Plan) -> list[float | None]:
    """The metric on every split's test rows; None where they do not define it."""
    found: list[float | None] = []
    for split in plan.splits:
        try:
            found.append(scoring.score_one(metric.name, target[split.test], measured.predictions[split.test]))
        except KeyError:
            found.append(None)
    return found


def _units(rows: IntArray, target: FloatArray, plan: Plan, called: str) -> list[IntArray]:
    """The rows by what stays together when they are resampled.

    Raises: NoComparisonError where resampling says nothing.
    """
    units = [rows[plan.units[rows] == unit] for unit in np.unique(plan.units[rows])]
    if len(units) < _FEWEST_UNITS:
        raise NoComparisonError(
            f"{called} are {len(units)} groups or stretches of time, too few for a fair comparison."
        )
    if len(np.unique(target[rows])) < 2:
        raise NoComparisonError(f"{called}: the target has one value only, so there is nothing to compare.")
    return units


def _interval(
    metric: Metric, one: Measured, other: Measured, target: FloatArray, units: list[IntArray]
) -> tuple[float, float]:
    """The 90 % interval of how much less loss the other has: a paired bootstrap of whole units."""
    return _resampled(lambda rows: _advantage(metric, one, other, target, rows), target, units)


def _resampled(
    statistic: Callable[[IntArray], float], target: FloatArray, units: list[IntArray]
) -> tuple[float, float]:
    """The 90 % interval of a statistic of rows; draws without two values of the target are none."""
    generator = np.random.default_rng(protocol.SEED)
    resampled = []
    for _ in range(_N_RESAMPLES):
        rows = np.concatenate([units[drawn] for drawn in generator.choice(len(units), len(units))])
        if len(np.unique(target[rows])) > 1:
            resampled.append(statistic(rows))
    low, high = np.quantile(resampled, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return float(low), float(high)


def _advantage(metric: Metric, one: Measured, other: Measured, target: FloatArray, rows: IntArray) -> float:
    """How much less loss the other has on these rows."""
    return _loss(metric, one, target, rows) - _loss(metric, other, target, rows)


def _loss(metric: Metric, measured: Measured, target: FloatArray, rows: IntArray) -> float:
    return float(metric.loss(scoring.score_one(metric.name, target[rows], measured.predictions[rows])))
