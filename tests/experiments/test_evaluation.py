from dataclasses import replace

import numpy as np
import pytest
from sklearn.model_selection import PredefinedSplit, cross_val_predict

from app.metalearning import protocol
from app.metalearning.metrics import metrics_of
from app.metalearning.portfolio import find_configuration
from app.metalearning.table import read_table, write_table
from tests.tables import CLASSIFICATION, REGRESSION, exactly, measure, mixed_table, noise_table, typed
from workers.experiments import contract, evaluation, pipelines, scoring

CHEAP = ["clf-gaussian_nb-default", "clf-knn-5", "reg-ridge-default", "reg-knn-25_weighted"]
BOOSTING = [
    f"{kind}-{name}"
    for name in ("lightgbm-default", "xgboost-default", "catboost-300")
    for kind in ("clf", "reg")
]


def table_for(configuration, n_rows=120):
    return mixed_table(find_configuration(configuration).task_type, n_rows)


def predictions_of(experiment):
    with np.load(experiment["predictions"], allow_pickle=False) as arrays:
        return arrays["rows"], arrays["folds"], arrays["predictions"]


def without_costs(result):
    curve = [
        {key: value for key, value in point.items() if "seconds" not in key}
        for point in result["learning_curve"]
    ]
    rest = {
        key: value for key, value in result.items() if "seconds" not in key and key != "peak_memory_bytes"
    }
    return rest | {"learning_curve": curve}


