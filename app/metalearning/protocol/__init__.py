"""Experiment protocol 1: which rows, folds, halves and learning-curve anchors an experiment uses.

Frozen: a score is comparable with another only under the same protocol, so a change here is protocol 2.
Everything follows from the target and the seed alone; rows are dealt from an order sorted by target, which stratifies
classes and quantiles alike and never fails on rare classes. Datasets with groups or times are split by `dealing`.
"""

import numpy as np

from app.metalearning.table import FloatArray, IntArray

PROTOCOL = 1
SEED = 0
MOST_ROWS = 4_000
MANY_ROWS = 1_000
# Limits of one fit: CPU seconds are what counts, since machines are shared; wall seconds only catch a hang.
FIT_CPU_SECONDS = 20.0
FIT_WALL_SECONDS = 60.0
THREADS = 1
ANCHORS = (64, 256, 1_024)


def sample_rows(target: FloatArray, most_rows: int = MOST_ROWS, seed: int = SEED) -> IntArray:
    """Indices of at most `most_rows` rows, stratified by target, in their original order."""
    n_rows = len(target)
    if n_rows <= most_rows:
        return np.arange(n_rows)
    order = order_by_target(target, seed)
    return np.sort(order[np.arange(most_rows) * n_rows // most_rows])


def n_folds(n_rows: int) -> int:
    """Five folds for small samples, three where rows are many."""
    return 5 if n_rows <= MANY_ROWS else 3


def assign_folds(target: FloatArray, folds: int | None = None, seed: int = SEED) -> IntArray:
    """The fold of every row, shape (rows,), stratified by target; protocol 1's number of folds unless one is given."""
    assigned = np.empty(len(target), dtype=np.int64)
    assigned[order_by_target(target, seed)] = np.arange(len(target)) % (folds or n_folds(len(target)))
    return assigned


def assign_halves(target: FloatArray, seed: int = SEED) -> IntArray:
    """Half 0 (A: may be selected by) or half 1 (B: only scores) for every row, stratified by target."""
    order = order_by_target(target, seed + 1)
    n_pairs = (len(target) + 1) // 2
    first = np.random.default_rng(seed + 2).integers(2, size=n_pairs)
    halves = np.empty(len(target), dtype=np.int64)
    halves[order] = np.column_stack([first, 1 - first]).ravel()[: len(target)]
    return halves


def anchor_rows(target: FloatArray, training_rows: IntArray, seed: int = SEED) -> dict[int, IntArray]:
    """For every anchor smaller than the training set: that many of its rows, stratified by target."""
    return {
        anchor: training_rows[sample_rows(target[training_rows], anchor, seed + 3)]
        for anchor in ANCHORS
        if anchor < len(training_rows)
    }


def latest_rows(times: FloatArray, training_rows: IntArray) -> dict[int, IntArray]:
    """For every anchor smaller than the training set: that many of its rows, the last ones in time."""
    latest = training_rows[np.argsort(times[training_rows], kind="stable")]
    return {anchor: np.sort(latest[-anchor:]) for anchor in ANCHORS if anchor < len(latest)}


def order_by_target(target: FloatArray, seed: int) -> IntArray:
    """Rows sorted by target, rows of equal target in random order."""
    shuffled = np.random.default_rng(seed).permutation(len(target))
    return shuffled[np.argsort(target[shuffled], kind="stable")]
