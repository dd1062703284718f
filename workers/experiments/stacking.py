"""The last step of a verification: combine what was measured, compare honestly, refit the winner on all rows."""

import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import skops.io

from app.isolation import Report
from app.metalearning.metrics import METRICS, Metric
from app.metalearning.portfolio import Configuration
from app.metalearning.portfolio.expressions import Call
from app.metalearning.protocol import splits
from app.metalearning.protocol.splits import Plan
from app.metalearning.table import FloatArray, Table, TaskType, read_table
from workers.experiments import pipelines, probabilities
from workers.experiments.card import make_card
from workers.experiments.comparison import (
    Comparison,
    NoComparisonError,
    against_runner_up,
    compare,
    fold_scores,
    worth_of_choosing,
)
from workers.experiments.contract import ARTIFACT_FILE, SCRIPT_FILE
from workers.experiments.diagnosis import diagnose
from workers.experiments.ensembling import STACK, NoStackError, Stack, make_stack
from workers.experiments.evaluation import NotMeasurableError
from workers.experiments.leaderboard import FITTING, Entry, leaderboard
from workers.experiments.measured import Measured, load_measured
from workers.experiments.script import render_script

_MOST_STACKED = 30


@dataclass(frozen=True)
class _Candidate:
    """What may be delivered: what was measured of it, and how to make it."""

    measured: Measured
    members: list[Configuration]
    expression: Call
    n_fits: int = 1  # of every member

    def seconds(self, table: Table, plan: Plan) -> float:
        """CPU seconds that fitting it on all rows is expected to take, as much longer as there are more rows."""
        return self.n_fits * self.measured.costs[FITTING] * table.n_rows / len(plan.rows)


@dataclass(frozen=True)
class _Delivered:
    """What users take home, and what was better by its score but cannot be taken home, with the reason."""

    winner: _Candidate
    untrusted: list[str]  # types that a loader of the artifact must trust
    passed_over: dict[str, str]


