"""The leaderboard of a verification: everything that was measured, best first."""

from collections.abc import Iterable
from typing import Any

from app.metalearning.metrics import METRICS

FITTING, PREDICTING = COSTS = ("fit_cpu_seconds", "predict_cpu_seconds_per_1000_rows")


def leaderboard(
    metric: str, measured: Iterable[tuple[str, dict[str, float], dict[str, float]]]
) -> list[dict[str, Any]]:
    """Rows with rank, name, scores and costs.

    Args:
        metric: by which to rank.
        measured: name, scores by metric, and costs by their names in `COSTS`.
    """
    loss = METRICS[metric].loss
    ranked = sorted(measured, key=lambda each: float(loss(each[1][metric])))
    return [
        {"rank": rank, "name": name, "scores": scores, **costs}
        for rank, (name, scores, costs) in enumerate(ranked, start=1)
    ]
