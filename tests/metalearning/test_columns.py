import contextlib
import datetime as dt
import decimal

import numpy as np
import pyarrow as pa
import pytest

from app.errors import TargetUnusableError, UnusableDatasetError
from app.metalearning.columns import Declaration, type_table
from tests.tables import CLASSIFICATION, REGRESSION, typed

N = 30
ALTERNATING = ["no", "yes"] * 15
NOON = dt.datetime(1970, 1, 2, 12, tzinfo=dt.UTC)


def feature(values: list, kind: pa.DataType | None = None):
    """The type and the values of one feature column after typing."""
    column = pa.array(values * (N // len(values)), kind)
    table, findings = type_table(pa.table({"x": column, "y": ALTERNATING}), Declaration("y"))
    return (
        table.columns[0].type,
        table.frame["x"].to_pylist()[: len(values)],
        [each.code for each in findings],
    )


@pytest.mark.parametrize(
    ("values", "kind", "type_", "expected"),
    [
        ([1, None, 3], pa.int8(), "numeric", [1.0, None, 3.0]),
        ([0.5, float("nan")], pa.float32(), "numeric", [0.5, None]),
        ([decimal.Decimal("1.25"), None], None, "numeric", [1.25, None]),
        ([1, 2, 1], pa.dictionary(pa.int8(), pa.int64()), "numeric", [1.0, 2.0, 1.0]),
        ([True, None, False], None, "boolean", [1.0, None, 0.0]),
        ([dt.date(1970, 1, 3), None], pa.date32(), "date", [2.0, None]),
        ([dt.date(1969, 12, 31)], pa.date64(), "date", [-1.0]),
        ([NOON], pa.timestamp("ns"), "date", [1.5]),
        ([NOON], pa.timestamp("s"), "date", [1.5]),
        ([NOON], pa.timestamp("us", "Asia/Tokyo"), "date", [1.5]),
        ([dt.time(6)], pa.time32("ms"), "time", [0.25]),
        ([dt.time(6)], pa.time64("ns"), "time", [0.25]),
        ([dt.timedelta(hours=36)], None, "time", [1.5]),
        (["a", None, "b"], None, "categorical", ["a", None, "b"]),
        (["a", None, "b"], pa.large_string(), "categorical", ["a", None, "b"]),
        (["a", None, "b"], pa.string_view(), "categorical", ["a", None, "b"]),
        (["a", None, "b"], pa.dictionary(pa.int32(), pa.string()), "categorical", ["a", None, "b"]),
    ],
    ids=str,
)
def test_every_type_of_column_becomes_numbers_or_categories(values, kind, type_, expected):
    assert feature(values, kind) == (type_, expected, [])


def test_nearly_unique_strings_are_text_and_reported():
    type_, _, codes = feature([f"word {index}" for index in range(N)])
    assert (type_, codes) == ("text", ["nearly_unique_strings"])
    assert feature([f"word {index}" for index in range(15)])[0] == "categorical"


def test_integers_that_floats_round_are_reported():
    assert feature([2**63, 1], pa.uint64()) == ("numeric", [2.0**63, 1.0], ["large_integers"])
    assert feature([2**53, 1]) == ("numeric", [2.0**53, 1.0], [])


def test_infinite_features_are_taken_as_missing_and_reported():
    assert feature([1.0, np.inf, -np.inf]) == ("numeric", [1.0, None, None], ["infinite_values"])


def test_column_without_values_is_left_out_and_reported():
    columns = {"x": range(N), "void": pa.nulls(N, pa.string()), "y": ALTERNATING}
    table, findings = type_table(pa.table(columns), Declaration("y"))
    assert [column.name for column in table.columns] == ["x"]
    assert [(each.code, each.column) for each in findings] == [("all_missing_column", "void")]


@pytest.mark.parametrize("value", [float("nan"), np.inf])
def test_column_without_finite_numbers_is_left_out(value):
    columns = {"x": range(N), "void": [value] * N, "y": ALTERNATING}
    assert [column.name for column in typed(columns, "y").columns] == ["x"]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (["a", "b", "c"] * 10, CLASSIFICATION),
        ([True, False] * 15, CLASSIFICATION),
        ([0.5, 1.5] * 15, CLASSIFICATION),
        ([0.5, 1.5, 2.5] * 10, REGRESSION),
        ([*range(20)] * 2, CLASSIFICATION),
        ([*range(21)] * 2, REGRESSION),
        ([decimal.Decimal(index) for index in range(3)] * 10, REGRESSION),
    ],
    ids=["strings", "booleans", "two numbers", "numbers", "few integers", "many integers", "decimals"],
)
def test_task_type_follows_from_the_target(target, expected):
    assert typed({"x": range(len(target)), "y": target}, "y").task_type is expected


