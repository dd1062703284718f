"""Read ASlib scenarios (Bischl et al. 2016): a folder of description.txt and ARFF files."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from app.errors import MetafeaturesUnusableError, ServiceError, UnreadableScenarioError
from app.metalearning.importing.columns import as_numbers, as_texts
from app.metalearning.importing.description import Value, as_list, first_of, read_description
from app.metalearning.importing.matrix import (
    MISSING,
    OK,
    PENALTY,
    STATUSES,
    IntArray,
    Measure,
    PerformanceMatrix,
)
from app.metalearning.reading import read_file
from app.metalearning.reading.text import as_utf8
from app.metalearning.table import FloatArray

_KEYS = ("instance_id", "repetition")
_RUNTIME = "runtime"
_NO_LIMIT = {"", "?", "~", "null", "none"}


def read_scenario(folder: Path, measure: str | None = None) -> PerformanceMatrix:
    """Read a scenario, by one of its measures: the first unless one is named.

    Of repeated runs of an algorithm on a dataset the median one counts (of an even number the better of the middle
    two), of repeated features the mean. A further measure that is a run time becomes the seconds of the runs. Datasets
    without runs are left out; features that could not be computed are missing.

    Raises: UnreadableScenarioError, and what `PerformanceMatrix` raises.
    """
    described = _read_description(folder)
    chosen = _measure(described, measure)
    runs = _read_runs(folder, described, chosen)
    datasets, dataset_of = _numbered(runs.datasets)
    algorithms, algorithm_of = _numbered(runs.algorithms)
    performances = np.full((len(datasets), len(algorithms)), np.nan)
    statuses = np.full(performances.shape, MISSING)
    seconds = np.full(performances.shape, np.nan)
    for (row, column), places in _cells(dataset_of, algorithm_of).items():
        place = _median_run(runs, places, chosen)
        performances[row, column] = runs.performances[place]
        statuses[row, column] = runs.statuses[place]
        seconds[row, column] = runs.seconds[place]
    feature_names, features = _read_values(folder / "feature_values.arff", datasets)
    return PerformanceMatrix(
        measure=chosen,
        datasets=datasets,
        algorithms=algorithms,
        performances=performances,
        statuses=statuses,
        feature_names=feature_names,
        features=features,
        feature_seconds=_read_feature_seconds(folder, described, datasets),
        seconds=seconds,
        folds=_read_folds(folder / "cv.arff", datasets),
    )


@dataclass(frozen=True)
class _Runs:
    """The rows of algorithm_runs.arff."""

    datasets: list[str]
    algorithms: list[str]
    performances: FloatArray
    statuses: IntArray
    seconds: FloatArray


def _read_description(folder: Path) -> dict[str, Value]:
    path = folder / "description.txt"
    if not path.is_file():
        raise UnreadableScenarioError(
            f"{folder} has no description.txt.", "Name the folder of an ASlib scenario."
        )
    return read_description(as_utf8(path.read_bytes())[0].decode())


def _measure(described: dict[str, Value], name: str | None) -> Measure:
    names = as_list(described.get("performance_measures"))
    kinds = as_list(described.get("performance_type"))
    maximised = as_list(described.get("maximize"))
    if not names or len(kinds) != len(names) or len(maximised) != len(names):
        raise UnreadableScenarioError(
            "description.txt does not name as many performance_measures, performance_type and maximize.",
            "Complete it: https://github.com/coseal/aslib-spec tells the form.",
        )
    if name is not None and name not in names:
        raise UnreadableScenarioError(
            f"The scenario has no measure {name!r}.", f"Ask for one of: {', '.join(names)}."
        )
    at = 0 if name is None else names.index(name)
    is_run_time = kinds[at].lower() == _RUNTIME
    cutoff = _limit(described, "algorithm_cutoff_time") if is_run_time else None
    return Measure(names[at], maximised[at].lower() in {"true", "yes"}, is_run_time, cutoff)


def _limit(described: dict[str, Value], key: str) -> float | None:
    """Seconds; None where there was no limit, which scenarios write as nothing, "?", or a number that is not above zero.

    Raises: UnreadableScenarioError.
    """
    text = first_of(described.get(key))
    if text.lower() in _NO_LIMIT:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise UnreadableScenarioError(
            f"description.txt: {key} is {text[:50]!r}, which is no number of seconds.",
            "Give the seconds, or ? where there was no limit.",
        )
    return seconds if seconds > 0 else None


def _read_runs(folder: Path, described: dict[str, Value], measure: Measure) -> _Runs:
    path = folder / "algorithm_runs.arff"
    frame = _read_arff(path)
    performances = as_numbers(_column(frame, measure.name, path), measure.name)
    further = zip(
        as_list(described.get("performance_measures")),
        as_list(described.get("performance_type")),
        strict=True,
    )
    timed = [name for name, kind in further if kind.lower() == _RUNTIME and name != measure.name]
    return _Runs(
        _ids(frame, "instance_id", path),
        _ids(frame, "algorithm", path),
        performances,
        _statuses(as_texts(_column(frame, "runstatus", path)), performances, path),
        as_numbers(_column(frame, timed[0], path), timed[0]) if timed else np.full(len(performances), np.nan),
    )


def _statuses(texts: list[str | None], performances: FloatArray, path: Path) -> IntArray:
    """How every run ended; a run without status and performance never was."""
    known = {text: index for index, text in enumerate(STATUSES)}
    statuses = []
    for text, performance in zip(texts, performances, strict=True):
        if text not in known and not (text is None and np.isnan(performance)):
            raise UnreadableScenarioError(
                f"{path.name}: {text or '?'!r} is no status of a run.",
                f"Known are: {', '.join(STATUSES[:-1])}.",
            )
        statuses.append(MISSING if text is None else known[text])
    return np.array(statuses, dtype=np.int64)


def _cells(rows: IntArray, columns: IntArray) -> dict[tuple[int, int], list[int]]:
    """The runs of every cell of the matrix."""
    cells: dict[tuple[int, int], list[int]] = {}
    for place, cell in enumerate(zip(rows.tolist(), columns.tolist(), strict=True)):
        cells.setdefault(cell, []).append(place)
    return cells


def _median_run(runs: _Runs, places: list[int], measure: Measure) -> int:
    def badness(place: int) -> float:
        value = float(runs.performances[place])
        failed = runs.statuses[place] != OK and (measure.is_run_time or np.isnan(value))
        if failed:
            return np.inf if measure.cutoff_seconds is None else PENALTY * measure.cutoff_seconds
        return -value if measure.larger_is_better else value

    return sorted(places, key=badness)[(len(places) - 1) // 2]


def _read_values(path: Path, datasets: tuple[str, ...]) -> tuple[tuple[str, ...], FloatArray]:
    """Names and values of all features, shape (datasets, features)."""
    frame = _read_arff(path)
    names = tuple(name for name in frame.column_names if name.lower() not in _KEYS)
    columns = [as_numbers(frame[name], name, MetafeaturesUnusableError) for name in names]
    given = np.stack(columns, axis=1) if columns else np.zeros((frame.num_rows, 0))
    return names, _mean_per_dataset(_ids(frame, "instance_id", path), given, datasets)


def _read_feature_seconds(folder: Path, described: dict[str, Value], datasets: tuple[str, ...]) -> FloatArray:
    """What the features of each dataset cost: the sum of the default steps, or of all, as far as known."""
    path = folder / "feature_costs.arff"
    if not path.is_file():
        return np.full(len(datasets), np.nan)
    names, costs = _read_values(path, datasets)
    steps = as_list(described.get("default_steps"))
    used = [index for index, name in enumerate(names) if name in steps] or list(range(len(names)))
    known = ~np.isnan(costs[:, used])
    return np.where(known.any(axis=1), np.where(known, costs[:, used], 0.0).sum(axis=1), np.nan)


def _read_folds(path: Path, datasets: tuple[str, ...]) -> IntArray:
    """The fold of every dataset in every repetition, shape (repetitions, datasets); none without the file."""
    if not path.is_file():
        return np.zeros((0, len(datasets)), dtype=np.int64)
    frame = _read_arff(path)
    row_of = {name: row for row, name in enumerate(datasets)}
    repetitions = as_texts(_column(frame, "repetition", path))
    numbers = {text: index for index, text in enumerate(dict.fromkeys(repetitions))}
    folds = np.full((len(numbers), len(datasets)), -1, dtype=np.int64)
    given = as_numbers(_column(frame, "fold", path), "fold")
    for name, repetition, fold in zip(_ids(frame, "instance_id", path), repetitions, given, strict=True):
        if name in row_of and fold == fold:  # noqa: PLR0124  NaN is not equal to itself
            folds[numbers[repetition], row_of[name]] = int(fold)
    if np.any(folds < 0):
        name = datasets[int(np.argwhere(folds < 0)[0, 1])]
        raise UnreadableScenarioError(
            f"cv.arff gives {name!r} no fold.", "Give every instance a fold, or leave the file out."
        )
    return folds


def _mean_per_dataset(names: list[str], values: FloatArray, datasets: tuple[str, ...]) -> FloatArray:
    """Mean of the known values over repetitions; a dataset that has none gets NaN, others are left out."""
    rows: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        rows.setdefault(name, []).append(place)
    means = np.full((len(datasets), values.shape[1]), np.nan)
    for row, name in enumerate(datasets):
        given = values[rows.get(name, [])]
        known = ~np.isnan(given)
        total = np.where(known, given, 0.0).sum(axis=0)
        means[row] = np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)
    return means


def _numbered(names: Iterable[str]) -> tuple[tuple[str, ...], IntArray]:
    """Distinct names in order of appearance, and the number of each."""
    names = list(names)
    numbers = {name: index for index, name in enumerate(dict.fromkeys(names))}
    return tuple(numbers), np.array([numbers[name] for name in names], dtype=np.int64)


def _ids(frame: pa.Table, name: str, path: Path) -> list[str]:
    texts = as_texts(_column(frame, name, path))
    if None in texts:
        raise UnreadableScenarioError(f"{path.name}: a row has no {name}.", "Complete the row.")
    return [text for text in texts if text is not None]


def _column(frame: pa.Table, name: str, path: Path) -> pa.ChunkedArray:
    """A column by its name, however it is capitalised."""
    if name in frame.column_names:
        return frame[name]
    for each in frame.column_names:
        if each.lower() == name.lower():
            return frame[each]
    raise UnreadableScenarioError(
        f"{path.name} has no attribute {name!r}.", f"It has: {', '.join(frame.column_names[:10])}."
    )


def _read_arff(path: Path) -> pa.Table:
    if not path.is_file():
        raise UnreadableScenarioError(f"There is no {path.name}.", "Every ASlib scenario has this file.")
    try:
        return read_file(path).frame
    except ServiceError as error:
        raise UnreadableScenarioError(f"{path.name}: {error.detail}", error.advice) from error
