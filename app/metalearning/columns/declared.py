"""What the client says about the columns, checked, and the casts that it asks for."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from app.errors import (
    ColumnNotFoundError,
    ColumnTypeUnusableError,
    ConflictingDeclarationError,
    TargetNotFoundError,
)
from app.metalearning.columns import written
from app.metalearning.columns.conversions import (
    as_days,
    as_labels,
    finite_numbers,
    flat,
    is_date,
    is_number,
    is_string,
)
from app.metalearning.table import ColumnType, TaskType

TRUE_WORDS = ("true", "t", "yes", "y", "on", "1", "1.0")
FALSE_WORDS = ("false", "f", "no", "n", "off", "0", "0.0")


@dataclass(frozen=True)
class Declaration:
    """What the client says about the columns; everything but the target is inferred where it is left out."""

    target: str
    task_type: TaskType | None = None
    column_types: Mapping[str, ColumnType] = field(default_factory=dict)
    group: str | None = None
    time: str | None = None


def checked(declared: Declaration, names: list[str]) -> Declaration:
    """The declaration with names as the file has them.

    Raises: TargetNotFoundError, ColumnNotFoundError, ConflictingDeclarationError.
    """
    target = _known(declared.target, names, TargetNotFoundError)
    group, time = (
        None if name is None else _known(name, names, ColumnNotFoundError)
        for name in (declared.group, declared.time)
    )
    types = {_known(name, names, ColumnNotFoundError): kind for name, kind in declared.column_types.items()}
    if target in (group, time):
        _refuse(f"The target {target!r} is also named as group or time.", "Name another column, or none.")
    if group is not None and group == time:
        _refuse(f"{group!r} is named as group and as time.", "Name one column for each.")
    if target in types:
        _refuse(f"{target!r} is the target and has a column type.", "Give task_type instead of its type.")
    if group in types:
        _refuse(f"{group!r} is the group and has a column type.", "Leave the type out: groups need none.")
    if time in types and types[time] not in (ColumnType.NUMERIC, ColumnType.DATE, ColumnType.TIME):
        _refuse(f"{time!r} is the time and declared {types[time]}.", "Declare it numeric, date or time.")
    return replace(declared, target=target, group=group, time=time, column_types=types)


def cast_as(column: pa.ChunkedArray, kind: ColumnType, name: str) -> tuple[pa.Array, str | None]:
    """The column as the client wants it, and the format that it was read by where it is written as strings.

    Raises: ColumnTypeUnusableError, which tells how many values do not fit.
    """
    if column.null_count == len(column):
        return pa.nulls(len(column), pa.float64()), None
    if kind in (ColumnType.CATEGORICAL, ColumnType.TEXT):
        return as_labels(column), None
    return _CASTS[kind](column, name)


def _as_numeric(column: pa.ChunkedArray, name: str) -> tuple[pa.Array, str | None]:
    if is_number(column.type):
        return finite_numbers(column)[0], None
    if pa.types.is_boolean(column.type):
        return _flags(column), None
    formats = [written.POINT, written.COMMA] if is_string(column.type) else []
    values, used = _read_by(column, formats, written.read_numbers, name, ColumnType.NUMERIC)
    return finite_numbers(values)[0], used


def _as_boolean(column: pa.ChunkedArray, name: str) -> tuple[pa.Array, str | None]:
    if pa.types.is_boolean(column.type):
        return _flags(column), None
    labels = as_labels(column).dictionary_encode()
    texts = pc.utf8_lower(written.trimmed(labels.dictionary))
    is_true, is_false = (pc.is_in(texts, pa.array(words, texts.type)) for words in (TRUE_WORDS, FALSE_WORDS))
    flags = pc.if_else(is_true, 1.0, pc.if_else(is_false, 0.0, None))
    _check_fit(labels, texts, flags, name, ColumnType.BOOLEAN)
    return flags.take(labels.indices), None


def _as_date(column: pa.ChunkedArray, name: str) -> tuple[pa.Array, str | None]:
    if is_date(column.type):
        return as_days(column), None
    formats: Iterable[str] = ()
    if is_string(column.type):
        formats = (*written.DATE_FORMATS, *written.DIGIT_DATE_FORMATS)
    elif is_number(column.type):
        formats = written.DIGIT_DATE_FORMATS
    return _read_by(column, formats, written.read_dates, name, ColumnType.DATE)


def _as_time(column: pa.ChunkedArray, name: str) -> tuple[pa.Array, str | None]:
    if pa.types.is_time(column.type) or pa.types.is_duration(column.type):
        return as_days(column), None
    formats = written.TIME_FORMATS if is_string(column.type) else ()
    return _read_by(column, formats, written.read_dates, name, ColumnType.TIME)


_CASTS = {
    ColumnType.NUMERIC: _as_numeric,
    ColumnType.BOOLEAN: _as_boolean,
    ColumnType.DATE: _as_date,
    ColumnType.TIME: _as_time,
}


def _read_by(
    column: pa.ChunkedArray,
    formats: Iterable[str],
    read: Callable[[pa.Array, str], pa.Array],
    name: str,
    kind: ColumnType,
) -> tuple[pa.Array, str]:
    """The column read by the format that fits most of its values, which has to fit them all."""
    labels = as_labels(column).dictionary_encode()
    texts = written.trimmed(labels.dictionary)
    best, values = "", pa.nulls(len(texts), pa.float64())
    for each in formats:
        candidate = read(texts, each)
        if not best or candidate.null_count < values.null_count:
            best, values = each, candidate
        if values.null_count == texts.null_count:
            break
    _check_fit(labels, texts, values, name, kind)
    return values.take(labels.indices), best


def _check_fit(
    labels: pa.DictionaryArray, texts: pa.Array, values: pa.Array, name: str, kind: ColumnType
) -> None:
    unfit = pc.and_(values.is_null(), texts.is_valid())
    rows = unfit.take(labels.indices)
    n_unfit = pc.sum(rows).as_py() or 0
    if n_unfit == 0:
        return
    example = texts.filter(unfit)[0].as_py()[:100]
    raise ColumnTypeUnusableError(
        f"{n_unfit} values of {name!r} are no {kind}, {example!r} for one.",
        "Correct these values, or declare another type.",
        column=name,
        n_unfit=n_unfit,
        example=example,
    )


def _flags(column: pa.ChunkedArray) -> pa.Array:
    return flat(pc.cast(pc.cast(column, pa.int8()), pa.float64()))


def _known(name: str, names: list[str], error: type[TargetNotFoundError] | type[ColumnNotFoundError]) -> str:
    found = name.strip()
    if found in names:
        return found
    near = difflib.get_close_matches(found, names, n=3)
    shown = ", ".join(near or names[:10])
    raise error(f"There is no column {found[:100]!r}.", f"Name one of the file's columns: {shown}.")


def _refuse(detail: str, advice: str) -> None:
    raise ConflictingDeclarationError(detail, advice)
