"""The model card: what was fitted on what, how well it does, and what to know before using it (Mitchell et al. 2019)."""

import importlib.metadata
import platform
from typing import Any

from app.metalearning import protocol
from app.metalearning.expected import describe_columns
from app.metalearning.portfolio import Configuration
from app.metalearning.table import Table
from workers.experiments import evaluation


def make_card(
    table: Table,
    dataset: dict[str, Any],
    winner: str,
    members: list[Configuration],
    result: dict[str, Any],
    diagnosis: dict[str, Any],
    learning_curve: list[dict[str, Any]] | None,
    trusted_types: list[str],
) -> dict[str, Any]:
    """The card as JSON."""
    row = next(each for each in result["leaderboard"] if each["name"] == winner)
    return {
        "winner": winner,
        "configurations": [
            {
                "id": each.id,
                "algorithm": each.algorithm.name,
                "hyperparameters": each.hyperparameters,
            }
            for each in members
        ],
        "task_type": table.task_type,
        "target": table.target,
        "classes": list(table.classes),
        "class_type": table.class_type,
        "columns": describe_columns(table),
        "dataset": {**dataset, "n_rows": table.n_rows},
        "metric": result["metric"],
        "scores": row["scores"],
        "splits": result["splits"],
        "scores_from": (
            f"out-of-fold predictions under protocol {protocol.PROTOCOL} "
            f"(at most {protocol.MOST_ROWS} rows); the model itself is fitted on all rows"
        ),
        "fold_scores": row["fold_scores"],
        "diagnosis": diagnosis,
        "learning_curve": learning_curve,  # of a single configuration
        "choice": result["choice"],
        "runner_up": result["runner_up"],
        "stack_comparison": result["stack_comparison"],
        "stack": result["stack"],
        "calibration": result.get("calibration"),
        "limits": [
            _validity(table),
            "The skops file of a classifier predicts class codes: positions in `classes`.",
            _optimism(result),
            *(
                f"{name} scored better and {reason}."
                for name, reason in result.get("passed_over", {}).items()
            ),
        ],
        "seed": protocol.SEED,
        "versions": _versions(members),
        "artifact": {"format": "skops", "trusted_types": trusted_types},
    }


def _optimism(result: dict[str, Any]) -> str:
    """What the score of the best is worth."""
    choice = result["choice"]
    if choice is None or len(result["leaderboard"]) < 2:
        return "The score of the best of several configurations is slightly optimistic."
    return (
        f"The score of the best of several is slightly optimistic: chosen by one half of the rows and scored on the other, "
        f"the best has {result['metric']} {choice['score']:.4g}."
    )


def _versions(members: list[Configuration]) -> dict[str, str]:
    """Of Python and of the libraries that the model consists of."""
    libraries = {name: importlib.metadata.version(name) for name in ("pandas", "skops")}
    for member in members:
        libraries |= evaluation.versions(member)
    return {"python": platform.python_version(), **dict(sorted(libraries.items()))}


def _validity(table: Table) -> str:
    """For which rows the scores hold."""
    if table.time is not None:
        return f"Scores hold for rows that come after the training rows in {table.time}; the near future, at best."
    if table.group is not None:
        return (
            f"Scores hold for rows of new values of {table.group}, from the same source as the training rows."
        )
    return "Scores hold for new rows from the same source as the training rows."
