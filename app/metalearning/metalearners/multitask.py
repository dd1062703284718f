"""Multi-task learning: one network expects regret, every metric's loss and the fit time of all configurations at once.

What the tasks share is learned in common (Caruana 1997); what was not measured is masked.
"""

from dataclasses import dataclass

import numpy as np

from app.metalearning.metalearners.layers import Weights, dense, relu
from app.metalearning.scaling import QuantileScale
from app.metalearning.table import FloatArray

REGRET, SECONDS = "regret", "log_seconds"  # how the tasks beside the metrics are called


@dataclass(frozen=True)
class SharedNetwork:
    """Shared layers, and a linear head for every task."""

    weights: Weights
    scale: QuantileScale  # by the datasets that it was trained on

    def expected(self, vector: FloatArray, task: str) -> FloatArray:
        """What the task's head expects of every configuration, shape (configurations,).

        Args:
            vector: the dataset's metafeatures.
            task: `REGRET`, `SECONDS` (natural logarithm, CPU seconds of a fit), or a metric's name (its loss).
        """
        shared = relu(dense(self.weights, "first", self.scale.scale(vector) - 0.5))
        shared = relu(dense(self.weights, "second", shared))
        standardised = dense(self.weights, f"heads.{task}", shared)
        return np.asarray(self.weights[f"mean_{task}"] + self.weights[f"spread_{task}"] * standardised)


@dataclass(frozen=True)
class MultiTask:
    """Configurations in order of the regret that the network expects."""

    network: SharedNetwork
    name: str = "multitask"

    def rank(self, vector: FloatArray, feasible: list[int], most: int | None = None) -> list[int]:
        """By expected regret."""
        expected = self.network.expected(vector, REGRET)
        return sorted(feasible, key=lambda index: expected[index])[:most]
