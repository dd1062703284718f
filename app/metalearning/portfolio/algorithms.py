"""The algorithms of the portfolio, and how each one wants its data prepared."""

from dataclasses import dataclass
from typing import Any

from app.metalearning.portfolio.expressions import Call, call
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
    needs_scaling: bool = False
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
        preparation = _scaled_numbers() if self.needs_scaling else _ordinal_categories()
        return call("sklearn.pipeline.make_pipeline", preparation, estimator)


def _scaled_numbers() -> Call:
    """Medians for missing numbers, unit variance, one column per frequent category (missing is a category)."""
    return _by_column_type(
        call(
            "sklearn.pipeline.make_pipeline",
            call("sklearn.impute.SimpleImputer", strategy="median", keep_empty_features=True),
            call("sklearn.preprocessing.StandardScaler"),
        ),
        call(
            "sklearn.preprocessing.OneHotEncoder",
            handle_unknown="infrequent_if_exist",
            max_categories=30,
            sparse_output=False,
        ),
    )


def _ordinal_categories() -> Call:
    """Numbers as they are and categories as codes; the trees behind split on missing values themselves."""
    return _by_column_type(
        "passthrough",
        call(
            "sklearn.preprocessing.OrdinalEncoder",
            handle_unknown="use_encoded_value",
            unknown_value=float("nan"),
        ),
    )


def _by_column_type(for_numbers: Call | str, for_categories: Call) -> Call:
    selector = "sklearn.compose.make_column_selector"
    return call(
        "sklearn.compose.make_column_transformer",
        (for_numbers, call(selector, dtype_include="number")),
        (for_categories, call(selector, dtype_exclude="number")),
    )


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
            needs_scaling=True,
            interpretable=True,
        ),
        Algorithm(
            "ridge",
            "linear",
            None,
            "sklearn.linear_model.Ridge",
            {},
            needs_scaling=True,
            interpretable=True,
        ),
        Algorithm(
            "elastic_net",
            "linear",
            None,
            "sklearn.linear_model.ElasticNet",
            {},
            needs_scaling=True,
            scales_target=True,
            interpretable=True,
        ),
        Algorithm(
            "lda",
            "discriminant",
            "sklearn.discriminant_analysis.LinearDiscriminantAnalysis",
            None,
            {},
            needs_scaling=True,
            interpretable=True,
        ),
        Algorithm(
            "qda",
            "discriminant",
            "sklearn.discriminant_analysis.QuadraticDiscriminantAnalysis",
            None,
            {},
            needs_scaling=True,
        ),
        Algorithm(
            "gaussian_nb",
            "naive_bayes",
            "sklearn.naive_bayes.GaussianNB",
            None,
            {},
            needs_scaling=True,
            interpretable=True,
        ),
        Algorithm(
            "knn",
            "neighbours",
            "sklearn.neighbors.KNeighborsClassifier",
            "sklearn.neighbors.KNeighborsRegressor",
            {"n_jobs": 1},
            needs_scaling=True,
            most_rows=200_000,
        ),
        Algorithm(
            "svm",
            "kernel",
            "sklearn.svm.SVC",
            "sklearn.svm.SVR",
            {"cache_size": 500},
            needs_scaling=True,
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
            needs_scaling=True,
            scales_target=True,
        ),
    )
}
