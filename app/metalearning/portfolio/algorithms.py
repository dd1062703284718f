"""The algorithms of the portfolio, and how each one wants its data prepared."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.metalearning.portfolio.expressions import Call, call
from app.metalearning.portfolio.preparation import (
    additive_numbers,
    ordinal_categories,
    ranked_numbers,
    scaled_numbers,
)
from app.metalearning.table import TaskType


@dataclass(frozen=True)
class Algorithm:
    """A learning method.

    `classifier` and `regressor` are the dotted paths of scikit-learn compatible estimators; `settings` are arguments
    that every configuration shares (seed, one thread, silence).
    """

    name: str
    family: str
    classifier: str | None
    regressor: str | None
    settings: dict[str, Any]
    preparation: Callable[[], Call] = ordinal_categories
    # Steps between preparation and estimator.
    expansion: tuple[Call, ...] = ()
    scales_target: bool = False
    needs_calibration: bool = False
    interpretable: bool = False
    # Cost grows so fast that beyond this many training rows the algorithm is not recommended.
    most_rows: int | None = None

    @property
    def task_types(self) -> tuple[TaskType, ...]:
        """The task types that the algorithm can learn."""
        paths = {TaskType.CLASSIFICATION: self.classifier, TaskType.REGRESSION: self.regressor}
        return tuple(task_type for task_type, path in paths.items() if path)

    def pipeline(self, task_type: TaskType, hyperparameters: dict[str, Any]) -> Call:
        """The whole pipeline, preprocessing included, as an expression."""
        path = self.classifier if task_type is TaskType.CLASSIFICATION else self.regressor
        assert path is not None, f"{self.name} does not learn {task_type}"
        estimator = call(path, **hyperparameters, **self.settings)
        if self.needs_calibration and task_type is TaskType.CLASSIFICATION:
            estimator = call("sklearn.calibration.CalibratedClassifierCV", estimator, ensemble=False)
        if self.scales_target and task_type is TaskType.REGRESSION:
            estimator = call(
                "sklearn.compose.TransformedTargetRegressor",
                estimator,
                transformer=call("sklearn.preprocessing.StandardScaler"),
            )
        return call("sklearn.pipeline.make_pipeline", self.preparation(), *self.expansion, estimator)


_SEED = {"random_state": 0}
_FOREST = {"n_jobs": 1, **_SEED}

ALGORITHMS = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm(
            "logistic_regression",
            "linear",
            "sklearn.linear_model.LogisticRegression",
            None,
            {"max_iter": 1000},
            preparation=scaled_numbers,
            interpretable=True,
        ),
        Algorithm(
            "ridge",
            "linear",
            None,
            "sklearn.linear_model.Ridge",
            {},
            preparation=scaled_numbers,
            interpretable=True,
        ),
        Algorithm(
            "elastic_net",
            "linear",
            None,
            "sklearn.linear_model.ElasticNet",
            {},
            preparation=scaled_numbers,
            scales_target=True,
            interpretable=True,
        ),
        Algorithm(
            "elastic_net_logistic",
            "linear",
            "sklearn.linear_model.LogisticRegression",
            None,
            {"solver": "saga", "max_iter": 300, **_SEED},
            preparation=scaled_numbers,
            interpretable=True,
        ),
        Algorithm(
            "bayesian_ridge",
            "linear",
            None,
            "sklearn.linear_model.BayesianRidge",
            {},
            preparation=ranked_numbers,
            interpretable=True,
        ),
        Algorithm(
            "huber",
            "linear",
            None,
            "sklearn.linear_model.HuberRegressor",
            {"max_iter": 500},
            preparation=scaled_numbers,
            scales_target=True,
            interpretable=True,
        ),
        Algorithm(
            "linear_svm",
            "linear_svm",
            "sklearn.svm.LinearSVC",
            "sklearn.svm.LinearSVR",
            {"dual": "auto", "max_iter": 2000, **_SEED},
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
            {},
            preparation=additive_numbers,
            interpretable=True,
        ),
        Algorithm(
            "nystroem",
            "kernel",
            "sklearn.linear_model.LogisticRegression",
            "sklearn.linear_model.Ridge",
            {},
            preparation=ranked_numbers,
            expansion=(call("sklearn.kernel_approximation.Nystroem", n_components=200, random_state=0),),
        ),
        Algorithm(
            "lda",
            "discriminant",
            "sklearn.discriminant_analysis.LinearDiscriminantAnalysis",
            None,
            {},
            preparation=scaled_numbers,
            interpretable=True,
        ),
        Algorithm(
            "qda",
            "discriminant",
            "sklearn.discriminant_analysis.QuadraticDiscriminantAnalysis",
            None,
            {},
            preparation=scaled_numbers,
        ),
        Algorithm(
            "gaussian_nb",
            "naive_bayes",
            "sklearn.naive_bayes.GaussianNB",
            None,
            {},
            preparation=scaled_numbers,
            interpretable=True,
        ),
        Algorithm(
            "knn",
            "neighbours",
            "sklearn.neighbors.KNeighborsClassifier",
            "sklearn.neighbors.KNeighborsRegressor",
            {"n_jobs": 1},
            preparation=scaled_numbers,
            most_rows=200_000,
        ),
        Algorithm(
            "svm",
            "kernel",
            "sklearn.svm.SVC",
            "sklearn.svm.SVR",
            {"cache_size": 500},
            preparation=scaled_numbers,
            scales_target=True,
            needs_calibration=True,
            most_rows=20_000,
        ),
        Algorithm(
            "decision_tree",
            "tree",
            "sklearn.tree.DecisionTreeClassifier",
            "sklearn.tree.DecisionTreeRegressor",
            _SEED,
            interpretable=True,
        ),
        Algorithm(
            "random_forest",
            "random_forest",
            "sklearn.ensemble.RandomForestClassifier",
            "sklearn.ensemble.RandomForestRegressor",
            _FOREST,
        ),
        Algorithm(
            "extra_trees",
            "extra_trees",
            "sklearn.ensemble.ExtraTreesClassifier",
            "sklearn.ensemble.ExtraTreesRegressor",
            _FOREST,
        ),
        Algorithm(
            "hist_gradient_boosting",
            "histogram_boosting",
            "sklearn.ensemble.HistGradientBoostingClassifier",
            "sklearn.ensemble.HistGradientBoostingRegressor",
            _SEED,
        ),
        Algorithm(
            "lightgbm",
            "lightgbm",
            "lightgbm.LGBMClassifier",
            "lightgbm.LGBMRegressor",
            {"verbose": -1, **_FOREST},
        ),
        Algorithm(
            "xgboost",
            "xgboost",
            "xgboost.XGBClassifier",
            "xgboost.XGBRegressor",
            _FOREST,
        ),
        Algorithm(
            "catboost",
            "catboost",
            "catboost.CatBoostClassifier",
            "catboost.CatBoostRegressor",
            {"thread_count": 1, "random_seed": 0, "verbose": 0, "allow_writing_files": False},
        ),
        Algorithm(
            "mlp",
            "neural_network",
            "sklearn.neural_network.MLPClassifier",
            "sklearn.neural_network.MLPRegressor",
            _SEED,
            preparation=scaled_numbers,
            scales_target=True,
        ),
    )
}
