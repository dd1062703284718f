"""The target column: which rows have one, whether it names classes or is a quantity, and whether it can be learned."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from app.errors import (
    SingleClassTargetError,
    TargetUnusableError,
    TooManyClassesError,
    UnsupportedColumnError,
)
from app.metalearning.columns import written
from app.metalearning.columns.conversions import (
    LARGEST_NUMBER,
    as_labels,
    decoded,
    is_label,
    is_number,
    is_string,
)
from app.metalearning.findings import Finding, found
from app.metalearning.table import ClassType, TaskType

MOST_CLASSES = 200
# A target of integers or strings with at most this many values is taken for classes unless the client says otherwise.
MOST_INTEGER_CLASSES = 20
# From so many on they may as well be counts, and the client is told.
_MANY_INTEGER_CLASSES = 6
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


@dataclass(frozen=True)
class Target:
    """Class labels as strings or numbers as floats, shape (rows,); `source` is the format of numbers in strings.

    `class_type` is what the labels were before they became strings.
    """

    values: pa.Array
    task_type: TaskType
    source: str | None = None
    findings: tuple[Finding, ...] = ()
    class_type: ClassType = ClassType.STRING


def type_target(column: pa.ChunkedArray, name: str, task_type: TaskType | None) -> Target:
    """The target with its task type.

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
    source: str | None = None
    findings: tuple[Finding, ...] = ()
    if is_string(column.type) and _may_be_numbers(n_distinct, task_type):
        column, source, findings = _read_strings(column, name, is_declared=task_type is not None)
    if is_number(column.type):
        _check_size(column, name)
    was_inferred = task_type is None
    if task_type is None:
        task_type = TaskType.REGRESSION if source else _inferred_task_type(column, n_distinct)
    if task_type is TaskType.REGRESSION:
        return Target(_quantity(column, name), task_type, source, findings)
    if n_distinct > min(MOST_CLASSES, len(column) // 2):
        raise TooManyClassesError(
            f"The target {name!r} has {n_distinct} classes in {len(column)} rows.",
            "Ask for regression if it is a quantity, or merge classes.",
            n_classes=n_distinct,
            n_rows=len(column),
        )
    if was_inferred and pa.types.is_integer(column.type) and n_distinct >= _MANY_INTEGER_CLASSES:
        detail = f"The {n_distinct} integers of the target were taken for classes."
        findings = (*findings, found("integers_as_classes", name, detail, n_classes=n_distinct))
    return Target(as_labels(column), task_type, findings=findings, class_type=_class_type(column.type))


def _class_type(kind: pa.DataType) -> ClassType:
    if pa.types.is_boolean(kind):
        return ClassType.BOOLEAN
    if pa.types.is_integer(kind):
        return ClassType.INTEGER
    return ClassType.NUMBER if is_number(kind) else ClassType.STRING


def _may_be_numbers(n_distinct: int, task_type: TaskType | None) -> bool:
    return n_distinct > MOST_INTEGER_CLASSES if task_type is None else task_type is TaskType.REGRESSION


def _read_strings(
    column: pa.ChunkedArray, name: str, *, is_declared: bool
) -> tuple[pa.ChunkedArray, str | None, tuple[Finding, ...]]:
    """The numbers that all strings are, their format and the finding of it; the column as it is where there is none."""
    labels = as_labels(column).dictionary_encode()
    formats = (written.POINT, written.COMMA) if is_declared else (written.number_format(labels.dictionary),)
    for source in filter(None, formats):
        numbers = written.read_numbers(written.trimmed(labels.dictionary), source)
        if numbers.null_count == 0:
            detail = f"The strings were read as numbers of the form {source}."
            example = str(labels.dictionary[0])[:100]
            finding = found("number_like_strings", name, detail, format=source, example=example)
            return pa.chunked_array([numbers.take(labels.indices)]), source, (finding,)
    return column, None, ()


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
            f"The target {name!r} holds {column.type} values that are no numbers, which regression needs.",
            "Ask for classification, or write all values as numbers, like 1234.5.",
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
