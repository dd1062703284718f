"""Gradient boosting, of trees and of explainable additive models."""

from app.metalearning.portfolio.algorithm import ONE_THREAD, SEED, Algorithm
from app.metalearning.portfolio.feasibility import Requirements
from app.metalearning.portfolio.spaces import Choice, Condition, Integer, Real

# Boosting grows one tree per class in every round.
_MOST_CLASSES = 1_000

BOOSTING = (
    Algorithm(
        "hist_gradient_boosting",
        "histogram_boosting",
        "sklearn.ensemble.HistGradientBoostingClassifier",
        "sklearn.ensemble.HistGradientBoostingRegressor",
        SEED,
        hyperparameters=(
            Integer("max_iter", 50, 1000, log=True, default=100),
            Real("learning_rate", 0.01, 0.3, log=True, default=0.1),
            Integer("max_leaf_nodes", 4, 128, log=True, default=31),
            Integer("max_depth", 2, 16),
            Integer("min_samples_leaf", 2, 100, log=True, default=20),
            Real("l2_regularization", 1e-4, 10.0, log=True, default=0.0),
            Real("max_features", 0.3, 1.0, default=1.0),
            Choice("early_stopping", (True, False), default="auto"),
        ),
        requirements=Requirements(most_classes=_MOST_CLASSES),
    ),
    Algorithm(
        "lightgbm",
        "lightgbm",
        "lightgbm.LGBMClassifier",
        "lightgbm.LGBMRegressor",
        {"verbose": -1, **ONE_THREAD},
        hyperparameters=(
            Integer("n_estimators", 50, 1000, log=True, default=100),
            Real("learning_rate", 0.01, 0.3, log=True, default=0.1),
            Integer("num_leaves", 4, 128, log=True, default=31),
            Integer("min_child_samples", 2, 100, log=True, default=20),
            Integer("subsample_freq", 0, 1, default=0),
            Real("subsample", 0.4, 1.0, default=1.0, when=Condition("subsample_freq", (1,))),
            Real("colsample_bytree", 0.3, 1.0, default=1.0),
            Real("reg_alpha", 1e-4, 10.0, log=True, default=0.0),
            Real("reg_lambda", 1e-4, 10.0, log=True, default=0.0),
            Choice("extra_trees", (False, True), default=False),
        ),
        requirements=Requirements(most_classes=_MOST_CLASSES, licence="MIT"),
    ),
    Algorithm(
        "xgboost",
        "xgboost",
        "xgboost.XGBClassifier",
        "xgboost.XGBRegressor",
        ONE_THREAD,
        hyperparameters=(
            Integer("n_estimators", 50, 1000, log=True, default=100),
            Real("learning_rate", 0.01, 0.3, log=True, default=0.3),
            Integer("max_depth", 2, 12, default=6),
            Real("min_child_weight", 0.1, 50.0, log=True, default=1),
            Real("subsample", 0.4, 1.0, default=1.0),
            Real("colsample_bytree", 0.3, 1.0, default=1.0),
            Real("reg_alpha", 1e-4, 10.0, log=True, default=0.0),
            Real("reg_lambda", 1e-4, 10.0, log=True, default=1.0),
            Real("gamma", 1e-4, 5.0, log=True, default=0.0),
        ),
        requirements=Requirements(most_classes=_MOST_CLASSES, licence="Apache-2.0"),
    ),
    Algorithm(
        "catboost",
        "catboost",
        "catboost.CatBoostClassifier",
        "catboost.CatBoostRegressor",
        {"thread_count": 1, "random_seed": 0, "verbose": 0, "allow_writing_files": False},
        hyperparameters=(
            Integer("iterations", 50, 1000, log=True, default=1000),
            Real("learning_rate", 0.01, 0.3, log=True),
            Integer("depth", 3, 9, default=6),
            Real("l2_leaf_reg", 0.5, 30.0, log=True, default=3.0),
            Real("rsm", 0.3, 1.0, default=1.0),
            Real("random_strength", 0.1, 10.0, log=True, default=1.0),
        ),
        requirements=Requirements(most_classes=_MOST_CLASSES, licence="Apache-2.0"),
    ),
    Algorithm(
        "explainable_boosting",
        "explainable_boosting",
        "interpret.glassbox.ExplainableBoostingClassifier",
        "interpret.glassbox.ExplainableBoostingRegressor",
        ONE_THREAD,
        hyperparameters=(
            Integer("outer_bags", 1, 14, default=14),
            Integer("interactions", 0, 20, default="3x"),
            Integer("max_rounds", 200, 50_000, log=True, default=50_000),
            Real("learning_rate", 0.005, 0.1, log=True, default=0.015),
            Integer("max_bins", 32, 1024, log=True, default=1024),
            Integer("max_leaves", 2, 4, default=2),
            Integer("min_samples_leaf", 2, 20, log=True, default=4),
        ),
        # One column after the other in every round, and all classes at once.
        requirements=Requirements(most_columns=1_000, most_classes=50, licence="MIT"),
        interpretable=True,
    ),
)
