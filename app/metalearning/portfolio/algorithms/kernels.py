"""Nearest neighbours and kernels."""

from app.metalearning.portfolio.algorithm import Algorithm
from app.metalearning.portfolio.expressions import call
from app.metalearning.portfolio.feasibility import Requirements
from app.metalearning.portfolio.preparation import ranked_numbers, scaled_numbers
from app.metalearning.portfolio.spaces import Choice, Condition, Integer, Real
from app.metalearning.table import TaskType

_CLASSIFICATION, _REGRESSION = TaskType.CLASSIFICATION, TaskType.REGRESSION

KERNELS = (
    Algorithm(
        "nystroem",
        "kernel",
        "sklearn.linear_model.LogisticRegression",
        "sklearn.linear_model.Ridge",
        hyperparameters=(
            Real("C", 1e-3, 1e3, log=True, default=1.0, only=_CLASSIFICATION),
            Integer("max_iter", 100, 1000, default=100, only=_CLASSIFICATION),
            Real("alpha", 1e-4, 1e2, log=True, default=1.0, only=_REGRESSION),
        ),
        preparation=ranked_numbers,
        expansion=(call("sklearn.kernel_approximation.Nystroem", n_components=200, random_state=0),),
    ),
    Algorithm(
        "knn",
        "neighbours",
        "sklearn.neighbors.KNeighborsClassifier",
        "sklearn.neighbors.KNeighborsRegressor",
        {"n_jobs": 1},
        hyperparameters=(
            Integer("n_neighbors", 1, 50, log=True, default=5),
            Choice("weights", ("uniform", "distance"), default="uniform"),
            Choice("metric", ("minkowski", "manhattan", "chebyshev"), default="minkowski"),
        ),
        requirements=Requirements(most_rows=200_000),
        preparation=scaled_numbers,
    ),
    Algorithm(
        "svm",
        "kernel",
        "sklearn.svm.SVC",
        "sklearn.svm.SVR",
        {"cache_size": 500},
        hyperparameters=(
            Real("C", 1e-2, 1e3, log=True, default=1.0),
            Choice("kernel", ("rbf", "poly", "sigmoid"), default="rbf"),
            Choice("gamma", ("scale", "auto", 0.001, 0.01, 0.1), default="scale"),
            Integer("degree", 2, 4, default=3, when=Condition("kernel", ("poly",))),
            Real("coef0", 0.0, 1.0, default=0.0, when=Condition("kernel", ("poly", "sigmoid"))),
            Real("epsilon", 1e-3, 1.0, log=True, default=0.1, only=_REGRESSION),
        ),
        requirements=Requirements(most_rows=20_000),
        preparation=scaled_numbers,
        scales_target=True,
        needs_calibration=True,
    ),
)
