"""A forest over metafeatures, served as arrays: its leaves say which past datasets a new one is like.

Trees are grown in the workers to predict the regrets of all configurations at once; here a dataset falls through them, and
the past datasets that share its leaves are weighed (Meinshausen 2006), so that one forest gives expected regrets of
every configuration, a proximity-weighted greedy portfolio, and the reasons.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.metalearning.baselines import mean_regret
from app.metalearning.metalearners.trees import Trees
from app.metalearning.table import FloatArray

# The forest's word counts this much, the mean over all datasets the rest.
TRUST = 0.9


@dataclass(frozen=True)
class ForestArrays(Trees):
    """Trees, and where the known datasets fall in them."""

    leaves: npt.NDArray[np.int32]  # (datasets, trees)

    def weights(self, vector: FloatArray) -> FloatArray:
        """How much each known dataset says about this one, shape (datasets,), summing to 1."""
        together = self.leaves == self.walk(self.filled(vector)[None])
        weights: FloatArray = (together / together.sum(axis=0)).mean(axis=1)
        return weights

    def shrunk_weights(self, vector: FloatArray) -> FloatArray:
        """The same, shrunk towards equal weights."""
        return TRUST * self.weights(vector) + (1 - TRUST) / len(self.leaves)


@dataclass(frozen=True)
class MultiOutputForest:
    """Configurations in order of the regret that the forest expects."""

    arrays: ForestArrays
    regret: FloatArray  # (D, C)
    name: str = "forest"

    def rank(self, vector: FloatArray, feasible: list[int], most: int | None = None) -> list[int]:
        """By proximity-weighted mean regret."""
        expected = mean_regret(self.regret, self.arrays.shrunk_weights(vector))
        return sorted(feasible, key=lambda index: expected[index])[:most]
