"""What is in the shipped meta-dataset: counted from its Parquet files, and one dataset's evaluations for whoever asks.

The evaluations stay in one Arrow table, a tenth of what they need as dictionaries; `load_contents` reads them once.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from app.errors import DatasetNotMeasuredError
from app.metalearning.metadataset import DATA_DIR
from app.metalearning.metrics import METRICS, headline_metric, metrics_of
from app.metalearning.portfolio import CONFIGURATIONS, configurations_of
from app.metalearning.table import TaskType

SOURCES = Path(__file__).parent / "sources.csv"
_NESTED = ("fold_scores", "learning_curve")
_COUNTED = (
    "dataset",
    "group",
    "task_type",
    "configuration",
    "fingerprint",
    "status",
    "n_rows",
    "n_classes",
    "probe_seconds",
)
_SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class MeasuredDataset:
    """One dataset: what it is, how far it is measured, and what won there by the headline metric."""

    name: str
    group: str
    task_type: TaskType
    rows: int | None  # of the whole dataset; None where its metafeatures are not known
    rows_used: int  # at most as many as the protocol samples
    columns: int | None
    classes: int
    metafeatures: int
    cells: dict[str, int]  # status → evaluations
    metric: str
    best_configuration: str | None
    best_score: float | None
    licence: str | None
    source: str | None


@dataclass(frozen=True)
class TaskContents:
    """Counts of one task type."""

    task_type: TaskType
    datasets: int
    groups: int
    configurations: int
    algorithms: int
    cells: dict[str, int]  # status → evaluations
    portfolio: int  # configurations that there are today
    measured_share: float  # of all pairs of a dataset and a configuration of today
    cpu_hours: float  # of all fits and predictions that ended; time-outs come on top


@dataclass(frozen=True)
class Spread:
    """The range of a number over evaluations."""

    least: float
    median: float
    most: float


@dataclass(frozen=True)
class Contents:
    """The meta-dataset in numbers."""

    task_types: tuple[TaskContents, ...]
    datasets: tuple[MeasuredDataset, ...]  # by name
    protocols: dict[int, int]  # number → evaluations
    threads: dict[int, int]
    versions: dict[str, dict[str, int]]  # library → version → evaluations
    probe_seconds: Spread  # CPU seconds of a fixed piece of work on the measuring machine
    bytes: int


@dataclass(frozen=True)
class AnchorScores:
    """A point of a learning curve: scores after training on `anchor` rows."""

    anchor: int
    fit_cpu_seconds: float
    scores: dict[str, float | None]


@dataclass(frozen=True)
class Evaluation:
    """One configuration on one dataset; where `status` is not ok there are no scores, and `error` may say why."""

    configuration: str
    algorithm: str | None  # None where today's portfolio has no such configuration
    fingerprint: str
    protocol: int
    status: str
    error: str | None
    scores: dict[str, float]
    scores_a: dict[str, float]
    scores_b: dict[str, float]
    fold_scores: tuple[dict[str, float | None], ...]
    learning_curve: tuple[AnchorScores, ...]
    fit_cpu_seconds: float | None
    fit_wall_seconds: float | None
    predict_cpu_seconds_per_1000_rows: float | None
    peak_memory_bytes: int | None
    threads: int
    probe_seconds: float
    versions: dict[str, str]


@dataclass(frozen=True)
class MetaDataset:
    """The contents, and the evaluations behind them, all of a dataset together."""

    contents: Contents
    _evaluations: pa.Table

    def dataset(self, name: str) -> MeasuredDataset:
        """The dataset of this name.

        Raises: DatasetNotMeasuredError.
        """
        for each in self.contents.datasets:
            if each.name == name:
                return each
        raise DatasetNotMeasuredError(
            f"The meta-dataset has no dataset {name!r}.", "GET /meta-dataset/datasets lists those it has."
        )

    def evaluations_of(self, name: str) -> list[Evaluation]:
        """Everything that was measured on the dataset, by configuration.

        Raises: DatasetNotMeasuredError.
        """
        task_type = self.dataset(name).task_type
        rows = _slice(self._evaluations, "dataset", name).to_pylist()
        return [_evaluation(row, task_type) for row in sorted(rows, key=lambda row: row["configuration"])]


@cache
def load_contents(folder: Path = DATA_DIR) -> MetaDataset:
    """Read and count a meta-dataset; the answer is kept for as long as the process lives."""
    order = [("task_type", "ascending"), ("dataset", "ascending")]
    evaluations = _read(folder / "evaluations.parquet").sort_by(order)
    datasets = _datasets(evaluations, folder / "metafeatures.parquet")
    contents = Contents(
        task_types=tuple(_task_contents(task_type, evaluations, datasets) for task_type in TaskType),
        datasets=datasets,
        protocols=_counted(evaluations["protocol"].to_pylist()),
        threads=_counted(evaluations["threads"].to_pylist()),
        versions=_versions(evaluations["versions"].to_pylist()),
        probe_seconds=_spread(evaluations["probe_seconds"].to_pylist()),
        bytes=sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
    )
    return MetaDataset(contents, evaluations)


def _read(path: Path) -> pa.Table:
    """A Parquet file; `pyarrow.parquet.read_table` would import pandas, which the API does without."""
    with pa.parquet.ParquetFile(path) as file:
        return file.read()


def _slice(table: pa.Table, column: str, value: str) -> pa.Table:
    """The rows with this value, which follow each other; comparing in Arrow would import pandas."""
    values = table[column].to_pylist()
    return table.slice(values.index(value), values.count(value)) if value in values else table.slice(0, 0)


def _datasets(evaluations: pa.Table, metafeatures: Path) -> tuple[MeasuredDataset, ...]:
    described = {row["dataset"]: row for row in _read(metafeatures).to_pylist()}
    sources = _sources()
    rows_of: dict[str, list[dict[str, Any]]] = {}
    for row in evaluations.select([*_COUNTED, *METRICS]).to_pylist():
        rows_of.setdefault(row["dataset"], []).append(row)
    return tuple(
        _dataset(rows_of[name], described.get(name, {}), sources.get(name, {})) for name in sorted(rows_of)
    )


def _sources() -> dict[str, dict[str, str]]:
    """Licence and source by dataset; a dataset measured elsewhere has none."""
    with SOURCES.open(newline="", encoding="utf-8") as file:
        return {row["dataset"]: row for row in csv.DictReader(file)}


def _dataset(
    rows: list[dict[str, Any]], metafeatures: dict[str, Any], source: dict[str, str]
) -> MeasuredDataset:
    first = rows[0]
    task_type = TaskType(first["task_type"])
    metric = headline_metric(task_type, first["n_classes"])
    scored = [row for row in rows if row[metric.name] is not None]
    best = min(
        scored, key=lambda row: (float(metric.loss(row[metric.name])), row["configuration"]), default={}
    )
    return MeasuredDataset(
        name=first["dataset"],
        group=first["group"],
        task_type=task_type,
        rows=_whole(metafeatures.get("nr_inst")),
        rows_used=first["n_rows"],
        columns=_whole(metafeatures.get("nr_attr")),
        classes=first["n_classes"],
        metafeatures=sum(value is not None for name, value in metafeatures.items() if name != "dataset"),
        cells=_counted(row["status"] for row in rows),
        metric=metric.name,
        best_configuration=best.get("configuration"),
        best_score=best.get(metric.name),
        licence=source.get("licence"),
        source=source.get("source"),
    )


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _task_contents(
    task_type: TaskType, evaluations: pa.Table, datasets: tuple[MeasuredDataset, ...]
) -> TaskContents:
    cells = _slice(evaluations, "task_type", task_type)
    here = [each for each in datasets if each.task_type is task_type]
    configurations = set(cells["configuration"].to_pylist())
    portfolio = {each.fingerprint for each in configurations_of(task_type)}
    of_today = sum(each in portfolio for each in cells["fingerprint"].to_pylist())
    return TaskContents(
        task_type=task_type,
        datasets=len(here),
        groups=len({each.group for each in here}),
        configurations=len(configurations),
        algorithms=len({_algorithm(name) for name in configurations}),
        cells=_counted(cells["status"].to_pylist()),
        portfolio=len(portfolio),
        measured_share=of_today / (len(here) * len(portfolio)) if here else 0.0,
        cpu_hours=_cpu_seconds(cells) / _SECONDS_PER_HOUR,
    )


def _algorithm(configuration: str) -> str | None:
    return CONFIGURATIONS[configuration].algorithm.name if configuration in CONFIGURATIONS else None


def _cpu_seconds(cells: pa.Table) -> float:
    """CPU seconds of every fold's fit, of the learning curves' fits, and of predicting every row once."""
    n_fits = pc.list_value_length(cells["fold_scores"]).to_pylist()
    columns = ("fit_cpu_seconds", "predict_cpu_seconds_per_1000_rows", "n_rows")
    costs = zip(n_fits, *(cells[name].to_pylist() for name in columns), strict=True)
    measured = sum(
        n * fit + predict * rows / 1000 for n, fit, predict, rows in costs if None not in (n, fit, predict)
    )
    points = pc.list_flatten(cells["learning_curve"])
    return float(measured + sum(pc.struct_field(points, "fit_cpu_seconds").to_pylist()))


def _counted(values: Iterable[Any]) -> dict[Any, int]:
    """How often each value is there, the most frequent first."""
    return dict(sorted(Counter(values).items(), key=lambda item: (-item[1], str(item[0]))))


def _versions(texts: Iterable[str]) -> dict[str, dict[str, int]]:
    """Library → version → evaluations, from the JSON of every evaluation."""
    versions: dict[str, dict[str, int]] = {}
    for text, count in Counter(texts).items():
        for library, version in json.loads(text).items():
            counts = versions.setdefault(library, {})
            counts[version] = counts.get(version, 0) + count
    return dict(sorted(versions.items()))


def _spread(values: Iterable[float]) -> Spread:
    ordered = sorted(values)
    return Spread(ordered[0], ordered[len(ordered) // 2], ordered[-1])


def _evaluation(row: dict[str, Any], task_type: TaskType) -> Evaluation:
    names = [metric.name for metric in metrics_of(task_type)]
    same = {
        name: row[name] for name in Evaluation.__dataclass_fields__ if name in row and name not in _NESTED
    }
    parts = {
        f"scores{part}": {name: row[name + part] for name in names if row[name + part] is not None}
        for part in ("", "_a", "_b")
    }
    return Evaluation(
        **same | parts | {"versions": json.loads(row["versions"])},
        algorithm=_algorithm(row["configuration"]),
        fold_scores=tuple({name: fold[name] for name in names} for fold in row["fold_scores"] or ()),
        learning_curve=tuple(
            AnchorScores(point["anchor"], point["fit_cpu_seconds"], {name: point[name] for name in names})
            for point in row["learning_curve"] or ()
        ),
    )
