"""Configurations that are measured together get the scores that each gets alone, to the last bit."""

import numpy as np
import pytest

from app.metalearning import protocol
from app.metalearning.portfolio import CONFIGURATIONS, find_configuration
from app.metalearning.table import write_table
from tests.tables import CLASSIFICATION, REGRESSION, exactly, measure, mixed_table
from workers.experiments import evaluation, memory, pipelines, preparing, scoring

# Several configurations of every preparation, quick ones, and one of each library that has native code of its own.
OF_EACH_PREPARATION = {
    CLASSIFICATION: (
        "clf-gaussian_nb-default", "clf-knn-5", "clf-logistic_regression-default", "clf-svm-rbf",  # scaled
        "clf-decision_tree-leaf_8", "clf-lightgbm-shallow", "clf-xgboost-default", "clf-catboost-shallow",
        "clf-decision_tree-depth_4", "clf-nystroem-200", "clf-spline-mild", "clf-linear_svm-default",
    ),
    REGRESSION: (
        "reg-ridge-default", "reg-elastic_net-mild", "reg-knn-12_manhattan", "reg-svm-poly", "reg-huber-default",
        "reg-decision_tree-leaf_8", "reg-lightgbm-shallow", "reg-xgboost-default", "reg-catboost-shallow",
        "reg-bayesian_ridge-ranked", "reg-nystroem-200", "reg-spline-mild", "reg-ridge-strong",
    ),
}  # fmt: skip


def measure_together(table, names, folder):
    """What is told of every configuration."""
    write_table(table, folder / "together.parquet")
    told = []
    payload = {
        "table": str(folder / "together.parquet"),
        "configurations": names,
        "probe_file": str(folder / "probe.json"),
    }
    assert evaluation.measure_together(payload, told.append) == {}
    return [message for message in told if message.keys() & {"result", "refusal"}]


def without_costs(result):
    def kept(facts):
        return {
            key: value for key, value in facts.items() if "seconds" not in key and key != "peak_memory_bytes"
        }

    return kept(result) | {"learning_curve": [kept(point) for point in result["learning_curve"]]}


@pytest.mark.parametrize("task_type", OF_EACH_PREPARATION, ids=str)
def test_sharing_changes_no_score(tmp_path, task_type):
    table, names = mixed_table(task_type, 150), OF_EACH_PREPARATION[task_type]
    together = measure_together(table, list(names), tmp_path)
    for name, message in zip(names, together, strict=True):
        alone = measure(table, name, tmp_path)["result"]
        assert without_costs(message["result"]) == without_costs(alone), name


@pytest.mark.parametrize("task_type", OF_EACH_PREPARATION, ids=str)
def test_scores_are_those_of_whole_pipelines(tmp_path, task_type):
    """The unshared way: every pipeline is fitted as a whole, its preparation with it."""
    table, names = mixed_table(task_type, 150), OF_EACH_PREPARATION[task_type]
    data, target = pipelines.features(table), table.target_values
    folds = protocol.assign_folds(target)
    for name, message in zip(names, measure_together(table, list(names), tmp_path), strict=True):
        for fold, scores in enumerate(message["result"]["fold_scores"]):
            model = pipelines.build(find_configuration(name).pipeline)
            known = target[folds != fold]
            model.fit(data[folds != fold], known.astype(int) if task_type is CLASSIFICATION else known)
            if task_type is CLASSIFICATION:
                raw = model.predict_proba(data[folds == fold])
                predictions = np.zeros(raw.shape)
                predictions[:] = raw / np.maximum(raw.sum(axis=1, keepdims=True), 1e-12)
            else:
                predictions = np.asarray(model.predict(data[folds == fold]), dtype=float).ravel()
            assert scores == scoring.score(task_type, target[folds == fold], predictions), name


def test_every_preparation_of_the_portfolio_is_tested():
    prepared = {pipelines.steps(each.pipeline).preparation_source for each in CONFIGURATIONS.values()}
    tested = [
        pipelines.steps(find_configuration(name).pipeline).preparation_source
        for names in OF_EACH_PREPARATION.values()
        for name in names
    ]
    assert prepared == set(tested)
    assert min(tested.count(each) for each in prepared) >= 2


def test_equal_preparations_are_fitted_once_per_training_set(tmp_path, monkeypatch):
    built = []
    build = pipelines.build
    monkeypatch.setattr(preparing.pipelines, "build", lambda part: built.append(part) or build(part))
    names = ["reg-ridge-default", "reg-ridge-strong", "reg-knn-5"]
    measure_together(mixed_table(REGRESSION, 120), names, tmp_path)
    preparations = [
        part for part in built if getattr(part, "function", "").endswith("make_column_transformer")
    ]
    assert len(preparations) == 6  # five folds and one anchor, for three configurations


def test_what_is_too_large_to_keep_is_prepared_anew(tmp_path, monkeypatch):
    table, name = mixed_table(REGRESSION, 120), "reg-ridge-default"
    kept = measure_together(table, [name, name], tmp_path)
    monkeypatch.setattr(preparing, "MOST_KEPT_BYTES", 0)
    anew = measure_together(table, [name, name], tmp_path)
    assert [without_costs(each["result"]) for each in kept] == [
        without_costs(each["result"]) for each in anew
    ]


def test_learner_that_writes_to_its_data_does_not_reach_the_next(tmp_path, monkeypatch):
    class Vandal:
        def fit(self, data, _target):
            data[:] = 0

        def predict(self, data):
            data[:] = 0
            return data[:, 0]

    steps = pipelines.steps
    vandal = find_configuration("reg-ridge-strong").pipeline
    monkeypatch.setattr(
        pipelines,
        "steps",
        lambda each: (
            preparing.Steps(steps(each).preparation, steps(each).preparation_source, Vandal())
            if each is vandal
            else steps(each)
        ),
    )
    table = mixed_table(REGRESSION, 120)
    _, after = measure_together(table, ["reg-ridge-strong", "reg-ridge-default"], tmp_path)
    monkeypatch.undo()
    alone = measure(table, "reg-ridge-default", tmp_path)["result"]
    assert without_costs(after["result"]) == without_costs(alone)


def test_refusal_costs_only_itself(tmp_path):
    table = exactly({"x": np.random.default_rng(0).normal(size=24)}, ["p", "q"] * 12)
    told = measure_together(table, ["clf-knn-25_weighted", "clf-knn-5"], tmp_path)
    assert "n_neighbors" in told[0]["refusal"]["detail"]
    assert told[1]["result"]["configuration"] == "clf-knn-5"


def test_memory_of_the_second_is_not_that_of_the_first(tmp_path, monkeypatch):
    """A first configuration that needs 200 MB leaves a second one that needs little."""
    real = evaluation._fit

    def hungry(problem, name, *rest):
        if name == "reg-ridge-strong":
            np.ones(25_000_000).sum()
        return real(problem, name, *rest)

    monkeypatch.setattr(evaluation, "_fit", hungry)
    names = ["reg-ridge-strong", "reg-ridge-default"]
    first, second = measure_together(mixed_table(REGRESSION, 120), names, tmp_path)
    assert first["result"]["peak_memory_bytes"] > 190e6
    assert second["result"]["peak_memory_bytes"] < 100e6


def test_batch_ends_after_one_where_memory_cannot_be_told(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "forget_peak", lambda: False)
    told = measure_together(mixed_table(REGRESSION, 120), ["reg-ridge-default", "reg-knn-5"], tmp_path)
    assert [each["result"]["configuration"] for each in told] == ["reg-ridge-default"]