def test_client_decides_the_task_type():
    columns = {"x": range(N), "y": [1, 2, 3] * 10}
    assert typed(columns, "y").classes == ("1", "2", "3")
    assert typed(columns, "y", REGRESSION).target_values[:3].tolist() == [1.0, 2.0, 3.0]


def test_whole_number_floats_are_labels_without_a_point():
    assert typed({"x": range(N), "y": [1.0, 0.0] * 15}, "y").classes == ("0", "1")
    assert typed({"x": range(N), "y": [1.0, 0.5] * 15}, "y").classes == ("0.5", "1")


def test_class_codes_follow_the_sorted_labels_not_their_first_occurrence():
    table = typed({"x": range(N), "y": ["b", "c", "a"] * 10}, "y")
    assert table.classes == ("a", "b", "c")
    assert table.target_values[:3].tolist() == [1.0, 2.0, 0.0]


@pytest.mark.parametrize(
    ("columns", "task_type", "code"),
    [
        ({"x": range(N)}, None, "target_not_found"),
        ({"x": range(19), "y": [0, 1, 2] * 6 + [1]}, None, "too_few_rows"),
        ({"x": range(N), "y": pa.nulls(N)}, None, "too_few_rows"),
        ({"x": range(N), "y": ["a"] * N}, None, "single_class_target"),
        ({"x": range(N), "y": [f"id {row}" for row in range(N)]}, None, "too_many_classes"),
        ({"x": range(N), "y": [NOON] * N}, None, "unsupported_column_type"),
        ({"x": [[1]] * N, "y": ALTERNATING}, None, "unsupported_column_type"),
        ({"x": [b"raw"] * N, "y": ALTERNATING}, None, "unsupported_column_type"),
        ({"x": range(N), "y": ALTERNATING}, REGRESSION, "target_unusable"),
        ({"x": range(N), "y": [1.5, 2.5, np.inf] * 10}, None, "target_unusable"),
        ({"y": ALTERNATING}, None, "no_features"),
        ({"x": pa.nulls(N), "y": ALTERNATING}, None, "no_features"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_learned_from_is_refused_with_its_reason(columns, task_type, code):
    with pytest.raises(UnusableDatasetError) as caught:
        typed(columns, "y", task_type)
    assert caught.value.code == code
    assert caught.value.advice


def test_unknown_target_is_answered_with_a_near_name():
    with pytest.raises(UnusableDatasetError) as caught:
        typed({"price": range(N), "area": range(N)}, "prize")
    assert "price" in caught.value.advice


def test_rows_without_a_target_are_left_out_and_reported():
    columns = {"x": range(N), "y": [1.5, None, float("nan")] * 5 + [float(row) for row in range(15)]}
    table, findings = type_table(pa.table(columns), Declaration("y"))
    assert table.numeric[:, 0].tolist() == [0, 3, 6, 9, 12, *range(15, 30)]
    assert [(each.code, each.detail) for each in findings] == [
        ("missing_target_rows", "10 rows without a target were left out.")
    ]


def test_label_of_a_large_number_is_the_number():
    classes = typed({"x": range(N), "y": [1.0, 1e30] * 15}, "y").classes
    assert sorted(map(float, classes)) == [1.0, 1e30]


@pytest.mark.parametrize("spread", [1e-320, 1e-101])
def test_target_whose_spread_vanishes_when_squared_is_refused(spread):
    with pytest.raises(TargetUnusableError):
        typed({"x": range(N), "y": [0.0, spread, 2 * spread] * 10}, "y")
    with pytest.raises(TargetUnusableError):
        typed({"x": range(N), "y": [1e9, 1e9 + 1e-7, 1e9 + 2e-7] * 10}, "y", REGRESSION)


@pytest.mark.parametrize("absurd", [np.inf, 1e300])
def test_target_that_cannot_be_squared_is_refused(absurd):
    with pytest.raises(TargetUnusableError):
        typed({"x": range(N), "y": [1.0, absurd] * 15}, "y")


@pytest.mark.parametrize("kind", [pa.float16(), pa.string_view()], ids=str)
def test_rare_types_of_target_are_read_or_refused(kind):
    values = pa.array([1.0, 2.0] * 15 if kind == pa.float16() else ALTERNATING).cast(kind)
    with contextlib.suppress(UnusableDatasetError):
        assert len(typed({"x": range(N), "y": values}, "y").classes) == 2
