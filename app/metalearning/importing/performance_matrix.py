"""A user's own files: performances as a wide or a long table, metafeatures as a table (CSV, Parquet and what else is read)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from app.errors import (
    DatasetsDifferError,
    MetafeaturesUnusableError,
    NamesUnusableError,
    PerformancesUnusableError,
    ServiceError,
    UnusableMetaDatasetError,
)
from app.metalearning.importing.columns import as_numbers, as_texts
from app.metalearning.importing.matrix import (
    MISSING,
    OK,
    STATUSES,
    IntArray,
    Measure,
    PerformanceMatrix,
    check_names,
)
from app.metalearning.reading import read_file
from app.metalearning.table import FloatArray

PERFORMANCES_FILE, METAFEATURES_FILE = "performances.parquet", "metafeatures.parquet"
DATASET, ALGORITHM, PERFORMANCE, STATUS, SECONDS, GROUP = (
    "dataset",
    "algorithm",
    "performance",
    "status",
    "seconds",
    "group",
)
_SHOWN = 5


def read_matrix(
    performances: Path, metafeatures: Path, measure: Measure, *, common_only: bool = False
) -> PerformanceMatrix:
    """Read performances and metafeatures of the same datasets.

    Args:
        performances: long (columns dataset, algorithm, performance, and if known status and seconds; one row per run) or
            wide (the first column names the dataset, every other is an algorithm). Nothing in a cell: never run.
        metafeatures: the first column names the dataset, every other is a number; a column `group` names what belongs
            together.
        measure: what the performances are.
        common_only: leave out datasets that only one of the files has, instead of refusing them.

    Raises: UnusableMetaDatasetError, of which all refusals are kinds.
    """
    measured = _read_performances(_read(performances), performances.name)
    described = _read_metafeatures(_read(metafeatures), metafeatures.name)
    datasets = _common(measured.datasets, described.datasets, common_only)
    rows = [measured.datasets.index(name) for name in datasets]
    row_of = {name: row for row, name in enumerate(described.datasets)}
    described_rows = [row_of[name] for name in datasets]
    return PerformanceMatrix(
        measure=measure,
        datasets=datasets,
        algorithms=measured.algorithms,
        performances=measured.performances[rows],
        statuses=measured.statuses[rows],
        feature_names=described.names,
        features=described.values[described_rows],
        feature_seconds=np.full(len(datasets), np.nan),
        seconds=measured.seconds[rows],
        folds=np.zeros((0, len(datasets)), dtype=np.int64),
        groups=tuple(described.groups[row] for row in described_rows) if described.groups else (),
    )


def write_matrix(matrix: PerformanceMatrix, folder: Path) -> None:
    """Write both files as Parquet, the performances long; `read_matrix` reads them back the same, but for folds."""
    folder.mkdir(parents=True, exist_ok=True)
    runs = [
        {
            DATASET: dataset,
            ALGORITHM: algorithm,
            PERFORMANCE: _or_none(matrix.performances[row, column]),
            STATUS: STATUSES[matrix.statuses[row, column]],
            SECONDS: _or_none(matrix.seconds[row, column]),
        }
        for row, dataset in enumerate(matrix.datasets)
        for column, algorithm in enumerate(matrix.algorithms)
    ]
    kinds = {DATASET: pa.string(), ALGORITHM: pa.string(), STATUS: pa.string()}
    schema = pa.schema([pa.field(name, kinds.get(name, pa.float64())) for name in runs[0]])
    pa.parquet.write_table(pa.Table.from_pylist(runs, schema=schema), folder / PERFORMANCES_FILE)
    columns = [pa.array(matrix.datasets), *map(pa.array, matrix.features.T)]
    names = [DATASET, *matrix.feature_names]
    if matrix.groups:
        columns.insert(1, pa.array(matrix.groups))
        names.insert(1, GROUP)
    pa.parquet.write_table(pa.table(columns, names=names), folder / METAFEATURES_FILE)


@dataclass(frozen=True)
class _Measured:
    """What the file of performances holds."""

    datasets: tuple[str, ...]
    algorithms: tuple[str, ...]
    performances: FloatArray
    statuses: IntArray
    seconds: FloatArray


@dataclass(frozen=True)
class _Described:
    """What the file of metafeatures holds; no groups where it names none."""

    datasets: tuple[str, ...]
    names: tuple[str, ...]
    values: FloatArray
    groups: tuple[str, ...]


def _read(path: Path) -> pa.Table:
    try:
        raw = read_file(path)
    except ServiceError as error:
        raise UnusableMetaDatasetError(f"{path.name}: {error.detail}", error.advice) from error
    if raw.renamed_columns:
        raise NamesUnusableError(
            f"{path.name}: a column has no name, or one that another has too ({raw.renamed_columns[0]!r}).",
            "Give every column its own name.",
        )
    if raw.frame.num_columns < 2 or not raw.frame.num_rows:
        raise UnusableMetaDatasetError(
            f"{path.name} has {raw.frame.num_columns} columns and {raw.frame.num_rows} rows.",
            "The first column names the dataset; at least one other follows.",
        )
    return raw.frame


def _read_performances(frame: pa.Table, file: str) -> _Measured:
    is_long = {ALGORITHM, PERFORMANCE} <= set(frame.column_names)
    return _read_long(frame, file) if is_long else _read_wide(frame, file)


def _read_wide(frame: pa.Table, file: str) -> _Measured:
    datasets = _names(frame, frame.column_names[0], file)
    check_names("dataset", tuple(datasets))
    algorithms = tuple(frame.column_names[1:])
    performances = np.stack([as_numbers(frame[name], name) for name in algorithms], axis=1)
    return _Measured(
        tuple(datasets),
        algorithms,
        performances,
        np.where(np.isnan(performances), MISSING, OK),
        np.full(performances.shape, np.nan),
    )


def _read_long(frame: pa.Table, file: str) -> _Measured:
    known = (DATASET, ALGORITHM, PERFORMANCE, STATUS, SECONDS)
    unknown = [name for name in frame.column_names if name not in known]
    if unknown or DATASET not in frame.column_names:
        raise UnusableMetaDatasetError(
            f"{file} has one row per run, and the columns {', '.join(frame.column_names[:10])}.",
            f"Its columns are {DATASET}, {ALGORITHM}, {PERFORMANCE}, and if known {STATUS} and {SECONDS}.",
        )
    names, tried = _names(frame, DATASET, file), _names(frame, ALGORITHM, file)
    datasets, algorithms = tuple(dict.fromkeys(names)), tuple(dict.fromkeys(tried))
    row_of = {name: row for row, name in enumerate(datasets)}
    column_of = {name: column for column, name in enumerate(algorithms)}
    shape = len(datasets), len(algorithms)
    rows, columns = [row_of[name] for name in names], [column_of[name] for name in tried]
    _refuse_repeated(names, tried, file)
    values = as_numbers(frame[PERFORMANCE], PERFORMANCE)
    performances, seconds = np.full(shape, np.nan), np.full(shape, np.nan)
    statuses = np.full(shape, MISSING, dtype=np.int64)
    performances[rows, columns] = values
    statuses[rows, columns] = _statuses(frame, values, file)
    if SECONDS in frame.column_names:
        seconds[rows, columns] = as_numbers(frame[SECONDS], SECONDS)
    return _Measured(datasets, algorithms, performances, statuses, seconds)


def _statuses(frame: pa.Table, performances: FloatArray, file: str) -> IntArray:
    """How every run ended; where nothing is said, ok or missing by its performance."""
    known = np.where(np.isnan(performances), MISSING, OK)
    if STATUS not in frame.column_names:
        return known
    given = as_texts(frame[STATUS])
    for text in given:
        if text is not None and text not in STATUSES:
            raise PerformancesUnusableError(
                f"{file}: {text[:50]!r} is no status of a run.", f"Known are: {', '.join(STATUSES)}."
            )
    return np.array(
        [
            STATUSES.index(text) if text is not None else unsaid
            for text, unsaid in zip(given, known, strict=True)
        ],
        dtype=np.int64,
    )


def _refuse_repeated(datasets: list[str], algorithms: list[str], file: str) -> None:
    seen: set[tuple[str, str]] = set()
    for run in zip(datasets, algorithms, strict=True):
        if run in seen:
            raise PerformancesUnusableError(
                f"{file}: {run[1][:100]!r} on {run[0][:100]!r} is there twice.",
                "Give one performance per dataset and algorithm, the mean of several runs for example.",
            )
        seen.add(run)


def _read_metafeatures(frame: pa.Table, file: str) -> _Described:
    datasets = _names(frame, frame.column_names[0], file)
    check_names("dataset", tuple(datasets))
    names = tuple(name for name in frame.column_names[1:] if name != GROUP)
    columns = [as_numbers(frame[name], name, MetafeaturesUnusableError) for name in names]
    values = np.stack(columns, axis=1) if columns else np.zeros((len(datasets), 0))
    groups = _names(frame, GROUP, file) if GROUP in frame.column_names[1:] else []
    return _Described(tuple(datasets), names, values, tuple(groups))


def _common(measured: tuple[str, ...], described: tuple[str, ...], common_only: bool) -> tuple[str, ...]:
    """The datasets of both files, in the order of the performances."""
    for only, other in ((measured, described), (described, measured)):
        lonely = sorted(set(only) - set(other))
        if lonely and not common_only:
            whose, whose_not = (
                ("performances", "metafeatures") if only is measured else ("metafeatures", "performances")
            )
            shown = ", ".join(repr(name) for name in lonely[:_SHOWN])
            raise DatasetsDifferError(
                f"{len(lonely)} datasets have {whose} and no {whose_not}: "
                f"{shown}{', …' if len(lonely) > _SHOWN else ''}.",
                "Add what is missing, or ask for the common datasets only (--common-only).",
            )
    both = set(measured) & set(described)
    return tuple(name for name in measured if name in both)


def _names(frame: pa.Table, column: str, file: str) -> list[str]:
    texts = as_texts(frame[column])
    if None in texts:
        raise NamesUnusableError(
            f"{file}: row {texts.index(None) + 1} has nothing in column {column!r}.", "Complete the row."
        )
    return [text for text in texts if text is not None]


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
