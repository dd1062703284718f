"""Greedy portfolios: each next configuration is the one that most reduces the regret of the best so far."""

# ruff: noqa: ARG002  a constant needs no metafeatures

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.metalearning.baselines import WORST_REGRET, mean_regret
from app.metalearning.table import FloatArray


def greedy_order(
    regret: FloatArray,
    weights: FloatArray,
    feasible: list[int],
    tried: Sequence[int] = (),
    most: int | None = None,
    cost: FloatArray | None = None,
) -> list[int]:
    """Feasible configurations in greedy order (Xu et al. 2010; Feurer et al. 2022), ties by weighted mean regret.

    Args:
        regret: shape (datasets, configurations), NaN where nobody tried: no help there.
        weights: how much each dataset counts, shape (datasets,).
        feasible: configurations to order.
        tried: configurations whose help is there already.
        most: how many to order; all unless given.
        cost: what each costs, shape (configurations,): gains are weighed by it where given.
    """
    mean = mean_regret(regret, weights)
    cost = np.ones(len(mean)) if cost is None else cost
    left = sorted(feasible, key=lambda index: mean[index])
    chosen: list[int] = []
    best = np.full(len(regret), WORST_REGRET)
    for index in tried:
        best = np.fmin(best, regret[:, index])
    while left and (most is None or len(chosen) < most):
        if tried or chosen:
            gain = weights @ (best[:, None] - np.fmin(best[:, None], regret[:, left]))
        else:
            gain = WORST_REGRET - mean[left]
        following = left[int(np.argmax(gain / cost[left]))]
        chosen.append(following)
        left.remove(following)
        best = np.fmin(best, regret[:, following])
    return chosen


@dataclass(frozen=True)
class GreedyPortfolio:
    """The greedy portfolio over all datasets alike: robust, and the answer where nothing better is proven."""

    regret: FloatArray
    name: str = "portfolio"

    def rank(self, vector: FloatArray, feasible: list[int], most: int | None = None) -> list[int]:
        """In greedy order."""
        n_datasets = len(self.regret)
        return greedy_order(self.regret, np.full(n_datasets, 1 / n_datasets), feasible, most=most)
