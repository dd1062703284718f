"""A table with few labelled rows, as numbers."""

from dataclasses import dataclass

import numpy as np

from app.metalearning.table import FloatArray, IntArray


@dataclass(frozen=True)
class Task:
    """Labelled rows to learn from (the support), and rows whose labels are asked for (the queries)."""

    support: FloatArray  # (support rows, features)
    labels: IntArray  # (support rows,), from 0; every class has a row
    queries: FloatArray  # (query rows, features)
    n_classes: int

    @property
    def members(self) -> FloatArray:
        """Which row is of which class, shape (support rows, classes)."""
        return np.eye(self.n_classes)[self.labels]

    @property
    def rows_per_class(self) -> float:
        """The mean; a class more or less is not told apart."""
        return len(self.labels) / self.n_classes

    @property
    def n_features(self) -> int:
        """Columns of numbers, one for each category where they come from categories."""
        return int(self.support.shape[1])
