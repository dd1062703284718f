"""Give every column its type: numbers, categories, dates and the rest, inferred or declared by the client."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from app.errors import NoFeaturesError, TooFewRowsError, UnsupportedColumnError
from app.metalearning.columns import written
from app.metalearning.columns.conversions import (
    as_days,
    as_labels,
    decoded,
    finite_numbers,
    flat,
    is_date,
    is_label,
    is_number,
    with_plain_strings,
)
from app.metalearning.columns.declared import Declaration, cast_as, checked
from app.metalearning.columns.identifiers import are_counting_integers, are_unique_codes
from app.metalearning.columns.roles import type_group, type_time
from app.metalearning.columns.targets import type_target, without_missing_targets
from app.metalearning.findings import Finding, condensed, found
from app.metalearning.protocol import splits
from app.metalearning.table import Column, ColumnType, Table

__all__ = ["MINIMUM_ROWS", "Declaration", "type_table"]

MINIMUM_ROWS = 20
_EXACT_INTEGERS = 2**53


@dataclass(frozen=True)
class _Feature:
    """A column after typing; without values where there is nothing to learn from."""

    type: ColumnType
    values: pa.Array | None
    source: str | None = None
    findings: tuple[Finding, ...] = ()


def type_table(raw: pa.Table, declared: Declaration) -> tuple[Table, tuple[Finding, ...]]:
    """Give every column its type, drop what cannot be learned from, and check the target.

    Raises: subclasses of UnusableDatasetError, each with what to do.
    """
    declared = checked(declared, raw.column_names)
    raw, findings = without_missing_targets(with_plain_strings(raw), declared.target)
    if raw.num_rows < MINIMUM_ROWS:
        raise TooFewRowsError(
            f"{raw.num_rows} rows with a target are too few to cross-validate.",
            f"Send at least {MINIMUM_ROWS} rows.",
            n_rows=raw.num_rows,
        )
    target = type_target(raw[declared.target], declared.target, declared.task_type)
    findings += target.findings
    time_source = None
    frame: dict[str, pa.Array] = {}
    columns: list[Column] = []
    roles = (declared.target, declared.group, declared.time)
    for name in raw.column_names:
        if name in roles:
            continue
        feature = _type_feature(raw[name], name, declared.column_types.get(name))
        findings += feature.findings
        if feature.values is not None:
            columns.append(Column(name, feature.type, feature.source))
            frame[name] = feature.values
    if not columns:
        raise NoFeaturesError(
            "Beside the target no column has values to learn from.",
            "Send at least one feature column; if a column was taken for an id, declare its type.",
            left_out=[name for name in raw.column_names if name not in roles][:20],
        )
    if declared.group is not None:
        frame[declared.group], finding = type_group(raw[declared.group], declared.group)
        findings.append(finding)
    if declared.time is not None:
        kind = declared.column_types.get(declared.time)
        frame[declared.time], time_source, finding = type_time(raw[declared.time], declared.time, kind)
        findings.append(finding)
    frame[declared.target] = target.values
    table = Table(
        pa.table(frame),
        tuple(columns),
        declared.target,
        target.task_type,
        declared.group,
        declared.time,
        target.source,
        time_source,
        target.class_type,
    )
    splits.check(table)
    return table, condensed(findings)


def _type_feature(column: pa.ChunkedArray, name: str, kind: ColumnType | None) -> _Feature:
    column = decoded(column)
    if kind is ColumnType.ID:
        return _as_id(name, "It was declared an id.")
    known = is_number(column.type) or is_label(column.type) or pa.types.is_temporal(column.type)
    if not known and column.null_count < len(column):
        raise UnsupportedColumnError(
            f"The column {name!r} holds {column.type} values.",
            "Flatten nested columns and drop binary ones, or declare the column an id.",
        )
    feature = _inferred(column, name) if kind is None else _Feature(kind, *cast_as(column, kind, name))
    if feature.values is None or feature.values.null_count < len(column):
        return feature
    detail = "The column holds no value and was left out."
    empty = found("all_missing_column", name, detail, n_rows=len(column))
    return _Feature(feature.type, None, findings=(*feature.findings, empty))


def _inferred(column: pa.ChunkedArray, name: str) -> _Feature:
    if pa.types.is_boolean(column.type):
        return _Feature(ColumnType.BOOLEAN, flat(pc.cast(pc.cast(column, pa.int8()), pa.float64())))
    if pa.types.is_temporal(column.type):
        return _Feature(ColumnType.DATE if is_date(column.type) else ColumnType.TIME, as_days(column))
    if is_number(column.type):
        return _as_numbers(column, name)
    if is_label(column.type):
        return _as_strings(column, name)
    return _Feature(ColumnType.NUMERIC, pa.nulls(len(column), pa.float64()))


def _as_numbers(column: pa.ChunkedArray, name: str) -> _Feature:
    if are_counting_integers(column, name):
        return _as_id(name, "The column counts the rows.")
    numbers, n_infinite = finite_numbers(column)
    findings = []
    if n_infinite:
        detail = f"{n_infinite} infinite or absurdly large values were taken as missing."
        findings.append(found("infinite_values", name, detail, n_values=n_infinite))
    if pa.types.is_integer(column.type) and column.type.bit_width == 64:
        largest = pc.max(pc.abs(numbers)).as_py()
        if largest is not None and largest > _EXACT_INTEGERS:
            detail = "Integers beyond 2^53 were rounded: as numbers some of them are no longer different."
            findings.append(found("large_integers", name, detail, largest=largest))
    return _Feature(ColumnType.NUMERIC, numbers, findings=tuple(findings))


def _as_strings(column: pa.ChunkedArray, name: str) -> _Feature:
    labels = as_labels(column)
    encoded = labels.dictionary_encode()
    distinct = encoded.dictionary
    if number := written.number_format(distinct):
        numbers, _ = finite_numbers(
            written.read_numbers(written.trimmed(distinct), number).take(encoded.indices)
        )
        detail = f"The strings were read as numbers of the form {number}."
        finding = found("number_like_strings", name, detail, format=number, example=_example(distinct))
        return _Feature(ColumnType.NUMERIC, numbers, number, (finding,))
    if formats := written.date_formats(distinct):
        return _as_written_dates(encoded, formats, name)
    if are_unique_codes(distinct, len(labels)):
        return _as_id(name, "Every row has a code of its own.", example=_example(distinct))
    n_distinct = len(distinct)
    if n_distinct <= 0.5 * len(labels) or n_distinct <= MINIMUM_ROWS:
        return _Feature(ColumnType.CATEGORICAL, labels)
    detail = f"{n_distinct} different strings in {len(labels)} rows: an id or free text."
    finding = found("nearly_unique_strings", name, detail, n_distinct=n_distinct, n_rows=len(labels))
    return _Feature(ColumnType.TEXT, labels, findings=(finding,))


def _as_written_dates(encoded: pa.DictionaryArray, formats: list[str], name: str) -> _Feature:
    used, *others = formats
    days = written.read_dates(written.trimmed(encoded.dictionary), used).take(encoded.indices)
    example = _example(encoded.dictionary)
    detail = f"The strings were read as dates of the form {used}."
    findings = [found("date_like_strings", name, detail, format=used, example=example)]
    if others:
        detail = f"{example!r} was read by {used}; {others[0]} would fit all values as well."
        findings.append(found("ambiguous_dates", name, detail, format=used, other_format=others[0]))
    return _Feature(ColumnType.DATE, days, used, tuple(findings))


def _as_id(name: str, detail: str, **evidence: str) -> _Feature:
    finding = found("id_column", name, f"{detail} It is no feature.", **evidence)
    return _Feature(ColumnType.ID, None, findings=(finding,))


def _example(distinct: pa.Array) -> str:
    return str(distinct.drop_null()[0])[:100]
