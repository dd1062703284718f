"""Matrix factorisation: few latent numbers per dataset, guessed from metafeatures and mended by results.

Losses are a product of dataset and configuration factors (Oboe, Yang et al. 2019). Before results the dataset's factors are
regressed on its metafeatures (the warm start of PMF, Fusi et al. 2018); the first choices are those whose results determine
the factors best (D-optimal design), later ones those with the least predicted loss.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from app.metalearning.scaling import QuantileScale
from app.metalearning.table import BoolArray, FloatArray

RANK = 8
# The first choice is the best guess, so many that follow determine the factors.
N_INFORMATIVE = 4
_RIDGE = 10.0  # of the regression on metafeatures, all scaled to 0…1
_SWEEPS = 20  # of filling gaps by what the factors say
_LARGEST_LOSS = 3.0


@dataclass(frozen=True)
class MatrixFactorisation:
    """The factors of all known datasets and configurations."""

    losses: FloatArray  # (D, C), NaN where a configuration failed or nobody tried
    regret: FloatArray  # (D, C), NaN where nobody tried
    metafeatures: FloatArray  # (D, M)
    name: str = "factorisation"

    @cached_property
    def _teaching(self) -> BoolArray:
        """Which datasets have a loss at all, shape (D,): nobody may have told of the metric that is asked for."""
        return np.asarray(~np.isnan(self.losses).all(axis=1))

    @cached_property
    def _complete(self) -> FloatArray:
        """Losses in which a failure is the dataset's worst, and a gap what the factors make of it."""
        losses, regret = self.losses[self._teaching], self.regret[self._teaching]
        failed = np.isnan(losses) & ~np.isnan(regret)
        worst = np.nanmax(losses, axis=1, keepdims=True)
        losses = np.minimum(np.where(failed, worst, losses), _LARGEST_LOSS)
        gaps = np.isnan(losses)
        filled = np.where(gaps, np.nanmedian(losses, axis=1, keepdims=True), losses)
        for _ in range(_SWEEPS if gaps.any() else 0):
            mean = filled.mean(axis=0)
            left, sizes, right = np.linalg.svd(filled - mean, full_matrices=False)
            guess = mean + (left[:, :RANK] * sizes[:RANK]) @ right[:RANK]
            filled = np.where(gaps, guess, losses)
        return filled

    @cached_property
    def centre(self) -> FloatArray:
        """Mean loss of every configuration, shape (C,)."""
        return np.asarray(self._complete.mean(axis=0))

    @cached_property
    def loadings(self) -> FloatArray:
        """Factors of the configurations, shape (C, rank); those of datasets have variance 1."""
        _, sizes, right = np.linalg.svd(self._complete - self.centre, full_matrices=False)
        kept = min(RANK, int((sizes > 1e-9).sum()))
        return np.asarray(right[:kept].T * sizes[:kept] / np.sqrt(len(self._complete)))

    @cached_property
    def noise(self) -> float:
        """Variance of what the factors leave unexplained."""
        rest = self._complete - self.centre
        rest = rest - rest @ np.linalg.pinv(self.loadings.T) @ self.loadings.T
        return float(np.mean(rest**2)) + 1e-6

    @cached_property
    def _scale(self) -> QuantileScale:
        return QuantileScale(self.metafeatures[self._teaching])

    @cached_property
    def _regression(self) -> tuple[FloatArray, FloatArray]:
        """Coefficients from metafeatures to factors, shape (M, rank), and the variance that they leave, shape (rank,)."""
        known = self._scale.scaled_known - 0.5
        factors = (self._complete - self.centre) @ np.linalg.pinv(self.loadings.T)
        penalty = _RIDGE * np.eye(known.shape[1])
        coefficients = np.linalg.solve(known.T @ known + penalty, known.T @ factors)
        left = np.asarray(np.var(factors - known @ coefficients, axis=0) + 1e-6)
        return np.asarray(coefficients), left

    def outlook(self, vector: FloatArray) -> "FactorOutlook":
        """The factors that the metafeatures let expect."""
        coefficients, variance = self._regression
        return FactorOutlook(self, (self._scale.scale(vector) - 0.5) @ coefficients, variance)

    def rank(self, vector: FloatArray, feasible: list[int], most: int | None = None) -> list[int]:
        """By the loss that the metafeatures let expect: nothing is observed."""
        expected = self.outlook(vector).expected_losses({})
        return sorted(feasible, key=lambda index: expected[index])[:most]


@dataclass(frozen=True)
class FactorOutlook:
    """The new dataset's factors: a normal prior, and a posterior after every result."""

    learner: MatrixFactorisation
    mean: FloatArray  # (rank,)
    variance: FloatArray  # (rank,)

    def expected_losses(self, observed: Mapping[int, float]) -> FloatArray:
        """Predicted loss of every configuration, shape (C,)."""
        seen = [index for index, loss in observed.items() if not np.isnan(loss)]
        centre, loadings, noise = self.learner.centre, self.learner.loadings, self.learner.noise
        rest = np.array([observed[index] for index in seen]) - centre[seen]
        target = loadings[seen].T @ rest / noise + self.mean / self.variance
        return np.asarray(centre + loadings @ np.linalg.solve(self._precision(seen), target))

    def suggest_next(
        self,
        feasible: list[int],
        observed: Mapping[int, float],
        cost: FloatArray | None = None,  # noqa: ARG002  factors know nothing of costs
    ) -> int:
        """First the best guess, then what determines the factors, then the least predicted loss."""
        if 0 < len(observed) <= N_INFORMATIVE:
            loadings = self.learner.loadings[feasible]
            unknown = np.linalg.solve(self._precision(list(observed)), loadings.T)
            return feasible[int(np.argmax((loadings.T * unknown).sum(axis=0)))]
        expected = self.expected_losses(observed)
        return min(feasible, key=lambda index: expected[index])

    def _precision(self, seen: list[int]) -> FloatArray:
        loadings = self.learner.loadings[seen]
        return np.asarray(loadings.T @ loadings / self.learner.noise + np.diag(1 / self.variance))
