"""The leaderboard of a verification: everything that was measured, best first."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from app.metalearning.metrics import METRICS

FITTING, PREDICTING = COSTS = ("fit_cpu_seconds", "predict_cpu_seconds_per_1000_rows")


class Entry(NamedTuple):
    """What was measured of a configuration or a stack."""

    name: str
    scores: dict[str, float]
    fold_scores: list[float | None]  # by the metric that ranks; None where it is not defined on a fold's rows
    costs: dict[str, float]  # by their names in `COSTS`
    hyperparameters: dict[str, Any] | None = None  # of what a search tried: the portfolio does not tell them


def leaderboard(metric: str, entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Rows with rank, name, scores and costs, ranked by a metric."""
    loss = METRICS[metric].loss
    ranked = sorted(entries, key=lambda each: float(loss(each.scores[metric])))
    return [
        {
            "rank": rank,
            "name": each.name,
            "scores": each.scores,
            "fold_scores": each.fold_scores,
            **each.costs,
            **({} if each.hyperparameters is None else {"hyperparameters": each.hyperparameters}),
        }
        for rank, each in enumerate(ranked, start=1)
    ]
