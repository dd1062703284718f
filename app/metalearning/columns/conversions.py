"""From the column types of Arrow to what a table holds: floats, days and labels."""

import pyarrow as pa
import pyarrow.compute as pc

from app.errors import UnreadableEncodingError

# Beyond this magnitude squares and sums overflow; features get it as missing, targets are refused.
LARGEST_NUMBER = 1e100


def is_number(kind: pa.DataType) -> bool:
    """Whether values are integers, floats or decimals."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def is_string(kind: pa.DataType) -> bool:
    """Whether values are strings of either size."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_label(kind: pa.DataType) -> bool:
    """Whether values can name classes without being numbers."""
    return is_string(kind) or bool(pa.types.is_boolean(kind))


def is_date(kind: pa.DataType) -> bool:
    """Whether values have a day, with or without a time of day."""
    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind))


def with_plain_strings(frame: pa.Table) -> pa.Table:
    """String views, which few functions take, as strings."""
    views = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
    types = [views.get(kind, kind) for kind in frame.schema.types]
    if types == frame.schema.types:
        return frame
    return frame.cast(pa.schema(list(zip(frame.column_names, types, strict=True))))


def decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Dictionary-encoded values as themselves."""
    return pc.cast(column, column.type.value_type) if pa.types.is_dictionary(column.type) else column


def finite_numbers(column: pa.ChunkedArray | pa.Array) -> tuple[pa.Array, int]:
    """Numbers as floats, with NaN, infinite and absurdly large ones as missing; how many were not finite."""
    numbers = pc.cast(column, pa.float64(), safe=False)
    usable = pc.less(pc.abs(numbers), LARGEST_NUMBER)  # false for NaN
    n_infinite = pc.sum(pc.and_(pc.invert(usable), pc.invert(pc.is_nan(numbers)))).as_py() or 0
    return flat(pc.if_else(usable, numbers, None)), n_infinite


def as_days(column: pa.ChunkedArray) -> pa.Array:
    """Dates and times as days since 1970 (times of day as fractions of a day)."""
    if pa.types.is_time(column.type) or pa.types.is_duration(column.type):
        ticks = pc.cast(column, pa.int64() if column.type.bit_width == 64 else pa.int32())
        per_second = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[column.type.unit]
        return flat(pc.divide(pc.cast(ticks, pa.float64(), safe=False), per_second * 86400.0))
    microseconds = pc.cast(pc.cast(column, pa.timestamp("us"), safe=False), pa.int64())
    return flat(pc.divide(pc.cast(microseconds, pa.float64(), safe=False), 86400e6))


def as_labels(column: pa.ChunkedArray) -> pa.Array:
    """Values as strings; whole numbers without a decimal point, so that 1 and 1.0 are one class.

    Raises: UnreadableEncodingError.
    """
    labels = as_strings(column)
    if pc.any(pc.match_substring(labels, "\x00")).as_py():
        raise UnreadableEncodingError(
            "A value holds the character NUL.", "Remove it and send the file again."
        )
    return labels


def as_strings(column: pa.ChunkedArray) -> pa.Array:
    """Values as labels, unchecked."""
    if pa.types.is_floating(column.type):
        column = pc.cast(column, pa.float64())
        whole = pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), float(2**53)))
        if pc.all(whole).as_py():
            column = pc.cast(column, pa.int64(), safe=False)
    return flat(pc.cast(column, pa.string()))


def flat(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """The values in one piece."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
