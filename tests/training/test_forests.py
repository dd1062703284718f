"""Grown trees are flattened without a change of what they say."""

import itertools

import numpy as np
import pytest
from lightgbm import LGBMRanker
from sklearn.ensemble import ExtraTreesRegressor

from app.metalearning.metalearners.portfolio import greedy_order
from tests.tables import evidence
from workers.training import forests

random = np.random.default_rng(0)
N_DATASETS = 40


@pytest.fixture
def grown(monkeypatch):
    """The forests of scikit-learn that fitting grows, of few trees."""
    grown = []

    def grow(*arguments, **keywords):
        grown.append(ExtraTreesRegressor(*arguments, **keywords))
        return grown[-1]

    monkeypatch.setattr(forests, "N_TREES", 12)
    monkeypatch.setattr(forests, "ExtraTreesRegressor", grow)
    return grown


def metafeatures_with_gaps():
    vectors = random.lognormal(sigma=3, size=(N_DATASETS, 6))
    vectors[random.random(vectors.shape) < 0.1] = np.nan
    vectors[:, 5] = np.nan
    return vectors


def test_arrays_walk_like_scikit_learns_forest(grown):
    known, targets = metafeatures_with_gaps(), random.random((N_DATASETS, 3))
    arrays = forests.fit_forest(known, targets)
    fill = np.append(np.nanmedian(known[:, :5], axis=0), 0)
    assert arrays.fill == pytest.approx(fill)
    at_thresholds = np.tile(fill, (20, 1))
    for vector, node in zip(at_thresholds, np.flatnonzero(arrays.feature >= 0), strict=False):
        vector[arrays.feature[node]] = np.nextafter(
            arrays.threshold[node], np.inf
        )  # trees compare in single precision
    for vector in [*metafeatures_with_gaps(), *known, *at_thresholds, np.full(6, np.nan)]:
        filled = np.where(np.isnan(vector), fill, vector)[None].astype(np.float32)
        assert np.array_equal(
            arrays.walk(arrays.filled(vector)[None])[0] - arrays.roots, grown[0].apply(filled)[0]
        )
        assert arrays.weights(vector).sum() == pytest.approx(1)
        assert arrays.weights(vector) @ targets == pytest.approx(grown[0].predict(filled)[0])


def test_known_datasets_fall_where_the_arrays_say(grown):
    known = metafeatures_with_gaps()
    arrays = forests.fit_forest(known, random.random((N_DATASETS, 2)))
    assert len(grown[0].estimators_) == 12
    for row, leaves in zip(known, arrays.leaves, strict=True):
        assert np.array_equal(arrays.walk(arrays.filled(row)[None])[0], leaves)


def test_same_evidence_grows_the_same_forest(grown):
    known, targets = metafeatures_with_gaps(), random.random((N_DATASETS, 2))
    one, two = forests.fit_forest(known, targets), forests.fit_forest(known, targets)
    for name, values in vars(one).items():
        assert np.array_equal(getattr(two, name), values)


def test_level_forest_finds_datasets_of_the_same_difficulty(grown):
    hard = np.arange(N_DATASETS) % 2 * 1.0
    losses = 0.1 + 0.6 * hard[:, None] + 0.01 * random.random((N_DATASETS, 3))
    losses[3, 1] = np.nan
    level = forests.fit_level_forest(evidence(losses, hard[:, None], ("",) * N_DATASETS))
    for difficulty in (0.0, 1.0):
        assert level.weights(np.array([difficulty]))[hard == difficulty].sum() == pytest.approx(1)


def test_pairs_meet_in_the_trees_that_scikit_learn_grew(grown):
    known, regret = metafeatures_with_gaps(), random.random((N_DATASETS, 9))
    regret[2, 4] = np.nan
    arrays = forests.fit_pairwise(known, regret)
    meeting = greedy_order(
        regret, np.full(N_DATASETS, 1 / N_DATASETS), list(range(9)), most=forests.N_MEETING
    )
    assert [tuple(pair) for pair in arrays.pairs] == list(itertools.combinations(meeting, 2))
    for vector in metafeatures_with_gaps()[:10]:
        filled = arrays.filled(vector)[None]
        said = np.array([forest.predict(filled)[0] for forest in grown])
        for index in range(9):
            votes = said[arrays.pairs[:, 0] == index].sum() - said[arrays.pairs[:, 1] == index].sum()
            assert arrays.votes(vector, 9)[index] == pytest.approx(votes)


def test_a_pair_weighs_datasets_by_what_is_at_stake():
    """The first of two is slightly better on most datasets of a kind, and much worse on the others of the same kind."""
    kind = np.arange(N_DATASETS) % 2
    dear = np.arange(N_DATASETS) % 8 == 0  # all of kind 0
    regret = np.column_stack([np.where(dear, 2.0, 0.0), np.where(dear, 0.0, 0.1)])
    arrays = forests.fit_pairwise(kind[:, None].astype(float), regret)
    sign = 1 if tuple(arrays.pairs[0]) == (0, 1) else -1
    for_the_first = [sign * arrays.votes(np.array([value]), 2)[arrays.pairs[0, 0]] for value in (0.0, 1.0)]
    assert for_the_first[0] < 0 < for_the_first[1]


def test_boosted_arrays_score_like_lightgbm(monkeypatch):
    fitted = []

    def rank(*arguments, **keywords):
        fitted.append(LGBMRanker(*arguments, **keywords))
        return fitted[-1]

    monkeypatch.setattr(forests, "LGBMRanker", rank)
    known, regret = metafeatures_with_gaps(), 2 * random.random((N_DATASETS, 9))
    regret[5] = np.nan
    regret[5, 2] = 0.5
    arrays = forests.fit_ranking(known, regret)
    for vector in metafeatures_with_gaps()[:10]:
        rows = np.hstack([np.tile(arrays.filled(vector), (9, 1)), arrays.descriptors])
        assert arrays.scores(vector) == pytest.approx(fitted[0].predict(rows))
    assert len(set(arrays.scores(known[0]))) > 1


def test_metafeatures_beyond_what_trees_can_hold_are_the_largest_that_they_can():
    known, regret = random.normal(size=(40, 3)), random.random((40, 4))
    known[:, 1] = 10.0 ** random.uniform(30, 300, 40) * np.sign(random.normal(size=40))
    forest = forests.fit_forest(known, regret)
    for vector in (known[0], np.array([0.0, 1e308, np.nan]), np.array([0.0, -np.inf, 1.0])):
        assert forest.weights(vector).sum() == pytest.approx(1.0)
    assert forests.fit_ranking(known, regret).scores(known[0]).shape == (4,)
    assert forests.fit_pairwise(known, regret).votes(known[0], 4).shape == (4,)
