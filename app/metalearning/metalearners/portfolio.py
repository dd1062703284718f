"""Greedy portfolios: each next configuration is the one that most reduces the regret of the best so far."""

# ruff: noqa: ARG002  a constant needs no metafeatures

from dataclasses import dataclass

import numpy as np

from app.metalearning.baselines import WORST_REGRET, mean_regret
from app.metalearning.table import FloatArray


def greedy_order(
    regret: FloatArray,
    weights: FloatArray,
    feasible: list[int],
    first: int | None = None,
    most: int | None = None,
) -> list[int]:
    """Feasible configurations in greedy order (Xu et al. 2010; Feurer et al. 2022), ties by weighted mean regret.

    Args:
        regret: shape (datasets, configurations), NaN where nobody tried: no help there.
        weights: how much each dataset counts, shape (datasets,).
        feasible: configurations to order.
        first: the configuration to begin with; the least weighted mean regret unless given.
        most: how many to order; all unless given.
    """
    mean = mean_regret(regret, weights)
    left = sorted(feasible, key=lambda index: mean[index])
    chosen = [first if first is not None else left[0]]
    left.remove(chosen[0])
    best = np.fmin(WORST_REGRET, regret[:, chosen[0]])
    while left and (most is None or len(chosen) < most):
        after = weights @ np.fmin(best[:, None], regret[:, left])
        following = left[int(np.argmin(after))]
        chosen.append(following)
        left.remove(following)
        best = np.fmin(best, regret[:, following])
    return chosen


@dataclass(frozen=True)
class GreedyPortfolio:
    """The greedy portfolio over all datasets alike: robust, and the answer where nothing better is proven."""

    regret: FloatArray
    name: str = "portfolio"

    def expected_regret(self, vector: FloatArray) -> FloatArray:
        """Mean regret over all datasets."""
        return mean_regret(self.regret)

    def rank(self, vector: FloatArray, feasible: list[int], most: int | None = None) -> list[int]:
        """In greedy order."""
        n_datasets = len(self.regret)
        return greedy_order(self.regret, np.full(n_datasets, 1 / n_datasets), feasible, most=most)
