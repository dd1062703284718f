"""Landmarkers: how well cheap learners do on the sample (Pfahringer et al. 2000; Bensusan & Giraud-Carrier 2000).

Every learner is scored on three folds. `score` in the schema is the accuracy (classification) or R², not below -1
(regression): pymfe's landmarkers, equal on equal rows and folds. `skill` is the mean one-vs-rest AUC, or again R²; the
recommender's own landmarkers.
"""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from app.metalearning.metafeatures.definitions import Values, summaries
from app.metalearning.metafeatures.sample import Sample, full_tree
from app.metalearning.protocol import SEED, assign_folds, sample_rows
from app.metalearning.table import FloatArray, IntArray

N_FOLDS = 3
MOST_BOOSTED_CLASSES = 20


@dataclass(frozen=True)
class Learner:
    """A cheap learner, what its results are called, and what it learns from."""

    make: Callable[[], Any]
    score: str | None = None
    skill: str | None = None
    columns: Literal["all", "random", "most important", "least important"] = "all"
    fraction: float = 1.0

    @property
    def names(self) -> tuple[str, ...]:
        """The metafeatures that it gives."""
        scored = (f"{self.score}.mean", f"{self.score}.sd") if self.score else ()
        return (*scored, *((self.skill,) if self.skill else ()))


def extract(sample: Sample, deadline: float) -> tuple[Values, dict[str, float]]:
    """The landmarkers that fit into the time, and the seconds that each took, by its names.

    A learner that is not done by the deadline is left out; one that refuses the data has no value.

    Args:
        sample: what to learn from.
        deadline: on the clock of `time.perf_counter`.
    """
    folds = assign_folds(sample.target, N_FOLDS)
    importances: list[FloatArray] = []
    values: Values = {"lm_boosting": None} if sample.n_classes > MOST_BOOSTED_CLASSES else {}
    seconds: dict[str, float] = {}
    for learner in learners(sample.n_classes):
        began = time.perf_counter()
        try:
            values |= _measured(learner, sample, folds, importances, deadline)
        except TimeoutError:
            continue
        took = time.perf_counter() - began
        seconds |= {name.removesuffix(".mean").removesuffix(".sd"): took for name in learner.names}
    return values, seconds


def learners(n_classes: int) -> tuple[Learner, ...]:
    """Those of the task type, cheap ones first."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis  # noqa: PLC0415  kept out of the API process
    from sklearn.ensemble import (  # noqa: PLC0415
        ExtraTreesClassifier,
        ExtraTreesRegressor,
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
    )
    from sklearn.linear_model import Ridge  # noqa: PLC0415
    from sklearn.naive_bayes import GaussianNB  # noqa: PLC0415
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor  # noqa: PLC0415
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor  # noqa: PLC0415

    seeded = {"random_state": SEED}
    if n_classes:
        tree, neighbour, extra_trees = DecisionTreeClassifier, KNeighborsClassifier, ExtraTreesClassifier
        boosting, linear = (
            HistGradientBoostingClassifier,
            lambda: LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
        )
    else:
        tree, neighbour, extra_trees = DecisionTreeRegressor, KNeighborsRegressor, ExtraTreesRegressor
        boosting, linear = HistGradientBoostingRegressor, Ridge

    def stump() -> Any:
        return tree(max_depth=1, **seeded)

    def forest() -> Any:
        return extra_trees(30, min_samples_leaf=2, **seeded)

    of_classes = (
        Learner(GaussianNB, score="naive_bayes", skill="lm_naive_bayes"),
        Learner(LinearDiscriminantAnalysis, score="linear_discr"),
    )
    # A round of boosting grows a tree per class.
    rounds = (Learner(lambda: boosting(max_iter=30, early_stopping=False, **seeded), skill="lm_boosting"),)
    return (
        Learner(stump, score="best_node", skill="lm_stump"),
        Learner(lambda: neighbour(1), score="one_nn", skill="lm_one_nn"),
        Learner(lambda: tree(max_depth=3, **seeded), skill="lm_tree_3"),
        Learner(linear, skill="lm_linear"),
        *(of_classes if n_classes else ()),
        Learner(forest, skill="lm_extra_trees"),
        *(rounds if n_classes <= MOST_BOOSTED_CLASSES else ()),
        Learner(linear, skill="lm_linear_small", fraction=0.25),
        Learner(forest, skill="lm_extra_trees_small", fraction=0.25),
        Learner(stump, score="random_node", columns="random"),
        Learner(stump, score="worst_node", columns="least important"),
        Learner(lambda: neighbour(1), score="elite_nn", columns="most important"),
    )


def _measured(
    learner: Learner, sample: Sample, folds: IntArray, importances: list[FloatArray], deadline: float
) -> Values:
    """The learner's metafeatures; none of them defined where it refuses. Raises: TimeoutError."""
    scores, skills = [], []
    for fold in range(N_FOLDS):
        training, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        columns = _columns(learner, sample, training, fold, importances, deadline)
        if time.perf_counter() > deadline:
            raise TimeoutError
        rows = training[sample_rows(sample.target[training], max(10, int(learner.fraction * len(training))))]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                score, skill = _score(
                    learner.make(), sample.data[:, columns], sample.target, rows, test, sample.n_classes
                )
        except (
            ValueError,
            IndexError,
            np.linalg.LinAlgError,
        ):  # each says in its way that it cannot learn from this
            return dict.fromkeys(learner.names)
        scores.append(score)
        skills.append(skill)
    return (summaries(learner.score, np.array(scores)) if learner.score else {}) | (
        {learner.skill: float(np.mean(skills))} if learner.skill else {}
    )


