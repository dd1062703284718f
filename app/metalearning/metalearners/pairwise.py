"""A forest for every pair of configurations that says which of the two is better, as SATzilla does (Xu et al. 2012).

Trees are grown cost-sensitively: a dataset counts as much as the wrong choice of the two would cost there. Only the portfolio's
first configurations meet; the others follow by mean regret.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from app.metalearning.baselines import mean_regret
from app.metalearning.metalearners.trees import Trees
from app.metalearning.table import FloatArray


@dataclass(frozen=True)
class PairwiseTrees(Trees):
    """The trees of all pairs, equally many each, pair after pair."""

    value: FloatArray  # (nodes,): from -1, the pair's second is better, to 1, its first is
    pairs: npt.NDArray[np.int32]  # (pairs, 2)

    def votes(self, vector: FloatArray, n_configurations: int) -> FloatArray:
        """What the pairs of every configuration say for it, in sum, shape (configurations,)."""
        said = self.value[self.walk(self.filled(vector)[None])[0]].reshape(len(self.pairs), -1).mean(axis=1)
        votes = np.zeros(n_configurations)
        np.add.at(votes, self.pairs[:, 0], said)
        np.add.at(votes, self.pairs[:, 1], -said)
        return votes


@dataclass(frozen=True)
class PairwiseForest:
    """Configurations in order of the votes for them."""

    arrays: PairwiseTrees
    regret: FloatArray  # (D, C)
    name: str = "pairwise"

    @cached_property
    def _mean(self) -> FloatArray:
        return mean_regret(self.regret)

    @cached_property
    def _meeting(self) -> set[int]:
        return {int(index) for index in self.arrays.pairs.ravel()}

    def rank(self, vector: FloatArray, feasible: list[int], most: int | None = None) -> list[int]:
        """Those that meet by votes, then the others by mean regret."""
        votes = self.arrays.votes(vector, len(self._mean))
        return sorted(
            feasible,
            key=lambda index: (index not in self._meeting, -votes[index], self._mean[index]),
        )[:most]
