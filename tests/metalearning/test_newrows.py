"""New rows mean what they would have meant in training, one by one and however they are sent."""

import csv
import datetime as dt
import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from app.errors import (
    ColumnMissingError,
    NoRowsError,
    TooManyRowsError,
    UnsupportedColumnError,
    ValueOfWrongTypeError,
)
from app.metalearning.columns import Declaration, type_table
from app.metalearning.expected import MOST_CATEGORIES, Expected, describe_columns, expected_by
from app.metalearning.newrows import NewRows, as_expected, frame_of, read_rows
from app.metalearning.reading import RawTable, read_file
from app.metalearning.table import ClassType, ColumnType, Table, read_table, write_table
from tests.tables import mixed_columns, typed

N_ROWS = 60


def expected_of(table: Table) -> Expected:
    """As it comes back from a card that was stored."""
    card = {
        "columns": describe_columns(table),
        "target": table.target,
        "task_type": table.task_type,
        "classes": list(table.classes),
        "class_type": table.class_type,
    }
    found = expected_by(json.loads(json.dumps(card)))
    assert found is not None
    return found


def sent(rows: list[dict[str, Any]], expected: Expected) -> NewRows:
    return as_expected(frame_of(rows, expected), expected)


def as_csv(names: list[str], rows: list[list[Any]], delimiter: str = ",") -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows([names, *rows])
    return text.getvalue().encode()


def trained(folder: Path, content: bytes, **declared: Any) -> tuple[Table, RawTable]:
    path = folder / "training"
    path.write_bytes(content)
    raw = read_file(path, target="y")
    return type_table(raw.frame, Declaration("y", **declared))[0], raw


def read(folder: Path, content: bytes, table: Table, raw: RawTable) -> NewRows:
    path = folder / "rows"
    path.write_bytes(content)
    expected = expected_of(table)
    return as_expected(*[(frame := read_rows(path, expected, raw.facts()))[0], expected, frame[1]])


