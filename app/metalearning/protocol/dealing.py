"""Deal rows into splits, parts and samples: stratified, by group, forward in time.

The exported script repeats what it needs of this file word for word, so that it splits exactly alike. Therefore these
functions use nothing but NumPy, each other and `protocol`. Of groups only matters which rows share one, of times only
their order.
"""

from dataclasses import dataclass

import numpy as np

from app.metalearning.protocol import MOST_ROWS, SEED, assign_folds, n_folds, order_by_target, sample_rows
from app.metalearning.table import FloatArray, IntArray


@dataclass(frozen=True)
class Split:
    """Rows to learn from and rows to test on, as ascending indices that share nothing."""

    training: IntArray
    test: IntArray


def stratified_splits(target: FloatArray) -> tuple[Split, ...]:
    """Every row is tested once; classes and quantiles are shared evenly."""
    return splits_of(assign_folds(target))


def grouped_splits(target: FloatArray, groups: IntArray) -> tuple[Split, ...]:
    """Every row is tested once, together with its group; fewer groups than folds make fewer folds."""
    return splits_of(deal_groups(target, groups, n_folds(len(target))))


def forward_splits(times: FloatArray, groups: IntArray | None = None) -> tuple[Split, ...]:
    """Each block of time but the first is tested by what was learned from all earlier ones.

    Groups that lie on both sides are taken in turns: one fold tests every second of them and learns from the others,
    the next fold does the opposite.
    """
    blocks = cut_in_time(times, n_folds(len(times)) + 1)
    splits = []
    for block in range(1, blocks.max() + 1):
        training, test = np.flatnonzero(blocks < block), np.flatnonzero(blocks == block)
        if groups is None:
            splits.append(Split(training, test))
        else:
            splits += keep_groups_apart(training, test, groups, turn=block % 2)
    return tuple(splits)


def splits_of(folds: IntArray) -> tuple[Split, ...]:
    """One split per fold, which is tested by what was learned from all the others."""
    return tuple(
        Split(np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in range(folds.max() + 1)
    )


def keep_groups_apart(training: IntArray, test: IntArray, groups: IntArray, turn: int) -> list[Split]:
    """The split without the rows that would put a group on both sides; none where one side would be empty."""
    test_groups, first = np.unique(groups[test], return_index=True)
    shared = test_groups[np.argsort(first)]
    shared = shared[np.isin(shared, groups[training])]
    for start in (turn, 1 - turn):
        tested = np.isin(groups, shared[start::2])
        learned = np.isin(groups, shared) & ~tested
        split = Split(training[~tested[training]], test[~learned[test]])
        if len(split.training) and len(split.test):
            return [split]
    return []


def cut_in_time(times: FloatArray, n_blocks: int) -> IntArray:
    """The block of every row: blocks of about as many rows each, in order of time; equal times share a block."""
    instants, counts = np.unique(times, return_counts=True)
    wanted = len(times) * np.arange(1, n_blocks) / n_blocks
    rows_before = np.cumsum(counts)[:-1, None]
    starts = np.unique(instants[1:][np.abs(rows_before - wanted).argmin(axis=0)])
    return np.searchsorted(starts, times, side="right")


def deal_groups(target: FloatArray, groups: IntArray, n_parts: int, seed: int = SEED) -> IntArray:
    """The part of every row: whole groups, dealt so that parts share rows, classes and quantiles evenly.

    Groups are dealt the largest first, equal ones in random order, each to the part that so far holds the least of what
    the group consists of (the idea of scikit-learn's StratifiedGroupKFold).
    """
    members, n_groups = number_groups(groups)
    strata = np.unique(target, return_inverse=True)[1]
    if strata.max() >= 20:  # numbers: deciles instead of classes
        tenths = np.sort(target)[len(target) * np.arange(1, 10) // 10]
        strata = np.unique(np.searchsorted(tenths, target, side="right"), return_inverse=True)[1]
    contents = np.zeros((n_groups, strata.max() + 2))
    np.add.at(contents, (members, strata), 1)
    contents[:, -1] = sizes = contents.sum(axis=1)
    shares = contents / contents.sum(axis=0)
    shuffled = np.random.default_rng(seed).permutation(n_groups)
    parts = np.empty(n_groups, dtype=np.int64)
    held = np.zeros((min(n_parts, n_groups), shares.shape[1]))
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        # Rounded, so that ties are ties on every machine.
        parts[group] = np.argmin((held * shares[group]).sum(axis=1).round(12))
        held[parts[group]] += shares[group]
    return parts[members]


def number_groups(groups: IntArray) -> tuple[IntArray, int]:
    """Groups numbered in order of their first rows, whatever their codes, and how many there are."""
    _, first, members = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[members], len(first)


def sample_groups(target: FloatArray, groups: IntArray, most_rows: int = MOST_ROWS) -> IntArray:
    """At most that many rows: whole groups, spread evenly over the range of their mean targets, as long as they fit.

    Of a group so large that it would crowd out others, a part is taken, stratified by target.
    """
    if len(target) <= most_rows:
        return np.arange(len(target))
    members, n_groups = number_groups(groups)
    sizes = np.bincount(members)
    most_of_one = most_rows // min(n_groups, n_folds(most_rows))
    order = order_by_target(np.bincount(members, target) / sizes, SEED)
    rows_of = np.split(np.argsort(members, kind="stable"), np.cumsum(sizes)[:-1])
    sample, left = [], most_rows
    # Multiples of the golden ratio: every beginning of this sequence is spread evenly.
    for group in order[np.argsort(np.arange(n_groups) * 0.618033988749895 % 1)]:
        if min(sizes[group], most_of_one) <= left:
            sample.append(rows_of[group][sample_rows(target[rows_of[group]], most_of_one)])
            left -= len(sample[-1])
    return np.sort(np.concatenate(sample))


def sample_times(times: FloatArray, most_rows: int = MOST_ROWS) -> IntArray:
    """At most that many rows, evenly spaced in order of time from the first to the last."""
    if len(times) <= most_rows:
        return np.arange(len(times))
    order = np.argsort(times, kind="stable")
    return np.sort(order[np.arange(most_rows) * (len(times) - 1) // (most_rows - 1)])
