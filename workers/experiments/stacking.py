"""The last step of a verification: combine what was measured, compare honestly, refit the winner on all rows."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import skops.io

from app.isolation import Report
from app.metalearning.metrics import METRICS
from app.metalearning.portfolio.expressions import Call
from app.metalearning.protocol import splits
from app.metalearning.protocol.splits import Plan
from app.metalearning.table import Table, TaskType, read_table
from workers.experiments import pipelines
from workers.experiments.card import make_card
from workers.experiments.comparison import NoComparisonError, compare
from workers.experiments.contract import ARTIFACT_FILE, SCRIPT_FILE
from workers.experiments.ensembling import STACK, stack_out_of_fold, winning_expression
from workers.experiments.evaluation import NotMeasurableError
from workers.experiments.leaderboard import leaderboard
from workers.experiments.measured import Measured, load_measured
from workers.experiments.script import render_script


@dataclass(frozen=True)
class _Delivered:
    """What users take home, and what was better by its score but cannot be taken home, with the reason."""

    winner: Measured
    members: list[str]
    expression: Call
    untrusted: list[str]  # types that a loader of the artifact must trust
    passed_over: dict[str, str]


def stack(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Fit the stack, make the leaderboard, refit the winner; writes the artifact and the script to the task's folder.

    Args:
        payload: `table`, `folder`, `metric`, `reading`, `dataset`, and `experiments` with results and predictions.
        report: told of every phase.
    """
    warnings.simplefilter("ignore")
    table = read_table(Path(payload["table"]))
    metric = METRICS[payload["metric"]]
    plan = splits.plan(table)
    target = table.target_values[plan.rows]
    measured = [load_measured(experiment) for experiment in payload["experiments"]]
    report({"kind": "progress", "phase": "stacking", "done": 0, "total": 2})
    comparison, no_stack_because = None, "With one configuration there is nothing to stack."
    if len(measured) > 1:
        try:
            stacked = stack_out_of_fold(table, measured, target, plan)
            comparison = compare(metric, measured, stacked, target, plan)
            measured.append(stacked)
        except ValueError as error:
            no_stack_because = f"The stack could not be fitted: {error}"[:300]
        except NoComparisonError as error:
            no_stack_because = str(error)
    board = leaderboard(metric.name, ((each.name, each.scores, each.costs) for each in measured))
    by_name = {each.name: each for each in measured}
    ranked = [by_name[row["name"]] for row in board]
    report({"kind": "progress", "phase": "refitting", "done": 1, "total": 2})
    stack_wins = comparison is not None and comparison.verdict == "stack_better"
    # The stack goes first only where it is proven better; otherwise the singles are the candidates, best first.
    candidates = sorted(ranked, key=lambda each: each.name != STACK)
    if not stack_wins:
        candidates = [each for each in ranked if each.name != STACK]
    delivered = _refit_first(candidates, measured, table, plan, Path(payload["folder"]))
    winner = delivered.winner
    (Path(payload["folder"]) / SCRIPT_FILE).write_text(
        render_script(delivered.expression, table, metric, winner.scores[metric.name], payload["reading"])
    )
    result: dict[str, Any] = {
        "metric": metric.name,
        "splits": splits.describe(table),
        "winner": winner.name,
        "leaderboard": board,
        "stack_comparison": None
        if comparison is None
        else {
            "single": comparison.single,
            "difference": comparison.difference,
            "low": comparison.low,
            "high": comparison.high,
            "verdict": comparison.verdict,
            "rows": comparison.rows,
        },
    }
    if comparison is None:
        result["no_stack_because"] = no_stack_because
    if delivered.passed_over:
        result["passed_over"] = delivered.passed_over
    card = make_card(table, payload["dataset"], winner.name, delivered.members, result, delivered.untrusted)
    return {"result": result, "card": card}


def _refit_first(
    candidates: list[Measured],
    measured: list[Measured],
    table: Table,
    plan: Plan,
    folder: Path,
) -> _Delivered:
    """Refit the first candidate that can be fitted on all rows and written as skops; the others are passed over."""
    passed_over: dict[str, str] = {}
    for winner in candidates:
        members = [each for each in measured if each.name != STACK] if winner.name == STACK else [winner]
        expression = winning_expression(table, members, table.target_values[plan.rows], plan)
        try:
            untrusted = _refit(expression, table, folder / ARTIFACT_FILE)
        except (MemoryError, OSError):
            raise  # the machine's trouble, not the candidate's
        except Exception as error:  # noqa: BLE001  each library has exceptions of its own, skops too
            passed_over[winner.name] = f"could not be fitted on all rows and written as skops: {error}"[:300]
        else:
            return _Delivered(winner, [each.name for each in members], expression, untrusted, passed_over)
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
