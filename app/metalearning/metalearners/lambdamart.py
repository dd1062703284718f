"""Gradient-boosted ranking (LambdaMART, Burges 2010): every dataset is a query, every configuration a document.

A document is described by the dataset's metafeatures beside the configuration's descriptors: its mean regret and its factors
in the matrix of regrets, so that similar configurations learn from one another.
"""

from dataclasses import dataclass

import numpy as np

from app.metalearning.metalearners.trees import Trees
from app.metalearning.table import FloatArray

N_FACTORS = 6


@dataclass(frozen=True)
class RankingTrees(Trees):
    """Boosted trees over metafeatures and descriptors; a document's score is the sum of its leaves."""

    value: FloatArray  # (nodes,)
    descriptors: FloatArray  # (configurations, descriptors)

    def scores(self, vector: FloatArray) -> FloatArray:
        """The score of every configuration, larger is better, shape (configurations,)."""
        dataset = np.tile(self.filled(vector), (len(self.descriptors), 1))
        leaves = self.walk(np.hstack([dataset, self.descriptors]))
        return np.asarray(self.value[leaves].sum(axis=1))


@dataclass(frozen=True)
class LambdaMart:
    """Configurations in order of their scores."""

    arrays: RankingTrees
    name: str = "lambdamart"

    def rank(self, vector: FloatArray, feasible: list[int], most: int | None = None) -> list[int]:
        """By score."""
        scores = self.arrays.scores(vector)
        return sorted(feasible, key=lambda index: -scores[index])[:most]


def describe_configurations(regret: FloatArray) -> FloatArray:
    """Mean regret and factors of every configuration, shape (configurations, 1 + factors); gaps say nothing.

    Args:
        regret: shape (datasets, configurations), NaN where nobody tried.
    """
    known = ~np.isnan(regret)
    mean = np.where(known, regret, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    rest = np.where(known, regret - mean, 0.0)
    rest -= rest.mean(axis=1, keepdims=True)
    _, sizes, right = np.linalg.svd(rest, full_matrices=False)
    factors = right[:N_FACTORS].T * sizes[:N_FACTORS] / np.sqrt(len(regret))
    return np.hstack([mean[:, None], factors])
