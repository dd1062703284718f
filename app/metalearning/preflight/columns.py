"""Columns that say little: constant, nearly so, mostly missing, or of very many categories."""

import numpy as np

from app.metalearning.findings import Finding, found
from app.metalearning.preflight.examined import Examined
from app.metalearning.table import ColumnType

_NEARLY_ALL = 0.995
_MOSTLY_MISSING = 0.9
_MANY_CATEGORIES = 100


def inspect(columns: list[Examined], n_rows: int) -> list[Finding]:
    """Findings about single columns; `n_rows` is the table's, of which a sample may have been examined."""
    return [finding for column in columns for finding in _inspect(column, n_rows)]


def _inspect(column: Examined, n_rows: int) -> list[Finding]:
    present, n_examined = column.present, len(column.values)
    if len(present) == 0:  # a sample can miss the few values that there are
        return []
    seen = {"n_rows": n_rows, "n_rows_examined": n_examined}
    findings = []
    missing = 1 - len(present) / n_examined
    if missing >= _MOSTLY_MISSING:
        detail = f"{missing:.1%} of the values are missing."
        findings.append(found("mostly_missing_column", column.name, detail, share=missing, **seen))
    # Whatever more than half of the values are, the median is. What is missing is one more value: "x" or nothing.
    median = np.partition(present, len(present) // 2)[len(present) // 2]
    share = float(np.count_nonzero(present == median) / n_examined)
    if share == 1 and n_examined == n_rows:
        findings.append(found("constant_column", column.name, "The column has one value only.", **seen))
    elif share >= _NEARLY_ALL:
        detail = f"{share:.2%} of the values are the same."
        findings.append(found("near_constant_column", column.name, detail, share=share, **seen))
    if column.type is ColumnType.CATEGORICAL and (n_categories := int(present.max()) + 1) > _MANY_CATEGORIES:
        detail = f"The column has {n_categories} categories or more."
        findings.append(found("high_cardinality", column.name, detail, n_categories=n_categories, **seen))
    return findings
