"""What a build has measured so far: a Parquet file per dataset, complete after every cell."""

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.isolation import Ending, Outcome
from app.metalearning import metadataset, protocol
from app.metalearning.portfolio import Configuration, Size
from app.metalearning.table import FloatArray, Table, TaskType
from workers.experiments import evaluation
from workers.training.sources import Source, load_source

NOT_APPLICABLE = "not_applicable"
_MEASURED = (
    "fold_scores",
    "learning_curve",
    "fit_cpu_seconds",
    "fit_wall_seconds",
    "predict_cpu_seconds_per_1000_rows",
    "peak_memory_bytes",
    "probe_seconds",
)


@dataclass(frozen=True)
class Facts:
    """What all evaluations of a dataset share, and the size that decides which configurations apply."""

    columns: dict[str, Any]
    size: Size


class Part:
    """The evaluations of one dataset."""

    def __init__(self, source: Source, folder: Path) -> None:
        self.source = source
        self.rows = metadataset.read_evaluations(self._path(folder))
        self.reading = threading.Lock()  # held by whoever prepares the dataset for measuring
        self._folder = folder
        self._writing = threading.Lock()

    def store(self, facts: Facts, configuration: Configuration, found: dict[str, Any]) -> None:
        """Add an evaluation and write the file anew, so that nothing measured is lost whatever happens next."""
        row = {"configuration": configuration.id, "fingerprint": configuration.fingerprint}
        with self._writing:
            self.rows.append(facts.columns | row | found)
            metadataset.write_evaluations(self.rows, self._path(self._folder))

    def holds(self, configuration: Configuration) -> bool:
        """Whether the configuration's cell is here."""
        cell = (self.source.name, configuration.fingerprint, protocol.PROTOCOL)
        with self._writing:
            return cell in {key(row) for row in self.rows}

    def _path(self, folder: Path) -> Path:
        return folder / f"{self.source.name}.parquet"


def key(row: dict[str, Any]) -> tuple[str, str, int]:
    """What makes two evaluations the same cell."""
    return row["dataset"], row["fingerprint"], row["protocol"]


def read_facts(source: Source) -> tuple[Table, Facts]:
    """The source's typed table, and what its evaluations share."""
    table = load_source(source)
    columns = {
        "dataset": source.name,
        "group": source.group,
        "task_type": str(source.task_type),
        "protocol": protocol.PROTOCOL,
        "threads": protocol.THREADS,
        **target_facts(table),
    }
    return table, Facts(columns, evaluation.size_of(table, protocol.sample_rows(table.target_values)))


def target_facts(table: Table) -> dict[str, Any]:
    """What turns scores into losses that datasets share: measured on the rows that protocol 1 uses."""
    target: FloatArray = table.target_values[protocol.sample_rows(table.target_values)]
    facts: dict[str, Any] = {"n_rows": len(target), "n_classes": len(table.classes)}
    if table.task_type is TaskType.REGRESSION:
        return facts | {"target_sd": float(np.std(target))}
    shares = np.bincount(target.astype(np.int64)) / len(target)
    return facts | {"prior_entropy": float(-np.sum(shares[shares > 0] * np.log(shares[shares > 0])))}


def measured(result: dict[str, Any]) -> dict[str, Any]:
    """The columns of a cell that has scores, from what an experiment returned."""
    return {
        **metadataset.flatten_scores(result),
        **{name: result[name] for name in _MEASURED},
        "status": "ok",
        "versions": json.dumps(result["versions"], sort_keys=True),
    }


def fetched(found: dict[str, Any], own_probe: float) -> dict[str, Any]:
    """The columns of a cell from an evaluation as a service tells it; the builder's own probe where that tells none."""
    if found["status"] == "ok":
        points = [
            {"anchor": point["anchor"], "fit_cpu_seconds": point["fit_cpu_seconds"], **point["scores"]}
            for point in found["learning_curve"]
        ]
        return measured(found | {"learning_curve": points})
    return {
        "status": found["status"],
        "error": found["error"],
        "probe_seconds": found["probe_seconds"] or own_probe,
        "versions": json.dumps(found["versions"], sort_keys=True),
    }


def not_applicable(reason: str, probe_seconds: float) -> dict[str, Any]:
    """The columns of a cell that the algorithm's rules leave out: nothing ran."""
    return {"status": NOT_APPLICABLE, "error": reason, "probe_seconds": probe_seconds, "versions": "{}"}


def refused(configuration: Configuration, error: str, probe_seconds: float) -> dict[str, Any]:
    """The columns of a cell that the algorithm could not learn."""
    return _without_scores(configuration, "failed", error, probe_seconds)


def ended(configuration: Configuration, outcome: Outcome, probe_seconds: float) -> dict[str, Any]:
    """The columns of the cell at which its child ended."""
    status = "failed" if outcome.ending is Ending.ERROR else str(outcome.ending)
    error = outcome.error["detail"] if outcome.error else outcome.log_tail[-300:]
    return _without_scores(configuration, status, error, probe_seconds)


def _without_scores(
    configuration: Configuration, status: str, error: str, probe_seconds: float
) -> dict[str, Any]:
    versions = json.dumps(evaluation.versions(configuration))
    return {"status": status, "error": error, "probe_seconds": probe_seconds, "versions": versions}
