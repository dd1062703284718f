"""JSON lines: one flat object per line, one type per column."""

import io
import json
from typing import Any

import pyarrow as pa

from app.errors import UnreadableEncodingError, UnreadableFileError, UnsupportedColumnError
from app.metalearning.reading.formats import Format
from app.metalearning.reading.limits import ReadingLimits
from app.metalearning.reading.rawtable import RawTable, distinct_names

_BATCH_CELLS = 1 << 20
_KINDS = {bool: "truth values", int: "numbers", float: "numbers", str: "strings"}
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


class _Columns:
    """Rows on their way to columns, each of the one kind that its first value has."""

    def __init__(self, limits: ReadingLimits) -> None:
        self._limits = limits
        self._kinds: dict[str, str | None] = {}
        self._fractions: set[str] = set()
        self._rows: list[dict[str, Cell]] = []
        self._n_rows = self._size = 0
        self._batches: list[pa.Table] = []

    def add(self, number: int, row: dict[str, Cell]) -> None:
        """One row, from the line of this number."""
        for name, value in row.items():
            known = self._kinds.setdefault(name, None)
            if value is None:
                continue
            kind = _KINDS[type(value)]
            if known is not None and kind != known:
                raise _refusal(number, f"column {name[:100]!r} holds {kind} here and {known} above")
            self._kinds[name] = kind
            if isinstance(value, float):
                self._fractions.add(name)
        self._limits.check_columns(len(self._kinds))
        self._rows.append(row)
        self._n_rows += 1
        self._limits.check_rows(self._n_rows)
        if len(self._rows) * len(self._kinds) > _BATCH_CELLS:
            self._convert(number)

    def table(self) -> pa.Table:
        """All rows, whole numbers as integers where no row of the column has a fraction."""
        self._convert(None)
        types = {"truth values": pa.bool_(), "strings": pa.string(), None: pa.null()}
        schema = pa.schema(
            (name, types.get(kind, pa.float64() if name in self._fractions else pa.int64()))
            for name, kind in self._kinds.items()
        )
        batches = [
            pa.table(
                [
                    batch[field.name].cast(field.type, safe=False)
                    if field.name in batch.column_names
                    else pa.nulls(batch.num_rows, field.type)
                    for field in schema
                ],
                schema=schema,
            )
            for batch in self._batches
        ]
        return pa.concat_tables(batches)

    def _convert(self, number: int | None) -> None:
        arrays = []
        for name, kind in self._kinds.items():
            values = [row.get(name) for row in self._rows]
            if kind == "numbers" and name in self._fractions:
                values = [None if value is None else float(value) for value in values]
            try:
                column = pa.array(values)
            except UnicodeEncodeError as error:
                raise UnreadableEncodingError(
                    f"A string of column {name[:100]!r} before line {number or 'the last'} holds half a character.",
                    "Remove the lone surrogate (\\ud800 to \\udfff).",
                ) from error
            self._limits.check_cells(column, name)
            arrays.append(column)
        batch = pa.table(arrays, names=list(self._kinds))
        self._size += batch.nbytes
        self._limits.check_size(self._size)
        self._batches.append(batch)
        self._rows = []


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
    return row


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
