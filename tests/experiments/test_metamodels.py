"""How predictions of several configurations become one, and that nothing leaks on the way."""

import numpy as np
import pytest
import skops.io
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from app.metalearning.metrics import METRICS, headline_metric
from app.metalearning.portfolio import find_configuration
from app.metalearning.portfolio.expressions import call
from app.metalearning.protocol import splits
from app.metalearning.table import TaskType
from tests.tables import CLASSIFICATION, REGRESSION, combine, complementary_table, exactly, measure, typed
from workers.experiments import ensembling, metamodels, pipelines, scoring, stacking
from workers.experiments.measured import Measured, load_measured
from workers.experiments.metamodels import META_MODELS, least_squares, select

LINE = {CLASSIFICATION: "clf-logistic_regression-default", REGRESSION: "reg-ridge-default"}
TREE = {CLASSIFICATION: "clf-decision_tree-leaf_8", REGRESSION: "reg-decision_tree-leaf_8"}
COSTS = {"fit_cpu_seconds": 1.0, "predict_cpu_seconds_per_1000_rows": 1.0}
LEARNERS = {
    CLASSIFICATION: (GaussianNB(), DecisionTreeClassifier(min_samples_leaf=8), KNeighborsClassifier(15)),
    REGRESSION: (DecisionTreeRegressor(min_samples_leaf=8), KNeighborsRegressor(15), KNeighborsRegressor(5)),
}
WAYS = [*((name, 1) for name in META_MODELS), ("selection", 2), ("least_squares", 2)]


@pytest.fixture
def few_trees(monkeypatch):
    for name in ("_FOREST", "_FOREST_OF_CLASSES"):
        forest = getattr(metamodels, name)
        fewer = call(forest.function, **{**forest.keywords, "n_estimators": 10})
        monkeypatch.setattr(metamodels, name, fewer)


def test_weights_by_hand():
    target = np.array([0.0, 1.0, 2.0, 3.0])
    right, wrong = target + 0.0, np.array([3.0, 3.0, 0.0, 0.0])
    for learn in (select, least_squares):
        learned = learn([right, wrong], target)
        assert learned.weights.tolist() == pytest.approx([1.0, 0.0], abs=1e-9)
        assert learned.used == [0]
        assert learned.predict([right, wrong]) == pytest.approx(target)
    half = [target + 1.0, target - 1.0]  # errors that cancel
    assert least_squares(half, target).predict(half) == pytest.approx(target, abs=0.35)
    assert select(half, target).weights == pytest.approx([0.5, 0.5], abs=0.03)


def test_weights_of_probabilities_by_hand():
    codes = np.array([0.0, 1.0, 2.0, 1.0])
    sure = np.eye(3)[codes.astype(int)] * 0.9 + 1 / 30
    unsure = np.full((4, 3), 1 / 3)
    for learn in (select, least_squares):
        assert learn([unsure, sure], codes).weights == pytest.approx([0.0, 1.0])


def test_a_mean_of_one_is_that_one_and_of_several_a_vote():
    target = np.arange(6.0)
    estimators = [(name, call("sklearn.dummy.DummyRegressor", constant=name)) for name in "abc"]
    alone = select([target, target + 9, target - 9], target)
    assert alone.expression(estimators) is estimators[0][1]
    both = select([target + 1, target - 1, target + 99], target)
    vote = both.expression(estimators)
    assert [name for name, _ in vote.positional[0]] == ["a", "b"]
    assert sum(vote.keywords["weights"]) == pytest.approx(1.0)


@pytest.mark.parametrize("task_type", TaskType)
@pytest.mark.parametrize(("meta_model", "layers"), WAYS)
def test_no_meta_model_makes_skill_of_random_targets(task_type, meta_model, layers, few_trees):
    """Thirty random targets: learners that know nothing, combined, know nothing."""
    scores = []
    for seed in range(30 if layers == 1 else 10):
        random = np.random.default_rng(seed)
        features = random.normal(size=(160, 4))
        target = (
            random.permutation(np.repeat(["p", "q"], 80))
            if task_type is CLASSIFICATION
            else random.normal(size=160)
        )
        table = exactly({f"x{index}": column for index, column in enumerate(features.T)}, target)
        plan = splits.plan(table)
        models = [_cross_validated(each, features, table, plan) for each in LEARNERS[task_type]]
        stack = ensembling.make_stack(table, models, headline_metric(task_type, 2), plan, meta_model, layers)
        scores.append(stack.measured.scores["roc_auc" if task_type is CLASSIFICATION else "r2"])
    spread = np.std(scores) / np.sqrt(len(scores))
    if task_type is CLASSIFICATION:
        assert np.mean(scores) == pytest.approx(0.5, abs=3 * spread)
    else:
        assert np.mean(scores) < 0.0  # of the mean, a prediction that knows nothing, R2 is 0


def _cross_validated(learner, features, table, plan):
    target, codes = table.target_values, table.target_values.astype(int)
    predictions = np.zeros((len(target), 2)) if table.classes else np.zeros(len(target))
    for split in plan.splits:
        known = codes if table.classes else target
        fitted = learner.fit(features[split.training], known[split.training])
        predict = fitted.predict_proba if table.classes else fitted.predict
        predictions[split.test] = predict(features[split.test])
    scores = scoring.score(table.task_type, target, predictions)
    return Measured(type(learner).__name__ + str(id(learner)), scores, scores, predictions, COSTS)


