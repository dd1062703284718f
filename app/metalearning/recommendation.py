"""The answer: a ranking with expected performance, cost and reasons, from frozen knowledge and one metafeature vector."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.metalearning.baselines import mean_regret
from app.metalearning.constraints import Constraints, PredictedCosts, feasible_among
from app.metalearning.experience import (
    choose_strategy,
    expected_losses,
    nearest_datasets,
    probability_of_beating,
)
from app.metalearning.knowledge import Knowledge, known_size, outside_because, usual_size
from app.metalearning.metafeatures import LEARNED, as_vector
from app.metalearning.metalearners.embedding import EmbeddedDatasets
from app.metalearning.metrics import Metric, headline_metric, loss_scale, requested_metric
from app.metalearning.portfolio import Configuration
from app.metalearning.table import FloatArray, TaskType

NO_CONSTRAINTS = Constraints()
_N_INFLUENCES = 3


@dataclass(frozen=True)
class Question:
    """What somebody wants to know."""

    task_type: TaskType
    metafeatures: dict[str, float | None]
    metric: str | None = None
    strategy: str | None = None
    k: int = 5
    target_sd: float | None = None
    constraints: Constraints = NO_CONSTRAINTS
    explain: bool = True  # the reasons cost as much as the ranking

    @property
    def n_classes(self) -> int:
        """As many as the metafeatures tell; two where they tell nothing."""
        return int(self.metafeatures.get("nr_class") or 2)

    @property
    def headline(self) -> Metric:
        """The metric that answers unless another one is asked for."""
        return headline_metric(self.task_type, self.n_classes)

    def loss_scale(self, metric: Metric) -> float:
        """What one unit of the metric's loss is on this dataset, as far as it is known."""
        entropy_bits = self.metafeatures.get("class_ent")
        entropy = math.log(2) * entropy_bits if entropy_bits else math.log(max(2, self.n_classes))
        return loss_scale(metric, target_sd=self.target_sd or 1.0, prior_entropy=entropy)


@dataclass(frozen=True)
class ExpectedPerformance:
    """A score with its 90 % interval; `unit` tells when it is relative to the target's spread."""

    score: float
    low: float
    high: float
    unit: str


@dataclass(frozen=True)
class Candidate:
    """One recommended configuration with what to expect of it."""

    rank: int
    configuration: Configuration
    expected: ExpectedPerformance
    expected_regret: float
    probability_best: float | None  # of all that the constraints leave; None where no reasons are asked for
    probability_beats_single_best: float | None  # None for the single best itself
    fit_cpu_seconds: float
    predict_cpu_seconds_per_1000_rows: float
    memory_bytes: int


@dataclass(frozen=True)
class Neighbour:
    """A past dataset that the answer rests on, and what won there."""

    dataset: str
    weight: float
    winner: str
    winner_score: float


@dataclass(frozen=True)
class SimilarDataset:
    """A past dataset that lies near in the learned space, and what won there.

    A distance of 1 is the middle one between two known datasets.
    """

    dataset: str
    distance: float
    winner: str
    winner_score: float


@dataclass(frozen=True)
class Influence:
    """A metafeature that moved the first candidate; `value` is None where it is not known, and the usual one stood for it.

    The effect is on its expected regret against that of the single best, or on its own where it is that: below 0 speaks
    for it.
    """

    metafeature: str
    value: float | None
    effect: float


@dataclass(frozen=True)
class Recommendation:
    """A ranking, with the facts that make it repeatable."""

    candidates: tuple[Candidate, ...]
    metric: Metric
    strategy: str
    outside_experience: bool
    explanation: str
    neighbours: tuple[Neighbour, ...]
    similar: tuple[SimilarDataset, ...]
    moved_by: tuple[Influence, ...]
    excluded: dict[str, str]
    version: str


