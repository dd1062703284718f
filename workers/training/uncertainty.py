"""How far the told uncertainty has to be mended to hold on datasets that were held out, for every metric.

Three things: the interval that metafeatures alone give, the interval of what is suggested after results, and the probability
that the best so far is nearly the best there is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from app.metalearning.experience import LARGEST_LOSS, weighted_losses
from app.metalearning.learned import seen_by
from app.metalearning.metadataset import TabularEvidence
from app.metalearning.metalearners.hybrid import Hybrid, HybridOutlook
from app.metalearning.metrics import METRICS, Metric
from app.metalearning.suggestion import ENOUGH, is_nearly, probability_nearly_best
from app.metalearning.table import FloatArray
from app.metalearning.uncertainty import AFTER, features_of, mended_probability
from workers.training.forests import fit_forest, fit_level_forest
from workers.training.proof import COVERAGE, Follow

_MOST_RESULTS = max(AFTER)
_THRESHOLDS = np.round(np.arange(ENOUGH, 0.9995, 0.0025), 4)
_STRENGTH = 10.0  # of the logistic regression: as good as none


@dataclass(frozen=True)
class Seen:
    """What was seen of one metric on held-out datasets, a row per event."""

    before: FloatArray  # (events, 2): dataset, and distance of a true loss from the expected one, in spreads
    after: (
        FloatArray  # (events, 3): dataset, results so far, and the same distance of what was suggested next
    )
    nearly_best: FloatArray  # (events, 4): dataset, results so far, the probability that was told, and whether it was so

    def of(self, rows: Sequence[int]) -> "Seen":
        """Only these datasets."""
        parts = (self.before, self.after, self.nearly_best)
        return Seen(*(part[np.isin(part[:, 0], rows)] for part in parts))


def hold_out(evidence: TabularEvidence, folds: Sequence[str | None], follow: Follow) -> dict[str, Seen]:
    """Metric → what was seen, on every fold when all others teach (folds as in `proof.hold_out`)."""
    events: dict[str, list[list[tuple[float, ...]]]] = {name: [[], [], []] for name in evidence.losses}
    for fold in follow(sorted({each for each in folds if each is not None})):
        held_out = [row for row, each in enumerate(folds) if each == fold]
        groups = {evidence.groups[row] for row in held_out}
        known = evidence.of(
            [
                row
                for row, each in enumerate(folds)
                if each != fold and (each is not None or evidence.groups[row] not in groups)
            ]
        )
        forest, level = fit_forest(known.metafeatures, known.regret), fit_level_forest(known)
        for name, (before, after, nearly) in events.items():
            seen = seen_by(known, METRICS[name], keeps_regret=False)
            hybrid = Hybrid(forest, seen.regret, seen.headline_losses, seen.inferred_ranges)
            for row in held_out:
                vector, losses = evidence.metafeatures[row], evidence.losses[name][row]
                mean, spread = weighted_losses(seen.headline_losses, level.weights(vector))
                distances = np.abs(np.minimum(losses, LARGEST_LOSS) - mean) / spread
                before += [(row, each) for each in distances[~np.isnan(distances)]]
                _follow_results(METRICS[name], hybrid.outlook(vector), losses, row, after, nearly)
    return {
        name: Seen(*(np.array(part).reshape(-1, width) for part, width in zip(parts, (2, 3, 4), strict=True)))
        for name, parts in events.items()
    }


def _follow_results(
    metric: Metric,
    outlook: HybridOutlook,
    losses: FloatArray,
    row: int,
    after: list[tuple[float, ...]],
    nearly: list[tuple[float, ...]],
) -> None:
    """Try what is suggested, each result told before the next; note what was told and what was true."""
    left, observed = list(range(len(losses))), dict[int, float]()
    best_there_is = float(np.nanmin(losses))
    while len(left) > 1 and len(observed) < _MOST_RESULTS:
        following = outlook.suggest_next(left, observed)
        scored = [loss for loss in observed.values() if not np.isnan(loss)]
        if scored:
            posterior = outlook.posterior(observed)
            distance = np.abs(losses[following] - posterior.losses[following]) / posterior.spread[following]
            if not np.isnan(distance):
                after.append((row, len(scored), float(distance)))
            told = probability_nearly_best(metric, posterior, left, min(scored))
            nearly.append((row, len(scored), told, float(is_nearly(metric, min(scored), best_there_is))))
        left.remove(following)
        observed[following] = float(losses[following])


def summarise(seen: dict[str, Seen]) -> dict[str, Any]:
    """Metric → what mends the told uncertainty, as `app.metalearning.uncertainty` has it."""
    return {name: _summarised(each) for name, each in seen.items()}


def _summarised(seen: Seen) -> dict[str, Any]:
    mending = {
        "interval": float(np.quantile(seen.before[:, 1], COVERAGE)),
        "after": [_factor_after(seen.after, place) for place in range(len(AFTER))],
        "nearly_best": _weights(seen.nearly_best),
    }
    return {**mending, "stop_at": _stop_at(seen.nearly_best, mending)}


def first_stops(nearly_best: FloatArray, mending: dict[str, Any], threshold: float) -> dict[float, bool]:
    """Dataset → whether the best so far was nearly the best when its probability first reached the threshold."""
    stops: dict[float, bool] = {}
    for row, results, told, true in nearly_best:
        if row not in stops and mended_probability(mending, told, int(results)) >= threshold:
            stops[row] = bool(true)
    return stops


def _stop_at(nearly_best: FloatArray, mending: dict[str, Any]) -> float:
    """The least probability at which whoever stops when it is first reached is right as often as is promised.

    Who waits for a large number sees it sooner or later by chance, so that this is above the promise itself.
    """
    for threshold in _THRESHOLDS:
        stops = first_stops(nearly_best, mending, float(threshold))
        if stops and np.mean(list(stops.values())) >= ENOUGH:
            return float(threshold)
    return 1.0


def _factor_after(after: FloatArray, place: int) -> float:
    """Of what was seen from so many results on, up to the next step."""
    until = [*AFTER[1:], np.inf][place]
    of_step = (after[:, 1] >= AFTER[place]) & (after[:, 1] < until)
    return float(np.quantile(after[of_step, 2] if of_step.any() else after[:, 2], COVERAGE))


def _weights(nearly: FloatArray) -> list[float]:
    """A logistic regression of what was true on what was told (Platt 1999) and the number of results."""
    _, results, told, true = nearly.T
    if len(set(true)) < 2:
        return [0.0, 1.0, 0.0]
    features = np.array([features_of(*each) for each in zip(told, results, strict=True)])
    fitted = LogisticRegression(C=_STRENGTH).fit(features, true)
    return [float(fitted.intercept_[0]), *map(float, fitted.coef_[0])]
