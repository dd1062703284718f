"""What few-shot methods answer on one dataset: the same labelled rows and queries for all, as a request would send them."""

from typing import Any

import numpy as np
from lightgbm import LGBMClassifier

from app.metalearning.fewshot.encoding import Encoded, encode
from app.metalearning.fewshot.methods import ROWS_PER_CLASS, Method, cell_of
from app.metalearning.fewshot.task import Task
from app.metalearning.table import FloatArray, IntArray, Table
from workers.experiments.fewshot.learners import learner

METHODS = tuple(method for method in Method if method is not Method.AUTO)
BOOSTING = "boosting"
N_DRAWS = 3
MOST_CLASSES = 10
MOST_FEATURES = 200  # numbers of a row, categories counted
_FEWEST_QUERIES = 5  # of every class
_QUERIES = 120  # of all classes
_SMALLEST = 1e-3  # no probability counts as less: a wrong answer of one neighbour would cost infinitely much


def why_not(table: Table) -> str | None:
    """Why the dataset is left out; None where it is not."""
    n_classes = len(_classes(table))
    if not 2 <= n_classes <= MOST_CLASSES:
        return f"{n_classes} classes with rows enough"
    width = drawn(table, 1, 0)[0].task.n_features
    widest = drawn(table, max(ROWS_PER_CLASS), 0)[0].task.n_features
    return f"{widest} features" if max(width, widest) > MOST_FEATURES else None


def measured(table: Table) -> dict[str, Any]:
    """A list of draws: `rows_per_class`, `cell`, and by method balanced `accuracy` and `log_loss`."""
    draws = []
    for rows in ROWS_PER_CLASS:
        for seed in range(N_DRAWS):
            encoded, answers = drawn(table, rows, seed)
            found = {str(method): learner(method)(encoded.task) for method in METHODS}
            found[BOOSTING] = _boosting(encoded.task)
            draws.append(
                {
                    "rows_per_class": rows,
                    "cell": cell_of(encoded.task),
                    "accuracy": {name: _accuracy(shares, answers) for name, shares in found.items()},
                    "log_loss": {name: _log_loss(shares, answers) for name, shares in found.items()},
                }
            )
    return {"draws": draws}


def drawn(table: Table, rows: int, seed: int) -> tuple[Encoded, IntArray]:
    """So many labelled rows of each class, others as queries, equally many of each; and what the queries are."""
    classes = _classes(table)
    random = np.random.default_rng(seed)
    each = [random.permutation(np.flatnonzero(table.target_values == code)) for code in classes]
    queries = max(_FEWEST_QUERIES, _QUERIES // len(classes))
    fewest = min(len(members) - rows for members in each)
    known = np.concatenate([members[:rows] for members in each])
    asked = np.concatenate([members[rows:][: min(queries, fewest)] for members in each])
    labels = table.target_values.astype(np.int64)
    frame = table.frame.select([column.name for column in table.columns])
    encoded = encode(frame.take(known).to_pylist(), labels[known].tolist(), frame.take(asked).to_pylist())
    codes = {label: code for code, label in enumerate(encoded.classes)}
    return encoded, np.array([codes[label] for label in labels[asked].tolist()])


def _classes(table: Table) -> list[int]:
    """Those with rows enough for every draw."""
    counts = np.bincount(table.target_values.astype(np.int64))
    return np.flatnonzero(counts >= max(ROWS_PER_CLASS) + _FEWEST_QUERIES).tolist()


def _boosting(task: Task) -> FloatArray:
    """LightGBM with trees as small as so few rows ask for, all classes weighing the same."""
    model = LGBMClassifier(
        n_estimators=50, num_leaves=7, min_child_samples=2, class_weight="balanced", n_jobs=1, verbosity=-1
    )
    model.fit(task.support, task.labels)
    return np.asarray(model.predict_proba(task.queries), dtype=np.float64)


def _accuracy(shares: FloatArray, answers: IntArray) -> float:
    """Balanced: the queries hold equally many of each class."""
    return float((shares.argmax(axis=1) == answers).mean())


def _log_loss(shares: FloatArray, answers: IntArray) -> float:
    true = shares[np.arange(len(answers)), answers]
    return float(-np.log(np.maximum(true, _SMALLEST)).mean())