def _columns(
    learner: Learner,
    sample: Sample,
    training: IntArray,
    fold: int,
    importances: list[FloatArray],
    deadline: float,
) -> slice | list[int]:
    """What the learner may look at; the full trees that tell what matters are grown once per fold."""
    if learner.columns == "all":
        return slice(None)
    if learner.columns == "random":
        # The generator is the legacy one so that the draw is the one that pymfe makes with the same seed.
        return [int(np.random.RandomState(SEED).randint(0, sample.data.shape[1]))]
    while len(importances) <= fold:
        if time.perf_counter() > deadline:
            raise TimeoutError
        importances.append(full_tree(sample, training).feature_importances_)
    order = np.argsort(importances[fold])
    return [int(order[0 if learner.columns == "least important" else -1])]


def _score(
    model: Any, data: FloatArray, target: FloatArray, training: IntArray, test: IntArray, n_classes: int
) -> tuple[float, float]:
    """Score and skill on the test rows. Raises: ValueError where the learner refuses."""
    if len(np.unique(target[training])) < 2:
        raise ValueError("one class only")
    model.fit(data[training], target[training])
    if not n_classes:
        r2 = _r2(target[test], model.predict(data[test]))
        return r2, r2
    probabilities = np.nan_to_num(model.predict_proba(data[test]))
    predicted = model.classes_[probabilities.argmax(axis=1)]
    return float(np.mean(predicted == target[test])), _auc(target[test], probabilities, model.classes_)


def _auc(target: FloatArray, probabilities: FloatArray, classes: FloatArray) -> float:
    """Mean over the classes at hand of the one-vs-rest AUC, from ranks (Mann-Whitney); 0.5 where undefined."""
    from scipy.stats import rankdata  # noqa: PLC0415  kept out of the API process

    scores = []
    for column, label in enumerate(classes):
        positive = target == label
        n_positive, n_negative = int(positive.sum()), int((~positive).sum())
        if n_positive and n_negative:
            ranks = rankdata(probabilities[:, column])
            surplus = ranks[positive].sum() - n_positive * (n_positive + 1) / 2
            scores.append(surplus / (n_positive * n_negative))
    return float(np.mean(scores)) if scores else 0.5


def _r2(target: FloatArray, predictions: FloatArray) -> float:
    spread = np.sum((target - target.mean()) ** 2)
    return max(-1.0, 1.0 - float(np.sum((target - predictions) ** 2) / spread)) if spread > 0 else 0.0
