"""Combine measured configurations by their out-of-fold predictions, compare honestly, refit the winner on all rows."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import skops.io

from app.isolation import Report
from app.metalearning import protocol
from app.metalearning.metrics import METRICS, Metric
from app.metalearning.portfolio import find_configuration
from app.metalearning.portfolio.expressions import Call, call
from app.metalearning.table import FloatArray, IntArray, Table, TaskType, read_table
from workers.experiments import pipelines, scoring
from workers.experiments.card import make_card
from workers.experiments.evaluation import NotMeasurableError
from workers.experiments.script import render_script

ARTIFACT_FILE = "model.skops"
SCRIPT_FILE = "script.py"
STACK = "stack"
# Weights of every meta-model are non-negative: negative ones turn what folds know of each other into seeming skill.
REGRESSION_META_MODEL = call("sklearn.linear_model.LinearRegression", positive=True)
_N_SELECTIONS = 25
_N_RESAMPLES = 500
_CONFIDENCE = 0.9


@dataclass(frozen=True)
class Measured:
    """One finished experiment: its configuration, scores and out-of-fold predictions."""

    name: str
    scores: dict[str, float]
    scores_a: dict[str, float]
    predictions: FloatArray
    costs: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """The stack against the best single configuration on rows that chose neither; positive favours the stack."""

    single: str
    difference: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """What may honestly be said."""
        if self.low > 0:
            return "stack_better"
        return "single_better" if self.high < 0 else "no_clear_difference"


def stack(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Fit the stack, make the leaderboard, refit the winner; writes the artifact and the script to the task's folder.

    Args:
        payload: `table`, `folder`, `metric`, `reading`, `dataset`, and `experiments` with results and predictions.
        report: told of every phase.
    """
    warnings.simplefilter("ignore")
    table = read_table(Path(payload["table"]))
    metric = METRICS[payload["metric"]]
    experiments = payload["experiments"]
    with np.load(experiments[0]["predictions"], allow_pickle=False) as first:
        rows, folds = first["rows"], first["folds"]
    target = table.target_values[rows]
    halves = protocol.assign_halves(target)
    measured = [_load(experiment) for experiment in experiments]
    report({"kind": "progress", "phase": "stacking", "done": 0, "total": 2})
    comparison, no_stack_because = None, "With one configuration there is nothing to stack."
    if len(measured) > 1:
        try:
            stacked = _stack_out_of_fold(table.task_type, measured, target, folds, halves)
            comparison = compare(metric, table.task_type, measured, stacked, target, halves)
            measured.append(stacked)
        except ValueError as error:
            no_stack_because = f"The stack could not be fitted: {error}"[:300]
        except KeyError as undefined:
            no_stack_because = (
                f"On half of the rows {undefined} is not defined, so there is no fair comparison."
            )
    leaderboard = sorted(measured, key=lambda each: metric.loss(each.scores[metric.name]).item())
    report({"kind": "progress", "phase": "refitting", "done": 1, "total": 2})
    stack_wins = comparison is not None and comparison.verdict == "stack_better"
    ranked = [each for each in leaderboard if (each.name == STACK) == stack_wins]
    winner, names, expression, untrusted = _refit_first(
        ranked[0], measured, leaderboard, table, target, Path(payload["folder"])
    )
    (Path(payload["folder"]) / SCRIPT_FILE).write_text(
        render_script(expression, table, metric, winner.scores[metric.name], payload["reading"])
    )
    result = {
        "metric": metric.name,
        "winner": winner.name,
        "leaderboard": [
            {"rank": rank, "name": each.name, "scores": each.scores, **each.costs}
            for rank, each in enumerate(leaderboard, start=1)
        ],
        "stack_comparison": None
        if comparison is None
        else {
            "single": comparison.single,
            "difference": comparison.difference,
            "low": comparison.low,
            "high": comparison.high,
            "verdict": comparison.verdict,
            "rows": int(np.sum(halves == 1)),
        },
    }
    if comparison is None:
        result["no_stack_because"] = no_stack_because
    card = make_card(table, payload["dataset"], winner.name, names, result, untrusted)
    return {"result": result, "card": card}


def winning_expression(task_type: TaskType, members: list[Measured], target: FloatArray) -> Call:
    """The winner as one scikit-learn expression: a single pipeline, or a stack of several."""
    if len(members) == 1:
        return find_configuration(members[0].name).pipeline
    estimators = [(each.name, find_configuration(each.name).pipeline) for each in members]
    if task_type is TaskType.REGRESSION:
        return call("sklearn.ensemble.StackingRegressor", estimators, REGRESSION_META_MODEL, cv=5)
    weights = select_weights([each.predictions for each in members], target).tolist()
    return call("sklearn.ensemble.VotingClassifier", estimators, voting="soft", weights=weights)


