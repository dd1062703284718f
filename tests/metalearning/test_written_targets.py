"""Targets and times that are written as strings: read like features, and their formats kept."""

import pyarrow as pa
import pytest

from app.errors import TargetUnusableError, TimeUnusableError
from app.metalearning.columns import Declaration, type_table
from app.metalearning.table import TaskType, read_table, write_table

N = 60
REGRESSION, CLASSIFICATION = TaskType.REGRESSION, TaskType.CLASSIFICATION


def typed_by(targets, task_type=None, **declared):
    columns = {"x": [index * 7 % 11 for index in range(len(targets))], "y": targets}
    if declared:
        columns["at"] = [f"{index % 28 + 1}/{index % 12 + 1}/2020" for index in range(len(targets))]
    return type_table(pa.table(columns), Declaration("y", task_type, **declared))


@pytest.mark.parametrize(
    ("texts", "source", "numbers"),
    [
        ([f"${index + 1},200" for index in range(N)], "1,234.5", [1200, 2200]),
        ([f" {index},5 % " for index in range(N)], "1.234,5", [0.5, 1.5]),
        ([str(10**index) for index in range(15)] * 4, "1,234.5", [1, 10]),
    ],
    ids=["dollars", "shares", "bare numbers of different lengths"],
)
def test_declared_quantity_in_strings_is_read_as_numbers_and_reported(texts, source, numbers):
    table, findings = typed_by(texts, REGRESSION)
    assert (table.task_type, table.target_source) == (REGRESSION, source)
    assert table.target_values[:2].tolist() == numbers
    reported = [each for each in findings if each.code == "number_like_strings"]
    assert [(each.column, each.evidence["format"], each.evidence["example"]) for each in reported] == [
        ("y", source, texts[0])
    ]


@pytest.mark.parametrize(
    ("n_values", "task_type", "expected"),
    [
        (20, None, CLASSIFICATION),
        (21, None, REGRESSION),
        (21, CLASSIFICATION, CLASSIFICATION),
        (3, REGRESSION, REGRESSION),
    ],
)
def test_strings_of_numbers_are_classes_where_they_are_few(n_values, task_type, expected):
    texts = [f"${index % n_values}.5" for index in range(N)]
    table, findings = typed_by(texts, task_type)
    assert table.task_type is expected
    is_read = expected is REGRESSION
    assert (table.target_source is not None) == is_read
    assert ("number_like_strings" in [each.code for each in findings]) == is_read
    assert is_read or table.classes[0] == "$0.5"


def test_codes_of_one_length_are_classes_unless_the_client_says_otherwise():
    texts = [str(10_115 + index % 25) for index in range(N)]
    assert typed_by(texts)[0].classes[0] == "10115"
    assert typed_by(texts, REGRESSION)[0].target_values[0] == 10_115


@pytest.mark.parametrize(
    "odd", ["many", " NA ", "007", "1e200"], ids=["a word", "a padded marker", "a code", "a huge number"]
)
def test_strings_that_are_not_all_numbers_are_refused_as_a_quantity(odd):
    with pytest.raises(TargetUnusableError):
        typed_by([*(f"${index}.5" for index in range(N)), odd], REGRESSION)


def test_written_time_that_is_absurdly_large_is_refused():
    columns = {"x": [*range(5)] * 12, "at": ["$1", *["$1e200"] * 59], "y": [0, 1] * 30}
    with pytest.raises(TimeUnusableError, match="no value"):
        type_table(pa.table(columns), Declaration("y", time="at"))


def test_formats_of_target_and_time_are_kept(tmp_path):
    table, _ = typed_by([f"${index}.5" for index in range(N)], time="at")
    write_table(table, tmp_path / "table.parquet")
    back = read_table(tmp_path / "table.parquet")
    assert (back.target_source, back.time_source) == ("1,234.5", "%d/%m/%Y")
