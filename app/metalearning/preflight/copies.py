"""Columns that give the target away: copies in other words or units, and columns that tell all classes apart."""

import math

import numpy as np

from app.metalearning.findings import Finding, found
from app.metalearning.preflight.examined import Examined
from app.metalearning.table import FloatArray, IntArray, Table, TaskType

_COPY_CORRELATION = 1 - 1e-9
# Few rows decide at little cost that most columns are no copies.
_FIRST_LOOK = 64
_FEWEST_ROWS = 20
_FEWEST_PER_CATEGORY = 10
# A pattern that random columns would show more often than this is no sign.
_LOG_CHANCE = math.log(1e-6)
_COPY = "target_copy"
_SEPARATED = "target_separated"


def inspect(columns: list[Examined], sample: Table) -> list[Finding]:
    """Findings about columns whose values determine the target."""
    target = sample.target_values
    log_columns = math.log(max(1, len(columns)))
    findings = []
    for column in columns:
        rows = np.flatnonzero(~np.isnan(column.values))
        if len(rows) < max(_FEWEST_ROWS, len(target) // 2) or np.ptp(column.values[rows]) == 0:
            continue
        values, wanted = column.values[rows], target[rows]
        if not column.is_number_like:
            code = _by_category(values, wanted, log_columns)
        elif sample.task_type is TaskType.REGRESSION:
            code = _by_order(values, wanted, log_columns)
        else:
            code = _by_cuts(values, wanted, log_columns)
        if code is not None:
            detail = (
                "The column is the target in other words or units."
                if code == _COPY
                else "The column alone tells the target."
            )
            findings.append(found(code, column.name, detail, n_rows_examined=len(rows)))
    return findings


def _by_category(values: FloatArray, target: FloatArray, log_columns: float) -> str | None:
    """Whether every category goes with one value of the target."""
    n_categories = int(values.max()) + 1
    first = np.zeros(n_categories)
    first[values.astype(np.int64)] = target
    if n_categories * _FEWEST_PER_CATEGORY > len(values) and len(np.unique(target)) < n_categories:
        return None
    if np.any(first[values.astype(np.int64)] != target):
        return None
    counts = np.unique(target, return_counts=True)[1]
    used = len(np.unique(values))
    if used * 2 > len(values) or not _is_no_chance(counts, used * math.log(len(counts)) + log_columns):
        return None
    return _COPY if used == len(counts) else _SEPARATED


def _by_order(values: FloatArray, target: FloatArray, log_columns: float) -> str | None:
    """Whether a number rises or falls with the target throughout, or is a multiple of it up to rounding."""
    look = np.linspace(0, len(values) - 1, _FIRST_LOOK).astype(np.int64)
    if _is_monotone(values[look], target[look]) and _is_monotone(values, target):
        counts = np.unique(target, return_counts=True)[1]
        return _COPY if _is_no_chance(counts, math.log(2) + log_columns) else None
    is_multiple = _correlation(values[look], target[look]) > _COPY_CORRELATION
    return _COPY if is_multiple and _correlation(values, target) > _COPY_CORRELATION else None


def _by_cuts(values: FloatArray, target: FloatArray, log_columns: float) -> str | None:
    """Whether every class lies in an interval of its own."""
    counts = np.unique(target, return_counts=True)[1]
    look = np.linspace(0, len(values) - 1, _FIRST_LOOK).astype(np.int64)
    for rows in (look, np.arange(len(values))):
        order = rows[np.argsort(values[rows], kind="stable")]
        changes = np.diff(target[order]) != 0
        steps = np.diff(values[order]) != 0
        if np.count_nonzero(changes) > len(counts) - 1 or np.any(changes & ~steps):
            return None
    if not _is_no_chance(counts, math.lgamma(len(counts) + 1) + log_columns):
        return None
    return _COPY if len(np.unique(values)) == len(counts) else _SEPARATED


def _is_monotone(values: FloatArray, target: FloatArray) -> bool:
    """Whether the rank correlation is 1 or -1, ties included."""
    order = np.argsort(values, kind="stable")
    steps, changes = np.diff(values[order]), np.diff(target[order])
    if np.any((steps != 0) != (changes != 0)):
        return False
    return bool(np.all(changes >= 0) or np.all(changes <= 0))


def _correlation(values: FloatArray, target: FloatArray) -> float:
    x, y = values - values.mean(), target - target.mean()
    largest_x, largest_y = np.abs(x).max(), np.abs(y).max()
    if largest_x == 0 or largest_y == 0:
        return 0.0
    x, y = x / largest_x, y / largest_y
    return float(abs(x @ y) / np.sqrt((x @ x) * (y @ y)))


def _is_no_chance(counts: IntArray, log_ways: float) -> bool:
    """Whether a random order of so many rows of each value would hardly ever look like this."""
    log_orders = math.lgamma(int(counts.sum()) + 1) - sum(math.lgamma(int(count) + 1) for count in counts)
    return log_ways - log_orders < _LOG_CHANCE
