"""One pass over the columns: a single sort of each gives its order statistics, moments, and bins of equal frequency.

The families read what they need from here, so that no column is sorted twice and no second copy of the table is held.
"""

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.metalearning.table import NUMBER_LIKE, BoolArray, FloatArray, Table, TaskType

Codes = npt.NDArray[np.int32]

_WHISKER = 1.5
_TRIMMED = 0.2
_MAD_FACTOR = 1.4826  # makes it the standard deviation of normal data


@dataclass(frozen=True)
class NumberColumn:
    """What is known of a number-like column; undefined values are NaN."""

    name: str
    values: FloatArray  # (rows,), NaN where missing
    codes: Codes  # bins of equal frequency; missing values share a bin of their own
    n_codes: int
    present: int
    distinct: int
    least: float
    greatest: float
    mean: float
    deviation: float  # population standard deviation
    skewness: float  # third central moment over the cubed sample standard deviation
    kurtosis: float  # likewise the fourth, minus 3
    lower_quartile: float
    median: float
    upper_quartile: float
    absolute_deviation: float  # median distance from the median, times 1.4826
    trimmed_mean: float
    geometric_mean: float
    harmonic_mean: float
    zeros: int
    outliers: int

    @property
    def sample_deviation(self) -> float:
        """Standard deviation with n - 1; undefined for one value."""
        return self.deviation * np.sqrt(self.present / (self.present - 1)) if self.present > 1 else np.nan

    @property
    def missing(self) -> BoolArray:
        """Where there is no value, shape (rows,)."""
        return np.isnan(self.values)


@dataclass(frozen=True)
class CategoryColumn:
    """What is known of a category-like column."""

    name: str
    codes: Codes  # from 0; missing values share a code of their own
    n_codes: int
    present: int
    distinct: int
    rare: int  # cells whose category occurs fewer than five times

    @property
    def missing(self) -> BoolArray:
        """Where there is no value, shape (rows,)."""
        return np.asarray(self.codes == self.distinct)


@dataclass(frozen=True)
class Profile:
    """A table column by column, and its target as codes: classes, or bins of equal frequency."""

    numbers: tuple[NumberColumn, ...]
    categories: tuple[CategoryColumn, ...]
    target: Codes
    n_target: int

    @property
    def columns(self) -> tuple[NumberColumn | CategoryColumn, ...]:
        """All of them."""
        return (*self.numbers, *self.categories)


def take_profile(table: Table) -> Profile:
    """Look once at every column of the table."""
    n_bins = int(table.n_rows ** (1 / 3))
    if table.task_type is TaskType.REGRESSION:
        target = profile_numbers(table.target, table.target_values, n_bins)
        codes, n_target = target.codes, target.n_codes
    else:
        codes, n_target = table.target_values.astype(np.int32), len(table.classes)
    return Profile(
        numbers=tuple(
            profile_numbers(column.name, table.floats(column.name), n_bins)
            for column in table.columns
            if column.type in NUMBER_LIKE
        ),
        categories=tuple(
            _category_column(column.name, table.codes(column.name))
            for column in table.columns
            if column.type not in NUMBER_LIKE
        ),
        target=codes,
        n_target=n_target,
    )


def representative(names: list[str], most: int) -> list[int]:
    """Indices of at most `most` columns, chosen by a hash of their names: the order of the columns does not matter."""
    if len(names) <= most:
        return list(range(len(names)))
    return sorted(sorted(range(len(names)), key=lambda index: zlib.crc32(names[index].encode()))[:most])


def _category_column(name: str, codes: npt.NDArray[np.int64]) -> CategoryColumn:
    missing = codes < 0
    distinct = int(codes.max(initial=-1)) + 1
    present = len(codes) - int(missing.sum())
    counts = np.bincount(codes[~missing], minlength=distinct)
    with_missing = np.where(missing, distinct, codes).astype(np.int32)
    return CategoryColumn(
        name,
        with_missing,
        n_codes=distinct + (present < len(codes)),
        present=present,
        distinct=distinct,
        rare=int(counts[counts < 5].sum()),
    )


