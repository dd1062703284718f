"""What holds for the metafeatures of every table."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.metalearning import metafeatures
from app.metalearning.metafeatures import NAMES, SCHEMA, extract
from app.metalearning.table import Table
from tests.tables import CLASSIFICATION, REGRESSION, exactly, mixed_table, quick

UNTIMED = [each for each in SCHEMA if not each.timed]
ORDER_FREE = [each.name for each in UNTIMED if each.order_free]
SCALE_FREE = [each.name for each in UNTIMED if each.scale_free]
N = 24
CLASSES = ["p", "q", "p", "p", "q", "r"] * 4


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Numbers of several shapes and categories, both with holes, for either task type."""
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    n_rows = draw(st.integers(20, 60))
    shapes = {
        "normal": random.normal(size=n_rows),
        "skewed": random.lognormal(sigma=2, size=n_rows),
        "whole": random.integers(0, 4, n_rows) * 1.0,
        "constant": np.full(n_rows, 2.0),
        "offset": 1e6 + random.normal(size=n_rows),
    }
    names = draw(st.lists(st.sampled_from([*shapes, "letters", "few"]), min_size=1, unique=True))
    holes = draw(st.sampled_from([0.0, 0.1, 0.5]))
    columns = {}
    for name in names:
        letters = random.choice(list("abcdefgh" if name == "letters" else "ab"), n_rows)
        columns[name] = pa.array(shapes.get(name, letters), mask=random.random(n_rows) < holes)
    target = random.normal(size=n_rows) if draw(st.booleans()) else np.resize(CLASSES, n_rows)
    return exactly(columns, target, categorical=("letters", "few"))


def assert_same(table: Table, other: Table, names: list[str], tolerance: float = 1e-9) -> None:
    ours, others = extract(table, 0).values, extract(other, 0).values
    for name in names:
        one, two = ours[name], others[name]
        assert (one is None) == (two is None), name
        if one is not None and two is not None:
            assert math.isclose(one, two, rel_tol=tolerance, abs_tol=tolerance), (name, one, two)


def changed(table: Table, **columns: pa.Array) -> Table:
    frame = table.frame
    for name, values in columns.items():
        frame = frame.set_column(frame.column_names.index(name), name, values)
    return Table(frame, table.columns, table.target, table.task_type)


@quick
@given(tables(), st.randoms(use_true_random=False))
def test_order_of_the_rows_does_not_matter(table, random):
    rows = list(range(table.n_rows))
    random.shuffle(rows)
    assert_same(table.take(np.array(rows)), table, ORDER_FREE)


@quick
@given(tables())
def test_order_of_the_columns_does_not_matter(table):
    turned = Table(table.frame, table.columns[::-1], table.target, table.task_type)
    assert_same(turned, table, ORDER_FREE)


