"""What joins number-like columns: their products with each other and with the target, class by class, in one pass."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from app.metalearning.metafeatures.profile import Codes, NumberColumn
from app.metalearning.table import FloatArray, IntArray

_CHUNK_ROWS = 8_192
# Below this share of a standardised column's variance, nothing but rounding is left.
_NO_VARIANCE = 1e-12


@dataclass(frozen=True)
class CrossProducts:
    """Mean products of standardised columns (constant ones, and missing cells, are 0)."""

    correlations: FloatArray  # (columns, columns)
    class_means: FloatArray  # (classes, columns)
    class_sizes: IntArray  # (classes,)
    class_log_determinants: FloatArray  # (classes,), of the classes' covariances (n - 1); NaN where singular
    pooled_log_determinant: float  # of the pooled covariance (n - classes)


def cross_products(columns: list[NumberColumn], classes: Codes, n_classes: int) -> CrossProducts:
    """Sum products over chunks of rows, so that no second copy of the table is held.

    Args:
        columns: p of them.
        classes: code of every row; all 0 where there are no classes.
        n_classes: number of codes.
    """
    p = len(columns)
    by_class = np.argsort(classes, kind="stable")
    sizes = np.bincount(classes, minlength=n_classes)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    total, within = np.zeros((p, p)), np.zeros((p, p))
    means, log_determinants = np.zeros((n_classes, p)), np.full(n_classes, np.nan)
    for label in range(n_classes):
        products = np.zeros((p, p))
        for block in _blocks(columns, by_class[starts[label] : starts[label + 1]]):
            products += block @ block.T
            means[label] += block.sum(axis=1)
        means[label] /= max(1, sizes[label])
        total += products
        scatter = products - sizes[label] * np.outer(means[label], means[label])
        within += scatter
        if sizes[label] > p:
            log_determinants[label] = _log_determinant(scatter / (sizes[label] - 1))
    pooled = _log_determinant(within / (len(classes) - n_classes)) if len(classes) > n_classes else np.nan
    return CrossProducts(total / len(classes), means, sizes, log_determinants, pooled)


def _blocks(columns: list[NumberColumn], rows: IntArray) -> Iterator[FloatArray]:
    """Standardised values of these rows, shape (columns, rows of a chunk)."""
    for start in range(0, len(rows), _CHUNK_ROWS):
        chunk = rows[start : start + _CHUNK_ROWS]
        block = np.empty((len(columns), len(chunk)))
        for index, column in enumerate(columns):
            np.subtract(column.values[chunk], column.mean, out=block[index])
            block[index] /= column.deviation if column.deviation > 0 else 1.0
            if column.present < len(column.values):
                np.nan_to_num(block[index], copy=False, nan=0.0)
        yield block


def _log_determinant(covariance: FloatArray) -> float:
    """Of a covariance matrix of standardised columns; NaN where it is singular but for rounding."""
    variances = np.diag(covariance)
    if not np.isfinite(covariance).all() or variances.min() < _NO_VARIANCE:
        return float("nan")
    spread = np.sqrt(variances)
    eigenvalues = np.linalg.eigvalsh(covariance / np.outer(spread, spread))
    if eigenvalues[0] < _NO_VARIANCE * eigenvalues[-1]:
        return float("nan")
    return float(np.log(eigenvalues).sum() + np.log(variances).sum())
