"""Values of new rows, read exactly as the values of the same column were read in training.

Nothing is inferred from the new rows: one row must mean what it would have meant among a million.
"""

import re
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from app.errors import UnsupportedColumnError
from app.metalearning.columns import written
from app.metalearning.columns.conversions import (
    as_days,
    as_labels,
    finite_numbers,
    flat,
    is_date,
    is_label,
    is_number,
    is_string,
)
from app.metalearning.columns.declared import FALSE_WORDS, TRUE_WORDS
from app.metalearning.expected import ExpectedColumn
from app.metalearning.table import Column, ColumnType

_NUMBER = re.compile(r"[+-]?(?:0|[1-9]\d*)(?:\.\d*)?(?:[eE][+-]?\d+)?")
_MOST_DIGITS = 15  # more of them a float does not tell apart
_EXPECTED = {
    ColumnType.NUMERIC: "a number",
    ColumnType.BOOLEAN: "true or false",
    ColumnType.DATE: "a date",
    ColumnType.TIME: "a time of day",
    ColumnType.CATEGORICAL: "a string",
    ColumnType.TEXT: "a string",
}


@dataclass(frozen=True)
class Unfit:
    """The first value that is none of its column's type: its row counted from 0, and how many there are."""

    row: int
    value: str
    expected: str
    n_unfit: int


@dataclass(frozen=True)
class Reread:
    """A column's values as the model takes them, shape (rows,): floats or strings, missing where the row has none.

    `unknown` are categories that training has not seen, with the number of rows that have them.
    """

    values: pa.Array
    unfit: Unfit | None = None
    unknown: dict[str, int] = field(default_factory=dict)


def reread(column: pa.ChunkedArray, expected: ExpectedColumn, decimal: str = ".") -> Reread:
    """The column as it would have been read in training.

    Args:
        column: decoded values of any type, shape (rows,).
        expected: what training found.
        decimal: the decimal mark of numbers that are written as strings.

    Raises: UnreadableEncodingError, UnsupportedColumnError.
    """
    if column.null_count == len(column):
        return Reread(pa.nulls(len(column), pa.string() if expected.holds_categories else pa.float64()))
    if not (is_number(column.type) or is_label(column.type) or pa.types.is_temporal(column.type)):
        raise UnsupportedColumnError(
            f"The column {expected.column.name!r} holds {column.type} values.",
            f"Send {_EXPECTED[expected.column.type]} in every row.",
        )
    if expected.holds_categories:
        return _as_categories(column, expected, decimal)
    direct = _directly(column, expected.column.type)
    return Reread(direct) if direct is not None else _by_text(column, expected.column, decimal)


def _directly(column: pa.ChunkedArray, kind: ColumnType) -> pa.Array | None:
    """Values that are of the type already, as floats; None where they have to be read."""
    is_clock = pa.types.is_time(column.type) or pa.types.is_duration(column.type)
    if kind is ColumnType.NUMERIC and is_number(column.type):
        return finite_numbers(column)[0]
    if kind in (ColumnType.NUMERIC, ColumnType.BOOLEAN) and pa.types.is_boolean(column.type):
        return flat(pc.cast(pc.cast(column, pa.int8()), pa.float64()))
    if (kind is ColumnType.DATE and is_date(column.type)) or (kind is ColumnType.TIME and is_clock):
        return as_days(column)
    return None


def _by_text(column: pa.ChunkedArray, expected: Column, decimal: str) -> Reread:
    """Values as their texts say; each distinct one is read once."""
    labels = as_labels(column).dictionary_encode()
    texts = written.trimmed(labels.dictionary)
    values = _read(texts, column.type, expected, decimal)
    unfit = pc.and_(values.is_null(), texts.is_valid()).take(labels.indices)
    first = pc.index(unfit, True).as_py()
    found = values.take(labels.indices)
    if first < 0:
        return Reread(finite_numbers(found)[0] if expected.type is ColumnType.NUMERIC else found)
    said = _EXPECTED[expected.type] + (f" like {expected.source}" if expected.source else "")
    value = labels.dictionary[labels.indices[first].as_py()].as_py()
    return Reread(found, Unfit(first, value[:100], said, pc.sum(unfit).as_py()))


def _read(texts: pa.Array, kind: pa.DataType, expected: Column, decimal: str) -> pa.Array:
    """Texts as floats, missing where they do not fit: by the format of training, dates also as ISO 8601 has them."""
    of_strings = is_string(kind)
    nothing = pa.nulls(len(texts), pa.float64())
    match expected.type:
        case ColumnType.NUMERIC:
            usual = written.COMMA if decimal == "," else written.POINT
            return written.read_numbers(texts, expected.source or usual) if of_strings else nothing
        case ColumnType.BOOLEAN:
            lower = pc.utf8_lower(texts)
            is_true, is_false = (
                pc.is_in(lower, pa.array(words, lower.type)) for words in (TRUE_WORDS, FALSE_WORDS)
            )
            return pc.if_else(is_true, 1.0, pc.if_else(is_false, 0.0, None))
    usual_formats: tuple[str, ...] = ()  # digits are dates only where training read them so
    if of_strings:
        usual_formats = (written.ISO,) if expected.type is ColumnType.DATE else written.TIME_FORMATS
    formats = [expected.source] if expected.source and (of_strings or is_number(kind)) else []
    readings = [written.read_dates(texts, each) for each in (*formats, *usual_formats)]
    return pc.coalesce(*readings) if readings else nothing


def _as_categories(column: pa.ChunkedArray, expected: ExpectedColumn, decimal: str) -> Reread:
    """Values as labels; one that training wrote differently (1.0 for 1, True for true) becomes the one that it saw."""
    labels = as_labels(column)
    if expected.categories is None:
        return Reread(labels)
    encoded = labels.dictionary_encode()
    known = set(expected.categories)
    by_meaning: dict[float | str, str | None] = {}
    for each in expected.categories:
        meaning = _meaning(each)
        by_meaning[meaning] = None if meaning in by_meaning else each  # what two mean, none stands for
    distinct = encoded.dictionary.to_pylist()
    as_seen = [
        each if each in known else by_meaning.get(_meaning(_plain(each, decimal))) or each
        for each in distinct
    ]
    counts = dict.fromkeys(as_seen, 0)
    for each in pc.value_counts(encoded.indices.drop_null()).to_pylist():
        counts[as_seen[each["values"]]] += each["counts"]
    unknown = {each: count for each, count in counts.items() if each not in known}
    return Reread(pa.array(as_seen, pa.string()).take(encoded.indices), unknown=unknown)


def _meaning(text: str) -> float | str:
    """What two ways of writing the same have in common; codes with leading zeros, or many digits, mean themselves alone."""
    if len(text) <= _MOST_DIGITS and _NUMBER.fullmatch(text):
        return float(text)
    lower = text.lower()
    return lower if lower in ("true", "false") else text


def _plain(text: str, decimal: str) -> str:
    """A number that is written with the marks of its file, written without: training took the category from the number."""
    group = "," if decimal == "." else "."
    mark, point = re.escape(group), re.escape(decimal)
    if not re.fullmatch(rf"[+-]?(?:\d{{1,3}}(?:{mark}\d{{3}})+|\d+)(?:{point}\d*)?", text):
        return text
    return text.replace(group, "").replace(decimal, ".")
