import json

import numpy as np
import pytest
import skops.io

from app.metalearning.metrics import METRICS, headline_metric
from app.metalearning.portfolio import find_configuration
from app.metalearning.portfolio.expressions import source
from app.metalearning.protocol import splits
from app.metalearning.table import TaskType
from tests.tables import (
    CLASSIFICATION,
    REGRESSION,
    combine,
    complementary_table,
    exactly,
    measure,
    mixed_table,
    noise_table,
)
from workers.experiments import comparison, ensembling, evaluation, pipelines, scoring, stacking
from workers.experiments.measured import Measured, load_measured

LINE = {CLASSIFICATION: "clf-logistic_regression-default", REGRESSION: "reg-ridge-default"}
TREE = {CLASSIFICATION: "clf-decision_tree-leaf_8", REGRESSION: "reg-decision_tree-leaf_8"}


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(comparison, "_N_RESAMPLES", 40)


@pytest.fixture(scope="module", params=list(TaskType))
def complementary(request, tmp_path_factory):
    """Two models that know different halves of the truth, stacked."""
    folder = tmp_path_factory.mktemp("complementary")
    table = complementary_table(request.param)
    experiments = [measure(table, names[request.param], folder) for names in (LINE, TREE)]
    metric = headline_metric(request.param, 2)
    return table, metric, combine(table, experiments, metric.name, folder), folder


def test_stack_of_complementary_models_wins(complementary):
    table, metric, outcome, _ = complementary
    comparison = outcome["result"]["stack_comparison"]
    assert comparison["verdict"] == "stack_better"
    assert 0 < comparison["low"] < comparison["difference"] < comparison["high"]
    assert comparison["single"] in (LINE[table.task_type], TREE[table.task_type])
    assert comparison["rows"] == 250
    assert outcome["result"]["winner"] == outcome["card"]["winner"] == "stack"
    assert json.loads(json.dumps(outcome, allow_nan=False)) == outcome
    leaderboard = outcome["result"]["leaderboard"]
    assert [row["rank"] for row in leaderboard] == [1, 2, 3]
    assert leaderboard[0]["name"] == "stack"
    losses = [metric.loss(row["scores"][metric.name]) for row in leaderboard]
    assert losses == sorted(losses)
    assert leaderboard[0]["fit_cpu_seconds"] == pytest.approx(
        sum(row["fit_cpu_seconds"] for row in leaderboard[1:])
    )


def test_leaderboard_tells_of_every_fold_and_how_sure_the_first_is(complementary):
    _, metric, outcome, _ = complementary
    result, card = outcome["result"], outcome["card"]
    board = result["leaderboard"]
    for row in board:
        assert len(row["fold_scores"]) == 5
        assert np.mean(row["fold_scores"]) == pytest.approx(row["scores"][metric.name], rel=0.1)
    found = result["runner_up"]
    assert (found["first"], found["second"]) == tuple(row["name"] for row in board[:2])
    assert (found["verdict"], found["rows"]) == ("first_better", 500)
    assert 0 < found["low"] < found["difference"] < found["high"]
    assert result["choice"]["chosen"] == ["stack", "stack"]
    assert result["choice"]["score"] == pytest.approx(board[0]["scores"][metric.name], rel=0.05)
    assert card["fold_scores"] == board[0]["fold_scores"]
    assert any(f"{result['choice']['score']:.4g}" in limit for limit in card["limits"])


def test_artifact_of_a_stack_is_the_stack_fitted_on_all_rows(complementary, tmp_path):
    table, metric, outcome, folder = complementary
    loaded = skops.io.load(
        folder / stacking.ARTIFACT_FILE, trusted=outcome["card"]["artifact"]["trusted_types"]
    )
    names = (LINE[table.task_type], TREE[table.task_type])
    members = [load_measured(measure(table, name, tmp_path)) for name in names]
    expression = ensembling.make_stack(table, members, metric, splits.plan(table)).expression
    target = table.target_values.astype(int) if table.task_type is CLASSIFICATION else table.target_values
    again = pipelines.build(expression).fit(pipelines.features(table), target)
    predict = "predict_proba" if table.task_type is CLASSIFICATION else "predict"
    data = pipelines.features(table)
    np.testing.assert_allclose(getattr(loaded, predict)(data), getattr(again, predict)(data), rtol=1e-9)
    assert source(expression, 4) in (folder / stacking.SCRIPT_FILE).read_text()


