"""Marks inside of numbers: the decimal point or comma, and what groups thousands."""

import re

import pyarrow as pa
import pyarrow.compute as pc

_LOOKED_AT = 100
_COMMA_NUMBER = r"^\s*[+-]?(?:[\d.]*,\d+(?:[eE][+-]?\d+)?|\d{1,3}(?:\.\d{3}){2,})\s*$"


def has_decimal_commas(frame: pa.Table) -> bool:
    """Whether some column of strings begins with what are numbers once the comma is the decimal mark."""
    return any(
        bool(pc.any(pc.match_substring_regex(_start(column), _COMMA_NUMBER)).as_py())
        for column in frame.columns
        if pa.types.is_string(column.type)
    )


def count_numbers(frame: pa.Table) -> int:
    """How many columns hold numbers."""
    return sum(is_number(kind) for kind in frame.schema.types)


def is_number(kind: pa.DataType) -> bool:
    """Whether a column read from text holds numbers."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def without_thousands(frame: pa.Table, thousands: str, decimal: str) -> tuple[pa.Table, bool]:
    """The table in which strings such as 1,234,567.8 are numbers, and whether there were any."""
    mark, point = re.escape(thousands), re.escape(decimal)
    plain = rf"[+-]?\d+(?:{point}\d+)?"
    grouped = rf"[+-]?[1-9]\d{{0,2}}(?:{mark}\d{{3}})+(?:{point}\d+)?"
    any_found = False
    for index, column in enumerate(frame.columns):
        if not pa.types.is_string(column.type) or not _all_match(_start(column), f"^(?:{plain}|{grouped})$"):
            continue
        if _all_match(column, f"^(?:{plain}|{grouped})$") and _any_matches(column, f"^{grouped}$"):
            digits = pc.replace_substring(pc.replace_substring(column, thousands, ""), decimal, ".")
            frame = frame.set_column(index, frame.column_names[index], pc.cast(digits, pa.float64()))
            any_found = True
    return frame, any_found


def _start(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.slice(0, _LOOKED_AT)


def _all_match(column: pa.ChunkedArray, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(column, pattern)).as_py())


def _any_matches(column: pa.ChunkedArray, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(column, pattern)).as_py())
