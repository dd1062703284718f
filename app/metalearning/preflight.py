"""What is wrong or odd about a typed dataset, before anything runs on it."""

import numpy as np

from app.metalearning.findings import Finding, Severity
from app.metalearning.protocol import n_folds
from app.metalearning.table import NUMBER_LIKE, Table, TaskType

_COPY_CORRELATION = 1.0 - 1e-9


def inspect(table: Table) -> tuple[Finding, ...]:
    """All findings about a dataset that can be learned from."""
    return (
        *_small_classes(table),
        *_wide(table),
        *_constant_columns(table),
        *_id_like_numbers(table),
        *_copies(table),
    )


def _small_classes(table: Table) -> list[Finding]:
    if table.task_type is TaskType.REGRESSION:
        return []
    counts = np.bincount(table.target_values.astype(np.int64))
    folds = n_folds(table.n_rows)
    small = [label for label, count in zip(table.classes, counts, strict=True) if count < folds]
    if not small:
        return []
    return [
        Finding(
            "class_smaller_than_folds",
            Severity.WARNING,
            table.target,
            f"{len(small)} classes have fewer rows than there are folds ({folds}): {', '.join(small[:5])}.",
            "Merge rare classes or send more rows; some algorithms cannot learn from so few.",
        )
    ]


def _wide(table: Table) -> list[Finding]:
    if len(table.columns) <= table.n_rows:
        return []
    return [
        Finding(
            "more_columns_than_rows",
            Severity.WARNING,
            None,
            f"{len(table.columns)} feature columns for {table.n_rows} rows.",
            "Expect unstable scores; remove columns that cannot matter.",
        )
    ]


def _constant_columns(table: Table) -> list[Finding]:
    names = [column.name for column in table.columns if column.type in NUMBER_LIKE]
    constant = [
        name
        for name, values in zip(names, table.numeric.T, strict=True)
        if np.nanmin(values) == np.nanmax(values)
    ]
    names = [column.name for column in table.columns if column.type not in NUMBER_LIKE]
    constant += [name for name, codes in zip(names, table.categorical.T, strict=True) if np.ptp(codes) == 0]
    return [
        Finding(
            "constant_column",
            Severity.INFORMATION,
            name,
            "The column has one value only.",
            "Remove it: there is nothing to learn from it.",
        )
        for name in constant
    ]


def _id_like_numbers(table: Table) -> list[Finding]:
    findings = []
    names = [column.name for column in table.columns if column.type in NUMBER_LIKE]
    for name, values in zip(names, table.numeric.T, strict=True):
        steps = np.diff(values)
        if np.all(steps == 1) or np.all(steps == -1):
            findings.append(
                Finding(
                    "id_like_column",
                    Severity.WARNING,
                    name,
                    "The column counts the rows.",
                    "Remove it: the order of the rows is no property of them.",
                )
            )
    return findings


def _copies(table: Table) -> list[Finding]:
    """Number-like columns that give the target away."""
    target = table.target_values - table.target_values.mean()
    names = [column.name for column in table.columns if column.type in NUMBER_LIKE]
    findings = []
    for name, values in zip(names, table.numeric.T, strict=True):
        if np.isnan(values).any() or np.ptp(values) == 0:
            continue
        centred = values - values.mean()
        correlation = abs(centred @ target) / np.sqrt((centred @ centred) * (target @ target))
        if correlation > _COPY_CORRELATION:
            findings.append(
                Finding(
                    "target_copy",
                    Severity.WARNING,
                    name,
                    "The column is the target in other units.",
                    "Remove it unless it is known at prediction time.",
                )
            )
    return findings