# What a column of a CSV file may be: its cells, and the type that it is declared where that is not to be inferred.
KINDS: dict[str, tuple[list[str], ColumnType | None]] = {
    "fractions": (["1.5", "-2.25", "1e3", ""], None),
    "whole": (["12", "7", "3", "40"], None),
    "money": (["$1,234.50", "$12.00", "$7", "$1,000"], None),
    "comma_numbers": (["1.234,5", "12,25", "7,5", "1.000,0"], None),
    "codes": (["007", "012", "100", "007"], None),
    "categories_like_numbers": (["1", "2", "3", "2"], ColumnType.CATEGORICAL),
    "categories_like_fractions": (["1.0", "2.5", "3", "2.50"], ColumnType.CATEGORICAL),
    "mixed": (["1.50", "abc", "TRUE", "2020-01-01"], None),
    "words": (["red", "NA", "green", "blue"], None),
    "truth": (["true", "false", "", "true"], None),
    "declared_truth": (["1", "0", "yes", "no"], ColumnType.BOOLEAN),
    "truth_as_categories": (["true", "false", "true", "true"], ColumnType.CATEGORICAL),
    "days": (["2020-01-31", "2021-02-28", "", "1999-12-31"], None),
    "moments": (["2020-01-31 10:30:00", "2021-02-28 00:00:01", "", "1999-12-31 23:59:59"], None),
    "german_days": (["31.01.2020", "28.02.2021", "01.02.2003", "12.11.1999"], None),
    "digit_days": (["20200131", "20210228", "19991231", ""], ColumnType.DATE),
    "clock": (["10:30", "23:59", "00:00", "12:15"], ColumnType.TIME),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_of_a_file_means_alone_what_it_meant_in_training(tmp_path: Path, kind: str) -> None:
    """However few the new rows are, nothing is inferred from them."""
    cells, declared = KINDS[kind]
    rows = [[cells[index % 4], index / 10, "yes" if index % 2 else "no"] for index in range(N_ROWS)]
    content = as_csv(["x", "other", "y"], rows)
    table, raw = trained(tmp_path, content, column_types={"x": declared} if declared else {})
    assert {column.name for column in table.columns} == {"x", "other"}
    whole = read(tmp_path, content, table, raw)
    assert whole.table.frame.equals(table.frame.select(["x", "other"]))
    assert whole.target_ignored
    for index in range(4):
        alone = read(tmp_path, as_csv(["other", "x"], [[rows[index][1], rows[index][0]]]), table, raw)
        assert alone.table.frame.equals(table.frame.select(["x", "other"]).slice(index, 1)), rows[index]
        assert not alone.unknown_categories


def test_numbers_keep_the_marks_of_the_training_file(tmp_path: Path) -> None:
    """1.234 is a thousand and more where training read points as groups, whatever stands in the row beside it."""
    rows = [[f"1.{index:03}", f"{index},5", "yes" if index % 2 else "no"] for index in range(N_ROWS)]
    table, raw = trained(tmp_path, as_csv(["x", "z", "y"], rows, ";"))
    assert raw.decimal == ","
    alone = read(tmp_path, b"x;z\n1.234;7\n", table, raw)
    assert alone.table.frame.to_pylist() == [{"x": 1234.0, "z": 7.0}]


@pytest.mark.parametrize("target", ["class", "number"])
def test_parquet_and_json_rows_mean_what_they_meant_in_training(tmp_path: Path, target: str) -> None:
    columns = mixed_columns(N_ROWS)
    frame = pa.table({name: columns[name] for name in ("size", "weight", "colour", "old", "made", target)})
    table = typed(dict(zip(frame.column_names, frame.columns, strict=True)), target)
    features = table.frame.drop_columns([target])
    expected = expected_of(table)
    assert as_expected(frame, expected).table.frame.equals(features)
    pa.parquet.write_table(frame, tmp_path / "rows")
    assert as_expected(read_rows(tmp_path / "rows", expected, {})[0], expected).table.frame.equals(features)
    as_json = json.loads(json.dumps(frame.to_pylist(), default=str))
    for row, wanted in zip(as_json, features.to_pylist(), strict=True):
        assert sent([row], expected).table.frame.to_pylist() == [wanted]
    lines = "\n".join(json.dumps(row) for row in as_json)
    (tmp_path / "rows").write_bytes(gzip.compress(lines.encode()))
    again = as_expected(read_rows(tmp_path / "rows", expected, {})[0], expected)
    assert again.table.frame.equals(features)


def simple() -> Table:
    labels = ["no", "yes"] * (N_ROWS // 2)
    columns = {
        "size": np.arange(N_ROWS) / 7,
        "colour": ["red", "green", "blue"] * (N_ROWS // 3),
        "day": pa.array([dt.date(2020, 1, 1 + day % 28) for day in range(N_ROWS)]),
        "old": [bool(row % 3) for row in range(N_ROWS)],
        "y": labels,
    }
    return typed(columns, "y")


ROW = {"size": 1.0, "colour": "red", "day": "2020-01-05", "old": True}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("size", "large", "a number"),
        ("size", "007", "a number"),
        ("day", "tomorrow", "a date"),
        ("day", 18_000, "a date"),
        ("day", "31.12.2020", "a date"),
        ("old", "perhaps", "true or false"),
        ("old", 2, "true or false"),
    ],
)
def test_a_value_of_another_type_is_named_with_its_row(name: str, value: Any, expected: str) -> None:
    rows = [ROW, {**ROW, name: None}, {**ROW, name: value}, {**ROW, name: value}]
    with pytest.raises(ValueOfWrongTypeError) as refused:
        sent(rows, expected_of(simple()))
    evidence = {"row": 3, "column": name, "expected": expected, "value": str(value), "n_rows": 2}
    assert refused.value.evidence == evidence
    assert f"Row 3, column {name!r}" in refused.value.detail


def test_numbers_may_be_written_as_strings_and_gaps_stay_gaps() -> None:
    rows = [{**ROW, "size": "1.5", "old": "no"}, {**ROW, "size": 2, "old": 1}, {"size": "", "colour": None}]
    found = sent([*rows, {"day": "2020-01-06"}], expected_of(simple()))
    assert found.table.frame["size"].to_pylist() == [1.5, 2.0, None, None]
    assert found.table.frame["old"].to_pylist() == [0.0, 1.0, None, None]
    assert found.table.frame["day"].to_pylist() == [18266.0, 18266.0, None, 18267.0]
    assert found.columns_with_gaps == ("size", "colour", "day", "old")


def test_missing_columns_are_named() -> None:
    with pytest.raises(ColumnMissingError) as refused:
        sent([{"size": 1.0, "day": None, "color": "red"}], expected_of(simple()))
    assert refused.value.evidence["missing"] == ["colour", "old"]
    assert "'colour', 'old'" in refused.value.detail
    with pytest.raises(ColumnMissingError, match="lack 4 of the 4"):
        sent([{}], expected_of(simple()))


def test_other_columns_and_the_target_are_ignored_and_said_so() -> None:
    found = sent([{**ROW, "y": "yes", "id": 7, "note": "x"}], expected_of(simple()))
    assert (found.ignored_columns, found.target_ignored) == (("id", "note"), True)
    assert found.table.frame.column_names == ["size", "colour", "day", "old"]


def test_unknown_categories_are_told_with_how_often_they_come() -> None:
    rows = [{**ROW, "colour": colour} for colour in ("red", "mauve", "mauve", "beige", None)]
    notes = sent(rows, expected_of(simple())).notes()
    told = {"colour": {"values": ["beige", "mauve"], "n_values": 2, "n_rows": 3}}
    assert notes["unknown_categories"] == told
    assert notes["n_rows"] == 5
    assert json.loads(json.dumps(notes)) == notes


def test_more_categories_than_a_card_keeps_are_not_checked_and_said_so() -> None:
    many = [f"code {row % (MOST_CATEGORIES + 1)}" for row in range(3 * MOST_CATEGORIES)]
    table = typed(
        {"many": many, "few": ["a", "b", "c"] * MOST_CATEGORIES, "y": [0.5, 1.5, 2.5] * MOST_CATEGORIES}, "y"
    )
    described = {each["name"]: each for each in describe_columns(table)}
    assert (described["many"]["categories"], described["many"]["n_categories"]) == (None, MOST_CATEGORIES + 1)
    assert described["few"]["categories"] == ["a", "b", "c"]
    found = sent([{"many": "never seen", "few": "d"}], expected_of(table))
    assert found.unchecked_columns == ("many",)
    assert found.unknown_categories == {"few": {"d": 1}}


def test_a_category_written_differently_is_the_one_that_training_saw() -> None:
    codes = ["1", "2", "0012", "true"] * 15
    table = typed({"code": pa.array(codes), "z": np.arange(60.0), "y": ["no", "yes"] * 30}, "y")
    rows = [{"code": each, "z": 0} for each in (1, 2.0, "0012", True, "1.0", 12, "02")]
    found = sent(rows, expected_of(table))
    assert found.table.frame["code"].to_pylist() == ["1", "2", "0012", "true", "1", "12", "02"]
    assert found.unknown_categories == {"code": {"12": 1, "02": 1}}


def test_none_and_too_many_rows_are_refused(tmp_path: Path) -> None:
    expected = expected_of(simple())
    with pytest.raises(NoRowsError):
        frame_of([], expected)
    (tmp_path / "rows").write_text("size,colour,day,old\n")
    with pytest.raises(NoRowsError):
        as_expected(read_rows(tmp_path / "rows", expected, {})[0], expected)
    many = pa.table({name: pa.nulls(100_001) for name in ROW})
    with pytest.raises(TooManyRowsError) as refused:
        as_expected(many, expected)
    assert refused.value.evidence == {"n_rows": 100_001, "most": 100_000}
    assert as_expected(many.slice(1), expected).table.n_rows == 100_000
    classes = [f"c{row % 30}" for row in range(90)]
    of_many_classes = expected_of(
        typed({"x": np.arange(90.0) / 7, "z": np.arange(90.0) / 3, "y": classes}, "y")
    )
    with pytest.raises(TooManyRowsError, match="66,666"):
        as_expected(pa.table({"x": np.zeros(66_667), "z": np.zeros(66_667)}), of_many_classes)


def test_no_answer_outgrows_its_rows() -> None:
    """Whatever is told of the rows has an end: names, values, and their letters."""
    others = {f"{number} {'x' * 500}": "?" for number in range(1000)}
    rows = [{**ROW, **others, "colour": f"{number} {'y' * 500}"} for number in range(50)]
    notes = sent(rows, expected_of(simple())).notes()
    assert len(notes["ignored_columns"]) == 200
    told = notes["unknown_categories"]["colour"]
    assert (len(told["values"]), told["n_values"], told["n_rows"]) == (20, 50, 50)
    assert max(map(len, [*notes["ignored_columns"], *told["values"]])) == 100


def test_nested_values_are_refused() -> None:
    frame = pa.table({"size": [[1.0]], "colour": ["red"], "day": [None], "old": [True]})
    with pytest.raises(UnsupportedColumnError, match="size"):
        as_expected(frame, expected_of(simple()))


@pytest.mark.parametrize(
    ("labels", "kind", "shown"),
    [
        (["no", "yes"], ClassType.STRING, ["no", "yes"]),
        ([3, 20], ClassType.INTEGER, [20, 3]),
        ([0.5, 2.0], ClassType.NUMBER, [0.5, 2.0]),
        ([False, True], ClassType.BOOLEAN, [False, True]),
    ],
)
def test_labels_come_back_in_the_type_of_the_training_file(
    tmp_path: Path, labels: list[Any], kind: ClassType, shown: list[Any]
) -> None:
    table = typed({"x": np.arange(60.0) / 7, "y": labels * 30}, "y")
    write_table(table, tmp_path / "table.parquet")
    expected = expected_of(read_table(tmp_path / "table.parquet"))
    assert expected.class_type is kind
    assert expected.labels() == shown
    assert [type(each) for each in expected.labels()] == [type(each) for each in shown]
