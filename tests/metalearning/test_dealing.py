"""What must hold of every split, whatever the groups and times."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from sklearn.model_selection import StratifiedGroupKFold

from app.metalearning.protocol import ANCHORS, assign_folds, latest_rows
from app.metalearning.protocol.dealing import (
    cut_in_time,
    deal_groups,
    forward_splits,
    grouped_splits,
    sample_groups,
    sample_times,
    stratified_splits,
)
from tests.roles import grouped, timed
from tests.tables import quick, targets


def rows_tested(splits):
    return np.concatenate([split.test for split in splits])


def same(one, two):
    return len(one) == len(two) and all(
        np.array_equal(a.training, b.training) and np.array_equal(a.test, b.test)
        for a, b in zip(one, two, strict=True)
    )


def relabelled(groups):
    return np.random.default_rng(5).permutation(groups.max() + 1)[groups]


@quick
@given(targets())
def test_plain_splits_are_the_folds_of_protocol_1(target):
    splits, folds = stratified_splits(target), assign_folds(target)
    for fold, split in enumerate(splits):
        assert np.array_equal(split.test, np.flatnonzero(folds == fold))
        assert np.array_equal(split.training, np.flatnonzero(folds != fold))
    assert sorted(rows_tested(splits)) == list(range(len(target)))


@quick
@given(grouped())
def test_no_group_is_on_both_sides_and_every_row_is_tested_once(data):
    target, groups = data
    splits = grouped_splits(target, groups)
    assert len(splits) == min(5, len(np.unique(groups)))
    assert sorted(rows_tested(splits)) == list(range(len(target)))
    for split in splits:
        assert not set(groups[split.training]) & set(groups[split.test])
        assert len(split.training) + len(split.test) == len(target)
        assert len(split.training)


@quick
@given(timed())
def test_what_is_learned_from_lies_before_what_is_tested(data):
    _, _, times = data
    splits = forward_splits(times)
    assert 1 <= len(splits) <= 5
    for split in splits:
        assert times[split.training].max() < times[split.test].min()
        assert np.array_equal(split.training, np.flatnonzero(times < times[split.test].min()))
    first = np.flatnonzero(times < times[splits[0].test].min())
    assert sorted([*rows_tested(splits), *first]) == list(range(len(times)))


@quick
@given(timed())
def test_with_groups_and_times_both_hold_and_no_side_is_empty(data):
    _, groups, times = data
    splits = forward_splits(times, groups)
    assert 1 <= len(splits) <= 5
    assert len(set(rows_tested(splits))) == len(rows_tested(splits))
    for split in splits:
        assert len(split.training)
        assert len(split.test)
        assert times[split.training].max() < times[split.test].min()
        assert not set(groups[split.training]) & set(groups[split.test])


def test_groups_that_are_always_there_are_tested_and_learned_from_in_turns():
    """Twelve shops over a hundred days: every shop is tested, half of them at a time."""
    times, shops = np.repeat(np.arange(100.0), 12), np.tile(np.arange(12), 100)
    splits = forward_splits(times, shops)
    assert [len(set(shops[split.test])) for split in splits] == [6] * 3
    assert [len(set(shops[split.training])) for split in splits] == [6] * 3
    assert set(shops[rows_tested(splits)]) == set(range(12))


@quick
@given(timed())
def test_names_of_groups_and_units_of_time_change_nothing(data):
    target, groups, times = data
    other = relabelled(groups)
    assert same(grouped_splits(target, groups), grouped_splits(target, other))
    assert same(forward_splits(times, groups), forward_splits(times * 86_400 + 1e6, other))
    assert same(forward_splits(times), forward_splits(times / 4 - 1e4))
    assert np.array_equal(sample_groups(target, groups, 20), sample_groups(target, other, 20))
    assert np.array_equal(sample_times(times, 10), sample_times(times * 8 - 3, 10))


@quick
@given(grouped())
def test_the_seed_decides_how_equal_groups_are_dealt(data):
    target, groups = data
    assert np.array_equal(deal_groups(target, groups, 3, 4), deal_groups(target, groups, 3, 4))
    pairs = np.arange(400) // 2
    assert not np.array_equal(
        deal_groups(np.zeros(400), pairs, 2, 4), deal_groups(np.zeros(400), pairs, 2, 5)
    )


def imbalance(folds, codes):
    """How far folds are from equal shares of all rows, and of every class."""
    rows = np.ptp(np.bincount(folds, minlength=5)) / len(folds)
    of_classes = [
        np.ptp(np.bincount(folds[codes == code], minlength=5)) / np.sum(codes == code)
        for code in np.unique(codes)
    ]
    return rows, np.mean(of_classes)


def test_groups_are_dealt_at_least_as_evenly_as_by_scikit_learn():
    ours, theirs = [], []
    for seed in range(20):
        random = np.random.default_rng(seed)
        sizes = random.geometric(0.15, random.integers(10, 60))
        groups = np.repeat(np.arange(len(sizes)), sizes)
        effects = random.normal(size=(len(sizes), 3)) * random.choice([0, 1, 5])
        target = (effects[groups] + random.gumbel(size=(len(groups), 3))).argmax(axis=1)
        folds = np.zeros(len(groups), dtype=int)
        for fold, (_, test) in enumerate(StratifiedGroupKFold(5).split(target, target, groups)):
            folds[test] = fold
        theirs.append(imbalance(folds, target))
        ours.append(imbalance(deal_groups(target.astype(float), groups, 5), target))
    assert np.all(np.mean(ours, axis=0) < np.mean(theirs, axis=0))


def test_folds_of_equal_groups_share_classes_and_quantiles():
    groups = np.arange(600) // 6
    classes = groups % 4 * 1.0
    folds = deal_groups(classes, groups, 5)
    assert all(np.all(np.bincount(folds[classes == code]) == 30) for code in range(4))
    numbers = np.random.default_rng(0).normal(size=100)[groups]
    folds = deal_groups(numbers, groups, 5)
    assert np.ptp(np.bincount(folds)) <= 12
    spread = np.std([numbers[folds == fold].mean() for fold in range(5)])
    assert spread < 0.05  # 0.22 if dealt blindly


@quick
@given(grouped(most_groups=60), st.integers(12, 60))
def test_sample_of_groups_keeps_many_and_cuts_only_the_huge(data, most):
    target, groups = np.tile(data[0], 3), np.tile(data[1], 3)
    rows = sample_groups(target, groups, most)
    assert len(rows) <= most
    assert np.all(np.diff(rows) > 0)
    sizes, kept = np.bincount(groups), np.bincount(groups[rows], minlength=groups.max() + 1)
    largest = most // min(len(np.unique(groups)), 5)
    chosen = kept > 0
    assert np.array_equal(kept[chosen], np.minimum(sizes, largest)[chosen])
    assert np.sum(chosen) >= 2
    left_out = np.minimum(sizes, largest)[(sizes > 0) & ~chosen]
    assert np.all(left_out > most - len(rows))  # nothing that would still fit


def test_sample_of_groups_is_full_and_keeps_the_shares_of_classes():
    groups = np.arange(9_000) // 3
    target = (groups >= 2_700) * 1.0
    rows = sample_groups(target, groups)
    assert len(rows) == 3_999
    assert target[rows].mean() == pytest.approx(0.1, abs=0.005)


@quick
@given(timed(), st.integers(5, 60))
def test_sample_of_times_is_even_from_the_first_to_the_last(data, most):
    times = data[2]
    rows = sample_times(times, most)
    assert len(rows) == min(most, len(times))
    assert np.all(np.diff(rows) > 0)
    assert (times[rows].min(), times[rows].max()) == (times.min(), times.max())
    quantiles = [np.quantile(some, 0.5, method="lower") for some in (times[rows], times)]
    ranks = [np.mean(times < quantile) for quantile in quantiles]
    assert abs(ranks[0] - ranks[1]) <= 1 / min(most, len(times)) + 1 / len(times)


@quick
@given(timed(), st.integers(2, 20))
def test_blocks_of_time_are_numbered_without_gaps_and_as_even_as_ties_allow(data, n_blocks):
    times = data[2]
    blocks = cut_in_time(times, n_blocks)
    assert set(blocks) == set(range(blocks.max() + 1))
    assert 1 <= blocks.max() < n_blocks
    order = np.argsort(times, kind="stable")
    assert np.all(np.diff(blocks[order]) >= 0)
    most_of_one_instant = np.unique(times, return_counts=True)[1].max()
    assert np.bincount(blocks).max() <= len(times) / n_blocks + most_of_one_instant + 1


@quick
@given(timed())
def test_anchors_in_time_are_the_latest_training_rows(data):
    times = np.tile(data[2], 4)
    training = forward_splits(times)[-1].training
    anchors = latest_rows(times, training)
    assert list(anchors) == [anchor for anchor in ANCHORS if anchor < len(training)]
    for anchor, rows in anchors.items():
        assert len(set(rows)) == anchor
        assert set(rows) <= set(training)
        left_out = np.setdiff1d(training, rows)
        assert times[left_out].max() <= times[rows].min()


def test_the_exact_splits_of_groups_and_times_are_frozen():
    """An exported script from one release must print the score of another."""
    target, groups = np.repeat([0.0, 1.0], [8, 4]), np.array([3, 3, 1, 1, 4, 4, 5, 0, 3, 1, 5, 0])
    assert deal_groups(target, groups, 3).tolist() == [0, 0, 1, 1, 2, 2, 0, 2, 0, 1, 0, 2]
    assert cut_in_time(np.array([5.0, 1, 1, 2, 9, 9, 9, 9, 3, 7]), 4).tolist() == [
        1,
        0,
        0,
        1,
        3,
        3,
        3,
        3,
        1,
        2,
    ]
    assert sample_groups(target, groups, 6).tolist() == [0, 2, 4, 6, 7]
    assert sample_times(np.array([5.0, 1, 1, 2, 9, 9, 9, 9, 3, 7]), 4).tolist() == [1, 4, 7, 8]
