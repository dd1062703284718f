"""Statistical metafeatures: shapes of the number-like columns, and how they go with each other and with the target.

Missing cells are left out column by column; in what joins columns (correlations, class means) they stand at the mean of
their column. Equal to pymfe's group `statistical` where names agree.
"""

import warnings
from collections.abc import Callable

import numpy as np

from app.metalearning.metafeatures.cross_products import CrossProducts, cross_products
from app.metalearning.metafeatures.definitions import Values, summaries
from app.metalearning.metafeatures.profile import (
    NumberColumn,
    Profile,
    profile_numbers,
    representative,
)
from app.metalearning.table import BoolArray, FloatArray, IntArray, Table, TaskType

# What joins columns is quadratic in them: of wider tables this many columns stand for all.
MOST_COLUMNS = 300
_STRONG_CORRELATION = 0.5
# The Shapiro-Wilk test looks at this many values, as pymfe does: its p-values are not exact beyond.
MOST_TESTED = 5_000
_TESTED_TOGETHER = 100
_NORMAL_ABOVE = 0.05
# A direction with a smaller share of the variance than this is rounding.
_NO_VARIANCE = 1e-10
_DETERMINED = 1 - 1e-10

_PER_COLUMN: dict[str, Callable[[NumberColumn], float]] = {
    "mean": lambda column: column.mean,
    "median": lambda column: column.median,
    "t_mean": lambda column: column.trimmed_mean,
    "min": lambda column: column.least,
    "max": lambda column: column.greatest,
    "g_mean": lambda column: column.geometric_mean,
    "h_mean": lambda column: column.harmonic_mean,
    "range": lambda column: column.greatest - column.least,
    "iq_range": lambda column: column.upper_quartile - column.lower_quartile,
    "mad": lambda column: column.absolute_deviation,
    "sd": lambda column: column.sample_deviation,
    "var": lambda column: column.sample_deviation**2,
    "skewness": lambda column: column.skewness,
    "kurtosis": lambda column: column.kurtosis,
}


def extract(table: Table, profile: Profile) -> Values:
    """The statistical metafeatures."""
    values = _of_target(table) if table.task_type is TaskType.REGRESSION else {}
    sparsities = [_sparsity(column.present, column.distinct) for column in profile.columns]
    values |= summaries("sparsity", np.array(sparsities))
    numbers = profile.numbers
    if not numbers:
        return values
    n_present = sum(column.present for column in numbers)
    with np.errstate(over="ignore", invalid="ignore"):
        for name, measure in _PER_COLUMN.items():
            values |= summaries(name, np.array([measure(column) for column in numbers]))
        values |= {
            "nr_norm": _count_normal(numbers),
            "nr_outliers": sum(column.outliers > 0 for column in numbers),
            "outlier_share": sum(column.outliers for column in numbers) / max(1, n_present),
            "zero_share": sum(column.zeros for column in numbers) / max(1, n_present),
        }
        return values | _joining(table, profile)


def _count_normal(numbers: tuple[NumberColumn, ...]) -> int:
    """Columns whose first values the Shapiro-Wilk test takes for normal; tested together, which spares overhead."""
    from scipy.stats import shapiro  # noqa: PLC0415  kept out of the API process

    varying = [column.values[:MOST_TESTED] for column in numbers if column.deviation > 0]
    count = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # too few values, or too alike, have no p-value
        for start in range(0, len(varying), _TESTED_TOGETHER):
            together = np.stack(varying[start : start + _TESTED_TOGETHER])
            count += int(np.sum(shapiro(together, axis=1, nan_policy="omit").pvalue > _NORMAL_ABOVE))
    return count


def _joining(table: Table, profile: Profile) -> Values:
    """What joins columns with each other and with the target."""
    chosen = representative([column.name for column in profile.numbers], MOST_COLUMNS)
    columns = [profile.numbers[index] for index in chosen]
    varying = np.array([column.deviation > 0 for column in columns])
    if table.task_type is TaskType.REGRESSION:
        products = cross_products(columns, np.zeros_like(profile.target), 1)
        with_target = np.abs(_correlations_with(table.target_values, columns))
        values: Values = {}
    else:
        products = cross_products(columns, profile.target, profile.n_target)
        shares = products.class_sizes / table.n_rows
        with_target = np.sqrt(np.clip(shares @ products.class_means**2, 0, 1))
        values = _of_classes(products, columns, varying)
    return (
        values
        | _of_pairs(products.correlations, columns, varying)
        | summaries("target_cor", with_target[varying], "mean", "max")
    )


def _of_target(table: Table) -> Values:
    target = profile_numbers("target", table.target_values, n_bins=1)
    return {
        "target_skewness": target.skewness,
        "target_kurtosis": target.kurtosis,
        "target_outlier_share": target.outliers / table.n_rows,
    }


