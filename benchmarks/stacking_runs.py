"""What `make bench-stacking` measures on one dataset, in a child of its own."""

import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from app.isolation import Report
from app.metalearning.metrics import Metric, headline_metric
from app.metalearning.portfolio import find_configuration
from app.metalearning.protocol import splits
from app.metalearning.table import FloatArray, Table, read_table
from workers.experiments import ensembling, pipelines, scoring
from workers.experiments.comparison import NoComparisonError, compare
from workers.experiments.evaluation import fit_pipeline
from workers.experiments.measured import Measured, load_measured
from workers.experiments.metamodels import META_MODELS

DEFAULT = "default"
# What is stacked how: the meta-model that is asked for, and the number of layers.
WAYS: dict[str, tuple[str | None, int]] = {
    DEFAULT: (None, 1),
    **{name: (name, 1) for name in META_MODELS},
    "two layers, selection": ("selection", 2),
}


def judge(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Losses of every single configuration and every stack on rows that nobody had seen.

    Every configuration is fitted once on all known rows; a stack is its meta-model, as it learned out of fold, on what these
    predict. That is what a weighted mean takes home to the bit; scikit-learn's stacking makes folds of its own, and differs
    from it a little.

    Args:
        payload: `table` (what is known), `fresh` (the rows kept aside), and `experiments` as they were measured on the former.
        report: told of every fit.
    """
    warnings.simplefilter("ignore")
    known, fresh = read_table(Path(payload["table"])), read_table(Path(payload["fresh"]))
    metric = headline_metric(known.task_type, len(known.classes))
    plan = splits.plan(known)
    singles = [load_measured(each) for each in payload["experiments"]]
    predictions, seconds = [], []
    for number, each in enumerate(singles):
        report({"kind": "progress", "done": number, "total": len(singles)})
        predicted, spent = _fit_and_predict(each, known, fresh)
        predictions.append(predicted)
        seconds.append(spent)
    losses = [_loss(metric, fresh, each) for each in predictions]
    chosen = min(
        range(len(singles)), key=lambda index: metric.loss(singles[index].scores[metric.name]).item()
    )
    found: dict[str, Any] = {}
    for way, (meta_model, layers) in WAYS.items():
        try:
            stack = ensembling.make_stack(known, singles, metric, plan, meta_model, layers)
        except ensembling.NoStackError as error:
            found[way] = {"refused": str(error)}
            continue
        found[way] = {
            "loss": _loss(metric, fresh, stack.learned.predict(predictions)),
            "predict_seconds": sum(seconds[index] for index in stack.learned.used),
            **_verdict(metric, singles, stack, known),
        }
    return {
        "metric": metric.name,
        "rows": fresh.n_rows,
        "single": singles[chosen].name,
        "single_loss": losses[chosen],
        "single_predict_seconds": seconds[chosen],
        "least_loss": min(losses),
        "stacks": found,
    }


def _fit_and_predict(measured: Measured, known: Table, fresh: Table) -> tuple[FloatArray, float]:
    """Predictions for the fresh rows, and the CPU seconds that they took."""
    model = fit_pipeline(
        find_configuration(measured.name), pipelines.features(known), known.target_values, known.task_type
    )
    data = pipelines.features(fresh)
    began = time.process_time()
    if not known.classes:
        return np.asarray(model.predict(data), dtype=np.float64), time.process_time() - began
    predictions = np.zeros((fresh.n_rows, len(known.classes)))
    predictions[:, model.classes_] = model.predict_proba(data)
    return predictions, time.process_time() - began


def _verdict(
    metric: Metric, singles: list[Measured], stack: ensembling.Stack, known: Table
) -> dict[str, Any]:
    """What a job would say of it."""
    plan = splits.plan(known)
    try:
        found = compare(metric, singles, stack.measured, known.target_values[plan.rows], plan)
    except NoComparisonError:
        return {"verdict": "no comparison", "better_buy": "single"}
    return {"verdict": found.verdict, "better_buy": found.better_buy}


def _loss(metric: Metric, table: Table, predictions: FloatArray) -> float:
    return float(metric.loss(scoring.score_one(metric.name, table.target_values, predictions)))