@pytest.mark.parametrize(
    "name",
    [
        "clf-xgboost-default",
        "reg-lightgbm-default",
        "clf-svm-rbf",
        "reg-mlp-early",
        "clf-explainable_boosting-pairs",
        "reg-gaussian_process-matern",
    ],
)
def test_artifact_of_a_single_predicts_like_a_refit(tmp_path, name):
    configuration = find_configuration(name)
    table = mixed_table(configuration.task_type, 80)
    metric = headline_metric(table.task_type, len(table.classes)).name
    outcome = combine(table, [measure(table, name, tmp_path)], metric, tmp_path)
    assert outcome["result"]["stack_comparison"] is None
    card = outcome["card"]
    loaded = skops.io.load(tmp_path / stacking.ARTIFACT_FILE, trusted=card["artifact"]["trusted_types"])
    data = pipelines.features(table)
    again = evaluation.fit_pipeline(configuration, data, table.target_values, table.task_type)
    predict = "predict_proba" if table.task_type is CLASSIFICATION else "predict"
    np.testing.assert_allclose(getattr(loaded, predict)(data), getattr(again, predict)(data), rtol=1e-6)
    assert card["classes"] == list(table.classes)
    assert (card["winner"], [each["id"] for each in card["configurations"]]) == (name, [name])
    assert card["scores"] == outcome["result"]["leaderboard"][0]["scores"]
    assert isinstance(card["learning_curve"], list)


def test_what_cannot_be_taken_home_gives_way_to_the_next_best(tmp_path, monkeypatch):
    table = mixed_table(CLASSIFICATION, 120)
    names = ("clf-lda-shrunk", "clf-knn-5", "clf-explainable_boosting-additive")
    measured = [measure(table, name, tmp_path) for name in names]
    best = combine(table, measured, "roc_auc", tmp_path)["result"]["winner"]
    dump = skops.io.dump

    def refuse_the_best(model, path):
        if best == "stack" or type(model[-1]).__name__ in find_configuration(best).snippet:
            monkeypatch.setattr(skops.io, "dump", dump)
            raise TypeError("this cannot be written")
        dump(model, path)

    monkeypatch.setattr(skops.io, "dump", refuse_the_best)
    outcome = combine(table, measured, "roc_auc", tmp_path)
    assert outcome["result"]["winner"] == outcome["card"]["winner"] != best
    assert outcome["result"]["passed_over"].keys() == {best}
    assert any(limit.startswith(f"{best} scored better") for limit in outcome["card"]["limits"])
    assert {"python", "numpy", "scikit-learn", "skops"} <= outcome["card"]["versions"].keys()


def test_on_noise_the_winner_is_a_single_configuration(tmp_path):
    table = noise_table(400)
    names = ["clf-gaussian_nb-default", "clf-decision_tree-leaf_8", "clf-knn-5"]
    outcome = combine(table, [measure(table, name, tmp_path) for name in names], "log_loss", tmp_path)
    assert outcome["result"]["stack_comparison"]["verdict"] != "stack_better"
    assert outcome["result"]["winner"] in names
    singles = [row["name"] for row in outcome["result"]["leaderboard"] if row["name"] != "stack"]
    assert outcome["result"]["winner"] == singles[0]


def centroid_predictions(random, target, folds):
    """Out-of-fold probabilities of a weak model of two classes that nothing tells apart."""
    points, positive = random.normal(size=(2, len(target))), np.zeros(len(target))
    for fold in range(5):
        known, here = folds != fold, folds == fold
        centres = [points[:, known & (target == label)].mean(axis=1, keepdims=True) for label in (0, 1)]
        far, near = (np.sum((points[:, here] - centre) ** 2, axis=0) for centre in centres)
        positive[here] = 1 / (1 + np.exp(near - far))
    return np.column_stack([1 - positive, positive])


def measured(name, predictions, target, halves):
    of_all, of_a = (
        scoring.score(CLASSIFICATION, target[rows], predictions[rows]) for rows in (halves >= 0, halves == 0)
    )
    costs = {"fit_cpu_seconds": 1.0, "predict_cpu_seconds_per_1000_rows": 1.0}
    return Measured(name, of_all, of_a, predictions, costs)


