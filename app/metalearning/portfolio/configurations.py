"""The configurations that can be recommended: an algorithm with its hyperparameters, for one task type."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from app.errors import UnknownConfigurationError
from app.metalearning.portfolio.algorithms import ALGORITHMS, Algorithm
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


# Cheap ones first: the order in which a meta-dataset is measured.
_VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "gaussian_nb": {"default": {}},
    "lda": {"shrunk": {"solver": "lsqr", "shrinkage": "auto"}},
    "qda": {"shrunk": {"solver": "eigen", "shrinkage": "auto"}},
    "ridge": {"default": {"alpha": 1.0}},
    "elastic_net": {"mild": {"alpha": 0.02, "l1_ratio": 0.5}},
    "decision_tree": {"leaf_8": {"min_samples_leaf": 8}},
    "knn": {
        "5": {"n_neighbors": 5},
        "25_weighted": {"n_neighbors": 25, "weights": "distance"},
    },
    "logistic_regression": {"default": {"C": 1.0}, "strong": {"C": 0.02}},
    "svm": {"rbf": {"C": 1.0, "gamma": "scale"}},
    "lightgbm": {
        "default": {},
        "slow": {
            "n_estimators": 300,
            "learning_rate": 0.03,
            "num_leaves": 16,
            "min_child_samples": 10,
            "colsample_bytree": 0.6,
            "subsample": 0.8,
            "subsample_freq": 1,
        },
    },
    "xgboost": {
        "default": {},
        "slow": {
            "n_estimators": 300,
            "learning_rate": 0.05,
            "max_depth": 4,
            "colsample_bytree": 0.6,
            "subsample": 0.8,
            "min_child_weight": 3,
        },
    },
    "hist_gradient_boosting": {"default": {}},
    "extra_trees": {
        "200": {"n_estimators": 200},
        "leaf_3": {"n_estimators": 200, "min_samples_leaf": 3, "max_features": 0.5},
    },
    "random_forest": {
        "200": {"n_estimators": 200},
        "leaf_3": {"n_estimators": 200, "min_samples_leaf": 3, "max_features": 0.5},
    },
    "mlp": {"early": {"hidden_layer_sizes": (128, 64), "early_stopping": True, "max_iter": 300}},
    "catboost": {"300": {"iterations": 300}},
}
_PREFIXES = {TaskType.CLASSIFICATION: "clf", TaskType.REGRESSION: "reg"}

CONFIGURATIONS = {
    configuration.id: configuration
    for name, variants in _VARIANTS.items()
    for variant, hyperparameters in variants.items()
    for task_type in ALGORITHMS[name].task_types
    for configuration in [
        Configuration(
            f"{_PREFIXES[task_type]}-{name}-{variant}", ALGORITHMS[name], task_type, hyperparameters
        )
    ]
}


def configurations_of(task_type: TaskType) -> tuple[Configuration, ...]:
    """Every configuration for a task type, cheap ones first."""
    return tuple(each for each in CONFIGURATIONS.values() if each.task_type is task_type)


def find_configuration(configuration_id: str) -> Configuration:
    """The configuration with this id.

    Raises: UnknownConfigurationError.
    """
    if configuration_id not in CONFIGURATIONS:
        raise UnknownConfigurationError(
            f"There is no configuration {configuration_id!r}.", "GET /configurations lists them."
        )
    return CONFIGURATIONS[configuration_id]