def profile_numbers(name: str, values: FloatArray, n_bins: int) -> NumberColumn:
    """What is known of a column of numbers, shape (rows,), NaN where missing; cut into `n_bins` bins at most."""
    order = np.argsort(values)  # missing values come last
    present = len(values) - int(np.isnan(values).sum())
    ordered = values[order[:present]]
    codes, n_codes = _bins(order, ordered, len(values), n_bins)
    if not present:
        ordered = np.array([np.nan])  # of which every measure is undefined
    least, greatest = float(ordered[0]), float(ordered[-1])
    constant = least == greatest
    lower, median, upper = interpolated(ordered, np.array([0.25, 0.5, 0.75]))
    reach = _WHISKER * (upper - lower)
    below = np.searchsorted(ordered, lower - reach, "left")
    above = len(ordered) - np.searchsorted(ordered, upper + reach, "right")
    cut = int(_TRIMMED * len(ordered))
    mean, deviation, skewness, kurtosis = _moments(ordered, constant)
    return NumberColumn(
        name=name,
        values=values,
        codes=codes,
        n_codes=n_codes,
        present=present,
        distinct=1 + int(np.count_nonzero(ordered[1:] != ordered[:-1])) if present else 0,
        least=least,
        greatest=greatest,
        mean=mean,
        deviation=deviation,
        skewness=skewness,
        kurtosis=kurtosis,
        lower_quartile=float(lower),
        median=float(median),
        upper_quartile=float(upper),
        absolute_deviation=_MAD_FACTOR * _median(np.abs(ordered - median)),
        trimmed_mean=float(ordered[cut : len(ordered) - cut].mean()),
        geometric_mean=_geometric_mean(ordered),
        harmonic_mean=_harmonic_mean(ordered),
        zeros=int(np.searchsorted(ordered, 0.0, "right") - np.searchsorted(ordered, 0.0, "left")),
        outliers=int(below + above),
    )


def interpolated(ordered: FloatArray, shares: FloatArray) -> FloatArray:
    """Quantiles of ascending values by linear interpolation, bit for bit as NumPy's, without sorting again."""
    position = (len(ordered) - 1) * shares
    before = np.floor(position).astype(np.int64)
    after = np.minimum(before + 1, len(ordered) - 1)
    part = position - before
    low, high = ordered[before], ordered[after]
    step = high - low
    return np.where(part >= 0.5, high - step * (1 - part), low + step * part)


def _bins(order: npt.NDArray[np.intp], ordered: FloatArray, n_rows: int, n_bins: int) -> tuple[Codes, int]:
    """Codes by the quantiles that values lie above, shape (rows,), and how many codes there are."""
    codes = np.empty(n_rows, dtype=np.int32)
    n_codes = 0
    if ordered.size:
        edges = np.unique(interpolated(ordered, np.linspace(0, 1, n_bins + 1)[1:]))
        ends = np.searchsorted(ordered, edges, "right")
        ends[-1] = len(ordered)  # rounding may put the last edge below the largest value
        n_codes = len(edges)
        codes[order[: len(ordered)]] = np.repeat(np.arange(n_codes), np.diff(ends, prepend=0))
    if len(ordered) < n_rows:
        codes[order[len(ordered) :]] = n_codes
        n_codes += 1
    return codes, n_codes


def _moments(values: FloatArray, constant: bool) -> tuple[float, float, float, float]:
    """Mean, population standard deviation, and type-3 skewness and kurtosis (Joanes & Gill 1998)."""
    if constant:  # nothing but rounding would be left of the moments
        return float(values[0]), 0.0, np.nan, np.nan
    mean = float(values.mean())
    centred = values - mean
    reach = float(np.max(np.abs(centred)))
    centred /= reach  # squares of very large or small numbers are none
    spread = float(np.sqrt(np.mean(centred * centred)))
    centred /= spread
    squares = centred * centred
    shrinkage = (len(values) - 1) / len(values)
    skewness = float(np.mean(squares * centred)) * shrinkage**1.5
    kurtosis = float(np.mean(squares * squares)) * shrinkage**2 - 3
    return mean, reach * spread, skewness, kurtosis


def _median(values: FloatArray) -> float:
    middle = len(values) // 2
    if len(values) % 2:
        return float(np.partition(values, middle)[middle])
    return float(np.partition(values, [middle - 1, middle])[middle - 1 : middle + 1].mean())


def _geometric_mean(ordered: FloatArray) -> float:
    if not ordered[0] >= 0:
        return np.nan
    return float(np.exp(np.mean(np.log(ordered)))) if ordered[0] > 0 else 0.0


def _harmonic_mean(ordered: FloatArray) -> float:
    if not ordered[0] >= 0:
        return np.nan
    with np.errstate(over="ignore"):  # of the inverse of the smallest numbers there are
        return float(len(ordered) / np.sum(1 / ordered)) if ordered[0] > 0 else 0.0
