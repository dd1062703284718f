"""The posterior is the textbook's, finds again what generated the data, and is honest about how sure it is."""

import numpy as np
import pytest

from app.metalearning.posterior import WORST, Posterior, Prior, Profiles

random = np.random.default_rng(0)
N_DATASETS, N_CONFIGURATIONS = 200, 12
# Two factors rule all losses; every dataset has its own level and scale.
LOADINGS = random.normal(size=(2, N_CONFIGURATIONS))


def losses_of(n_datasets):
    factors = random.normal(size=(n_datasets, 2))
    levels, scales = (
        0.4 + 0.1 * random.random((n_datasets, 1)),
        0.05 * np.exp(0.3 * random.normal(size=(n_datasets, 1))),
    )
    noise = 0.1 * random.normal(size=(n_datasets, N_CONFIGURATIONS))
    return levels + scales * (factors @ LOADINGS + noise)


KNOWN = losses_of(N_DATASETS)
EQUAL = np.full(N_DATASETS, 1 / N_DATASETS)


def prior_of(losses=KNOWN, weights=EQUAL):
    return Prior.of(Profiles(losses, np.ones(losses.shape, dtype=bool)), weights)


def test_profiles_have_the_median_at_0_and_the_best_at_minus_1():
    profiles = Profiles(np.array([[0.1, 0.2, 0.3, 9.0, np.nan]]), np.array([[True, True, True, True, False]]))
    assert profiles.values[0] == pytest.approx([-1, -1 / 3, 1 / 3, WORST, 0])
    failed = Profiles(np.array([[0.1, 0.3, np.nan]]), np.ones((1, 3), dtype=bool))
    assert failed.values[0] == pytest.approx([-1, 1, WORST])
    assert Profiles(np.array([[0.2, 0.2001]]), np.ones((1, 2), dtype=bool)).values[0] == pytest.approx(
        [-0.01, 0.01]
    )


def test_gaps_do_not_count():
    losses = KNOWN.copy()
    tried = np.ones(losses.shape, dtype=bool)
    gone = random.random(losses.shape) < 0.2
    losses[gone], tried[gone] = np.nan, False
    gappy = Prior.of(Profiles(losses, tried), EQUAL)
    assert gappy.mean == pytest.approx(prior_of().mean, abs=0.25)


def test_results_tell_of_configurations_that_were_not_tried():
    prior = prior_of()
    errors, before, z = [], [], []
    for truth in losses_of(60):
        observed = {index: truth[index] for index in range(6)}
        posterior = prior.condition(observed)
        middle = np.mean(truth[:6]) - posterior.scale * (prior.mean[:6].mean() - prior.mean)
        errors.append(np.abs(posterior.losses[6:] - truth[6:]).mean())
        before.append(np.abs(middle[6:] - truth[6:]).mean())
        z += list((truth[6:] - posterior.losses[6:]) / posterior.spread[6:])
    assert np.mean(errors) < 0.6 * np.mean(before)
    assert 0.8 < np.mean(np.abs(z) < 1.645) <= 1.0


def test_what_was_observed_is_believed():
    truth = losses_of(1)[0]
    posterior = prior_of().condition({index: truth[index] for index in range(N_CONFIGURATIONS)})
    assert posterior.losses == pytest.approx(truth, abs=0.3 * posterior.scale)
    assert posterior.spread.max() < 0.2 * posterior.scale


def test_units_and_level_of_the_losses_do_not_matter():
    """Only the distance between losses says which scale is likely."""
    truth = losses_of(1)[0]
    observed = {index: truth[index] for index in range(5)}
    one, other = (
        prior_of().condition({index: loss + shift for index, loss in observed.items()})
        for shift in (0.0, 0.3)
    )
    assert other.mean == pytest.approx(one.mean)
    assert other.losses == pytest.approx(one.losses + 0.3)


def test_a_failure_says_nothing_of_the_others():
    truth = losses_of(1)[0]
    scored = {0: truth[0], 1: truth[1]}
    one, other = (prior_of().condition(observed) for observed in (scored, scored | {2: np.nan}))
    assert other.losses == pytest.approx(one.losses)


def test_one_hopeless_result_does_not_move_the_others():
    truth = losses_of(1)[0]
    scored = {index: truth[index] for index in range(4)}
    hopeless, absurd = (prior_of().condition(scored | {4: loss}).losses for loss in (5.0, 1e6))
    assert absurd == pytest.approx(hopeless)
    assert np.abs(hopeless[5:] - truth[5:]).mean() < 0.2


def test_expected_improvement_is_that_of_a_normal_distribution():
    posterior = Posterior(np.array([0.0, -1.0, 3.0]), np.diag([1.0, 1e-18, 0.25]), scale=0.1, level=0.5)
    draws = 0.5 + 0.1 * (posterior.mean + random.normal(size=(400_000, 3)) * [1.0, 0.0, 0.5])
    expected = np.maximum(0.45 - draws, 0).mean(axis=0)
    assert posterior.expected_improvement(0.45) == pytest.approx(expected, abs=2e-4)


def test_draws_have_the_posterior_s_mean_and_spread():
    truth = losses_of(1)[0]
    posterior = prior_of().condition({0: truth[0], 3: truth[3]})
    draws = posterior.draws()
    assert draws.mean(axis=0) == pytest.approx(posterior.losses, abs=0.2 * posterior.spread.max())
    assert draws.std(axis=0) == pytest.approx(posterior.spread, rel=0.2)
    assert np.array_equal(draws, posterior.draws())


def test_probability_of_being_best_is_how_often_it_is():
    truths = losses_of(3_000)
    told = prior_of().probability_best(list(range(N_CONFIGURATIONS)))
    assert sum(told.values()) == pytest.approx(1)
    often = np.bincount(truths.argmin(axis=1), minlength=N_CONFIGURATIONS) / len(truths)
    assert list(told.values()) == pytest.approx(often, abs=0.08)
    some = prior_of().probability_best([2, 5])
    assert some[2] == pytest.approx((truths[:, 2] < truths[:, 5]).mean(), abs=0.08)


def test_similar_datasets_weigh_more():
    alike = np.zeros(N_DATASETS)
    alike[:5] = 0.2
    assert prior_of(weights=alike).mean == pytest.approx(
        prior_of(losses=KNOWN[:5], weights=np.full(5, 0.2)).mean
    )
