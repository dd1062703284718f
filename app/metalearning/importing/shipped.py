"""The shipped meta-dataset as performance matrices, so that it leaves as any other does."""

from pathlib import Path

import numpy as np

from app.metalearning.importing.matrix import STATUSES, Measure, PerformanceMatrix
from app.metalearning.metadataset import DATA_DIR, load_evidence, read_evaluations
from app.metalearning.portfolio import find_configuration
from app.metalearning.table import TaskType

MEASURE = "headline_loss"
README = """The headline loss is 1 - ROC AUC (binary), log-loss / entropy of the classes (multi-class), or RMSE / standard
deviation of the target (regression): 0 is perfect, 1 is knowing nothing (0.5 for ROC AUC). run_seconds are CPU seconds of
one fit on one thread. Runs were given up after 20 seconds per fit. cv.arff keeps near-duplicate datasets in one fold.
"""
_STATUSES = {
    "ok": "ok",
    "timeout": "timeout",
    "memory": "memout",
    "crash": "crash",
    "failed": "other",
    "not_applicable": "not_applicable",
}


def shipped_matrix(task_type: TaskType, folder: Path = DATA_DIR) -> PerformanceMatrix:
    """Headline losses and fit seconds of one task type's configurations, with near-duplicate datasets as groups."""
    evidence = load_evidence(task_type, folder)
    row_of = {name: row for row, name in enumerate(evidence.datasets)}
    column_of = {
        find_configuration(name).fingerprint: column for column, name in enumerate(evidence.configurations)
    }
    statuses = np.full(evidence.headline_losses.shape, STATUSES.index("missing"))
    seconds = np.full(evidence.headline_losses.shape, np.nan)
    for cell in read_evaluations(folder / "evaluations.parquet"):
        row, column = row_of.get(cell["dataset"]), column_of.get(cell["fingerprint"])
        if row is not None and column is not None:
            statuses[row, column] = STATUSES.index(_STATUSES[cell["status"]])
            seconds[row, column] = np.nan if cell["fit_cpu_seconds"] is None else cell["fit_cpu_seconds"]
    return PerformanceMatrix(
        measure=Measure(MEASURE, larger_is_better=False),
        datasets=evidence.datasets,
        algorithms=evidence.configurations,
        performances=evidence.headline_losses,
        statuses=statuses,
        feature_names=evidence.metafeature_names,
        features=evidence.metafeatures,
        feature_seconds=np.full(len(evidence.datasets), np.nan),
        seconds=seconds,
        folds=np.zeros((0, len(evidence.datasets)), dtype=np.int64),
        groups=evidence.groups,
    )
