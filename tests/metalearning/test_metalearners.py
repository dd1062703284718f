from pathlib import Path

import numpy as np
import pytest

from app.metalearning.metalearners import STRATEGIES, NearestDatasets, ProximityForest, simple_metalearners
from app.metalearning.metalearners.forest import TRUST, ForestArrays
from app.metalearning.metalearners.nearest import N_NEIGHBOURS, QuantileScale
from app.metalearning.metalearners.portfolio import greedy_order
from tests.tables import evidence

# Configuration 1 is never bad; 0 and 2 win on datasets that 1 does badly on.
REGRET = np.array([[0.0, 0.5, 2.0], [1.0, 0.4, 0.3], [2.0, 0.5, 0.6]])
EQUAL = np.full(3, 1 / 3)
# Two trees over two metafeatures and three datasets: one splits on the first at 0.5, one on the second at 2.
STUMPS = ForestArrays(
    roots=np.array([0, 3], dtype=np.int32),
    feature=np.array([0, -1, -1, 1, -1, -1], dtype=np.int32),
    threshold=np.array([0.5, 0, 0, 2.0, 0, 0]),
    left=np.array([1, 0, 0, 4, 0, 0], dtype=np.int32),
    right=np.array([2, 0, 0, 5, 0, 0], dtype=np.int32),
    fill=np.array([9.0, 0.0]),
    leaves=np.array([[1, 4], [1, 5], [2, 5]], dtype=np.int32),
)


def test_greedy_order_by_hand():
    # Means are 1, .47, .97; beside 1, adding 0 leaves mean (0 + .4 + .5) / 3, adding 2 leaves (.5 + .3 + .5) / 3.
    assert greedy_order(REGRET, EQUAL, [0, 1, 2]) == [1, 0, 2]


def test_each_next_configuration_leaves_the_least_regret():
    random = np.random.default_rng(0)
    regret, weights = random.random((6, 8)), random.dirichlet(np.ones(6))
    order = greedy_order(regret, weights, list(range(8)))
    for k in range(1, 8):
        left = [weights @ regret[:, [*order[:k], each]].min(axis=1) for each in order[k:]]
        assert left[0] == min(left)


def test_greedy_order_follows_the_weights():
    assert greedy_order(REGRET, np.array([1.0, 0, 0]), [0, 1, 2])[0] == 0
    assert greedy_order(REGRET, np.array([0, 1.0, 0]), [0, 1, 2]) == [2, 1, 0]  # ties go by the mean


def test_greedy_order_holds_exactly_what_is_feasible():
    assert greedy_order(REGRET, EQUAL, [0, 2]) == [2, 0]
    assert greedy_order(REGRET, EQUAL, [0, 1, 2], first=2) == [2, 0, 1]


def test_every_way_of_ranking_orders_all_feasible_configurations():
    regret = np.random.default_rng(0).random((3, 8))
    learners = simple_metalearners(evidence(regret, np.random.default_rng(1).random((3, 2)), ("a", "b", "c")))
    learners["forest"] = ProximityForest(STUMPS, regret)
    assert tuple(learners) == STRATEGIES
    for name, learner in learners.items():
        assert learner.name == name
        assert sorted(learner.rank(np.zeros(2), [1, 3, 5])) == [1, 3, 5]
        assert learner.expected_regret(np.zeros(2)).shape == (8,)
        assert learner.rank(np.zeros(2), list(range(8)), 3) == learner.rank(np.zeros(2), list(range(8)))[:3]


def test_constants_rank_by_mean_regret_and_by_mean_rank():
    regret = np.array([[0.0, 0.1, 2.0], [0.0, 0.1, 2.0], [2.0, 0.1, 0.0]])
    learners = simple_metalearners(evidence(regret, np.zeros((3, 1)), ("a", "b", "c")))
    assert learners["single_best"].rank(np.zeros(1), [0, 1, 2]) == [1, 0, 2]
    assert learners["average_rank"].rank(np.zeros(1), [0, 1, 2]) == [0, 1, 2]
    assert learners["portfolio"].rank(np.zeros(1), [0, 1, 2]) == [1, 0, 2]
    assert learners["single_best"].expected_regret(np.zeros(1)) == pytest.approx([2 / 3, 0.1, 4 / 3])


