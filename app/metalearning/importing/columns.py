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
        floats = pc.cast(column, pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        shown = next((value for value in column.to_pylist() if not _is_number(value)), "")
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


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return value is None
    return True
