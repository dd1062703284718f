"""A typed dataset: feature columns, one target, a task type; missing values kept as missing."""

import difflib
import json
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

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

MINIMUM_ROWS = 20
MOST_CLASSES = 200
# An integer target with at most this many values is taken for classes unless the client says otherwise.
MOST_INTEGER_CLASSES = 20
MISSING_CODE = -1
# Beyond this magnitude squares and sums overflow; features get it as missing, targets are refused.
LARGEST_NUMBER = 1e100

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class TaskType(StrEnum):
    """What is to be predicted: one of several classes, or a number."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"


class ColumnType(StrEnum):
    """How a column enters a pipeline: booleans, dates, times of day and durations as numbers, text as categories."""

    NUMERIC = "numeric"
    BOOLEAN = "boolean"
    DATE = "date"
    TIME = "time"
    CATEGORICAL = "categorical"
    TEXT = "text"


NUMBER_LIKE = (ColumnType.NUMERIC, ColumnType.BOOLEAN, ColumnType.DATE, ColumnType.TIME)


class Severity(StrEnum):
    """A warning lowers what can be expected; information only tells what was done."""

    WARNING = "warning"
    INFORMATION = "information"


@dataclass(frozen=True)
class Finding:
    """Something that preflight noticed about a dataset, and what to do about it."""

    code: str
    severity: Severity
    column: str | None
    detail: str
    advice: str


@dataclass(frozen=True)
class Column:
    """One feature column."""

    name: str
    type: ColumnType


@dataclass(frozen=True)
class Table:
    """A dataset to choose an algorithm for.

    `frame` holds the feature columns in order (numbers as float64, categories as strings) and the target last
    (class labels as strings, or float64).
    """

    frame: pa.Table
    columns: tuple[Column, ...]
    target: str
    task_type: TaskType

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.frame.num_rows)

    @cached_property
    def numeric(self) -> FloatArray:
        """The number-like columns, shape (rows, columns), NaN where missing."""
        columns = [self._floats(column.name) for column in self.columns if column.type in NUMBER_LIKE]
        return np.column_stack(columns) if columns else np.empty((self.n_rows, 0))

    @cached_property
    def categorical(self) -> IntArray:
        """Codes of the category-like columns, shape (rows, columns), -1 where missing."""
        columns = [
            _codes(self.frame[column.name])[0] for column in self.columns if column.type not in NUMBER_LIKE
        ]
        return np.column_stack(columns) if columns else np.empty((self.n_rows, 0), dtype=np.int64)

    @cached_property
    def target_values(self) -> FloatArray:
        """The target, shape (rows,): class codes in the order of `classes`, or the numbers themselves."""
        if self.task_type is TaskType.REGRESSION:
            return self._floats(self.target)
        codes, labels = _codes(self.frame[self.target])
        position = np.argsort(np.argsort(labels))
        return position[codes].astype(np.float64)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class labels in sorted order; empty for regression."""
        if self.task_type is TaskType.REGRESSION:
            return ()
        return tuple(sorted(_codes(self.frame[self.target])[1].tolist()))

    def take(self, rows: IntArray) -> "Table":
        """The same table with only these rows, in this order."""
        return Table(self.frame.take(pa.array(rows)), self.columns, self.target, self.task_type)

    def _floats(self, name: str) -> FloatArray:
        values: FloatArray = self.frame[name].to_numpy(zero_copy_only=False).astype(np.float64)
        return values


def type_table(
    raw: pa.Table, target: str, task_type: TaskType | None = None
) -> tuple[Table, tuple[Finding, ...]]:
    """Give every column its type, drop what cannot be learned from, and check the target.

    Raises: subclasses of UnusableDatasetError, each with what to do.
    """
    findings: list[Finding] = []
    target = target.strip()
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
    values, task_type = _typed_target(raw[target], target, task_type)
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


def write_table(table: Table, path: Path) -> None:
    """Write the typed table as Parquet, its types and target beside the rows."""
    description = {
        "target": table.target,
        "task_type": table.task_type,
        "columns": [[column.name, column.type] for column in table.columns],
    }
    frame = table.frame.replace_schema_metadata({"metaselect": json.dumps(description)})
    pa.parquet.write_table(frame, path, compression="zstd")


def read_table(path: Path) -> Table:
    """Read what `write_table` wrote."""
    frame = pa.parquet.read_table(path)
    description = json.loads(frame.schema.metadata[b"metaselect"])
    columns = tuple(Column(name, ColumnType(kind)) for name, kind in description["columns"])
    return Table(frame, columns, description["target"], TaskType(description["task_type"]))


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


def _codes(column: pa.ChunkedArray) -> tuple[IntArray, npt.NDArray[np.str_]]:
    """Codes in order of first occurrence (-1 where missing), and the label of each code."""
    encoded = column.combine_chunks().dictionary_encode()
    codes = encoded.indices.fill_null(MISSING_CODE).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, np.array(encoded.dictionary.to_pylist(), dtype=np.str_)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_label(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_boolean(kind))
