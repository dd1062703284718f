"""Imported matrices are learned from and proven like the shipped evidence, in their own unit."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from app.errors import InvalidRequestError, MetafeatureOutOfRangeError, UnknownMetafeatureError
from app.metalearning.baselines import average_ranks, mean_regret
from app.metalearning.importing.evidence import as_evidence
from app.metalearning.importing.knowledge import Fitted, dump, load, summarise
from app.metalearning.importing.matrix import MISSING, OK
from app.metalearning.importing.recommendation import recommend_algorithms
from app.metalearning.metalearners import all_metalearners
from app.metalearning.metalearners.portfolio import greedy_order
from tests.scenarios import ACCURACY, RUN_TIME, decided, differences, matrix
from workers.training import importing
from workers.training.forests import train
from workers.training.importing import fit_imported
from workers.training.proof import trajectory

random = np.random.default_rng(0)
NAN = np.nan


@pytest.fixture(autouse=True, scope="module")
def little_work():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importing, "MOST_FOLDS", 5)
        yield


@pytest.fixture(scope="module")
def knowledge(little_work):
    """Learned from a matrix in which the first feature decides."""
    given = decided()
    return load(dump(given, fit_imported(given)))


def known(knowledge, row=0):
    values = zip(knowledge.matrix.feature_names, knowledge.matrix.features[row], strict=True)
    return {name: float(value) for name, value in values}


@pytest.mark.parametrize("measure", [ACCURACY, RUN_TIME])
def test_forest_closes_the_gap_that_metafeatures_explain(measure):
    report = fit_imported(decided(measure=measure)).report
    assert report["default"] in {"forest", "nearest"}
    assert report["gap_closed"]["forest"] > 0.8
    assert report["gap_closed"]["single_best"] < 0.2
    assert report["regret"]["forest"]["1"] < report["regret"]["single_best"]["1"]
    means = report["mean_performance"]
    ends = sorted([means["best_constant"], means["virtual_best"]])
    assert ends[0] <= means["forest"] <= ends[1]


def test_nothing_is_gained_where_metafeatures_say_nothing():
    given = decided()
    shuffled = dataclasses.replace(given, features=random.permutation(given.features))
    assert fit_imported(shuffled).report["gap_closed"]["forest"] < 0.2


def test_constant_is_the_default_where_nothing_beats_it():
    always_best = np.column_stack([np.full(40, 0.9), random.uniform(0, 0.8, (40, 3))])
    report = fit_imported(matrix(always_best)).report
    assert report["regret"]["forest"]["1"] == report["regret"]["single_best"]["1"] == 0
    assert report["default"] == "single_best"
    assert set(report["gap_closed"].values()) == {0}


def test_means_are_those_of_the_best_constant_and_the_virtual_best():
    given = decided(measure=RUN_TIME)
    means = fit_imported(given).report["mean_performance"]
    assert means["virtual_best"] == pytest.approx(given.scored.min(axis=1).mean())
    assert means["best_constant"] == pytest.approx(given.scored.mean(axis=0).min())


def test_many_groups_are_held_out_in_a_bounded_number_of_folds():
    report = fit_imported(decided()).report
    assert report["folds"] == 5
    assert report["groups"] > 5


def test_large_matrices_get_fewer_folds(monkeypatch):
    monkeypatch.setattr(importing, "MOST_FITTED", 120)
    monkeypatch.setattr(importing, "FEWEST_FOLDS", 2)
    assert fit_imported(decided()).report["folds"] == 3


def test_official_folds_are_reported_beside_the_groups():
    folds = np.stack([np.arange(40) % 4, np.arange(40) % 3])
    official = fit_imported(decided(folds=folds)).report["official"]
    assert official["folds"] == 4
    assert official["gap_closed"]["forest"] > 0.8
    assert fit_imported(decided()).report["official"] is None


def test_time_for_metafeatures_is_charged_where_it_delays_a_run():
    given = decided(measure=RUN_TIME)
    slow = dataclasses.replace(given, feature_seconds=np.full(40, 3.0))
    free, charged = (fit_imported(each).report["mean_performance"] for each in (given, slow))
    assert charged["forest"] == pytest.approx(free["forest"] + 3)
    assert charged["portfolio"] == free["portfolio"]
    too_slow = dataclasses.replace(given, feature_seconds=np.full(40, 99.0))
    assert fit_imported(too_slow).report["mean_performance"]["forest"] == 1000


def test_gaps_in_the_matrix_do_not_disturb_what_is_learned():
    given = decided()
    performances = given.performances.copy()
    performances[random.random(performances.shape) < 0.15] = NAN
    performances[5] = NAN
    gappy = dataclasses.replace(
        given, performances=performances, statuses=np.where(np.isnan(performances), MISSING, OK)
    )
    fitted = fit_imported(gappy)
    assert fitted.report["left_out"] == 1
    assert fitted.report["gap_closed"]["forest"] > 0.6
    json.dumps(fitted.report, allow_nan=False)
    answer = recommend_algorithms(load(dump(gappy, fitted)), {"f0": 1.1, "f1": 0.5, "f2": 0.5, "f3": 0.5})
    assert answer.candidates[0].algorithm == "a0"


def test_unmeasured_cells_do_not_count():
    regret = np.array([[0.0, 2.0, NAN], [1.0, NAN, NAN], [0.5, 0.0, NAN]])
    assert mean_regret(regret) == pytest.approx([0.5, 1.0, 2.0])
    assert mean_regret(regret, np.array([0.0, 1.0, 0.0])) == pytest.approx([1.0, 2.0, 2.0])
    assert average_ranks(regret)[2] == 3
    assert average_ranks(np.array([[0.0, 1.0, 2.0], [NAN, 0.0, 1.0]])) == pytest.approx(
        [1, (2 + 4 / 3) / 2, (3 + 8 / 3) / 2]
    )
    assert greedy_order(np.array([[0.2, 0.0], [0.2, NAN], [0.2, NAN]]), np.full(3, 1 / 3), [0, 1]) == [1, 0]


def test_every_way_of_ranking_orders_all_algorithms_despite_gaps():
    performances = random.random((30, 6))
    performances[random.random(performances.shape) < 0.3] = NAN
    evidence = as_evidence(matrix(performances))
    for learner in all_metalearners(evidence, train(evidence)).values():
        assert sorted(learner.rank(evidence.metafeatures[3], list(range(6)))) == list(range(6))
        order = trajectory(learner, evidence.metafeatures[3], list(range(6)), evidence.headline_losses[3], 6)
        assert sorted(order) == list(range(6))


def test_stored_knowledge_is_read_back_the_same_and_holds_no_objects():
    given = decided(folds=np.arange(40)[None] % 4, groups=tuple(f"g{row // 2}" for row in range(40)))
    fitted = fit_imported(given)
    content = dump(given, fitted)
    assert content == dump(given, fit_imported(given))
    back = load(content)
    assert differences(given, back.matrix) == []
    assert back.report == fitted.report
    stored = back.trained.arrays()
    assert all(np.array_equal(value, stored[name]) for name, value in fitted.trained.arrays().items())
    summary = summarise(given, fitted)
    assert (summary["datasets"], summary["runs"]) == (40, {"ok": 120})


def test_pickled_arrays_are_never_loaded(tmp_path):
    np.savez(tmp_path / "hostile.npz", header=np.array([{"any": "object"}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        load((tmp_path / "hostile.npz").read_bytes())


def test_answer_names_what_wins_on_datasets_like_this(knowledge):
    for row, winner in ((0, "a0"), (1, "a1")):
        answer = recommend_algorithms(knowledge, known(knowledge, row), k=3)
        assert answer.candidates[0].algorithm == winner
        assert {each.winner for each in answer.neighbours} == {winner}
        assert [each.rank for each in answer.candidates] == [1, 2, 3]
        assert not answer.outside_experience
        assert answer.version == knowledge.version
        for each in answer.candidates:
            assert 0 <= each.expected.low <= each.expected.performance <= each.expected.high <= 1
            assert each.expected_seconds is None
        assert answer.candidates[0].expected.performance == pytest.approx(0.9, abs=0.1)
        first = answer.neighbours[0]
        at = knowledge.matrix.datasets.index(first.dataset)
        assert first.winner_performance == knowledge.matrix.performances[at].max()


def test_nobody_wins_where_every_algorithm_ran_out_of_time():
    given = decided(measure=RUN_TIME)
    odd = np.arange(40) % 2 == 1
    unsolved = dataclasses.replace(given, performances=np.where(odd[:, None], 500.0, given.performances))
    of = load(dump(unsolved, fit_imported(unsolved)))
    assert {each.winner for each in recommend_algorithms(of, known(of, 0)).neighbours} == {"a0"}
    for each in recommend_algorithms(of, known(of, 1)).neighbours:
        assert (each.winner, each.winner_performance) == (None, 1000)


def test_interval_holds_nine_of_ten_performances(knowledge):
    inside = [
        each.expected.low <= values[int(each.algorithm[1])] <= each.expected.high
        for row, values in enumerate(knowledge.matrix.performances)
        for each in recommend_algorithms(knowledge, known(knowledge, row), k=3).candidates
    ]
    assert np.mean(inside) >= 0.85


def test_seconds_are_told_where_they_are_known():
    seconds = np.full((40, 3), NAN)
    seconds[:, 0] = 4.0
    given = decided(seconds=seconds)
    answer = recommend_algorithms(load(dump(given, fit_imported(given))), {}, k=3)
    told = {each.algorithm: each.expected_seconds for each in answer.candidates}
    assert told == {"a0": pytest.approx(4.0), "a1": None, "a2": None}


@pytest.mark.parametrize(
    ("metafeatures", "because"),
    [
        ({}, "Fewer than 4"),
        ({"f0": 1.0, "f1": 0.5, "f2": 0.5, "f3": None}, "Fewer than 4"),
        ({f"f{column}": 9.0 for column in range(8)}, "8 of 8"),
    ],
)
def test_outside_experience_the_portfolio_answers_and_says_so(knowledge, metafeatures, because):
    answer = recommend_algorithms(knowledge, metafeatures)
    assert (answer.outside_experience, answer.strategy) == (True, "portfolio")
    assert answer.explanation.startswith(because)
    assert recommend_algorithms(knowledge, metafeatures, strategy="forest").strategy == "forest"


@pytest.mark.parametrize(
    ("question", "error", "named"),
    [
        ({"metafeatures": {"f10": 1.0}}, UnknownMetafeatureError, "f1"),
        ({"metafeatures": {"zebra": 1.0}}, UnknownMetafeatureError, "Known are: f0"),
        ({"metafeatures": {"f1": float("inf")}}, MetafeatureOutOfRangeError, "Leave it out"),
        ({"metafeatures": {}, "strategy": "magic"}, InvalidRequestError, "forest"),
    ],
)
def test_what_is_not_known_is_refused(knowledge, question, error, named):
    with pytest.raises(error) as caught:
        recommend_algorithms(knowledge, **question)
    assert named in caught.value.advice


def test_serving_imports_no_training_library(knowledge, tmp_path):
    fitted = Fitted(knowledge.trained, knowledge.report)
    (tmp_path / "knowledge.npz").write_bytes(dump(knowledge.matrix, fitted))
    program = """
import sys
from pathlib import Path
from app.metalearning.importing.knowledge import load
from app.metalearning.importing.recommendation import recommend_algorithms
recommend_algorithms(load(Path(sys.argv[1]).read_bytes()), {"f0": 1.0})
print(*sys.modules)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "knowledge.npz")]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    packages = {name.split(".")[0] for name in ran.stdout.split()}
    assert packages.isdisjoint({"sklearn", "scipy", "pandas", "lightgbm", "xgboost", "catboost", "torch"})
    assert "numpy" in packages
