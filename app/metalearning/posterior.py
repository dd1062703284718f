"""What a few results on a new dataset say of every other configuration: a Gaussian posterior over performance profiles.

A dataset's profile is the loss of every configuration, from the dataset's median configuration and in units of the distance
to its best. Profiles of different datasets have a common scale, so that past ones give a prior: their weighted mean, and the
weighted covariance of what the mean leaves unexplained. Results on the new dataset condition it exactly. What is one unit
there, and how hard the dataset is, nobody knows beforehand: both are estimated from the same results.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from app.metalearning.table import BoolArray, FloatArray

# Beyond these a profile is cut: a hopeless configuration must not bend the covariance.
BEST, WORST = -1.5, 2.0
# The distance from the median to the best counts as at least this, in units of the loss.
_LEAST_SCALE = 0.005
# Prior variance of the level that all configurations share, and variance of one result, in profile units.
_LEVEL_VARIANCE, _NOISE_VARIANCE = 4.0, 0.02
# The same of a point of a learning curve: one fold, few rows.
_POINT_NOISE_VARIANCE = 0.5
_LEAST_VARIANCE = 1e-9  # so that configurations which always do the same can be drawn
# The covariance counts similar datasets this much more than all alike.
_COVARIANCE_TRUST = 0.5
N_DRAWS = 500
# Scales of the new dataset that are tried: log-steps around what similar datasets have, with a normal prior.
_SCALE_STEPS = np.linspace(-1.6, 1.6, 9)
_SCALE_SPREAD = 0.5


@dataclass(frozen=True)
class Profiles:
    """How configurations did on D past datasets, on a common scale."""

    losses: (
        FloatArray  # (D, C), comparable between datasets, NaN where a configuration failed or nobody tried
    )
    tried: BoolArray  # (D, C)
    inferred_ranges: FloatArray | None = None  # (D, 2): least and median loss, NaN where all losses tell them

    @cached_property
    def _ranges(self) -> FloatArray:
        """The least and the median loss on each dataset, shape (D, 2)."""
        if self.inferred_ranges is None:
            return _seen_ranges(self.losses)
        ranges = self.inferred_ranges.copy()
        complete = np.isnan(ranges[:, 0]) & self.tried.any(axis=1)
        ranges[complete] = _seen_ranges(self.losses[complete])
        return ranges

    @cached_property
    def scales(self) -> FloatArray:
        """What is one unit on each dataset, shape (D,)."""
        best, median = self._ranges.T
        scales = np.maximum(median - best, _LEAST_SCALE)
        # Datasets that say nothing of this metric have the usual one.
        usual = np.exp(np.log(scales[~np.isnan(scales)]).mean())
        return np.asarray(np.where(np.isnan(scales), usual, scales))

    @cached_property
    def values(self) -> FloatArray:
        """The profiles, shape (D, C): 0 is the median, -1 the best; failures are the worst, gaps 0."""
        return np.where(self.tried, np.nan_to_num(self.on_scale(self.losses), nan=WORST), 0.0)

    def on_scale(self, losses: FloatArray) -> FloatArray:
        """Other losses on the same datasets as parts of their profiles, shape (D, any number), NaN where missing."""
        return np.clip((losses - self._ranges[:, 1:]) / self.scales[:, None], BEST, WORST)


def _seen_ranges(losses: FloatArray) -> FloatArray:
    """The least and the median loss on each dataset, shape (D, 2)."""
    return np.column_stack([np.nanmin(losses, axis=1), np.nanmedian(losses, axis=1)])


@dataclass(frozen=True)
class Prior:
    """Joint normal distribution of a new dataset's profile before anything is observed."""

    mean: FloatArray  # (C,)
    rests: FloatArray  # (D, C): what the mean leaves unexplained on every past dataset, times the root of its weight
    usual_scale: float  # what is one unit of the profile on datasets like it
    n_points: int = 0  # the last so many numbers are points of learning curves

    @classmethod
    def of(cls, profiles: Profiles, weights: FloatArray, points: FloatArray | None = None) -> "Prior":
        """What past datasets let expect; a gap teaches nothing.

        Args:
            profiles: of the past datasets.
            weights: how much each says about the new one, shape (D,), summing to 1.
            points: losses after training on few rows, shape (D, P), which become the last P numbers of the profile.
        """
        values, tried = profiles.values, profiles.tried
        if points is not None:
            values = np.hstack([values, np.nan_to_num(profiles.on_scale(points))])
            tried = np.hstack([tried, ~np.isnan(points)])
        share = weights @ tried
        mean = (weights @ values) / np.maximum(share, 1e-12)
        shared = _COVARIANCE_TRUST * weights + (1 - _COVARIANCE_TRUST) / len(weights)
        rest = (values - mean) * tried
        scale = math.exp(float(weights @ np.log(profiles.scales)))
        n_points = 0 if points is None else points.shape[1]
        return cls(np.asarray(mean), np.sqrt(shared)[:, None] * rest, scale, n_points)

    @cached_property
    def covariance(self) -> FloatArray:
        """Covariance of the profile, shape (C, C), without the level that all configurations share."""
        return np.asarray(self.rests.T @ self.rests)

    def condition(self, observed: Mapping[int, float]) -> "Posterior":
        """The distribution after losses of some configurations were observed on the new dataset.

        Args:
            observed: configuration → loss in the profiles' unit; NaN for one that failed, which says nothing of the
                others: it would move the level that they share. One at least has a loss.
        """
        scored = {index: loss for index, loss in observed.items() if not np.isnan(loss)}
        indices = np.array(list(scored), dtype=np.int64)
        losses = np.array(list(scored.values()), dtype=np.float64)
        covariance = self.covariance + _LEVEL_VARIANCE
        is_point = indices >= len(self.mean) - self.n_points
        noise = np.where(is_point, _POINT_NOISE_VARIANCE, _NOISE_VARIANCE)
        among = covariance[np.ix_(indices, indices)] + np.diag(noise)
        whiten = np.linalg.inv(np.linalg.cholesky(among))
        scale, level, rest = self._most_likely_scale(losses, self.mean[indices], whiten)
        gain = whiten @ covariance[indices]
        return Posterior(self.mean + gain.T @ (whiten @ rest), covariance - gain.T @ gain, scale, level)

    def probability_best(self, among: list[int]) -> dict[int, float]:
        """How probable it is of each of these configurations that it has the least loss of them."""
        covariance = self.covariance[np.ix_(among, among)] + _LEAST_VARIANCE * np.eye(len(among))
        draws = self.mean[among] + _draws(len(among)) @ np.linalg.cholesky(covariance).T
        shares = np.bincount(np.argmin(draws, axis=1), minlength=len(among)) / N_DRAWS
        return dict(zip(among, shares.tolist(), strict=True))

    def _most_likely_scale(
        self, losses: FloatArray, mean: FloatArray, whiten: FloatArray
    ) -> tuple[float, float, FloatArray]:
        """The scale of largest posterior density, its level, and what the prior mean leaves unexplained under it."""
        scales = self.usual_scale * np.exp(_SCALE_STEPS)
        # Cut like past profiles: one hopeless result must not move the level of all.
        cut = np.minimum(losses, losses.min() + (WORST - BEST) * scales[:, None])  # (scales, observed)
        levels = cut.mean(axis=1) - scales * mean.mean()
        values = (cut - levels[:, None]) / scales[:, None]
        rests = values - mean  # (scales, observed)
        density = -0.5 * ((rests @ whiten.T) ** 2).sum(axis=1) - len(losses) * np.log(scales)
        density -= 0.5 * (_SCALE_STEPS / _SCALE_SPREAD) ** 2
        best = int(np.argmax(density))
        return float(scales[best]), float(levels[best]), rests[best]


