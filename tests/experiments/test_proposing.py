"""What a search tries next."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.metalearning.portfolio import ALGORITHMS, configuration_with, configurations_of
from app.metalearning.search import Method, grid_size
from app.metalearning.table import TaskType
from workers.experiments.search.bayesian import _comparable, _expected_improvement
from workers.experiments.search.proposing import propose
from workers.experiments.search.sampling import _all_values

CLASSIFICATION = TaskType.CLASSIFICATION
SMALL = ["lightgbm", "svm", "knn"]
ASKED = {
    "task_type": "classification",
    "method": "random",
    "algorithms": SMALL,
    "space": {},
    "seed": 0,
    "parallel": 1,
    "grid_points": 3,
    "recommended": [],
    "known": [],
}


def loss_of(proposal):
    """The nearer all positions are to 0.3 the better, and LightGBM is the best."""
    space = ALGORITHMS[proposal["algorithm"]].space(CLASSIFICATION)
    places = list(space.positions(proposal["hyperparameters"]).values())
    rank = SMALL.index(proposal["algorithm"]) if proposal["algorithm"] in SMALL else 0
    return rank * 0.05 + float(np.mean([(each - 0.3) ** 2 for each in places]))


def search(n_trials, at_once=1, failing=(), **wishes):
    """The trials of a search of which every one ends before the next is chosen, or `at_once` of them."""
    trials = []
    while len(trials) < n_trials:
        payload = ASKED | {"trials": trials, "propose": min(at_once, n_trials - len(trials))} | wishes
        found = propose(payload, lambda _: None)
        chosen = found["proposals"]
        assert found["exhausted"] == (len(chosen) < payload["propose"])
        for each in chosen:
            assert each["number"] == len(trials)
            trials.append(each | {"loss": None if each["number"] in failing else loss_of(each)})
        if len(chosen) < payload["propose"]:
            break
    return trials


def names(trials):
    return [
        configuration_with(each["algorithm"], CLASSIFICATION, each["hyperparameters"]).id for each in trials
    ]


def best(trials):
    return min(each["loss"] for each in trials if each["loss"] is not None)


@pytest.mark.parametrize("method", Method)
def test_a_search_is_repeated_by_its_seed_and_lies_in_its_space(method):
    space = {"lightgbm": {"num_leaves": {"high": 16}}, "knn": {"weights": {"values": ["distance"]}}}
    one, again, other = (
        search(14, method=method, space=space, seed=seed, failing=(3, 7)) for seed in (1, 1, 2)
    )
    assert one == again
    assert names(one) != names(other)
    assert len(set(names(one))) == 14
    for each in one:
        assert each["source"] == method
        assert each["algorithm"] != "lightgbm" or each["hyperparameters"]["num_leaves"] <= 16
        assert each["algorithm"] != "knn" or each["hyperparameters"]["weights"] == "distance"


@pytest.mark.parametrize("method", [Method.TPE, Method.GP])
def test_models_find_better_than_chance(method):
    """On average over seeds, by the mean of the last ten: that is what they learned."""
    chance = np.mean([best(search(40, seed=seed)) for seed in range(5)])
    learned = [search(40, method=method, seed=seed) for seed in range(5)]
    assert np.mean([best(each) for each in learned]) < chance
    late = [trial["loss"] for each in learned for trial in each[-10:]]
    early = [trial["loss"] for each in learned for trial in each[:5]]
    assert np.mean(late) < np.mean(early)


@pytest.mark.parametrize("method", [Method.TPE, Method.GP, Method.RANDOM])
@given(results=st.lists(st.one_of(st.none(), st.floats(0, 10)), min_size=12, max_size=12))
@settings(max_examples=10, deadline=None)
def test_a_trial_depends_on_no_result_that_might_come_too_late(method, results):
    """Of four at once, trial n knows those up to n - 4: with the others' results it is the same."""
    trials = search(12, method=method, parallel=4)
    late = [
        each | {"loss": each["loss"] if each["number"] < 9 else result}
        for each, result in zip(trials, results, strict=True)
    ]
    known, unknown = (
        propose(ASKED | {"method": method, "parallel": 4, "trials": given, "propose": 1}, lambda _: None)
        for given in (trials, late)
    )
    assert known == unknown


@pytest.mark.parametrize("method", [Method.TPE, Method.GP, Method.GRID])
def test_trials_are_the_same_however_many_are_chosen_together(method):
    alone = search(12, at_once=1, method=method, parallel=3)
    together = search(12, at_once=3, method=method, parallel=3)
    assert names(alone) == names(together)


