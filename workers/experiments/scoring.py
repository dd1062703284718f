"""Scores of predictions: every metric of the task type, or one alone.

An experiment scores a dozen sets of predictions, and where learning is quick scikit-learn's checks of its input would take
longer than it. So three metrics repeat the arithmetic of scikit-learn and SciPy, bit by bit, without the checks.
"""

from collections.abc import Callable

import numpy as np
import scipy.stats

from app.metalearning.table import BoolArray, FloatArray, IntArray, TaskType

SMALLEST_PROBABILITY = 1e-7


def score(task_type: TaskType, target: FloatArray, predictions: FloatArray) -> dict[str, float]:
    """All metrics of the task type; ROC AUC is left out where the target has one class only.

    Args:
        task_type: decides the metrics and the form of `predictions`.
        target: class codes or numbers, shape (rows,).
        predictions: probabilities of shape (rows, classes), or numbers of shape (rows,).
    """
    if task_type is TaskType.REGRESSION:
        return {name: function(target, predictions) for name, function in _OF_NUMBERS.items()}
    codes = target.astype(np.int64)
    one_class = np.ptp(codes) == 0
    return {
        name: function(codes, predictions)
        for name, function in _OF_PROBABILITIES.items()
        if not (one_class and name == "roc_auc")
    }


def score_one(name: str, target: FloatArray, predictions: FloatArray) -> float:
    """One metric, as `score` has it.

    Raises: KeyError where the metric is not defined: ROC AUC of one class.
    """
    if name in _OF_NUMBERS:
        return _OF_NUMBERS[name](target, predictions)
    codes = target.astype(np.int64)
    if name == "roc_auc" and np.ptp(codes) == 0:
        raise KeyError(name)
    return _OF_PROBABILITIES[name](codes, predictions)


def _accuracy(codes: IntArray, probabilities: FloatArray) -> float:
    return float(np.mean(probabilities.argmax(axis=1) == codes))


def _balanced_accuracy(codes: IntArray, probabilities: FloatArray) -> float:
    chosen = probabilities.argmax(axis=1)
    return float(np.mean([np.mean(chosen[codes == label] == label) for label in np.unique(codes)]))


def _macro_f1(codes: IntArray, probabilities: FloatArray) -> float:
    """Mean over the classes that are there, as `sklearn.metrics.f1_score`."""
    chosen = probabilities.argmax(axis=1)
    present = np.unique(codes)
    hits, true, predicted = (
        np.bincount(each, minlength=probabilities.shape[1])[present]
        for each in (codes[chosen == codes], codes, chosen)
    )
    return float(np.mean(2.0 * hits / (true + predicted)))


def _log_loss(codes: IntArray, probabilities: FloatArray) -> float:
    of_truth = np.clip(probabilities[np.arange(len(codes)), codes], SMALLEST_PROBABILITY, 1.0)
    return float(-np.mean(np.log(of_truth)))


def _brier(codes: IntArray, probabilities: FloatArray) -> float:
    one_hot = np.eye(probabilities.shape[1])[codes]
    return float(np.mean(np.sum((probabilities - one_hot) ** 2, axis=1)))


def _roc_auc(codes: IntArray, probabilities: FloatArray) -> float:
    """One-vs-rest, macro mean over the classes that are there."""
    present = np.unique(codes)
    labels = present[1:] if probabilities.shape[1] == 2 else present
    return float(np.mean([_area_under_curve(codes == label, probabilities[:, label]) for label in labels]))


def _area_under_curve(is_positive: BoolArray, values: FloatArray) -> float:
    """As `sklearn.metrics.roc_auc_score`: the trapezoids under the corners of the curve."""
    order = np.argsort(values)[::-1]
    last_of_ties = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)
    hits = np.cumsum(is_positive[order], dtype=np.float64)[last_of_ties]
    false_alarms = 1.0 + last_of_ties - hits
    if len(hits) > 2:
        bends = (np.diff(hits, 2) != 0) | (np.diff(false_alarms, 2) != 0)
        corners = np.concatenate([[True], bends, [True]])
        hits, false_alarms = hits[corners], false_alarms[corners]
    heights = np.concatenate([[0.0], hits]) / hits[-1]
    widths = np.diff(np.concatenate([[0.0], false_alarms]) / false_alarms[-1])
    return float((widths * (heights[1:] + heights[:-1]) / 2.0).sum())


def _rmse(target: FloatArray, predictions: FloatArray) -> float:
    return float(np.sqrt(np.mean((predictions - target) ** 2)))


def _mae(target: FloatArray, predictions: FloatArray) -> float:
    return float(np.mean(np.abs(predictions - target)))


def _r2(target: FloatArray, predictions: FloatArray) -> float:
    spread = float(np.sum((target - target.mean()) ** 2))
    return 1.0 - float(np.sum((predictions - target) ** 2)) / spread if spread > 0 else 0.0


def _spearman(target: FloatArray, predictions: FloatArray) -> float:
    """As `scipy.stats.spearmanr`, which also computes a p-value."""
    if np.ptp(predictions) == 0 or np.ptp(target) == 0:
        return 0.0
    ranks = np.column_stack([scipy.stats.rankdata(target), scipy.stats.rankdata(predictions)])
    return float(np.corrcoef(ranks, rowvar=False)[1, 0])


_OF_PROBABILITIES: dict[str, Callable[[IntArray, FloatArray], float]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "macro_f1": _macro_f1,
    "log_loss": _log_loss,
    "brier": _brier,
    "roc_auc": _roc_auc,
}
_OF_NUMBERS: dict[str, Callable[[FloatArray, FloatArray], float]] = {
    "rmse": _rmse,
    "mae": _mae,
    "r2": _r2,
    "spearman": _spearman,
}