def test_quantiles_share_ties_and_put_the_unknown_in_the_middle():
    scale = QuantileScale(
        np.array([[1.0, np.nan], [2.0, np.nan], [2.0, np.nan], [np.nan, np.nan], [8.0, np.nan]])
    )
    first = [scale.scale(np.array([value, 5.0]))[0] for value in (0.0, 1.0, 2.0, 3.0, 9.0, np.nan)]
    assert first == [0, 1 / 8, 4 / 8, 6 / 8, 1, 0.5]
    assert scale.scale(np.array([1.0, 5.0]))[1] == 0.5


def test_units_of_the_metafeatures_do_not_matter_to_distances():
    known = np.random.default_rng(0).normal(size=(30, 3))
    assert QuantileScale(np.exp(known)).distances(np.exp(known[4])) == pytest.approx(
        QuantileScale(known).distances(known[4])
    )
    assert QuantileScale(known).distances(known[4]).argmin() == 4


def test_only_the_nearest_datasets_count():
    regret = np.where(np.arange(60)[:, None] < 30, [[0.0, 2.0]], [[2.0, 0.0]])
    learner = NearestDatasets(regret, np.arange(60.0)[:, None])
    assert [learner.rank(np.array([value]), [0, 1])[0] for value in (0.0, 59.0)] == [0, 1]
    assert np.sum(learner.weights(np.zeros(1)) > 0) == N_NEIGHBOURS
    assert learner.weights(np.zeros(1))[:N_NEIGHBOURS].sum() == pytest.approx(1)
    assert learner.expected_regret(np.zeros(1)) == pytest.approx([0, 2])


@pytest.mark.parametrize(
    ("vector", "leaves"),
    [([0.5, 2.0], [1, 4]), ([0.51, 2.1], [2, 5]), ([0.0, np.nan], [1, 4]), ([np.nan, 3.0], [2, 5])],
)
def test_values_up_to_the_threshold_go_left_and_gaps_take_the_median(vector, leaves):
    assert STUMPS.apply(np.array(vector)).tolist() == leaves


def test_proximity_is_the_mean_share_of_common_leaves():
    # With (0, 3): the first tree's leaf holds datasets 0 and 1, the second tree's 1 and 2.
    assert STUMPS.weights(np.array([0.0, 3.0])) == pytest.approx([1 / 4, 1 / 2, 1 / 4])


def test_forest_is_shrunk_towards_the_constant():
    forest = ProximityForest(STUMPS, REGRET)
    weights = TRUST * np.array([1 / 4, 1 / 2, 1 / 4]) + (1 - TRUST) / 3
    assert forest.weights(np.array([0.0, 3.0])) == pytest.approx(weights)
    assert forest.expected_regret(np.array([0.0, 3.0])) == pytest.approx(weights @ REGRET)


def test_saved_arrays_are_loaded_the_same(tmp_path: Path):
    STUMPS.save(tmp_path / "forest.npz")
    back = ForestArrays.load(tmp_path / "forest.npz")
    for name, values in vars(STUMPS).items():
        assert np.array_equal(getattr(back, name), values)
        assert getattr(back, name).dtype == values.dtype


def test_pickled_arrays_are_never_loaded(tmp_path: Path):
    hostile = vars(STUMPS) | {"leaves": np.array([{"any": "object"}], dtype=object)}
    np.savez(tmp_path / "forest.npz", **hostile)
    with pytest.raises(ValueError, match="allow_pickle"):
        ForestArrays.load(tmp_path / "forest.npz")
