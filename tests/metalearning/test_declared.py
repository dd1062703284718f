"""What the client declares about columns: types, the group, the time."""

import datetime as dt

import pyarrow as pa
import pytest

from app.errors import ColumnTypeUnusableError, ServiceError
from app.metalearning.columns import Declaration, type_table
from app.metalearning.table import ColumnType
from tests.tables import typed_column

N = 60
NEW_YEAR = 18262.0  # 2020-01-01 in days since 1970


def declared(kind: str, values: list):
    type_, typed, _ = typed_column(values, column_types={"x": ColumnType(kind)})
    return type_, typed[: len(values)]


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("categorical", [1, 2, None], ["1", "2", None]),
        ("categorical", [1.0, 2.0], ["1", "2"]),
        ("categorical", [True, False], ["true", "false"]),
        ("categorical", ["1,5", "2,5"], ["1,5", "2,5"]),
        ("text", ["a b", "c d"], ["a b", "c d"]),
        ("numeric", ["1", "2", "NA"], [1.0, 2.0, None]),
        ("numeric", ["1.234,5", "6"], [1234.5, 6.0]),
        ("numeric", [True, False, None], [1.0, 0.0, None]),
        ("boolean", ["Yes", "no", ""], [1.0, 0.0, None]),
        ("boolean", [0, 1, None], [0.0, 1.0, None]),
        ("boolean", [1.0, 0.0], [1.0, 0.0]),
        ("date", ["31/12/2019", "01/01/2020"], [NEW_YEAR - 1, NEW_YEAR]),
        ("date", [20200101, 20191231], [NEW_YEAR, NEW_YEAR - 1]),
        ("date", [2020, 2020], [NEW_YEAR, NEW_YEAR]),
        ("date", [dt.date(2020, 1, 1), None], [NEW_YEAR, None]),
        ("time", ["06:00", "18:00"], [0.25, 0.75]),
        ("time", [dt.time(6), None], [0.25, None]),
    ],
    ids=str,
)
def test_declared_type_is_cast_to(kind, values, expected):
    assert declared(kind, values) == (kind, expected)


def test_declared_id_is_left_out_whatever_it_holds():
    for values in (["a", "b"], [1, 2], [[1], [2]], [b"raw"]):
        type_, _, findings = typed_column(values, column_types={"x": ColumnType.ID})
        assert (type_, [each.code for each in findings]) == ("id", ["id_column"])


@pytest.mark.parametrize(
    ("kind", "values", "n_unfit", "example"),
    [
        ("numeric", ["1", "two"], 30, "two"),
        ("numeric", [dt.date(2020, 1, 1)], 60, "2020-01-01"),
        ("boolean", ["yes", "no", "maybe"], 20, "maybe"),
        ("boolean", [0, 1, 2], 20, "2"),
        ("date", ["2020-01-01", "2020-01-01", "someday"], 20, "someday"),
        ("date", [1.5], 60, "1.5"),
        ("time", ["06:00", "noon"], 30, "noon"),
        ("time", [6.5], 60, "6.5"),
    ],
    ids=str,
)
def test_values_that_do_not_fit_a_declared_type_are_counted_and_shown(kind, values, n_unfit, example):
    with pytest.raises(ColumnTypeUnusableError) as caught:
        declared(kind, values)
    assert caught.value.evidence == {"column": "x", "n_unfit": n_unfit, "example": example}
    assert example in caught.value.detail


FRAME = {
    "x": [row / 7 for row in range(N)],
    "patient": [f"p{row // 3}" for row in range(N)],
    "when": [dt.date(2020, 1, 1) + dt.timedelta(days=row) for row in range(N)],
    "y": ["no", "yes"] * (N // 2),
}


def typed(frame=FRAME, **declared):
    return type_table(pa.table(frame), Declaration("y", **declared))


def test_group_and_time_leave_the_features_and_stand_before_the_target():
    table, findings = typed(group=" patient ", time="when")
    assert [column.name for column in table.columns] == ["x"]
    assert table.frame.column_names == ["x", "patient", "when", "y"]
    assert table.groups.tolist() == [row // 3 for row in range(N)]
    assert table.times.tolist() == [NEW_YEAR + row for row in range(N)]
    assert [(each.code, each.column) for each in findings] == [
        ("group_column", "patient"),
        ("time_column", "when"),
    ]


@pytest.mark.parametrize(
    ("times", "kind", "first"),
    [
        ([1.5, 2.5], None, 1.5),
        (["31.12.2019", "01.01.2020"], None, NEW_YEAR - 1),
        (["1,000.5", "7"], None, 1000.5),
        ([20200101, 20200102], ColumnType.DATE, NEW_YEAR),
        ([dt.time(6), dt.time(7)], None, 0.25),
    ],
    ids=str,
)
def test_times_are_dates_clocks_or_numbers(times, kind, first):
    types = {} if kind is None else {"when": kind}
    halves = [value for value in times for _ in range(N // 2)]
    table, _ = typed(FRAME | {"when": halves}, time="when", column_types=types)
    assert table.times[0] == first


@pytest.mark.parametrize(
    ("changed", "declaration", "code"),
    [
        ({}, {"group": "patent"}, "column_not_found"),
        ({}, {"time": "wenn"}, "column_not_found"),
        ({}, {"column_types": {"z": ColumnType.ID}}, "column_not_found"),
        ({}, {"column_types": {"y": ColumnType.NUMERIC}}, "conflicting_declaration"),
        ({}, {"group": "y"}, "conflicting_declaration"),
        ({}, {"time": "y"}, "conflicting_declaration"),
        ({}, {"group": "when", "time": "when"}, "conflicting_declaration"),
        ({}, {"group": "patient", "column_types": {"patient": ColumnType.ID}}, "conflicting_declaration"),
        ({}, {"time": "when", "column_types": {"when": ColumnType.TEXT}}, "conflicting_declaration"),
        ({"patient": [None] + ["a", "b"] * 29 + ["c"]}, {"group": "patient"}, "group_unusable"),
        ({"patient": [[1]] * N}, {"group": "patient"}, "group_unusable"),
        ({"patient": ["a"] * N}, {"group": "patient"}, "too_few_groups"),
        ({"patient": ["a", "b", "c", "d"] * 15}, {"group": "patient"}, "too_few_groups"),
        ({"when": [7] * N}, {"time": "when"}, "time_unusable"),
        ({"when": [None] + [1, 2] * 29 + [3]}, {"time": "when"}, "time_unusable"),
        ({"when": ["soon", "later"] * 30}, {"time": "when"}, "time_unusable"),
        ({"when": [True, False] * 30}, {"time": "when"}, "time_unusable"),
    ],
    ids=str,
)
def test_impossible_declarations_are_refused_with_what_to_do(changed, declaration, code):
    with pytest.raises(ServiceError) as caught:
        typed(FRAME | changed, **declaration)
    assert (caught.value.code, caught.value.status) == (code, 422)
    assert caught.value.advice


def test_unknown_group_is_answered_with_a_near_name():
    with pytest.raises(ServiceError) as caught:
        typed(group="patent")
    assert "patient" in caught.value.advice


def test_five_groups_are_enough_for_five_folds():
    assert typed(FRAME | {"patient": list("abcde") * 12}, group="patient")[0].groups.max() == 4


def test_times_that_leave_one_class_to_test_are_refused_when_the_table_is_typed():
    with pytest.raises(ServiceError) as caught:
        typed(FRAME | {"when": [1, 2] * (N // 2)}, time="when")
    assert caught.value.code == "unsplittable"
