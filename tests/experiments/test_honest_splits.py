"""Experiments and stacks on rows that belong together, or that follow each other in time."""

import dataclasses

import numpy as np
import pytest

from app.metalearning.metrics import METRICS
from app.metalearning.protocol import splits
from app.metalearning.table import TaskType
from tests.roles import with_roles
from tests.tables import (
    CLASSIFICATION,
    REGRESSION,
    combine,
    complementary_table,
    exactly,
    measure,
    noise_table,
)
from workers.experiments import comparison, ensembling, scoring
from workers.experiments.measured import Measured
from workers.experiments.metamodels import select

LINE = {CLASSIFICATION: "clf-logistic_regression-default", REGRESSION: "reg-ridge-default"}
TREE = {CLASSIFICATION: "clf-decision_tree-leaf_8", REGRESSION: "reg-decision_tree-leaf_8"}
COSTS = {"fit_cpu_seconds": 1.0, "predict_cpu_seconds_per_1000_rows": 1.0}


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(comparison, "_N_RESAMPLES", 40)


def plain(table):
    return dataclasses.replace(table, group=None, time=None)


def arrays_of(experiment):
    with np.load(experiment["predictions"], allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays}


def test_what_only_groups_know_is_chance_for_new_groups(tmp_path):
    """Every patient has a random class, and measurements that tell patients apart."""
    random = np.random.default_rng(0)
    patients = np.repeat(np.arange(60), 6)
    features = random.normal(size=(3, 60))[:, patients] + random.normal(size=(3, 360)) / 20
    classes = np.where(random.permutation(60) < 30, "ill", "well")[patients]
    table = with_roles(exactly(dict(zip("abc", features, strict=True)), classes), patients)
    honest = measure(table, "clf-knn-5", tmp_path)["result"]["scores"]["roc_auc"]
    fooled = measure(plain(table), "clf-knn-5", tmp_path)["result"]["scores"]["roc_auc"]
    assert fooled > 0.95
    assert abs(honest - 0.5) < 0.15


def test_drift_is_worse_to_foresee_than_to_fill_in(tmp_path):
    random = np.random.default_rng(0)
    days = np.arange(400.0)
    level = np.cumsum(random.normal(size=400))
    table = with_roles(exactly({"since": days + random.normal(size=400)}, level), times=days)
    forward = measure(table, "reg-knn-25_weighted", tmp_path)["result"]["scores"]["rmse"]
    shuffled = measure(plain(table), "reg-knn-25_weighted", tmp_path)["result"]["scores"]["rmse"]
    assert forward > 2 * shuffled


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("task_type", TaskType)
def test_scores_forward_in_time_know_only_tested_rows(tmp_path, task_type, grouped):
    random = np.random.default_rng(1)
    groups = random.integers(30, size=500) if grouped else None
    table = with_roles(complementary_table(task_type), groups, random.permutation(500) * 1.0)
    plan = splits.plan(table)
    experiment = measure(table, LINE[task_type], tmp_path)
    arrays, result = arrays_of(experiment), experiment["result"]
    assert np.array_equal(arrays["folds"], plan.folds)
    tested = arrays["folds"] >= 0
    assert tested.sum() < 450
    missing = np.isnan(arrays["predictions"])
    assert np.array_equal(missing.any(axis=1) if missing.ndim == 2 else missing, ~tested)
    target = table.target_values
    for name, rows in (("scores", tested), ("scores_a", plan.halves == 0), ("scores_b", plan.halves == 1)):
        expected = scoring.score(task_type, target[rows], arrays["predictions"][rows].astype(float))
        assert result[name] == pytest.approx(expected, rel=1e-4)
    assert len(result["fold_scores"]) == len(plan.splits) == 5
    assert result["splits"] == splits.describe(table)
    anchors = (
        [] if grouped else [64]
    )  # with half of the groups left out, the first split learns from fewer rows
    assert [point["anchor"] for point in result["learning_curve"]] == list(plan.anchors) == anchors


def models_of(table, plan, seed=0):
    """Three models of different skill, as their experiments would leave them."""
    random = np.random.default_rng(seed)
    target = table.target_values
    models = []
    for name, noise in zip("abc", (0.3, 0.6, 3.0), strict=True):
        guess = target + random.normal(size=len(target)) * noise
        if table.task_type is CLASSIFICATION:
            positive = 1 / (1 + np.exp(-4 * (guess - 0.5)))
            guess = np.column_stack([1 - positive, positive])
        guess[plan.folds < 0] = np.nan
        scores, scores_a = (
            scoring.score(table.task_type, target[rows], guess[rows])
            for rows in (plan.folds >= 0, plan.halves == 0)
        )
        models.append(Measured(name, scores, scores_a, guess, COSTS))
    return models