def test_what_is_recommended_comes_first_and_what_is_known_is_not_tried_again():
    recommended = [each.id for each in configurations_of(CLASSIFICATION) if each.algorithm.name in SMALL][:4]
    known = [{"algorithm": "knn", "hyperparameters": {"n_neighbors": 5}, "loss": 0.2}]
    assert "clf-knn-5" in recommended
    trials = search(8, recommended=recommended, known=known)
    assert names(trials)[:3] == [name for name in recommended if name != "clf-knn-5"]
    assert [each["source"] for each in trials] == ["recommended"] * 3 + ["random"] * 5
    assert "clf-knn-5" not in names(trials)


def test_what_is_known_is_learned_from():
    good = [
        {
            "algorithm": "lightgbm",
            "hyperparameters": ALGORITHMS["lightgbm"].space(CLASSIFICATION).at([place] * 10),
        }
        for place in np.linspace(0.28, 0.32, 6)
    ]
    bad = [
        {"algorithm": "knn", "hyperparameters": ALGORITHMS["knn"].space(CLASSIFICATION).at([place] * 3)}
        for place in np.linspace(0.7, 0.9, 6)
    ]
    known = [each | {"loss": loss_of(each)} for each in [*good, *bad]]
    for method in (Method.TPE, Method.GP):
        chosen = [
            propose(
                ASKED | {"method": method, "seed": seed, "known": known, "trials": [], "propose": 1},
                lambda _: None,
            )
            for seed in range(10)
        ]
        assert not [each for each in chosen if each["proposals"][0]["algorithm"] == "knn"], method


def test_a_grid_is_tried_whole_and_then_nothing_is_left():
    trials = search(1000, method="grid", algorithms=["knn"], grid_points=2)
    size = grid_size(ALGORITHMS["knn"].space(CLASSIFICATION), 2)
    assert len(trials) == len(set(names(trials))) == size
    assert propose(
        ASKED | {"method": "grid", "algorithms": ["knn"], "grid_points": 2, "trials": trials, "propose": 1},
        None,
    ) == {"proposals": [], "exhausted": True}


def test_a_small_space_is_exhausted_by_chance_and_by_models_too():
    space = {"lda": {"solver": {"values": ["lsqr"]}}}
    for method in ("random", "tpe", "gp"):
        trials = search(100, method=method, algorithms=["lda"], space=space)
        assert len(trials) == 4, method  # four ways to shrink


@pytest.mark.parametrize("method", [Method.RANDOM, Method.TPE, Method.GP])
def test_the_last_points_of_a_small_space_are_found(method):
    """knn has fifty numbers of neighbours, two weights and three distances."""
    space = ALGORITHMS["knn"].space(CLASSIFICATION)
    size = np.prod([len(each) for each in _all_values(space)])
    trials = [
        {"number": number, "algorithm": "knn", "hyperparameters": values, "loss": 0.5}
        for number, values in enumerate(_every_point(space))
    ]
    left = trials.pop()
    found = propose(ASKED | {"method": method, "algorithms": ["knn"], "trials": trials, "propose": 2}, None)
    assert len(trials) == size - 1
    assert [each["hyperparameters"] for each in found["proposals"]] == [left["hyperparameters"]]
    assert found["exhausted"]


def _every_point(space):
    names = [each.name for each in space.hyperparameters]
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*_all_values(space))]


def test_a_default_that_is_written_out_is_no_other_configuration():
    known = [{"algorithm": "knn", "hyperparameters": {"n_neighbors": 5}, "loss": 0.2}]
    space = {
        "knn": {
            name: {"values": [value]} for name, value in (("weights", "uniform"), ("metric", "minkowski"))
        }
    }
    space["knn"]["n_neighbors"] = {"low": 5, "high": 6}
    trials = search(5, algorithms=["knn"], space=space, known=known)
    assert [each["hyperparameters"]["n_neighbors"] for each in trials] == [6]


def test_equal_losses_have_no_order():
    assert len(set(_comparable([0.5] * 6))) == 1
    scores = _comparable([0.1, None, 0.3, None, 0.3])
    assert scores[1] == scores[2] == scores[3] == scores[4] > scores[0]


def test_a_long_history_costs_no_more_than_a_part_of_it():
    trials = search(400)
    chosen = propose(ASKED | {"method": "gp", "trials": trials, "propose": 1}, None)["proposals"]
    assert chosen[0]["number"] == 400


def test_algorithms_take_turns_on_a_grid():
    trials = search(9, method="grid")
    assert [each["algorithm"] for each in trials] == SMALL * 3


def test_failures_alone_do_not_end_a_search():
    for method in Method:
        assert len(search(8, method=method, failing=range(8))) == 8


def test_an_improvement_is_expected_where_little_is_known():
    mean, spread = np.array([0.0, 0.0, -1.0, 5.0]), np.array([0.1, 1.0, 0.1, 1e-12])
    expected = _expected_improvement(0.0, mean, spread)
    assert expected.argmax() == 2
    assert expected[1] > expected[0] > expected[3] == pytest.approx(0.0)
    assert math.isfinite(expected.sum())
