"""Ways of ranking, one per file, under one protocol. All run on frozen NumPy arrays; fitting happens in the workers."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from app.metalearning.evidence import Evidence
from app.metalearning.metalearners.constant import AverageRank, SingleBest
from app.metalearning.metalearners.embedding import EmbeddedDatasets
from app.metalearning.metalearners.factorisation import MatrixFactorisation
from app.metalearning.metalearners.flaml import NearestPortfolio
from app.metalearning.metalearners.forest import MultiOutputForest
from app.metalearning.metalearners.hybrid import Hybrid
from app.metalearning.metalearners.lambdamart import LambdaMart
from app.metalearning.metalearners.multitask import MultiTask
from app.metalearning.metalearners.nearest import NearestDatasets
from app.metalearning.metalearners.pairwise import PairwiseForest
from app.metalearning.metalearners.portfolio import GreedyPortfolio
from app.metalearning.metalearners.recurrent import Recurrent
from app.metalearning.metalearners.surrogate import Surrogate
from app.metalearning.metalearners.trained import Trained
from app.metalearning.table import FloatArray


class MetaLearner(Protocol):
    """From a dataset's metafeatures to a ranking of configurations."""

    @property
    def name(self) -> str:
        """What requests and reports call it."""
        ...

    def rank(self, vector: FloatArray, feasible: list[int], most: int | None = None) -> list[int]:
        """Feasible configurations, the one to try first in front; all of them, or the first `most`.

        Args:
            vector: the dataset's metafeatures, shape (metafeatures,), NaN where missing.
            feasible: the configurations to choose among.
            most: how many are wanted.
        """
        ...


class Outlook(Protocol):
    """What a meta-learner expects on one dataset; it answers again and again while results come in."""

    def suggest_next(
        self, feasible: list[int], observed: Mapping[int, float], cost: FloatArray | None = None
    ) -> int:
        """What to try next.

        Args:
            feasible: configurations not tried yet, one at least.
            observed: configuration → loss on the dataset, in the evidence's unit; NaN where it failed.
            cost: what each configuration costs, shape (configurations,), where gains are to be weighed by it.
        """
        ...


@runtime_checkable
class AdaptiveMetaLearner(MetaLearner, Protocol):
    """A meta-learner that also learns from results on the new dataset."""

    def outlook(self, vector: FloatArray) -> Outlook:
        """What is expected of the dataset with these metafeatures, before anything is observed."""
        ...


STRATEGIES = {
    "single_best": SingleBest,
    "average_rank": AverageRank,
    "portfolio": GreedyPortfolio,
    "nearest": NearestDatasets,
    "flaml": NearestPortfolio,
    "forest": MultiOutputForest,
    "pairwise": PairwiseForest,
    "lambdamart": LambdaMart,
    "factorisation": MatrixFactorisation,
    "hybrid": Hybrid,
}
# These are there where networks were trained for what is chosen among.
NEURAL_STRATEGIES = {
    "embedding": EmbeddedDatasets,
    "multitask": MultiTask,
    "recurrent": Recurrent,
    "surrogate": Surrogate,
}


def all_metalearners(evidence: Evidence, trained: Trained) -> dict[str, MetaLearner]:
    """Every way of ranking by name, from what is known and what was trained on it."""
    learners: tuple[MetaLearner, ...] = (
        SingleBest(evidence.regret),
        AverageRank(evidence.regret),
        GreedyPortfolio(evidence.regret),
        NearestDatasets(evidence.regret, evidence.metafeatures),
        NearestPortfolio(evidence.regret, evidence.metafeatures, evidence.metafeature_names),
        MultiOutputForest(trained.forest, evidence.regret),
        PairwiseForest(trained.pairwise, evidence.regret),
        LambdaMart(trained.ranking),
        MatrixFactorisation(evidence.headline_losses, evidence.regret, evidence.metafeatures),
        Hybrid(trained.forest, evidence.regret, evidence.headline_losses, evidence.inferred_ranges),
    )
    if trained.networks is not None:
        learners += (
            EmbeddedDatasets(trained.networks.encoder, evidence.regret, evidence.metafeatures),
            MultiTask(trained.networks.shared),
            trained.networks.recurrent,
            trained.networks.surrogate,
        )
    return {learner.name: learner for learner in learners}
