"""Every training file, whatever is odd about it, sent to be predicted: its rows mean what they meant in training."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from app.metalearning.columns import Declaration, type_table
from app.metalearning.newrows import as_expected, read_rows
from app.metalearning.reading import read_file
from app.metalearning.table import ColumnType
from tests.degenerate import degenerate_datasets
from tests.experiments.test_script_files import ARFF, CSV, DATES, FILES, GERMAN, JSON, ODDITIES, SPARSE
from tests.metalearning.test_newrows import expected_of

DECLARED = {
    "dates": (DATES, ["at", "day"]),
    "csv": (CSV, ["x"]),
    "german": (GERMAN, ["Größe", "Preis"]),
    "arff": (ARFF, ["the size", "whole", "level", "made", "is{odd"]),
    "sparse": (SPARSE, ["a", "made"]),
    "json": (JSON, ["n", "flag", "large", "late"]),
    "parquet": (FILES["parquet"], ["coded numbers", "money", "clock", "zoned", "day", "flag", "whole"]),
}


def check(folder: Path, content: bytes, declared: Declaration) -> None:
    path = folder / "file"
    path.write_bytes(content)
    raw = read_file(path, target=declared.target)
    table, _ = type_table(raw.frame, declared)
    expected = expected_of(table)
    frame, decimal = read_rows(path, expected, raw.facts())
    found = as_expected(frame, expected, decimal)
    target = raw.frame[table.target]
    has_target = pc.invert(pc.is_null(target, nan_is_null=pa.types.is_floating(target.type)))
    for column in table.columns:
        wanted = table.frame[column.name].combine_chunks()
        got = found.table.frame[column.name].filter(has_target).combine_chunks()
        assert got.equals(wanted), (column, difference(got, wanted))
    assert found.unknown_categories.keys() <= only_without_target(frame, table, has_target)
    assert found.target_ignored


def difference(got: pa.Array, wanted: pa.Array) -> list[tuple[Any, Any]]:
    pairs = zip(got.to_pylist(), wanted.to_pylist(), strict=True)
    return [(one, other) for one, other in pairs if one != other][:3]


def only_without_target(frame: pa.Table, table: Any, has_target: pa.Array) -> set[str]:
    """Columns that may have categories which training left out with their rows."""
    return set() if pc.all(has_target).as_py() else set(frame.column_names)


@pytest.mark.parametrize("form", FILES)
def test_every_format(tmp_path: Path, form: str) -> None:
    check(tmp_path, FILES[form], Declaration("y"))


@pytest.mark.parametrize("oddity", ODDITIES)
def test_oddities_of_delimited_files(tmp_path: Path, oddity: str) -> None:
    content, _, target = ODDITIES[oddity]
    check(tmp_path, content, Declaration(target))


@pytest.mark.parametrize("name", DECLARED)
def test_what_is_declared_categorical(tmp_path: Path, name: str) -> None:
    content, columns = DECLARED[name]
    check(tmp_path, content, Declaration("y", column_types=dict.fromkeys(columns, ColumnType.CATEGORICAL)))


@pytest.mark.parametrize(
    "case", [case for case in degenerate_datasets() if not case.refusal], ids=lambda case: case.name
)
def test_degenerate_files(tmp_path: Path, case: Any) -> None:
    check(tmp_path, case.content, case.declared)


def test_the_comparison_sees_a_difference(tmp_path: Path) -> None:
    """Without this, none of the tests above would mean much."""
    values = pa.array([1.0, None, 3.0])
    assert difference(values, pa.array([1.0, 2.0, 3.0])) == [(None, 2.0)]
    assert not values.equals(pa.array(np.array([1.0, np.nan, 3.0])))
