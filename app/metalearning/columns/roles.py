"""The group and the time column: they govern every split of the rows and are no features."""

import pyarrow as pa
import pyarrow.compute as pc

from app.errors import GroupUnusableError, TimeUnusableError, TooFewGroupsError
from app.metalearning.columns import written
from app.metalearning.columns.conversions import (
    as_days,
    as_labels,
    decoded,
    finite_numbers,
    is_label,
    is_number,
    is_string,
)
from app.metalearning.columns.declared import cast_as
from app.metalearning.findings import Finding, found
from app.metalearning.protocol import n_folds
from app.metalearning.table import ColumnType


def type_group(column: pa.ChunkedArray, name: str) -> tuple[pa.Array, Finding]:
    """The group of every row as a string, shape (rows,).

    A row without a group is refused rather than given a group of its own: it may belong to any of the others.

    Raises: GroupUnusableError, TooFewGroupsError.
    """
    column = decoded(column)
    if not (is_label(column.type) or is_number(column.type) or pa.types.is_temporal(column.type)):
        raise GroupUnusableError(
            f"The group {name!r} holds {column.type} values.", "Name a column of names or numbers."
        )
    groups = as_labels(column)
    if groups.null_count:
        raise GroupUnusableError(
            f"{groups.null_count} rows have no value in the group {name!r}.",
            "Fill them in, each with a name of its own if these rows belong to no group.",
            n_rows=groups.null_count,
        )
    n_groups, folds = pc.count_distinct(groups).as_py(), n_folds(len(groups))
    if n_groups < folds:
        raise TooFewGroupsError(
            f"The group {name!r} has {n_groups} values, which cannot be dealt to {folds} folds.",
            "Name a finer group, or none.",
            n_groups=n_groups,
            n_folds=folds,
        )
    detail = f"{n_groups} groups govern the splits."
    return groups, found("group_column", name, detail, n_groups=n_groups)


def type_time(
    column: pa.ChunkedArray, name: str, kind: ColumnType | None
) -> tuple[pa.Array, str | None, Finding]:
    """The time of every row as a float (days for dates and times, numbers as they are), shape (rows,).

    Also the format that it was read by, where it is written as strings.

    Raises: TimeUnusableError, ColumnTypeUnusableError.
    """
    column = decoded(column)
    times, source = _times(column, name, kind)
    if times.null_count:
        raise TimeUnusableError(
            f"{times.null_count} rows have no value in the time {name!r}.",
            "Fill them in, or remove these rows.",
            n_rows=times.null_count,
        )
    n_distinct = pc.count_distinct(times).as_py()
    if n_distinct < 2:
        raise TimeUnusableError(f"All values of the time {name!r} are equal.", "Name another time, or none.")
    return times, source, found("time_column", name, "The time governs the splits.", n_distinct=n_distinct)


def _times(column: pa.ChunkedArray, name: str, kind: ColumnType | None) -> tuple[pa.Array, str | None]:
    if kind is not None:
        return cast_as(column, kind, name)
    if pa.types.is_temporal(column.type):
        return as_days(column), None
    if is_number(column.type):
        return finite_numbers(column)[0], None
    if is_string(column.type):
        labels = as_labels(column).dictionary_encode()
        texts = written.trimmed(labels.dictionary)
        if number := written.number_format(texts):
            return finite_numbers(written.read_numbers(texts, number).take(labels.indices))[0], number
        if dates := written.date_formats(texts):
            return written.read_dates(texts, dates[0]).take(labels.indices), dates[0]
    raise TimeUnusableError(
        f"The time {name!r} holds {column.type} values that are no dates or numbers.",
        "Write dates as 2020-12-31 or 2020-12-31 23:59:00.",
    )
