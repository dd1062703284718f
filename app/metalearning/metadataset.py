"""The meta-dataset: metafeatures and measured performances of many datasets, as Parquet."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from app.metalearning import protocol
from app.metalearning.baselines import normalised_regret
from app.metalearning.evidence import Evidence
from app.metalearning.metafeatures import LEARNED, as_vector
from app.metalearning.metrics import METRICS, Metric, headline_metric, loss_scale, metrics_of
from app.metalearning.portfolio import configurations_of
from app.metalearning.scaling import near_duplicate_groups
from app.metalearning.table import FloatArray, TaskType

DATA_DIR = Path(__file__).parent / "data"
# A configuration counts once it was tried on this share of the datasets; before, it is still being measured.
_TRIED = 0.95

_LOSSES, _CURVES = "losses_", "curves_"  # how the arrays by metric are called in a file
_SCORES = [pa.field(name, pa.float64()) for name in METRICS]
EVALUATION_SCHEMA = pa.schema(
    [
        pa.field("dataset", pa.string()),
        pa.field("group", pa.string()),
        pa.field("task_type", pa.string()),
        pa.field("configuration", pa.string()),
        pa.field("fingerprint", pa.string()),
        pa.field("protocol", pa.int64()),
        pa.field("status", pa.string()),  # ok, timeout, memory, crash, failed, not_applicable
        pa.field("error", pa.string()),
        pa.field("n_rows", pa.int64()),
        pa.field("n_classes", pa.int64()),
        # One column per metric and part of the rows: metrics are never mixed in one column.
        *_SCORES,
        *(pa.field(f"{name}_a", pa.float64()) for name in METRICS),
        *(pa.field(f"{name}_b", pa.float64()) for name in METRICS),
        pa.field("fold_scores", pa.list_(pa.struct(_SCORES))),
        pa.field(
            "learning_curve",
            pa.list_(
                pa.struct(
                    [pa.field("anchor", pa.int64()), pa.field("fit_cpu_seconds", pa.float64()), *_SCORES]
                )
            ),
        ),
        pa.field("target_sd", pa.float64()),
        pa.field("prior_entropy", pa.float64()),
        pa.field("fit_cpu_seconds", pa.float64()),
        pa.field("fit_wall_seconds", pa.float64()),
        pa.field("predict_cpu_seconds_per_1000_rows", pa.float64()),
        pa.field("peak_memory_bytes", pa.int64()),
        pa.field("threads", pa.int64()),
        pa.field("probe_seconds", pa.float64()),
        pa.field("versions", pa.string()),
    ]
)


def flatten_scores(measured: dict[str, Any]) -> dict[str, float]:
    """Scores on all rows and on halves A and B as columns of one evaluation."""
    return {
        **measured["scores"],
        **{f"{name}_a": value for name, value in measured["scores_a"].items()},
        **{f"{name}_b": value for name, value in measured["scores_b"].items()},
    }


def read_evaluations(path: Path) -> list[dict[str, Any]]:
    """The evaluations in a Parquet file; none where there is no file."""
    return _read_rows(path) if path.exists() else []


def _read_rows(path: Path) -> list[dict[str, Any]]:
    """A Parquet file's rows; `pyarrow.parquet.read_table` would import pandas, which the API does without."""
    with pa.parquet.ParquetFile(path) as file:
        rows: list[dict[str, Any]] = file.read().to_pylist()
    return rows


def write_evaluations(rows: Iterable[dict[str, Any]], path: Path) -> None:
    """Write evaluations as Parquet; a reader sees the old file or the new one, never a part."""
    temporary = path.with_suffix(".writing")
    frame = pa.Table.from_pylist(list(rows), schema=EVALUATION_SCHEMA)
    pa.parquet.write_table(frame, temporary, compression="zstd")
    temporary.replace(path)


