import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from app.errors import InvalidRequestError, UnknownMetafeatureError, UnknownMetricError
from app.metalearning.baselines import normalised_regret
from app.metalearning.experience import weighted_losses
from app.metalearning.metafeatures import LEARNED
from app.metalearning.metalearners import NEURAL_STRATEGIES, STRATEGIES
from app.metalearning.metrics import metrics_of
from app.metalearning.recommendation import (
    Question,
    recommend,
)
from app.metalearning.table import TaskType
from tests.tables import CLASSIFICATION, REGRESSION, known_metafeatures


@pytest.mark.parametrize("task_type", TaskType)
@pytest.mark.parametrize("strategy", [*STRATEGIES, *NEURAL_STRATEGIES, None])
@pytest.mark.parametrize("k", [1, 4, 100])
def test_candidates_are_k_distinct_configurations_of_the_task_type(ask, knowledge, task_type, strategy, k):
    answer = ask(task_type, strategy=strategy, k=k)
    ids = [each.configuration.id for each in answer.candidates]
    feasible = set(knowledge[task_type].evidence.configurations) - set(answer.excluded)
    assert len(set(ids)) == len(ids) == min(k, len(feasible))
    assert set(ids) <= feasible
    assert {each.configuration.task_type for each in answer.candidates} == {task_type}
    assert [each.rank for each in answer.candidates] == list(range(1, len(ids) + 1))
    assert strategy is None or answer.strategy == strategy
    assert not answer.outside_experience


@pytest.mark.parametrize("task_type", TaskType)
def test_every_metric_has_an_interval_that_holds_the_score(ask, task_type):
    for metric in metrics_of(task_type):
        for each in ask(task_type, metric=metric.name, k=100, target_sd=3.0).candidates:
            assert each.expected.low <= each.expected.score <= each.expected.high
            assert each.expected.low < each.expected.high
            assert each.expected.unit == metric.name
            if metric.larger_is_better:
                assert each.expected.high <= metric.best
            else:
                assert each.expected.low >= metric.best


def test_one_dataset_on_which_a_model_explodes_does_not_rule_the_expectation(ask, knowledge):
    evidence = knowledge[REGRESSION].evidence
    for row in range(0, len(evidence.datasets), 5):
        for each in ask(REGRESSION, known_metafeatures(evidence, row), metric="r2").candidates:
            own_loss = evidence.losses["r2"][row, evidence.configurations.index(each.configuration.id)]
            assert each.expected.score > -0.5 or own_loss > 1.5


def test_costs_and_probabilities_are_sensible(ask):
    candidates = ask(k=100).candidates
    sbs = ask(strategy="single_best", k=1).candidates[0].configuration.id
    for each in candidates:
        assert each.fit_cpu_seconds > 0
        assert each.predict_cpu_seconds_per_1000_rows > 0
        assert each.memory_bytes > 0
        assert 0 <= each.expected_regret <= 2
        assert (each.probability_beats_single_best is None) == (each.configuration.id == sbs)
        assert each.probability_beats_single_best is None or 0 < each.probability_beats_single_best < 1
    regrets = {each.configuration.id: each.expected_regret for each in candidates}
    likely = [each.configuration.id for each in candidates if (each.probability_beats_single_best or 0) > 0.5]
    assert all(regrets[name] < regrets[sbs] for name in likely)


def test_known_dataset_is_its_own_nearest_neighbour(ask, knowledge):
    for row in (0, 5):
        answer = ask(
            metafeatures=known_metafeatures(knowledge[CLASSIFICATION].evidence, row), strategy="forest"
        )
        weights = [each.weight for each in answer.neighbours]
        nearest = [each.dataset for each in answer.neighbours if each.weight == weights[0]]
        assert knowledge[CLASSIFICATION].evidence.datasets[row] in nearest
        assert weights == sorted(weights, reverse=True)
        assert sum(weights) <= 1


def test_known_dataset_is_most_similar_to_itself(ask, knowledge):
    evidence = knowledge[CLASSIFICATION].evidence
    for row in (0, 5):
        answer = ask(metafeatures=known_metafeatures(evidence, row), strategy="forest")
        assert answer.similar[0].dataset == evidence.datasets[row]
        assert answer.similar[0].distance == pytest.approx(0, abs=1e-6)
        distances = [each.distance for each in answer.similar]
        assert distances == sorted(distances)
        winner = evidence.configurations[np.nanargmin(evidence.losses[answer.metric.name][row])]
        assert answer.similar[0].winner == winner


def test_winner_of_a_neighbour_is_the_best_there_by_the_metric(ask, knowledge):
    evidence = knowledge[REGRESSION].evidence
    for each in ask(REGRESSION, metric="r2").neighbours:
        losses = evidence.losses["r2"][evidence.datasets.index(each.dataset)]
        assert each.winner == evidence.configurations[np.nanargmin(losses)]
        assert each.winner_score == pytest.approx(1 - np.nanmin(losses))


