"""The configurations that can be recommended: an algorithm with its hyperparameters, for one task type."""

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from app.errors import UnknownConfigurationError
from app.metalearning.portfolio.algorithm import Algorithm
from app.metalearning.portfolio.algorithms import ALGORITHMS
from app.metalearning.portfolio.expressions import Call, imports, source
from app.metalearning.table import TaskType


@dataclass(frozen=True)
class Configuration:
    """An algorithm with its hyperparameters; `id` names it everywhere, `fingerprint` its exact pipeline."""

    id: str
    algorithm: Algorithm
    task_type: TaskType
    hyperparameters: dict[str, Any]

    @cached_property
    def pipeline(self) -> Call:
        """The pipeline as an expression."""
        return self.algorithm.pipeline(self.task_type, self.hyperparameters)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the pipeline's source: evaluations belong to it, not to the id alone."""
        return hashlib.sha256(source(self.pipeline).encode()).hexdigest()[:16]

    @cached_property
    def snippet(self) -> str:
        """Runnable Python that makes the unfitted pipeline."""
        return "\n".join([*imports(self.pipeline), "", f"pipeline = {source(self.pipeline)}"])


# Cheap ones first: the order in which a meta-dataset is measured. The first variant of a family is its well-known default
# or what its library's own tuning studies recommend; the others are points of the search space that differ from it in kind.
_VARIANTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("gaussian_nb", "default", {}),
    ("lda", "shrunk", {"solver": "lsqr", "shrinkage": "auto"}),
    ("ridge", "default", {"alpha": 1.0}),
    ("elastic_net", "mild", {"alpha": 0.02, "l1_ratio": 0.5}),
    ("decision_tree", "leaf_8", {"min_samples_leaf": 8}),
    ("knn", "5", {"n_neighbors": 5}),
    ("knn", "25_weighted", {"n_neighbors": 25, "weights": "distance"}),
    ("logistic_regression", "default", {"C": 1.0}),
    ("logistic_regression", "strong", {"C": 0.02}),
    ("svm", "rbf", {"C": 1.0, "gamma": "scale"}),
    ("lightgbm", "default", {}),
    ("lightgbm", "slow", {
        "n_estimators": 300, "learning_rate": 0.03, "num_leaves": 16, "min_child_samples": 10,
        "colsample_bytree": 0.6, "subsample": 0.8, "subsample_freq": 1,
    }),
    ("xgboost", "default", {}),
    ("xgboost", "slow", {
        "n_estimators": 300, "learning_rate": 0.05, "max_depth": 4, "colsample_bytree": 0.6, "subsample": 0.8,
        "min_child_weight": 3,
    }),
    ("extra_trees", "200", {"n_estimators": 200}),
    ("extra_trees", "leaf_3", {"n_estimators": 200, "min_samples_leaf": 3, "max_features": 0.5}),
    ("random_forest", "200", {"n_estimators": 200}),
    ("random_forest", "leaf_3", {"n_estimators": 200, "min_samples_leaf": 3, "max_features": 0.5}),
    ("hist_gradient_boosting", "default", {}),
    ("mlp", "early", {"hidden_layer_sizes": (128, 64), "early_stopping": True, "max_iter": 300}),
    ("qda", "shrunk", {"solver": "eigen", "shrinkage": "auto"}),
    ("catboost", "300", {"iterations": 300}),
    ("gaussian_nb", "smoothed", {"var_smoothing": 0.1}),
    ("lda", "default", {}),
    ("ridge", "strong", {"alpha": 100.0}),
    ("bayesian_ridge", "ranked", {}),
    ("huber", "default", {}),
    ("elastic_net", "lasso", {"alpha": 0.005, "l1_ratio": 1.0}),
    ("decision_tree", "depth_4", {"max_depth": 4, "min_samples_leaf": 5}),
    ("knn", "12_manhattan", {"n_neighbors": 12, "metric": "manhattan", "weights": "distance"}),
    ("logistic_regression", "weak", {"C": 30.0}),
    ("linear_svm", "default", {"C": 0.1}),
    ("spline", "mild", {TaskType.CLASSIFICATION: {"C": 0.3, "max_iter": 500}, TaskType.REGRESSION: {"alpha": 3.0}}),
    ("nystroem", "200", {TaskType.CLASSIFICATION: {"C": 3.0, "max_iter": 500}, TaskType.REGRESSION: {"alpha": 0.3}}),
    ("qda", "regular", {"reg_param": 0.5}),
    ("elastic_net_logistic", "half", {"C": 0.3, "l1_ratio": 0.5}),
    ("svm", "rbf_10", {"C": 10.0, "gamma": "scale"}),
    ("svm", "poly", {"kernel": "poly", "degree": 3, "coef0": 1.0, "C": 0.3}),
    ("lightgbm", "shallow", {"n_estimators": 200, "learning_rate": 0.08, "num_leaves": 6, "min_child_samples": 5}),
    ("lightgbm", "extra", {
        "n_estimators": 300, "learning_rate": 0.06, "extra_trees": True, "num_leaves": 24, "min_child_samples": 5,
        "colsample_bytree": 0.8,
    }),
    ("lightgbm", "large", {
        "n_estimators": 150, "learning_rate": 0.04, "num_leaves": 64, "min_child_samples": 3, "colsample_bytree": 0.4,
        "reg_lambda": 5.0,
    }),
    ("xgboost", "stumps", {"n_estimators": 300, "learning_rate": 0.1, "max_depth": 2, "subsample": 0.7}),
    ("xgboost", "regular", {
        "n_estimators": 300, "learning_rate": 0.04, "max_depth": 6, "colsample_bytree": 0.4, "subsample": 0.6,
        "reg_lambda": 10.0,
    }),
    ("mlp", "small", {"hidden_layer_sizes": (24,), "alpha": 1.0, "solver": "lbfgs", "max_iter": 300}),
    ("mlp", "wide", {
        "hidden_layer_sizes": (256,), "alpha": 0.01, "learning_rate_init": 0.003, "early_stopping": True, "max_iter": 200,
    }),
    ("extra_trees", "all_columns", {"n_estimators": 200, "max_features": 1.0, "min_samples_leaf": 2}),
    ("extra_trees", "shallow", {"n_estimators": 200, "max_depth": 8, "max_features": 0.7}),
    ("random_forest", "sampled", {
        "n_estimators": 200, "max_samples": 0.6, "max_features": 0.3, "min_samples_leaf": 2,
    }),
    ("hist_gradient_boosting", "shallow", {"max_depth": 3, "max_iter": 150, "early_stopping": False}),
    ("hist_gradient_boosting", "slow", {
        "max_iter": 250, "learning_rate": 0.04, "max_leaf_nodes": 12, "min_samples_leaf": 10, "l2_regularization": 1.0,
        "early_stopping": False,
    }),
    ("explainable_boosting", "additive", {"outer_bags": 2, "interactions": 0, "max_rounds": 1000}),
    ("catboost", "shallow", {"iterations": 300, "depth": 4, "learning_rate": 0.08}),
    ("catboost", "regular", {"iterations": 400, "depth": 5, "learning_rate": 0.05, "l2_leaf_reg": 10.0, "rsm": 0.5}),
    ("explainable_boosting", "pairs", {
        "outer_bags": 2, "interactions": 5, "max_rounds": 500, "learning_rate": 0.06, "max_bins": 256,
    }),
    ("gaussian_process", "rbf", {
        TaskType.CLASSIFICATION: {"kernel": "rbf"}, TaskType.REGRESSION: {"kernel": "rbf", "alpha": 0.1},
    }),
    ("gaussian_process", "matern", {
        TaskType.CLASSIFICATION: {"kernel": "matern"}, TaskType.REGRESSION: {"kernel": "matern", "alpha": 0.03},
    }),
    ("realmlp", "default", {}),
    ("realmlp", "regular", {"p_drop": 0.3, "wd": 0.05, "n_epochs": 128}),
    ("tabm", "default", {}),
    ("tabm", "embedded", {"arch_type": "tabm-mini", "num_emb_type": "pwl", "weight_decay": 0.0003}),
)  # fmt: skip
_PREFIXES = {TaskType.CLASSIFICATION: "clf", TaskType.REGRESSION: "reg"}