def select_weights(predictions: list[FloatArray], target: FloatArray) -> FloatArray:
    """How often each classifier is chosen when the mean of the chosen is improved step by step (Caruana et al. 2004).

    Args:
        predictions: out-of-fold probabilities per classifier, each of shape (rows, classes).
        target: class codes, shape (rows,).

    Returns: weights that sum to 1, shape (classifiers,).
    """
    of_truth = np.stack([each[np.arange(len(target)), target.astype(np.int64)] for each in predictions])
    chosen, counts = np.zeros(len(target)), np.zeros(len(predictions))
    for step in range(1, _N_SELECTIONS + 1):
        means = np.maximum((chosen + of_truth) / step, scoring.SMALLEST_PROBABILITY)
        best = int(np.argmax(np.log(means).mean(axis=1)))
        chosen, counts[best] = chosen + of_truth[best], counts[best] + 1
    return counts / _N_SELECTIONS


def compare(
    metric: Metric,
    task_type: TaskType,
    singles: list[Measured],
    stacked: Measured,
    target: FloatArray,
    halves: IntArray,
) -> Comparison:
    """Choose the best single on half A, compare it with the stack on half B; the interval is a paired bootstrap."""
    best = min(singles, key=lambda each: metric.loss(each.scores_a[metric.name]).item())
    judged = np.flatnonzero(halves == 1)
    generator = np.random.default_rng(protocol.SEED)

    def advantage(rows: IntArray) -> float:
        losses = [
            metric.loss(scoring.score(task_type, target[rows], each.predictions[rows])[metric.name]).item()
            for each in (best, stacked)
        ]
        return float(losses[0] - losses[1])

    resampled = []
    for _ in range(_N_RESAMPLES):
        rows = generator.choice(judged, len(judged))
        if len(np.unique(target[rows])) > 1:
            resampled.append(advantage(rows))
    low, high = np.quantile(resampled, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return Comparison(best.name, advantage(judged), float(low), float(high))


def _load(experiment: dict[str, Any]) -> Measured:
    result = experiment["result"]
    with np.load(experiment["predictions"], allow_pickle=False) as arrays:
        predictions = arrays["predictions"].astype(np.float64)
    costs = {name: result[name] for name in ("fit_cpu_seconds", "predict_cpu_seconds_per_1000_rows")}
    return Measured(experiment["configuration"], result["scores"], result["scores_a"], predictions, costs)


def _stack_out_of_fold(
    task_type: TaskType, measured: list[Measured], target: FloatArray, folds: IntArray, halves: IntArray
) -> Measured:
    """The stack's own out-of-fold predictions: on every fold the meta-model has seen only the other folds'."""
    predictions = np.zeros_like(measured[0].predictions)
    for fold in np.unique(folds):
        training, test = folds != fold, folds == fold
        if task_type is TaskType.CLASSIFICATION:
            weights = select_weights([each.predictions[training] for each in measured], target[training])
            predictions[test] = sum(
                w * each.predictions[test] for w, each in zip(weights, measured, strict=True)
            )
        else:
            inputs = np.column_stack([each.predictions for each in measured])
            model = pipelines.build(REGRESSION_META_MODEL).fit(inputs[training], target[training])
            predictions[test] = model.predict(inputs[test])
    costs = {
        name: sum(each.costs[name] for each in measured)
        for name in ("fit_cpu_seconds", "predict_cpu_seconds_per_1000_rows")
    }
    return Measured(
        STACK,
        scoring.score(task_type, target, predictions),
        scoring.score(task_type, target[halves == 0], predictions[halves == 0]),
        predictions,
        costs,
    )


def _refit_first(
    best: Measured,
    measured: list[Measured],
    leaderboard: list[Measured],
    table: Table,
    target: FloatArray,
    folder: Path,
) -> tuple[Measured, list[str], Call, list[str]]:
    """Refit the best; a stack that cannot be fitted on all rows gives way to the best single configuration."""
    best_single = next(each for each in leaderboard if each.name != STACK)
    for winner in (best, best_single):
        members = [each for each in measured if each.name != STACK] if winner.name == STACK else [winner]
        expression = winning_expression(table.task_type, members, target)
        try:
            return (
                winner,
                [each.name for each in members],
                expression,
                _refit(expression, table, folder / ARTIFACT_FILE),
            )
        except ValueError as error:
            reason = error
    raise NotMeasurableError(
        f"{winner.name} could not be refitted on all rows: {reason}"[:500], "Choose other configurations."
    ) from reason


def _refit(expression: Call, table: Table, path: Path) -> list[str]:
    """Fit the winner on all rows and write it as skops; return the types that a loader must trust."""
    model = pipelines.build(expression)
    target = table.target_values
    model.fit(
        pipelines.features(table),
        target.astype(np.int64) if table.task_type is TaskType.CLASSIFICATION else target,
    )
    skops.io.dump(model, path)
    return list(skops.io.get_untrusted_types(file=path))
