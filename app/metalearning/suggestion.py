"""What to try next on a dataset, after what was measured on it already, wherever that was; and whether it is worth while."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

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
from app.metalearning.table import FloatArray
from app.metalearning.uncertainty import factor_after, mended_probability

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
    vector = as_vector(question.metafeatures, question.task_type)
    metric = requested_metric(question.metric, question.task_type, question.n_classes)
    observed = _as_losses(knowledge, question, metric, [each for each in observations if each.anchor is None])
    points = _as_points(knowledge, question, metric, observations)
    outlook = _with_points(
        knowledge, metric, knowledge.by(metric, question.headline).hybrid.outlook(vector), points
    )
    # Points follow the configurations in the profile.
    seen = observed | {
        len(knowledge.configurations) + place: loss for place, loss in enumerate(points.values())
    }
    costs = predicted_costs(knowledge, vector, outlook.weights)
    feasible = feasible_among(knowledge.configurations, known_size(vector), costs, question.constraints)
    rows, columns, classes = usual_size(vector)
    rows = rows if most_rows is None else min(rows, most_rows)
    seconds = fits * knowledge.costs.fit_seconds.predict(rows, columns, classes, outlook.weights)
    left = [
        index
        for index in feasible.indices
        if index not in observed and knowledge.configurations[index].id not in pending
    ]
    affordable, cost = left, None
    if seconds_left is not None:
        affordable = [index for index in left if seconds[index] <= seconds_left]
        if tries_left is None or tries_left * float(np.mean(seconds[left])) > seconds_left:
            cost = knowledge.costs.fit_seconds.law.per_gain(seconds, seconds_left)
    calibration = knowledge.report["calibration"][metric.name]
    probability = _probability(metric, outlook, calibration, left, observed, seen)
    stop, because = _verdict(left, affordable, probability, calibration["stop_at"])
    following = None
    if affordable:
        # What is being measured counts as tried, with a result that nobody knows.
        places = {each.id: place for place, each in enumerate(knowledge.configurations)}
        unknown = dict.fromkeys((places[name] for name in pending if name in places), np.nan)
        index = outlook.suggest_next(affordable, observed | unknown | seen, cost)
        expected, improvement = _expect(
            knowledge, question, metric, outlook, calibration, vector, observed, seen, index
        )
        following = Next(knowledge.configurations[index], expected, improvement, float(seconds[index]))
    return Suggestion(metric, following, probability, stop, because, feasible.excluded, knowledge.version)


def _as_losses(
    knowledge: Knowledge, question: Question, metric: Metric, observations: Sequence[Observation]
) -> dict[int, float]:
    """Mean loss of every observed configuration that the evidence knows, NaN where it only failed.

    Raises: UnknownConfigurationError, ScoreOutOfRangeError, InvalidRequestError.
    """
    if metric.name in {"rmse", "mae"} and not question.target_sd and observations:
        raise InvalidRequestError(
            f"{metric.name} is in the target's unit, which nothing tells.",
            "Give target_sd, the target's standard deviation; or scores of r2.",
        )
    places = {configuration.id: index for index, configuration in enumerate(knowledge.configurations)}
    losses: dict[int, list[float]] = {}
    for each in observations:
        name = each.configuration
        configuration_for(name, question.task_type)
        if each.score is not None:
            check_score(name, metric, each.score)
        loss = np.nan if each.score is None else float(metric.loss(each.score, question.loss_scale(metric)))
        if loss > _LARGEST_LOSS:
            raise ScoreOutOfRangeError(
                f"{name} has {metric.name} {each.score:g}, which is {loss:.1g} times that of knowing nothing.",
                "Leave it out, or give null: it failed.",
            )
        if name in places:  # what nobody has measured elsewhere teaches nothing about others
            losses.setdefault(places[name], [])
            if each.score is not None:
                losses[places[name]].append(loss)
    return {index: float(np.mean(values)) if values else np.nan for index, values in losses.items()}


def _as_points(
    knowledge: Knowledge, question: Question, metric: Metric, observations: Sequence[Observation]
) -> dict[tuple[int, int], float]:
    """Mean loss of every observed point of a learning curve, by the places of configuration and anchor.

    Raises: as `_as_losses`; InvalidRequestError for another anchor.
    """
    points: dict[tuple[int, int], float] = {}
    for anchor in sorted({each.anchor for each in observations if each.anchor is not None}):
        if anchor not in protocol.ANCHORS:
            raise InvalidRequestError(
                f"Nothing is known of learning curves at {anchor} rows.",
                f"Give scores after training on {', '.join(map(str, protocol.ANCHORS))} rows.",
            )
        told = [each for each in observations if each.anchor == anchor]
        place = protocol.ANCHORS.index(anchor)
        losses = _as_losses(knowledge, question, metric, told)
        points |= {(index, place): loss for index, loss in losses.items()}
    return points


def _with_points(
    knowledge: Knowledge, metric: Metric, outlook: HybridOutlook, points: Mapping[tuple[int, int], float]
) -> HybridOutlook:
    """The outlook that can be told of these points, in this order."""
    if not points:
        return outlook
    curves = knowledge.evidence.curves[metric.name]
    return replace(outlook, points=np.stack([curves[:, index, place] for index, place in points], axis=1))


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


def _probability(
    metric: Metric,
    outlook: HybridOutlook,
    calibration: dict[str, Any],
    left: list[int],
    observed: Mapping[int, float],
    seen: Mapping[int, float],
) -> float | None:
    """That the best so far is nearly the best, as often as it was true on held-out datasets."""
    scored = [loss for loss in observed.values() if not np.isnan(loss)]
    if not scored:
        return None
    if not left:
        return 1.0
    told = probability_nearly_best(metric, outlook.posterior(seen), left, min(scored))
    return mended_probability(calibration, told, len(scored))


def probability_nearly_best(metric: Metric, posterior: Posterior, left: list[int], best: float) -> float:
    """The share of joint draws in which nothing that is left is more than one percent better than the best loss so far."""
    draws = posterior.draws()[:, left].min(axis=1, initial=best)
    return float(np.mean(is_nearly(metric, best, np.clip(draws, 0.0, best))))


def is_nearly(metric: Metric, loss: float, best: float | FloatArray) -> npt.NDArray[np.bool_]:
    """Whether the score of a loss is within one percent of the best there is; the unit of losses does not matter."""
    there_is = metric.score(best)
    return np.asarray(np.abs(metric.score(loss) - there_is) <= _NEARLY * np.abs(there_is))


def _expect(
    knowledge: Knowledge,
    question: Question,
    metric: Metric,
    outlook: HybridOutlook,
    calibration: dict[str, Any],
    vector: FloatArray,
    observed: Mapping[int, float],
    seen: Mapping[int, float],
    index: int,
) -> tuple[ExpectedPerformance, float | None]:
    """What to expect of a configuration: from the results so far, or from the metafeatures while there are none."""
    usual = expected_performances(knowledge, question, metric, vector)[index]
    known = sum(not np.isnan(loss) for loss in seen.values())
    if not known:
        return usual, None
    posterior = outlook.posterior(seen)
    loss = float(posterior.losses[index])
    reach = factor_after(calibration, known) * float(posterior.spread[index])
    scale = question.loss_scale(metric)
    score, *ends = (float(metric.score(max(0.0, each), scale)) for each in (loss, loss - reach, loss + reach))
    if metric.larger_is_better:
        score, *ends = (max(each, metric.worst) for each in (score, *ends))
    scored = [each for each in observed.values() if not np.isnan(each)]
    improvement = scale * float(posterior.expected_improvement(min(scored))[index]) if scored else None
    return ExpectedPerformance(score, min(ends), max(ends), usual.unit), improvement
