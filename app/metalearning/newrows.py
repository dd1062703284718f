"""Rows to predict: read from JSON or a file, and checked against what the model expects of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from app.errors import ColumnMissingError, NoRowsError, TooManyRowsError, ValueOfWrongTypeError
from app.metalearning.columns.again import Unfit, reread
from app.metalearning.columns.conversions import decoded, with_plain_strings
from app.metalearning.expected import Expected, as_table
from app.metalearning.reading import read_file
from app.metalearning.reading.formats import Format
from app.metalearning.reading.rawtable import distinct_names
from app.metalearning.table import Table

MOST_ROWS = 100_000
MOST_PREDICTIONS = 2_000_000  # numbers in an answer: rows times classes
_BEYOND_INT64 = 2**63
_MOST_VALUES, _MOST_NAMES, _LONGEST = (
    20,
    200,
    100,
)  # what is told of each kind, so that no answer outgrows its rows

Cell = str | float | bool | None


@dataclass(frozen=True)
class NewRows:
    """Rows as the model takes them, and what there is to say of them.

    `unknown_categories` are by column; `unchecked_columns` have more categories than a card keeps, so nobody can tell.
    """

    table: Table
    ignored_columns: tuple[str, ...]
    target_ignored: bool
    unknown_categories: dict[str, dict[str, int]]
    unchecked_columns: tuple[str, ...]
    columns_with_gaps: tuple[str, ...]

    def notes(self) -> dict[str, Any]:
        """What the answer says beside the predictions."""
        return {
            "n_rows": self.table.n_rows,
            "ignored_columns": _shown(self.ignored_columns),
            "target_ignored": self.target_ignored,
            "unknown_categories": {
                name: {
                    "values": [each[:_LONGEST] for each in sorted(counts)[:_MOST_VALUES]],
                    "n_values": len(counts),
                    "n_rows": sum(counts.values()),
                }
                for name, counts in list(self.unknown_categories.items())[:_MOST_NAMES]
            },
            "unchecked_columns": _shown(self.unchecked_columns),
        }


def frame_of(rows: Sequence[dict[str, Cell]], expected: Expected) -> pa.Table:
    """Rows of named cells as columns; a name that a row lacks is missing there.

    A column whose cells are of several kinds holds them as they are written. Of columns that are not expected the names
    alone are there: rows of a thousand names each cost no more than those of a few.

    Raises: NoRowsError, UnreadableEncodingError.
    """
    if not rows:
        raise _nothing()
    originals = list(dict.fromkeys(name for row in rows for name in row))
    names, _ = distinct_names(originals)
    wanted = {each.column.name for each in expected.columns}
    nothing = pa.nulls(len(rows))
    columns = [
        _column([row.get(original) for row in rows]) if name in wanted else nothing
        for original, name in zip(originals, names, strict=True)
    ]
    return pa.table(columns, names=names)


def read_rows(path: Path, expected: Expected, reading: dict[str, Any]) -> tuple[pa.Table, str]:
    """The cells of a file, and the decimal mark of numbers in it.

    Args:
        path: the file.
        expected: what the model expects.
        reading: how the training file was read. Where both are CSV this one is read alike, whatever its few rows look like.

    Raises: subclasses of UnusableDatasetError.
    """
    decimal = reading["decimal"] if reading.get("format") == Format.CSV else None
    texts = [each.column.name for each in expected.columns if each.holds_categories or each.column.source]
    raw = read_file(path, target=expected.columns[0].column.name, decimal=decimal, texts=texts)
    return raw.frame, raw.decimal


def as_expected(frame: pa.Table, expected: Expected, decimal: str = ".") -> NewRows:
    """The rows as the model takes them.

    Raises: NoRowsError, TooManyRowsError, ColumnMissingError, ValueOfWrongTypeError, UnsupportedColumnError,
        UnreadableEncodingError.
    """
    if frame.column_names:  # else there are rows of nothing, which lack every column
        _check_size(frame.num_rows, len(expected.classes))
    names = [each.column.name for each in expected.columns]
    _check_columns(frame.column_names, names)
    frame = with_plain_strings(frame)
    found = {
        each.column.name: reread(decoded(frame[each.column.name]), each, decimal) for each in expected.columns
    }
    for name, column in found.items():
        if column.unfit is not None:
            _refuse(name, column.unfit)
    others = [name for name in frame.column_names if name not in found]
    return NewRows(
        table=as_table(pa.table({name: column.values for name, column in found.items()}), expected),
        ignored_columns=tuple(name for name in others if name != expected.target),
        target_ignored=expected.target in others,
        unknown_categories={name: column.unknown for name, column in found.items() if column.unknown},
        unchecked_columns=tuple(
            each.column.name for each in expected.columns if each.holds_categories and each.categories is None
        ),
        columns_with_gaps=tuple(name for name, column in found.items() if column.values.null_count),
    )


def _shown(names: Sequence[str]) -> list[str]:
    return [name[:_LONGEST] for name in names[:_MOST_NAMES]]


def _column(cells: list[Cell]) -> pa.Array:
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds == {int} and all(cell is None or abs(int(cell)) < _BEYOND_INT64 for cell in cells):
        return pa.array(cells, pa.int64())
    if kinds <= {int, float}:
        return pa.array([None if cell is None else _float(cell) for cell in cells], pa.float64())
    if kinds in ({bool}, {str}):
        return pa.array(cells)
    return pa.array([None if cell is None else _written(cell) for cell in cells], pa.string())


def _float(cell: Cell) -> float:
    try:
        return float(cell or 0)
    except OverflowError:  # hundreds of digits: as much a number as infinity, which is taken as missing
        return float("inf")


def _written(cell: str | float | bool) -> str:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return str(cell)


def _nothing() -> NoRowsError:
    return NoRowsError("There are no rows to predict.", "Send at least one row.")


def _check_size(n_rows: int, n_classes: int) -> None:
    if n_rows == 0:
        raise _nothing()
    most = min(MOST_ROWS, MOST_PREDICTIONS // max(1, n_classes))
    if n_rows > most:
        raise TooManyRowsError(
            f"{n_rows:,} rows are more than the {most:,} that this model predicts at a time.",
            "Send them in parts, or download the model (GET /models/{id}/artifact) and predict at home.",
            n_rows=n_rows,
            most=most,
        )


def _check_columns(given: list[str], wanted: list[str]) -> None:
    there = set(given)
    missing = [name for name in wanted if name not in there]
    if not missing:
        return
    shown = ", ".join(repr(name[:100]) for name in missing[:10])
    raise ColumnMissingError(
        f"The rows lack {len(missing)} of the {len(wanted)} columns that the model was fitted on: {shown}.",
        "Send every column under its name in training; where a value is not known, leave it empty (null in JSON).",
        missing=[name[:100] for name in missing[:_MOST_VALUES]],
        n_missing=len(missing),
        given=[name[:100] for name in given[:_MOST_VALUES]],
    )


def _refuse(name: str, unfit: Unfit) -> None:
    others = f", and in {unfit.n_unfit - 1:,} other rows" if unfit.n_unfit > 1 else ""
    raise ValueOfWrongTypeError(
        f"Row {unfit.row + 1}, column {name[:100]!r}: {unfit.value!r} is not {unfit.expected}{others}.",
        f"Send {unfit.expected}, or leave the value empty (null in JSON).",
        row=unfit.row + 1,
        column=name[:100],
        expected=unfit.expected,
        value=unfit.value,
        n_rows=unfit.n_unfit,
    )
