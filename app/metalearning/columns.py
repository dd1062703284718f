"""Give every column its type: numbers, categories, dates and the rest, inferred or declared by the client."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from app.errors import (
    NoFeaturesError,
    SingleClassTargetError,
    TargetNotFoundError,
    TargetUnusableError,
    TooFewRowsError,
    TooManyClassesError,
    UnreadableEncodingError,
    UnsupportedColumnError,
)
from app.metalearning.findings import Finding, Severity
from app.metalearning.table import Column, ColumnType, Table, TaskType

MINIMUM_ROWS = 20
MOST_CLASSES = 200
# An integer target with at most this many values is taken for classes unless the client says otherwise.
MOST_INTEGER_CLASSES = 20
# Beyond this magnitude squares and sums overflow; features get it as missing, targets are refused.
LARGEST_NUMBER = 1e100


@dataclass(frozen=True)
class Declaration:
    """What the client says about the columns; everything but the target is inferred where it is left out."""

    target: str
    task_type: TaskType | None = None
    column_types: Mapping[str, ColumnType] = field(default_factory=dict)
    group: str | None = None
    time: str | None = None


def type_table(raw: pa.Table, declared: Declaration) -> tuple[Table, tuple[Finding, ...]]:
    """Give every column its type, drop what cannot be learned from, and check the target.

    Raises: subclasses of UnusableDatasetError, each with what to do.
    """
    findings: list[Finding] = []
    target = declared.target.strip()
    if target not in raw.column_names:
        near = difflib.get_close_matches(target, raw.column_names, n=3)
        shown = ", ".join(near or raw.column_names[:10])
        raise TargetNotFoundError(
            f"There is no column {target!r}.", f"Name one of the file's columns: {shown}."
        )
    raw = _without_missing_targets(_with_plain_strings(raw), target, findings)
    if raw.num_rows < MINIMUM_ROWS:
        raise TooFewRowsError(
            f"{raw.num_rows} rows with a target are too few to cross-validate.",
            f"Send at least {MINIMUM_ROWS} rows.",
        )
    values, task_type = _typed_target(raw[target], target, declared.task_type)
    columns: list[Column] = []
    arrays: list[pa.Array] = []
    for name in raw.column_names:
        if name != target and (typed := _typed_feature(raw[name], name, findings)) is not None:
            columns.append(Column(name, typed[0]))
            arrays.append(typed[1])
    if not columns:
        raise NoFeaturesError(
            "Beside the target no column has values to learn from.", "Send at least one feature column."
        )
    frame = pa.table([*arrays, values], names=[*(column.name for column in columns), target])
    return Table(frame, tuple(columns), target, task_type), tuple(findings)


def _with_plain_strings(frame: pa.Table) -> pa.Table:
    """String views, which few functions take, as strings."""
    views = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
    types = [views.get(kind, kind) for kind in frame.schema.types]
    return frame.cast(pa.schema(list(zip(frame.column_names, types, strict=True))))


def _without_missing_targets(raw: pa.Table, target: str, findings: list[Finding]) -> pa.Table:
    column = raw[target]
    missing = pc.is_null(column, nan_is_null=pa.types.is_floating(column.type))
    n_missing = pc.sum(missing).as_py() or 0
    if n_missing:
        findings.append(
            Finding(
                "missing_target_rows",
                Severity.WARNING,
                target,
                f"{n_missing} rows without a target were left out.",
                "Fill in the target, or remove these rows.",
            )
        )
    return raw.filter(pc.invert(missing))


def _typed_target(
    column: pa.ChunkedArray, name: str, task_type: TaskType | None
) -> tuple[pa.Array, TaskType]:
    column = _decoded(column)
    if not _is_number(column.type) and not _is_label(column.type):
        raise UnsupportedColumnError(
            f"The target {name!r} holds {column.type} values.", "Name a column of classes or numbers."
        )
    n_distinct = pc.count_distinct(column).as_py()
    if n_distinct < 2:
        raise SingleClassTargetError(
            f"The target {name!r} has one value only.", "Name a column that varies, or send more rows."
        )
    if pa.types.is_floating(column.type) and not _has_finite_spread(column):
        raise TargetUnusableError(
            f"The target {name!r} holds infinite values, or too large ones.",
            "Remove these rows, or cap the values.",
        )
    task_type = task_type or _inferred_task_type(column, n_distinct)
    if task_type is TaskType.REGRESSION:
        if not _is_number(column.type):
            raise TargetUnusableError(
                f"The target {name!r} holds {column.type} values, regression needs numbers.",
                "Ask for classification, or name a numeric column.",
            )
        return pc.cast(column, pa.float64(), safe=False).combine_chunks(), task_type
    if n_distinct > min(MOST_CLASSES, len(column) // 2):
        raise TooManyClassesError(
            f"The target {name!r} has {n_distinct} classes in {len(column)} rows.",
            "Ask for regression if it is a quantity, or merge classes.",
        )
    return _labels(column), task_type


def _has_finite_spread(column: pa.ChunkedArray) -> bool:
    """Whether sums of squares of the values stay numbers."""
    numbers = pc.cast(column, pa.float64())
    return bool(pc.all(pc.less(pc.abs(numbers), LARGEST_NUMBER)).as_py())


def _inferred_task_type(column: pa.ChunkedArray, n_distinct: int) -> TaskType:
    if not _is_number(column.type) or n_distinct == 2:
        return TaskType.CLASSIFICATION
    if pa.types.is_integer(column.type) and n_distinct <= MOST_INTEGER_CLASSES:
        return TaskType.CLASSIFICATION
    return TaskType.REGRESSION


def _typed_feature(
    column: pa.ChunkedArray, name: str, findings: list[Finding]
) -> tuple[ColumnType, pa.Array] | None:
    """The column's type and its values as pipelines take them; None where there is nothing to learn from."""
    column = _decoded(column)
    if column.null_count == len(column):
        findings.append(
            Finding(
                "all_missing_column",
                Severity.WARNING,
                name,
                "The column holds no value and was left out.",
                "Remove the column, or fill it.",
            )
        )
        return None
    if pa.types.is_boolean(column.type):
        return ColumnType.BOOLEAN, pc.cast(pc.cast(column, pa.int8()), pa.float64()).combine_chunks()
    if pa.types.is_temporal(column.type):
        has_date = pa.types.is_date(column.type) or pa.types.is_timestamp(column.type)
        return ColumnType.DATE if has_date else ColumnType.TIME, _as_days(column)
    if _is_number(column.type):
        numbers = _finite(pc.cast(column, pa.float64(), safe=False), name, findings)
        return None if numbers.null_count == len(numbers) else (ColumnType.NUMERIC, numbers)
    if not _is_label(column.type):
        raise UnsupportedColumnError(
            f"The column {name!r} holds {column.type} values.", "Flatten nested columns and drop binary ones."
        )
    labels = _labels(column)
    n_distinct = pc.count_distinct(labels).as_py()
    is_text = n_distinct > 0.5 * len(labels) and n_distinct > MINIMUM_ROWS
    if is_text:
        findings.append(
            Finding(
                "nearly_unique_strings",
                Severity.WARNING,
                name,
                f"{n_distinct} different strings in {len(labels)} rows: an id or free text.",
                "Remove ids; free text is used only through its most frequent values.",
            )
        )
    return ColumnType.TEXT if is_text else ColumnType.CATEGORICAL, labels


