"""Distances between datasets: metafeatures on a common scale, and groups of datasets that are nearly the same."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from app.metalearning.table import FloatArray, IntArray

# Below this distance two datasets are versions of one another, however they are called.
NEAR_DUPLICATE = 0.08


@dataclass(frozen=True)
class QuantileScale:
    """Maps every metafeature to its quantile among the known datasets; a missing one to the middle."""

    known: FloatArray  # (datasets, metafeatures), NaN where missing

    @cached_property
    def _counts(self) -> IntArray:
        """How many datasets have each metafeature, shape (metafeatures,)."""
        return np.asarray((~np.isnan(self.known)).sum(axis=0))

    @cached_property
    def scaled_known(self) -> FloatArray:
        """The known datasets, scaled."""
        columns = []
        for column in self.known.T:
            known = np.sort(column[~np.isnan(column)])
            below, upto = (np.searchsorted(known, column, side) for side in ("left", "right"))
            columns.append(self._quantiles(column, below, upto, np.full(len(column), known.size)))
        return np.stack(columns, axis=1)

    def scale(self, vector: FloatArray) -> FloatArray:
        """One vector, scaled to 0…1; mid-ranks, so that ties do not matter."""
        below, upto = (self.known < vector).sum(axis=0), (self.known <= vector).sum(axis=0)
        return self._quantiles(vector, below, upto, self._counts)

    @staticmethod
    def _quantiles(values: FloatArray, below: IntArray, upto: IntArray, counts: IntArray) -> FloatArray:
        missing = np.isnan(values) | (counts == 0)
        return np.where(missing, 0.5, (below + upto) / (2 * np.maximum(counts, 1)))

    def distances(self, vector: FloatArray) -> FloatArray:
        """Mean absolute difference to every known dataset, shape (datasets,)."""
        distances: FloatArray = np.abs(self.scaled_known - self.scale(vector)).mean(axis=1)
        return distances


def near_duplicate_groups(
    metafeatures: FloatArray, names: list[str], limit: float = NEAR_DUPLICATE
) -> list[str]:
    """The group of every dataset: those of one name, and whatever chains of near-duplicates tie together.

    Single linkage; a group is called after its first dataset's name.

    Args:
        metafeatures: shape (datasets, metafeatures), NaN where missing.
        names: groups that are known already, one per dataset.
        limit: two datasets nearer than this are near-duplicates.
    """
    scale = QuantileScale(metafeatures)
    near = (np.flatnonzero(scale.distances(vector)[:row] < limit) for row, vector in enumerate(metafeatures))
    return _tied(names, enumerate(near))


def groups_with_more(metafeatures: FloatArray, groups: Sequence[str], names: Sequence[str]) -> list[str]:
    """The group of every dataset where some came to others, whose groups are known.

    Whoever describes a dataset by a part of its metafeatures tells of it all the same: what came is compared by those that
    both have, and the limit is the same as if they were all that there are.

    Args:
        metafeatures: shape (datasets, metafeatures), what came behind the others.
        groups: of the others.
        names: of what came.
    """
    scaled, known = QuantileScale(metafeatures).scaled_known, ~np.isnan(metafeatures)
    ever_known = known.any(axis=0).mean()  # what no dataset has counts as the same in all

    def nearby(row: int) -> IntArray:
        common = known[:row] & known[row]
        distances = (np.abs(scaled[:row] - scaled[row]) * common).sum(axis=1)
        mean = ever_known * distances / np.maximum(common.sum(axis=1), 1)
        return np.flatnonzero(common.any(axis=1) & (mean < NEAR_DUPLICATE))

    came = range(len(groups), len(metafeatures))
    return _tied([*groups, *names], ((row, nearby(row)) for row in came))


def _tied(groups: Sequence[str], ties: Iterable[tuple[int, IntArray]]) -> list[str]:
    """Groups of which those that a tie connects have become one, called as the first of them was."""
    tied = list(groups)
    for row, others in ties:
        for other in others:
            if tied[row] != tied[other]:
                first, second = sorted((tied[row], tied[other]), key=tied.index)
                tied = [first if group == second else group for group in tied]
    return tied
