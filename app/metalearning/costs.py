"""What a configuration will cost: CPU seconds, predict seconds and memory as power laws of the dataset's size."""

import math
from dataclasses import dataclass

import numpy as np

from app.metalearning import protocol
from app.metalearning.metadataset import TabularEvidence
from app.metalearning.metafeatures import LEARNED
from app.metalearning.table import FloatArray

_RIDGE = 1e-2
_LEAST_SPREAD, _LEAST_PROBABILITY = 0.1, 1e-6
_LARGEST_EXPONENT = 60.0  # beyond it a cost is beyond anybody's means, and stays a finite number


@dataclass(frozen=True)
class PowerLaw:
    """log cost = coefficients · (1, log rows, log columns, log classes), one row of coefficients per configuration."""

    coefficients: FloatArray  # (configurations, 4)
    spread: FloatArray  # (configurations,): standard deviation of log cost around the law

    def predict(self, rows: float, columns: float, classes: float) -> FloatArray:
        """Expected (median) cost of every configuration, shape (configurations,)."""
        terms = [1.0, *(math.log(max(each, 1.0)) for each in (rows, columns, classes))]
        exponents = self.coefficients @ np.array(terms)
        return np.asarray(np.exp(np.minimum(exponents, _LARGEST_EXPONENT)))

    def per_gain(self, predicted: FloatArray, limit: float) -> FloatArray:
        """What a try of every configuration costs when it only counts within a limit, shape (configurations,).

        The predicted cost over the probability that the true one stays within the limit.

        Args:
            predicted: as `predict` tells.
            limit: beyond it nothing is gained.
        """
        room = (math.log(max(limit, 1e-12)) - np.log(predicted)) / np.maximum(self.spread, _LEAST_SPREAD)
        within = np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in room])
        return np.asarray(predicted / np.maximum(within, _LEAST_PROBABILITY))


@dataclass(frozen=True)
class LocalLaw:
    """A power law, mended by how far known datasets like the new one were from it."""

    law: PowerLaw
    residuals: FloatArray  # (datasets, configurations): log of true over predicted cost, 0 where nobody knows

    @classmethod
    def of(cls, law: PowerLaw, sizes: FloatArray, costs: FloatArray) -> "LocalLaw":
        """The law with its residuals on known datasets.

        Args:
            law: of every configuration.
            sizes: rows, columns and classes of every dataset, shape (datasets, 3).
            costs: shape (datasets, configurations), NaN where nobody knows.
        """
        exponents = _terms(*sizes.T) @ law.coefficients.T
        predicted = np.exp(np.minimum(exponents, _LARGEST_EXPONENT))
        return cls(law, np.nan_to_num(np.log(np.where(costs > 0, costs, np.nan) / predicted)))

    def predict(self, rows: float, columns: float, classes: float, weights: FloatArray) -> FloatArray:
        """Expected (median) cost of every configuration, shape (configurations,).

        Args:
            rows: of the new dataset.
            columns: likewise.
            classes: likewise.
            weights: how much every known dataset says about it, shape (datasets,), summing to 1.
        """
        return np.asarray(self.law.predict(rows, columns, classes) * np.exp(weights @ self.residuals))


@dataclass(frozen=True)
class Costs:
    """The three costs that an answer quotes."""

    fit_seconds: LocalLaw
    predict_seconds_per_1000_rows: PowerLaw
    memory_bytes: PowerLaw


def fit_costs(evidence: TabularEvidence) -> Costs:
    """Least squares on logarithms; times come from the learning curves too, so that they follow the rows."""
    _, index, *shape, seconds = evidence.timings.T
    fit_laws = [
        _fit_law(*(column[index == each] for column in (*shape, seconds)))
        for each in range(len(evidence.configurations))
    ]
    shapes = evidence.metafeatures[:, [LEARNED.index(name) for name in ("nr_inst", "nr_attr", "nr_class")]]
    rows, columns, classes = np.nan_to_num(shapes, nan=1.0).T
    rows = np.minimum(rows, protocol.MOST_ROWS)  # larger datasets were sampled down to this
    folds = np.array([protocol.n_folds(int(each)) for each in rows])
    trained_on = np.column_stack([rows * (folds - 1) / folds, columns, classes])
    return Costs(
        LocalLaw.of(_joined(fit_laws), trained_on, evidence.fit_seconds),
        fit_power_laws(rows, columns, classes, evidence.predict_seconds),
        fit_power_laws(rows, columns, classes, evidence.memory_bytes),
    )


def fit_power_laws(rows: FloatArray, columns: FloatArray, classes: FloatArray, costs: FloatArray) -> PowerLaw:
    """A law for every configuration.

    Args:
        rows: of every dataset, shape (datasets,).
        columns: likewise.
        classes: likewise.
        costs: shape (datasets, configurations), NaN where nobody knows.
    """
    return _joined([_fit_law(rows, columns, classes, column) for column in costs.T])


def _joined(laws: list[tuple[FloatArray, float]]) -> PowerLaw:
    return PowerLaw(np.stack([law for law, _ in laws]), np.array([spread for _, spread in laws]))


def _fit_law(
    rows: FloatArray, columns: FloatArray, classes: FloatArray, costs: FloatArray
) -> tuple[FloatArray, float]:
    """Coefficients of one configuration, and the standard deviation of log costs around its law."""
    known = costs > 0  # NaN is not
    terms = _terms(rows[known], columns[known], classes[known])
    penalty = _RIDGE * np.eye(terms.shape[1])
    penalty[0, 0] = 0
    law = np.linalg.solve(terms.T @ terms + penalty, terms.T @ np.log(costs[known]))
    return np.asarray(law), float(np.std(np.log(costs[known]) - terms @ law))


def _terms(rows: FloatArray, columns: FloatArray, classes: FloatArray) -> FloatArray:
    """What the laws are linear in, shape (points, 4)."""
    logs = [np.log(np.maximum(each, 1)) for each in (rows, columns, classes)]
    return np.column_stack([np.ones(len(rows)), *logs])
