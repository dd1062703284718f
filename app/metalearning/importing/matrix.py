"""A performance matrix: how any algorithms did on any datasets, with metafeatures of the datasets."""

from dataclasses import dataclass
from functools import cached_property
from unicodedata import category

import numpy as np
import numpy.typing as npt

from app.errors import (
    MetafeaturesUnusableError,
    NamesUnusableError,
    PerformancesUnusableError,
    TooSmallMetaDatasetError,
)
from app.metalearning.table import BoolArray, FloatArray

# ASlib's words for how a run ended, and one for a run that never was.
STATUSES = ("ok", "timeout", "memout", "not_applicable", "crash", "other", "missing")
OK, MISSING = STATUSES.index("ok"), STATUSES.index("missing")
# What a run that did not end in time counts as, in cut-off times (PAR10).
PENALTY = 10.0
FEWEST_DATASETS, FEWEST_ALGORITHMS = 10, 2
_UNWRITABLE = {"Cc", "Cs", "Zl", "Zp"}  # Unicode's controls, surrogates, and ends of lines and paragraphs

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Measure:
    """What a performance is; a run time (in seconds) may have a cut-off, beyond which nothing was waited for."""

    name: str
    larger_is_better: bool
    is_run_time: bool = False
    cutoff_seconds: float | None = None


@dataclass(frozen=True)
class PerformanceMatrix:
    """Performances of A algorithms on D datasets, as measured; NaN is what nobody measured.

    Raises: NamesUnusableError, PerformancesUnusableError, MetafeaturesUnusableError: the parts contradict each other.
    """

    measure: Measure
    datasets: tuple[str, ...]
    algorithms: tuple[str, ...]
    performances: FloatArray  # (D, A), NaN where a run failed without a value, or never was
    statuses: IntArray  # (D, A), indices of STATUSES
    feature_names: tuple[str, ...]
    features: FloatArray  # (D, F)
    feature_seconds: FloatArray  # (D,), what all features of a dataset cost
    seconds: FloatArray  # (D, A), what a run took, where performance is something else
    folds: IntArray  # (R, D), the fold of every dataset in each of R official partitions; R may be 0
    groups: tuple[str, ...] = ()  # datasets that belong together; none where nobody said

    def __post_init__(self) -> None:
        check_names("dataset", self.datasets)
        check_names("algorithm", self.algorithms)
        check_names("metafeature", self.feature_names)
        check_names("measure", (self.measure.name,))
        check_names("group", tuple(dict.fromkeys(self.groups)))
        _check_finite(self)
        _check_statuses(self)

    @cached_property
    def scored(self) -> FloatArray:
        """Performances as they count, shape (D, A): a run time that is not ok, or too long, is ten cut-off times."""
        cutoff = self.measure.cutoff_seconds
        if cutoff is None:
            return self.performances
        failed = (self.statuses != OK) | (self.performances > cutoff)
        return np.where(
            self.statuses == MISSING, np.nan, np.where(failed, PENALTY * cutoff, self.performances)
        )


def check_names(kind: str, names: tuple[str, ...]) -> None:
    """Whether names tell things apart in every format.

    Raises: NamesUnusableError.
    """
    seen: set[str] = set()
    for name in names:
        if not name or name == "?" or name != name.strip() or not _UNWRITABLE.isdisjoint(map(category, name)):
            raise NamesUnusableError(
                f"{name[:100]!r} is no name for a {kind}.",
                "Names are not empty, no question mark, and have no blanks around them and no line breaks.",
            )
        if name in seen:
            raise NamesUnusableError(f"Two {kind}s are called {name[:100]!r}.", "Give each its own name.")
        seen.add(name)


def check_size(matrix: PerformanceMatrix) -> None:
    """Whether there is enough to learn from and to prove it on.

    Raises: TooSmallMetaDatasetError, PerformancesUnusableError, MetafeaturesUnusableError.
    """
    tried = ~np.isnan(matrix.scored)
    n_datasets = int(tried.any(axis=1).sum())
    if n_datasets < FEWEST_DATASETS or len(matrix.algorithms) < FEWEST_ALGORITHMS:
        raise TooSmallMetaDatasetError(
            f"{n_datasets} datasets with performances of {len(matrix.algorithms)} algorithms are too few.",
            f"At least {FEWEST_DATASETS} datasets and {FEWEST_ALGORITHMS} algorithms are needed.",
        )
    if not tried.any(axis=0).all():
        name = matrix.algorithms[int(np.argmin(tried.any(axis=0)))]
        raise PerformancesUnusableError(f"{name!r} has no performance at all.", "Leave the algorithm out.")
    known = np.where(np.isnan(matrix.features), np.inf, matrix.features)
    if not matrix.feature_names or np.all(known == known[0]):
        raise MetafeaturesUnusableError(
            "The metafeatures are the same for every dataset.", "Give numbers that differ between datasets."
        )


def _check_finite(matrix: PerformanceMatrix) -> None:
    for what, values in (("performances", matrix.performances), ("seconds", matrix.seconds)):
        endless = np.isinf(values)
        if endless.any():
            fact = f"The {what} {_first_cell(matrix, endless)} are infinite."
            raise PerformancesUnusableError(fact, "Leave the cell empty, or say how the run ended.")
    if matrix.measure.is_run_time and np.any(matrix.performances < 0):
        fact = f"The run time {_first_cell(matrix, matrix.performances < 0)} is negative."
        raise PerformancesUnusableError(fact, "Run times are seconds from 0 on.")
    endless = np.isinf(matrix.features)
    if endless.any():
        row, column = np.argwhere(endless)[0]
        fact = f"{matrix.feature_names[column]!r} of {matrix.datasets[row]!r} is infinite."
        raise MetafeaturesUnusableError(fact, "Leave the cell empty where a metafeature is not defined.")


def _check_statuses(matrix: PerformanceMatrix) -> None:
    statuses = matrix.statuses
    unknown = (statuses == OK) & np.isnan(matrix.performances)
    if unknown.any():
        fact = f"The run {_first_cell(matrix, unknown)} is ok, but has no performance."
        raise PerformancesUnusableError(fact, "Give its performance, or say how the run ended.")
    measured = (statuses == MISSING) & ~(np.isnan(matrix.performances) & np.isnan(matrix.seconds))
    if measured.any():
        fact = f"The run {_first_cell(matrix, measured)} was measured, and is called missing."
        raise PerformancesUnusableError(fact, "Say how the run ended, or leave its numbers out.")
    stopped = (statuses != OK) & (statuses != MISSING)
    if matrix.measure.is_run_time and matrix.measure.cutoff_seconds is None and stopped.any():
        fact = f"The run {_first_cell(matrix, stopped)} was stopped, and no cut-off time is known."
        raise PerformancesUnusableError(
            fact, "Tell the seconds after which a run was given up (algorithm_cutoff_time, --cutoff)."
        )


def _first_cell(matrix: PerformanceMatrix, where: BoolArray) -> str:
    row, column = np.argwhere(where)[0]
    return f"of {matrix.algorithms[column]!r} on {matrix.datasets[row]!r}"