def _of_pairs(correlations: FloatArray, columns: list[NumberColumn], varying: BoolArray) -> Values:
    """Correlations and covariances of the pairs of columns."""
    pairs = np.tril_indices(len(columns), k=-1)
    absolute = np.abs(np.clip(correlations, -1, 1))
    deviations = np.array([column.sample_deviation for column in columns])
    covariances = correlations * np.outer(deviations, deviations)
    np.fill_diagonal(covariances, deviations**2)
    among_varying = (varying[:, None] & varying)[pairs]
    return {
        **summaries("cor", absolute[pairs][among_varying], "mean", "sd", "max"),
        **summaries("cov", np.abs(covariances[pairs])),
        "nr_cor_attr": float(np.mean(absolute[pairs] >= _STRONG_CORRELATION)) if len(columns) > 1 else None,
        **summaries("eigenvalues", _eigenvalues(covariances)),
    }


def _eigenvalues(covariances: FloatArray) -> FloatArray:
    """Eigenvalues, none below 0 by rounding; none at all where covariances overflow."""
    if not np.isfinite(covariances).all():
        return np.empty(0)
    return np.asarray(np.maximum(np.linalg.eigvalsh(covariances), 0.0))


def _of_classes(products: CrossProducts, columns: list[NumberColumn], varying: BoolArray) -> Values:
    """How classes differ in means and covariances."""
    deviations = np.array([column.deviation for column in columns])
    sizes = products.class_sizes
    largest = int(np.argmax(sizes))
    # The rarest of the others, so that there are two classes even where all are of one size.
    smallest = int(np.argmin(np.where(np.arange(len(sizes)) == largest, np.iinfo(np.int64).max, sizes)))
    apart = (products.class_means[largest] - products.class_means[smallest]) * deviations
    values: Values = {
        "gravity": float(np.linalg.norm(apart)),
        "sd_ratio": _covariance_homogeneity(products, len(columns)),
    }
    if not varying.any():
        return values
    canonical = canonical_correlations(
        products.correlations[np.ix_(varying, varying)], products.class_means[:, varying], sizes
    )
    if not canonical.size:  # nothing but rounding, or numbers whose squares overflow
        return values
    squares = canonical**2
    # Where columns determine a class the roots are infinite, but for rounding.
    roots = squares / (1 - squares) if squares.max() < _DETERMINED else np.full_like(squares, np.inf)
    return values | {
        **summaries("can_cor", canonical),
        "nr_disc": len(canonical),
        "w_lambda": float(np.prod(1 - squares)),
        "p_trace": float(squares.sum()),
        "lh_trace": float(roots.sum()),
        "roy_root": float(roots.max()),
    }


def canonical_correlations(correlations: FloatArray, class_means: FloatArray, sizes: IntArray) -> FloatArray:
    """Canonical correlations between columns and class indicators, in falling order (Hotelling 1936).

    Args:
        correlations: of the columns, shape (columns, columns).
        class_means: of the standardised columns, shape (classes, columns).
        sizes: rows per class, shape (classes,).
    """
    variances, directions = np.linalg.eigh(correlations)
    kept = variances > _NO_VARIANCE * variances[-1]
    whitened = class_means @ (directions[:, kept] / np.sqrt(variances[kept]))
    weighted = whitened * np.sqrt(sizes / sizes.sum())[:, None]
    singular = np.linalg.svd(weighted, compute_uv=False)
    return np.minimum(singular[: min(int(kept.sum()), len(sizes) - 1)], 1.0)


def _covariance_homogeneity(products: CrossProducts, p: int) -> float | None:
    """The classes' covariances against the pooled one: exp(M / (p (n - k))) with Box's M (1949)."""
    weights = products.class_sizes - 1.0
    total = float(weights.sum())
    k = len(weights)
    if np.isnan(products.class_log_determinants).any() or k < 2:
        return None
    correction = (2 * p**2 + 3 * p - 1) / (6 * (p + 1) * (k - 1)) * (np.sum(1 / weights) - 1 / total)
    box = total * products.pooled_log_determinant - float(weights @ products.class_log_determinants)
    return float(np.exp((1 - correction) * box / (p * total)))


def _correlations_with(target: FloatArray, columns: list[NumberColumn]) -> FloatArray:
    """Each column's correlation with a numeric target, missing cells at the column's mean; NaN for constant ones."""
    centred = target - target.mean()
    centred /= np.sqrt(np.mean(centred**2)) * len(target)
    return np.array(
        [
            np.nan_to_num(column.values - column.mean) @ centred / column.deviation
            if column.deviation > 0
            else np.nan
            for column in columns
        ]
    )


def _sparsity(present: int, distinct: int) -> float:
    return (present / distinct - 1) / (present - 1) if present > 1 else np.nan
