import numpy as np
import pytest

from app.metalearning.preflight import inspect
from tests.tables import CLASSIFICATION, REGRESSION, exactly, mixed_table, typed

random = np.random.default_rng(0)
N = 40
X, Y = random.normal(size=(2, N))
CLASSES = ["p", "q"] * (N // 2)


def codes(table):
    return [(each.code, each.column) for each in inspect(table)]


def test_sound_table_has_no_findings():
    assert codes(mixed_table(CLASSIFICATION)) == []
    assert codes(mixed_table(REGRESSION)) == []


@pytest.mark.parametrize(
    ("columns", "target", "finding"),
    [
        ({"x": X}, ["p"] * 36 + ["q"] * 4, ("class_smaller_than_folds", "target")),
        ({"x": X, "one": [1.0] * N}, CLASSES, ("constant_column", "one")),
        ({"x": X, "c": ["a"] * N}, CLASSES, ("constant_column", "c")),
        ({"x": X, "id": np.arange(5.0, N + 5)}, CLASSES, ("id_like_column", "id")),
        ({"x": X, "id": np.arange(N, 0.0, -1)}, CLASSES, ("id_like_column", "id")),
        ({"x": X, "copy": 32 - 1.8 * Y}, Y, ("target_copy", "copy")),
        ({"x": X, "copy": [4.0, 2.0] * (N // 2)}, CLASSES, ("target_copy", "copy")),
        ({f"x{index}": random.normal(size=N) for index in range(41)}, Y, ("more_columns_than_rows", None)),
    ],
)
def test_one_oddity_is_one_finding(columns, target, finding):
    assert codes(exactly(columns, target, categorical=("c",))) == [finding]


def test_small_classes_are_named():
    table = typed({"x": X, "y": ["usual"] * 37 + ["rare"] * 3}, "y")
    assert "rare" in inspect(table)[0].detail
    assert codes(typed({"x": X, "y": ["usual"] * 35 + ["rare"] * 5}, "y")) == []


def test_column_that_only_goes_with_the_target_is_no_copy():
    assert codes(exactly({"x": Y + X / 1000}, Y)) == []