@dataclass(frozen=True)
class Posterior:
    """Joint normal distribution of the new dataset's profile after what was observed."""

    mean: FloatArray  # (C,)
    covariance: FloatArray  # (C, C)
    scale: float  # loss = level + scale · profile
    level: float

    @property
    def losses(self) -> FloatArray:
        """Expected loss of every configuration, shape (C,)."""
        return self.level + self.scale * self.mean

    @property
    def spread(self) -> FloatArray:
        """Standard deviation of every configuration's loss, shape (C,)."""
        return np.asarray(self.scale * np.sqrt(np.maximum(np.diag(self.covariance), 0.0)))

    def draws(self) -> FloatArray:
        """Joint draws of all losses, the same ones every time, shape (draws, C)."""
        sizes, directions = np.linalg.eigh(self.covariance)
        root = directions * np.sqrt(np.maximum(sizes, 0.0))
        return np.asarray(self.losses + self.scale * _draws(len(self.mean)) @ root.T)

    def expected_improvement(self, best: float) -> FloatArray:
        """How far below the loss `best` every configuration is expected to come, in units of the loss, shape (C,)."""
        spread = np.sqrt(np.maximum(np.diag(self.covariance), 1e-12))
        return self.scale * expected_improvement(self.mean, spread, (best - self.level) / self.scale)


def expected_improvement(mean: FloatArray, spread: FloatArray, best: float) -> FloatArray:
    """How far below `best` normally distributed numbers are expected to come (Močkus 1975), shape as `mean`."""
    ratio = (best - mean) / spread
    return np.asarray((best - mean) * _normal_cdf(ratio) + spread * _normal_density(ratio))


@lru_cache(maxsize=8)
def _draws(n_numbers: int) -> FloatArray:
    """Standard normal numbers, the same ones every time, so that an answer can be repeated; shape (draws, numbers)."""
    return np.random.default_rng(0).standard_normal((N_DRAWS, n_numbers))


def _normal_density(values: FloatArray) -> FloatArray:
    return np.asarray(np.exp(-0.5 * values**2) / math.sqrt(2 * math.pi))


def _normal_cdf(values: FloatArray) -> FloatArray:
    return np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in values])
