"""Fit every way of ranking on an imported matrix, and prove it in the matrix's own unit."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from app.metalearning.baselines import gap_closed
from app.metalearning.evidence import Evidence, deal_folds
from app.metalearning.importing.evidence import as_evidence, measured_rows
from app.metalearning.importing.knowledge import Fitted
from app.metalearning.importing.matrix import PENALTY, IntArray, PerformanceMatrix, check_size
from app.metalearning.table import FloatArray
from workers.training import proof
from workers.training.forests import train
from workers.training.proof import HeldOut

# Every group is held out alone where there are no more of them, otherwise whole groups in folds. Large matrices get fewer
# folds, so that the proof takes minutes: the fits of all folds see about so many datasets at most.
MOST_FOLDS, FEWEST_FOLDS = 20, 10
MOST_FITTED = 25_000
VIRTUAL_BEST, BEST_CONSTANT = "virtual_best", "best_constant"
_CONSTANTS = ("single_best", "average_rank", "portfolio")


def fit_imported(matrix: PerformanceMatrix) -> Fitted:
    """Fit on all datasets, prove on held-out groups and, where the matrix has them, on the official folds.

    Raises: UnusableMetaDatasetError, of which all refusals are kinds.
    """
    check_size(matrix)
    evidence = as_evidence(matrix)
    most_folds = min(MOST_FOLDS, max(FEWEST_FOLDS, MOST_FITTED // len(evidence.datasets)))
    folds = [str(fold) for fold in deal_folds(evidence.groups, most_folds)]
    seen = proof.hold_out(evidence, folds, train, proof.shown("groups"))
    report = {
        **proof.summarise(evidence, seen),
        "folds": len(set(folds)),
        "left_out": len(matrix.datasets) - len(evidence.datasets),
        **_in_measure(matrix, evidence, folds, seen),
        "official": _on_official_folds(matrix, evidence),
    }
    return Fitted(train(evidence), report)


def _on_official_folds(matrix: PerformanceMatrix, evidence: Evidence) -> dict[str, Any] | None:
    """The same in the first official partition, for comparison with what others published; None where there is none."""
    if not len(matrix.folds):
        return None
    folds = [str(fold) for fold in matrix.folds[0, measured_rows(matrix)]]
    return on_folds(matrix, evidence, folds, "official folds")


def on_folds(
    matrix: PerformanceMatrix, evidence: Evidence, folds: Sequence[str], about: str
) -> dict[str, Any]:
    """Held-out regret of every way of ranking, and its mean performance in the matrix's own unit, on these folds."""
    seen = proof.hold_out(evidence, folds, train, proof.shown(about))
    regret = proof.summarise(evidence, seen)["regret"]
    return {"folds": len(set(folds)), "regret": regret, **_in_measure(matrix, evidence, folds, seen)}


def _in_measure(
    matrix: PerformanceMatrix, evidence: Evidence, folds: Sequence[str], seen: HeldOut
) -> dict[str, Any]:
    """Mean performance of the first choice, and the share of the gap that it closes.

    The gap lies between the constant with the best mean performance on the other folds, and the best algorithm on every
    dataset. Ways that look at metafeatures pay for them where the measure is a run time and costs are known.
    """
    rows = measured_rows(matrix)
    performances = matrix.scored[rows]
    # A failure without a value counts as the worst that was measured on the dataset.
    sign = -1.0 if matrix.measure.larger_is_better else 1.0
    losses = sign * performances
    losses = np.where(
        np.isnan(losses) & ~np.isnan(evidence.regret), np.nanmax(losses, axis=1)[:, None], losses
    )
    held_out = np.array(seen.rows)
    means = {
        BEST_CONSTANT: _mean_of(losses, held_out, _constant_choices(losses, folds, seen.rows)),
        VIRTUAL_BEST: float(np.nanmin(losses, axis=1).mean()),
    }
    charged = _with_feature_seconds(matrix, losses, rows)
    for name, orders in seen.orders.items():
        choices = [order[0] for order in orders]
        means[name] = _mean_of(losses if name in _CONSTANTS else charged, held_out, choices)
    return {
        "mean_performance": {name: sign * value for name, value in means.items()},
        "gap_closed": {
            name: gap_closed(value, means[BEST_CONSTANT], means[VIRTUAL_BEST])
            for name, value in means.items()
            if name not in (BEST_CONSTANT, VIRTUAL_BEST)
        },
    }


def _constant_choices(losses: FloatArray, folds: Sequence[str], rows: list[int]) -> list[int]:
    """For each held-out dataset the algorithm that is best on average on the other folds, of those tried on it."""
    labels = np.array(folds)
    order = {fold: np.argsort(_column_means(losses[labels != fold]), kind="stable") for fold in set(folds)}
    return [
        next(int(index) for index in order[folds[row]] if not np.isnan(losses[row, index])) for row in rows
    ]


def _column_means(losses: FloatArray) -> FloatArray:
    """Mean loss of every algorithm where it is known; one that is known nowhere comes last."""
    known = ~np.isnan(losses)
    total = np.where(known, losses, 0.0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.inf)


def _with_feature_seconds(matrix: PerformanceMatrix, losses: FloatArray, rows: list[int]) -> FloatArray:
    """Run times after the time for metafeatures; beyond the cut-off a time-out."""
    if not matrix.measure.is_run_time:
        return losses
    charged = losses + np.nan_to_num(matrix.feature_seconds[rows])[:, None]
    cutoff = matrix.measure.cutoff_seconds
    return charged if cutoff is None else np.where(charged > cutoff, PENALTY * cutoff, charged)


def _mean_of(losses: FloatArray, rows: IntArray, choices: list[int]) -> float:
    return float(losses[rows, choices].mean())
