"""A forest over metafeatures, served as arrays: its leaves say which past datasets a new one is like.

Trees are grown in the workers to predict the regrets of all configurations at once; here a dataset falls through them, and
the past datasets that share its leaves are weighed (Meinshausen 2006), so that one forest gives expected regrets of
every configuration, a proximity-weighted greedy portfolio, and the reasons.
"""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.metalearning.baselines import mean_regret
from app.metalearning.metalearners.portfolio import greedy_order
from app.metalearning.table import FloatArray

# The forest's word counts this much, the mean over all datasets the rest.
TRUST = 0.7
_LEAF = -1


@dataclass(frozen=True)
class ForestArrays:
    """Nodes of all trees one after another; a split sends values up to its threshold left."""

    roots: npt.NDArray[np.int32]  # (trees,)
    feature: npt.NDArray[np.int32]  # (nodes,), -1 at leaves
    threshold: FloatArray  # (nodes,)
    left: npt.NDArray[np.int32]  # (nodes,)
    right: npt.NDArray[np.int32]  # (nodes,)
    fill: FloatArray  # (metafeatures,): the median, in place of missing values
    leaves: npt.NDArray[np.int32]  # (datasets, trees): where the known datasets fall

    def save(self, path: Path) -> None:
        """Write the arrays; the file holds numbers only."""
        with path.open("wb") as file:
            np.savez_compressed(file, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: Path) -> "ForestArrays":
        """Read what `save` wrote, refusing anything but numbers."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**{field.name: arrays[field.name] for field in fields(cls)})

    def apply(self, vector: FloatArray) -> npt.NDArray[np.int32]:
        """The leaf that the vector reaches in every tree, shape (trees,): all trees walk down together."""
        values = np.where(np.isnan(vector), self.fill, vector).astype(np.float32)
        nodes = self.roots.copy()
        while True:
            features = self.feature[nodes]
            inner = features != _LEAF
            if not inner.any():
                return nodes
            goes_left = values[features] <= self.threshold[nodes]
            nodes = np.where(inner, np.where(goes_left, self.left[nodes], self.right[nodes]), nodes)

    def weights(self, vector: FloatArray) -> FloatArray:
        """How much each known dataset says about this one, shape (datasets,), summing to 1."""
        together = self.leaves == self.apply(vector)
        weights: FloatArray = (together / together.sum(axis=0)).mean(axis=1)
        return weights


@dataclass(frozen=True)
class ProximityForest:
    """The forest as a way of ranking: first the least expected regret, then what covers for it on similar datasets."""

    arrays: ForestArrays
    regret: FloatArray
    name: str = "forest"

    def weights(self, vector: FloatArray) -> FloatArray:
        """Proximities, shrunk towards equal weights."""
        return TRUST * self.arrays.weights(vector) + (1 - TRUST) / len(self.regret)

    def expected_regret(self, vector: FloatArray) -> FloatArray:
        """Weighted mean regret of every configuration."""
        return mean_regret(self.regret, self.weights(vector))

    def rank(self, vector: FloatArray, feasible: list[int], most: int | None = None) -> list[int]:
        """In proximity-weighted greedy order."""
        return greedy_order(self.regret, self.weights(vector), feasible, most=most)
