"""pymfe beside us: its metafeatures of a table, as it computes them and with its known defects mended.

What we call a defect is described in `docs/metafeatures.md`, with a case worked out by hand in the tests. Mending means to
replace exactly the defective step; everything else is pymfe's own code, so that equality says something.
"""

import contextlib
import functools
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from unittest import mock

import numpy as np
import pymfe._internal
import sklearn.cross_decomposition
from pymfe.info_theory import MFEInfoTheory
from pymfe.mfe import MFE

from app.metalearning.metafeatures.information import MOST_PAIRED
from app.metalearning.metafeatures.landmarking import N_FOLDS
from app.metalearning.metafeatures.profile import representative
from app.metalearning.metafeatures.sample import Sample
from app.metalearning.protocol import SEED, assign_folds
from app.metalearning.table import NUMBER_LIKE, Column, FloatArray, IntArray, Table

ON_TABLE = ("general", "statistical", "info-theory")
ON_SAMPLE = ("landmarking", "model-based", "clustering", "concept")
LANDMARKERS = (
    "best_node",
    "random_node",
    "worst_node",
    "elite_nn",
    "one_nn",
    "naive_bayes",
    "linear_discr",
)
_MOST_ITERATIONS = 20_000
_SUMMARIES = ("nanmean", "nansd")


def of_table(table: Table, groups: tuple[str, ...] = ON_TABLE) -> tuple[dict[str, float], float]:
    """Pymfe's values of a table without missing cells by our names, and the seconds that it took."""
    data, categorical, target = _as_arrays(table)
    extractor = MFE(groups=groups, summary=_SUMMARIES, random_state=SEED, suppress_warnings=True)
    with _quietly():
        began = time.perf_counter()
        extractor.fit(data, target, transform_cat=None, cat_cols=categorical)
        names, values = extractor.extract()[:2]
        seconds = time.perf_counter() - began
    return _by_our_names(names, values), seconds


def of_sample(sample: Sample) -> tuple[dict[str, float], float]:
    """Pymfe's values of the sample that learners see, on the same folds and with the same seed."""
    folds = _Given(assign_folds(sample.target, N_FOLDS))
    extractor = MFE(groups=ON_SAMPLE, summary=_SUMMARIES, random_state=SEED, suppress_warnings=True)
    with _quietly():
        began = time.perf_counter()
        extractor.fit(sample.data, sample.labels, precomp_groups=["model-based"])
        names, values = extractor.extract(**{name: {"skf": folds} for name in LANDMARKERS})[:2]
        seconds = time.perf_counter() - began
    return _by_our_names(names, values), seconds


def mended(table: Table) -> dict[str, float]:
    """Pymfe's values of a table with its defects mended."""
    with _mended():
        values, _ = of_table(table)
        values |= _concentration(table)
    if "nr_norm" in values:
        values["nr_norm"] -= sum(np.ptp(table.floats(each.name)) == 0 for each in _numbers(table))
    return values


def _concentration(table: Table) -> dict[str, float]:
    """Concentration of the columns that vary, between those that stand for all here; pymfe draws twelve at random."""
    varying = [column for column in (*_numbers(table), *_categories(table)) if _varies(table, column)]
    chosen = representative([column.name for column in varying], MOST_PAIRED)
    return _of_columns(table, varying, "class_conc") | _of_columns(
        table, [varying[index] for index in chosen], "attr_conc"
    )


def _of_columns(table: Table, columns: list[Column], feature: str) -> dict[str, float]:
    """One metafeature of some columns only: bins depend on the rows alone, so that others may be left out."""
    data, categorical, target = _as_arrays(replace(table, columns=tuple(columns)))
    if feature == "class_conc" and target is None:
        return {}
    extractor = MFE(groups=["info-theory"], features=[feature], summary=_SUMMARIES, suppress_warnings=True)
    with _quietly():
        extractor.fit(data, target, transform_cat=None, cat_cols=categorical)
        return _by_our_names(*extractor.extract(attr_conc={"max_attr_num": None})[:2])


@contextlib.contextmanager
def _mended() -> Iterator[None]:
    """Each patch replaces one defective step."""
    nothing = 1e-300
    to_the_end = functools.partial(sklearn.cross_decomposition.CCA, tol=1e-14)

    def patient(n_components: int, max_iter: int) -> object:  # noqa: ARG001  as called
        return to_the_end(n_components, max_iter=_MOST_ITERATIONS)

    with (
        mock.patch.object(MFEInfoTheory._calc_joint_ent.__func__, "__defaults__", (nothing,)),  # noqa: SLF001
        mock.patch.object(MFEInfoTheory._calc_conc.__func__, "__defaults__", (nothing,)),  # noqa: SLF001
        mock.patch.object(pymfe._internal._equal_freq_discretization, "__defaults__", (0.0,)),  # noqa: SLF001
        mock.patch.object(sklearn.cross_decomposition, "CCA", patient),
        mock.patch.object(np, "flip", lambda m, axis=None: m),  # noqa: ARG005  as called
    ):
        yield


class _Given:
    """Our folds, in the form of a scikit-learn splitter."""

    def __init__(self, folds: IntArray) -> None:
        self.folds = folds
        self.n_splits = N_FOLDS

    def split(self, data: FloatArray, target: IntArray) -> Iterator[tuple[IntArray, IntArray]]:  # noqa: ARG002  a splitter's signature
        for fold in range(self.n_splits):
            yield np.flatnonzero(self.folds != fold), np.flatnonzero(self.folds == fold)


def _numbers(table: Table) -> list[Column]:
    return [column for column in table.columns if column.type in NUMBER_LIKE]


def _categories(table: Table) -> list[Column]:
    return [column for column in table.columns if column.type not in NUMBER_LIKE]


def _varies(table: Table, column: Column) -> bool:
    return len(table.frame[column.name].unique()) > 1


def _as_arrays(table: Table) -> tuple[FloatArray, list[int], FloatArray | None]:
    """Numbers, then categories as codes, and which columns the latter are; no target for regression."""
    numbers = [table.floats(column.name) for column in _numbers(table)]
    categories = [table.codes(column.name).astype(np.float64) for column in _categories(table)]
    target = table.target_values if table.classes else None
    return np.column_stack([*numbers, *categories]), list(range(len(numbers), len(table.columns))), target


def _by_our_names(names: list[str], values: list[float]) -> dict[str, float]:
    ours = (name.replace(".nanmean", ".mean").replace(".nansd", ".sd") for name in names)
    return {name: float(value) for name, value in zip(ours, values, strict=True)}


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
