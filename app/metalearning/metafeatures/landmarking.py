"""Landmarkers: how well cheap learners do on a small sample (Pfahringer et al. 2000; Bensusan & Giraud-Carrier 2000).

A landmarker is the mean over three folds of the one-vs-rest AUC (classification) or of R², not below -1 (regression).
"""

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from app.metalearning.protocol import SEED, assign_folds, sample_rows
from app.metalearning.table import FloatArray, IntArray, Table, TaskType

MOST_ROWS = 1_000
N_FOLDS = 3
MOST_LEVELS = 10
# Wider tables are represented by evenly spaced columns, tables of more classes by the most frequent ones.
MOST_COLUMNS = 1_500
MOST_CLASSES = 60

MEANINGS = {
    "lm_linear": "linear discriminant analysis, or ridge regression",
    "lm_stump": "decision tree with one split",
    "lm_one_nn": "nearest neighbour",
    "lm_naive_bayes": "Gaussian naive Bayes; missing for regression",
    "lm_tree_3": "decision tree of depth three",
    "lm_extra_trees": "thirty extremely randomised trees",
    "lm_boosting": "thirty rounds of histogram gradient boosting",
    "lm_linear_small": "the linear landmarker trained on a quarter of the rows",
    "lm_extra_trees_small": "the extra-trees landmarker trained on a quarter of the rows",
}


def extract(table: Table, seconds: float) -> dict[str, float | None]:
    """The landmarkers that fit into the time; one that is not started in time is left out, one undefined is None."""
    deadline = time.perf_counter() + seconds
    rows = sample_rows(table.target_values, MOST_ROWS)
    sample = _with_frequent_classes(table.take(rows))
    data, target = _encoded(sample), sample.target_values
    folds = assign_folds(target, N_FOLDS)
    values: dict[str, float | None] = {}
    for name, make in _learners(table.task_type).items():
        if time.perf_counter() > deadline:
            break
        if make is None:
            values[name] = None
            continue
        fraction = 0.25 if name.endswith("_small") else 1.0
        try:
            values[name] = _score(make, data, target, folds, len(sample.classes), fraction, deadline)
        except TimeoutError:
            break
    return values


def _with_frequent_classes(sample: Table) -> Table:
    """Only the rows of the most frequent classes, where there are more classes than a budget allows."""
    if len(sample.classes) <= MOST_CLASSES:
        return sample
    labels, counts = np.unique(sample.target_values, return_counts=True)
    frequent = labels[np.argsort(-counts, kind="stable")][:MOST_CLASSES]
    return sample.take(np.flatnonzero(np.isin(sample.target_values, frequent)))


def _learners(task_type: TaskType) -> dict[str, Callable[[], Any] | None]:
    """A maker per landmarker, cheap ones first; None where the landmarker is not defined."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis  # noqa: PLC0415  kept out of the API process
    from sklearn.ensemble import (  # noqa: PLC0415
        ExtraTreesClassifier,
        ExtraTreesRegressor,
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
    )
    from sklearn.linear_model import Ridge  # noqa: PLC0415
    from sklearn.naive_bayes import GaussianNB  # noqa: PLC0415
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor  # noqa: PLC0415
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor  # noqa: PLC0415

    seeded = {"random_state": SEED}
    boosting = {"max_iter": 30, "early_stopping": False, **seeded}
    if task_type is TaskType.CLASSIFICATION:
        makers: dict[str, Callable[[], Any] | None] = {
            "lm_linear": lambda: LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
            "lm_stump": lambda: DecisionTreeClassifier(max_depth=1, **seeded),
            "lm_one_nn": lambda: KNeighborsClassifier(1),
            "lm_naive_bayes": GaussianNB,
            "lm_tree_3": lambda: DecisionTreeClassifier(max_depth=3, **seeded),
            "lm_extra_trees": lambda: ExtraTreesClassifier(30, min_samples_leaf=2, **seeded),
            "lm_boosting": lambda: HistGradientBoostingClassifier(**boosting),
        }
    else:
        makers = {
            "lm_linear": Ridge,
            "lm_stump": lambda: DecisionTreeRegressor(max_depth=1, **seeded),
            "lm_one_nn": lambda: KNeighborsRegressor(1),
            "lm_naive_bayes": None,
            "lm_tree_3": lambda: DecisionTreeRegressor(max_depth=3, **seeded),
            "lm_extra_trees": lambda: ExtraTreesRegressor(30, min_samples_leaf=2, **seeded),
            "lm_boosting": lambda: HistGradientBoostingRegressor(**boosting),
        }
    return makers | {
        "lm_linear_small": makers["lm_linear"],
        "lm_extra_trees_small": makers["lm_extra_trees"],
    }


def _score(
    make: Callable[[], Any],
    data: FloatArray,
    target: FloatArray,
    folds: IntArray,
    n_classes: int,
    fraction: float,
    deadline: float,
) -> float | None:
    """The mean score over the folds; None where the learner refuses. Raises: TimeoutError."""
    scores = []
    for fold in range(N_FOLDS):
        if time.perf_counter() > deadline:
            raise TimeoutError
        training, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        training = training[sample_rows(target[training], max(10, int(fraction * len(training))))]
        if len(np.unique(target[training])) < 2:
            return None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = make().fit(data[training], target[training])
                predictions = model.predict_proba(data[test]) if n_classes else model.predict(data[test])
        except (ValueError, np.linalg.LinAlgError):
            return None
        if n_classes:
            scores.append(_auc(target[test], predictions, model.classes_))
        else:
            scores.append(_r2(target[test], predictions))
    return float(np.mean(scores))


def _auc(target: FloatArray, probabilities: FloatArray, classes: FloatArray) -> float:
    """Mean over the classes at hand of the one-vs-rest AUC, from ranks (Mann-Whitney); 0.5 where undefined."""
    from scipy.stats import rankdata  # noqa: PLC0415  kept out of the API process

    scores = []
    for column, label in enumerate(classes):
        positive = target == label
        n_positive, n_negative = int(positive.sum()), int((~positive).sum())
        if n_positive and n_negative:
            ranks = rankdata(np.nan_to_num(probabilities[:, column]))
            surplus = ranks[positive].sum() - n_positive * (n_positive + 1) / 2
            scores.append(surplus / (n_positive * n_negative))
    return float(np.mean(scores)) if scores else 0.5


def _r2(target: FloatArray, predictions: FloatArray) -> float:
    spread = np.sum((target - target.mean()) ** 2)
    return max(-1.0, 1.0 - float(np.sum((target - predictions) ** 2) / spread)) if spread > 0 else 0.0


def _encoded(table: Table) -> FloatArray:
    """Numbers with medians for missing cells and unit variance, beside 0/1 columns for the frequent categories."""
    blocks = [_scaled(column) for column in table.numeric.T]
    for codes in table.categorical.T:
        levels, counts = np.unique(codes, return_counts=True)
        frequent = levels[np.argsort(-counts, kind="stable")][:MOST_LEVELS]
        blocks += [(codes == level).astype(np.float64) for level in frequent]
    step = max(1, -(-len(blocks) // MOST_COLUMNS))
    return np.column_stack(blocks[::step])


def _scaled(column: FloatArray) -> FloatArray:
    present = column[~np.isnan(column)]
    filled = np.where(np.isnan(column), np.median(present) if present.size else 0.0, column)
    spread = filled.std()
    return np.asarray((filled - filled.mean()) / (spread if spread > 0 else 1.0))
