import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn import metrics

from app.metalearning.metrics import metrics_of
from tests.tables import CLASSIFICATION, REGRESSION, quick
from workers.experiments.scoring import score, score_one


def random_case(seed, n_classes):
    """Codes of all classes and probabilities that know a little, some of them equal."""
    random = np.random.default_rng(seed)
    target = np.concatenate([np.arange(n_classes), random.integers(0, n_classes, 40)])
    raw = random.random((len(target), n_classes)).round(1) + 0.05 + 0.3 * np.eye(n_classes)[target]
    return target, raw / raw.sum(axis=1, keepdims=True)


@quick
@given(st.integers(0, 1_000), st.integers(2, 5))
def test_classification_scores_are_scikit_learns(seed, n_classes):
    target, probabilities = random_case(seed, n_classes)
    chosen = probabilities.argmax(axis=1)
    for_auc = probabilities[:, 1] if n_classes == 2 else probabilities
    assert score(CLASSIFICATION, target.astype(float), probabilities) == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(target, chosen),
            "balanced_accuracy": metrics.balanced_accuracy_score(target, chosen),
            "macro_f1": metrics.f1_score(target, chosen, average="macro"),
            "log_loss": metrics.log_loss(target, probabilities),
            "brier": np.mean(np.sum((probabilities - np.eye(n_classes)[target]) ** 2, axis=1)),
            "roc_auc": metrics.roc_auc_score(target, for_auc, multi_class="ovr"),
        }
    )


@quick
@given(st.integers(0, 1_000))
def test_regression_scores_are_scikit_learns(seed):
    random = np.random.default_rng(seed)
    target = random.normal(size=50).round(1)
    predictions = target + random.normal(size=50).round(1)
    assert score(REGRESSION, target, predictions) == pytest.approx(
        {
            "rmse": metrics.root_mean_squared_error(target, predictions),
            "mae": metrics.mean_absolute_error(target, predictions),
            "r2": metrics.r2_score(target, predictions),
            "spearman": spearmanr(target, predictions).statistic,
        }
    )


@quick
@given(st.integers(0, 1_000), st.integers(2, 5), st.integers(2, 60))
def test_arithmetic_that_is_repeated_here_gives_the_same_bits(seed, n_classes, n_rows):
    random = np.random.default_rng(seed)
    target = np.concatenate([[0, 1], random.integers(0, n_classes, n_rows)])
    raw = random.random((len(target), n_classes)).round(random.integers(1, 9)) + 0.01
    probabilities = raw / raw.sum(axis=1, keepdims=True)
    scores = score(CLASSIFICATION, target.astype(float), probabilities)
    present = np.unique(target)
    chosen = probabilities.argmax(axis=1)
    assert scores["macro_f1"] == metrics.f1_score(
        target, chosen, labels=present, average="macro", zero_division=0
    )
    ones = present[1:] if n_classes == 2 else present
    areas = [metrics.roc_auc_score(target == label, probabilities[:, label]) for label in ones]
    assert scores["roc_auc"] == np.mean(areas)
    numbers, guesses = random.normal(size=(2, n_rows)).round(random.integers(0, 9))
    if np.ptp(numbers) > 0 and np.ptp(guesses) > 0:
        assert score(REGRESSION, numbers, guesses)["spearman"] == spearmanr(numbers, guesses).statistic


def test_two_rows_by_hand():
    scores = score(CLASSIFICATION, np.array([0.0, 1.0]), np.array([[0.8, 0.2], [0.6, 0.4]]))
    assert scores["brier"] == pytest.approx((2 * 0.2**2 + 2 * 0.6**2) / 2)
    assert scores["log_loss"] == pytest.approx(-(math.log(0.8) + math.log(0.4)) / 2)
    assert (scores["accuracy"], scores["balanced_accuracy"], scores["roc_auc"]) == (0.5, 0.5, 1.0)
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 0) / 2)


