"""Meta-models: how the predictions of several configurations become one, learned from predictions out of fold.

None of them may turn a configuration's word around. What a fold predicts knows a little of the other folds' targets, with the
wrong sign, and a negative weight makes seeming skill of it: without these bounds a stack of learners that know nothing had a
ROC AUC of .53 on 100 rows of random targets. So weights are non-negative and boosted trees monotone; the logistic regression and
what is learned of several classes at once can be neither, and are held back instead.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.optimize import nnls
from sklearn.model_selection import cross_val_predict

from app.metalearning.portfolio.expressions import Call, call
from app.metalearning.table import FloatArray
from workers.experiments import pipelines, scoring

_N_SELECTIONS = 25
_INNER_FOLDS = 5

# Of each configuration, out of fold: probabilities of shape (rows, classes), or numbers of shape (rows,).
Predictions = Sequence[FloatArray]
Estimators = Sequence[tuple[str, Call]]


class Learned(Protocol):
    """A meta-model that has learned."""

    @property
    def used(self) -> list[int]:
        """The configurations whose predictions it needs."""

    @property
    def n_fits(self) -> int:
        """How often each of these is fitted when the whole stack is."""

    def predict(self, predictions: Predictions) -> FloatArray:
        """One prediction of all."""

    def expression(self, estimators: Estimators) -> Call:
        """The whole stack as a scikit-learn expression, of the estimators of all configurations."""

    def facts(self, names: Sequence[str]) -> dict[str, Any]:
        """What there is to tell of it, with the configurations by their names."""


Learn = Callable[[Predictions, FloatArray], Learned]


@dataclass(frozen=True)
class WeightedMean:
    """The mean of the predictions, weighted."""

    weights: FloatArray  # (configurations,), summing to 1
    of_classes: bool
    n_fits: int = 1

    @property
    def used(self) -> list[int]:
        """Those with a weight."""
        return [int(index) for index in np.flatnonzero(self.weights)]

    def predict(self, predictions: Predictions) -> FloatArray:
        """The weighted mean."""
        return np.asarray(sum(weight * each for weight, each in zip(self.weights, predictions, strict=True)))

    def expression(self, estimators: Estimators) -> Call:
        """The one that has all the weight, or scikit-learn's voting of those that have some."""
        used = self.used
        if len(used) == 1:
            return estimators[used[0]][1]
        voters, weights = [estimators[index] for index in used], self.weights[used].tolist()
        if self.of_classes:
            return call("sklearn.ensemble.VotingClassifier", voters, voting="soft", weights=weights)
        return call("sklearn.ensemble.VotingRegressor", voters, weights=weights)

    def facts(self, names: Sequence[str]) -> dict[str, Any]:
        """The weights."""
        return {"weights": {names[index]: float(self.weights[index]) for index in self.used}}


@dataclass(frozen=True)
class FinalEstimator:
    """An estimator that learned from the predictions as features."""

    estimator: Call
    fitted: Any
    n_configurations: int
    n_classes: int  # 0 for numbers
    n_fits: int = 1 + _INNER_FOLDS

    @classmethod
    def fit(cls, estimator: Call, predictions: Predictions, target: FloatArray) -> "FinalEstimator":
        """Have it learn."""
        n_classes = predictions[0].shape[1] if predictions[0].ndim == 2 else 0
        known = target.astype(np.int64) if n_classes else target
        fitted = pipelines.build(estimator).fit(features_of(predictions), known)
        return cls(estimator, fitted, len(predictions), n_classes)

    @property
    def used(self) -> list[int]:
        """All of them."""
        return list(range(self.n_configurations))

    def predict(self, predictions: Predictions) -> FloatArray:
        """What the estimator makes of them; a class that it never saw has no probability."""
        features = features_of(predictions)
        if not self.n_classes:
            return np.asarray(self.fitted.predict(features), dtype=np.float64)
        probabilities = np.zeros((len(features), self.n_classes))
        probabilities[:, self.fitted.classes_] = self.fitted.predict_proba(features)
        return probabilities

    def expression(self, estimators: Estimators) -> Call:
        """Scikit-learn's stacking, which makes predictions out of fold of its own."""
        if self.n_classes:
            return call(
                "sklearn.ensemble.StackingClassifier",
                list(estimators),
                self.estimator,
                cv=_INNER_FOLDS,
                stack_method="predict_proba",
            )
        return call("sklearn.ensemble.StackingRegressor", list(estimators), self.estimator, cv=_INNER_FOLDS)

    def facts(self, names: Sequence[str]) -> dict[str, Any]:  # noqa: ARG002  it weighs none by name
        """Nothing: it is an estimator like others."""
        return {}


def features_of(predictions: Predictions) -> FloatArray:
    """The predictions side by side as scikit-learn's stacking has them: of two classes the second one's probabilities."""
    if predictions[0].ndim == 1:
        return np.column_stack(list(predictions))
    return np.hstack([each[:, 1:] if each.shape[1] == 2 else each for each in predictions])


