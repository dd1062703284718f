"""What a configuration will reach on all rows, from what it reaches after few: a power law with its uncertainty.

A learning curve is taken for loss(n) = floor + decline · (n / N)^-rate, where N is what there is to learn from (Viering and Loog
2023). Two or three points do not tell three numbers, so all rates and floors stay possible, each as probable as it is beforehand
and as the points fit it. The constants were chosen on half of the shipped datasets (docs/verification.md).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.metalearning.metrics import METRICS
from app.metalearning.table import FloatArray

# Fewer points know nothing of the rate.
FEWEST_POINTS = 2
# A configuration is hopeless if the chance that it beats the best so far is below this.
HOPELESS = 0.005
_NORMAL_90 = 1.645
_RATES = np.array([0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0])
_FLOORS = np.array([0.0, 0.3, 0.6, 0.8, 0.9])  # as shares of the last point
# Rates are log-normal beforehand, with this median and spread; the slowest of them stands for none.
_USUAL_RATE, _RATE_SPREAD, _SLOWEST = 0.3, 1.2, 0.02
# Standard deviation of a point: shares of its loss and of the largest; the least is for where all are zero.
_NOISE_SHARE, _NOISE, _LEAST_NOISE = 0.1, 0.01, 1e-12


@dataclass(frozen=True)
class Extrapolation:
    """The loss on all rows: a mixture of normal distributions, one per rate and floor."""

    means: FloatArray
    spreads: FloatArray
    weights: FloatArray  # sum to 1

    @property
    def expected(self) -> float:
        """Mean loss."""
        return float(self.weights @ self.means)

    @property
    def spread(self) -> float:
        """Standard deviation of the loss."""
        return math.sqrt(float(self.weights @ (self.spreads**2 + (self.means - self.expected) ** 2)))

    def chance_below(self, loss: float, noise: float = 0.0) -> float:
        """How probable a smaller loss is than one that is known up to a noise (standard deviation)."""
        ratios = (loss - self.means) / np.sqrt(2 * (self.spreads**2 + noise**2))
        return min(1.0, float(self.weights @ [0.5 * math.erfc(-ratio) for ratio in ratios]))


def extrapolate(points: Mapping[int, float], n_rows: int) -> Extrapolation:
    """The loss after learning from all rows.

    Args:
        points: number of rows → loss after learning from so many; at least `FEWEST_POINTS`.
        n_rows: how many there are to learn from.
    """
    learned_from = np.array(list(points), dtype=np.float64)
    losses = np.array(list(points.values()))
    rates, floors = (each.ravel() for each in np.meshgrid(_RATES, _FLOORS * losses[-1], indexing="ij"))
    noise = _NOISE * losses.max() + _LEAST_NOISE
    precision = 1 / (_NOISE_SHARE * losses + noise) ** 2
    shapes = (n_rows / learned_from) ** rates[:, None]  # (laws, points)
    above = losses - floors[:, None]
    known = (precision * shapes**2).sum(axis=1)
    declines = np.maximum((precision * shapes * above).sum(axis=1) / known, 0.0)
    misfit = (precision * (above - declines[:, None] * shapes) ** 2).sum(axis=1)
    prior = -0.5 * (np.log(np.maximum(rates, _SLOWEST) / _USUAL_RATE) / _RATE_SPREAD) ** 2
    weights = np.exp(prior - 0.5 * (misfit - misfit.min()))
    means = floors + declines
    spreads = np.sqrt(1 / known + (_NOISE_SHARE * means + noise) ** 2)
    return Extrapolation(means, spreads, weights / weights.sum())


@dataclass(frozen=True)
class Rival:
    """The best so far, on the first split's test rows, on which learning curves are tested too.

    What it is there may be luck; how much luck there is, its other folds tell.
    """

    called = "extrapolation"  # under which a result tells why it was given up

    configuration: str
    metric: str
    fold_scores: Sequence[float]  # the first split's first

    def leaves_behind(self, curve: Sequence[Mapping[str, Any]], n_rows: int) -> dict[str, Any] | None:
        """What is to be expected of a configuration that it leaves without hope; None where there is hope.

        Args:
            curve: points with `anchor` and scores by metric, as far as they are known.
            n_rows: how many rows the first split learns from.

        Returns: `score`, `low` and `high` (90 %), the `chance` of being better, and what was `to_beat`.
        """
        metric = METRICS[self.metric]
        points = {
            point["anchor"]: float(metric.loss(point[self.metric]))
            for point in curve
            if point.get(self.metric) is not None
        }
        if len(points) < FEWEST_POINTS:
            return None
        found = extrapolate(points, n_rows)
        losses = metric.loss(np.array(self.fold_scores))
        luck = float(np.std(losses, ddof=1)) if len(losses) > 1 else 0.0
        chance = found.chance_below(float(losses[0]), luck)
        if chance >= HOPELESS:
            return None
        reach = _NORMAL_90 * found.spread
        ends = (max(0.0, found.expected - reach), found.expected + reach)
        low, high = sorted(float(metric.score(loss)) for loss in ends)
        return {
            "metric": self.metric,
            "score": float(metric.score(found.expected)),
            "low": low,
            "high": high,
            "chance": chance,
            "to_beat": {"configuration": self.configuration, "score": self.fold_scores[0]},
        }
