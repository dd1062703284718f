"""What a finished experiment leaves for those who compare and combine."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from app.metalearning.table import FloatArray
from workers.experiments.leaderboard import COSTS


@dataclass(frozen=True)
class Measured:
    """One finished experiment: its configuration, scores and out-of-fold predictions (NaN where never tested)."""

    name: str
    scores: dict[str, float]
    scores_a: dict[str, float]
    predictions: FloatArray
    costs: dict[str, float]


def load_measured(experiment: dict[str, Any]) -> Measured:
    """Read an experiment's predictions.

    Args:
        experiment: `configuration` (id), `result` and `predictions` (path) as `evaluation.measure` left them.
    """
    result = experiment["result"]
    with np.load(experiment["predictions"], allow_pickle=False) as arrays:
        predictions = arrays["predictions"].astype(np.float64)
    costs = {name: result[name] for name in COSTS}
    return Measured(experiment["configuration"], result["scores"], result["scores_a"], predictions, costs)
