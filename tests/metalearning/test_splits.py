"""The plan of an experiment: samples, halves, refusals."""

import numpy as np
import pytest
from hypothesis import given

from app.errors import UnsplittableError
from app.metalearning import protocol
from app.metalearning.protocol import splits
from tests.roles import timed, with_roles
from tests.tables import CLASSIFICATION, exactly, mixed_table, noise_table, quick


@pytest.mark.parametrize("n_rows", [120, 4_300])
def test_plan_of_a_plain_table_is_protocol_1(n_rows):
    table = mixed_table(CLASSIFICATION, n_rows)
    plan = splits.plan(table)
    assert np.array_equal(plan.rows, protocol.sample_rows(table.target_values))
    target = table.target_values[plan.rows]
    assert np.array_equal(plan.folds, protocol.assign_folds(target))
    assert np.array_equal(plan.halves, protocol.assign_halves(target))
    assert np.array_equal(plan.units, np.arange(len(target)))
    anchors = protocol.anchor_rows(target, np.flatnonzero(plan.folds != 0))
    assert list(plan.anchors) == list(anchors)
    assert all(np.array_equal(plan.anchors[anchor], anchors[anchor]) for anchor in anchors)


@quick
@given(timed())
def test_halves_part_the_tested_rows_and_keep_units_whole(data):
    target, groups, times = data
    for roles in ({"groups": groups}, {"times": times}, {"groups": groups, "times": times}):
        table = with_roles(exactly({"x": target}, target + np.arange(len(target)) / 1e9), **roles)
        try:
            plan = splits.plan(table)
        except UnsplittableError:
            assert "times" in roles  # a single row or a single value is tested
            continue
        tested = np.zeros(len(target), dtype=bool)
        tested[np.concatenate([split.test for split in plan.splits])] = True
        assert np.array_equal(plan.folds >= 0, tested)
        assert np.array_equal(plan.halves >= 0, tested)
        assert set(plan.halves[tested]) == {0, 1}
        for unit in np.unique(plan.units[tested]):
            assert len(set(plan.halves[tested & (plan.units == unit)])) == 1
        if "times" not in roles:
            assert tested.all()
            assert np.array_equal(plan.units, table.groups)


def test_halves_in_time_are_alternating_stretches():
    times = np.random.default_rng(0).permutation(1_200) * 1.0
    plan = splits.plan(with_roles(noise_table(1_200), times=times))
    tested = plan.folds >= 0
    in_order = np.argsort(times[tested])
    halves = plan.halves[tested][in_order]
    assert np.sum(np.diff(halves) != 0) == 19
    assert np.bincount(halves).tolist() == [450, 450]
    few = splits.plan(with_roles(noise_table(60), times=np.arange(60.0)))
    assert np.sum(np.diff(few.halves[few.halves >= 0]) != 0) == 4  # stretches of ten rows


def test_halves_of_groups_are_even():
    groups = np.random.default_rng(0).integers(40, size=1_000)
    halves = splits.plan(with_roles(noise_table(1_000), groups)).halves
    assert np.ptp(np.bincount(halves)) <= 30


def test_large_tables_are_sampled_by_their_groups_and_times():
    n_rows = 5_000
    groups, times = np.arange(n_rows) // 7, np.arange(n_rows) * 2.0
    whole = splits.plan(with_roles(noise_table(n_rows), groups)).rows
    assert 3_990 < len(whole) <= 4_000
    kept = groups[whole]
    assert set(np.bincount(kept)[np.unique(kept)]) <= {7, 2}  # the last group has two rows
    even = splits.plan(with_roles(noise_table(n_rows), times=times)).rows
    assert (len(even), even[0], even[-1]) == (4_000, 0, n_rows - 1)
    assert np.diff(even).max() == 2
    both = splits.plan(with_roles(noise_table(n_rows), groups, times)).rows
    assert np.array_equal(both, whole)


def test_anchors_in_time_end_where_the_test_begins():
    times = np.arange(1_000.0)
    plan = splits.plan(with_roles(noise_table(1_000), times=times))
    first = plan.splits[0].test.min()
    assert np.array_equal(plan.anchors[64], np.arange(first - 64, first))


@pytest.mark.parametrize(
    ("roles", "fact"),
    [
        ({"groups": np.zeros(40, dtype=int)}, "The group column 'shop' has one value only"),
        ({"times": np.ones(40)}, "The time column 'day' has one value only"),
        ({"times": np.where(np.arange(40) == 3, np.nan, np.arange(40))}, "rows without a time"),
        ({"times": np.array([0.0] * 39 + [1])}, "forward in time by day tests has the same target"),
        (
            {"groups": np.arange(40) % 2, "times": np.array([0.0] * 39 + [1])},
            "forward in time by day, groups of shop apart tests has the same target",
        ),
    ],
    ids=["one group", "one time", "missing time", "one tested row", "one tested row of groups"],
)
def test_what_cannot_be_split_is_refused_with_advice(roles, fact):
    table = with_roles(noise_table(40), **roles)
    with pytest.raises(UnsplittableError, match=fact) as refusal:
        splits.check(table)
    assert refusal.value.code == "unsplittable"
    assert refusal.value.advice


def test_what_can_be_split_passes_the_check():
    splits.check(noise_table(40))
    splits.check(with_roles(noise_table(40), np.arange(40) % 2, np.arange(40) // 20 * 1.0))


def test_splits_are_described_in_words():
    table, groups, times = noise_table(40), np.arange(40) % 5, np.arange(40.0)
    described = [
        splits.describe(with_roles(table, *roles))
        for roles in ((), (groups,), (None, times), (groups, times))
    ]
    assert described == [
        "stratified",
        "grouped by shop",
        "forward in time by day",
        "forward in time by day, groups of shop apart",
    ]
