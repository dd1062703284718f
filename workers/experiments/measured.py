"""What a finished experiment leaves for those who compare and combine."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from app.metalearning.portfolio import Configuration, configuration_called, find_configuration
from app.metalearning.table import FloatArray, TaskType
from workers.experiments.leaderboard import COSTS


@dataclass(frozen=True)
class Measured:
    """One finished experiment: its configuration, scores and out-of-fold predictions (NaN where never tested)."""

    name: str
    scores: dict[str, float]
    scores_a: dict[str, float]
    predictions: FloatArray
    costs: dict[str, float]
    tried: Configuration | None = None  # where the portfolio has none of this name

    @property
    def configuration(self) -> Configuration:
        """What was measured."""
        return self.tried or find_configuration(self.name)


def load_measured(experiment: dict[str, Any], task_type: TaskType | None = None) -> Measured:
    """Read an experiment's predictions.

    Args:
        experiment: `configuration` (id), `result` and `predictions` (path) as `evaluation.measure` left them; and of a
            search's its `trial`.
        task_type: of the dataset, needed with a trial.
    """
    tried = None
    if trial := experiment.get("trial"):
        assert task_type is not None, "the same hyperparameters are two configurations"
        tried = configuration_called(experiment["configuration"], task_type, trial)
    result = experiment["result"]
    with np.load(experiment["predictions"], allow_pickle=False) as arrays:
        predictions = arrays["predictions"].astype(np.float64)
    costs = {name: result[name] for name in COSTS}
    return Measured(
        experiment["configuration"], result["scores"], result["scores_a"], predictions, costs, tried
    )
