"""Checks that shipped scores rest on: chance is chance, a seed is a seed, and plain scikit-learn finds the same.

They hold for every configuration that learns quickly from 256 rows, by what the meta-dataset itself tells of times.
"""

import dataclasses
import runpy
import sys
from statistics import median

import numpy as np
import pyarrow.csv
import pytest
import sklearn.datasets
import sklearn.metrics
from sklearn.model_selection import cross_validate

from app.metalearning.metadataset import DATA_DIR, read_evaluations
from app.metalearning.metrics import METRICS
from app.metalearning.portfolio import CONFIGURATIONS, find_configuration
from app.metalearning.protocol import splits
from tests.tables import CLASSIFICATION, REGRESSION, measure, mixed_table, plain_reading, typed
from workers.experiments.script import render_script

QUICK_SECONDS = 0.04
N_ROWS, SEEDS = 240, range(3)
# How many standard errors a mean over the seeds may lie from chance: one in 16,000 would by accident.
DEVIATIONS = 4


def quick_configurations():
    """Those whose median fit of 256 rows took little, of what ships and still is in the portfolio."""
    seconds = {}
    for row in read_evaluations(DATA_DIR / "evaluations.parquet"):
        for point in row["learning_curve"] or ():
            if point["anchor"] == 256 and row["configuration"] in CONFIGURATIONS:
                seconds.setdefault(row["configuration"], []).append(point["fit_cpu_seconds"])
    return sorted(name for name, values in seconds.items() if median(values) < QUICK_SECONDS)


QUICK = quick_configurations()


def random_target(task_type, seed):
    """Numbers and a category, and a target that they say nothing about."""
    random = np.random.default_rng(seed)
    columns = {f"x{index}": random.normal(size=N_ROWS) for index in range(4)}
    columns["colour"] = random.choice(["red", "green", "blue"], N_ROWS)
    if task_type is CLASSIFICATION:
        return typed({**columns, "y": random.permutation(np.arange(N_ROWS) % 2)}, "y")
    return typed({**columns, "y": random.normal(size=N_ROWS)}, "y", REGRESSION)


def test_quick_configurations_are_many_and_of_both_task_types():
    for prefix in ("clf-", "reg-"):
        algorithms = {CONFIGURATIONS[name].algorithm.name for name in QUICK if name.startswith(prefix)}
        assert len(algorithms) >= 8


@pytest.mark.parametrize("configuration", QUICK)
def test_random_target_scores_at_chance(tmp_path, configuration):
    task_type = find_configuration(configuration).task_type
    scores = [
        measure(random_target(task_type, seed), configuration, tmp_path)["result"]["scores"] for seed in SEEDS
    ]
    if task_type is CLASSIFICATION:
        half = N_ROWS / 2
        # The standard error of an AUC where ranks are random (Mann and Whitney 1947), and of a mean of two shares.
        reaches = {
            "roc_auc": np.sqrt((N_ROWS + 1) / (12 * half * half)),
            "balanced_accuracy": np.sqrt(0.25 / N_ROWS),
        }
        middle = 0.5
    else:
        reaches, middle = {"spearman": 1 / np.sqrt(N_ROWS - 1)}, 0.0
        # R² is at most the squared correlation, whose mean is 1 / (n - 1).
        assert np.mean([each["r2"] for each in scores]) < DEVIATIONS * reaches["spearman"] ** 2
    for metric, error in reaches.items():
        found = np.mean([each[metric] for each in scores])
        assert abs(found - middle) < DEVIATIONS * error / np.sqrt(len(SEEDS)), metric


@pytest.mark.parametrize(
    "configuration", ["clf-knn-5", "clf-logistic_regression-default", "reg-decision_tree-leaf_8"]
)
def test_model_that_saw_its_test_rows_would_not_pass_for_chance(tmp_path, monkeypatch, configuration):
    honest = splits.plan

    def leaking(table):
        plan = honest(table)
        everything = np.arange(len(plan.folds))
        leaks = (dataclasses.replace(each, training=everything) for each in plan.splits)
        return dataclasses.replace(plan, splits=tuple(leaks))

    monkeypatch.setattr(splits, "plan", leaking)
    with pytest.raises(AssertionError):
        test_random_target_scores_at_chance(tmp_path, configuration)


@pytest.mark.parametrize("configuration", QUICK)
def test_same_seed_twice_gives_identical_scores(tmp_path, configuration):
    table = mixed_table(find_configuration(configuration).task_type, 80)
    one, two = (measure(table, configuration, tmp_path)["result"] for _ in range(2))
    for part in ("scores", "scores_a", "scores_b", "fold_scores"):
        assert one[part] == two[part]
    curves = [
        [
            {name: value for name, value in point.items() if name in METRICS}
            for point in each["learning_curve"]
        ]
        for each in (one, two)
    ]
    assert curves[0] == curves[1]


# scikit-learn's name of the score, ours, and its sign.
SCORERS = {
    "breast_cancer": ("roc_auc", "roc_auc", 1),
    "wine": ("neg_log_loss", "log_loss", -1),
    "iris": ("neg_log_loss", "log_loss", -1),
    "diabetes": ("neg_root_mean_squared_error", "rmse", -1),
}


@pytest.mark.parametrize(
    ("dataset", "configuration"),
    [
        ("breast_cancer", "clf-logistic_regression-default"),
        ("breast_cancer", "clf-lightgbm-default"),
        ("wine", "clf-lda-shrunk"),
        ("wine", "clf-svm-rbf"),
        ("iris", "clf-gaussian_nb-default"),
        ("iris", "clf-xgboost-default"),
        ("diabetes", "reg-elastic_net-mild"),
        ("diabetes", "reg-decision_tree-leaf_8"),
        ("diabetes", "reg-spline-mild"),
    ],
)
def test_plain_cross_validation_of_the_exported_pipeline_finds_the_measured_scores(
    tmp_path, monkeypatch, dataset, configuration
):
    """Fold by fold: what `cross_validate` and scikit-learn's own scorers find is what an experiment stores."""
    table = built_in(dataset)
    pyarrow.csv.write_csv(table.frame, tmp_path / "data.csv")
    scorer, name, sign = SCORERS[dataset]
    script = tmp_path / "script.py"
    pipeline = find_configuration(configuration).pipeline
    script.write_text(render_script(pipeline, table, METRICS[name], 0.0, plain_reading(table)))
    monkeypatch.setattr(sys, "argv", [str(script), str(tmp_path / "data.csv")])
    of = runpy.run_path(str(script))
    plain = cross_validate(
        of["make_model"](),
        of["data"],
        of["target"].astype(int) if table.classes else of["target"],
        cv=[(split.training, split.test) for split in of["splits"]],
        scoring=scorer,
    )["test_score"]
    result = measure(table, configuration, tmp_path)["result"]
    assert list(sign * plain) == pytest.approx([fold[name] for fold in result["fold_scores"]], rel=1e-6)


def built_in(name):
    """One of the datasets that scikit-learn brings."""
    bunch = getattr(sklearn.datasets, f"load_{name}")()
    columns = {f"x{index}": values for index, values in enumerate(bunch.data.T)}
    return typed({**columns, "y": bunch.target}, "y", REGRESSION if name == "diabetes" else CLASSIFICATION)
