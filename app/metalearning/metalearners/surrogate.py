"""A performance surrogate that adapts to a dataset's first results in a few gradient steps.

A network that expects every configuration's loss, its first weights trained so that few steps are enough (MAML, Finn et al.
2017; as a surrogate, FSBO, Wistuba & Grabocka 2021), with a rate of its own for every layer (Meta-SGD, Li et al. 2017).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from app.metalearning.metalearners.layers import Weights, dense
from app.metalearning.metalearners.levels import log_levels
from app.metalearning.posterior import expected_improvement
from app.metalearning.scaling import QuantileScale
from app.metalearning.table import FloatArray

N_STEPS = 5
LAYERS = ("first", "second", "last")


@dataclass(frozen=True)
class Surrogate:
    """The first weights, and how to go on from them."""

    weights: Weights
    scale: QuantileScale  # by the datasets that it was trained on
    name: str = "surrogate"

    def outlook(self, vector: FloatArray) -> "SurrogateOutlook":
        """All configurations as the network sees them on this dataset."""
        about = np.tanh(dense(self.weights, "about", self.scale.scale(vector) - 0.5))
        known = self.weights["configurations.weight"]
        return SurrogateOutlook(self.weights, np.hstack([np.tile(about, (len(known), 1)), known]))

    def rank(self, vector: FloatArray, feasible: list[int], most: int | None = None) -> list[int]:
        """By expected loss: nothing is observed."""
        levels, _ = self.outlook(vector).expected({})
        return sorted(feasible, key=lambda index: levels[index])[:most]


@dataclass(frozen=True)
class SurrogateOutlook:
    """What the network is asked about one dataset."""

    weights: Weights
    inputs: FloatArray  # (configurations, inputs)

    def expected(self, observed: Mapping[int, float]) -> tuple[FloatArray, float]:
        """Log loss of every configuration after a few steps on the results, shape (configurations,), and its spread.

        Args:
            observed: configuration → loss, NaN where it failed: of failures nothing is learned.
        """
        seen = {index: loss for index, loss in observed.items() if not np.isnan(loss)}
        adapted = dict(self.weights)
        if seen:
            levels = log_levels(np.array(list(seen.values())))
            for _ in range(N_STEPS):
                _step(adapted, self.inputs[list(seen)], levels)
        spreads = self.weights["log_spreads"]
        return _outputs(adapted, self.inputs)[-1], float(np.exp(spreads[min(len(seen), len(spreads) - 1)]))

    def suggest_next(
        self, feasible: list[int], observed: Mapping[int, float], cost: FloatArray | None = None
    ) -> int:
        """The largest expected improvement on the best result, for its cost; the least expected loss before there is one."""
        levels, spread = self.expected(observed)
        results = [loss for loss in observed.values() if not np.isnan(loss)]
        if not results:
            return min(feasible, key=lambda index: levels[index])
        best = float(log_levels(np.array(min(results))))
        gain = expected_improvement(levels, np.full(len(levels), spread), best)
        if cost is not None:
            gain = gain / cost
        return max(feasible, key=lambda index: gain[index])


def _outputs(weights: Weights, inputs: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What both hidden layers and the last one give."""
    first = np.tanh(dense(weights, "first", inputs))
    second = np.tanh(dense(weights, "second", first))
    return first, second, dense(weights, "last", second)[:, 0]


def _step(weights: dict[str, FloatArray], inputs: FloatArray, levels: FloatArray) -> None:
    """Go down the gradient of the mean squared error once, every layer at its rate."""
    first, second, told = _outputs(weights, inputs)
    blame = (2 / len(levels) * (told - levels))[:, None]
    gradients = {}
    for name, entering, value in (
        ("last", second, None),
        ("second", first, second),
        ("first", inputs, first),
    ):
        if value is not None:
            blame = blame * (1 - value**2)
        gradients[name] = blame.T @ entering, blame.sum(axis=0)
        blame = blame @ weights[f"{name}.weight"]
    for name, (weight, bias) in gradients.items():
        rate = np.exp(weights[f"log_rates.{name}"])
        weights[f"{name}.weight"] = weights[f"{name}.weight"] - rate * weight
        weights[f"{name}.bias"] = weights[f"{name}.bias"] - rate * bias
