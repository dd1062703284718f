import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.metalearning.protocol import (
    ANCHORS,
    anchor_rows,
    assign_folds,
    assign_halves,
    n_folds,
    sample_rows,
)
from tests.tables import quick, targets

PURPOSES = {
    "sample": lambda target, seed: sample_rows(target, 50, seed),
    "folds": lambda target, seed: assign_folds(target, seed=seed),
    "halves": assign_halves,
    "anchors": lambda target, seed: anchor_rows(target, np.arange(len(target)), seed)[64],
}


def counts(target, codes):
    """Rows per (value of the target, code)."""
    values, codes_present = np.unique(target), np.unique(codes)
    return np.array(
        [[np.sum((target == value) & (codes == code)) for code in codes_present] for value in values]
    )


@quick
@given(targets(), st.integers(2, 10))
def test_folds_share_rows_and_every_class_evenly(target, n):
    folds = assign_folds(target, n)
    assert set(folds) == set(range(n))
    assert np.ptp(np.bincount(folds)) <= 1
    assert np.all(np.ptp(counts(target, folds), axis=1) <= 1)


@quick
@given(targets())
def test_halves_share_rows_and_every_class_evenly(target):
    halves = assign_halves(target)
    assert set(halves) == {0, 1}
    assert np.ptp(np.bincount(halves)) <= 1
    assert np.all(np.ptp(counts(target, halves), axis=1) <= 2)


@quick
@given(targets(), st.integers(5, 150))
def test_sample_keeps_the_shares_of_every_value(target, most):
    rows = sample_rows(target, most)
    assert len(rows) == min(most, len(target))
    assert np.all(np.diff(rows) > 0)
    for value in np.unique(target):
        expected = np.sum(target == value) * len(rows) / len(target)
        assert abs(np.sum(target[rows] == value) - expected) < 1


@quick
@given(targets(), st.randoms(use_true_random=False))
def test_anchors_are_stratified_parts_of_the_training_rows(target, random):
    target = np.tile(target, 5)
    training = np.array(sorted(random.sample(range(len(target)), len(target) * 2 // 3)))
    anchors = anchor_rows(target, training)
    assert list(anchors) == [anchor for anchor in ANCHORS if anchor < len(training)]
    for anchor, rows in anchors.items():
        assert len(set(rows)) == anchor
        assert set(rows) <= set(training)
        for value in np.unique(target):
            expected = np.sum(target[training] == value) * anchor / len(training)
            assert abs(np.sum(target[rows] == value) - expected) < 1


@pytest.mark.parametrize("purpose", PURPOSES.values(), ids=PURPOSES)
@pytest.mark.parametrize("target", [np.arange(300) % 3, np.arange(300) ** 2], ids=["classes", "numbers"])
def test_the_seed_decides_everything(purpose, target):
    target = target.astype(float)
    assert np.array_equal(purpose(target, 4), purpose(target, 4))
    if len(np.unique(target)) < 10:  # among distinct numbers there is nothing to shuffle
        assert not np.array_equal(purpose(target, 4), purpose(target, 5))


def test_rows_of_one_class_are_dealt_in_random_order():
    halves, folds = assign_halves(np.zeros(400)), assign_folds(np.zeros(400), 2)
    for codes in (halves, folds):
        changes = np.sum(np.diff(codes) != 0)
        assert 150 < changes < 250  # alternating would change 399 times, blocks once


def test_halves_do_not_follow_the_folds():
    target = np.arange(1000) % 2 * 1.0
    table = counts(assign_folds(target), assign_halves(target))
    assert table.min() > 70


def test_many_rows_get_three_folds():
    assert [n_folds(rows) for rows in (20, 1_000, 1_001)] == [5, 5, 3]
    assert [int(assign_folds(np.zeros(rows)).max()) + 1 for rows in (1_000, 1_001)] == [5, 3]


def test_protocol_1_is_frozen():
    """Scores under one protocol are comparable: whoever changes these numbers makes protocol 2."""
    target = np.repeat([0.0, 1.0, 2.0], [7, 5, 2])
    assert assign_folds(target).tolist() == [2, 1, 1, 0, 4, 3, 0, 2, 1, 0, 3, 4, 3, 2]
    assert assign_halves(target).tolist() == [1, 1, 0, 0, 0, 0, 1, 0, 1, 1, 1, 0, 1, 0]
    assert sample_rows(target, 6).tolist() == [0, 3, 4, 7, 8, 11]
    assert anchor_rows(np.zeros(70), np.arange(70))[64][:12].tolist() == [
        0,
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        10,
        11,
    ]
