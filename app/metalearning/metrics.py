"""The metrics that experiments store, what is better, and how each becomes a loss that datasets share."""

import math
from dataclasses import dataclass

import numpy as np

from app.errors import UnknownMetricError
from app.metalearning.table import FloatArray, TaskType


@dataclass(frozen=True)
class Metric:
    """A score with its direction and its range: `best` is the value of a perfect model, `worst` none lies beyond."""

    name: str
    task_type: TaskType
    larger_is_better: bool
    best: float
    worst: float

    def holds(self, score: float) -> bool:
        """Whether a score lies within the metric's range."""
        return min(self.best, self.worst) <= score <= max(self.best, self.worst)

    def loss(self, score: float | FloatArray, scale: float | FloatArray = 1.0) -> FloatArray:
        """Distance from perfection in units of `scale` (see `loss_scale`), 0 is perfect."""
        return np.abs(np.asarray(score, dtype=np.float64) - self.best) / scale

    def score(self, loss: float | FloatArray, scale: float | FloatArray = 1.0) -> FloatArray:
        """The inverse of `loss`."""
        sign = -1.0 if self.larger_is_better else 1.0
        return np.asarray(self.best + sign * np.asarray(loss, dtype=np.float64) * scale)


_CLASSIFICATION, _REGRESSION = TaskType.CLASSIFICATION, TaskType.REGRESSION
METRICS = {
    metric.name: metric
    for metric in (
        Metric("roc_auc", _CLASSIFICATION, True, 1.0, 0.0),  # one-vs-rest, macro mean over classes
        Metric("log_loss", _CLASSIFICATION, False, 0.0, math.inf),
        Metric("accuracy", _CLASSIFICATION, True, 1.0, 0.0),
        Metric("balanced_accuracy", _CLASSIFICATION, True, 1.0, 0.0),
        Metric("macro_f1", _CLASSIFICATION, True, 1.0, 0.0),
        Metric("brier", _CLASSIFICATION, False, 0.0, 2.0),
        Metric("rmse", _REGRESSION, False, 0.0, math.inf),
        Metric("mae", _REGRESSION, False, 0.0, math.inf),
        Metric("r2", _REGRESSION, True, 1.0, -math.inf),
        Metric("spearman", _REGRESSION, True, 1.0, -1.0),
    )
}


def metrics_of(task_type: TaskType) -> tuple[Metric, ...]:
    """The metrics stored for every experiment of a task type."""
    return tuple(metric for metric in METRICS.values() if metric.task_type is task_type)


def headline_metric(task_type: TaskType, n_classes: int) -> Metric:
    """The metric that answers when none is asked for: ROC AUC (binary), log-loss (multi-class), RMSE."""
    if task_type is TaskType.REGRESSION:
        return METRICS["rmse"]
    return METRICS["roc_auc" if n_classes <= 2 else "log_loss"]


def requested_metric(name: str | None, task_type: TaskType, n_classes: int) -> Metric:
    """The named metric, or the headline metric.

    Raises: UnknownMetricError.
    """
    check_metric(name, task_type)
    return METRICS[name] if name is not None else headline_metric(task_type, n_classes)


def check_metric(name: str | None, task_type: TaskType | None) -> None:
    """Refuse a metric that there is not, for this task type or (None) for any.

    Raises: UnknownMetricError.
    """
    known = [metric.name for metric in METRICS.values() if task_type in (None, metric.task_type)]
    if name is not None and name not in known:
        kind = task_type or "any task type"
        raise UnknownMetricError(f"{name!r} is no metric for {kind}.", f"Ask for one of: {', '.join(known)}.")


def loss_scale(metric: Metric, *, target_sd: float, prior_entropy: float) -> float:
    """The loss of knowing nothing, by which losses become comparable between datasets.

    Log-loss is divided by the entropy of the class frequencies (nats), RMSE and MAE by the target's standard deviation.
    """
    if metric.name == "log_loss":
        return prior_entropy
    if metric.name in {"rmse", "mae"}:
        return target_sd
    return 1.0
