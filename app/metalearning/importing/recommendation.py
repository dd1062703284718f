"""The answer from an imported meta-dataset: which of its algorithms for a dataset that its metafeatures describe."""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from app.errors import MetafeatureOutOfRangeError, UnknownMetafeatureError
from app.metalearning.baselines import mean_regret
from app.metalearning.experience import (
    FEWEST_METAFEATURES,
    choose_strategy,
    expected_losses,
    nearest_datasets,
    probability_of_beating,
    unlike_any_known,
)
from app.metalearning.importing.knowledge import ImportedKnowledge
from app.metalearning.importing.matrix import PENALTY
from app.metalearning.table import FloatArray


@dataclass(frozen=True)
class ExpectedPerformance:
    """A performance with its 90 % interval, in the measure's unit."""

    performance: float
    low: float
    high: float


@dataclass(frozen=True)
class RankedAlgorithm:
    """One recommended algorithm with what to expect of it."""

    rank: int
    algorithm: str
    expected: ExpectedPerformance
    expected_regret: float
    probability_beats_single_best: float | None  # None for the single best itself
    expected_seconds: float | None  # None where the meta-dataset tells no run times beside its measure


@dataclass(frozen=True)
class NearDataset:
    """A known dataset that the answer rests on, and what won there."""

    dataset: str
    weight: float
    winner: str | None  # None where every algorithm ran out of time
    winner_performance: float


@dataclass(frozen=True)
class ImportedRecommendation:
    """A ranking of algorithms, with the facts that make it repeatable."""

    candidates: tuple[RankedAlgorithm, ...]
    strategy: str
    outside_experience: bool
    explanation: str
    neighbours: tuple[NearDataset, ...]
    version: str


def recommend_algorithms(
    knowledge: ImportedKnowledge,
    metafeatures: Mapping[str, float | None],
    k: int = 5,
    strategy: str | None = None,
) -> ImportedRecommendation:
    """Rank the meta-dataset's algorithms for one dataset.

    Raises: UnknownMetafeatureError, MetafeatureOutOfRangeError, InvalidRequestError.
    """
    vector = as_vector(metafeatures, knowledge.evidence.metafeature_names)
    choice = choose_strategy(knowledge, strategy, _outside_because(knowledge, vector), "algorithm")
    learner = knowledge.learners[choice.strategy]
    everything = list(range(len(knowledge.evidence.configurations)))
    outlook = knowledge.hybrid.outlook(vector)
    regret = mean_regret(knowledge.evidence.regret, outlook.weights)
    sbs = knowledge.single_best
    ends = knowledge.losses.performance(
        expected_losses(
            knowledge, knowledge.evidence.headline_losses, vector, knowledge.report["interval_factor"]
        )
    )
    seconds = _expected_seconds(knowledge, vector)
    candidates = tuple(
        RankedAlgorithm(
            rank=rank,
            algorithm=knowledge.evidence.configurations[index],
            expected=ExpectedPerformance(
                float(ends[0, index]), float(ends[1:, index].min()), float(ends[1:, index].max())
            ),
            expected_regret=float(regret[index]),
            probability_beats_single_best=probability_of_beating(knowledge, regret, index, sbs),
            expected_seconds=None if np.isnan(seconds[index]) else float(seconds[index]),
        )
        for rank, index in enumerate(learner.rank(vector, everything, k), start=1)
    )
    return ImportedRecommendation(
        candidates,
        choice.strategy,
        choice.outside_experience,
        choice.explanation,
        _neighbours(knowledge, outlook.weights),
        knowledge.version,
    )


def as_vector(values: Mapping[str, float | None], names: tuple[str, ...]) -> FloatArray:
    """The values in the order of the names, NaN where missing.

    Raises: UnknownMetafeatureError, MetafeatureOutOfRangeError.
    """
    for name, value in values.items():
        if name not in names:
            near = difflib.get_close_matches(name, names, n=3)
            known = ", ".join(near) if near else f"{', '.join(names[:20])}{', …' if len(names) > 20 else ''}"
            raise UnknownMetafeatureError(
                f"The meta-dataset has no metafeature {name[:100]!r}.",
                f"Did you mean {known}?" if near else f"Known are: {known}.",
            )
        if value is not None and not math.isfinite(value):
            raise MetafeatureOutOfRangeError(f"{name} = {value} is no number.", "Leave it out, or give null.")
    return np.array(
        [math.nan if (value := values.get(name)) is None else value for name in names], dtype=np.float64
    )


def _outside_because(knowledge: ImportedKnowledge, vector: FloatArray) -> str | None:
    given = ~np.isnan(vector)
    fewest = min(FEWEST_METAFEATURES, math.ceil(len(vector) / 2))
    if given.sum() < fewest:
        return f"Fewer than {fewest} metafeatures are given."
    known = knowledge.evidence.metafeatures[:, given]
    beyond = (vector[given] < np.fmin.reduce(known)) | (vector[given] > np.fmax.reduce(known))
    if beyond.sum() > given.sum() / 2:
        return f"{beyond.sum()} of {given.sum()} given metafeatures lie beyond those of every known dataset."
    return unlike_any_known(knowledge, vector)


def _expected_seconds(knowledge: ImportedKnowledge, vector: FloatArray) -> FloatArray:
    """Geometric mean of every algorithm's run times on datasets like this, NaN where nobody knows."""
    seconds = knowledge.matrix.seconds[knowledge.rows]
    known = seconds > 0  # NaN is not
    weights = knowledge.trained.level.weights(vector)
    share = weights @ known
    total = weights @ np.log(np.where(known, seconds, 1.0))
    return np.where(share > 0, np.exp(total / np.where(share > 0, share, 1.0)), np.nan)


def _neighbours(knowledge: ImportedKnowledge, weights: FloatArray) -> tuple[NearDataset, ...]:
    evidence = knowledge.evidence
    performances = knowledge.matrix.scored[knowledge.rows]
    cutoff = knowledge.matrix.measure.cutoff_seconds
    out_of_time = np.inf if cutoff is None else PENALTY * cutoff
    neighbours = []
    for each in nearest_datasets(evidence.headline_losses, weights):
        best = float(performances[each.row, each.winner])
        winner = evidence.configurations[each.winner] if best < out_of_time else None
        neighbours.append(NearDataset(evidence.datasets[each.row], each.weight, winner, best))
    return tuple(neighbours)
