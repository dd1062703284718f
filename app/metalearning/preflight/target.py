"""Oddities of the target and of the table's size."""

import numpy as np

from app.metalearning.findings import Finding, found
from app.metalearning.protocol import n_folds
from app.metalearning.table import Table, TaskType

_FEW_ROWS = 50
# The smallest class is rare if it has less than this share of what it would have among equals.
_RARE = 0.02
_FEWEST_FOR_TAILS = 100
_TAIL = 0.01
_HEAVY = 0.5


def inspect(table: Table) -> list[Finding]:
    """Findings about classes, about a skewed quantity, and about too few rows."""
    findings = _classes(table) if table.task_type is TaskType.CLASSIFICATION else _quantity(table)
    if table.n_rows < _FEW_ROWS:
        detail = f"{table.n_rows} rows tell little about how well anything will do."
        findings.append(found("few_rows", None, detail, n_rows=table.n_rows))
    if len(table.columns) > table.n_rows:
        detail = f"{len(table.columns)} feature columns for {table.n_rows} rows."
        findings.append(
            found("more_columns_than_rows", None, detail, n_columns=len(table.columns), n_rows=table.n_rows)
        )
    return findings


def _classes(table: Table) -> list[Finding]:
    findings = []
    counts = np.bincount(table.target_values.astype(np.int64))
    folds = n_folds(table.n_rows)
    small = [label[:50] for label, count in zip(table.classes, counts, strict=True) if count < folds]
    if small:
        detail = (
            f"{len(small)} classes have fewer rows than there are folds ({folds}): {', '.join(small[:5])}."
        )
        least = int(counts.min())
        findings.append(
            found(
                "class_smaller_than_folds",
                table.target,
                detail,
                n_classes=len(small),
                n_folds=folds,
                least=least,
            )
        )
    share = float(counts.min() / table.n_rows)
    if share * len(counts) < _RARE:
        label = table.classes[int(counts.argmin())][:50]
        detail = f"The class {label!r} has {counts.min()} of {table.n_rows} rows ({share:.2%})."
        findings.append(
            found("imbalanced_classes", table.target, detail, n_rows=int(counts.min()), share=share)
        )
    return findings


def _quantity(table: Table) -> list[Finding]:
    """A tail is heavy where the one row in a hundred that is farthest from the mean makes most of the variance."""
    if table.n_rows < _FEWEST_FOR_TAILS:
        return []
    values = table.target_values
    squares = ((values - values.mean()) / np.ptp(values)) ** 2
    n_farthest = max(1, int(_TAIL * len(values)))
    share = float(np.partition(squares, -n_farthest)[-n_farthest:].sum() / squares.sum())
    if share < _HEAVY:
        return []
    detail = f"{n_farthest} of {len(values)} rows make {share:.0%} of the target's variance."
    return [found("heavy_tailed_target", table.target, detail, n_rows=n_farthest, share_of_variance=share)]
