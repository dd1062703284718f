"""What to try next on a dataset, after what was measured on it already, wherever that was; and whether it is worth while."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from app.errors import InvalidRequestError, ScoreOutOfRangeError
from app.metalearning import protocol
from app.metalearning.constraints import feasible_among
from app.metalearning.knowledge import Knowledge, known_size, usual_size
from app.metalearning.metafeatures import as_vector
from app.metalearning.metalearners.hybrid import HybridOutlook
from app.metalearning.metrics import Metric, requested_metric
from app.metalearning.portfolio import Configuration
from app.metalearning.posterior import Posterior
from app.metalearning.recommendation import (
    ExpectedPerformance,
    Question,
    expected_performances,
    predicted_costs,
)
from app.metalearning.reporting import check_score, configuration_for
from app.metalearning.table import BoolArray, FloatArray
from app.metalearning.uncertainty import factor_after, mended_probability

Key = TypeVar("Key", int, tuple[int, int])

# Whoever stops when told to has a configuration within one percent of the best there is this often.
ENOUGH = 0.95
_NEARLY = 0.01
_LARGEST_LOSS = 1e12  # beyond it numbers are no numbers any more


@dataclass(frozen=True)
class Observation:
    """A configuration that was measured on the dataset; no score where it failed.

    With an anchor it is a point of a learning curve: the score on other rows after training on so many.
    """

    configuration: str
    score: float | None
    anchor: int | None = None


@dataclass(frozen=True)
class Next:
    """The configuration to try next, with what to expect of it."""

    configuration: Configuration
    expected: ExpectedPerformance
    expected_improvement: float | None  # of the best score so far; None while there is none
    cpu_seconds: float


@dataclass(frozen=True)
class Suggestion:
    """What to do next."""

    metric: Metric
    next: Next | None  # None where nothing is left that could be tried
    probability_nearly_best: float | None  # that the best so far is within one percent of the best there is
    stop: bool
    because: str
    excluded: dict[str, str]
    version: str


def suggest(
    knowledge: Knowledge,
    question: Question,
    observations: Sequence[Observation],
    seconds_left: float | None = None,
    fits: int = 1,
    pending: Collection[str] = (),
    tries_left: int | None = None,
    most_rows: int | None = None,
) -> Suggestion:
    """The configuration of which most is to be gained, by the second where time is short.

    Args:
        knowledge: of the question's task type.
        question: the dataset, the metric, and the constraints; nothing else of it matters.
        observations: what was measured, in any order.
        seconds_left: CPU seconds that may still be spent; no limit unless given.
        fits: how many fits measuring one configuration takes.
        pending: configurations that are being measured: no candidates.
        tries_left: how many more may be measured: where all of them fit into the time, seconds do not count.
        most_rows: measuring looks at so many rows at most.

    Raises: InvalidRequestError, of which unknown metafeatures, metrics, configurations and impossible scores are kinds;
        NothingFeasibleError.
    """
    known = _Told.of(knowledge, question, observations)
    outlook = known.outlook
    costs = predicted_costs(knowledge, known.vector, outlook.weights)
    feasible = feasible_among(knowledge.configurations, known_size(known.vector), costs, question.constraints)
    rows, columns, classes = usual_size(known.vector)
    rows = rows if most_rows is None else min(rows, most_rows)
    seconds = fits * knowledge.costs.fit_seconds.predict(rows, columns, classes, outlook.weights)
    left = [
        index
        for index in feasible.indices
        if index not in known.results and knowledge.configurations[index].id not in pending
    ]
    affordable, cost = left, None
    if seconds_left is not None:
        affordable = [index for index in left if seconds[index] <= seconds_left]
        if tries_left is None or tries_left * float(np.mean(seconds[left])) > seconds_left:
            cost = knowledge.costs.fit_seconds.law.per_gain(seconds, seconds_left)
    probability = known.probability_nearly_best(left)
    stop, because = _verdict(left, affordable, probability, known.calibration["stop_at"])
    following = None
    if affordable:
        # What is being measured counts as tried, with a result that nobody knows.
        unknown = dict.fromkeys((known.places[name] for name in pending if name in known.places), np.nan)
        index = outlook.suggest_next(affordable, known.results | unknown | known.seen, cost)
        expected, improvement = known.expect(index)
        following = Next(knowledge.configurations[index], expected, improvement, float(seconds[index]))
    return Suggestion(
        known.metric, following, probability, stop, because, feasible.excluded, knowledge.version
    )


@dataclass(frozen=True)
class _Told:
    """What is told of the dataset: its metafeatures, results of configurations, and points of learning curves."""

    knowledge: Knowledge
    question: Question
    metric: Metric
    vector: FloatArray
    places: dict[str, int]  # of the configurations in the evidence
    results: dict[int, float]  # configuration → mean loss, NaN where it only failed
    points: dict[tuple[int, int], float]  # configuration and place of the anchor → the same of a point
    best: float | None  # the least loss of all results, those of configurations without evidence too

    @classmethod
    def of(cls, knowledge: Knowledge, question: Question, observations: Sequence[Observation]) -> "_Told":
        """Raises: InvalidRequestError, of which all refusals are kinds."""
        vector = as_vector(question.metafeatures, question.task_type)
        metric = requested_metric(question.metric, question.task_type, question.n_classes)
        if metric.name in {"rmse", "mae"} and not question.target_sd and observations:
            raise InvalidRequestError(
                f"{metric.name} is in the target's unit, which nothing tells.",
                "Give target_sd, the target's standard deviation; or scores of r2.",
            )
        losses = [(each, _loss(question, metric, each)) for each in observations]
        places = {each.id: place for place, each in enumerate(knowledge.configurations)}
        # What nobody has measured elsewhere teaches nothing about others.
        told = [
            (places[each.configuration], each.anchor, loss)
            for each, loss in losses
            if each.configuration in places
        ]
        full = [loss for each, loss in losses if each.anchor is None and not np.isnan(loss)]
        return cls(
            knowledge,
            question,
            metric,
            vector,
            places,
            results=_means((index, loss) for index, anchor, loss in told if anchor is None),
            points=_means(
                ((index, protocol.ANCHORS.index(anchor)), loss)
                for index, anchor, loss in told
                if anchor is not None
            ),
            best=min(full, default=None),
        )

    @cached_property
    def outlook(self) -> HybridOutlook:
        """What the known datasets let expect, of the points too that were observed."""
        outlook = self.knowledge.by(self.metric, self.question.headline).hybrid.outlook(self.vector)
        if not self.points:
            return outlook
        curves = self.knowledge.evidence.curves[self.metric.name]
        return replace(
            outlook, points=np.stack([curves[:, index, place] for index, place in self.points], axis=1)
        )

    @cached_property
    def seen(self) -> dict[int, float]:
        """Results and points as the outlook counts them: points follow the configurations."""
        first = len(self.knowledge.configurations)
        return self.results | {first + place: loss for place, loss in enumerate(self.points.values())}

    @cached_property
    def n_seen(self) -> int:
        """How many of them have a loss."""
        return sum(not np.isnan(loss) for loss in self.seen.values())

    @cached_property
    def posterior(self) -> Posterior | None:
        """What they let expect; None where nothing has a loss."""
        return self.outlook.posterior(self.seen) if self.n_seen else None

    @property
    def calibration(self) -> dict[str, Any]:
        """How told uncertainty has to be mended for this metric."""
        calibration: dict[str, Any] = self.knowledge.report["calibration"][self.metric.name]
        return calibration

    def probability_nearly_best(self, left: list[int]) -> float | None:
        """That the best so far is nearly the best, as often as it was true on held-out datasets; None without a best."""
        if self.best is None or self.posterior is None:
            return None
        if not left:
            return 1.0
        told = probability_nearly_best(self.metric, self.posterior, left, self.best)
        return mended_probability(self.calibration, told, self.n_seen)

    def expect(self, index: int) -> tuple[ExpectedPerformance, float | None]:
        """What to expect of a configuration: from what was seen, or from the metafeatures while that is nothing."""
        metric, posterior = self.metric, self.posterior
        usual = expected_performances(self.knowledge, self.question, metric, self.vector, [index])[0]
        if posterior is None:
            return usual, None
        loss = float(posterior.losses[index])
        reach = factor_after(self.calibration, self.n_seen) * float(posterior.spread[index])
        scale = self.question.loss_scale(metric)
        score, *ends = (
            float(metric.score(max(0.0, each), scale)) for each in (loss, loss - reach, loss + reach)
        )
        if metric.larger_is_better:
            score, *ends = (max(each, metric.worst) for each in (score, *ends))
        improvement = None
        if self.best is not None:
            improvement = scale * float(posterior.expected_improvement(self.best)[index])
        return ExpectedPerformance(score, min(ends), max(ends), usual.unit), improvement


def _loss(question: Question, metric: Metric, told: Observation) -> float:
    """The loss that a score is, NaN where it failed.

    Raises: UnknownConfigurationError, ScoreOutOfRangeError, InvalidRequestError.
    """
    name = told.configuration
    configuration_for(name, question.task_type)
    if told.anchor is not None and told.anchor not in protocol.ANCHORS:
        raise InvalidRequestError(
            f"Nothing is known of learning curves at {told.anchor} rows.",
            f"Give scores after training on {', '.join(map(str, protocol.ANCHORS))} rows.",
        )
    if told.score is None:
        return math.nan
    check_score(name, metric, told.score)
    loss = float(metric.loss(told.score, question.loss_scale(metric)))
    if loss > _LARGEST_LOSS:
        raise ScoreOutOfRangeError(
            f"{name} has {metric.name} {told.score:g}, which is {loss:.1g} times that of knowing nothing.",
            "Leave it out, or give null: it failed.",
        )
    return loss


def _means(told: Iterable[tuple[Key, float]]) -> dict[Key, float]:
    """The mean loss of everything that was told of, NaN where it only failed, in an order that does not depend on theirs."""
    losses: dict[Key, list[float]] = {}
    for key, loss in told:
        losses.setdefault(key, [])
        if not math.isnan(loss):
            losses[key].append(loss)
    return {key: float(np.mean(losses[key])) if losses[key] else math.nan for key in sorted(losses)}


def _verdict(
    left: list[int], affordable: list[int], probability: float | None, stop_at: float
) -> tuple[bool, str]:
    """Whether to stop, and why in words."""
    if not left:
        return True, "Everything that the constraints leave was tried."
    if not affordable:
        return True, "Nothing that is left is expected to end in the time that is left."
    if probability is None:
        return False, "Nothing has a score yet."
    told = f"The best so far is within 1 % of the best there is with probability {probability:.2f}."
    return probability >= stop_at, told


def probability_nearly_best(metric: Metric, posterior: Posterior, left: list[int], best: float) -> float:
    """The share of joint draws in which nothing that is left is more than one percent better than the best loss so far."""
    draws = posterior.draws()[:, left].min(axis=1, initial=best)
    return float(np.mean(is_nearly(metric, best, np.clip(draws, 0.0, best))))


def is_nearly(metric: Metric, loss: float, best: float | FloatArray) -> BoolArray:
    """Whether the score of a loss is within one percent of the best there is; the unit of losses does not matter."""
    there_is = metric.score(best)
    return np.asarray(np.abs(metric.score(loss) - there_is) <= _NEARLY * np.abs(there_is))