def _finite(numbers: pa.ChunkedArray, name: str, findings: list[Finding]) -> pa.Array:
    """Numbers with NaN, infinite and absurdly large values as missing."""
    usable = pc.less(pc.abs(numbers), LARGEST_NUMBER)  # false for NaN
    infinite = pc.sum(pc.and_(pc.invert(usable), pc.invert(pc.is_nan(numbers)))).as_py() or 0
    if infinite:
        findings.append(
            Finding(
                "infinite_values",
                Severity.WARNING,
                name,
                f"{infinite} infinite or absurdly large values were taken as missing.",
                "Replace them by numbers.",
            )
        )
    return pc.if_else(usable, numbers, None).combine_chunks()


def _as_days(column: pa.ChunkedArray) -> pa.Array:
    """Dates and times as days since 1970 (times of day as fractions of a day)."""
    if pa.types.is_time(column.type) or pa.types.is_duration(column.type):
        ticks = pc.cast(column, pa.int64() if column.type.bit_width == 64 else pa.int32())
        per_second = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[column.type.unit]
        return pc.divide(pc.cast(ticks, pa.float64(), safe=False), per_second * 86400.0).combine_chunks()
    microseconds = pc.cast(pc.cast(column, pa.timestamp("us"), safe=False), pa.int64())
    return pc.divide(pc.cast(microseconds, pa.float64(), safe=False), 86400e6).combine_chunks()


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.cast(column, column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _labels(column: pa.ChunkedArray) -> pa.Array:
    """Values as strings; whole numbers without a decimal point, so that 1 and 1.0 are one class."""
    if pa.types.is_floating(column.type):
        column = pc.cast(column, pa.float64())
        whole = pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), float(2**53)))
        if pc.all(whole).as_py():
            column = pc.cast(column, pa.int64(), safe=False)
    labels = pc.cast(column, pa.string()).combine_chunks()
    if pc.any(pc.match_substring(labels, "\x00")).as_py():
        raise UnreadableEncodingError(
            "A value holds the character NUL.", "Remove it and send the file again."
        )
    return labels


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_label(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_boolean(kind))
