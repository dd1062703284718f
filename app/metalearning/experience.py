"""The pieces of every answer, whatever it chooses among: which way of ranking, what to expect, how sure, and why."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from app.errors import InvalidRequestError
from app.metalearning.baselines import single_best
from app.metalearning.evidence import Evidence
from app.metalearning.metalearners import MetaLearner
from app.metalearning.metalearners.hybrid import Hybrid
from app.metalearning.metalearners.trained import Trained
from app.metalearning.scaling import QuantileScale
from app.metalearning.table import FloatArray

FEWEST_METAFEATURES = 6
# A model three times as bad as knowing nothing is useless; how useless must not move a mean.
LARGEST_LOSS = 3.0
_N_REASONS = 3


@dataclass(frozen=True)
class Experience:
    """Evidence with the meta-learners fitted on it; `report` holds the proof and the calibration."""

    evidence: Evidence
    learners: Mapping[str, MetaLearner]
    trained: Trained
    scale: QuantileScale
    report: dict[str, Any]
    version: str

    @cached_property
    def single_best(self) -> int:
        """The best constant, which every answer is compared with."""
        return single_best(self.evidence.regret)

    @property
    def hybrid(self) -> Hybrid:
        """What expects results jointly, whichever way ranks."""
        hybrid = self.learners["hybrid"]
        assert isinstance(hybrid, Hybrid), "the name is the class's"
        return hybrid


@dataclass(frozen=True)
class Choice:
    """The way of ranking that answers, whether the dataset is outside experience, and why in words."""

    strategy: str
    outside_experience: bool
    explanation: str


@dataclass(frozen=True)
class Reason:
    """A known dataset that an answer rests on, by its row, and the configuration that won there."""

    row: int
    weight: float
    winner: int


def check_strategy(experience: Experience, strategy: str | None) -> None:
    """Refuse a way of ranking that there is not.

    Raises: InvalidRequestError.
    """
    if strategy is not None and strategy not in experience.learners:
        raise InvalidRequestError(
            f"There is no strategy {strategy!r}.", f"Ask for one of: {', '.join(experience.learners)}."
        )


def choose_strategy(
    experience: Experience, asked: str | None, outside_because: str | None, chosen_among: str
) -> Choice:
    """The strategy that was asked for; else the portfolio where there is no experience; else the proven best.

    Raises: InvalidRequestError.
    """
    check_strategy(experience, asked)
    if asked is not None:
        return Choice(asked, outside_because is not None, f"The strategy {asked} was asked for.")
    if outside_because is not None:
        answer = "The robust portfolio answers instead of the meta-learner."
        return Choice("portfolio", True, f"{outside_because} {answer}")
    default = experience.report["default"]
    regrets = experience.report["regret"]
    proof = (
        f"{default} is the best on datasets that it had not seen: its first choice has regret "
        f"{regrets[default]['1']:.2f} there, against {regrets['single_best']['1']:.2f} of the single best {chosen_among}."
    )
    return Choice(default, False, proof)


def unlike_any_known(experience: Experience, vector: FloatArray) -> str | None:
    """In words, that no known dataset is near; None where one is."""
    distance = experience.scale.distances(vector).min()
    if distance > experience.report["distance_limit"]:
        return f"No known dataset is like this one (distance {distance:.2f})."
    return None


def expected_losses(
    experience: Experience, losses: FloatArray, vector: FloatArray, factor: float
) -> FloatArray:
    """Mean loss of every configuration on datasets like this, and the ends of its 90 % interval, shape (3, C).

    Args:
        experience: what is known.
        losses: of the known datasets, shape (D, C).
        vector: the dataset's metafeatures.
        factor: half the interval's width in spreads, as datasets that were held out need it.
    """
    mean, spread = weighted_losses(losses, experience.trained.level.weights(vector))
    reach = factor * spread
    return np.stack([mean, mean - reach, mean + reach])


def weighted_losses(losses: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and spread of every configuration's loss over weighted datasets; what was not measured does not count."""
    known = ~np.isnan(losses)
    share = weights[:, None] * known
    share = share / np.maximum(share.sum(axis=0), 1e-12)
    filled = np.minimum(np.nan_to_num(losses), LARGEST_LOSS)
    mean = (share * filled).sum(axis=0)
    spread = np.sqrt((share * (filled - mean) ** 2).sum(axis=0))
    return mean, np.maximum(spread, 0.01)


def probability_of_beating(experience: Experience, regret: FloatArray, index: int, sbs: int) -> float | None:
    """Normal probability that a regret is below the single best's, with the spread seen on held-out data."""
    if index == sbs:
        return None
    spread = experience.report["advantage_sd"][index]
    return 0.5 * math.erfc((regret[index] - regret[sbs]) / (spread * math.sqrt(2)))


def nearest_datasets(losses: FloatArray, weights: FloatArray) -> list[Reason]:
    """The known datasets that weigh most, each with what had the least of these losses there; some have none of them."""
    heaviest = (int(row) for row in np.argsort(-weights, kind="stable") if not np.isnan(losses[row]).all())
    return [
        Reason(row, float(weights[row]), int(np.nanargmin(losses[row])))
        for row in itertools.islice(heaviest, _N_REASONS)
    ]