@dataclass(frozen=True, kw_only=True)
class TabularEvidence(Evidence):
    """The evidence of one task type: its configurations' losses by every metric, and what they cost.

    What ships are datasets on which every configuration was tried; behind them may come others (see `learned`). A
    configuration that failed or ran out of time has regret 2 (the worst there is) and NaN for everything else.
    """

    task_type: TaskType
    losses: dict[str, FloatArray]  # metric → (D, C), comparable between datasets
    curves: dict[
        str, FloatArray
    ]  # metric → (D, C, A): the same after training on so few rows (`protocol.ANCHORS`)
    predict_seconds: FloatArray  # (D, C), per 1,000 rows
    memory_bytes: FloatArray  # (D, C)
    fit_seconds: FloatArray  # (D, C), CPU seconds of one fit on a full training set
    # (T, 6): dataset and configuration by index, training rows, columns, classes, CPU seconds of one fit
    timings: FloatArray

    def of(self, rows: list[int]) -> Self:
        """Only these datasets."""
        places = np.full(len(self.datasets), -1)
        places[rows] = range(len(rows))
        timings = self.timings[places[self.timings[:, 0].astype(np.int64)] >= 0]
        timings = np.column_stack([places[timings[:, 0].astype(np.int64)], timings[:, 1:]])
        return replace(
            super().of(rows),
            losses={name: values[rows] for name, values in self.losses.items()},
            curves={name: values[rows] for name, values in self.curves.items()},
            predict_seconds=self.predict_seconds[rows],
            memory_bytes=self.memory_bytes[rows],
            fit_seconds=self.fit_seconds[rows],
            timings=timings,
        )

    def arrays(self) -> dict[str, Any]:
        """All arrays by name, for `numpy.savez`: numbers and names only."""
        arrays: dict[str, Any] = {
            field.name: np.array(getattr(self, field.name))
            for field in fields(self)
            if field.name not in {"losses", "curves", "task_type"} and getattr(self, field.name) is not None
        }
        arrays |= {f"{_LOSSES}{name}": values for name, values in self.losses.items()}
        return arrays | {f"{_CURVES}{name}": values for name, values in self.curves.items()}

    def save(self, path: Path) -> None:
        """Write the arrays."""
        with path.open("wb") as file:
            np.savez_compressed(file, **self.arrays())

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Any], task_type: TaskType) -> Self:
        """The inverse of `arrays`."""
        found = dict(arrays)
        losses, curves = (
            {name.removeprefix(prefix): found.pop(name) for name in list(found) if name.startswith(prefix)}
            for prefix in (_LOSSES, _CURVES)
        )
        names = {name: tuple(values.tolist()) for name, values in found.items() if values.dtype.kind == "U"}
        return cls(task_type=task_type, losses=losses, curves=curves, **found | names)


def compile_evidence(task_type: TaskType, folder: Path = DATA_DIR) -> TabularEvidence:
    """The meta-dataset in a folder (`evaluations.parquet`, `metafeatures.parquet`) as arrays."""
    cells: dict[str, dict[str, dict[str, Any]]] = {}
    fingerprints = {each.fingerprint: each.id for each in configurations_of(task_type)}
    for row in read_evaluations(folder / "evaluations.parquet"):
        if row["task_type"] == task_type and row["fingerprint"] in fingerprints:
            cells.setdefault(row["dataset"], {})[fingerprints[row["fingerprint"]]] = row
    described = {row.pop("dataset"): row for row in _read_rows(folder / "metafeatures.parquet")}
    configurations = [
        each
        for each in configurations_of(task_type)
        if sum(each.id in row for row in cells.values()) >= _TRIED * len(cells)
    ]
    names = [
        name
        for name in sorted(cells)
        if name in described and all(each.id in cells[name] for each in configurations)
    ]
    table = [[cells[name][each.id] for each in configurations] for name in names]
    vectors = np.stack([as_vector(described[name], task_type) for name in names])
    headline, headline_a, headline_b = (_headline_losses(table, part) for part in ("", "_a", "_b"))
    floors = np.array([_fold_noise(row) for row in table])
    return TabularEvidence(
        task_type=task_type,
        datasets=tuple(names),
        groups=tuple(near_duplicate_groups(vectors, [row[0]["group"] for row in table])),
        configurations=tuple(each.id for each in configurations),
        metafeature_names=LEARNED,
        metafeatures=vectors,
        losses={metric.name: _losses(table, metric, "") for metric in metrics_of(task_type)},
        curves={metric.name: _curves(table, metric) for metric in metrics_of(task_type)},
        headline_losses=headline,
        headline_losses_a=headline_a,
        headline_losses_b=headline_b,
        regret=normalised_regret(headline, floors),
        regret_b=normalised_regret(headline_b, floors),
        predict_seconds=_column(table, "predict_cpu_seconds_per_1000_rows"),
        memory_bytes=_column(table, "peak_memory_bytes"),
        fit_seconds=_column(table, "fit_cpu_seconds"),
        timings=_timings(table, vectors),
    )


