"""What is to know of the winner: how sure its score is, where it errs, whether its probabilities hold, what it looks at.

All of it comes from rows that were held out: from the out-of-fold predictions, and for importance from the first split's test rows.
"""

from typing import Any

import numpy as np
from sklearn.inspection import permutation_importance

from app.metalearning import protocol
from app.metalearning.metrics import Metric
from app.metalearning.portfolio.expressions import Call
from app.metalearning.protocol.splits import UNTESTED, Plan
from app.metalearning.table import FloatArray, Table, TaskType
from workers.experiments import pipelines, scoring
from workers.experiments.comparison import NoComparisonError, score_interval
from workers.experiments.leaderboard import FITTING, PREDICTING
from workers.experiments.measured import Measured

MOST_CLASSES = 20  # of a confusion matrix; rarer ones share a row
MOST_COLUMNS = 30  # that importance is told of
_MOST_POINTS = 300
_N_BINS = 10
_MOST_REPEATS, _MOST_ROWS = 5, 500
# A share of the time that is left: what was delivered must not be lost for what is said of it.
_SHARE = 0.25


def diagnose(
    table: Table,
    plan: Plan,
    metric: Metric,
    winner: Measured,
    expression: Call,
    seconds_left: float,
    n_fits: int = 1,
) -> dict[str, Any]:
    """Everything that card and report show of it; None for what its task type does not have.

    Args:
        table: all rows.
        plan: of the table's rows.
        metric: of the job.
        winner: what was measured of it, as it is delivered.
        expression: of what is delivered.
        seconds_left: until the job has to end.
        n_fits: how often fitting it fits every configuration.
    """
    tested = np.flatnonzero(plan.folds != UNTESTED)
    target = table.target_values[plan.rows]
    truth, predicted = target[tested], winner.predictions[tested]
    is_classification = table.task_type is TaskType.CLASSIFICATION
    try:
        interval = list(score_interval(metric, winner, target, plan))
    except NoComparisonError:
        interval = None
    return {
        "interval": interval,
        "confusion": _confusion(table.classes, truth, predicted) if is_classification else None,
        "reliability": _reliability(truth, predicted) if is_classification else None,
        "residuals": None if is_classification else _residuals(truth, predicted),
        "importance": _importance(table, plan, metric, winner, expression, seconds_left, n_fits),
    }


def _confusion(classes: tuple[str, ...], truth: FloatArray, predicted: FloatArray) -> dict[str, Any]:
    """How often what was taken for what: the most frequent classes, and the others as one."""
    counts = np.bincount(truth.astype(np.int64), minlength=len(classes))
    chosen = np.sort(np.argsort(-counts, kind="stable")[:MOST_CLASSES])
    place = np.full(len(classes), len(chosen))
    place[chosen] = np.arange(len(chosen))
    n_rows = len(chosen) + (len(classes) > len(chosen))
    matrix = np.zeros((n_rows, n_rows), dtype=np.int64)
    np.add.at(matrix, (place[truth.astype(np.int64)], place[predicted.argmax(axis=1)]), 1)
    labels = [classes[index] for index in chosen]
    others = len(classes) - len(chosen)
    return {
        "labels": labels,
        "others": others,
        "counts": matrix.tolist(),  # a row per true class
    }


def _reliability(truth: FloatArray, predicted: FloatArray) -> list[dict[str, float]]:
    """How often the likeliest class was right, by how likely it was said to be."""
    said = predicted.max(axis=1)
    right = predicted.argmax(axis=1) == truth
    bins = np.minimum((said * _N_BINS).astype(np.int64), _N_BINS - 1)
    return [
        {"said": float(said[here].mean()), "right": float(right[here].mean()), "rows": int(here.sum())}
        for here in (bins == number for number in range(_N_BINS))
        if here.any()
    ]


def _residuals(truth: FloatArray, predicted: FloatArray) -> dict[str, Any]:
    """Quantiles of what is left over (true minus predicted), and some of the rows."""
    left = truth - predicted
    shown = protocol.sample_rows(truth, _MOST_POINTS)
    shares = (0.05, 0.25, 0.5, 0.75, 0.95)
    return {
        "quantiles": {str(share): float(np.quantile(left, share)) for share in shares},
        "points": [[float(truth[row]), float(predicted[row])] for row in shown],
    }


def _importance(
    table: Table,
    plan: Plan,
    metric: Metric,
    winner: Measured,
    expression: Call,
    seconds_left: float,
    n_fits: int,
) -> dict[str, Any]:
    """By how much the loss grows on held-out rows when a column's values change places (Breiman 2001).

    Returns: `columns` with `name`, `mean` and `sd` over the repeats, largest first, and how many there are in all; or `because`.
    """
    split = plan.splits[0]
    target = table.target_values[plan.rows]
    rows = split.test[protocol.sample_rows(target[split.test], _MOST_ROWS)]
    fitting = n_fits * winner.costs[FITTING]
    permuting = winner.costs[PREDICTING] * len(rows) / 1000 * len(table.columns)
    room = _SHARE * seconds_left
    repeats = int(min(_MOST_REPEATS, (room - fitting) / max(permuting, 1e-9)))
    if repeats < 1:
        return {
            "because": f"It would take about {fitting + permuting:.3g} s, and {room:.3g} s are kept for it."
        }
    known = target[split.training]
    try:
        model = pipelines.build(expression)
        of_classes = table.task_type is TaskType.CLASSIFICATION
        model.fit(
            pipelines.features(table.take(plan.rows[split.training])),
            known.astype(np.int64) if of_classes else known,
        )
        found = permutation_importance(
            model,
            pipelines.features(table.take(plan.rows[rows])),
            target[rows],
            scoring=lambda fitted, data, truth: -_loss(metric, fitted, data, truth, len(table.classes)),
            n_repeats=repeats,
            random_state=protocol.SEED,
        )
    except MemoryError:
        raise
    except KeyError as undefined:
        return {"because": f"{undefined} is not defined on the rows of the first fold."}
    except Exception as error:  # noqa: BLE001  each library has exceptions of its own; the model is there all the same
        return {"because": f"It could not be fitted on the rows of the first fold: {error}"[:300]}
    means, spreads = found["importances_mean"], found["importances_std"]
    largest = np.argsort(-means, kind="stable")[:MOST_COLUMNS]
    return {
        "columns": [
            {"name": table.columns[index].name, "mean": float(means[index]), "sd": float(spreads[index])}
            for index in largest
        ],
        "of": len(table.columns),
        "repeats": repeats,
        "rows": len(rows),
    }


def _loss(metric: Metric, fitted: Any, data: Any, truth: FloatArray, n_classes: int) -> float:
    predictions = np.asarray(fitted.predict_proba(data) if n_classes else fitted.predict(data))
    if n_classes and predictions.shape[1] < n_classes:  # a class that the training rows lack
        complete = np.zeros((len(predictions), n_classes))
        complete[:, np.asarray(fitted.classes_, dtype=np.int64)] = predictions
        predictions = complete
    return float(metric.loss(scoring.score_one(metric.name, truth, predictions)))
