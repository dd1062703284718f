"""Columns of imported files as names and as numbers."""

import pyarrow as pa
import pyarrow.compute as pc

from app.errors import PerformancesUnusableError, ServiceError
from app.metalearning.table import FloatArray


def as_texts(column: pa.ChunkedArray) -> list[str | None]:
    """Names, whatever they look like: 7 and 7.0 are both "7"."""
    return [_as_text(value) for value in column.to_pylist()]


def as_numbers(
    column: pa.ChunkedArray, name: str, refusal: type[ServiceError] = PerformancesUnusableError
) -> FloatArray:
    """Values as floats, NaN where missing.

    Raises: `refusal`: a value is no number.
    """
    if pa.types.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    try:
        floats = _as_floats(column)
    # Arrow says so of a text that is no number, and of a type (dates, lists) that never is one.
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        shown = next(value.as_py() for value in column if not _is_number(value))
        raise refusal(
            f"{str(shown)[:50]!r} in column {name[:100]!r} is no number.",
            "Leave cells empty where nothing was measured; text belongs nowhere but into names.",
        ) from error
    values: FloatArray = floats.to_numpy(zero_copy_only=False)
    return values


def _as_text(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _as_floats(values: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    return pc.cast(values, pa.float64(), safe=False)  # whole numbers beyond 2^53 lose their last digits


def _is_number(value: pa.Scalar) -> bool:
    try:
        _as_floats(pa.array([value.as_py()], value.type))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True
