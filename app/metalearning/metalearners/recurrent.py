"""A recurrent recommender: reads which configurations were tried and what came of them, and proposes the next.

Trained on whole episodes over the meta-dataset (in the manner of Chen et al. 2017 and Duan et al. 2016), so that it learns to
explore as far as exploring pays.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from app.metalearning.metalearners.layers import Weights, dense, gru_step
from app.metalearning.metalearners.levels import log_levels
from app.metalearning.scaling import QuantileScale
from app.metalearning.table import FloatArray

FARTHEST = 3.0  # a result that is this much worse or better says no more if it is even more so


@dataclass(frozen=True)
class Recurrent:
    """A gated recurrent unit whose state is what is known of the dataset."""

    weights: Weights
    scale: QuantileScale  # by the datasets that it was trained on
    name: str = "recurrent"

    def outlook(self, vector: FloatArray) -> "RecurrentOutlook":
        """The state that the metafeatures let begin with."""
        return RecurrentOutlook(self, np.tanh(dense(self.weights, "start", self.scale.scale(vector) - 0.5)))

    def rank(self, vector: FloatArray, feasible: list[int], most: int | None = None) -> list[int]:
        """By what it would try first: nothing is observed."""
        scores = self.outlook(vector).scores({})
        return sorted(feasible, key=lambda index: -scores[index])[:most]


@dataclass(frozen=True)
class RecurrentOutlook:
    """The state of a dataset on which nothing was tried yet."""

    learner: Recurrent
    beginning: FloatArray  # (units,)

    def scores(self, observed: Mapping[int, float]) -> FloatArray:
        """How much it would like to try each configuration next, shape (configurations,).

        Args:
            observed: configuration → loss in the order of the tries, NaN where it failed.
        """
        weights, state = self.learner.weights, self.beginning
        first = best = float("nan")
        levels = log_levels(np.array(list(observed.values())))
        for index, level in zip(observed, levels.tolist(), strict=True):
            told = told_of(level, first, best)
            state = gru_step(weights, "cell", np.concatenate([weights["tried.weight"][index], told]), state)
            first = level if np.isnan(first) else first
            best = float(np.fmin(best, level))
        return dense(weights, "choice", state)

    def suggest_next(
        self,
        feasible: list[int],
        observed: Mapping[int, float],
        cost: FloatArray | None = None,  # noqa: ARG002  it was trained to count tries
    ) -> int:
        """What it likes most."""
        scores = self.scores(observed)
        return max(feasible, key=lambda index: scores[index])


def told_of(level: float, first: float, best: float) -> FloatArray:
    """What the network is told of a result, shape (4,): level, against the first and the best before, and whether it failed.

    Args:
        level: of the result, NaN where it failed.
        first: level of the first result that did not fail, NaN before.
        best: the least level so far, NaN before.
    """
    told = np.array([level / 2, level - first, level - best, 0.0])
    told = np.clip(np.nan_to_num(told, nan=0.0), -FARTHEST, FARTHEST)
    told[3] = float(np.isnan(level))
    return np.asarray(told)
