import json
import time
from dataclasses import asdict, replace

import numpy as np
import pyarrow as pa
import pytest

from app.metalearning import preflight
from app.metalearning.findings import MOST_OF_A_CODE
from app.metalearning.preflight import inspect
from app.metalearning.table import Column, ColumnType
from tests.tables import CLASSIFICATION, REGRESSION, exactly, mixed_table, typed

random = np.random.default_rng(0)
N = 200
X, Y = random.normal(size=(2, N))
CLASSES = random.permutation(["p", "q"] * (N // 2))
THREE = random.permutation(["p", "q", "r", "r"] * (N // 4))
BLOCKS = np.repeat(["p", "q", "r"], [50, 50, 100])
GAPS = np.where(np.arange(N) % 20, np.nan, X)


def codes(table):
    return [(each.code, each.column) for each in inspect(table)]


def test_sound_table_has_no_findings():
    assert codes(mixed_table(CLASSIFICATION)) == []
    assert codes(mixed_table(REGRESSION)) == []


@pytest.mark.parametrize(
    ("columns", "target", "finding"),
    [
        ({"x": X}, ["p"] * 196 + ["q"] * 4, ("class_smaller_than_folds", "target")),
        ({"x": X, "one": [1.0] * N}, CLASSES, ("constant_column", "one")),
        ({"x": X, "c": ["a"] * N}, CLASSES, ("constant_column", "c")),
        ({"x": X, "zeros": [0.0, -0.0] * (N // 2)}, CLASSES, ("constant_column", "zeros")),
        ({"x": X, "most": [1.0] * (N - 1) + [2.0]}, CLASSES, ("near_constant_column", "most")),
        ({"x": X, "c": ["a"] * (N - 1) + ["b"]}, CLASSES, ("near_constant_column", "c")),
        ({"x": X, "gaps": GAPS}, CLASSES, ("mostly_missing_column", "gaps")),
        ({"x": X, "c": [f"c{row % 101}" for row in range(N)]}, Y, ("high_cardinality", "c")),
        ({"x": X, "again": X}, CLASSES, ("duplicate_columns", "again")),
        ({"x": [0.0, *X[1:]], "again": [-0.0, *X[1:]]}, CLASSES, ("duplicate_columns", "again")),
        ({"c": THREE, "x": X, "again": -X, "third": -X}, CLASSES, ("duplicate_columns", "third")),
        ({"x": X[np.arange(N) // 2]}, np.repeat(CLASSES[:100], 2), ("duplicate_rows", None)),
        ({"x": X[np.arange(N) // 2]}, ["p", "q"] * (N // 2), ("contradictory_duplicates", None)),
        ({"x": X, "copy": 32 - 1.8 * Y}, Y, ("target_copy", "copy")),
        ({"x": X, "copy": np.exp(Y)}, Y, ("target_copy", "copy")),
        ({"x": X, "copy": (CLASSES == "p") * 2.0}, CLASSES, ("target_copy", "copy")),
        ({"x": X, "c": np.char.add("class ", THREE)}, THREE, ("target_copy", "c")),
        ({"x": X, "cut": np.searchsorted(["q", "r"], THREE, "right") + X / 100}, THREE, ("target_separated", "cut")),
        ({"x": X, "c": np.char.add(BLOCKS, np.tile(["1", "2"], 100))}, BLOCKS, ("target_separated", "c")),
        ({f"x{index}": random.normal(size=N) for index in range(201)}, Y, ("more_columns_than_rows", None)),
        ({"x": X, "patient_id": np.arange(N) // 5.0}, Y, ("possible_groups", "patient_id")),
        ({"x": X}, np.exp(6 * Y), ("heavy_tailed_target", "target")),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)  # fmt: skip
def test_one_oddity_is_one_finding_with_numbers_behind_it(columns, target, finding):
    table = exactly(columns, target, categorical=("c",))
    assert codes(table) == [finding]
    (found,) = inspect(table)
    assert found.detail
    assert found.advice
    assert found.evidence
    assert json.loads(json.dumps(asdict(found), allow_nan=False)) == asdict(found)


def test_small_classes_are_named():
    table = typed({"x": X, "y": ["usual"] * (N - 4) + ["rare"] * 4}, "y")
    assert "rare" in inspect(table)[0].detail
    assert codes(typed({"x": X, "y": ["usual"] * (N - 5) + ["rare"] * 5}, "y")) == []


def test_rare_class_among_many_rows_is_imbalance():
    x = random.normal(size=2_000)
    table = typed({"x": x, "y": ["usual"] * 1_981 + ["rare"] * 19}, "y")
    assert codes(table) == [("imbalanced_classes", "y")]
    assert inspect(table)[0].evidence == {"n_rows": 19, "share": 19 / 2_000}
    assert codes(typed({"x": x, "y": ["usual"] * 1_980 + ["rare"] * 20}, "y")) == []


def test_value_or_nothing_is_not_constant():
    ticks = np.where(np.arange(N) % 2, np.nan, 1.0)
    assert codes(exactly({"x": X, "ticked": ticks}, CLASSES)) == []
    assert codes(exactly({"x": X, "c": ["x", None] * (N // 2)}, CLASSES, categorical=("c",))) == []
    almost = np.where(np.arange(N) == 7, np.nan, 1.0)
    assert codes(exactly({"x": X, "ticked": almost}, CLASSES)) == [("near_constant_column", "ticked")]


def test_counts_of_persons_are_no_groups():
    persons = np.arange(N) // 5.0
    for name in ("students", "households"):
        assert codes(exactly({"x": X, name: persons}, Y)) == []
        assert codes(exactly({"x": X, name[:-1]: persons}, Y)) == [("possible_groups", name[:-1])]


def test_quantities_measured_twice_do_not_contradict_each_other():
    assert codes(exactly({"x": X[np.arange(N) // 2]}, Y)) == []


def test_few_rows_are_told():
    assert codes(exactly({"x": X[:49]}, Y[:49])) == [("few_rows", None)]
    assert codes(exactly({"x": X[:50]}, Y[:50])) == []


def test_column_that_only_goes_with_the_target_is_no_copy():
    assert codes(exactly({"x": Y + X / 100}, Y)) == []
    assert codes(exactly({"c": np.where(X > 1.5, "p", CLASSES)}, CLASSES, categorical=("c",)))[0][0] not in {
        "target_copy",
        "target_separated",
    }


def test_chance_among_many_columns_is_no_sign():
    """Of 20 rows with two in the smaller class, many random columns tell the classes apart."""
    columns = {f"x{index}": random.normal(size=20) for index in range(500)}
    separating = [
        name for name, x in columns.items() if {18, 19} in (set(np.argsort(x)[:2]), set(np.argsort(x)[-2:]))
    ]
    assert separating, "otherwise this shows nothing"
    found = {code for code, _ in codes(exactly(columns, ["p"] * 18 + ["q"] * 2))}
    assert found == {"few_rows", "more_columns_than_rows", "class_smaller_than_folds"}


def with_dates(name: str, days) -> list:
    table = exactly({"x": X, name: np.asarray(days, dtype=float)}, Y)
    kinds = (table.columns[0], Column(name, ColumnType.DATE))
    return codes(replace(table, columns=kinds))


def test_rows_in_order_of_a_date_suggest_the_time():
    days = np.arange(N) // 3 + 18_000
    for name in ("sold_at", "when", "Datum", "Fecha"):
        assert with_dates(name, days) == [("time_ordered_rows", name)]
    assert with_dates("sold_at", days[::-1]) == [("time_ordered_rows", "sold_at")]
    assert with_dates("birth", days) == []
    assert with_dates("sold_at", random.permutation(days)) == []
    table = exactly({"x": X, "sold_at": days * 1.0}, Y)
    kinds = (table.columns[0], Column("sold_at", ColumnType.DATE))
    frame = table.frame.append_column("known", pa.array(days * 1.0))
    named = replace(table, columns=kinds, frame=frame, time="known")
    assert codes(named) == []


def test_thousands_of_equal_findings_are_told_in_one():
    columns = {"x": X} | {f"one {index}": [1.0] * N for index in range(100)}
    found = inspect(exactly(columns, Y))
    assert len(found) == MOST_OF_A_CODE + 1
    assert (found[-1].column, found[-1].evidence) == (None, {"n_columns": 100 - MOST_OF_A_CODE})


def test_many_rows_are_examined_by_a_sample_and_say_so(monkeypatch):
    monkeypatch.setattr(preflight, "MOST_ROWS", 100)
    (found,) = inspect(exactly({"x": X, "again": X}, Y))
    assert (found.code, found.evidence["n_rows_examined"]) == ("duplicate_columns", 100)


@pytest.mark.parametrize(("n_rows", "n_columns"), [(100_000, 50), (200, 10_000)])
def test_large_tables_are_inspected_in_seconds(n_rows, n_columns):
    values = random.normal(size=(n_columns, n_rows))
    columns = {f"x{index}": column for index, column in enumerate(values)}
    table = exactly(columns, random.normal(size=n_rows))
    began = time.process_time()
    inspect(table)
    assert time.process_time() - began < 4