@pytest.fixture(scope="module", params=list(TaskType))
def complementary(request, tmp_path_factory):
    """A table of which two models know different halves of the truth, measured; and fresh rows of the same."""
    folder = tmp_path_factory.mktemp("complementary")
    table = complementary_table(request.param, 3500)
    known, fresh = table.take(np.arange(500)), table.take(np.arange(500, 3500))
    experiments = [measure(known, names[request.param], folder) for names in (LINE, TREE)]
    return known, fresh, experiments


@pytest.mark.parametrize(("meta_model", "layers"), WAYS)
def test_what_is_taken_home_is_better_on_fresh_rows(complementary, tmp_path, meta_model, layers):
    table, fresh, experiments = complementary
    metric = headline_metric(table.task_type, 2)
    outcome = combine(table, experiments, metric.name, tmp_path, meta_model=meta_model, layers=layers)
    assert outcome["result"]["winner"] == "stack"
    facts = outcome["result"]["stack"]
    assert facts["meta_model"] == (meta_model if layers == 1 else f"two layers, {meta_model}")
    assert facts["members"] == [each["configuration"] for each in experiments]
    loaded = skops.io.load(
        tmp_path / stacking.ARTIFACT_FILE, trusted=outcome["card"]["artifact"]["trusted_types"]
    )
    singles = [pipelines.build(find_configuration(each["configuration"]).pipeline) for each in experiments]
    target = table.target_values.astype(int) if table.classes else table.target_values
    losses = [_loss(metric, model.fit(pipelines.features(table), target), fresh) for model in singles]
    lost = _loss(metric, loaded, fresh)
    assert lost < min(losses)
    promised = outcome["result"]["leaderboard"][0]["scores"][metric.name]
    assert lost < 1.35 * float(metric.loss(promised))  # no more was promised than came


def _loss(metric, model, table):
    data = pipelines.features(table)
    predictions = model.predict_proba(data) if table.classes else model.predict(data)
    return float(metric.loss(scoring.score_one(metric.name, table.target_values, predictions)))


def test_half_a_chooses_the_meta_model(complementary):
    table, _, experiments = complementary
    metric, plan = headline_metric(table.task_type, 2), splits.plan(table)
    measured = [load_measured(each) for each in experiments]
    losses = {
        name: float(
            metric.loss(
                ensembling.make_stack(table, measured, metric, plan, name).measured.scores_a[metric.name]
            )
        )
        for name in ("selection", "least_squares")
    }
    chosen = ensembling.make_stack(table, measured, metric, plan)
    assert chosen.meta_model == min(losses, key=lambda name: losses[name])


def sure_table(n_rows, n_classes):
    """Repeated columns make naive Bayes far too sure of itself."""
    random = np.random.default_rng(0)
    codes = random.integers(0, n_classes, n_rows)
    signal = codes + random.normal(size=n_rows) * 1.5
    columns = {f"x{index}": signal + random.normal(size=n_rows) * 0.05 for index in range(12)}
    return typed({**columns, "y": np.array(list("pqr"))[codes]}, "y")


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_calibration_mends_what_is_too_sure(tmp_path, method, n_classes):
    table = sure_table(900, n_classes)
    known, fresh = table.take(np.arange(500)), table.take(np.arange(500, 900))
    experiments = [measure(known, "clf-gaussian_nb-default", tmp_path)]
    outcome = combine(known, experiments, "log_loss", tmp_path, calibrate=method)
    told = outcome["result"]["calibration"]
    assert told["method"] == method
    assert told["after"]["log_loss"] < 0.8 * told["before"]["log_loss"]
    loaded = skops.io.load(
        tmp_path / stacking.ARTIFACT_FILE, trusted=outcome["card"]["artifact"]["trusted_types"]
    )
    assert _loss(METRICS["log_loss"], loaded, fresh) == pytest.approx(told["after"]["log_loss"], rel=0.15)
    assert outcome["card"]["calibration"] == told


def test_a_stack_that_would_take_too_long_gives_way_to_a_single(complementary, tmp_path, monkeypatch):
    table, _, experiments = complementary
    slow = [{**each, "result": {**each["result"], "fit_cpu_seconds": 1000.0}} for each in experiments]
    metric = headline_metric(table.task_type, 2)
    outcome = combine(table, slow, metric.name, tmp_path)
    assert outcome["result"]["stack_comparison"]["verdict"] == "stack_better"
    assert outcome["result"]["winner"] in {LINE[table.task_type], TREE[table.task_type]}
    assert "600 s are left" in outcome["result"]["passed_over"]["stack"]


def test_the_better_buy_is_the_single_where_the_stack_gains_little_for_its_price(complementary, tmp_path):
    table, _, experiments = complementary
    metric = headline_metric(table.task_type, 2)
    comparison = combine(table, experiments, metric.name, tmp_path)["result"]["stack_comparison"]
    assert comparison["better_buy"] == "stack"
    assert "less loss" in comparison["because"]
    dear = ensembling.make_stack(
        table, [load_measured(each) for each in experiments], metric, splits.plan(table)
    )
    slow = {**dear.measured.costs, "predict_cpu_seconds_per_1000_rows": 1e9}
    found = stacking.compare(
        metric,
        [load_measured(each) for each in experiments],
        Measured("stack", dear.measured.scores, dear.measured.scores_a, dear.measured.predictions, slow),
        table.target_values,
        splits.plan(table),
    )
    assert found.better_buy == "stack"  # its gain is worth any price
    little = Measured(
        "stack",
        dear.measured.scores,
        dear.measured.scores_a,
        0.995 * load_measured(experiments[0]).predictions + 0.005 * dear.measured.predictions,
        slow,
    )
    singles = [load_measured(experiments[0])]
    found = stacking.compare(metric, singles, little, table.target_values, splits.plan(table))
    assert found.better_buy == experiments[0]["configuration"]
