"""Small matrices and scenarios for tests of imported meta-datasets."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from app.metalearning.importing import Measure, PerformanceMatrix
from app.metalearning.importing.matrix import MISSING, OK, STATUSES

TIMEOUT = STATUSES.index("timeout")
ACCURACY = Measure("accuracy", larger_is_better=True)
RUN_TIME = Measure("seconds", larger_is_better=False, is_run_time=True, cutoff_seconds=100.0)


def matrix(performances: Any, measure: Measure = ACCURACY, **parts: Any) -> PerformanceMatrix:
    """A matrix of which all that is not given is plain: NaN is missing, features tell every dataset apart."""
    values = np.array(performances, dtype=float)
    n_datasets, n_algorithms = values.shape
    plain = PerformanceMatrix(
        measure=measure,
        datasets=tuple(f"d{row}" for row in range(n_datasets)),
        algorithms=tuple(f"a{column}" for column in range(n_algorithms)),
        performances=np.zeros(values.shape),
        statuses=np.zeros(values.shape, dtype=np.int64),
        feature_names=("size", "shape"),
        features=np.random.default_rng(0).random((n_datasets, 2)),
        feature_seconds=np.full(n_datasets, np.nan),
        seconds=np.full(values.shape, np.nan),
        folds=np.zeros((0, n_datasets), dtype=np.int64),
    )
    statuses = np.where(np.isnan(values), MISSING, OK)
    return replace(plain, **{"performances": values, "statuses": statuses, **parts})


def decided(n_datasets: int = 40, measure: Measure = ACCURACY, **parts: Any) -> PerformanceMatrix:
    """The first feature decides which of two algorithms is good; a third is never best and never bad."""
    random = np.random.default_rng(0)
    first = np.arange(n_datasets) % 2 == 0
    noise = 0.01 * random.random((n_datasets, 3))
    performances = np.column_stack([0.9 - 0.5 * ~first, 0.9 - 0.5 * first, np.full(n_datasets, 0.7)]) + noise
    features = np.column_stack([first + 0.2 * random.random(n_datasets), random.random((n_datasets, 7))])
    return matrix(
        performances if measure.larger_is_better else 50 * (1 - performances),
        measure,
        feature_names=tuple(f"f{column}" for column in range(8)),
        features=features,
        **parts,
    )


def differences(one: PerformanceMatrix, two: PerformanceMatrix) -> list[str]:
    """The parts in which two matrices are not the same."""
    return [
        name for name, value in vars(one).items() if name in _PARTS and not _same(value, getattr(two, name))
    ]


def write_files(folder: Path, files: dict[str, str]) -> Path:
    """A folder with these texts."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


_PARTS = set(PerformanceMatrix.__dataclass_fields__)


def _same(one: Any, two: Any) -> bool:
    if isinstance(one, np.ndarray):
        return one.shape == two.shape and np.array_equal(one, two, equal_nan=one.dtype.kind == "f")
    return bool(one == two)
