"""Nearest neighbours on metafeatures, as auto-sklearn 1 does it (Feurer et al. 2015), with a greedy order."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from app.metalearning.metalearners.portfolio import greedy_order
from app.metalearning.table import FloatArray

N_NEIGHBOURS = 25


@dataclass(frozen=True)
class QuantileScale:
    """Maps every metafeature to its quantile among the known datasets; a missing one to the middle."""

    known: FloatArray  # (datasets, metafeatures), NaN where missing

    @cached_property
    def _sorted(self) -> list[FloatArray]:
        return [np.sort(column[~np.isnan(column)]) for column in self.known.T]

    @cached_property
    def scaled_known(self) -> FloatArray:
        """The known datasets, scaled."""
        return np.stack([self.scale(row) for row in self.known])

    def scale(self, vector: FloatArray) -> FloatArray:
        """One vector, scaled to 0…1; mid-ranks, so that ties do not matter."""
        scaled = np.full(len(vector), 0.5)
        for index, (value, column) in enumerate(zip(vector, self._sorted, strict=True)):
            if column.size and not np.isnan(value):
                below, upto = np.searchsorted(column, value, "left"), np.searchsorted(column, value, "right")
                scaled[index] = (below + upto) / (2 * column.size)
        return scaled

    def distances(self, vector: FloatArray) -> FloatArray:
        """Mean absolute difference to every known dataset, shape (datasets,)."""
        distances: FloatArray = np.abs(self.scaled_known - self.scale(vector)).mean(axis=1)
        return distances


@dataclass(frozen=True)
class NearestDatasets:
    """The greedy portfolio of the 25 datasets with the most similar metafeatures."""

    regret: FloatArray
    metafeatures: FloatArray
    name: str = "nearest"

    @cached_property
    def _scale(self) -> QuantileScale:
        return QuantileScale(self.metafeatures)

    def weights(self, vector: FloatArray) -> FloatArray:
        """Equal weights for the nearest datasets, shape (datasets,)."""
        nearest = np.argsort(self._scale.distances(vector), kind="stable")[:N_NEIGHBOURS]
        weights = np.zeros(len(self.regret))
        weights[nearest] = 1 / len(nearest)
        return weights

    def expected_regret(self, vector: FloatArray) -> FloatArray:
        """Mean regret over the nearest datasets."""
        return np.asarray(self.weights(vector) @ self.regret)

    def rank(self, vector: FloatArray, feasible: list[int]) -> list[int]:
        """In greedy order over the nearest datasets."""
        return greedy_order(self.regret, self.weights(vector), feasible)