def load_evidence(task_type: TaskType, folder: Path = DATA_DIR) -> TabularEvidence:
    """What `compile_evidence` made of the shipped meta-dataset, read in milliseconds; nothing is unpickled."""
    with np.load(folder / f"evidence-{task_type}.npz", allow_pickle=False) as arrays:
        return TabularEvidence.of_arrays(arrays, task_type)


def _headline_losses(table: list[list[dict[str, Any]]], part: str) -> FloatArray:
    rows = []
    for row in table:
        metric = headline_metric(TaskType(row[0]["task_type"]), row[0]["n_classes"])
        rows.append(_losses([row], metric, part)[0])
    return np.array(rows)


def _losses(table: list[list[dict[str, Any]]], metric: Metric, part: str) -> FloatArray:
    return metric.loss(_column(table, metric.name + part), _scales(table, metric)[:, None])


def _curves(table: list[list[dict[str, Any]]], metric: Metric) -> FloatArray:
    scores = np.full((len(table), len(table[0]), len(protocol.ANCHORS)), np.nan)
    for place, row in enumerate(table):
        for index, cell in enumerate(row):
            for point in cell["learning_curve"] or ():
                if point[metric.name] is not None:
                    scores[place, index, protocol.ANCHORS.index(point["anchor"])] = point[metric.name]
    return metric.loss(scores, _scales(table, metric)[:, None, None])


def _scales(table: list[list[dict[str, Any]]], metric: Metric) -> FloatArray:
    """What one unit of loss is on each dataset, shape (D,)."""
    known = [(row[0]["target_sd"] or 1.0, row[0]["prior_entropy"] or 1.0) for row in table]
    return np.array([loss_scale(metric, target_sd=sd, prior_entropy=entropy) for sd, entropy in known])


def _fold_noise(row: list[dict[str, Any]]) -> float:
    """Standard error of the best configuration's loss over the folds: differences below it mean nothing."""
    metric = headline_metric(TaskType(row[0]["task_type"]), row[0]["n_classes"])
    best = int(np.nanargmin(_losses([row], metric, "")[0]))
    scores = [fold[metric.name] for fold in row[best]["fold_scores"] if fold[metric.name] is not None]
    scale = loss_scale(
        metric, target_sd=row[0]["target_sd"] or 1.0, prior_entropy=row[0]["prior_entropy"] or 1.0
    )
    return float(np.std(metric.loss(np.array(scores), scale), ddof=1) / np.sqrt(len(scores)))


def _column(table: list[list[dict[str, Any]]], name: str) -> FloatArray:
    return np.array(
        [[np.nan if cell[name] is None else cell[name] for cell in row] for row in table], dtype=float
    )


def _timings(table: list[list[dict[str, Any]]], vectors: FloatArray) -> FloatArray:
    """Every timed fit: full training sets, and the anchors of the learning curves."""
    columns = vectors[:, LEARNED.index("nr_attr")]
    timed = []
    for place, (row, n_columns) in enumerate(zip(table, columns, strict=True)):
        for index, cell in enumerate(row):
            n_classes = max(1, cell["n_classes"])
            if cell["fit_cpu_seconds"] is not None:
                folds = len(cell["fold_scores"])
                n_training = cell["n_rows"] * (folds - 1) / folds
                timed.append((place, index, n_training, n_columns, n_classes, cell["fit_cpu_seconds"]))
            timed += [
                (place, index, point["anchor"], n_columns, n_classes, point["fit_cpu_seconds"])
                for point in cell["learning_curve"] or ()
            ]
    return np.array(timed, dtype=np.float64)
