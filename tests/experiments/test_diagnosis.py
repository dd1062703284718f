"""What is said of the winner, against data whose truth is known."""

import numpy as np
import pytest

from app.metalearning.metrics import METRICS
from app.metalearning.portfolio import find_configuration
from app.metalearning.protocol import splits
from tests.tables import measure, mixed_table, noise_table, typed
from workers.experiments import comparison, diagnosis
from workers.experiments.measured import load_measured

TREE, LINE = "clf-decision_tree-leaf_8", "reg-ridge-default"


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(comparison, "_N_RESAMPLES", 60)


def diagnosed(table, name, folder, metric, seconds_left=600.0):
    measured = load_measured(measure(table, name, folder))
    expression = find_configuration(name).pipeline
    plan = splits.plan(table)
    return diagnosis.diagnose(table, plan, METRICS[metric], measured, expression, seconds_left), measured


def sums(n_rows=300):
    random = np.random.default_rng(0)
    x = random.normal(size=(3, n_rows))
    columns = {"much": x[0], "little": x[1], "nothing": x[2]}
    return typed({**columns, "y": 3 * x[0] + x[1] + random.normal(size=n_rows) / 4}, "y")


def test_what_matters_is_told_from_what_does_not(tmp_path):
    found, measured = diagnosed(sums(), LINE, tmp_path, "rmse")
    columns = {each["name"]: each for each in found["importance"]["columns"]}
    assert list(columns) == ["much", "little", "nothing"]
    assert columns["much"]["mean"] > 2 * columns["little"]["mean"] > 20 * abs(columns["nothing"]["mean"])
    low, high = found["interval"]
    assert low < measured.scores["rmse"] < high < 0.35
    quantiles = found["residuals"]["quantiles"]
    assert quantiles["0.05"] < quantiles["0.25"] < 0 < quantiles["0.75"] < quantiles["0.95"]
    truth, predicted = np.array(found["residuals"]["points"]).T
    assert np.std(truth - predicted) == pytest.approx(0.25, abs=0.05)
    assert (found["confusion"], found["reliability"]) == (None, None)


def test_where_time_is_short_the_importance_is_left_out(tmp_path):
    found, _ = diagnosed(sums(), LINE, tmp_path, "rmse", seconds_left=0.0)
    assert "columns" not in found["importance"]
    assert found["importance"]["because"].startswith("It would take about")
    assert found["interval"] is not None


def test_confusions_add_up_and_rare_classes_share_a_row(tmp_path):
    random = np.random.default_rng(0)
    codes = np.concatenate([np.repeat(np.arange(24), 12), np.repeat(np.arange(24, 30), 6)])
    x = codes + random.normal(size=len(codes)) / 4
    table = typed({"x": x, "class": [f"c{code:02}" for code in codes]}, "class")
    found, measured = diagnosed(table, TREE, tmp_path, "accuracy")
    confusion = found["confusion"]
    assert len(confusion["labels"]) == diagnosis.MOST_CLASSES
    assert confusion["others"] == 10
    counts = np.array(confusion["counts"])
    assert counts.shape == (21, 21)
    assert counts.sum() == len(codes)
    assert np.trace(counts[:20, :20]) / len(codes) <= measured.scores["accuracy"]
    assert sum(each["rows"] for each in found["reliability"]) == len(codes)


def test_of_noise_nothing_matters_and_no_probability_is_true(tmp_path):
    found, _ = diagnosed(noise_table(400), TREE, tmp_path, "roc_auc")
    assert all(abs(each["mean"]) < 3 * max(each["sd"], 0.05) for each in found["importance"]["columns"])
    sure = [each for each in found["reliability"] if each["said"] > 0.8]
    assert sum(each["right"] * each["rows"] for each in sure) < 0.7 * sum(each["rows"] for each in sure)


def test_categories_and_holes_are_no_obstacle(tmp_path):
    table = mixed_table(sums().task_type, 150)
    found, _ = diagnosed(table, LINE, tmp_path, "rmse")
    assert {each["name"] for each in found["importance"]["columns"]} == {each.name for each in table.columns}
