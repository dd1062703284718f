"""Grown trees as arrays: what a training library learned, walked by NumPy alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from app.metalearning.table import FloatArray, IntArray

LEAF = -1
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Trees:
    """Nodes of all trees one after another over metafeatures; a split sends values up to its threshold left."""

    roots: npt.NDArray[np.int32]  # (trees,)
    feature: npt.NDArray[np.int32]  # (nodes,), -1 at leaves
    threshold: FloatArray  # (nodes,)
    left: npt.NDArray[np.int32]  # (nodes,)
    right: npt.NDArray[np.int32]  # (nodes,)
    fill: FloatArray  # (metafeatures,): the median, in place of missing values

    def filled(self, vector: FloatArray) -> npt.NDArray[np.float32]:
        """The vector without gaps, as the trees saw those that they were grown on."""
        return without_gaps(vector, self.fill)

    def walk(self, rows: npt.NDArray[np.floating]) -> IntArray:
        """The leaf that every row reaches in every tree, shape (rows, trees).

        Args:
            rows: shape (rows, features), without gaps.
        """
        *_, leaves = self.descend(rows)
        return leaves

    def descend(self, rows: npt.NDArray[np.floating]) -> Iterator[IntArray]:
        """The nodes that all rows are at, shape (rows, trees), from the roots on; who has come to a leaf stays there.

        Args:
            rows: shape (rows, features), without gaps.
        """
        children, tested = self._children, self.tested
        begins = np.arange(len(rows))[:, None] * rows.shape[1]
        nodes = np.tile(self.roots.astype(np.int64), (len(rows), 1))
        yield nodes
        for _ in range(self._depth):
            goes_right = rows.take(begins + tested.take(nodes)) > self.threshold.take(nodes)
            nodes = children.take(2 * nodes + goes_right)
            yield nodes

    @cached_property
    def _depth(self) -> int:
        """How many splits the deepest leaf lies below its root."""
        depth, nodes = 0, self.roots
        while (inner := nodes[self.feature[nodes] != LEAF]).size:
            depth, nodes = depth + 1, np.concatenate([self.left[inner], self.right[inner]])
        return depth

    @cached_property
    def tested(self) -> IntArray:
        """The feature that every node asks for, shape (nodes,); a leaf asks for any, to no effect."""
        return np.maximum(self.feature, 0).astype(np.int64)

    @cached_property
    def _children(self) -> IntArray:
        """The left and the right child of every node, one after the other; a leaf has itself for both."""
        itself = np.arange(len(self.feature))
        is_leaf = self.feature == LEAF
        left, right = np.where(is_leaf, itself, self.left), np.where(is_leaf, itself, self.right)
        return np.column_stack([left, right]).ravel()


def without_gaps(metafeatures: FloatArray, fill: FloatArray) -> npt.NDArray[np.float32]:
    """Metafeatures as trees see them: filled, and no larger than their numbers go, so that no dataset's are infinite.

    Args:
        metafeatures: shape (..., metafeatures), NaN where missing.
        fill: what stands for a missing one, shape (metafeatures,).
    """
    filled = np.where(np.isnan(metafeatures), fill, metafeatures)
    return np.clip(filled, -_LARGEST, _LARGEST).astype(np.float32)
