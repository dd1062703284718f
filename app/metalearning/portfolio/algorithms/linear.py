"""Linear and additive models."""

from app.metalearning.portfolio.algorithm import SEED, Algorithm
from app.metalearning.portfolio.feasibility import Requirements
from app.metalearning.portfolio.preparation import additive_numbers, ranked_numbers, scaled_numbers
from app.metalearning.portfolio.spaces import Choice, Condition, Integer, Real
from app.metalearning.table import TaskType

_CLASSIFICATION, _REGRESSION = TaskType.CLASSIFICATION, TaskType.REGRESSION
# For what works on a matrix of columns by columns.
_NOT_WIDE = Requirements(most_columns=3_000)

LINEAR = (
    Algorithm(
        "logistic_regression",
        "linear",
        "sklearn.linear_model.LogisticRegression",
        None,
        {"max_iter": 1000},
        hyperparameters=(Real("C", 1e-4, 1e3, log=True, default=1.0),),
        preparation=scaled_numbers,
        interpretable=True,
    ),
    Algorithm(
        "ridge",
        "linear",
        None,
        "sklearn.linear_model.Ridge",
        hyperparameters=(Real("alpha", 1e-3, 1e4, log=True, default=1.0),),
        preparation=scaled_numbers,
        interpretable=True,
    ),
    Algorithm(
        "elastic_net",
        "linear",
        None,
        "sklearn.linear_model.ElasticNet",
        hyperparameters=(
            Real("alpha", 1e-4, 1.0, log=True, default=1.0),
            Real("l1_ratio", 0.0, 1.0, default=0.5),
        ),
        preparation=scaled_numbers,
        scales_target=True,
        interpretable=True,
    ),
    Algorithm(
        "elastic_net_logistic",
        "linear",
        "sklearn.linear_model.LogisticRegression",
        None,
        {"solver": "saga", "max_iter": 300, **SEED},
        hyperparameters=(
            Real("C", 1e-4, 1e2, log=True, default=1.0),
            Real("l1_ratio", 0.0, 1.0, default=0.0),
        ),
        preparation=scaled_numbers,
        interpretable=True,
    ),
    Algorithm(
        "bayesian_ridge",
        "linear",
        None,
        "sklearn.linear_model.BayesianRidge",
        hyperparameters=(
            Real("alpha_1", 1e-8, 1e-2, log=True, default=1e-6),
            Real("lambda_1", 1e-8, 1e-2, log=True, default=1e-6),
        ),
        requirements=_NOT_WIDE,
        preparation=ranked_numbers,
        interpretable=True,
    ),
    Algorithm(
        "huber",
        "linear",
        None,
        "sklearn.linear_model.HuberRegressor",
        {"max_iter": 500},
        hyperparameters=(
            Real("epsilon", 1.05, 3.0, default=1.35),
            Real("alpha", 1e-6, 10.0, log=True, default=1e-4),
        ),
        preparation=scaled_numbers,
        scales_target=True,
        interpretable=True,
    ),
    Algorithm(
        "linear_svm",
        "linear_svm",
        "sklearn.svm.LinearSVC",
        "sklearn.svm.LinearSVR",
        {"dual": "auto", "max_iter": 2000, **SEED},
        hyperparameters=(
            Real("C", 1e-3, 1e2, log=True, default=1.0),
            Real("epsilon", 0.0, 1.0, default=0.0, only=_REGRESSION),
        ),
        preparation=scaled_numbers,
        scales_target=True,
        needs_calibration=True,
        interpretable=True,
    ),
    Algorithm(
        "spline",
        "additive",
        "sklearn.linear_model.LogisticRegression",
        "sklearn.linear_model.Ridge",
        hyperparameters=(
            Real("C", 1e-3, 1e2, log=True, default=1.0, only=_CLASSIFICATION),
            Integer("max_iter", 100, 1000, default=100, only=_CLASSIFICATION),
            Real("alpha", 1e-3, 1e3, log=True, default=1.0, only=_REGRESSION),
        ),
        preparation=additive_numbers,
        interpretable=True,
    ),
    Algorithm(
        "lda",
        "discriminant",
        "sklearn.discriminant_analysis.LinearDiscriminantAnalysis",
        None,
        hyperparameters=(
            Choice("solver", ("svd", "lsqr", "eigen"), default="svd"),
            Choice("shrinkage", ("auto", 0.1, 0.5, 0.9), when=Condition("solver", ("lsqr", "eigen"))),
        ),
        requirements=_NOT_WIDE,
        preparation=scaled_numbers,
        interpretable=True,
    ),
    Algorithm(
        "qda",
        "discriminant",
        "sklearn.discriminant_analysis.QuadraticDiscriminantAnalysis",
        None,
        hyperparameters=(
            Choice("solver", ("svd", "eigen"), default="svd"),
            Real("reg_param", 0.0, 1.0, default=0.0, when=Condition("solver", ("svd",))),
            Choice("shrinkage", ("auto", 0.1, 0.5, 0.9), when=Condition("solver", ("eigen",))),
        ),
        requirements=Requirements(
            most_columns=3_000, fewest_rows_per_class=5, more_rows_per_class_than_columns=True
        ),
        preparation=scaled_numbers,
    ),
)
