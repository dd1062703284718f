"""What a configuration will cost: CPU seconds, predict seconds and memory as power laws of the dataset's size."""

from dataclasses import dataclass

import numpy as np

from app.metalearning.metadataset import TabularEvidence
from app.metalearning.metafeatures import LEARNED
from app.metalearning.table import FloatArray

_RIDGE = 1e-2
_LARGEST_EXPONENT = 60.0  # beyond it a cost is beyond anybody's means, and stays a finite number


@dataclass(frozen=True)
class PowerLaw:
    """log cost = coefficients · (1, log rows, log columns, log classes), one row of coefficients per configuration."""

    coefficients: FloatArray  # (configurations, 4)

    def predict(self, rows: float, columns: float, classes: float) -> FloatArray:
        """Expected (median) cost of every configuration, shape (configurations,)."""
        exponents = self.coefficients @ _terms(rows, columns, classes)
        return np.asarray(np.exp(np.minimum(exponents, _LARGEST_EXPONENT)))


@dataclass(frozen=True)
class Costs:
    """The three laws that an answer quotes."""

    fit_seconds: PowerLaw
    predict_seconds_per_1000_rows: PowerLaw
    memory_bytes: PowerLaw


def fit_costs(evidence: TabularEvidence) -> Costs:
    """Least squares on logarithms; times come from the learning curves too, so that they follow the rows."""
    n_configurations = len(evidence.configurations)
    fit_seconds = np.stack(
        [
            _fit_law(*evidence.timings[evidence.timings[:, 0] == index, 1:].T)
            for index in range(n_configurations)
        ]
    )
    shapes = evidence.metafeatures[:, [LEARNED.index(name) for name in ("nr_inst", "nr_attr", "nr_class")]]
    rows, columns, classes = np.nan_to_num(shapes, nan=1.0).T
    rows = np.minimum(rows, 4_000)  # protocol 1 sampled larger datasets down to this

    def laws(costs: FloatArray) -> PowerLaw:
        return PowerLaw(np.stack([_fit_law(rows, columns, classes, column) for column in costs.T]))

    return Costs(PowerLaw(fit_seconds), laws(evidence.predict_seconds), laws(evidence.memory_bytes))


def _fit_law(rows: FloatArray, columns: FloatArray, classes: FloatArray, costs: FloatArray) -> FloatArray:
    known = costs > 0  # NaN is not
    terms = np.stack(
        [_terms(*point) for point in zip(rows[known], columns[known], classes[known], strict=True)]
    )
    penalty = _RIDGE * np.eye(terms.shape[1])
    penalty[0, 0] = 0
    return np.asarray(np.linalg.solve(terms.T @ terms + penalty, terms.T @ np.log(costs[known])))


def _terms(rows: float, columns: float, classes: float) -> FloatArray:
    return np.array([1.0, np.log(max(rows, 1)), np.log(max(columns, 1)), np.log(max(classes, 1))])
