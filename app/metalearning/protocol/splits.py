"""Which rows an experiment uses, and how they are split: stratified, by group, forward in time, or both.

Without groups and times this is protocol 1 as it was frozen, row for row.
"""

from dataclasses import dataclass

import numpy as np

from app.errors import UnsplittableError
from app.metalearning.protocol import SEED, anchor_rows, assign_halves, latest_rows, sample_rows
from app.metalearning.protocol.dealing import (
    Split,
    cut_in_time,
    deal_groups,
    forward_splits,
    grouped_splits,
    sample_groups,
    sample_times,
    stratified_splits,
)
from app.metalearning.table import FloatArray, IntArray, Table

UNTESTED = -1
# Halves of rows in order of time are so many blocks, alternately A and B, but none of fewer rows than this.
_MOST_HALF_BLOCKS = 20
_ROWS_PER_HALF_BLOCK = 10


@dataclass(frozen=True)
class Plan:
    """All that an experiment needs to know about rows; indices are positions in `rows`.

    `rows` are the sampled rows of the table, ascending. `folds` and `halves` hold each row's test fold and half (0 is A,
    1 is B), -1 for rows that are never tested; `units` numbers what stays together when tested rows are resampled: rows,
    groups or stretches of time. `anchors` are the learning curve's training rows, tested like the first split.
    """

    rows: IntArray
    splits: tuple[Split, ...]
    folds: IntArray
    halves: IntArray
    units: IntArray
    anchors: dict[int, IntArray]


def plan(table: Table) -> Plan:
    """The plan for a table; the same table always gets the same one.

    Raises: UnsplittableError where groups or times leave no honest split.
    """
    rows = _sample(table)
    target = table.target_values[rows]
    groups = None if table.groups is None else table.groups[rows]
    times = None if table.times is None else table.times[rows]
    _refuse_single_values(table, groups, times)
    splits = split(target, groups, times)
    folds = np.full(len(rows), UNTESTED)
    for fold, part in enumerate(splits):
        folds[part.test] = fold
    tested = np.flatnonzero(folds != UNTESTED)
    if len(np.unique(target[tested])) < 2:
        raise UnsplittableError(
            f"Every row that a split {describe(table)} tests has the same target.",
            "Send rows of more groups or from a longer time, or leave the group and time columns out.",
        )
    halves, units = np.full(len(rows), UNTESTED), np.full(len(rows), UNTESTED)
    halves[tested], units[tested] = halve(
        target[tested],
        None if groups is None else groups[tested],
        None if times is None else times[tested],
    )
    training = splits[0].training
    anchors = anchor_rows(target, training) if times is None else latest_rows(times, training)
    return Plan(rows, splits, folds, halves, units, anchors)


def check(table: Table) -> None:
    """Refuse a table that cannot be split as its group and time columns demand.

    Raises: UnsplittableError.
    """
    if table.groups is not None or table.times is not None:
        plan(table)


def describe(table: Table) -> str:
    """How the table's splits are made, in words."""
    if table.time is not None:
        apart = f", groups of {table.group} apart" if table.group is not None else ""
        return f"forward in time by {table.time}{apart}"
    return "stratified" if table.group is None else f"grouped by {table.group}"


def split(
    target: FloatArray, groups: IntArray | None = None, times: FloatArray | None = None
) -> tuple[Split, ...]:
    """Splits for cross-validation: no group is on both sides, and what is learned from lies before what is tested.

    Args:
        target: class codes or numbers, shape (rows,).
        groups: codes of at least two groups, shape (rows,).
        times: at least two distinct ones, shape (rows,).
    """
    if times is not None:
        return forward_splits(times, groups)
    return stratified_splits(target) if groups is None else grouped_splits(target, groups)


def halve(target: FloatArray, groups: IntArray | None, times: FloatArray | None) -> tuple[IntArray, IntArray]:
    """The half of every row, and the unit that it belongs to: whole groups, else stretches of time, else rows."""
    if groups is not None and len(np.unique(groups)) > 1:
        return deal_groups(target, groups, 2, SEED + 1), groups
    if times is not None and len(np.unique(times)) > 1:
        n_blocks = np.clip(len(times) // _ROWS_PER_HALF_BLOCK, 2, _MOST_HALF_BLOCKS)
        blocks = cut_in_time(times, int(n_blocks))
        return blocks % 2, blocks
    return assign_halves(target), np.arange(len(target))


def _sample(table: Table) -> IntArray:
    if table.groups is not None:
        return sample_groups(table.target_values, table.groups)
    return sample_rows(table.target_values) if table.times is None else sample_times(table.times)


def _refuse_single_values(table: Table, groups: IntArray | None, times: FloatArray | None) -> None:
    if times is not None and np.isnan(times).any():
        raise UnsplittableError(
            f"The time column {table.time!r} has rows without a time.", "Fill them in, or remove these rows."
        )
    for values, name, kind in ((groups, table.group, "group"), (times, table.time, "time")):
        if values is not None and len(np.unique(values)) < 2:
            raise UnsplittableError(
                f"The {kind} column {name!r} has one value only, so nothing can be held out.",
                f"Name a {kind} column that varies, or none.",
            )