@pytest.mark.parametrize("configuration", CHEAP)
def test_scores_are_those_of_plain_scikit_learn_on_the_same_folds(tmp_path, configuration):
    table = table_for(configuration)
    target, folds = table.target_values, protocol.assign_folds(table.target_values)
    classification = table.task_type is CLASSIFICATION
    plain = cross_val_predict(
        pipelines.build(find_configuration(configuration).pipeline),
        pipelines.features(table),
        target.astype(int) if classification else target,
        cv=PredefinedSplit(folds),
        method="predict_proba" if classification else "predict",
    )
    experiment = measure(table, configuration, tmp_path)
    result = experiment["result"]
    assert result["scores"] == pytest.approx(scoring.score(table.task_type, target, plain))
    first = folds == 0
    assert result["fold_scores"][0] == pytest.approx(
        scoring.score(table.task_type, target[first], plain[first])
    )
    halves = protocol.assign_halves(target)
    for half, name in enumerate(["scores_a", "scores_b"]):
        part = halves == half
        assert result[name] == pytest.approx(scoring.score(table.task_type, target[part], plain[part]))
    np.testing.assert_allclose(predictions_of(experiment)[2], plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("configuration", [*CHEAP[:1], *CHEAP[-1:], *BOOSTING[:4]])
def test_same_seed_gives_the_same_scores(tmp_path, configuration):
    table = table_for(configuration, 80)
    one, two = (measure(table, configuration, tmp_path) for _ in range(2))
    assert without_costs(one["result"]) == without_costs(two["result"])


@pytest.mark.parametrize("configuration", BOOSTING)
def test_boosting_learns_from_every_type_of_column(tmp_path, configuration):
    result = measure(table_for(configuration, 80), configuration, tmp_path)["result"]
    better_than_nothing = {"clf": ("roc_auc", 0.75), "reg": ("r2", 0.3)}
    name, least = better_than_nothing[configuration[:3]]
    assert result["scores"][name] > least


@pytest.mark.parametrize("configuration", CHEAP[1:3])
def test_predictions_cover_every_sampled_row_once(tmp_path, configuration):
    table = table_for(configuration, 4_300)
    experiment = measure(table, configuration, tmp_path)
    rows, folds, predictions = predictions_of(experiment)
    assert experiment["result"]["n_rows"] == len(rows) == protocol.MOST_ROWS
    assert np.array_equal(rows, protocol.sample_rows(table.target_values))
    assert np.array_equal(folds, protocol.assign_folds(table.target_values[rows]))
    assert len(experiment["result"]["fold_scores"]) == folds.max() + 1 == 3
    if table.task_type is CLASSIFICATION:
        assert predictions.shape == (4_000, 3)
        np.testing.assert_allclose(predictions.sum(axis=1), 1, atol=1e-5)
        assert predictions.min() >= 0
    else:
        assert predictions.shape == (4_000,)


def test_random_targets_score_at_chance(tmp_path):
    names = ["gaussian_nb-default", "lda-shrunk", "decision_tree-leaf_8", "knn-5", "lightgbm-default"]
    scores = [measure(noise_table(400), f"clf-{name}", tmp_path)["result"]["scores"] for name in names]
    assert np.mean([each["roc_auc"] for each in scores]) == pytest.approx(0.5, abs=0.1)
    assert np.mean([each["balanced_accuracy"] for each in scores]) == pytest.approx(0.5, abs=0.1)
    assert all(each["log_loss"] > 0.69 for each in scores)


@pytest.mark.parametrize("configuration", ["clf-xgboost-default", "clf-catboost-300"])
def test_class_that_a_training_fold_lacks_gets_no_probability_there(tmp_path, configuration):
    random = np.random.default_rng(0)
    labels = np.array(["a"] * 30 + ["b"] + ["c"] * 29)
    table = typed({"x": random.normal(size=60) + 2 * (labels == "c"), "y": labels}, "y")
    experiment = measure(table, configuration, tmp_path)
    _, folds, predictions = predictions_of(experiment)
    there = folds == folds[30]
    assert np.all(predictions[there, 1] == 0)
    assert np.all(predictions[~there, 1] > 0)
    np.testing.assert_allclose(predictions.sum(axis=1), 1, atol=1e-5)
    assert experiment["result"]["scores"]["accuracy"] > 0.6


def test_learning_curve_has_a_point_per_anchor_and_grows(tmp_path):
    result = measure(table_for("reg-ridge-default", 2_000), "reg-ridge-default", tmp_path)["result"]
    curve = result["learning_curve"]
    assert [point["anchor"] for point in curve] == [64, 256, 1_024]
    assert curve[0]["rmse"] > curve[-1]["rmse"]
    assert curve[-1]["rmse"] == pytest.approx(result["fold_scores"][0]["rmse"], rel=0.05)


def test_limits_are_told_of_every_fit(tmp_path):
    table = table_for("reg-ridge-default", 120)
    write_table(table, tmp_path / "table.parquet")
    messages = []
    payload = {
        "table": str(tmp_path / "table.parquet"),
        "configuration": "reg-ridge-default",
        "folder": str(tmp_path),
        "probe_file": str(tmp_path / "probe.json"),
        "gpu": False,
        "rival": None,
    }
    evaluation.measure(payload, messages.append)
    assert [message["kind"] for message in messages] == ["fit"] * 6  # five folds and one anchor
    limits = contract.limits(1 << 30)
    assert (limits.fit_cpu_seconds, limits.fit_wall_seconds) == (20, 60)


def test_result_says_under_which_protocol_and_versions(tmp_path):
    result = measure(table_for("reg-xgboost-default", 60), "reg-xgboost-default", tmp_path)["result"]
    assert (result["protocol"], result["configuration"]) == (1, "reg-xgboost-default")
    assert result["fingerprint"] == find_configuration("reg-xgboost-default").fingerprint
    assert set(result["versions"]) == {"numpy", "scikit-learn", "xgboost-cpu"}
    assert result["fit_cpu_seconds"] > 0
    assert result["peak_memory_bytes"] >= 0
    assert set(result["scores"]) == {metric.name for metric in metrics_of(REGRESSION)}


@pytest.mark.parametrize(
    "configuration", ["clf-logistic_regression-default", "clf-lightgbm-default", "clf-catboost-300"]
)
def test_training_fold_of_one_class_predicts_it_for_certain(tmp_path, configuration):
    table = exactly({"x": np.random.default_rng(0).normal(size=40)}, ["p"] * 39 + ["q"])
    experiment = measure(table, configuration, tmp_path)
    _, folds, predictions = predictions_of(experiment)
    assert np.all(predictions[folds == folds[39]] == [1, 0])
    assert experiment["result"]["scores"]["accuracy"] == pytest.approx(39 / 40, abs=0.03)


class Stubborn:
    """An estimator that refuses to learn, or predicts what is no number."""

    def __init__(self, error=None):
        self.error = error

    def fit(self, _data, _target):
        if self.error:
            raise self.error

    def predict(self, data):
        return np.full(len(data), np.nan)


def make_stubborn(monkeypatch, error):
    """Leave the preparations as they are, and put the stubborn estimator in place of what follows them."""
    steps = pipelines.steps
    monkeypatch.setattr(pipelines, "steps", lambda pipeline: replace(steps(pipeline), rest=Stubborn(error)))


@pytest.mark.parametrize("error", [None, ValueError("no"), RuntimeError("a library's own")], ids=repr)
def test_what_cannot_be_learned_is_a_refusal_not_a_crash(tmp_path, monkeypatch, error):
    make_stubborn(monkeypatch, error)
    with pytest.raises(evaluation.NotMeasurableError, match="reg-ridge-default"):
        measure(mixed_table(REGRESSION, 40), "reg-ridge-default", tmp_path)


def test_lack_of_memory_is_no_refusal(tmp_path, monkeypatch):
    make_stubborn(monkeypatch, MemoryError())
    with pytest.raises(MemoryError):
        measure(mixed_table(REGRESSION, 40), "reg-ridge-default", tmp_path)


def test_pipelines_see_numbers_and_strings_and_gaps(tmp_path):
    table = mixed_table(CLASSIFICATION)
    write_table(table, tmp_path / "table.parquet")
    data = pipelines.features(read_table(tmp_path / "table.parquet"))
    assert [str(kind) for kind in data.dtypes] == ["float64", "float64", "str", "float64", "float64"]
    assert data.isna().to_numpy().any(axis=0).all()
    assert np.isnan(table.numeric).sum() + (table.categorical < 0).sum() == data.isna().to_numpy().sum()


def test_algorithm_is_not_tried_on_what_its_rules_leave_out(tmp_path):
    table = exactly({"x": np.random.default_rng(0).normal(size=40)}, ["p"] * 39 + ["q"])
    with pytest.raises(evaluation.NotApplicableError, match="clf-qda-regular needs"):
        measure(table, "clf-qda-regular", tmp_path)


def test_cell_carries_probes_from_before_and_after_it(tmp_path, monkeypatch):
    seconds = iter([0.2, 0.4])
    monkeypatch.setattr(evaluation, "recent_probe", lambda _: next(seconds))
    result = measure(table_for("reg-ridge-default", 60), "reg-ridge-default", tmp_path)["result"]
    assert result["probe_seconds"] == pytest.approx(0.3)