CONFIGURATIONS = {
    configuration.id: configuration
    for name, variant, hyperparameters in _VARIANTS
    for task_type in ALGORITHMS[name].task_types
    for configuration in [
        Configuration(
            f"{_PREFIXES[task_type]}-{name}-{variant}",
            ALGORITHMS[name],
            task_type,
            hyperparameters.get(task_type, hyperparameters),
        )
    ]
}


def _content(algorithm: str, task_type: TaskType, hyperparameters: dict[str, Any]) -> tuple[str, str]:
    return f"{algorithm} {task_type}", json.dumps(hyperparameters, sort_keys=True)


_BY_CONTENT = {
    _content(each.algorithm.name, each.task_type, each.hyperparameters): each
    for each in CONFIGURATIONS.values()
}


def configurations_of(task_type: TaskType) -> tuple[Configuration, ...]:
    """Every configuration for a task type, cheap ones first."""
    return tuple(each for each in CONFIGURATIONS.values() if each.task_type is task_type)


def configuration_with(algorithm: str, task_type: TaskType, hyperparameters: dict[str, Any]) -> Configuration:
    """The algorithm with these hyperparameters, in whatever order and as JSON holds them; one of the portfolio is itself."""
    known = _BY_CONTENT.get(_content(algorithm, task_type, hyperparameters))
    if known is not None:
        return known
    # Databases keep no order of names, and the pipeline's source, which is what the fingerprint is of, has one.
    in_order = {
        each.name: hyperparameters[each.name]
        for each in ALGORITHMS[algorithm].space(task_type).hyperparameters
        if each.name in hyperparameters
    }
    of_python = {name: tuple(value) if isinstance(value, list) else value for name, value in in_order.items()}
    unnamed = Configuration("", ALGORITHMS[algorithm], task_type, of_python)
    return replace(unnamed, id=f"{_PREFIXES[task_type]}-{algorithm}-{unnamed.fingerprint}")


def configuration_called(name: str, task_type: TaskType, trial: dict[str, Any] | None) -> Configuration:
    """The configuration of an experiment: one of the portfolio, or what a search tried, which `trial` describes.

    Raises: UnknownConfigurationError.
    """
    if trial is None:
        return find_configuration(name)
    return configuration_with(trial["algorithm"], task_type, trial["hyperparameters"])


def find_configuration(configuration_id: str) -> Configuration:
    """The configuration with this id.

    Raises: UnknownConfigurationError.
    """
    if configuration_id not in CONFIGURATIONS:
        raise UnknownConfigurationError(
            f"There is no configuration {configuration_id!r}.", "GET /configurations lists them."
        )
    return CONFIGURATIONS[configuration_id]