@quick
@given(tables(), st.integers(-20, 20))
def test_units_of_the_numbers_do_not_matter(table, power):
    """A factor that is a power of two changes no digit, so nothing may change at all."""
    scaled = {
        column.name: pa.array(table.frame[column.name].to_numpy() * 2.0**power, from_pandas=True)
        for column in table.columns
        if column.type == "numeric"
    }
    if table.task_type is REGRESSION:
        scaled["target"] = pa.array(table.target_values * 2.0 ** (power // 2))
    assert_same(changed(table, **scaled), table, SCALE_FREE, tolerance=0)


@quick
@given(tables())
def test_names_of_the_classes_do_not_matter(table):
    if table.task_type is CLASSIFICATION:
        names = {"p": "zebra", "q": "ant", "r": "p"}
        labels = pa.array([names[label] for label in table.frame["target"].to_pylist()])
        assert_same(changed(table, target=labels), table, SCALE_FREE)


def test_units_do_not_matter_to_landmarkers():
    table = mixed_table(CLASSIFICATION, 80)
    weights = pa.array(table.frame["weight"].to_numpy() * 1024, from_pandas=True)
    ours, others = extract(table, 60).values, extract(changed(table, weight=weights), 60).values
    assert {each.name: ours[each.name] for each in SCHEMA if each.scale_free} == {
        each.name: others[each.name] for each in SCHEMA if each.scale_free
    }


@quick
@given(tables(), st.integers(1, 3))
def test_scaled_columns_change_what_depends_on_units(table, power):
    """The other half of the promise: the flag is not simply false for everything."""
    numbers = [column.name for column in table.columns if column.type == "numeric"]
    varying = [name for name in numbers if name in ("normal", "skewed", "offset")]
    if not varying:
        return
    scaled = {name: pa.array(table.frame[name].to_numpy() * 2.0**power, from_pandas=True) for name in numbers}
    before, after = extract(table, 0).values, extract(changed(table, **scaled), 0).values
    for name in ("sd.mean", "range.mean", "mad.mean", "iq_range.mean"):
        if before[name]:
            assert after[name] == pytest.approx(before[name] * 2.0**power)


DEGENERATE = {
    "constants": {"x": [1.0] * N, "z": [0.1] * N},
    "column without values": {"x": [*map(float, range(N))], "void": pa.nulls(N, pa.float64())},
    "nothing but holes": {"void": pa.nulls(N, pa.float64())},
    "one column": {"x": [*map(float, range(N))]},
    "only categories": {"c": ["a", "b", None] * 8, "c_void": pa.nulls(N, pa.string())},
    "one value beside holes": {"x": pa.array([1.0] + [None] * (N - 1))},
    "huge and tiny": {"x": [1e300, -1e300] * 12, "z": [1e-300, 3e-300] * 12},
    "300 columns": {f"x{index}": np.random.default_rng(index).normal(size=N) for index in range(300)},
    "302 categories": {f"c{index}": ["a", "b"] * 12 for index in range(302)},
}


TARGETS = {
    "classes": CLASSES,
    "one other row": ["p"] * (N - 1) + ["q"],
    "numbers": [*map(float, range(N))],
    "one outlier": [0.0] * (N - 1) + [1e300],
}


@pytest.mark.parametrize("columns", DEGENERATE.values(), ids=DEGENERATE)
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_degenerate_table_has_values_or_gaps_but_no_error(columns, target):
    categorical = tuple(name for name in columns if name.startswith("c"))
    described = extract(exactly(columns, target, categorical=categorical), 0.05)
    assert set(described.values) == set(NAMES)
    assert all(value is None or math.isfinite(value) for value in described.values.values())
    assert described.values["nr_attr"] == len(columns)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_landmarkers_take_all_degenerate_columns_at_once(target):
    columns = {name: values for kept in list(DEGENERATE.values())[:7] for name, values in kept.items()}
    described = extract(exactly(columns, target, categorical=("c", "c_void")), 60)
    assert described.absent == ()


@pytest.mark.parametrize("task_type", [CLASSIFICATION, REGRESSION])
def test_table_beyond_the_limit_is_described_by_a_sample_but_counted_whole(task_type, monkeypatch):
    table = mixed_table(task_type, 11_000)
    complete = extract(table, 0)
    monkeypatch.setattr(metafeatures, "MOST_CELLS", 9_000 * len(table.columns))
    sampled = extract(table, 0)
    assert (complete.rows, sampled.rows) == (11_000, 9_000)
    for counted in ("nr_inst", "freq_class.mean", "freq_class.min", "sc", "nre", "target_distinct_share"):
        assert sampled.values[counted] == complete.values[counted]
    assert sampled.values["skewness.mean"] != complete.values["skewness.mean"]
    assert sampled.values["skewness.mean"] == pytest.approx(complete.values["skewness.mean"], abs=0.05)


def test_columns_of_a_wide_table_are_sampled_whatever_their_order():
    random = np.random.default_rng(0)
    wide = exactly({f"x{index}": random.normal(size=N) for index in range(400)}, CLASSES)
    turned = Table(wide.frame, wide.columns[::-1], wide.target, wide.task_type)
    assert extract(wide, 0).columns == 300
    assert_same(turned, wide, ORDER_FREE)


@pytest.mark.parametrize("n_rows", [20, 24, 30, 50])
def test_constant_column_has_no_shape(n_rows):
    """The mean of equal numbers differs from them in the last digit."""
    values = extract(exactly({"x": [0.1] * n_rows}, np.resize(CLASSES, n_rows)), 0).values
    assert (values["skewness.mean"], values["kurtosis.mean"]) == (None, None)
    assert (values["sd.mean"], values["target_cor.mean"], values["nr_norm"]) == (0, None, 0)


@pytest.mark.parametrize("task_type", [CLASSIFICATION, REGRESSION])
def test_ten_thousand_columns_are_described(task_type):
    random = np.random.default_rng(0)
    columns = {f"x{index}": random.normal(size=N) for index in range(10_000)}
    described = extract(
        exactly(columns, CLASSES if task_type is CLASSIFICATION else random.normal(size=N)), 0
    )
    assert described.values["nr_attr"] == 10_000
    assert described.values["cor.mean"] is not None
