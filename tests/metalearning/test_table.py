from pathlib import Path

import numpy as np
import pytest

from app.metalearning.table import Column, ColumnType, TaskType, read_table, write_table
from tests.tables import CLASSIFICATION, exactly, mixed_table, typed


@pytest.mark.parametrize("task_type", TaskType)
def test_written_table_is_read_back_the_same(tmp_path: Path, task_type):
    table = mixed_table(task_type)
    write_table(table, tmp_path / "table.parquet")
    back = read_table(tmp_path / "table.parquet")
    assert back.columns == table.columns
    assert (back.target, back.task_type, back.classes) == (table.target, table.task_type, table.classes)
    np.testing.assert_array_equal(back.numeric, table.numeric)
    np.testing.assert_array_equal(back.categorical, table.categorical)
    np.testing.assert_array_equal(back.target_values, table.target_values)


def test_numbers_and_categories_keep_their_places_and_gaps():
    table = exactly(
        {"a": [1.0, None, 3.0], "b": ["p", "q", None], "c": [7.0, 8.0, 9.0]}, [0.5, 1, 2], categorical=("b",)
    )
    np.testing.assert_array_equal(table.numeric, [[1, 7], [np.nan, 8], [3, 9]])
    assert table.categorical.tolist() == [[0], [1], [-1]]


def test_take_keeps_the_given_order_and_repeats():
    table = mixed_table(CLASSIFICATION)
    rows = np.array([5, 3, 3, 90])
    taken = table.take(rows)
    assert taken.frame.to_pylist() == [table.frame.to_pylist()[row] for row in rows]
    assert [column.type for column in taken.columns] == [
        ColumnType.NUMERIC,
        ColumnType.NUMERIC,
        ColumnType.CATEGORICAL,
        ColumnType.BOOLEAN,
        ColumnType.DATE,
    ]


def test_formats_of_written_values_are_kept(tmp_path: Path):
    columns = {"price": ["$1,200", "$7.50"] * 15, "when": ["31/12/2020", "01/12/2020"] * 15, "y": [0, 1] * 15}
    write_table(typed(columns, "y"), tmp_path / "table.parquet")
    assert read_table(tmp_path / "table.parquet").columns == (
        Column("price", ColumnType.NUMERIC, "1,234.5"),
        Column("when", ColumnType.DATE, "%d/%m/%Y"),
    )
