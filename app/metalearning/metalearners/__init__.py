"""Ways of ranking, one per file, under one protocol. All run on frozen NumPy arrays; fitting happens in the workers."""

from typing import Protocol

from app.metalearning.evidence import Evidence
from app.metalearning.metalearners.constant import AverageRank, SingleBest
from app.metalearning.metalearners.forest import ProximityForest
from app.metalearning.metalearners.nearest import NearestDatasets
from app.metalearning.metalearners.portfolio import GreedyPortfolio
from app.metalearning.table import FloatArray


class MetaLearner(Protocol):
    """From a dataset's metafeatures to a ranking of configurations."""

    @property
    def name(self) -> str:
        """What requests and reports call it."""
        ...

    def expected_regret(self, vector: FloatArray) -> FloatArray:
        """Expected normalised regret of every configuration, shape (configurations,)."""
        ...

    def rank(self, vector: FloatArray, feasible: list[int], most: int | None = None) -> list[int]:
        """Feasible configurations, the one to try first in front; later ones cover for earlier ones.

        All of them, or the first `most`.
        """
        ...


STRATEGIES = ("single_best", "average_rank", "portfolio", "nearest", "forest")


def simple_metalearners(evidence: Evidence) -> dict[str, MetaLearner]:
    """The ways of ranking that need no training beyond the evidence itself."""
    learners: tuple[MetaLearner, ...] = (
        SingleBest(evidence.regret),
        AverageRank(evidence.regret),
        GreedyPortfolio(evidence.regret),
        NearestDatasets(evidence.regret, evidence.metafeatures),
    )
    return {learner.name: learner for learner in learners}


__all__ = [
    "STRATEGIES",
    "AverageRank",
    "GreedyPortfolio",
    "MetaLearner",
    "NearestDatasets",
    "ProximityForest",
    "SingleBest",
    "simple_metalearners",
]
