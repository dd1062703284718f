"""Single trees and forests of them."""

from app.metalearning.portfolio.algorithm import ONE_THREAD, SEED, Algorithm
from app.metalearning.portfolio.spaces import Choice, Condition, Hyperparameter, Integer, Real
from app.metalearning.table import TaskType

_LEAVES: tuple[Hyperparameter, ...] = (
    Integer("max_depth", 2, 40, log=True),
    Integer("min_samples_leaf", 1, 50, log=True, default=1),
)


def _forest(*, bootstrap: bool) -> tuple[Hyperparameter, ...]:
    """The hyperparameters of a forest; `bootstrap` is the library's default."""
    return (
        Integer("n_estimators", 50, 1000, log=True, default=100),
        *_LEAVES,
        Real("max_features", 0.05, 1.0, default="sqrt", only=TaskType.CLASSIFICATION),
        Real("max_features", 0.05, 1.0, default=1.0, only=TaskType.REGRESSION),
        Choice("bootstrap", (True, False), default=bootstrap),
        Real("max_samples", 0.3, 1.0, when=Condition("bootstrap", (True,))),
    )


TREES = (
    Algorithm(
        "decision_tree",
        "tree",
        "sklearn.tree.DecisionTreeClassifier",
        "sklearn.tree.DecisionTreeRegressor",
        SEED,
        hyperparameters=(
            *_LEAVES,
            Real("max_features", 0.1, 1.0),
            Real("ccp_alpha", 1e-5, 0.1, log=True, default=0.0),
        ),
        interpretable=True,
    ),
    Algorithm(
        "random_forest",
        "random_forest",
        "sklearn.ensemble.RandomForestClassifier",
        "sklearn.ensemble.RandomForestRegressor",
        ONE_THREAD,
        hyperparameters=_forest(bootstrap=True),
    ),
    Algorithm(
        "extra_trees",
        "extra_trees",
        "sklearn.ensemble.ExtraTreesClassifier",
        "sklearn.ensemble.ExtraTreesRegressor",
        ONE_THREAD,
        hyperparameters=_forest(bootstrap=False),
    ),
)
