"""Statistical metafeatures: shapes of the number-like columns, and how they go with each other and the target.

Missing cells are left out column by column; correlations use the column mean in their place.
"""

import warnings

import numpy as np

from app.metalearning.table import FloatArray, Table, TaskType

# Correlation is quadratic in columns: of wider tables the first columns of this number stand for all.
MOST_COLUMNS = 300

MEANINGS = {
    "skewness.mean": "mean skewness of number-like columns (third standardised moment)",
    "skewness.sd": "standard deviation of these skewnesses",
    "kurtosis.mean": "mean excess kurtosis of number-like columns",
    "kurtosis.sd": "standard deviation of these kurtoses",
    "cor.mean": "mean absolute Pearson correlation between pairs of number-like columns",
    "cor.max": "largest such correlation",
    "outlier_share": "share of numbers beyond 1.5 interquartile ranges from the quartiles",
    "zero_share": "share of zeros among numbers",
    "target_cor.mean": "mean over number-like columns of the correlation (ratio) with the target, 0 to 1",
    "target_cor.max": "largest such correlation (ratio)",
    "target_skewness": "skewness of the target; missing for classification",
    "target_kurtosis": "excess kurtosis of the target; missing for classification",
    "target_outlier_share": "share of target values beyond 1.5 interquartile ranges; missing for classification",
}


def extract(table: Table) -> dict[str, float | None]:
    """The statistical metafeatures (Michie et al. 1994; Kalousis 2002)."""
    target = table.target_values
    values: dict[str, float | None] = {}
    if table.task_type is TaskType.REGRESSION:
        skewness, kurtosis = _shape(target[:, None])
        values |= {
            "target_skewness": float(skewness[0]),
            "target_kurtosis": float(kurtosis[0]),
            "target_outlier_share": _outlier_share(target[:, None]),
        }
    numeric = table.numeric[:, :MOST_COLUMNS]
    if numeric.shape[1] == 0:
        return values
    skewness, kurtosis = _shape(numeric)
    standardised = _standardised(numeric)
    if table.task_type is TaskType.REGRESSION:
        with_target = np.abs(standardised.T @ _standardised(target[:, None])[:, 0]) / len(target)
    else:
        with_target = _correlation_ratio(standardised, target.astype(np.int64))
    values |= {
        "skewness.mean": float(np.mean(skewness)),
        "skewness.sd": float(np.std(skewness)),
        "kurtosis.mean": float(np.mean(kurtosis)),
        "kurtosis.sd": float(np.std(kurtosis)),
        "outlier_share": _outlier_share(numeric),
        "zero_share": float(np.sum(numeric == 0) / max(1, np.sum(~np.isnan(numeric)))),
        "target_cor.mean": float(np.mean(with_target)),
        "target_cor.max": float(np.max(with_target)),
    }
    if numeric.shape[1] > 1:
        correlation = np.abs(standardised.T @ standardised) / len(target)
        pairs = correlation[np.triu_indices(numeric.shape[1], k=1)]
        values |= {"cor.mean": float(pairs.mean()), "cor.max": float(pairs.max())}
    return values


def _shape(columns: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Skewness and excess kurtosis of every column; 0 for constant ones."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # empty or constant columns give NaN, replaced below
        centred = columns - np.nanmean(columns, axis=0)
        variance = np.nanmean(centred**2, axis=0)
        skewness = np.nanmean(centred**3, axis=0) / variance**1.5
        kurtosis = np.nanmean(centred**4, axis=0) / variance**2 - 3
    return np.nan_to_num(skewness, posinf=0, neginf=0), np.nan_to_num(kurtosis, posinf=0, neginf=0)


def _standardised(columns: FloatArray) -> FloatArray:
    """Columns with mean 0 and variance 1 (constant ones: 0), missing cells at the mean."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        centred = np.nan_to_num(columns - np.nanmean(columns, axis=0), posinf=0, neginf=0)
    spread = centred.std(axis=0)
    return np.asarray(centred / np.where(spread > 0, spread, 1.0))


def _correlation_ratio(
    standardised: FloatArray, classes: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> FloatArray:
    """Square root of the share of every column's variance that lies between classes (eta)."""
    counts = np.bincount(classes)
    sums = np.zeros((len(counts), standardised.shape[1]))
    np.add.at(sums, classes, standardised)
    between = np.sum(sums[counts > 0] ** 2 / counts[counts > 0, None], axis=0) / len(classes)
    return np.asarray(np.sqrt(np.clip(between, 0, 1)))


def _outlier_share(columns: FloatArray) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        low, high = np.nanquantile(columns, [0.25, 0.75], axis=0)
    reach = 1.5 * (high - low)
    return float(
        np.sum((columns < low - reach) | (columns > high + reach)) / max(1, np.sum(~np.isnan(columns)))
    )
