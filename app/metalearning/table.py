"""A typed dataset: feature columns, one target, a task type; missing values kept as missing."""

import json
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet

MISSING_CODE = -1

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


class TaskType(StrEnum):
    """What is to be predicted: one of several classes, or a number."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"


class ColumnType(StrEnum):
    """How a column enters a pipeline: booleans, dates, times of day and durations as numbers, text as categories.

    An id tells rows apart and nothing else: nothing is learned from it.
    """

    NUMERIC = "numeric"
    BOOLEAN = "boolean"
    DATE = "date"
    TIME = "time"
    CATEGORICAL = "categorical"
    TEXT = "text"
    ID = "id"


class ClassType(StrEnum):
    """What class labels were in the file, where they are kept as strings: predictions give them back as that."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"


NUMBER_LIKE = (ColumnType.NUMERIC, ColumnType.BOOLEAN, ColumnType.DATE, ColumnType.TIME)


@dataclass(frozen=True)
class Column:
    """One feature column; `source` is the format of numbers or dates that the file holds as strings.

    Numbers are written like `1,234.5` or `1.234,5`, dates as `ISO8601` or by a format of strptime.
    """

    name: str
    type: ColumnType
    source: str | None = None


@dataclass(frozen=True)
class Table:
    """A dataset to choose an algorithm for.

    `frame` holds the feature columns in order (numbers as float64, categories as strings), then the group column
    (strings) and the time column (float64) where the client named them, and the target last (class labels as strings,
    or float64). Group and time govern every split and are no features. Where the file holds the target or the time as
    strings, `target_source` and `time_source` are their formats, as a column's `source` is. `class_type` is what the
    labels of classes were in the file.
    """

    frame: pa.Table
    columns: tuple[Column, ...]
    target: str
    task_type: TaskType
    group: str | None = None
    time: str | None = None
    target_source: str | None = None
    time_source: str | None = None
    class_type: ClassType = ClassType.STRING

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.frame.num_rows)

    @cached_property
    def numeric(self) -> FloatArray:
        """The number-like columns, shape (rows, columns), NaN where missing."""
        columns = [self.floats(column.name) for column in self.columns if column.type in NUMBER_LIKE]
        return np.column_stack(columns) if columns else np.empty((self.n_rows, 0))

    @cached_property
    def categorical(self) -> IntArray:
        """Codes of the category-like columns, shape (rows, columns), -1 where missing."""
        columns = [self.codes(column.name) for column in self.columns if column.type not in NUMBER_LIKE]
        return np.column_stack(columns) if columns else np.empty((self.n_rows, 0), dtype=np.int64)

    @cached_property
    def target_values(self) -> FloatArray:
        """The target, shape (rows,): class codes in the order of `classes`, or the numbers themselves."""
        if self.task_type is TaskType.REGRESSION:
            return self.floats(self.target)
        codes, labels = _codes(self.frame[self.target])
        position = np.argsort(np.argsort(labels.to_pylist()))
        return position[codes].astype(np.float64)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class labels in sorted order; empty for regression."""
        if self.task_type is TaskType.REGRESSION:
            return ()
        return tuple(sorted(_codes(self.frame[self.target])[1].to_pylist()))

    @cached_property
    def groups(self) -> IntArray | None:
        """Codes of the group column, shape (rows,): rows of one group are never split up; None without one."""
        return None if self.group is None else self.codes(self.group)

    @cached_property
    def times(self) -> FloatArray | None:
        """The time column, shape (rows,): what is learned from never lies after what is predicted; None without one."""
        return None if self.time is None else self.floats(self.time)

    def take(self, rows: IntArray) -> "Table":
        """The same table with only these rows, in this order."""
        return replace(self, frame=self.frame.take(pa.array(rows)))

    def floats(self, name: str) -> FloatArray:
        """A number-like column, shape (rows,), NaN where missing; not to be written to, it may be the frame's own memory."""
        values = self.frame[name].to_numpy(zero_copy_only=False)
        return np.asarray(values, dtype=np.float64)

    def codes(self, name: str) -> IntArray:
        """A category-like column's codes in order of first occurrence, shape (rows,), -1 where missing."""
        return _codes(self.frame[name])[0]


def write_table(table: Table, path: Path) -> None:
    """Write the typed table as Parquet, its types and target beside the rows."""
    description = {
        "target": table.target,
        "task_type": table.task_type,
        "columns": [[column.name, column.type, column.source] for column in table.columns],
        "group": table.group,
        "time": table.time,
        "target_source": table.target_source,
        "time_source": table.time_source,
        "class_type": table.class_type,
    }
    frame = table.frame.replace_schema_metadata({"metaselect": json.dumps(description)})
    pa.parquet.write_table(frame, path, compression="zstd")


def read_table(path: Path) -> Table:
    """Read what `write_table` wrote."""
    frame = pa.parquet.read_table(path)
    description = json.loads(frame.schema.metadata[b"metaselect"])
    columns = tuple(Column(name, ColumnType(kind), source) for name, kind, source in description["columns"])
    return Table(
        frame,
        columns,
        description["target"],
        TaskType(description["task_type"]),
        description["group"],
        description["time"],
        description["target_source"],
        description["time_source"],
        ClassType(description.get("class_type", ClassType.STRING)),  # tables of before did not have it
    )


def _codes(column: pa.ChunkedArray) -> tuple[IntArray, pa.Array]:
    """Codes in order of first occurrence (-1 where missing), and the label of each code."""
    encoded = column.combine_chunks().dictionary_encode()
    codes = encoded.indices.fill_null(MISSING_CODE).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, encoded.dictionary
