"""A forest over metafeatures, served as arrays: its leaves say which past datasets a new one is like.

Trees are grown in the workers to predict the regrets of all configurations at once; here a dataset falls through them, and
the past datasets that share its leaves are weighed (Meinshausen 2006), so that one forest gives expected regrets of
every configuration, a proximity-weighted greedy portfolio, and the reasons.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from app.metalearning.baselines import mean_regret
from app.metalearning.metalearners.trees import LEAF, Trees
from app.metalearning.table import FloatArray, IntArray

# The forest's word counts this much, the mean over all datasets the rest.
TRUST = 0.9


@dataclass(frozen=True)
class ForestArrays(Trees):
    """Trees, and where the known datasets fall in them."""

    leaves: npt.NDArray[np.int32]  # (datasets, trees)

    def weights(self, vector: FloatArray) -> FloatArray:
        """How much each known dataset says about this one, shape (datasets,), summing to 1."""
        dataset, first, last = self._members
        leaves = self.walk(self.filled(vector)[None])[0]
        begins, counts = first[leaves], last[leaves] - first[leaves]
        # The places of all leaves' members, one leaf after another.
        places = np.arange(counts.sum()) + np.repeat(begins - (np.cumsum(counts) - counts), counts)
        shares = np.repeat(1 / (counts * len(leaves)), counts)
        return np.asarray(np.bincount(dataset[places], shares, len(self.leaves)), dtype=np.float64)

    def shrunk_weights(self, vector: FloatArray) -> FloatArray:
        """The same, shrunk towards equal weights."""
        return TRUST * self.weights(vector) + (1 - TRUST) / len(self.leaves)

    def node_means(self, values: FloatArray) -> FloatArray:
        """The mean at every node over the known datasets that pass it, shape (nodes,).

        Args:
            values: of every known dataset, shape (datasets,).
        """
        dataset, first, last = self._members
        sums = np.concatenate([[0.0], np.cumsum(values[dataset])])
        return np.asarray((sums[last] - sums[first]) / (last - first))

    def influences(self, vector: FloatArray, means: FloatArray) -> FloatArray:
        """How far each metafeature moved the mean of the known datasets' values on the way to those that are like this one.

        Every split that the dataset passes leaves fewer known datasets beside it; what that changes in their mean is
        credited to the split's metafeature (Saabas 2014; Palczewska et al. 2014), in the mean over all trees.

        Args:
            vector: the dataset's metafeatures.
            means: of the values, as `node_means` tells.

        Returns: shape (metafeatures,); their sum is the weighted mean of the values minus the plain one.
        """
        nodes = np.vstack(list(self.descend(self.filled(vector)[None])))  # (levels, trees)
        moves = np.diff(means.take(nodes), axis=0)
        moved = np.bincount(self.tested.take(nodes[:-1]).ravel(), moves.ravel(), len(vector))
        return moved / len(self.roots)

    @cached_property
    def _members(self) -> tuple[IntArray, IntArray, IntArray]:
        """Known datasets in the order of the leaves that they fall in, and of every node the range of its datasets there.

        A tree's nodes are numbered down the left side first, so those below a node follow it.
        """
        ends = np.arange(len(self.feature)) + 1
        inner = np.flatnonzero(self.feature != LEAF)
        while True:  # the end of a node is that of its right child
            known = ends[inner]
            ends[inner] = ends[self.right[inner]]
            if (ends[inner] == known).all():
                break
        places = self.leaves.ravel()
        order = np.argsort(places, kind="stable")
        in_order = places[order]
        first = np.searchsorted(in_order, np.arange(len(ends)))
        return order // self.leaves.shape[1], first, np.searchsorted(in_order, ends)


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
