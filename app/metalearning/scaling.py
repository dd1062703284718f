"""Distances between datasets: metafeatures on a common scale, and groups of datasets that are nearly the same."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from app.metalearning.table import FloatArray

# Below this distance two datasets are versions of one another, however they are called.
NEAR_DUPLICATE = 0.08


@dataclass(frozen=True)
class QuantileScale:
    """Maps every metafeature to its quantile among the known datasets; a missing one to the middle."""

    known: FloatArray  # (datasets, metafeatures), NaN where missing

    @cached_property
    def _sorted(self) -> list[FloatArray]:
        return [np.sort(column[~np.isnan(column)]) for column in self.known.T]

    @cached_property
    def scaled_known(self) -> FloatArray:
        """The known datasets, scaled."""
        return np.stack([self.scale(row) for row in self.known])

    def scale(self, vector: FloatArray) -> FloatArray:
        """One vector, scaled to 0…1; mid-ranks, so that ties do not matter."""
        scaled = np.full(len(vector), 0.5)
        for index, (value, column) in enumerate(zip(vector, self._sorted, strict=True)):
            if column.size and not np.isnan(value):
                below, upto = np.searchsorted(column, value, "left"), np.searchsorted(column, value, "right")
                scaled[index] = (below + upto) / (2 * column.size)
        return scaled

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
    groups = list(names)
    for row, vector in enumerate(metafeatures):
        for other in np.flatnonzero(scale.distances(vector)[:row] < limit):
            if groups[row] == groups[other]:
                continue
            first, second = sorted((groups[row], groups[other]), key=groups.index)
            groups = [first if group == second else group for group in groups]
    return groups
