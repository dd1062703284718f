"""The default: what covers for one another on similar datasets first, then what the results so far make promising.

Without observations it is the greedy portfolio weighted by the forest's proximities. From the fourth configuration on, a
Gaussian posterior over performance profiles, conditioned on the results so far, chooses by expected improvement.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from app.metalearning.metalearners.forest import ForestArrays
from app.metalearning.metalearners.portfolio import greedy_order
from app.metalearning.posterior import Posterior, Prior, Profiles
from app.metalearning.table import FloatArray

# So many picks cover for one another before results decide.
N_GREEDY = 3
_LEAST_GAIN = 1e-6  # so that of what promises nothing the cheapest is first


@dataclass(frozen=True)
class Hybrid:
    """Proximity-weighted greedy picks, then expected improvement under the posterior."""

    arrays: ForestArrays
    regret: FloatArray  # (D, C)
    losses: FloatArray  # (D, C)
    inferred_ranges: FloatArray | None = None  # (D, 2), see `Evidence`
    name: str = "hybrid"

    @cached_property
    def profiles(self) -> Profiles:
        """How all configurations did on the known datasets."""
        return Profiles(self.losses, ~np.isnan(self.regret), self.inferred_ranges)

    def outlook(self, vector: FloatArray) -> "HybridOutlook":
        """How much every known dataset says about this one, and what follows."""
        return HybridOutlook(self, self.arrays.shrunk_weights(vector))

    def rank(self, vector: FloatArray, feasible: list[int], most: int | None = None) -> list[int]:
        """In proximity-weighted greedy order: nothing is observed."""
        return self.outlook(vector).rank(feasible, most)


@dataclass(frozen=True)
class HybridOutlook:
    """What the known datasets, weighed, let expect on the new one.

    Points of learning curves that are going to be observed count on from the configurations: what follows the last
    configuration among the observed is the first point.
    """

    learner: Hybrid
    weights: FloatArray  # (D,)
    points: FloatArray | None = None  # (D, P): what these points were on the known datasets

    @cached_property
    def prior(self) -> Prior:
        """The new dataset's profile before anything is observed."""
        return Prior.of(self.learner.profiles, self.weights, self.points)

    def rank(self, feasible: list[int], most: int | None = None) -> list[int]:
        """In proximity-weighted greedy order."""
        return greedy_order(self.learner.regret, self.weights, feasible, most=most)

    def posterior(self, observed: Mapping[int, float]) -> Posterior:
        """The same after losses were observed; one of them at least is a number."""
        return self.prior.condition(observed)

    def suggest_next(
        self, feasible: list[int], observed: Mapping[int, float], cost: FloatArray | None = None
    ) -> int:
        """Greedy while there are few results, then the largest expected improvement on the best of them, for its cost.

        With points alone there is no best: then it is the least expected loss, from the median on.
        """
        n_configurations = self.learner.regret.shape[1]
        results = {index: loss for index, loss in observed.items() if index < n_configurations}
        losses = [loss for loss in results.values() if not np.isnan(loss)]
        points = [loss for loss in observed.values() if not np.isnan(loss)][len(losses) :]
        if not points and (len(results) < N_GREEDY or not losses):
            return greedy_order(self.learner.regret, self.weights, feasible, list(results), 1, cost)[0]
        posterior = self.posterior(observed)
        if losses:
            gain = posterior.expected_improvement(min(losses))
        else:
            gain = np.maximum(posterior.level - posterior.losses, 0.0) + _LEAST_GAIN
        if cost is not None:
            gain = gain[: len(cost)] / cost
        return max(feasible, key=lambda index: gain[index])
