from pathlib import Path

import numpy as np
import pytest

from app.metalearning.knowledge import load_knowledge
from app.metalearning.metalearners import STRATEGIES, AdaptiveMetaLearner, all_metalearners
from app.metalearning.metalearners.constant import AverageRank, SingleBest
from app.metalearning.metalearners.factorisation import MatrixFactorisation
from app.metalearning.metalearners.flaml import N_PORTFOLIO, NearestPortfolio
from app.metalearning.metalearners.forest import TRUST, ForestArrays, MultiOutputForest
from app.metalearning.metalearners.hybrid import N_GREEDY, Hybrid
from app.metalearning.metalearners.lambdamart import LambdaMart, RankingTrees, describe_configurations
from app.metalearning.metalearners.nearest import N_NEIGHBOURS, NearestDatasets, QuantileScale
from app.metalearning.metalearners.pairwise import PairwiseForest, PairwiseTrees
from app.metalearning.metalearners.portfolio import GreedyPortfolio, greedy_order
from app.metalearning.metalearners.trained import Trained
from app.metalearning.table import TaskType
from tests.tables import evidence

# Configuration 1 is never bad; 0 and 2 win on datasets that 1 does badly on.
REGRET = np.array([[0.0, 0.5, 2.0], [1.0, 0.4, 0.3], [2.0, 0.5, 0.6]])
EQUAL = np.full(3, 1 / 3)
# Two trees over two metafeatures and three datasets: one splits on the first at 0.5, one on the second at 2.
NODES = {
    "roots": np.array([0, 3], dtype=np.int32),
    "feature": np.array([0, -1, -1, 1, -1, -1], dtype=np.int32),
    "threshold": np.array([0.5, 0, 0, 2.0, 0, 0]),
    "left": np.array([1, 0, 0, 4, 0, 0], dtype=np.int32),
    "right": np.array([2, 0, 0, 5, 0, 0], dtype=np.int32),
    "fill": np.array([9.0, 0.0]),
}
STUMPS = ForestArrays(**NODES, leaves=np.array([[1, 4], [1, 5], [2, 5]], dtype=np.int32))
# One tree for the pair (0, 1), one for (1, 2).
DUELS = PairwiseTrees(
    **NODES,
    value=np.array([0, 0.5, -0.25, 0, 1.0, -1.0]),
    pairs=np.array([[0, 1], [1, 2]], dtype=np.int32),
)
# The second tree looks at the third number: the configuration's only descriptor.
BOOSTED = RankingTrees(
    **NODES | {"feature": np.array([0, -1, -1, 2, -1, -1], dtype=np.int32)},
    value=np.array([0, 1.0, 2.0, 0, 0.5, 0.25]),
    descriptors=np.array([[3.0], [1.0], [2.5]]),
)
TRAINED = Trained(forest=STUMPS, level=STUMPS, pairwise=DUELS, ranking=BOOSTED)


def test_influences_by_hand():
    """The first number leads from all three to the last dataset, the second from all to the last two."""
    means = STUMPS.node_means(np.array([1.0, 2.0, 6.0]))
    assert STUMPS.influences(np.array([1.0, 3.0]), means) == pytest.approx([(6 - 3) / 2, (4 - 3) / 2])
    assert STUMPS.influences(np.array([0.0, 0.0]), means) == pytest.approx([(1.5 - 3) / 2, (1 - 3) / 2])


def test_influences_explain_the_whole_difference():
    known = load_knowledge()[TaskType.REGRESSION]
    forest, regret = known.trained.forest, known.evidence.regret[:, 4]
    for vector in known.evidence.metafeatures[:20]:
        moved = forest.influences(vector, forest.node_means(regret))
        assert moved.sum() == pytest.approx(forest.weights(vector) @ regret - regret.mean())


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


def test_greedy_order_goes_on_from_what_was_tried():
    assert greedy_order(REGRET, EQUAL, [0, 1], tried=[2]) == [0, 1]
    whole = greedy_order(REGRET, EQUAL, [0, 1, 2])
    assert greedy_order(REGRET, EQUAL, whole[1:], tried=whole[:1]) == whole[1:]


@pytest.fixture
def learners():
    regret = np.random.default_rng(0).random((3, 3))
    return all_metalearners(
        evidence(regret, np.random.default_rng(1).random((3, 2)), ("a", "b", "c")), TRAINED
    )