def recommend(knowledge: Knowledge, question: Question) -> Recommendation:
    """Rank the configurations for one dataset.

    Raises: InvalidRequestError, of which unknown metafeatures, metrics and strategies are kinds; NothingFeasibleError.
    """
    vector = as_vector(question.metafeatures, question.task_type)
    metric = requested_metric(question.metric, question.task_type, question.n_classes)
    choice = choose_strategy(
        knowledge, question.strategy, outside_because(knowledge, vector), "configuration"
    )
    by_metric = knowledge.by(metric, question.headline)
    learner = by_metric.learners[choice.strategy]
    outlook = by_metric.hybrid.outlook(vector)
    costs = predicted_costs(knowledge, vector, outlook.weights)
    feasible = feasible_among(knowledge.configurations, known_size(vector), costs, question.constraints)
    if learner is by_metric.hybrid:  # whose outlook is there already
        order = outlook.rank(feasible.indices, question.k)
    else:
        order = learner.rank(vector, feasible.indices, question.k)
    best = outlook.prior.probability_best(feasible.indices) if question.explain else {}
    regret = mean_regret(by_metric.evidence.regret, outlook.weights)
    expected = expected_performances(knowledge, question, metric, vector, order)
    sbs = by_metric.single_best
    candidates = tuple(
        Candidate(
            rank=rank,
            configuration=knowledge.configurations[index],
            expected=expected[rank - 1],
            expected_regret=float(regret[index]),
            probability_best=best.get(index),
            probability_beats_single_best=probability_of_beating(knowledge, regret, index, sbs),
            fit_cpu_seconds=float(costs.fit_cpu_seconds[index]),
            predict_cpu_seconds_per_1000_rows=float(costs.predict_cpu_seconds_per_1000_rows[index]),
            memory_bytes=int(costs.memory_bytes[index]),
        )
        for rank, index in enumerate(order, start=1)
    )
    return Recommendation(
        candidates,
        metric,
        choice.strategy,
        choice.outside_experience,
        choice.explanation,
        _neighbours(knowledge, outlook.weights, metric) if question.explain else (),
        _similar(knowledge, vector, metric) if question.explain else (),
        _moved_by(by_metric, vector, order[0], sbs) if question.explain else (),
        feasible.excluded,
        knowledge.version,
    )


def predicted_costs(knowledge: Knowledge, vector: FloatArray, weights: FloatArray) -> PredictedCosts:
    """What every configuration is expected to cost on the dataset, which is like weighted known ones."""
    size = usual_size(vector)
    return PredictedCosts(
        knowledge.costs.fit_seconds.predict(*size, weights),
        knowledge.costs.predict_seconds_per_1000_rows.predict(*size),
        knowledge.costs.memory_bytes.predict(*size),
    )


def expected_performances(
    knowledge: Knowledge, question: Question, metric: Metric, vector: FloatArray, among: Sequence[int]
) -> list[ExpectedPerformance]:
    """Of these configurations: weighted means of the metric on past datasets, with intervals calibrated on held-out ones."""
    factor = knowledge.report["calibration"][metric.name]["interval"]
    ends = expected_losses(knowledge, knowledge.evidence.losses[metric.name][:, among], vector, factor)
    ends[1] = np.maximum(ends[1], 0.0)
    scale = question.loss_scale(metric)
    relative = metric.name in {"rmse", "mae"} and not question.target_sd
    unit = f"{metric.name} / standard deviation of the target" if relative else metric.name
    scores = metric.score(ends, scale)
    if metric.larger_is_better:
        scores = np.maximum(scores, metric.worst)
    return [
        ExpectedPerformance(
            score,
            min(one_end, other_end),  # whichever way the metric goes
            max(one_end, other_end),
            unit,
        )
        for score, one_end, other_end in scores.T.tolist()
    ]


def _moved_by(knowledge: Knowledge, vector: FloatArray, first: int, sbs: int) -> tuple[Influence, ...]:
    """The metafeatures that speak loudest for or against the first candidate."""
    means = knowledge.regret_at_nodes(first)
    if first != sbs:
        means = means - knowledge.regret_at_nodes(sbs)
    effects = knowledge.trained.forest.influences(vector, means)
    return tuple(
        Influence(
            LEARNED[index], None if np.isnan(vector[index]) else float(vector[index]), float(effects[index])
        )
        for index in np.argsort(-np.abs(effects), kind="stable")[:_N_INFLUENCES]
        if effects[index]
    )


def _neighbours(knowledge: Knowledge, weights: FloatArray, metric: Metric) -> tuple[Neighbour, ...]:
    """The past datasets that weigh most, with the configuration that won there by the metric."""
    evidence = knowledge.evidence
    losses = evidence.losses[metric.name]
    return tuple(
        Neighbour(
            evidence.datasets[each.row],
            each.weight,
            evidence.configurations[each.winner],
            float(metric.score(losses[each.row, each.winner])),
        )
        for each in nearest_datasets(losses, weights)
    )


def _similar(knowledge: Knowledge, vector: FloatArray, metric: Metric) -> tuple[SimilarDataset, ...]:
    """The past datasets that metric learning places nearest, whichever way ranks."""
    evidence, embedded = knowledge.evidence, knowledge.learners["embedding"]
    assert isinstance(embedded, EmbeddedDatasets), "the name is the class's"
    distances = embedded.distances(vector) / embedded.typical_distance
    losses = evidence.losses[metric.name]
    return tuple(
        SimilarDataset(
            evidence.datasets[each.row],
            float(distances[each.row]),
            evidence.configurations[each.winner],
            float(metric.score(losses[each.row, each.winner])),
        )
        for each in nearest_datasets(losses, -distances)
    )
