"""Preparations of data, fitted once per training set and shared by the configurations that ask for the same one.

Nothing is shared across training sets, and a pipeline whose first step was fitted here learns and predicts what it would
have learned and predicted as a whole, bit by bit.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from app.metalearning.portfolio.expressions import Call
from app.metalearning.table import FloatArray, IntArray
from workers.experiments import pipelines
from workers.experiments.pipelines import Steps

# What is prepared beyond this is prepared anew for every configuration, so that wide tables fit into a child's memory.
MOST_KEPT_BYTES = 512 << 20


@dataclass(frozen=True)
class Prepared:
    """Training and test rows as an estimator takes them, and what preparing them cost."""

    training: FloatArray
    test: FloatArray
    fit_cpu_seconds: float
    fit_wall_seconds: float
    transform_cpu_seconds: float

    @property
    def n_bytes(self) -> int:
        """Memory of both parts."""
        return int(self.training.nbytes + self.test.nbytes)


class Preparations:
    """What has been prepared of one dataset's feature columns."""

    def __init__(self, data: pd.DataFrame) -> None:
        self._data = data
        self._kept: dict[tuple[str, bytes, bytes], Prepared] = {}

    def prepare(self, steps: Steps, training: IntArray, test: IntArray, target: Any) -> Prepared:
        """Fit the preparation on the training rows, unless that was done before, and apply it to both parts.

        Args:
            steps: of the pipeline whose preparation it is.
            training: positions of rows.
            test: positions of rows.
            target: what is learned from the training rows; the same for the same rows.

        Returns: arrays to read, not to write to.
        """
        key = (steps.preparation_source, training.tobytes(), test.tobytes())
        if key not in self._kept:
            prepared = self._fit(steps.preparation, training, test, target)
            if prepared.n_bytes + sum(each.n_bytes for each in self._kept.values()) > MOST_KEPT_BYTES:
                return prepared
            self._kept[key] = prepared
        return self._kept[key]

    def _fit(self, preparation: Call, training: IntArray, test: IntArray, target: Any) -> Prepared:
        model = pipelines.build(preparation)
        learned, fit_cpu, fit_wall = timed(lambda: model.fit_transform(self._data.iloc[training], target))
        applied, transform_cpu, _ = timed(lambda: model.transform(self._data.iloc[test]))
        return Prepared(learned, applied, fit_cpu, fit_wall, transform_cpu)


def timed(function: Callable[[], Any]) -> tuple[Any, float, float]:
    """The function's value, CPU seconds and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    value = function()
    return value, time.process_time() - cpu, time.perf_counter() - wall
