"""The small sample on which learners and distances are tried: at most a thousand rows, everything a number."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from app.metalearning.metafeatures.profile import representative
from app.metalearning.protocol import SEED, sample_rows
from app.metalearning.table import NUMBER_LIKE, FloatArray, IntArray, Table

MOST_ROWS = 1_000
MOST_LEVELS = 10
# Wider tables are represented by some of their columns, tables of more classes by the most frequent ones.
MOST_COLUMNS = 500
MOST_CLASSES = 60


@dataclass(frozen=True)
class Sample:
    """Rows of a table as learners take them."""

    data: FloatArray  # (rows, encoded columns): numbers standardised, medians for missing ones; 0/1 for categories
    target: FloatArray  # (rows,): codes of classes, or numbers
    n_classes: int  # 0 for regression

    @property
    def labels(self) -> IntArray:
        """The classes' codes, as integers."""
        return self.target.astype(np.int64)


def draw_sample(table: Table) -> Sample:
    """A sample that is stratified by the target."""
    rows = sample_rows(table.target_values, MOST_ROWS)
    target = table.target_values[rows]
    if len(table.classes) > MOST_CLASSES:
        labels, counts = np.unique(target, return_counts=True)
        frequent = labels[np.argsort(-counts, kind="stable")][:MOST_CLASSES]
        rows = rows[np.isin(target, frequent)]
    sample = table.take(rows)
    return Sample(_encoded(sample), sample.target_values, len(sample.classes))


def full_tree(sample: Sample, rows: IntArray) -> Any:
    """A decision tree, grown until its leaves are pure, on these rows of the sample."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor  # noqa: PLC0415  kept out of the API process

    tree = DecisionTreeClassifier if sample.n_classes else DecisionTreeRegressor
    return tree(random_state=SEED).fit(sample.data[rows], sample.target[rows])


def distances_between(data: FloatArray) -> FloatArray:
    """Euclidean distances between all rows, shape (rows, rows), exact: whole ones are whole, equal rows are at 0."""
    from scipy.spatial.distance import pdist, squareform  # noqa: PLC0415  kept out of the API process

    return np.asarray(squareform(pdist(data)))


def _encoded(table: Table) -> FloatArray:
    chosen = representative([column.name for column in table.columns], MOST_COLUMNS)
    columns = [table.columns[index] for index in chosen]
    blocks = [_standardised(table.floats(each.name)) for each in columns if each.type in NUMBER_LIKE]
    for each in columns:
        if each.type not in NUMBER_LIKE:
            codes = table.codes(each.name)
            levels, counts = np.unique(codes, return_counts=True)
            frequent = levels[np.argsort(-counts, kind="stable")][:MOST_LEVELS]
            blocks += [(codes == level).astype(np.float64) for level in frequent]
    return np.column_stack(blocks[:MOST_COLUMNS])


def _standardised(column: FloatArray) -> FloatArray:
    present = column[~np.isnan(column)]
    filled = np.where(np.isnan(column), np.median(present) if present.size else 0.0, column)
    centred = filled - filled.mean()
    with np.errstate(over="ignore"):
        spread = centred.std()
    return np.asarray(centred / spread if 0 < spread < np.inf else np.zeros_like(centred))
