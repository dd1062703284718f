"""The target column: which rows have one, whether it names classes or is a quantity, and whether it can be learned."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from app.errors import (
    SingleClassTargetError,
    TargetUnusableError,
    TooManyClassesError,
    UnsupportedColumnError,
)
from app.metalearning.columns.conversions import LARGEST_NUMBER, as_labels, decoded, is_label, is_number
from app.metalearning.findings import Finding, found
from app.metalearning.table import TaskType

MOST_CLASSES = 200
# An integer target with at most this many values is taken for classes unless the client says otherwise.
MOST_INTEGER_CLASSES = 20
# Squares of a smaller spread vanish, beside the values' size or in themselves.
_LEAST_RELATIVE_SPREAD, _LEAST_SPREAD = 1e-12, 1e-100


def without_missing_targets(raw: pa.Table, target: str) -> tuple[pa.Table, list[Finding]]:
    """The rows that have a target, and a finding if there are others."""
    column = raw[target]
    missing = pc.is_null(column, nan_is_null=pa.types.is_floating(column.type))
    n_missing = pc.sum(missing).as_py() or 0
    if n_missing == 0:
        return raw, []
    detail = f"{n_missing} rows without a target were left out."
    finding = found("missing_target_rows", target, detail, n_rows=n_missing, of=len(column))
    return raw.filter(pc.invert(missing)), [finding]


def type_target(column: pa.ChunkedArray, name: str, task_type: TaskType | None) -> tuple[pa.Array, TaskType]:
    """Class labels as strings or the target as floats, shape (rows,), and the task type.

    Raises: UnsupportedColumnError, SingleClassTargetError, TargetUnusableError, TooManyClassesError.
    """
    column = decoded(column)
    if not is_number(column.type) and not is_label(column.type):
        raise UnsupportedColumnError(
            f"The target {name!r} holds {column.type} values.", "Name a column of classes or numbers."
        )
    n_distinct = pc.count_distinct(column).as_py()
    if n_distinct < 2:
        raise SingleClassTargetError(
            f"The target {name!r} has one value only.", "Name a column that varies, or send more rows."
        )
    if is_number(column.type):
        _check_size(column, name)
    task_type = task_type or _inferred_task_type(column, n_distinct)
    if task_type is TaskType.REGRESSION:
        return _quantity(column, name), task_type
    if n_distinct > min(MOST_CLASSES, len(column) // 2):
        raise TooManyClassesError(
            f"The target {name!r} has {n_distinct} classes in {len(column)} rows.",
            "Ask for regression if it is a quantity, or merge classes.",
            n_classes=n_distinct,
            n_rows=len(column),
        )
    return as_labels(column), task_type


def _check_size(column: pa.ChunkedArray, name: str) -> None:
    usable = pc.less(pc.abs(pc.cast(column, pa.float64(), safe=False)), LARGEST_NUMBER)
    n_unusable = len(column) - (pc.sum(usable).as_py() or 0)
    if n_unusable:
        raise TargetUnusableError(
            f"The target {name!r} holds {n_unusable} infinite values, or too large ones.",
            "Remove these rows, or cap the values.",
            n_rows=n_unusable,
        )


def _inferred_task_type(column: pa.ChunkedArray, n_distinct: int) -> TaskType:
    if not is_number(column.type) or n_distinct == 2:
        return TaskType.CLASSIFICATION
    if pa.types.is_integer(column.type) and n_distinct <= MOST_INTEGER_CLASSES:
        return TaskType.CLASSIFICATION
    return TaskType.REGRESSION


def _quantity(column: pa.ChunkedArray, name: str) -> pa.Array:
    if not is_number(column.type):
        raise TargetUnusableError(
            f"The target {name!r} holds {column.type} values, regression needs numbers.",
            "Ask for classification, or write plain numbers: no signs of units, a decimal point.",
        )
    numbers = pc.cast(column, pa.float64(), safe=False).combine_chunks()
    values = numbers.to_numpy()
    if np.ptp(values) <= max(_LEAST_SPREAD, _LEAST_RELATIVE_SPREAD * np.abs(values).max()):
        raise TargetUnusableError(
            f"The values of the target {name!r} are too close together to be told apart.",
            "Subtract their mean, or give them in another unit.",
            least=float(values.min()),
            largest=float(values.max()),
        )
    return numbers
