"""From a performance matrix to the evidence that every way of ranking learns from."""

from dataclasses import dataclass

import numpy as np

from app.errors import TooSmallMetaDatasetError
from app.metalearning.baselines import WORST_REGRET, normalised_regret
from app.metalearning.evidence import Evidence
from app.metalearning.importing.matrix import MISSING, PENALTY, PerformanceMatrix
from app.metalearning.scaling import NEAR_DUPLICATE, near_duplicate_groups
from app.metalearning.table import FloatArray

FEWEST_GROUPS = 3
_LARGEST_GROUP = 0.25  # chains that tie more of the datasets together are none of near-duplicates
_EXACT = 1e-9
_NOISE = 0.01  # differences below this share of the measure's range, or of the best value, mean nothing
_DECADES = 100.0  # measures whose usual values differ by more than this factor are looked at in logarithms
_SHORTEST_SECONDS = 1e-3


@dataclass(frozen=True)
class LossScale:
    """Maps a measure to a loss: 0 is the best performance ever seen, 1 the worst.

    Run times, and positive measures whose medians differ a hundredfold between datasets, are mapped in logarithms.
    """

    logarithmic: bool
    best: float
    worst: float
    low: float  # no performance lies below
    high: float  # none lies above

    @classmethod
    def of(cls, matrix: PerformanceMatrix) -> "LossScale":
        """The scale of the matrix's performances as they count."""
        values = matrix.scored[~np.isnan(matrix.scored)]
        larger, cutoff = matrix.measure.larger_is_better, matrix.measure.cutoff_seconds
        logarithmic = matrix.measure.is_run_time or (not larger and _spans_decades(matrix.scored))
        seen = _logarithm(values) if logarithmic else values
        best, worst = (seen.max(), seen.min()) if larger else (seen.min(), seen.max())
        low = 0.0 if values.min() >= 0 else -np.inf
        high = 1.0 if low == 0 and values.max() <= 1 and not matrix.measure.is_run_time else np.inf
        return cls(
            logarithmic, float(best), float(worst), low, PENALTY * cutoff if cutoff is not None else high
        )

    def loss(self, performances: FloatArray) -> FloatArray:
        """Performances as losses, NaN where missing."""
        mapped = _logarithm(performances) if self.logarithmic else performances
        return (mapped - self.best) / self._range

    def performance(self, losses: FloatArray) -> FloatArray:
        """The inverse of `loss`, no further than performances go."""
        mapped = self.best + losses * self._range
        values = 10.0 ** np.minimum(mapped, 300.0) if self.logarithmic else mapped
        return np.clip(values, self.low, self.high)

    @property
    def _range(self) -> float:
        return self.worst - self.best or 1.0


def as_evidence(matrix: PerformanceMatrix) -> Evidence:
    """The datasets on which anything was measured, as evidence.

    A missing run teaches nothing; a failed one has the worst regret. Where a performance means the same on every dataset,
    so does its regret, and the least mean regret is the best mean performance: regret of run times is the share of the
    penalty for a time-out that is lost against the best algorithm (PAR10), that of measures between 0 and 1 is in units of
    the mean distance from a dataset's median to its best. Other measures are normalised on every dataset by itself.

    Raises: TooSmallMetaDatasetError.
    """
    rows = measured_rows(matrix)
    scored = matrix.scored[rows]
    missing = matrix.statuses[rows] == MISSING
    scale = LossScale.of(matrix)
    regret = np.where(missing, np.nan, _regret(matrix, scored, scale))
    losses = scale.loss(scored)
    return Evidence(
        datasets=tuple(matrix.datasets[row] for row in rows),
        groups=groups_of(matrix, rows),
        configurations=matrix.algorithms,
        metafeature_names=matrix.feature_names,
        metafeatures=matrix.features[rows],
        headline_losses=losses,
        headline_losses_a=losses,
        headline_losses_b=losses,
        regret=regret,
        regret_b=regret,
    )


def measured_rows(matrix: PerformanceMatrix) -> list[int]:
    """The datasets on which at least one algorithm has a performance."""
    return [row for row, values in enumerate(matrix.scored) if not np.isnan(values).all()]


def groups_of(matrix: PerformanceMatrix, rows: list[int]) -> tuple[str, ...]:
    """The groups that were given; otherwise near-duplicates by metafeatures, nearer ones while a group grows too large.

    Raises: TooSmallMetaDatasetError: fewer groups than can be held out in turn.
    """
    if matrix.groups:
        groups = [matrix.groups[row] for row in rows]
    else:
        names = [matrix.datasets[row] for row in rows]
        limit = NEAR_DUPLICATE
        groups = near_duplicate_groups(matrix.features[rows], names, limit)
        while limit > _EXACT and max(map(groups.count, set(groups))) > _LARGEST_GROUP * len(groups):
            limit = limit / 2 if limit > NEAR_DUPLICATE / 100 else _EXACT
            groups = near_duplicate_groups(matrix.features[rows], names, limit)
    if len(set(groups)) < FEWEST_GROUPS:
        raise TooSmallMetaDatasetError(
            f"The datasets form {len(set(groups))} groups, of which one at a time is held out.",
            f"At least {FEWEST_GROUPS} groups are needed: name finer ones, or give more metafeatures.",
        )
    return tuple(groups)


def _regret(matrix: PerformanceMatrix, scored: FloatArray, scale: LossScale) -> FloatArray:
    """Regret of every cell, 2 where there is no performance."""
    losses = -scored if matrix.measure.larger_is_better else scored
    cutoff = matrix.measure.cutoff_seconds
    if cutoff is not None:
        return normalised_regret(losses, np.full(len(losses), PENALTY * cutoff))
    if scale.logarithmic:
        return normalised_regret(losses, _NOISE * np.nanmin(losses, axis=1))
    best = np.nanmin(losses, axis=1, keepdims=True)
    if (scale.low, scale.high) == (0.0, 1.0):
        unit = max(float(np.mean(np.nanmedian(losses, axis=1) - best[:, 0])), _NOISE)
        return np.where(np.isnan(losses), WORST_REGRET, np.clip((losses - best) / unit, 0.0, WORST_REGRET))
    spread = float(np.nanmax(losses) - np.nanmin(losses))
    return normalised_regret(losses, np.full(len(losses), _NOISE * spread))


def _spans_decades(performances: FloatArray) -> bool:
    known = performances[~np.isnan(performances).all(axis=1)]
    medians = np.nanmedian(known, axis=1)
    return bool(np.nanmin(known) > 0 and medians.max() > _DECADES * medians.min())


def _logarithm(values: FloatArray) -> FloatArray:
    return np.asarray(np.log10(np.maximum(values, _SHORTEST_SECONDS)))