def select(predictions: Predictions, target: FloatArray) -> WeightedMean:
    """Greedy ensemble selection: the mean of the chosen is improved step by step (Caruana et al. 2004).

    What improves is log-loss for probabilities and squared error for numbers. A weight is how often one is chosen.
    """
    of_classes = predictions[0].ndim == 2
    if of_classes:
        each = np.stack([one[np.arange(len(target)), target.astype(np.int64)] for one in predictions])
    else:
        each = np.stack(predictions)
    chosen, counts = np.zeros(len(target)), np.zeros(len(predictions))
    for step in range(1, _N_SELECTIONS + 1):
        means = (chosen + each) / step
        if of_classes:
            gains = np.log(np.maximum(means, scoring.SMALLEST_PROBABILITY))
        else:
            gains = -((means - target) ** 2)
        best = int(np.argmax(gains.mean(axis=1)))
        chosen, counts[best] = chosen + each[best], counts[best] + 1
    return WeightedMean(counts / _N_SELECTIONS, of_classes)


def least_squares(predictions: Predictions, target: FloatArray) -> WeightedMean:
    """Non-negative weights of least squared error, scaled to sum 1 (Breiman 1996); of classes against their indicators."""
    of_classes = predictions[0].ndim == 2
    truth = np.eye(predictions[0].shape[1])[target.astype(np.int64)].ravel() if of_classes else target
    weights = nnls(np.column_stack([each.ravel() for each in predictions]), truth)[0]
    if not weights.sum():
        weights = np.ones(len(predictions))
    return WeightedMean(weights / weights.sum(), of_classes)


def linear(predictions: Predictions, target: FloatArray) -> FinalEstimator:
    """Logistic regression, or ridge regression with non-negative weights."""
    if predictions[0].ndim == 2:
        return FinalEstimator.fit(_LOGISTIC, predictions, target)
    return FinalEstimator.fit(_RIDGE, predictions, target)


def boosting(predictions: Predictions, target: FloatArray) -> FinalEstimator:
    """A few small boosted trees, monotone but for several classes, which scikit-learn has no such trees for."""
    return FinalEstimator.fit(_boosted(predictions), predictions, target)


def two_layers(combine: Callable[[Predictions, FloatArray], WeightedMean]) -> Learn:
    """A second layer between configurations and weights: a line, boosted trees and a forest learn from all predictions.

    Args:
        combine: weighs the second layer's own predictions out of fold.
    """

    def learn(predictions: Predictions, target: FloatArray) -> FinalEstimator:
        of_classes = predictions[0].ndim == 2
        layer = [
            ("linear", _LOGISTIC if of_classes else _RIDGE),
            ("boosting", _boosted(predictions)),
            ("forest", _FOREST_OF_CLASSES if of_classes else _FOREST),
        ]
        features, known = features_of(predictions), target.astype(np.int64) if of_classes else target
        method = "predict_proba" if of_classes else "predict"
        out_of_fold = [
            cross_val_predict(pipelines.build(each), features, known, cv=_INNER_FOLDS, method=method)
            for _, each in layer
        ]
        codes = np.searchsorted(np.unique(known), known) if of_classes else known
        weighted = combine(out_of_fold, np.asarray(codes, dtype=np.float64))
        return FinalEstimator.fit(weighted.expression(layer), predictions, target)

    return learn


# By the names that requests know them by.
META_MODELS: dict[str, Learn] = {
    "selection": select,
    "least_squares": least_squares,
    "linear": linear,
    "boosting": boosting,
}

_LOGISTIC = call("sklearn.linear_model.LogisticRegression", C=0.1, max_iter=1000)
_RIDGE = call(
    "sklearn.pipeline.make_pipeline",
    call("sklearn.preprocessing.StandardScaler"),
    call("sklearn.linear_model.Ridge", alpha=1.0, positive=True),
)
_BOOSTED: dict[str, Any] = {
    "max_iter": 30,
    "max_leaf_nodes": 4,
    "min_samples_leaf": 20,
    "early_stopping": False,
    "random_state": 0,
}
_GROWN: dict[str, Any] = {"n_estimators": 100, "min_samples_leaf": 10, "random_state": 0, "n_jobs": 1}
_FOREST = call("sklearn.ensemble.ExtraTreesRegressor", **_GROWN)
_FOREST_OF_CLASSES = call("sklearn.ensemble.ExtraTreesClassifier", **_GROWN)


def _boosted(predictions: Predictions) -> Call:
    monotone = [1] * features_of([each[:1] for each in predictions]).shape[1]
    if predictions[0].ndim == 1:
        return call("sklearn.ensemble.HistGradientBoostingRegressor", **_BOOSTED, monotonic_cst=monotone)
    if predictions[0].shape[1] == 2:
        return call("sklearn.ensemble.HistGradientBoostingClassifier", **_BOOSTED, monotonic_cst=monotone)
    return call("sklearn.ensemble.HistGradientBoostingClassifier", **_BOOSTED)
