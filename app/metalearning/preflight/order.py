"""Columns that look as if they should govern the splits: the time of the rows, or groups that belong together."""

import re

import numpy as np

from app.metalearning.findings import Finding, found
from app.metalearning.preflight.examined import Examined
from app.metalearning.protocol import n_folds
from app.metalearning.table import ColumnType, Table

_TIME_NAME = re.compile(
    r"date|time|day|month|year|period|timestamp|datum|fecha|data|zeit|(^|_)(at|on|ts|dt|when)$", re.IGNORECASE
)
_GROUP_NAME = re.compile(
    # No plural: households and students are counted, a household or a student is named.
    r"^(patient|subject|user|customer|client|person|participant|group|household|family|session|student)([\s_.]?(id|nr|no|key))?$"
    r"|[\s_.]id$|[a-z]Id$",
    re.IGNORECASE,
)
_FEWEST_TIMES = 10
_FEWEST_GROUPS = 10


def inspect(columns: list[Examined], sample: Table) -> list[Finding]:
    """Findings that suggest a time or a group column where none was named."""
    findings = []
    for column in columns:
        if sample.time is None and _orders_rows(column):
            detail = "The rows are in the order of this date."
            findings.append(
                found("time_ordered_rows", column.name, detail, n_rows_examined=len(column.values))
            )
        if sample.group is None and (n_groups := _count_groups(column)):
            detail = f"{n_groups} values occur {len(column.values) / n_groups:.1f} times each on average."
            evidence = {"n_groups": n_groups, "n_rows_examined": len(column.values)}
            findings.append(found("possible_groups", column.name, detail, **evidence))
    return findings


def _orders_rows(column: Examined) -> bool:
    if column.type is not ColumnType.DATE or not _TIME_NAME.search(column.name):
        return False
    if len(column.present) < len(column.values):
        return False
    steps = np.diff(column.values)
    if np.count_nonzero(steps) < _FEWEST_TIMES:
        return False
    return bool(np.all(steps >= 0) or np.all(steps <= 0))


def _count_groups(column: Examined) -> int:
    """How many groups the column would make; 0 where it does not look like one."""
    if column.type in (ColumnType.BOOLEAN, ColumnType.DATE, ColumnType.TIME):
        return 0
    if not _GROUP_NAME.search(column.name) or np.any(column.present % 1 != 0):
        return 0
    n_groups = len(np.unique(column.present))
    enough = max(_FEWEST_GROUPS, n_folds(len(column.values)))
    return n_groups if enough <= n_groups <= len(column.values) // 2 else 0