def test_certain_and_wrong_costs_the_smallest_probability_not_infinity():
    scores = score(CLASSIFICATION, np.array([0.0, 1.0]), np.array([[1.0, 0.0], [1.0, 0.0]]))
    assert scores["log_loss"] == pytest.approx(-math.log(1e-7) / 2)  # of protocol 1


def test_auc_of_three_classes_is_the_mean_of_one_against_the_rest():
    target = np.array([0.0, 0, 1, 1, 2, 2])
    probabilities = np.array(
        [[0.9, 0.1, 0], [0.2, 0.8, 0], [0.3, 0.7, 0], [0.1, 0.9, 0], [0.1, 0.2, 0.7], [0.5, 0.3, 0.2]]
    )
    # Class 0: 0.9 beats all four, 0.2 beats two of four. Class 1: 0.7 and 0.9 against .1, .8, .2, .3. Class 2: all.
    assert score(CLASSIFICATION, target, probabilities)["roc_auc"] == pytest.approx((6 / 8 + 7 / 8 + 1) / 3)


def test_class_that_the_rows_do_not_hold_does_not_count():
    target, probabilities = random_case(0, 3)
    kept = target != 1
    scores = score(CLASSIFICATION, target[kept].astype(float), probabilities[kept])
    of_both = [
        metrics.roc_auc_score(target[kept] == label, probabilities[kept][:, label]) for label in (0, 2)
    ]
    assert scores["roc_auc"] == pytest.approx(np.mean(of_both))
    assert scores["macro_f1"] == pytest.approx(
        metrics.f1_score(target[kept], probabilities[kept].argmax(axis=1), labels=[0, 2], average="macro")
    )


def test_one_class_alone_has_no_auc():
    scores = score(CLASSIFICATION, np.zeros(5), np.tile([0.7, 0.3], (5, 1)))
    assert "roc_auc" not in scores
    assert scores["accuracy"] == 1


def test_constant_predictions_score_at_chance():
    target = np.arange(60) % 3 * 1.0
    scores = score(CLASSIFICATION, target, np.full((60, 3), 1 / 3))
    assert scores["roc_auc"] == 0.5
    assert scores["log_loss"] == pytest.approx(math.log(3))
    assert scores["balanced_accuracy"] == pytest.approx(1 / 3)
    numbers = score(REGRESSION, target, np.full(60, target.mean()))
    assert (numbers["r2"], numbers["spearman"]) == (0, 0)
    assert numbers["rmse"] == pytest.approx(target.std())


def test_constant_target_has_scores_without_warnings():
    assert score(REGRESSION, np.ones(5), np.arange(5.0)) == pytest.approx(
        {"rmse": math.sqrt(3), "mae": 1.4, "r2": 0, "spearman": 0}, abs=1e-12
    )


@pytest.mark.parametrize("task_type", [CLASSIFICATION, REGRESSION])
def test_every_stored_metric_is_computed(task_type):
    target, probabilities = random_case(0, 2)
    predictions = probabilities if task_type is CLASSIFICATION else probabilities[:, 0]
    scores = score(task_type, target.astype(float), predictions)
    assert set(scores) == {metric.name for metric in metrics_of(task_type)}
    assert all(type(value) is float for value in scores.values())


@pytest.mark.parametrize("task_type", [CLASSIFICATION, REGRESSION])
def test_one_score_is_the_same_as_among_all(task_type):
    random = np.random.default_rng(0)
    target = random.integers(3, size=50).astype(float)
    predictions = random.dirichlet(np.ones(3), 50) if task_type is CLASSIFICATION else random.normal(size=50)
    scores = score(task_type, target, predictions)
    assert set(scores) == {metric.name for metric in metrics_of(task_type)}
    assert {name: score_one(name, target, predictions) for name in scores} == scores


def test_one_score_of_what_is_not_defined_is_refused():
    with pytest.raises(KeyError, match="roc_auc"):
        score_one("roc_auc", np.zeros(4), np.full((4, 2), 0.5))