ALTERNATING = exactly({"x": np.zeros(60)}, ["p", "q"] * 30)
PLAN, TARGET = splits.plan(ALTERNATING), ALTERNATING.target_values


def test_stack_of_models_that_know_nothing_scores_at_chance():
    scores = []
    for seed in range(50):
        random = np.random.default_rng(seed)
        costs = {"fit_cpu_seconds": 1.0, "predict_cpu_seconds_per_1000_rows": 1.0}
        models = [
            Measured(name, {}, {}, centroid_predictions(random, TARGET, PLAN.folds), costs) for name in "abc"
        ]
        stacked = ensembling.make_stack(ALTERNATING, models, METRICS["roc_auc"], PLAN)
        scores.append(stacked.measured.scores["roc_auc"])
    assert np.mean(scores) == pytest.approx(0.5, abs=0.04)


def test_comparison_chooses_on_one_half_and_judges_on_the_other():
    perfect = np.eye(2)[TARGET.astype(int)]
    weak = centroid_predictions(np.random.default_rng(0), TARGET, PLAN.folds)
    # Perfect on half A, which chooses, and always wrong on half B, which judges.
    lucky = np.where(PLAN.halves[:, None] == 0, perfect, 1 - perfect)

    def compare(singles, stacked, metric="accuracy"):
        models = [measured(name, predictions, TARGET, PLAN.halves) for name, predictions in singles.items()]
        stacked = measured("stack", stacked, TARGET, PLAN.halves)
        return comparison.compare(METRICS[metric], models, stacked, TARGET, PLAN)

    better = compare({"weak": weak, "lucky": lucky}, perfect)
    assert (better.single, better.difference, better.verdict) == ("lucky", 1.0, "stack_better")
    worse = compare({"perfect": perfect}, lucky)
    assert (worse.difference, worse.verdict) == (-1.0, "single_better")
    equal = compare({"weak": weak}, weak, "log_loss")
    assert (equal.difference, equal.verdict) == (0.0, "no_clear_difference")


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss"])
def test_class_of_a_single_row_does_not_break_stacking(tmp_path, metric):
    random = np.random.default_rng(0)
    table = noise_table(60)
    labels = np.array(["p"] * 59 + ["q"])
    table = type(table)(
        table.frame.set_column(4, "class", [labels[random.permutation(60)]]),
        table.columns,
        "class",
        CLASSIFICATION,
    )
    names = ["clf-gaussian_nb-default", "clf-knn-5"]
    combine(table, [measure(table, name, tmp_path) for name in names], metric, tmp_path)


def guesses(random, n_rows=300):
    """A plan, targets, and twelve models that know nothing of them."""
    plan = splits.plan(noise_table(n_rows))
    target = noise_table(n_rows, int(random.integers(1_000_000))).target_values
    shares = random.random((12, n_rows))
    models = [
        Measured(f"m{index}", {}, {}, np.column_stack([1 - each, each]), {})
        for index, each in enumerate(shares)
    ]
    return plan, target, models


def test_score_of_choosing_is_honest_where_nothing_can_be_known():
    """The best of twelve guesses looks good; on rows that did not choose it, it is a guess."""
    random, metric = np.random.default_rng(0), METRICS["roc_auc"]
    honest, best = [], []
    for _ in range(40):
        plan, target, models = guesses(random)
        honest.append(comparison.worth_of_choosing(metric, models, target, plan)["score"])
        best.append(max(scoring.score_one("roc_auc", target, each.predictions) for each in models))
    assert np.mean(best) > 0.54
    assert abs(np.mean(honest) - 0.5) < 3 * np.std(honest) / np.sqrt(len(honest))


def test_of_guesses_the_first_is_hardly_ever_better_than_the_second_beyond_doubt():
    random, metric = np.random.default_rng(1), METRICS["log_loss"]
    verdicts = []
    for _ in range(40):
        plan, target, models = guesses(random)
        losses = [scoring.score_one("log_loss", target, each.predictions) for each in models]
        first, second = (models[index] for index in np.argsort(losses)[:2])
        verdicts.append(comparison.against_runner_up(metric, first, second, target, plan)["verdict"])
    assert verdicts.count("first_better") <= 6
