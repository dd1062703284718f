"""Grown trees as arrays: what a training library learned, walked by NumPy alone."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.metalearning.table import FloatArray

LEAF = -1


@dataclass(frozen=True)
class Trees:
    """Nodes of all trees one after another over metafeatures; a split sends values up to its threshold left."""

    roots: npt.NDArray[np.int32]  # (trees,)
    feature: npt.NDArray[np.int32]  # (nodes,), -1 at leaves
    threshold: FloatArray  # (nodes,)
    left: npt.NDArray[np.int32]  # (nodes,)
    right: npt.NDArray[np.int32]  # (nodes,)
    fill: FloatArray  # (metafeatures,): the median, in place of missing values

    def filled(self, vector: FloatArray) -> FloatArray:
        """The vector without gaps, as the trees saw those that they were grown on."""
        return np.where(np.isnan(vector), self.fill, vector).astype(np.float32)

    def walk(self, rows: npt.NDArray[np.floating]) -> npt.NDArray[np.int32]:
        """The leaf that every row reaches in every tree, shape (rows, trees): all walk down together.

        Args:
            rows: shape (rows, features), without gaps.
        """
        nodes = np.tile(self.roots, (len(rows), 1))
        at = np.arange(len(rows))[:, None]
        while True:
            features = self.feature[nodes]
            inner = features != LEAF
            if not inner.any():
                return nodes
            goes_left = rows[at, features] <= self.threshold[nodes]
            nodes = np.where(inner, np.where(goes_left, self.left[nodes], self.right[nodes]), nodes)
