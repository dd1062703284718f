"""Scores of predictions: every metric of the task type at once."""

import numpy as np
import scipy.stats
from sklearn.metrics import f1_score, roc_auc_score

from app.metalearning.table import FloatArray, TaskType

SMALLEST_PROBABILITY = 1e-7


def score(task_type: TaskType, target: FloatArray, predictions: FloatArray) -> dict[str, float]:
    """All metrics of the task type.

    Args:
        task_type: decides the metrics and the form of `predictions`.
        target: class codes or numbers, shape (rows,).
        predictions: probabilities of shape (rows, classes), or numbers of shape (rows,).
    """
    if task_type is TaskType.REGRESSION:
        return _regression_scores(target, predictions)
    return _classification_scores(target.astype(np.int64), predictions)


def _classification_scores(target: FloatArray, probabilities: FloatArray) -> dict[str, float]:
    chosen = probabilities.argmax(axis=1)
    of_truth = np.clip(probabilities[np.arange(len(target)), target], SMALLEST_PROBABILITY, 1.0)
    one_hot = np.eye(probabilities.shape[1])[target]
    present = np.unique(target)
    scores = {
        "accuracy": float(np.mean(chosen == target)),
        "balanced_accuracy": float(np.mean([np.mean(chosen[target == label] == label) for label in present])),
        "macro_f1": float(f1_score(target, chosen, labels=present, average="macro", zero_division=0)),
        "log_loss": float(-np.mean(np.log(of_truth))),
        "brier": float(np.mean(np.sum((probabilities - one_hot) ** 2, axis=1))),
    }
    if len(present) > 1:
        scores["roc_auc"] = _one_vs_rest_auc(target, probabilities, present)
    return scores


def _one_vs_rest_auc(target: FloatArray, probabilities: FloatArray, present: FloatArray) -> float:
    labels = present[1:] if probabilities.shape[1] == 2 else present
    return float(np.mean([roc_auc_score(target == label, probabilities[:, label]) for label in labels]))


def _regression_scores(target: FloatArray, predictions: FloatArray) -> dict[str, float]:
    error = predictions - target
    spread = float(np.sum((target - target.mean()) ** 2))
    constant = np.ptp(predictions) == 0 or np.ptp(target) == 0
    return {
        "rmse": float(np.sqrt(np.mean(error**2))),
        "mae": float(np.mean(np.abs(error))),
        "r2": 1.0 - float(np.sum(error**2)) / spread if spread > 0 else 0.0,
        "spearman": 0.0 if constant else float(scipy.stats.spearmanr(target, predictions).statistic),
    }
