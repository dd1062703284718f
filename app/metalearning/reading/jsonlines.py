"""JSON lines: one flat object per line, one type per column."""

import io
import json
from array import array
from typing import Any

import numpy as np
import pyarrow as pa

from app.errors import UnreadableEncodingError, UnreadableFileError, UnsupportedColumnError
from app.metalearning.reading.formats import Format
from app.metalearning.reading.limits import ReadingLimits
from app.metalearning.reading.rawtable import RawTable, distinct_names

_BATCH_CELLS = 1 << 20
_KINDS = {bool: "truth values", int: "numbers", float: "numbers", str: "strings"}
_TYPES = {"truth values": pa.bool_(), "strings": pa.string(), None: pa.null()}
_BITS = {"truth values": 1, "strings": 32, None: 0}  # per row, at least
_MOST_INTEGER_DIGITS = 18

Cell = str | float | bool | None


def read_json_lines(content: bytes, limits: ReadingLimits) -> RawTable:
    """Read JSON lines in UTF-8; a key that a line lacks is missing there, and every refusal names its line.

    Raises: UnreadableFileError, UnreadableEncodingError, UnsupportedColumnError, TooLargeDatasetError.
    """
    columns = _Columns(limits)
    for number, line in enumerate(io.TextIOWrapper(io.BytesIO(content), "utf-8", newline=None), start=1):
        if not line.isspace():
            columns.add(number, _parse(line, number))
    frame = columns.table()
    names, renamed = distinct_names(frame.column_names)
    return RawTable(frame.rename_columns(names), Format.JSON_LINES, has_header=False, renamed_columns=renamed)


class _Column:
    """The cells of one key: values of one kind, and the rows that have them."""

    def __init__(self) -> None:
        self.kind: str | None = None
        self.has_fractions = False
        self.values: list[Any] = []
        self.rows = array("q")
        self.chunks: list[pa.Array] = []

    def convert(self) -> int:
        """Values so far as a chunk; its bytes."""
        if self.kind == "numbers":
            chunk = (
                pa.array(map(float, self.values), pa.float64())
                if self.has_fractions
                else pa.array(self.values)
            )
        else:
            chunk = pa.array(self.values, _TYPES[self.kind])
        self.chunks.append(chunk)
        self.values = []
        return int(chunk.nbytes)

    def type(self) -> pa.DataType:
        """Whole numbers are integers where no row has a fraction."""
        if self.kind == "numbers":
            return pa.float64() if self.has_fractions else pa.int64()
        return _TYPES[self.kind]

    def spread(self, n_rows: int) -> pa.Array:
        """All rows, with nothing where the key was left out."""
        chunks = [chunk.cast(self.type(), safe=False) for chunk in self.chunks]
        values = pa.concat_arrays(chunks) if chunks else pa.nulls(0, self.type())
        if len(values) == n_rows:
            return values
        places = np.full(n_rows, -1, dtype=np.int64)
        places[np.frombuffer(self.rows, dtype=np.int64)] = np.arange(len(values))
        return values.take(pa.array(places, mask=places < 0))


class _Columns:
    """Rows on their way to columns, each of the one kind that its first value has."""

    def __init__(self, limits: ReadingLimits) -> None:
        self._limits = limits
        self._columns: dict[str, _Column] = {}
        self._n_rows = self._size = self._pending = 0

    def add(self, number: int, row: dict[str, Cell]) -> None:
        """One row, from the line of this number."""
        for name, value in row.items():
            column = self._columns.get(name)
            if column is None:
                column = self._columns[name] = _Column()
            if value is None:
                continue
            kind = _KINDS[type(value)]
            if column.kind is not None and kind != column.kind:
                raise _refusal(number, f"column {name[:100]!r} holds {kind} here and {column.kind} above")
            column.kind = kind
            column.has_fractions |= isinstance(value, float)
            column.values.append(value)
            column.rows.append(self._n_rows)
        self._limits.check_columns(len(self._columns))
        self._n_rows += 1
        self._limits.check_rows(self._n_rows)
        self._pending += len(row)
        if self._pending > _BATCH_CELLS:
            self._convert()

    def table(self) -> pa.Table:
        """All rows; refused before the keys that were left out are written as missing, if that takes too much."""
        self._convert()
        widths = [_BITS.get(column.kind, 64) for column in self._columns.values()]
        self._limits.check_size(max(self._size, self._n_rows * sum(widths) // 8))
        arrays = []
        for name, column in self._columns.items():
            arrays.append(column.spread(self._n_rows))
            self._limits.check_cells(arrays[-1], name)
        return pa.table(arrays, names=list(self._columns))

    def _convert(self) -> None:
        self._size += sum(column.convert() for column in self._columns.values() if column.values)
        self._limits.check_size(self._size)
        self._pending = 0


def _parse(line: str, number: int) -> dict[str, Cell]:
    def as_row(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        row = dict(pairs)
        if len(row) < len(pairs):
            raise _refusal(number, "a key occurs twice")
        return row

    try:
        row = json.loads(line, object_pairs_hook=as_row, parse_int=_number)
    except RecursionError as error:
        raise _nested(number) from error
    except ValueError as error:
        raise _refusal(number, f"no JSON ({str(error)[:100]})") from error
    if not isinstance(row, dict):
        raise _refusal(number, "no object of columns and values")
    if any(isinstance(value, (dict, list)) for value in row.values()):
        raise _nested(number)
    if "\\ud" in line.lower():
        _check_surrogates(row, number)
    return row


def _check_surrogates(row: dict[str, Cell], number: int) -> None:
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise UnreadableEncodingError(
            f"Line {number} holds half of a character.",
            "Remove the lone surrogate (\\ud800 to \\udfff).",
            line=number,
        ) from error


def _number(digits: str) -> float:
    """A whole number, or the nearest float where it has more digits than 64 bits hold."""
    return int(digits) if len(digits) <= _MOST_INTEGER_DIGITS else float(digits)


def _nested(number: int) -> UnsupportedColumnError:
    return UnsupportedColumnError(
        f"Line {number} holds a list or an object as a value.",
        "Flatten nested values into columns of their own.",
        line=number,
    )


def _refusal(number: int, fact: str) -> UnreadableFileError:
    return UnreadableFileError(
        f"Line {number} of the JSON lines: {fact}.", "Correct this line and send the file again.", line=number
    )
