"""The same ranking for every dataset: what every other way of ranking has to beat."""

# ruff: noqa: ARG002  a constant needs no metafeatures

from dataclasses import dataclass
from functools import cached_property

from app.metalearning.baselines import average_ranks, mean_regret
from app.metalearning.table import FloatArray


@dataclass(frozen=True)
class SingleBest:
    """Configurations in order of their mean regret."""

    regret: FloatArray  # (datasets, configurations)
    name: str = "single_best"

    @cached_property
    def _mean(self) -> FloatArray:
        return mean_regret(self.regret)

    def rank(self, vector: FloatArray, feasible: list[int], most: int | None = None) -> list[int]:
        """By mean regret."""
        return sorted(feasible, key=lambda index: self._mean[index])[:most]


@dataclass(frozen=True)
class AverageRank:
    """Configurations in order of their mean rank."""

    regret: FloatArray
    name: str = "average_rank"

    @cached_property
    def _ranks(self) -> FloatArray:
        return average_ranks(self.regret)

    def rank(self, vector: FloatArray, feasible: list[int], most: int | None = None) -> list[int]:
        """By mean rank."""
        return sorted(feasible, key=lambda index: self._ranks[index])[:most]