def test_every_way_of_ranking_orders_all_feasible_configurations(learners):
    assert {name: type(learner) for name, learner in learners.items()} == STRATEGIES
    for name, learner in learners.items():
        assert learner.name == name
        assert sorted(learner.rank(np.zeros(2), [0, 2])) == [0, 2]
        assert sorted(learner.rank(np.full(2, np.nan), [0, 1, 2])) == [0, 1, 2]
        assert learner.rank(np.zeros(2), [0, 1, 2], 2) == learner.rank(np.zeros(2), [0, 1, 2])[:2]


def test_two_ways_learn_from_results(learners):
    adaptive = {name for name, learner in learners.items() if isinstance(learner, AdaptiveMetaLearner)}
    assert adaptive == {"factorisation", "hybrid"}
    for name in adaptive:
        outlook = learners[name].outlook(np.zeros(2))
        assert outlook.suggest_next([1, 2], {0: np.nan}) in {1, 2}
        assert outlook.suggest_next([2], {0: 0.5, 1: 0.3}) == 2
        assert outlook.suggest_next([0, 1, 2], {}) == learners[name].rank(np.zeros(2), [0, 1, 2])[0]


def test_constants_rank_by_mean_regret_and_by_mean_rank():
    regret = np.array([[0.0, 0.1, 2.0], [0.0, 0.1, 2.0], [2.0, 0.1, 0.0]])
    assert SingleBest(regret).rank(np.zeros(1), [0, 1, 2]) == [1, 0, 2]
    assert AverageRank(regret).rank(np.zeros(1), [0, 1, 2]) == [0, 1, 2]
    assert GreedyPortfolio(regret).rank(np.zeros(1), [0, 1, 2]) == [1, 0, 2]


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


@pytest.mark.parametrize(
    ("vector", "leaves"),
    [([0.5, 2.0], [1, 4]), ([0.51, 2.1], [2, 5]), ([0.0, np.nan], [1, 4]), ([np.nan, 3.0], [2, 5])],
)
def test_values_up_to_the_threshold_go_left_and_gaps_take_the_median(vector, leaves):
    assert STUMPS.walk(STUMPS.filled(np.array(vector))[None]).tolist() == [leaves]


def test_proximity_is_the_mean_share_of_common_leaves():
    # With (0, 3): the first tree's leaf holds datasets 0 and 1, the second tree's 1 and 2.
    assert STUMPS.weights(np.array([0.0, 3.0])) == pytest.approx([1 / 4, 1 / 2, 1 / 4])


def test_forest_is_shrunk_towards_the_constant():
    weights = TRUST * np.array([1 / 4, 1 / 2, 1 / 4]) + (1 - TRUST) / 3
    assert STUMPS.shrunk_weights(np.array([0.0, 3.0])) == pytest.approx(weights)
    order = MultiOutputForest(STUMPS, REGRET).rank(np.array([0.0, 3.0]), [0, 1, 2])
    assert order == np.argsort(weights @ REGRET).tolist()


def test_a_vote_counts_for_one_of_a_pair_and_against_the_other():
    assert DUELS.votes(np.array([0.0, 3.0]), 4) == pytest.approx([0.5, -0.5 - 1.0, 1.0, 0])
    # The fourth configuration meets nobody: it comes last, whatever its regret.
    regret = np.column_stack([REGRET, np.zeros(3)])
    assert PairwiseForest(DUELS, regret).rank(np.array([0.0, 3.0]), [0, 1, 2, 3]) == [2, 0, 1, 3]
    assert PairwiseForest(DUELS, regret).rank(np.array([0.0, 3.0]), [3, 1]) == [1, 3]


def test_boosted_scores_add_up_over_trees():
    assert BOOSTED.scores(np.array([0.0, 0.0])) == pytest.approx([1.25, 1.5, 1.25])
    assert BOOSTED.scores(np.array([1.0, np.nan])) == pytest.approx([2.25, 2.5, 2.25])
    assert LambdaMart(BOOSTED).rank(np.zeros(2), [0, 1, 2]) == [1, 0, 2]


def test_descriptors_tell_similar_configurations():
    random = np.random.default_rng(0)
    factor = random.normal(size=(40, 1))
    regret = 1 + factor * [[0.5, 0.5, -0.5, 0.0]] + 0.01 * random.random((40, 4))
    regret[0, 0] = np.nan
    descriptors = describe_configurations(regret)
    distances = np.linalg.norm(descriptors - descriptors[0], axis=1)
    assert distances[1] < 0.1 < distances[3] < distances[2]