@pytest.mark.parametrize("task_type", TaskType)
def test_stack_forward_in_time_knows_nothing_of_later_folds(task_type):
    table = with_roles(complementary_table(task_type, 300), times=np.arange(300.0))
    plan, target = splits.plan(table), table.target_values
    models = models_of(table, plan)
    stacked = ensembling.out_of_fold(select, models, target, plan)
    first = plan.splits[0].test
    np.testing.assert_allclose(stacked[first], np.mean([each.predictions[first] for each in models], axis=0))
    assert np.array_equal(np.isnan(stacked).reshape(300, -1).any(axis=1), plan.folds < 0)
    for fold in range(1, 5):
        changed = target.copy()
        changed[plan.folds >= fold] = changed[plan.folds >= fold][::-1]
        again = ensembling.out_of_fold(select, models, changed, plan)
        so_far = (plan.folds >= 0) & (plan.folds <= fold)
        assert np.array_equal(again[so_far], stacked[so_far])
    changed = np.where(plan.folds == 0, 1 - target if task_type is CLASSIFICATION else -target, target)
    again = ensembling.out_of_fold(select, models, changed, plan)
    assert not np.array_equal(again[plan.folds == 1], stacked[plan.folds == 1])


@pytest.mark.parametrize("task_type", TaskType)
def test_stack_of_groups_learns_no_weight_from_the_group_it_predicts(task_type):
    groups = np.arange(300) % 25
    table = with_roles(complementary_table(task_type, 300), groups, np.arange(300) // 50 * 1.0)
    for each in (table, dataclasses.replace(table, time=None)):
        plan, target = splits.plan(each), each.target_values
        models = models_of(each, plan)
        stacked = ensembling.out_of_fold(select, models, target, plan)
        last = plan.splits[-1].test
        there = np.isin(groups, groups[last])
        changed = target.copy()
        changed[there] = changed[there][::-1]
        again = ensembling.out_of_fold(select, models, changed, plan)
        assert np.array_equal(again[last], stacked[last])


@pytest.mark.parametrize("roles", ["groups", "times"])
@pytest.mark.parametrize("task_type", TaskType)
def test_stack_wins_and_is_the_weighted_mean_that_was_scored(tmp_path, task_type, roles):
    values = {"groups": np.arange(900) % 90, "times": np.arange(900.0)}[roles]
    table = with_roles(complementary_table(task_type, 900), **{roles: values})
    experiments = [measure(table, names[task_type], tmp_path) for names in (LINE, TREE)]
    metric = "rmse" if task_type is REGRESSION else "log_loss"
    outcome = combine(table, experiments, metric, tmp_path)
    assert outcome["result"]["winner"] == "stack"
    judged = splits.plan(table).halves == 1
    assert outcome["result"]["stack_comparison"]["rows"] == judged.sum()
    described = splits.describe(table)
    assert (outcome["result"]["splits"], outcome["card"]["splits"]) == (described, described)
    assert (table.group or table.time) in outcome["card"]["limits"][0]
    script = (tmp_path / "script.py").read_text()
    assert f"Voting{'Regressor' if task_type is REGRESSION else 'Classifier'}(" in script
    assert "weights=[" in script


def test_few_groups_are_no_ground_for_a_stack(tmp_path):
    table = with_roles(complementary_table(REGRESSION, 200), np.arange(200) % 8)
    experiments = [measure(table, names[REGRESSION], tmp_path) for names in (LINE, TREE)]
    result = combine(table, experiments, "rmse", tmp_path)["result"]
    assert result["stack_comparison"] is None
    assert "4 groups or stretches of time, too few" in result["no_stack_because"]
    assert result["winner"] == LINE[REGRESSION]


def test_rows_of_one_group_are_one_witness():
    """Ten groups of fifty rows that agree within: the interval must be far wider than rows pretend."""
    random = np.random.default_rng(0)
    target = np.arange(500) % 2 / 1e6
    errors = np.repeat(random.normal(size=10), 50)
    table = with_roles(exactly({"x": target}, random.normal(size=500)), np.repeat(np.arange(10), 50))
    plan = splits.plan(table)
    widths = []
    for units in (plan.units, np.arange(500)):
        models = [
            Measured(name, {}, {"mae": 1.0}, predictions, COSTS)
            for name, predictions in (("single", errors), ("stack", np.full(500, 0.5)))
        ]
        planned = dataclasses.replace(plan, units=units)
        found = comparison.compare(METRICS["mae"], models[:1], models[1], target, planned)
        widths.append(found.high - found.low)
    assert widths[0] > 3 * widths[1]


def test_on_noise_no_split_makes_a_stack_win(tmp_path):
    random = np.random.default_rng(0)
    table = with_roles(noise_table(400), random.integers(40, size=400), np.arange(400.0))
    names = ["clf-gaussian_nb-default", "clf-decision_tree-leaf_8", "clf-knn-5"]
    result = combine(table, [measure(table, name, tmp_path) for name in names], "log_loss", tmp_path)[
        "result"
    ]
    assert result["winner"] in names


@pytest.mark.parametrize("metric", ["accuracy", "roc_auc"])
def test_half_of_one_class_is_no_ground_for_a_stack(metric):
    table = exactly({"x": np.zeros(40)}, ["p"] * 39 + ["q"])
    plan, target = splits.plan(table), table.target_values
    probabilities = np.column_stack([1 - target, target])
    models = [Measured(name, {}, {metric: 1.0}, probabilities, COSTS) for name in "ab"]
    halves = np.where(target == 1, 0, plan.halves)
    plan = dataclasses.replace(plan, halves=halves)
    with pytest.raises(comparison.NoComparisonError, match="one value only"):
        comparison.compare(METRICS[metric], models[:1], models[1], target, plan)