def test_large_datasets_exclude_what_takes_too_long(ask, knowledge):
    of = knowledge[CLASSIFICATION]
    largest = float(np.nanmax(of.evidence.metafeatures[:, LEARNED.index("nr_inst")]))
    answer = ask(metafeatures=known_metafeatures(of.evidence) | {"nr_inst": max(20_001.0, largest)}, k=100)
    assert "clf-svm-rbf" in answer.excluded
    chosen = {each.configuration.id for each in answer.candidates}
    assert chosen.isdisjoint(answer.excluded)
    assert chosen | set(answer.excluded) == set(of.evidence.configurations)
    assert ask(k=100).excluded == {}


def test_default_strategy_is_the_one_with_the_best_proof(ask, knowledge):
    for task_type in TaskType:
        report = knowledge[task_type].report
        means = {
            name: np.mean([regret[k] for k in ("1", "3", "5", "10")])
            for name, regret in report["regret"].items()
        }
        assert ask(task_type).strategy == report["default"]
        assert means[report["default"]] == pytest.approx(min(means.values()), abs=1e-4)


def test_same_question_has_the_same_answer(ask):
    assert ask(k=100) == ask(k=100)


def test_score_is_in_the_unit_of_the_target_where_its_spread_is_known(ask):
    relative = ask(REGRESSION, metric="mae").candidates[0].expected
    absolute = ask(REGRESSION, metric="mae", target_sd=100.0).candidates[0].expected
    assert relative.unit == "mae / standard deviation of the target"
    assert absolute.score == pytest.approx(100 * relative.score)


@pytest.mark.parametrize(
    ("question", "error", "named"),
    [
        ({"strategy": "magic"}, InvalidRequestError, "forest"),
        ({"metric": "rmse"}, UnknownMetricError, "roc_auc"),
        ({"metafeatures": {"nr_isnt": 5.0}}, UnknownMetafeatureError, "nr_inst"),
    ],
)
def test_unknown_names_are_refused_with_known_ones(ask, question, error, named):
    with pytest.raises(error) as caught:
        ask(**question)
    assert named in caught.value.advice


def test_unmeasured_losses_do_not_count():
    losses = np.array([[0.2, np.nan], [0.4, 0.6], [0.9, 0.8]])
    mean, spread = weighted_losses(losses, np.array([0.5, 0.5, 0.0]))
    assert mean == pytest.approx([0.3, 0.6])
    assert spread == pytest.approx([0.1, 0.01])


def test_interval_widens_with_the_calibrated_factor(knowledge):
    of = knowledge[REGRESSION]
    calibration = of.report["calibration"]
    twice = calibration["rmse"] | {"interval": 2 * calibration["rmse"]["interval"]}
    wider = dataclasses.replace(of, report=of.report | {"calibration": calibration | {"rmse": twice}})
    question = Question(REGRESSION, known_metafeatures(of.evidence), k=100, target_sd=1.0)
    for one, two in zip(
        recommend(of, question).candidates, recommend(wider, question).candidates, strict=True
    ):
        above = one.expected.high - one.expected.score
        assert above > 0
        assert two.expected.high - two.expected.score == pytest.approx(2 * above)


@pytest.mark.parametrize("metric", ["balanced_accuracy", "macro_f1"])
def test_ranking_goes_by_the_metric_that_is_asked_for(knowledge, metric):
    """What is first by the default metric is often bad by one that counts rare classes."""
    of = knowledge[CLASSIFICATION]
    regret = normalised_regret(of.evidence.losses[metric], np.zeros(len(of.evidence.datasets)))
    places = {name: place for place, name in enumerate(of.evidence.configurations)}
    firsts = []
    for row in range(0, len(of.evidence.datasets), 4):
        asked = [
            Question(CLASSIFICATION, known_metafeatures(of.evidence, row), metric=name, k=1, explain=False)
            for name in (None, metric)
        ]
        chosen = [recommend(of, each).candidates[0].configuration.id for each in asked]
        firsts.append([regret[row, places[name]] for name in chosen])
    usual, by_metric = np.mean(firsts, axis=0)
    assert by_metric < 0.8 * usual


def test_what_moved_the_first_candidate_is_told_with_its_value(ask, knowledge):
    values = known_metafeatures(knowledge[REGRESSION].evidence, 7)
    moved = ask(REGRESSION, values).moved_by
    assert len(moved) == 3
    assert all(each.value == values[each.metafeature] and each.effect for each in moved)
    assert [abs(each.effect) for each in moved] == sorted((abs(each.effect) for each in moved), reverse=True)
    assert ask(REGRESSION, values, explain=False).moved_by == ()


def test_answering_imports_no_training_library():
    program = """
import sys
from app.metalearning.knowledge import load_knowledge
from app.metalearning.recommendation import Question, recommend
from app.metalearning.table import TaskType
for task_type, knowledge in load_knowledge().items():
    recommend(knowledge, Question(task_type, {"nr_inst": 100.0}))
print(*sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    packages = {name.split(".")[0] for name in ran.stdout.split()}
    assert packages.isdisjoint(
        {"sklearn", "lightgbm", "xgboost", "catboost", "pandas", "torch", "skops", "scipy"}
    )
    assert "numpy" in packages