def test_flamls_rule_follows_the_nearest_dataset_in_four_metafeatures():
    random = np.random.default_rng(0)
    regret = random.random((20, 30))
    names = ("nr_inst", "noise", "nr_attr")
    vectors = np.column_stack([np.arange(20.0), 1e9 * random.random(20), np.arange(20.0)])
    learner = NearestPortfolio(regret, vectors, names)
    order = learner.rank(np.array([7.2, 0.0, 6.9]), list(range(30)))
    portfolio = greedy_order(regret, np.full(20, 1 / 20), list(range(30)), most=N_PORTFOLIO)
    assert order[:N_PORTFOLIO] == sorted(portfolio, key=lambda index: regret[7, index])
    assert order[N_PORTFOLIO:] == sorted(
        set(range(30)) - set(portfolio), key=lambda index: regret[:, index].mean()
    )


def test_factors_are_found_again_from_results():
    random = np.random.default_rng(0)
    losses = 0.5 + random.normal(size=(60, 3)) @ random.normal(size=(3, 20)) * 0.1
    learner = MatrixFactorisation(losses[1:], losses[1:], random.random((59, 4)))
    outlook = learner.outlook(random.random(4))
    observed = {index: losses[0, index] for index in range(0, 20, 2)}
    before, after = (np.abs(outlook.expected_losses(seen) - losses[0]).mean() for seen in ({}, observed))
    assert after < 0.2 * before


def test_warm_start_guesses_factors_from_metafeatures():
    random = np.random.default_rng(0)
    vectors = random.random((80, 3))
    losses = 0.5 + (vectors - 0.5) @ random.normal(size=(3, 12))
    learner = MatrixFactorisation(losses[1:], losses[1:], vectors[1:])
    guess = learner.outlook(vectors[0]).expected_losses({})
    assert np.corrcoef(guess, losses[0])[0, 1] > 0.9


def test_informative_choices_come_after_the_best_guess():
    """Three configurations always fail together, one tells of all others: it is tried second although it is never good."""
    random = np.random.default_rng(0)
    factor = random.normal(size=40)
    losses = np.column_stack([0.1 + 0 * factor, 0.1 + 0 * factor, 0.9 + 0.3 * factor, 0.3 + 0.05 * factor])
    learner = MatrixFactorisation(losses, losses, random.random((40, 2)))
    outlook = learner.outlook(np.full(2, 0.5))
    assert outlook.suggest_next([0, 1, 2, 3], {}) in {0, 1}
    assert outlook.suggest_next([1, 2, 3], {0: 0.1}) == 2


def test_hybrid_begins_greedily_and_then_follows_the_results():
    """Configurations come in two families; results of the good one lead to its other members."""
    random = np.random.default_rng(0)
    n_datasets, family = 60, np.arange(12) % 2
    wins = random.integers(2, size=n_datasets)
    losses = 0.3 + 0.2 * (family != wins[:, None]) + 0.02 * random.random((n_datasets, 12))
    regret = (losses - losses.min(axis=1, keepdims=True)) / 0.2
    alike = ForestArrays(
        roots=np.zeros(1, dtype=np.int32),
        feature=np.array([-1], dtype=np.int32),
        threshold=np.zeros(1),
        left=np.zeros(1, dtype=np.int32),
        right=np.zeros(1, dtype=np.int32),
        fill=np.zeros(1),
        leaves=np.zeros((n_datasets, 1), dtype=np.int32),
    )
    learner = Hybrid(alike, regret, losses)
    outlook = learner.outlook(np.zeros(1))
    order = learner.rank(np.zeros(1), list(range(12)))
    assert {family[order[0]], family[order[1]]} == {0, 1}
    for winner in (0, 1):
        observed = {}
        while len(observed) < 6:
            left = [index for index in range(12) if index not in observed]
            following = outlook.suggest_next(left, observed)
            observed[following] = 0.7 + 0.1 * (family[following] != winner) + 0.01 * random.random()
        assert list(observed)[:N_GREEDY] == order[:N_GREEDY]
        assert [family[index] for index in list(observed)[N_GREEDY:]] == [winner] * 3


def test_saved_arrays_are_loaded_the_same(tmp_path: Path):
    TRAINED.save(tmp_path / "trained.npz")
    back = Trained.load(tmp_path / "trained.npz")
    for name, values in TRAINED.arrays().items():
        assert np.array_equal(back.arrays()[name], values)
        assert back.arrays()[name].dtype == values.dtype


def test_pickled_arrays_are_never_loaded(tmp_path: Path):
    hostile = TRAINED.arrays() | {"forest_leaves": np.array([{"any": "object"}], dtype=object)}
    np.savez(tmp_path / "trained.npz", **hostile)
    with pytest.raises(ValueError, match="allow_pickle"):
        Trained.load(tmp_path / "trained.npz")
