"""Nearest neighbours on metafeatures, as auto-sklearn 1 does it (Feurer et al. 2015), with a greedy order."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from app.metalearning.metalearners.portfolio import greedy_order
from app.metalearning.scaling import QuantileScale
from app.metalearning.table import FloatArray

N_NEIGHBOURS = 25


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

    def rank(self, vector: FloatArray, feasible: list[int], most: int | None = None) -> list[int]:
        """In greedy order over the nearest datasets."""
        return greedy_order(self.regret, self.weights(vector), feasible, most=most)
