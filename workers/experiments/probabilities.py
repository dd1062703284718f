"""Calibrated probabilities: what a classifier says, mended by how often it was right out of fold."""

import dataclasses

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from app.metalearning.portfolio.expressions import Call, call
from app.metalearning.protocol.splits import UNTESTED, Plan
from app.metalearning.table import FloatArray, IntArray, TaskType
from workers.experiments import scoring
from workers.experiments.measured import Measured

_FOLDS = 5
N_FITS = 1 + _FOLDS  # of what is calibrated


def calibrated(method: str, measured: Measured, target: FloatArray, plan: Plan) -> Measured:
    """The same with calibrated predictions: of every fold by what the others' predictions and targets tell.

    Args:
        method: `sigmoid`, `isotonic` or `temperature`, as scikit-learn has them.
        measured: probabilities of shape (rows, classes).
        target: class codes, shape (rows,).
        plan: of rows that are independent of one another.
    """
    predictions = np.full_like(measured.predictions, np.nan)
    codes = target.astype(np.int64)
    for split in plan.splits:
        known = split.training[plan.folds[split.training] != UNTESTED]
        predictions[split.test] = _mended(method, measured.predictions, codes, known, split.test)
    of_all, of_a = (
        scoring.score(TaskType.CLASSIFICATION, target[rows], predictions[rows])
        for rows in (plan.folds != UNTESTED, plan.halves == 0)
    )
    return dataclasses.replace(measured, predictions=predictions, scores=of_all, scores_a=of_a)


def expression(method: str, classifier: Call) -> Call:
    """The classifier with its calibration: fitted on all rows, calibrated by predictions out of fold."""
    return call(
        "sklearn.calibration.CalibratedClassifierCV", classifier, method=method, cv=_FOLDS, ensemble=False
    )


def _mended(
    method: str, probabilities: FloatArray, codes: IntArray, known: IntArray, test: IntArray
) -> FloatArray:
    labels = np.unique(codes[known])
    given = _AsGiven().fit(probabilities[known][:, labels], np.searchsorted(labels, codes[known]))
    model = CalibratedClassifierCV(FrozenEstimator(given), method=method, cv=_FOLDS, ensemble=False)
    model.fit(probabilities[known][:, labels], given.known_)
    mended = np.zeros((len(test), probabilities.shape[1]))
    mended[:, labels] = model.predict_proba(probabilities[test][:, labels])
    return mended


class _AsGiven(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A classifier whose features are its probabilities."""

    def fit(self, _: FloatArray, codes: IntArray) -> "_AsGiven":
        """Learn which classes there are."""
        self.known_ = codes
        self.classes_ = np.unique(codes)
        return self

    def predict_proba(self, probabilities: FloatArray) -> FloatArray:
        """What was given."""
        return probabilities

    def predict(self, probabilities: FloatArray) -> IntArray:
        """The most probable class."""
        return np.asarray(self.classes_[probabilities.argmax(axis=1)])