def stack(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Fit the stack, make the leaderboard, refit the winner; writes the artifact and the script to the task's folder.

    Args:
        payload: `table`, `folder`, `metric`, `reading`, `dataset`, `seconds` (what it may take), `stack` (what is wished
            of it: `meta_model`, `layers`, `calibrate`), and `experiments` with results and predictions.
        report: told of every phase.
    """
    warnings.simplefilter("ignore")
    began = time.monotonic()
    table = read_table(Path(payload["table"]))
    metric, wishes = METRICS[payload["metric"]], payload["stack"]
    plan = splits.plan(table)
    singles = [load_measured(experiment, table.task_type) for experiment in payload["experiments"]]
    report({"kind": "progress", "phase": "stacking", "done": 0, "total": 3})
    stacked, comparison, no_stack_because = _stacked(table, _best(singles, metric), metric, plan, wishes)
    measured = [*singles, *([stacked.measured] if stacked and comparison else [])]
    target = table.target_values[plan.rows]
    board = leaderboard(
        metric.name,
        (
            Entry(
                each.name,
                each.scores,
                fold_scores(metric, each, target, plan),
                each.costs,
                each.tried.hyperparameters if each.tried else None,
            )
            for each in measured
        ),
    )
    report({"kind": "progress", "phase": "refitting", "done": 1, "total": 3})
    candidates = _candidates(board, singles, stacked, comparison)
    if wishes["calibrate"] is not None:
        candidates = [_calibrating(each, wishes["calibrate"]) for each in candidates]
    delivered = _deliver(candidates, payload["seconds"], table, plan, Path(payload["folder"]))
    winner = delivered.winner
    result: dict[str, Any] = {
        "metric": metric.name,
        "splits": splits.describe(table),
        "winner": winner.measured.name,
        "leaderboard": board,
        "choice": worth_of_choosing(metric, measured, target, plan),
        "runner_up": _runner_up(metric, board, measured, target, plan),
        "stack_comparison": None if comparison is None else comparison.facts(),
        "stack": stacked.facts() if stacked and comparison else None,
    }
    if comparison is None:
        result["no_stack_because"] = no_stack_because
    if delivered.passed_over:
        result["passed_over"] = delivered.passed_over
    shown = winner.measured
    if wishes["calibrate"] is not None:
        shown = probabilities.calibrated(wishes["calibrate"], winner.measured, target, plan)
        result["calibration"] = {
            "method": wishes["calibrate"],
            "before": winner.measured.scores,
            "after": shown.scores,
        }
    (Path(payload["folder"]) / SCRIPT_FILE).write_text(
        render_script(winner.expression, table, metric, shown.scores[metric.name], payload["reading"])
    )
    report({"kind": "progress", "phase": "diagnosing", "done": 2, "total": 3})
    left = payload["seconds"] - (time.monotonic() - began)
    card = make_card(
        table,
        payload["dataset"],
        winner.measured.name,
        winner.members,
        result,
        diagnose(table, plan, metric, shown, winner.expression, left, winner.n_fits),
        _learning_curve(payload["experiments"], winner.measured.name),
        delivered.untrusted,
    )
    return {"result": result, "card": card}


def _best(singles: list[Measured], metric: Metric) -> list[Measured]:
    """Those that may be stacked: of a long search the others would cost time, and have no weight."""
    if len(singles) <= _MOST_STACKED:
        return singles
    return sorted(singles, key=lambda each: float(metric.loss(each.scores[metric.name])))[:_MOST_STACKED]


def _learning_curve(experiments: list[dict[str, Any]], name: str) -> list[dict[str, Any]] | None:
    """What the experiment measured after few rows; a stack has no curve of its own."""
    curves = {each["configuration"]: each["result"]["learning_curve"] for each in experiments}
    return curves.get(name)


def _runner_up(
    metric: Metric, board: list[dict[str, Any]], measured: list[Measured], target: FloatArray, plan: Plan
) -> dict[str, Any] | None:
    """How sure it is that the first of the leaderboard is better than the second; None where there is one only.

    A stack that gives all weight to the first is the first.
    """
    by_name = {each.name: each for each in measured}
    first, *others = (by_name[row["name"]] for row in board)
    second = next(
        (each for each in others if not np.allclose(each.predictions, first.predictions, equal_nan=True)),
        None,
    )
    if second is None:
        return None
    try:
        return against_runner_up(metric, first, second, target, plan)
    except NoComparisonError as error:
        return {"first": first.name, "second": second.name, "verdict": None, "because": str(error)}


def _stacked(
    table: Table, singles: list[Measured], metric: Metric, plan: Plan, wishes: dict[str, Any]
) -> tuple[Stack | None, Comparison | None, str]:
    """The stack, how it compares with the best single, and why there is none of these where there is none."""
    if len(singles) < 2:
        return None, None, "With one configuration there is nothing to stack."
    try:
        made = make_stack(table, singles, metric, plan, wishes["meta_model"], wishes["layers"])
        return made, compare(metric, singles, made.measured, table.target_values[plan.rows], plan), ""
    except (NoStackError, NoComparisonError) as error:
        return None, None, str(error)


def _candidates(
    board: list[dict[str, Any]],
    singles: list[Measured],
    stacked: Stack | None,
    comparison: Comparison | None,
) -> list[_Candidate]:
    """What may be delivered, best first; the stack is the first where it is proven better, and else none of them."""
    by_name = {each.name: each for each in singles}
    found = [
        _Candidate(single, [single.configuration], single.configuration.pipeline)
        for single in (by_name[row["name"]] for row in board if row["name"] != STACK)
    ]
    if stacked is not None and comparison is not None and comparison.verdict == "stack_better":
        found.insert(
            0, _Candidate(stacked.measured, stacked.members, stacked.expression, stacked.learned.n_fits)
        )
    return found


def _calibrating(candidate: _Candidate, method: str) -> _Candidate:
    return replace(
        candidate,
        expression=probabilities.expression(method, candidate.expression),
        n_fits=candidate.n_fits * probabilities.N_FITS,
    )


def _deliver(
    candidates: list[_Candidate], seconds: float, table: Table, plan: Plan, folder: Path
) -> _Delivered:
    """Refit the first candidate that can be fitted on all rows and written as skops; the others are passed over.

    A stack that would take longer than there is time is not begun: a single may still be fitted.
    """
    passed_over: dict[str, str] = {}
    for winner in candidates:
        needed = winner.seconds(table, plan)
        if winner.measured.name == STACK and needed > seconds:
            passed_over[STACK] = (
                f"would take about {needed:.3g} s to fit on all rows, where {seconds:.3g} s are left"
            )
            continue
        try:
            untrusted = _refit(winner.expression, table, folder / ARTIFACT_FILE)
        except (MemoryError, OSError):
            raise  # the machine's trouble, not the candidate's
        except Exception as error:  # noqa: BLE001  each library has exceptions of its own, skops too
            passed_over[winner.measured.name] = (
                f"could not be fitted on all rows and written as skops: {error}"[:300]
            )
        else:
            return _Delivered(winner, untrusted, passed_over)
    reasons = "; ".join(f"{name} {reason}" for name, reason in passed_over.items())
    raise NotMeasurableError(reasons[:500], "Choose other configurations.")


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
